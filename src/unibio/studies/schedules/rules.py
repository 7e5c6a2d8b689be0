"""When a schedule is said to reach ε, and η to be free."""

from __future__ import annotations

import math

import numpy as np

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common.comparisons import every
from unibio.studies.common.evidence import Evidence, dimension, exponent
from unibio.studies.common.rates import Fit, student
from unibio.studies.common.soundness import MOST, sound
from unibio.studies.common.verdicts import CONSISTENT, NOT_TESTABLE, VIOLATED, Outcome
from unibio.studies.common.words import finite, listed
from unibio.studies.schedules.measures import FOLLOWED, JUDGED, SERIES, STEP, epsilon_of, fit, norms_by_step, series

#: What falls like ε has this slope of log reached on log ε or a larger one: 1, less what a finite range leaves of it.
ENOUGH = 0.85
#: Fewer accuracies, or less of a range of oracle calls, tell nothing.
LEAST_PLACES, LEAST_CALLS = 4, 100.0
#: Norms reached within this factor of the least are the same.
MARGIN = 1.5


def falls(one: Fit) -> int:
    """Whether what is reached falls at least like ε (1), does not (−1), or the seeds leave it open (0).

    The slope's interval over the seeds and the slope of their mean both have to say so; a single seed says nothing.
    """
    if one.interval is None:
        return 0
    low, high = one.interval
    return int(min(low, one.of_mean) >= ENOUGH) - int(max(high, one.of_mean) < ENOUGH)


def reaches(evidence: Evidence, experiment: str, p: int) -> Outcome:
    """Whether a schedule reaches ε at one p where every twin is seen to fail."""
    found = series(evidence, experiment, JUDGED, p)
    if absent := [name for name in SERIES if name not in found]:
        return Outcome(NOT_TESTABLE, f"at p = {p}, d = {JUDGED} there are no runs of: {', '.join(absent)}")
    own = found[FOLLOWED]
    if len(own) < LEAST_PLACES or own[0].calls < LEAST_CALLS * own[-1].calls:
        text = f"{len(own)} accuracies from {own[-1].calls:,.0f} to {own[0].calls:,.0f} oracle calls are no range"
        return Outcome(NOT_TESTABLE, text)
    try:
        fits = {name: fit(points) for name, points in found.items()}
    except InputError as error:
        return Outcome(NOT_TESTABLE, f"not every run reaches anything: {error}")
    text = (
        f"for ε = {own[-1].epsilon:.2g} … {own[0].epsilon:.2g} the mean of ‖∇φ‖ falls like ε^a with a = "
        + ", ".join(f"{_slope(one)} ({name})" for name, one in fits.items())
    )
    numbers = {
        name: {"slope": one.slope, "interval": _finite(one), "of_mean": one.of_mean} for name, one in fits.items()
    }
    if falls(fits[FOLLOWED]) < 0:
        return Outcome(VIOLATED, text, numbers)
    if passing := [name for name in SERIES if name != FOLLOWED and falls(fits[name]) >= 0]:
        return Outcome(NOT_TESTABLE, f"{text}; not seen to fail off the schedule: {', '.join(passing)}", numbers)
    if falls(fits[FOLLOWED]) == 0:
        return Outcome(NOT_TESTABLE, f"{text}; the seeds leave it open", numbers)
    if broken := _unsound(evidence, experiment, p):
        return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
    return Outcome(CONSISTENT, text, numbers)


def _slope(one: Fit) -> str:
    low, high = one.interval or (math.nan, math.nan)
    said = f"{one.slope:.2f}" + (f" [{low:.2f}, {high:.2f}]" if one.interval else " [no interval]")
    return said.replace("-", "−")


def _finite(one: Fit) -> list[float | None]:
    return [finite(end) for end in one.interval or (math.nan, math.nan)]


def _unsound(evidence: Evidence, experiment: str, p: int) -> str:
    """Why runs of the schedule at its least ε are of no working method, as a clause; "" where they are."""
    records = [
        record
        for record in evidence.require(experiment)
        if (dimension(record), exponent(record), record.config["paper"]["twin"]) == (JUDGED, p, "none")
    ]
    last = min(records, key=epsilon_of)
    own = last.runs["momentum"].to_numpy(dtype=float) > 0
    return "" if sound(last)[own].mean() >= MOST else "φ does not fall, or y does not follow y*(x)"


def step_is_free(evidence: Evidence) -> Outcome:
    """Whether norms reached agree within ``MARGIN`` for q from p + 1 to 3p − 3, and not at q = p."""
    found, p = norms_by_step(evidence), exponent(evidence.require(STEP)[0])
    if absent := [q for q in (p, p + 1, 3 * p - 3) if q not in found]:
        return Outcome(NOT_TESTABLE, f"η ∝ ε^q was not run for q = {listed(absent)}")
    means = {q: float(one.norms.mean()) for q, one in found.items()}
    text = f"at p = {p} and one total of calls η ∝ ε^q reaches " + ", ".join(
        f"{v:.3g} (q = {q:g})" for q, v in means.items()
    )
    numbers = {f"q = {q:g}": finite(mean) for q, mean in means.items()}
    claimed = [q for q in found if p + 1 <= q <= 3 * p - 3]
    if not every(np.isfinite(found[q].norms).all() and (found[q].norms > 0).all() for q in [p, *claimed]):
        return Outcome(NOT_TESTABLE, f"{text}; runs diverged", numbers)
    if not all((sound(record).mean() >= MOST) for record in evidence.require(STEP) if _power(record) in claimed):
        return Outcome(NOT_TESTABLE, f"{text}; φ does not fall, or y does not follow y*(x)", numbers)
    least = min(claimed, key=means.__getitem__)
    more = {q: student(np.log(found[q].norms / found[least].norms)) for q in [p, *claimed] if q != least}
    if not all(more.values()):
        return Outcome(NOT_TESTABLE, f"{text}; a single seed, or seeds that are all alike", numbers)
    ends = {q: (math.exp(end[0]), math.exp(end[1])) for q, end in more.items() if end is not None}
    if any(ends[q][0] > MARGIN for q in claimed if q != least):
        return Outcome(VIOLATED, text, numbers)
    if not all(ends[q][1] <= MARGIN for q in claimed if q != least):
        return Outcome(NOT_TESTABLE, f"{text}; the seeds leave it open", numbers)
    if ends[p][0] <= MARGIN:
        return Outcome(NOT_TESTABLE, f"{text}; at q = {p}, where it must not hold, it is not seen to fail", numbers)
    return Outcome(CONSISTENT, text, numbers)


def _power(record: Record) -> float:
    return float(record.config["paper"]["power"])
