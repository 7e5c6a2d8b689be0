"""The coordinate-wise problem: what the estimator, the inner budget K and the Neumann step c do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.store.thinning import Kept
from unibio.studies.common import methods, soundness, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every, finals
from unibio.studies.common.curves import values_of
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, MissingRecordsError, exponent, setting
from unibio.studies.common.kinds import Kind
from unibio.studies.common.labels import noise_title
from unibio.studies.common.readings import BOTH, LOWER, Reading
from unibio.studies.common.soundness import unsound
from unibio.studies.common.study import Study, no_curves
from unibio.studies.common.verdicts import EXPONENTS, NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, SAME, Outcome
from unibio.studies.common.words import by_p, finite, listed, span

EXPERIMENT = "coordinatewise_sensitivity"
METRIC = "hypergradient_norm_mean"
#: The noises of the generalised second derivatives.
SECOND = ("hessian_noise", "cross_noise")


@dataclass(frozen=True)
class Condition:
    """Which noise the compared runs have.

    Attributes:
        reading: on the gradients.
        second: whether the generalised second derivatives have some, too, both of them; else none has.
    """

    reading: Reading
    second: bool = False

    @property
    def suffix(self) -> str:
        """Of claims' names."""
        return self.reading.suffix.replace("_", "-") + "-second" * self.second

    @property
    def where(self) -> str:
        """For sentences: "noise on …"."""
        return self.reading.where + " and on the generalised second derivatives" * self.second

    def holds(self, cell: Mapping[str, Any]) -> bool:
        """Whether a cell's noises belong to this condition."""
        return self.reading.holds(cell) and all((cell.get(name, 0.0) > 0) == self.second for name in SECOND)

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table of cells."""
        cells = table.filter(["noise", "upper_noise", *SECOND]).to_dict("records")
        return table[np.array([self.holds({str(k): v for k, v in cell.items()}) for cell in cells], dtype=bool)]


CONDITIONS = (Condition(BOTH), Condition(LOWER), Condition(BOTH, second=True))


def _ends(evidence: Evidence, condition: Condition) -> pd.DataFrame:
    """Final averaged norm under one condition, by cell: p, noise, inner_budget, neumann_step, estimator; median, q25,
    q75.

    Raises:
        MissingRecordsError: no records, or none with the condition's noise.
        InputError: some combination of these is not there, of which a comparison would not know.
    """
    ends = condition.of(finals(evidence.require(EXPERIMENT), METRIC))
    if ends.empty or ends["noise"].max() == 0:
        what = f"{EXPERIMENT}, noise on {condition.where}"
        raise MissingRecordsError(what, evidence.command(EXPERIMENT), evidence.root)
    ends = ends.assign(estimator=ends.get("estimator", "generalised"))
    if len(ends) != len(ends[_AXES].drop_duplicates()) or len(ends) != ends[_AXES].nunique().prod():
        raise InputError(f"{EXPERIMENT} needs every combination of {', '.join(_AXES)} once")
    return ends


_AXES = ["p", "noise", "inner_budget", "neumann_step", "estimator"]


def _unsound(evidence: Evidence, condition: Condition) -> str:
    """Whether the method works at all where it is given most: the generalised estimator, the largest K."""
    found = [one for one in evidence.require(EXPERIMENT) if setting(one, "estimator") in (None, "generalised")]
    most = max(int(setting(record, "inner_budget")) for record in found)
    largest = (record for record in found if int(setting(record, "inner_budget")) == most)
    return unsound(largest, kept=condition.holds)


def budget_matters(evidence: Evidence, condition: Condition) -> Outcome:
    """Coordinate-wise: whether K and the Neumann step change the final averaged norm by more than 5%, for some p.

    By more than the seeds do: the lower quartile of the worst setting must lie above the upper quartile of the best.
    Not so where medians differ by less throughout; where they differ by more within the spread, nothing is told.
    """
    ends = _ends(evidence, condition)
    ends = ends[ends["estimator"] == "generalised"]
    spread, apart = {}, {}
    for (noise, p), cells in ends.groupby(["noise", "p"]):
        best, worst = cells.loc[cells["median"].idxmin()], cells.loc[cells["median"].idxmax()]
        key = f"p = {p}, noise {noise:g}"
        spread[key] = float(worst["median"] / best["median"] - 1)
        apart[key] = bool(worst["q25"] > best["q75"])
    text = (
        f"over K = {listed(sorted(ends['inner_budget'].unique()))} and Neumann steps "
        f"{listed(sorted(ends['neumann_step'].unique()))} the final averaged norm varies by "
        f"{span(min(spread.values()), max(spread.values()), '.1%')}"
    )
    numbers = {"spread": {key: finite(value) for key, value in spread.items()}, "beyond_the_quartiles": apart}
    if not every(np.isfinite(ends["median"])):
        return Outcome(NOT_TESTABLE, f"{text}; runs diverged", numbers)
    if broken := _unsound(evidence, condition):
        return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
    if any(value > SAME and apart[key] for key, value in spread.items()):
        return Outcome(REPRODUCED, text, numbers)
    if every(value <= SAME for value in spread.values()):
        return Outcome(NOT_REPRODUCED, text, numbers)
    return Outcome(NOT_TESTABLE, f"{text}, within the spread of the seeds", numbers)


def estimator_matters(evidence: Evidence, condition: Condition) -> Outcome:
    """Coordinate-wise: the classical Neumann sum against the generalised one, each at the better of its steps c.

    Judged by the median over noise levels and K of the ratio of final averaged norms, for every p > 2, where in most
    cells the lower quartile over the seeds must lie above the other's upper one, too; p = 2, where the two are one
    formula, is the control and must show no difference.
    """
    ends = _ends(evidence, condition)
    if not {"generalised", "classical"} <= set(ends["estimator"]):
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of both estimators")
    if absent := sorted({*EXPONENTS} - {*ends["p"]}):
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records for p = {listed(absent)}")
    cells = ["p", "noise", "inner_budget", "estimator"]
    best = ends.loc[ends.groupby(cells)["median"].idxmin()].set_index(cells).unstack()
    ratio = best["median", "classical"] / best["median", "generalised"]
    apart = best["q25", "classical"] > best["q75", "generalised"]
    found = ratio.groupby("p").agg(["median", "min", "max"])
    spans = [f"{r['median']:.3f} ({span(r['min'], r['max'], '.3f')}) at p = {p}" for p, r in found.iterrows()]
    text = "final averaged norm with the classical over that with the generalised estimator, median (range) over noise "
    text += f"and K: {', '.join(spans)}"
    numbers: dict[str, Any] = {"ratio": {str(p): r.to_dict() for p, r in found.iterrows()}}
    numbers["beyond_the_quartiles"] = by_p(apart.groupby("p").mean())
    if not every(np.isfinite(best["median"])):
        return Outcome(NOT_TESTABLE, f"{text}; an estimator diverges at both of its steps", numbers)
    if broken := _unsound(evidence, condition):
        return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
    control = bool(abs(found["median"][2] - 1) <= SAME)
    larger = found.index > 2
    worse = every(found["median"][larger] > 1 + SAME) and every(apart.groupby("p").mean()[larger] > 0.5)
    return Outcome(REPRODUCED if control and worse else NOT_REPRODUCED, text, numbers)


def draw(evidence: Evidence) -> Drawn:
    """Final averaged norm against K: one column an exponent, one row a noise, one line an estimator and step c.

    Median and interquartile bars over the seeds.
    """
    found = evidence.require(EXPERIMENT)
    table = finals(found, METRIC)
    table = table.assign(**{n: default for n, default in _DEFAULTS.items() if n not in table})
    noises, exponents = _rows(table), sorted({*map(exponent, found)})
    steps = values_of(found, "neumann_step")
    estimators = [name for name in ("generalised", "classical") if (table["estimator"] == name).any()]
    kinds = [(estimator, step) for estimator in estimators for step in steps]
    looks = {(estimator, step): _look(estimator, steps.index(step)) for estimator, step in kinds}
    figure, axes = style.panels(len(noises), len(exponents), 2.2 * len(noises) + 0.6, sharex=True, sharey=True)
    for row, levels in zip(axes, noises, strict=True):
        of_row = table[np.isclose(table[list(_NOISES)].astype(float), levels).all(axis=1)]
        for panel, p in zip(row, exponents, strict=True):
            here = of_row[of_row["p"] == p]
            for order, (estimator, step) in enumerate(kinds):
                cell = here[(here["estimator"] == estimator) & np.isclose(here["neumann_step"], step)]
                cell = cell.sort_values("inner_budget")
                shifted = cell["inner_budget"] * 1.08 ** (order - (len(kinds) - 1) / 2)  # or the bars would coincide
                bars = np.abs(cell[["q25", "q75"]].to_numpy().T - cell["median"].to_numpy())
                panel.errorbar(shifted, cell["median"], yerr=bars, capsize=2, **looks[estimator, step])
            panel.set_xscale("log")
            panel.set_xticks(sorted(table["inner_budget"].unique()))
            panel.set_xticklabels([f"{v:g}" for v in sorted(table["inner_budget"].unique())])
            panel.minorticks_off()
        title = noise_title(found[0], *levels[:3]).replace(", ", ",\n")
        row[0].set_ylabel(f"{title}\nmean of ‖∇φ‖")
    for panel, p in zip(axes[0], exponents, strict=True):
        panel.set_title(f"p = {p}", loc="left")
    finite = table["median"][np.isfinite(table["median"])]
    if len(finite):
        axes[0, 0].set_ylim(0.9 * finite.min(), 1.1 * finite.max())  # closer up, a few per cent look like a lot
    for panel in axes[-1]:
        panel.set_xlabel("inner budget K")
    handles = [style.handle(f"{estimator}, c = {step:g}", **looks[estimator, step]) for estimator, step in kinds]
    style.legend_above(figure, handles, min(len(kinds), 3) if len(kinds) != 4 else 4)
    return Drawn(figure, {"coordinatewise_sensitivity": table})


_NOISES = ("noise", "upper_noise", *SECOND)
_DEFAULTS = {"estimator": "generalised", "upper_noise": 0.0, **dict.fromkeys(SECOND, 0.0)}


def _rows(table: pd.DataFrame) -> list[tuple[float, ...]]:
    """The noises of the figure's rows: none, then the largest of every condition; the table has all others, too."""
    rows = []
    for condition in CONDITIONS:
        here = condition.of(table)
        levels = sorted({tuple(map(float, row)) for row in here[list(_NOISES)].to_numpy()})
        rows += [level for level in levels if (not any(level)) or level == levels[-1]]
    return list(dict.fromkeys(rows))


