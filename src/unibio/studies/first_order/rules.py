"""The rules that judge first-order methods under uniform convexity."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from unibio.studies.common import methods
from unibio.studies.common.comparisons import every
from unibio.studies.common.effort import Effort, fairly
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import EXPONENTS, NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.common.words import by_p, calls, finite, listed
from unibio.studies.first_order.measures import (
    EXAMPLE3,
    FIRST_ORDER,
    JUDGING,
    REGRESSION,
    SECOND_ORDER,
    UNAFFECTED,
    Regressed,
    example3,
    regressions,
    tried,
)


def crosses(name: str) -> Callable[[Evidence], Outcome]:
    """Whether a method settles with small steps for every p > 2; p = 2, without a singular point, is the control."""

    def rule(evidence: Evidence) -> Outcome:
        table = example3(evidence)
        own = table[table["method"] == name].set_index("p")
        if not set(EXPONENTS) <= set(own.index):
            return Outcome(NOT_RUN, f"{EXAMPLE3} needs records of {methods.label(name)} for p = {listed(EXPONENTS)}")
        shown = ", ".join(f"{calls(own['calls_small'][p])} (p = {p})" for p in EXPONENTS)
        free = ", ".join(calls(own["calls"][p]) for p in EXPONENTS)
        text = f"oracle calls at the best small steps: {shown}; with any step: {free}"
        numbers = {key: by_p(own[key]) for key in ("calls_small", "calls")}
        if not np.isfinite(own["calls_small"][2]):
            return Outcome(NOT_TESTABLE, f"{text}; not even at p = 2", numbers)
        return Outcome(REPRODUCED if every(np.isfinite(own["calls_small"])) else NOT_REPRODUCED, text, numbers)

    return rule


def unaffected(evidence: Evidence) -> Outcome:
    """Whether calls with small steps grow at most by ``UNAFFECTED`` from p = 2 to 8, for every first-order method.

    Not testable where one does not get there at p = 2 either: it may be broken, and has no ratio.
    """
    table = example3(evidence)
    wide = table.pivot(index="method", columns="p", values="calls_small")
    if not set(EXPONENTS) <= set(wide.columns):
        return Outcome(NOT_RUN, f"{EXAMPLE3} needs records for p = {listed(EXPONENTS)}")
    compared = [name for name in FIRST_ORDER if name != "f3sa"]  # which is F²SA without noise
    if absent := [name for name in compared if name not in wide.index or wide.loc[name].isna().any()]:
        names = ", ".join(map(methods.label, absent))
        return Outcome(NOT_RUN, f"{EXAMPLE3} needs records of {names} for p = {listed(EXPONENTS)}")
    ratio = (wide[8] / wide[2]).where(np.isfinite(wide[2]))
    own, others = ratio[compared], ratio[[name for name in SECOND_ORDER if name in ratio.index]].dropna()
    said = (
        ", ".join(f"{methods.label(name)} {f'{v:.2g}' if math.isfinite(v) else 'never'}" for name, v in kind.items())
        for kind in (own, others)
    )
    text = f"calls at p = 8 over those at p = 2, with small steps: {'; beside them '.join(said)}"
    numbers = {methods.label(str(name)): finite(v) for name, v in ratio.items()}
    given = tried(evidence)
    if (own > UNAFFECTED).any():
        return fairly(Outcome(NOT_REPRODUCED, text, numbers), given)
    if lost := [methods.label(name) for name in compared if math.isnan(own[name])]:
        return Outcome(NOT_TESTABLE, f"{text}; not even at p = 2: {', '.join(lost)}", numbers)
    return fairly(Outcome(REPRODUCED if every(own <= UNAFFECTED) else NOT_REPRODUCED, text, numbers), given)


def lower_than_second_order(evidence: Evidence) -> Outcome:
    """Whether for every p some first-order method ends lower on ℓ_p-regression than all methods with the Hessian.

    Lower means that all its judging seeds end lower than all of the other's.
    """
    found = regressions(evidence)
    said, states, numbers, open_ = [], [], {}, []
    for p in EXPONENTS:
        here = sorted((one for one in found if one.exponent == p and np.isfinite(one.middle)), key=_middle)
        first, second = ([one for one in here if one.method in kind] for kind in (FIRST_ORDER, SECOND_ORDER))
        if not first or not second:
            return Outcome(NOT_RUN, f"{REGRESSION} needs methods of both kinds for p = {p}")
        a, b = first[0], second[0]
        states.append(-1 if a.values.max() < b.values.min() else (1 if a.values.min() > b.values.max() else 0))
        behind, leader = (first, b) if states[-1] == 1 else (second, a)
        if states[-1] and any(one.edges and one.middle - leader.middle <= one.last_gain for one in behind):
            open_.append(p)
        said.append(
            f"p = {p}: {a.middle:.4f} ({methods.label(a.method)}) against {b.middle:.4f} ({methods.label(b.method)})"
        )
        numbers[f"p = {p}"] = {methods.label(one.method): one.middle for one in here}
    text = f"lowest φ of a first-order method against the lowest of the others: {'; '.join(said)}"
    if open_:
        text += f"; ranges that end too early may turn the order round at p = {listed(open_)}"
    decided = [state for state, p in zip(states, EXPONENTS, strict=True) if p not in open_]
    verdict = NOT_REPRODUCED if 1 in decided else NOT_TESTABLE if open_ or 0 in states else REPRODUCED
    given: dict[str, dict[str, Effort]] = {}
    for one in found:
        given.setdefault(f"p = {one.exponent}", {})[methods.label(one.method)] = one.effort
    return fairly(Outcome(verdict, text, numbers), given, JUDGING)


def _middle(one: Regressed) -> float:
    return one.middle
