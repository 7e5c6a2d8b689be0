"""The rules that judge, on sentence pairs, what UniBiO's accuracy costs and whether its lead grows with p."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from unibio.studies.common import methods
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.nli.comparing import rivals
from unibio.studies.nli.groups import ACCURACY, EXPONENTS, OWN, PAPER_METHODS, Group
from unibio.studies.nli.pairing import could_be_seen, paired, rounded
from unibio.studies.nli.rules import Rule

#: Parts of the common budget at which accuracies are compared: a lead that is there at the end alone is no efficiency.
PARTS_OF_BUDGET = (0.25, 0.5, 1.0)
#: By how much a cost may be off: seconds are by the clock, of runs side by side.
OFF = {"oracle_calls": 1.0, "seconds": 1.5}
_UNITS = {"oracle_calls": "oracle calls", "seconds": "seconds"}


def at_cost(group: Group, cost: str, budget: float) -> pd.Series:
    """Test accuracy at a cost by seed, between logged places by interpolation; NaN in a diverged run.

    A cost beyond a run's own gives its last accuracy.
    """
    values = [
        float(np.interp(budget, history[cost].to_numpy(dtype=float), history[ACCURACY].to_numpy(dtype=float)))
        for history in group.histories
    ]
    return pd.Series(values, index=group.last.index, dtype=float).where(group.final().notna())


def common_budget(found: Sequence[Group], cost: str) -> float:
    """The least that any completed run of some groups cost; NaN where none completed."""
    costs = [
        float(history[cost].iloc[-1])
        for group in found
        for history, done in zip(group.histories, group.final().notna(), strict=True)
        if done
    ]
    return min(costs, default=math.nan)


def efficient(experiment: str, rate: float, p: int, among: Sequence[str], cost: str, own: Sequence[str] = OWN) -> Rule:
    """At equal costs UniBiO's better form is above every other method in test accuracy, and by its weights.

    Costs are ``PARTS_OF_BUDGET`` of the least that any compared run took. Above (below) is seed by seed, beyond an
    interval that holds for all methods and costs together, and still where the other had ``OFF`` times (a part of
    1/``OFF`` of) the cost.

    Args:
        experiment, rate, p, among, own: what is compared, as :func:`~unibio.studies.nli.comparing.rivals` takes them.
        cost: key of ``OFF``.
    """

    def rule(evidence: Evidence) -> Outcome:
        compared = rivals(evidence, experiment, rate, p, among, own)
        if isinstance(compared, Outcome):
            return compared
        mine, others, found, called, _ = compared
        whole = common_budget([mine, *others], cost)
        if not whole > 0:
            return Outcome(NOT_TESTABLE, "no compared run completed")
        said, numbers, above, below, seen = [], {}, [], [], []
        may_turn: list[str | None] = []
        looks = len(others) * len(PARTS_OF_BUDGET)
        for budget in (part * whole for part in PARTS_OF_BUDGET):
            reached = at_cost(mine, cost, budget)
            first = max(others, key=lambda other: _median(at_cost(other, cost, budget)))
            behind = [g for g in others if paired(reached, at_cost(g, cost, budget * OFF[cost]), looks).order > 0]
            ahead = [g for g in others if paired(reached, at_cost(g, cost, budget / OFF[cost]), looks).order < 0]
            equal = [paired(reached, at_cost(g, cost, budget), looks) for g in others]
            best = at_cost(first, cost, budget)
            said.append(
                f"at {budget:.3g} {_median(reached):.3f}, {_median(best):.3f} for {first.label}, seed by seed "
                f"{rounded(paired(reached, best, looks))}; beyond such intervals {len(behind)} of {len(others)} others "
                f"below it and {len(ahead)} above"
            )
            seen += equal
            numbers[f"{budget:.3g}"] = {g.label: _median(at_cost(g, cost, budget)) for g in found}
            above.append(len(behind) == len(others))
            below.append(bool(ahead))
            leads = {g.label: one.mean for g, one in zip(others, equal, strict=True)}
            may_turn.append(compared.unsettled(leads, [g.label for g in ahead]))
        text = f"median test accuracy of {called}, by {_UNITS[cost]}: {'; '.join(said)}; {could_be_seen(seen)}"
        if OFF[cost] > 1:
            text += f"; above and below also if the clock is off by a factor of {OFF[cost]:g}"
        if compared.elsewhere:
            return Outcome(NOT_TESTABLE, f"{text}; {compared.elsewhere}", numbers)
        if not all(below) and not all(above):
            return Outcome(NOT_TESTABLE, f"{text}; the seeds or the budget decide", numbers)
        if opened := next(filter(None, may_turn), None):
            return Outcome(NOT_TESTABLE, f"{text}; {opened}", numbers)
        if all(below):
            return Outcome(NOT_REPRODUCED, text, numbers)
        if not mine.separates():
            text += "; without separation this compares lower-level steps, not weighting"
            return Outcome(NOT_TESTABLE, text, numbers)
        return Outcome(REPRODUCED, text, numbers)

    return rule


def _median(values: pd.Series) -> float:
    """Of the completed runs; −inf where there is none."""
    return float(values.median()) if values.notna().any() else -math.inf


#: The exponents whose leads are compared, and the noise rate at which.
LOW, HIGH, RATE = 2, 4, 0.1


def lead_grows(evidence: Evidence) -> Outcome:
    """UniBiO's better form is above the paper's best other method at ``HIGH``, and by more than at ``LOW``.

    Both are chosen in validation; leads are seed by seed.
    """
    leads, own, said, elsewhere = {}, {}, [], None
    for p in (LOW, HIGH):
        compared = rivals(evidence, EXPONENTS, RATE, p, PAPER_METHODS)
        if isinstance(compared, Outcome):
            return compared
        mine, others, *_ = compared
        first = max(others, key=lambda group: group.middle("valid_accuracy"))
        leads[p], own[p] = mine.final() - first.final(), paired(mine.final(), first.final())
        if own[p].lost:  # the seeds that are left are not every seed
            return Outcome(NOT_TESTABLE, f"{mine.label} or {methods.label(first.method)} diverged at p = {p}")
        said.append(f"{rounded(own[p])} over {first.label} at p = {p}")
        elsewhere = elsewhere or compared.elsewhere
    grown = paired(leads[HIGH], leads[LOW])
    text = (
        "UniBiO's lead in test accuracy over the best other method in validation, mean over the seeds and its "
        f"interval: {'; '.join(said)}; by {rounded(grown)} larger at the higher; {could_be_seen([grown])}"
    )
    numbers = {"lead": {p: one.numbers for p, one in own.items()}, "grown": grown.numbers}
    if elsewhere:
        return Outcome(NOT_TESTABLE, f"{text}; {elsewhere}", numbers)
    if own[HIGH].order < 0:
        return Outcome(NOT_REPRODUCED, f"{text}; there is no lead at p = {HIGH}", numbers)
    if grown.order < 0:
        return Outcome(NOT_REPRODUCED, text, numbers)
    if grown.order == 0 or own[HIGH].order <= 0:
        return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell", numbers)
    return Outcome(REPRODUCED, text, numbers)