def _look(estimator: str, i: int) -> dict[str, Any]:
    """UniBiO's own look with its own estimator; with the classical one pale and open. Lines and markers say c."""
    look = methods.look("unibio") | {"linestyle": style.LINES[i % 4], "marker": "*XPs"[i % 4]}
    if estimator == "generalised":
        return look
    return look | {"color": style.of_place(1, 2)["color"], "markerfacecolor": "white", "zorder": 2}


def _estimator_claim(condition: Condition) -> Claim:
    return Claim(
        f"generalised-estimator-10d{condition.suffix}",
        "For p > 2 the generalised hypergradient estimator is needed: with the classical Neumann sum of the same "
        f"length UniBiO does worse, with noise on {condition.where}.",
        Kind.EXTENSION,
        "Section 1 and Theorem 4.1, whether runs in 10 dimensions show it",
        partial(estimator_matters, condition=condition),
        exponents=EXPONENTS,
    )


def _budget_claim(condition: Condition) -> Claim:
    return Claim(
        f"budget-and-step-10d{condition.suffix}",
        "On the coordinate-wise problem the inner budget K and the Neumann step change how well UniBiO does, with "
        f"noise on {condition.where}.",
        Kind.QUESTION,
        "a reason to repeat Figure 1 in 10 dimensions",
        partial(budget_matters, condition=condition),
        exponents=EXPONENTS,
    )


STUDY = Study(
    experiments=(EXPERIMENT,),
    shown=no_curves,
    kept=Kept(metrics=(METRIC, *soundness.LATE, *soundness.FINAL)),
    drawings=(
        Drawing(
            "coordinatewise_sensitivity",
            "What the estimator, the inner budget K and the Neumann step c do on the coordinate-wise problem.",
            draw,
            title="What the estimator, the inner budget and the Neumann step do",
        ),
    ),
    claims=tuple(claim(condition) for claim in (_estimator_claim, _budget_claim) for condition in CONDITIONS),
)
