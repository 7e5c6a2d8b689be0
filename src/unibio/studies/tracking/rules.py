"""When y is said to follow y*(x) for all t, and the bias of the hypergradient to add up to less than T."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaincinv

from unibio.errors import InputError
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.rates import Fit
from unibio.studies.common.soundness import MOST, sound
from unibio.studies.common.verdicts import CONSISTENT, NOT_TESTABLE, VIOLATED, Outcome
from unibio.studies.common.words import finite, listed
from unibio.studies.tracking.measures import (
    EXPONENTS,
    FOLLOWED,
    JUDGED,
    SERIES,
    Found,
    Tracked,
    fit,
    growth,
    series,
)

#: C of ‖y_t − y*(x_t)‖ ≤ Cε: one for every p, ε and schedule.
FACTOR = 4.0
#: 1 − δ, the least share of runs that have to be within Cε for all t; and the confidence of what is said of it.
SHARE, CONFIDENCE = 0.9, 0.95
#: What falls like ε has this slope of log bias on log ε or a larger one, as in the study schedules.
ENOUGH = 0.85
#: Fewer accuracies, or less of a range of oracle calls, tell nothing.
LEAST_PLACES, LEAST_CALLS = 4, 100.0


def share(within: int, runs: int) -> tuple[float, float]:
    """Clopper and Pearson's ends of a probability, each with ``CONFIDENCE``, from so many runs of so many."""
    low = 0.0 if within == 0 else float(betaincinv(within, runs - within + 1, 1 - CONFIDENCE))
    high = 1.0 if within == runs else float(betaincinv(within + 1, runs - within, CONFIDENCE))
    return low, high


def kept(one: Tracked) -> int:
    """Whether at least ``SHARE`` of the runs is within Cε for all t (1), is not (−1), or the seeds leave it open."""
    low, high = share(one.within(FACTOR), len(one.most))
    return int(low >= SHARE) - int(high < SHARE)


def falls(one: Fit) -> int:
    """Whether the bias falls at least like ε (1), does not (−1), or the seeds leave it open (0)."""
    if one.interval is None:
        return 0
    low, high = one.interval
    return int(min(low, one.of_mean) >= ENOUGH) - int(max(high, one.of_mean) < ENOUGH)


def stays(evidence: Evidence, experiment: str) -> Outcome:
    """Whether y stays within Cε of y*(x) at every ε, where every twin is seen not to at the least."""
    found = {p: series(evidence, experiment, JUDGED, p) for p in EXPONENTS}
    if why := _why_not(found):
        return Outcome(NOT_TESTABLE, why)
    own = {p: [kept(one) for one in by_name[FOLLOWED]] for p, by_name in found.items()}
    text = f"runs within {FACTOR:g}ε for all t: " + "; ".join(
        f"p = {p}, ε = {by_name[FOLLOWED][-1].epsilon:.2g} … {by_name[FOLLOWED][0].epsilon:.2g}: "
        f"{_counts(by_name[FOLLOWED])}; at the least ε "
        + ", ".join(f"{_count(points[0])} ({name})" for name, points in by_name.items() if name != FOLLOWED)
        for p, by_name in found.items()
    )
    numbers = {
        f"p = {p}": {
            name: {f"{one.epsilon:.4g}": [one.within(FACTOR), len(one.most)] for one in points}
            for name, points in by_name.items()
        }
        for p, by_name in found.items()
    }
    everyone = [one for by_name in found.values() for points in by_name.values() for one in points]
    if not all(np.isfinite(one.error).all() for one in everyone):
        return Outcome(NOT_TESTABLE, f"{text}; runs diverged", numbers)
    if any(sign < 0 for signs in own.values() for sign in signs):
        return Outcome(VIOLATED, text, numbers)
    passing = {
        p: [name for name in SERIES if name != FOLLOWED and kept(by_name[name][0]) >= 0] for p, by_name in found.items()
    }
    if any(passing.values()):
        return Outcome(NOT_TESTABLE, f"{text}; not seen to leave {FACTOR:g}ε: {_named(passing)}", numbers)
    if not all(sign > 0 for signs in own.values() for sign in signs):
        return Outcome(NOT_TESTABLE, f"{text}; the seeds leave it open", numbers)
    if broken := _unsound(found):
        return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
    return Outcome(CONSISTENT, text, numbers)


