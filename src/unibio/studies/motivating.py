"""Two of the slides' motivating problems, small enough that the global answer is found by looking everywhere.

Few hyper-parameters (two regularisers of kernel ridge regression) and the attack on a power grid. Every method runs
from the same starts at the best of its pairs of steps, which other starts chose: φ at its end is compared with the best
of a grid that no method had a part in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.store.thinning import Kept
from unibio.studies.common import methods, style, widening
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array, axes, final
from unibio.studies.common.document import Block, Heading, Table
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.effort import Effort, fairly
from unibio.studies.common.evidence import Evidence, column, method
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import distinct
from unibio.studies.common.search import Search
from unibio.studies.common.starts import mean_over_starts, over_starts
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.common.widening import Touched

EXPERIMENT = "motivating"
RIDGE, ATTACK = "kernel_ridge", "power_attack"
PROBLEMS = {RIDGE: "few hyper-parameters", ATTACK: "attack on a power grid"}
#: Parameters that tell the starts of a problem apart.
_STARTS = {RIDGE: ("start_smooth", "start_rough"), ATTACK: ("start_seed",)}
#: The global answer is found where φ − min φ is at most this part of the largest at the starts.
FOUND = 0.01
#: Different judging starts that a statement about every start needs.
STARTS = 3


@dataclass(frozen=True, eq=False)
class Ends:
    """Where one method ends on one problem, from the judging starts at its best steps.

    Attributes:
        problem, name: of the problem, and of the method as in the table of methods.
        t: (n,) logged iterations.
        gap: (starts, n) φ − min φ; inf after a run has diverged.
        effort: what it was given.
        steps: the chosen ones, by axis.
    """

    problem: str
    name: str
    t: Array
    gap: Array
    effort: Effort
    steps: dict[str, float]

    @property
    def starts(self) -> int:
        """How many are different."""
        return len(distinct(self.gap))


def ends(evidence: Evidence) -> list[Ends]:
    """Every problem and method; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record that does not hold every pair of steps for every start.
    """
    return evidence.once(_ends)


def _ends(evidence: Evidence) -> list[Ends]:
    found = [_of_record(record) for record in evidence.require(EXPERIMENT)]
    order, places = list(PROBLEMS), list(methods.METHODS)
    return sorted(found, key=lambda one: (order.index(one.problem), places.index(one.name)))


def _search(record: Record) -> Search:
    """The search over steps."""
    runs = record.runs.reset_index(drop=True)
    at = [name for name in _STARTS[str(record.config["problem"]["name"])] if name in runs]
    starts = runs[at].astype(str).agg(" ".join, axis=1) if at else runs["seed"]
    return over_starts(
        record.name,
        runs.assign(place=starts),
        final(record, "value_gap"),
        [name for name in axes(record) if name not in at],
        "place",
        choosing=lambda n: max(1, n // 4),
        middle=mean_over_starts,
    )


def _of_record(record: Record) -> Ends:
    found = _search(record)
    cell = found.best() or (0,) * len(found.steps)
    t, gap = _gaps(record)
    steps = {name: step for name, step in found.at(cell).items() if name != "setting"}
    judging = found.runs(cell, judging=True)
    return Ends(str(record.config["problem"]["name"]), method(record), t, gap[judging], found.effort(), steps)


def _gaps(record: Record) -> tuple[Array, Array]:
    """(n,) logged iterations and (runs, n) φ − min φ."""
    history = record.history
    t, at = np.unique(history["iteration"].to_numpy(), return_inverse=True)
    gap = np.full((len(record.runs), len(t)), np.inf)
    numbers = column(record, "value_gap").to_numpy(dtype=float)
    gap[history["run"].to_numpy(), at] = np.where(np.isfinite(numbers), numbers, np.inf)
    gap[(record.runs["status"] != "completed").to_numpy(), -1] = np.inf
    return t, gap


def touched(record: Record) -> list[Touched]:
    """The ranges of one record whose chosen step is one of their ends.

    Raises:
        InputError: a record that does not hold every pair of steps for every start.
    """
    found = _search(record)
    ends_ = {axis: [end] for axis, end in found.ends(found.best()).items()}
    return widening.touched(record, found.steps, ends_)


def far(found: Iterable[Ends]) -> float:
    """The largest φ − min φ at the judging starts: the scale of all gaps; 0 for none."""
    return max((float(one.gap[:, 0].max()) for one in found), default=0.0)


def arrived(one: Ends, scale: float) -> NDArray[np.bool_]:
    """(starts,) whether the global answer is found."""
    return np.asarray(one.gap[:, -1] <= FOUND * scale)


def summary(evidence: Evidence) -> pd.DataFrame:
    """A row per problem and method: share of the starts that find the global answer, and the gaps at the end."""
    rows, found = [], ends(evidence)
    for one in found:
        scale = far(other for other in found if other.problem == one.problem)
        last = one.gap[:, -1]
        row = {"problem": one.problem, "method": methods.label(one.name), "tried": one.effort.configurations}
        row |= {**one.steps, "starts": len(last), "found": float(arrived(one, scale).mean()), "at_start": scale}
        rows.append(row | {"gap": float(np.quantile(last, 0.5, method="higher")), "gap_max": float(last.max())})
    return pd.DataFrame(rows)


def global_answer(problem: str) -> Callable[[Evidence], Outcome]:
    """Whether every method finds the global answer from every judging start."""

    def rule(evidence: Evidence) -> Outcome:
        found = [one for one in ends(evidence) if one.problem == problem]
        if len(found) < 2:
            return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of two methods on {problem}")
        scale = far(found)
        shares = {methods.label(one.name): float(arrived(one, scale).mean()) for one in found}
        text = f"starts from which φ comes within {FOUND:.0%} of {scale:.3g}, the largest distance at the start: "
        text += ", ".join(f"{share:.0%} ({name})" for name, share in shares.items())
        numbers = {"found": shares, "at_start": scale}
        if not math.isfinite(scale) or not every(np.isfinite(one.gap[:, -1]).all() for one in found):
            return Outcome(NOT_TESTABLE, f"{text}; runs diverged, and to diverge is to find nothing", numbers)
        if min(one.gap.min() for one in found) < -FOUND * scale:
            return Outcome(
                NOT_TESTABLE, f"{text}; φ falls below the best of the grid, which was not fine enough", numbers
            )
        ok = every(share == 1 for share in shares.values())
        if ok and min(one.starts for one in found) < STARTS:
            return Outcome(NOT_TESTABLE, f"{text}; fewer than {STARTS} different starts", numbers)
        efforts = {PROBLEMS[problem]: {methods.label(one.name): one.effort for one in found}}
        return fairly(Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers), efforts)

    return rule


def draw(evidence: Evidence) -> Drawn:
    """A panel per problem: φ − min φ over iterations, median and range over the judging starts."""
    found = ends(evidence)
    names = [name for name in PROBLEMS if any(one.problem == name for one in found)]
    figure, panels = style.panels(1, len(names), 3.2)
    looks: dict[str, dict[str, Any]] = {}
    for panel, name in zip(panels[0], names, strict=True):
        shown = [one for one in found if one.problem == name]
        for i, one in enumerate(shown):
            look = looks.setdefault(one.name, methods.look(one.name))
            later = one.t > 0
            values = np.clip(np.where(np.isfinite(one.gap), one.gap, np.nan), 1e-10, None)[:, later]
            kept = np.isfinite(values).any(axis=0)
            if not kept.any():
                continue
            t = one.t[later][kept]
            low, middle, high = np.nanquantile(values[:, kept], [0.0, 0.5, 1.0], axis=0)
            panel.fill_between(t, low, high, color=look["color"], alpha=0.15, linewidth=0)
            panel.plot(t, middle, markevery=style.spread_markers(t, i, log=True), **look)
        panel.axhline(FOUND * far(shown), color=style.GREY, linestyle=":")
        panel.set(xscale="log", yscale="log", xlabel="iterations")
        panel.set_title(PROBLEMS[name], loc="left")
        style.log_labels(panel.yaxis)
    panels[0, 0].set_ylabel("φ − min φ")
    style.legend_above(figure, [style.handle(methods.label(name), **look) for name, look in looks.items()], 4)
    return Drawn(figure, {"motivating": summary(evidence)})


def _blocks(evidence: Evidence) -> Iterable[Block]:
    yield Heading(3, "Motivating problems in few variables")
    yield Table(
        ["problem", "method", "tried", "starts that find the global answer", "φ − min φ at the end", "largest"],
        [
            [
                *(PROBLEMS[row["problem"]], row["method"], f"{row['tried']}", f"{row['found']:.0%} of {row['starts']}"),
                *(f"{row['gap']:.2g}", f"{row['gap_max']:.2g}"),
            ]
            for _, row in summary(evidence).iterrows()
        ],
    )


STUDY = Study(
    experiments=(EXPERIMENT,),
    kept=Kept(metrics=("value_gap",)),
    drawings=(
        Drawing(
            "motivating",
            "Two motivating problems in few variables: φ − min φ over iterations at every method's best steps, median "
            "and range over the judging starts; min φ by enumeration. Below the dotted line the answer is found.",
            draw,
            title="Which methods solve two motivating problems",
        ),
    ),
    claims=(
        Claim(
            "motivating-ridge",
            "Choosing the weights of two regularisers, every method ends at the best weights that there are, from "
            "every start.",
            Kind.QUESTION,
            "what methods do on the slides' “Hyperparameter Tuning as Bilevel Optimization”, which gives no numbers",
            global_answer(RIDGE),
        ),
        Claim(
            "motivating-attack",
            "Choosing which feeders of a grid to disturb, every method ends at the worst attack that there is, from "
            "every start.",
            Kind.QUESTION,
            "what methods do on the slides' “Power Grid Attack and Defense”, which gives no numbers",
            global_answer(ATTACK),
        ),
    ),
    blocks=_blocks,
    touched=touched,
)
