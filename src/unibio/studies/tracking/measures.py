"""How far y is from y*(x) along runs that follow a schedule, and along those off it in one point, as records tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common.curves import Array, final
from unibio.studies.common.evidence import Evidence, dimension, exponent
from unibio.studies.common.rates import Fit, fit_sweep

SHARP, PAPER = "tracking", "tracking_paper"
NAMES = {PAPER: "Theorem 5.1's schedule", SHARP: "the sharp schedule"}
#: p. At the first one both schedules are the same, and its records are the sharp one's.
EXPONENTS = (2, 4, 6)
#: d, of which the first is judged; the other stands beside, under the sharp schedule.
DIMENSIONS = (4, 1)
JUDGED = DIMENSIONS[0]

FOLLOWED = "the schedule"
#: {name in the configuration: what a figure calls it}.
TWINS = {"stale": "y never refreshed", "one epoch": "one epoch", "long period": "I = 1/(2η)"}
SERIES = (FOLLOWED, *TWINS.values())

_HIT = "iterations_to lower_margin<"


@dataclass(frozen=True)
class Tracked:
    """Runs for one accuracy.

    Attributes:
        record: of them.
        epsilon: ε.
        iterations, calls: T and the oracle calls of a run.
        most: (seeds,) the least level c with ‖y_t − y*(x_t)‖ ≤ cε for all t; inf beyond the levels and where a run
            diverged.
        error, bias: (seeds,) means over all iterates of ‖y − y*(x)‖ and of the hypergradient's bias at y; inf where a
            run diverged.
    """

    record: Record
    epsilon: float
    iterations: int
    calls: int
    most: Array
    error: Array
    bias: Array

    def within(self, factor: float) -> int:
        """Runs all of whose iterates are within ``factor``·ε."""
        return int((self.most <= factor * (1 + 1e-9)).sum())


Found = dict[str, list[Tracked]]


def series(evidence: Evidence, experiment: str, d: int, p: int) -> Found:
    """{the schedule or a twin: its runs, ε ascending}, in the order of ``SERIES``; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run, or at p = 2 the sharp schedule's.
    """
    return evidence.once(_all, SHARP if p == EXPONENTS[0] else experiment).get((d, p), {})


def _all(evidence: Evidence, experiment: str) -> dict[tuple[int, int], Found]:
    found: dict[tuple[int, int], Found] = {}
    for one in sorted(map(tracked, evidence.require(experiment)), key=lambda one: one.epsilon):
        by_name = found.setdefault((dimension(one.record), exponent(one.record)), {})
        by_name.setdefault(TWINS.get(str(one.record.config["paper"]["twin"]), FOLLOWED), []).append(one)
    return {key: {name: by_name[name] for name in SERIES if name in by_name} for key, by_name in found.items()}


def tracked(record: Record) -> Tracked:
    """What a record says.

    Raises:
        InputError: it has no first hits of ``lower_margin``.
    """
    epsilon = float(record.config["problem"]["accuracy"])
    margin = final(record, "lower_margin_mean")
    known = np.isfinite(margin)  # a margin that is undefined is below no target
    hits = levels(record.runs)
    beyond = np.stack([record.runs[name].notna().to_numpy() for name in hits.values()], axis=1)
    count = beyond.sum(axis=1)
    most = np.append(np.array(list(hits)), np.inf)[count]
    return Tracked(
        record,
        epsilon,
        int(record.history["iteration"].max()),
        int(record.history["oracle_calls"].max()),
        np.where(known, most, np.inf),
        np.where(known, epsilon * (1 - margin), np.inf),
        final(record, "hypergradient_bias_mean"),
    )


def levels(runs: Mapping[str, object]) -> dict[float, str]:
    """{level c: the column of the first iterate beyond cε}, ascending.

    Raises:
        InputError: there is none.
    """
    found = {1 - float(name.removeprefix(_HIT)): name for name in runs if name.startswith(_HIT)}
    if not found:
        raise InputError("records of tracking need targets of lower_margin")
    return dict(sorted(found.items()))


def fit(found: list[Tracked]) -> Fit:
    """The power of ε in the mean bias.

    Raises:
        InputError: fewer than three accuracies, or runs that diverged.
    """
    return fit_sweep([one.epsilon for one in found], [one.bias for one in found])


def growth(found: list[Tracked]) -> Fit:
    """The power of T in the bias added up over the iterates of a run.

    Raises:
        InputError: as :func:`fit`.
    """
    longer = found[::-1]
    return fit_sweep([one.iterations for one in longer], [one.iterations * one.bias for one in longer])
