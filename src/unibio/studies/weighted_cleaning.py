"""Hyper-cleaning whose weights matter: who reaches the global optimum, from every start, and what γ has to do with it.

φ at the weights that a method found is compared with an optimum that no weights had a part in. A penalty pulls w to
where f is least, whatever the weights; φ, which solves the lower level at them, it cannot move. Every method runs at
the best of its pairs of steps, at each penalty: the one with the least mean distance over the choosing starts. Others
judge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.store.thinning import Kept
from unibio.studies.common import methods, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array, axes, final
from unibio.studies.common.document import Block, Heading, Table
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.effort import Effort, fairly
from unibio.studies.common.evidence import Evidence, method
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import Fit, fit_power_law
from unibio.studies.common.search import Search, touched_by_any
from unibio.studies.common.starts import mean_over_starts, over_starts
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import (
    CONSISTENT,
    NOT_REPRODUCED,
    NOT_RUN,
    NOT_TESTABLE,
    REPRODUCED,
    VIOLATED,
    Outcome,
)
from unibio.studies.common.widening import Touched

EXPERIMENT = "weighted_cleaning"
#: What is taken of every run at its end.
GAPS = ("value_gap", "upper_gap", "lower_gap", "cleaning_auc")
#: φ − φ* and g − g* up to this: the global optimum is reached.
REACHED = 1e-4
#: Probability that a clean observation outweighs a wrong one, from which the weights count as telling them apart.
TOLD = 0.9
#: Different starts that a statement about every start needs, and penalties that an exponent needs.
STARTS, PENALTIES = 3, 3
#: Least penalty of fits in γ: below it the penalty is too weak to be in its limit.
LEAST_PENALTY = 30.0
#: Exponents of γ in both gaps, and by how much a fit over two decades may miss them.
EXPONENTS, OFF = {"upper_gap": -1.0, "lower_gap": -2.0}, 0.1


@dataclass(frozen=True, eq=False)
class Ends:
    """Where the judging starts of one method end at its best steps, at one penalty where it has several.

    Attributes:
        name: of the method, as in the table of methods.
        penalty: γ; NaN without.
        values: {metric of ``GAPS``: (starts,)}, inf for runs that diverged.
        starts: how many of them are different: runs that are equal to the bit are one.
        effort: what it was given.
        steps: the chosen ones, by axis.
    """

    name: str
    penalty: float
    values: dict[str, Array]
    starts: int
    effort: Effort
    steps: dict[str, float]

    @property
    def label(self) -> str:
        """For legends and tables."""
        return methods.label(self.name) + (f", γ = {self.penalty:g}" if math.isfinite(self.penalty) else "")

    @property
    def own(self) -> bool:
        """Whether it is PBGD."""
        return self.name.startswith("pbgd")

    @property
    def reached(self) -> NDArray[np.bool_]:
        """(starts,) whether the weights are optimal and the lower level solved, both up to ``REACHED``.

        Weights that have left their box can have a φ below the optimum, and are not optimal.
        """
        return (np.abs(self.values["value_gap"]) <= REACHED) & (np.abs(self.values["lower_gap"]) <= REACHED)


def ends(evidence: Evidence) -> list[Ends]:
    """Every method and penalty, PBGD first; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record that does not hold every pair of steps for every start.
    """
    return evidence.once(_ends)


def _ends(evidence: Evidence) -> list[Ends]:
    found = [one for record in evidence.require(EXPERIMENT) for one in _of_record(record)]
    return sorted(found, key=lambda one: (not one.own, one.name, one.penalty))


def _searches(record: Record) -> Iterator[tuple[float, NDArray[np.intp], Search]]:
    """By penalty: its runs, and their search over steps."""
    runs = record.runs.reset_index(drop=True)
    algorithm = record.config["algorithm"]
    given = float(algorithm.get("penalty", math.nan)) if algorithm["name"] == "pbgd" else math.nan
    penalties = runs["penalty"] if "penalty" in runs else pd.Series(given, index=runs.index)
    distance = np.maximum(np.abs(final(record, "value_gap")), np.abs(final(record, "lower_gap")))
    searched = [name for name in axes(record) if name not in ("start_seed", "penalty")]
    for penalty, group in runs.groupby(penalties, dropna=False):
        at = group.index.to_numpy()
        found = over_starts(
            record.name,
            group,
            distance[at],
            searched,
            "start_seed" if "start_seed" in runs else "seed",
            choosing=lambda n: max(1, n // 5),
            middle=mean_over_starts,
        )
        yield float(str(penalty)), at, found


def _of_record(record: Record) -> Iterator[Ends]:
    metrics = {name: final(record, name) for name in GAPS}
    for penalty, at, found in _searches(record):
        cell = found.best() or (0,) * len(found.steps)
        judging = at[found.runs(cell, judging=True)]
        steps = {name: step for name, step in found.at(cell).items() if name != "setting"}
        values = {name: metric[judging] for name, metric in metrics.items()}
        yield Ends(method(record), penalty, values, _different(record, judging), found.effort(), steps)


def _different(record: Record, runs: NDArray[np.intp]) -> int:
    """How many of some runs differ in φ − φ* or g − g* anywhere; many end in the same vertex of the box."""
    logged = record.history.loc[record.history["run"].isin(runs), ["run", "value_gap", "lower_gap"]]
    curves = [part.drop(columns="run").to_numpy(dtype=float).ravel() for _, part in logged.groupby("run")]
    return len({curve.tobytes() for curve in curves})


def touched(record: Record) -> list[Touched]:
    """The ranges of one record whose chosen step is one of their ends, at some penalty.

    Raises:
        InputError: a record that does not hold every pair of steps for every start.
    """
    return touched_by_any(record, [found for _, _, found in _searches(record)])


def summary(evidence: Evidence) -> pd.DataFrame:
    """A row per method and penalty: how many starts reach the optimum, and the range of each number over the starts."""
    rows = []
    for one in ends(evidence):
        row = {"method": one.label, "tried": one.effort.configurations, "starts": len(one.reached), **one.steps}
        row |= {"reached": float(one.reached.mean())}
        rows.append(row | {f"{n}_{e}": float(f(one.values[n])) for n in GAPS for e, f in _RANGE})
    return pd.DataFrame(rows)


_RANGE = (("min", np.min), ("max", np.max))


# Rules ---------------------------------------------------------------------------------------------------------------


def optimum_reached(evidence: Evidence) -> Outcome:
    """Whether every judging start of PBGD ends at optimal weights, at its largest γ."""
    found = ends(evidence)
    own = [one for one in found if one.own]
    if not own:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of PBGD")
    return _all_reach(own[-1:], found)


def implicit_reaches(evidence: Evidence) -> Outcome:
    """The same of every method that differentiates through the lower level."""
    found = ends(evidence)
    others = [one for one in found if not one.own]
    if not others:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of a method other than PBGD")
    return _all_reach(others, found)


def _all_reach(judged: Sequence[Ends], found: Sequence[Ends]) -> Outcome:
    shares = {one.label: float(one.reached.mean()) for one in found}
    worst = {one.label: float(one.values["value_gap"].max()) for one in judged}
    text = f"starts that reach the optimum: {', '.join(f'{v:.0%} ({name})' for name, v in shares.items())}; largest "
    text += f"φ − φ* of {', '.join(f'{name} {v:.2g}' for name, v in worst.items())}"
    numbers = {"reached": shares, "largest": worst}
    if not every(one.reached.all() for one in judged):
        return Outcome(NOT_REPRODUCED, text, numbers)
    if min(one.starts for one in judged) < STARTS:
        return Outcome(NOT_TESTABLE, f"{text}; fewer than {STARTS} different starts", numbers)
    return fairly(Outcome(REPRODUCED, text, numbers), {"hyper-cleaning": {one.label: one.effort for one in judged}})


def weights_tell(evidence: Evidence) -> Outcome:
    """Whether the weights of every judging start of PBGD, at its largest γ, tell clean from wrong."""
    own = [one for one in ends(evidence) if one.own]
    if not own:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of PBGD")
    auc = own[-1].values["cleaning_auc"]
    text = f"from {len(auc)} starts an AUC of {auc.min():.3f} to {auc.max():.3f} ({own[-1].label})"
    if not own[-1].reached.all() or not np.isfinite(auc).all() or own[-1].starts < STARTS:
        return Outcome(NOT_TESTABLE, f"{text}; not all at the optimum, or fewer than {STARTS} different starts")
    return Outcome(REPRODUCED if auc.min() >= TOLD else NOT_REPRODUCED, text, {"least": float(auc.min())})


def exponents(evidence: Evidence) -> dict[str, Fit | None]:
    """Exponents of γ in the gaps of f and of g over the judging starts; None where a gap is 0 or not defined."""
    own = [one for one in ends(evidence) if one.own and one.penalty >= LEAST_PENALTY]
    fits: dict[str, Fit | None] = dict.fromkeys(EXPONENTS)
    if len(own) < PENALTIES or min(one.starts for one in own) < STARTS:
        return fits
    for name in EXPONENTS:
        values = np.stack([np.abs(one.values[name]) for one in own], axis=1)
        if np.isfinite(values).all() and (values > 0).all():
            fits[name] = fit_power_law(np.array([one.penalty for one in own]), values)
    return fits


def role_of_penalty(evidence: Evidence) -> Outcome:
    """g − g* = O(γ^(−2)), that is γ = O(ε^(−1/2)), and |f − f*| = O(1/γ), by the intervals of both exponents."""
    fits = exponents(evidence)
    found = {name: fit for name, fit in fits.items() if fit is not None}
    if len(found) < len(EXPONENTS):
        return Outcome(
            NOT_TESTABLE, f"fewer than {PENALTIES} penalties or {STARTS} starts, or a gap that is 0 or not defined"
        )
    lower = found["lower_gap"]
    text = f"exponents of γ: {found['upper_gap'].said()} in |f − f*|, {lower.said()} in g − g*; "
    text += f"so γ = ε^({1 / lower.slope:.3f})".replace("(-", "(−")
    high = {name: fit.interval[1] if fit.interval else fit.slope for name, fit in found.items()}
    ok = every(high[name] <= wanted + OFF for name, wanted in EXPONENTS.items())
    return Outcome(CONSISTENT if ok else VIOLATED, text, {"exponents": {n: fit.slope for n, fit in found.items()}})


# Figures and tables --------------------------------------------------------------------------------------------------


def draw(evidence: Evidence) -> Drawn:
    """Gaps of PBGD against γ with their slopes, and every method's φ − φ* and AUC."""
    found, fits = ends(evidence), exponents(evidence)
    own = [one for one in found if one.own]
    figure, axes_ = style.panels(1, 3, 3.0)
    left, middle, right = axes_[0]
    labels = {"upper_gap": "|f − f*|", "lower_gap": "g − g*"}
    rows = []
    for i, (name, label) in enumerate(labels.items()):
        look, fit = style.of_place(i, 2), fits[name]
        if own:
            gamma = np.array([one.penalty for one in own])
            spans = np.array([np.quantile(np.abs(one.values[name]), [0, 0.5, 1], method="higher") for one in own])
            spans = np.where(np.isfinite(spans), spans, np.nan)
            left.fill_between(gamma, spans[:, 0], spans[:, 2], color=look["color"], alpha=0.2, linewidth=0)
            left.plot(gamma, spans[:, 1], label=label, **look)
        if fit is not None:
            low, high = fit.interval or (math.nan, math.nan)
            rows.append([name, fit.slope, low, high, EXPONENTS[name], fit.seeds])
    left.set(xscale="log", yscale="log", xlabel="γ", ylabel="gap at the end")
    if own:
        left.legend(loc="lower left")
    for panel, name, said in ((middle, "value_gap", "φ − φ*"), (right, "cleaning_auc", "AUC of the weights")):
        for place, one in enumerate(found):
            values = one.values[name]
            shown = np.maximum(values[np.isfinite(values)], 1e-12)
            look = methods.look(one.name) | {"linestyle": ""}
            panel.plot(np.full(len(shown), place), shown, **look)
        names = [f"{one.penalty:g}" if math.isfinite(one.penalty) else methods.label(one.name) for one in found]
        panel.set_xticks(range(len(found)), names, rotation=90)
        panel.set_ylabel(said)
    middle.set_yscale("log")
    middle.axhline(REACHED, color=style.GREY, linestyle=":")
    right.axhline(TOLD, color=style.GREY, linestyle=":")
    style.log_labels(left.yaxis, middle.yaxis)
    names = ["gap", "exponent", "interval_low", "interval_high", "claimed", "starts"]
    tables = {"weighted_cleaning": summary(evidence), "weighted_cleaning_exponents": pd.DataFrame(rows, columns=names)}
    return Drawn(figure, tables)


