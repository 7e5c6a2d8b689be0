"""The rules: whether a larger p is slower, and whether its power law is flatter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from unibio.store.records import Record
from unibio.studies.common.curves import Array
from unibio.studies.common.envelopes import Power
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.soundness import unsound
from unibio.studies.common.statistics import no_higher
from unibio.studies.common.verdicts import (
    EXPONENTS,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    SAME,
    Outcome,
)
from unibio.studies.common.words import listed
from unibio.studies.hoelder_figures.measures import (
    FIRST,
    JUDGED,
    STEPS,
    first_averages,
    groups,
    power,
)


def _ready(evidence: Evidence, kind: str) -> tuple[dict[float, dict[int, Record]], str]:
    """The groups that are judged, and why they cannot be; "" where they can."""
    found = groups(evidence, JUDGED)
    if absent := [noise for noise, by_p in found.items() if not {*EXPONENTS} <= set(by_p)]:
        return found, f"not every p was run at noise {listed(absent)}"
    for by_p in found.values():
        for record in by_p.values():
            step = STEPS[kind](record)
            if broken := unsound([record], kept=partial(_at, step)):
                return found, f"{broken} (noise {record.config['problem']['noise']:g}, η = {step:.3g})"
    return found, "" if found else "no records of the judged dimension"


def _at(step: float, cell: Mapping[str, Any]) -> bool:
    return bool(np.isclose(cell["upper_step"], step))


def slower(kind: str) -> Callable[[Evidence], Outcome]:
    """Whether a larger p has the larger average over Figure 1's iterations, at equal or at tuned η, whatever the noise.

    From p to p by Welch's interval over the judging seeds, without noise by the numbers; and from the least p to the
    largest by more than ``SAME``.
    """

    def rule(evidence: Evidence) -> Outcome:
        found, why = _ready(evidence, kind)
        said, rising, numbers = [], [], {}
        for noise, by_p in found.items():
            samples = {p: first_averages(record, STEPS[kind](record)) for p, record in by_p.items()}
            means = {p: float(sample.mean()) for p, sample in samples.items()}
            numbers[f"noise {noise:g}"] = {p: {"average": means[p], "upper_step": STEPS[kind](by_p[p])} for p in by_p}
            said.append(f"{', '.join(f'{mean:.3g}' for mean in means.values())} (noise {noise:g})")
            pairs = itertools.pairwise(samples.values())
            ordered = [_below(a, b, noise > 0) for a, b in pairs]
            values = list(means.values())
            apart = values[-1] > (1 + SAME) * values[0]
            rising.append(-1 if values[-1] <= values[0] or -1 in ordered else int(apart and all(ordered)))
        text = (
            f"average of ‖∇φ‖ over the first {FIRST:.0%} of the iterations at {kind} η for p = {listed(EXPONENTS)}: "
            + "; ".join(said)
        )
        return _judged(Outcome(REPRODUCED, text, numbers), rising, why, "the seeds do not tell every p from the next")

    return rule


def _judged(confirmed: Outcome, rising: list[int], why: str, unclear: str) -> Outcome:
    """The outcome, unless the records tell nothing, or some noise says otherwise (−1) or leaves it open (0)."""
    if why:
        return replace(confirmed, verdict=NOT_TESTABLE, explanation=f"{confirmed.explanation}; {why}")
    if -1 in rising:
        return replace(confirmed, verdict=NOT_REPRODUCED)
    if 0 in rising:
        return replace(confirmed, verdict=NOT_TESTABLE, explanation=f"{confirmed.explanation}; {unclear}")
    return confirmed


def _below(a: Array, b: Array, random: bool) -> int:
    """1 where the first sample is lower, −1 where the second is, 0 where they are not told apart."""
    if not random:
        return int(np.sign(b.mean() - a.mean())) if np.isfinite([a.mean(), b.mean()]).all() else 0
    return 1 if no_higher(a, b, 0.0) == 1 else -int(no_higher(b, a, 0.0) == 1)


def flatter(kind: str) -> Callable[[Evidence], Outcome]:
    """Whether a larger p has the flatter power law over the last decade, at equal or at tuned η, whatever the noise.

    Slopes rise from p to p, and the intervals of the least and the largest p do not overlap.
    """

    def rule(evidence: Evidence) -> Outcome:
        found, why = _ready(evidence, kind)
        said, rising, numbers = [], [], {}
        for noise, by_p in found.items():
            fits = {p: power(record, kind) for p, record in by_p.items()}
            numbers[f"noise {noise:g}"] = {p: [fit.slope, fit.low, fit.high] for p, fit in fits.items()}
            said.append(f"{', '.join(f'{fit.slope:.3f}' for fit in fits.values())} (noise {noise:g})")
            rising.append(_rising(list(fits.values()), noise > 0))
        text = f"slopes over the last decade at {kind} η for p = {listed(EXPONENTS)}: {'; '.join(said)}"
        text = text.replace("-", "−")
        unclear = "intervals overlap, or slopes are not in the order of p"
        return _judged(Outcome(REPRODUCED, text, numbers), rising, why, unclear)

    return rule


def _rising(fits: list[Power], random: bool) -> int:
    """1 where slopes rise with p, −1 where the largest p's is no flatter than the least's, 0 where it is not told."""
    first, last = fits[0], fits[-1]
    if not all(math.isfinite(fit.slope) for fit in fits) or (random and not (first.known and last.known)):
        return 0
    exact = not (first.known and last.known)
    low, high = (last.slope, first.slope) if exact else (last.low, first.high)
    if last.slope <= first.slope:
        return -1
    ordered = all(b.slope > a.slope for a, b in itertools.pairwise(fits))
    return int(ordered and low > high and last.slope - first.slope > SAME * abs(first.slope))
