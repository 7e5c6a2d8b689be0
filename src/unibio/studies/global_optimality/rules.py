"""The rules that judge claims about global optimality."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from unibio.errors import InputError
from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array
from unibio.studies.common.effort import Effort, fairly
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.rates import fit_power_law
from unibio.studies.common.verdicts import (
    CONSISTENT,
    NOT_REPRODUCED,
    NOT_RUN,
    NOT_TESTABLE,
    REPRODUCED,
    VIOLATED,
    Outcome,
)
from unibio.studies.global_optimality.measures import (
    EXPERIMENT,
    EXPONENTS,
    LEAST_PENALTY,
    LEVELS,
    OFF,
    PROBLEMS,
    SLOWER,
    STARTS,
    WORSE,
    Descents,
    descents,
    penalty_exponents,
)

#: Why no verdict on linear hyper-cleaning rests on PBGD's gaps: see the broken twins in the tests.
WHY = (
    "it is no test: the penalty alone pulls W to where f is least, so that PBGD whose weights never move, or move the "
    "wrong way, comes as near. A problem whose weights matter could judge it"
)


def from_every_start(evidence: Evidence) -> Outcome:
    """Joint PBGD that follows the lower level closely reaches the optimum of representation learning, at every γ.

    From ``STARTS`` different starts at least: "every" is said of several.
    """
    found = [one for one in descents(evidence, "representation") if one.close]
    if not found:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of PBGD on representation learning")
    shares = {one.label: float(one.reached.mean()) for one in found}
    worst = {one.label: float(np.abs(one.upper[:, -1]).max()) for one in found}
    others = [one for one in descents(evidence, "representation") if not one.close]
    text = f"from {len(found[0].upper)} starts: " + ", ".join(f"{v:.0%} ({name})" for name, v in shares.items())
    text += f"; largest gap of f {max(worst.values()):.2g}; beside it " + ", ".join(
        f"{one.reached.mean():.0%} ({one.label})" for one in others
    )
    ok = every(share == 1 for share in shares.values())
    numbers = {"reached": shares | {o.label: float(o.reached.mean()) for o in others}}
    if ok and min(one.starts for one in found) < STARTS:
        return Outcome(NOT_TESTABLE, f"{text}; fewer than {STARTS} different starts", numbers)
    return fairly(Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers), _efforts(found))


def log_curve(evidence: Evidence) -> Outcome:
    """Whether later decades of the gap take at most ``SLOWER`` times the iterations of the first, at every γ.

    Not testable where some γ does not get below the last level, or a start lies below the first.
    """
    a, b, c = LEVELS
    ratios: dict[str, float] = {}
    lowest: dict[str, float] = {}
    close = [one for one in descents(evidence, "representation") if one.close]
    for one in close:
        total = np.maximum(np.abs(one.upper), one.lower).max(axis=0)  # the slowest start
        lowest[one.label] = float(total.min())
        times = [_first_below(one.t, total, level) for level in (a, b, c)]
        if np.isfinite(times).all() and total[0] > a and times[0] < times[1]:
            ratios[one.label] = (times[2] - times[1]) / max(times[1] - times[0], 1.0)
    if absent := [one.label for one in close if one.label not in ratios] or not close:
        which = ", ".join(absent) if isinstance(absent, list) else "PBGD, of which there are none,"
        text = f"on representation learning not all runs of {which} go from above {a:g} to below {c:g}"
        return Outcome(NOT_TESTABLE, text, {"lowest gap": lowest})
    text = f"iterations from a gap of {b:g} to {c:g} over those from {a:g} to {b:g}, slowest start: " + ", ".join(
        f"{v:.2f} ({name})" for name, v in ratios.items()
    )
    verdict = CONSISTENT if max(ratios.values()) <= SLOWER else VIOLATED
    return fairly(Outcome(verdict, text, {"ratio": ratios, "lowest gap": lowest}), _efforts(close))


def _first_below(t: Array, values: Array, level: float) -> float:
    below = np.flatnonzero(values <= level)
    return float(t[below[0]]) if len(below) else math.inf


def role_of_penalty(evidence: Evidence) -> Outcome:
    """g − g* = O(γ^{−2}), that is γ = O(ε^{−1/2}), and the gap of f is O(1/γ), from every start.

    Violated where it is not so, and never more than "not testable" where it is (``WHY``).
    """
    close = [one for one in descents(evidence, "linear_cleaning") if one.close]
    starts = [one.starts for one in close]
    table = penalty_exponents(evidence)
    table = table[table["penalty"] >= LEAST_PENALTY] if len(table) else table
    if len(table) < 3:
        text = f"{len(table)} penalties of at least {LEAST_PENALTY:g} are too few for an exponent"
        return Outcome(NOT_TESTABLE, text)
    if min(starts) < STARTS:
        return Outcome(NOT_TESTABLE, f"fewer than {STARTS} different starts")
    try:  # of the worst start: what holds for it holds for every one
        fits = {name: fit_power_law(table["penalty"], table[f"{name}_max"]) for name in EXPONENTS}
    except InputError as error:
        return Outcome(NOT_TESTABLE, str(error))
    last = table.iloc[-1]
    numbers = {name: fit.slope for name, fit in fits.items()} | {"largest_penalty": last.to_dict()}
    text = (
        f"for γ from {table['penalty'].min():.3g} to {last['penalty']:.3g} the worst start's gap of f falls like "
        f"γ^{fits['upper'].slope:.2f} and g − g* like γ^{fits['lower'].slope:.2f}; at the largest γ |f − f*| is "
        f"{last['upper_min']:.3g} to {last['upper_max']:.3g} over the starts, g − g* {last['lower']:.2g}"
    )
    steep = every(fits[name].slope <= wanted + OFF for name, wanted in EXPONENTS.items())
    verdict = NOT_TESTABLE if steep else VIOLATED
    return fairly(Outcome(verdict, f"{text}; {WHY}" if steep else text, numbers), _efforts(close))


def implicit_gradients_fail(evidence: Evidence) -> Outcome:
    """On linear hyper-cleaning StocBiO and SOBA stay away from the optimum from which PBGD is O(1/γ), from all starts.

    The lower level has many solutions; a method that differentiates through one of them ends wherever it started. Never
    more than "not testable" where it is so (``WHY``).
    """
    found = descents(evidence, "linear_cleaning")
    own = [one for one in found if one.close]
    others = [one for one in found if not one.close]
    if not own or not others:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs PBGD and another method on linear hyper-cleaning")
    if not every(np.isfinite(one.upper[:, -1]).all() for one in found):
        return Outcome(NOT_TESTABLE, "runs diverged, and to diverge is not to stay away")
    if min(one.starts for one in found) < STARTS:
        return Outcome(NOT_TESTABLE, f"fewer than {STARTS} different starts")
    best = float(np.abs(own[-1].upper[:, -1]).max())
    least = {one.label: float(np.abs(one.upper[:, -1]).min()) for one in others}
    text = f"largest |f − f*| of {own[-1].label}: {best:.3g}; least of " + ", ".join(
        f"{name}: {v:.3g}" for name, v in least.items()
    )
    ok = every(v > best for v in least.values())
    open_ = [one.label for one in others if one.edges and 0 < least[one.label] - best <= one.last_gain]
    text += f"; wider ranges of steps may turn this round: {', '.join(open_)}" if ok and open_ else ""
    verdict = NOT_TESTABLE if ok else NOT_REPRODUCED
    numbers = {"pbgd": best, "others": least}
    return fairly(Outcome(verdict, f"{text}; {WHY}" if ok else text, numbers), _efforts([own[-1], *others]))


def spurious(evidence: Evidence) -> Outcome:
    """Some, not all, of the starts end in the worse well, with PBGD and with exact implicit gradients alike.

    Not testable where runs diverged or come to rest in more places than two: they are in no well then.
    """
    found = descents(evidence, "double_well")
    if not found:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of the double well")
    shares = {one.label: float((one.upper[:, -1] > WORSE).mean()) for one in found}
    text = f"share of {len(found[0].upper)} starts that end in the worse well: " + ", ".join(
        f"{v:.0%} ({name})" for name, v in shares.items()
    )
    if min(one.starts for one in found) < STARTS:
        return Outcome(NOT_TESTABLE, f"{text}; fewer than {STARTS} different starts", {"share": shares})
    if not every(np.isfinite(one.upper[:, -1]).all() for one in found):
        return Outcome(NOT_TESTABLE, f"{text}; runs diverged", {"share": shares})
    if scattered := [one.label for one in found if _scattered(one.upper[:, -1])]:
        return Outcome(NOT_TESTABLE, f"{text}; in no well: {', '.join(scattered)}", {"share": shares})
    verdict = REPRODUCED if every(0 < v < 1 for v in shares.values()) else NOT_REPRODUCED
    return fairly(Outcome(verdict, text, {"share": shares}), _efforts(found))


def _efforts(found: Sequence[Descents]) -> dict[str, dict[str, Effort]]:
    """What each of them was given, by problem."""
    given: dict[str, dict[str, Effort]] = {}
    for one in found:
        given.setdefault(PROBLEMS[one.problem], {})[one.label] = one.effort
    return given


def _scattered(ends: Array) -> bool:
    """Whether gaps at the end lie in more than two places: those above ``WORSE``, or those below, far from each other.

    Near is within half of ``WORSE``, where penalties and unfinished descents end.
    """
    groups = [ends[ends > WORSE], ends[ends <= WORSE]]
    return any(len(group) > 1 and float(np.ptp(group)) > WORSE / 2 for group in groups)