def _blocks(evidence: Evidence) -> Iterable[Block]:
    yield Heading(3, "Hyper-cleaning whose weights matter")
    header = ["method", "tried", "starts that reach the optimum", "φ − φ*, largest", "g − g*, largest", "AUC, least"]
    yield Table(
        header,
        [
            [row["method"], f"{row['tried']}", f"{row['reached']:.0%} of {row['starts']}"]
            + [f"{row[name]:.2g}" for name in ("value_gap_max", "lower_gap_max", "cleaning_auc_min")]
            for _, row in summary(evidence).iterrows()
        ],
    )


STUDY = Study(
    experiments=(EXPERIMENT,),
    kept=Kept(metrics=("value_gap", "lower_gap", "upper_gap", "cleaning_auc")),
    drawings=(
        Drawing(
            "weighted_cleaning",
            "Hyper-cleaning whose weights matter. Left: PBGD's gaps at the end against γ, median and range over the "
            "starts. Middle and right: φ − φ* at the weights that were found, and their AUC, a marker a start; numbers "
            "below are PBGD's γ, and dotted lines what counts as reached.",
            draw,
            title="Hyper-cleaning whose weights matter",
        ),
    ),
    claims=(
        Claim(
            "cleaning-global",
            "PBGD with a large γ reaches the global optimum of hyper-cleaning, from every start, where the solution "
            "depends on the weights.",
            Kind.PILOT,
            "abstract: convergence to the global minimum in data hyper-cleaning",
            optimum_reached,
        ),
        Claim(
            "cleaning-penalty",
            "Where the solution depends on the weights PBGD ends with g − g* = O(γ^(−2)), so that γ = O(ε^(−1/2)), and "
            "|f − f*| = O(1/γ), from every start.",
            Kind.PILOT,
            "its theorem on blockwise PL",
            role_of_penalty,
        ),
        Claim(
            "cleaning-weights",
            "The weights of the global optimum tell clean observations from wrong ones.",
            Kind.QUESTION,
            "whether what is optimal is also what cleans",
            weights_tell,
        ),
        Claim(
            "cleaning-implicit",
            "Where the lower level has one solution, methods that differentiate through it reach the same optimum, "
            "from every start.",
            Kind.QUESTION,
            "whether PBGD is needed where the lower level has one solution",
            implicit_reaches,
        ),
    ),
    blocks=_blocks,
    caveats=(
        "Every quantity is observed by itself, which makes the set of weighted means a box and the global optimum a "
        "convex problem. Where φ has no spurious stationary point, to reach it from everywhere is no surprise.",
    ),
    touched=touched,
)