def adds_up(evidence: Evidence, experiment: str) -> Outcome:
    """Whether the mean bias over the iterates falls at least like ε, where every twin's is seen not to."""
    found = {p: series(evidence, experiment, JUDGED, p) for p in EXPONENTS}
    if why := _why_not(found):
        return Outcome(NOT_TESTABLE, why)
    try:
        fits = {p: {name: fit(points) for name, points in by_name.items()} for p, by_name in found.items()}
        powers = {p: growth(by_name[FOLLOWED]) for p, by_name in found.items()}
    except InputError as error:
        return Outcome(NOT_TESTABLE, f"not every run has a bias: {error}")
    text = "the mean bias falls like ε^a with a = " + "; ".join(
        ", ".join(f"{_slope(one)} ({name})" for name, one in by_name.items())
        + f" at p = {p}, where it adds up to T^{powers[p].slope:.2f}"
        for p, by_name in fits.items()
    )
    numbers = {
        f"p = {p}": {
            name: {"slope": one.slope, "interval": _ends(one), "of_mean": one.of_mean} for name, one in by_name.items()
        }
        | {"power of T": powers[p].slope}
        for p, by_name in fits.items()
    }
    if any(falls(by_name[FOLLOWED]) < 0 for by_name in fits.values()):
        return Outcome(VIOLATED, text, numbers)
    passing = {
        p: [name for name in SERIES if name != FOLLOWED and falls(by_name[name]) >= 0] for p, by_name in fits.items()
    }
    if any(passing.values()):
        return Outcome(NOT_TESTABLE, f"{text}; not seen to fail off the schedule: {_named(passing)}", numbers)
    if not all(falls(by_name[FOLLOWED]) > 0 for by_name in fits.values()):
        return Outcome(NOT_TESTABLE, f"{text}; the seeds leave it open", numbers)
    if broken := _unsound(found):
        return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
    return Outcome(CONSISTENT, text, numbers)


def _why_not(found: dict[int, Found]) -> str:
    """Why there is nothing to judge; "" where there is."""
    for p, by_name in found.items():
        if absent := [name for name in SERIES if name not in by_name]:
            return f"at p = {p}, d = {JUDGED} there are no runs of: {', '.join(absent)}"
        own = by_name[FOLLOWED]
        if len(own) < LEAST_PLACES or own[0].calls < LEAST_CALLS * own[-1].calls:
            return (
                f"at p = {p} {len(own)} accuracies from {own[-1].calls:,} to {own[0].calls:,} oracle calls are no range"
            )
    return ""


def _unsound(found: dict[int, Found]) -> str:
    """Of which p the schedule's runs at the least ε are of no working method, as a clause; "" where all are."""
    bad = [p for p, by_name in found.items() if sound(by_name[FOLLOWED][0].record).mean() < MOST]
    return f"φ does not fall, or y does not follow y*(x), at p = {listed(bad)}" if bad else ""


def _count(one: Tracked) -> str:
    return f"{one.within(FACTOR)} of {len(one.most)}"


def _counts(points: list[Tracked]) -> str:
    """Those at every ε, from the least on."""
    return f"{', '.join(str(one.within(FACTOR)) for one in points)} of {len(points[0].most)}"


def _named(passing: dict[int, list[str]]) -> str:
    return "; ".join(f"{', '.join(names)} (p = {p})" for p, names in passing.items() if names)


def _slope(one: Fit) -> str:
    low, high = one.interval or (math.nan, math.nan)
    said = f"{one.slope:.2f}" + (f" [{low:.2f}, {high:.2f}]" if one.interval else " [no interval]")
    return said.replace("-", "−")


def _ends(one: Fit) -> list[float | None]:
    return [finite(end) for end in one.interval or (math.nan, math.nan)]
