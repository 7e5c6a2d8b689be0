"""What runs that follow a schedule reach, and those off it in one point, as the study reads it from records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unibio.store.records import Record
from unibio.studies.common.curves import Array, curves, final
from unibio.studies.common.evidence import Evidence, dimension, exponent
from unibio.studies.common.rates import Fit, fit_sweep

SHARP, PAPER, STEP = "schedules", "schedules_paper", "schedules_step"
NAMES = {PAPER: "Theorem 5.1's schedule", SHARP: "the sharp schedule"}
METRIC = "hypergradient_norm_mean"
#: p. At the first one both schedules are the same, and its records are the sharp one's.
EXPONENTS = (2, 4, 6)
#: d, of which the first is judged. In one dimension a normalised step sees a sign only; it stands beside.
DIMENSIONS = (4, 1)
JUDGED = DIMENSIONS[0]

FOLLOWED, NO_MOMENTUM = "the schedule", "β = 0"
#: {name in the configuration: what a figure calls it}, without that which stands in the grid.
TWINS = {"stale": "y never refreshed", "one epoch": "one epoch", "long step": "η = 1 − β"}
SERIES = (FOLLOWED, NO_MOMENTUM, *TWINS.values())


@dataclass(frozen=True)
class Reached:
    """What runs reach at one accuracy.

    Attributes:
        epsilon: ε.
        calls: oracle calls of a run.
        norms: (seeds,) mean of ‖∇φ(x_t)‖ over the iterations; inf where a run diverged.
    """

    epsilon: float
    calls: float
    norms: Array


Found = dict[str, list[Reached]]


def series(evidence: Evidence, experiment: str, d: int, p: int) -> Found:
    """{the schedule or a twin: what is reached, ε ascending}, in the order of ``SERIES``; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run.
    """
    return evidence.once(_all, experiment).get((d, p), {})


def _all(evidence: Evidence, experiment: str) -> dict[tuple[int, int], Found]:
    found: dict[tuple[int, int], Found] = {}
    for record in sorted(evidence.require(experiment), key=epsilon_of):
        by_name = found.setdefault((dimension(record), exponent(record)), {})
        for one in curves(record, METRIC):
            by_name.setdefault(_name(record, one.cell), []).append(
                Reached(epsilon_of(record), float(one.calls[-1]), one.values[:, -1])
            )
    return {key: {name: by_name[name] for name in SERIES if name in by_name} for key, by_name in found.items()}


def epsilon_of(record: Record) -> float:
    return float(record.config["paper"]["epsilon"])


def _name(record: Record, cell: Mapping[str, Any]) -> str:
    if cell.get("momentum") == 0:
        return NO_MOMENTUM
    return TWINS.get(str(record.config["paper"]["twin"]), FOLLOWED)


def fit(found: list[Reached]) -> Fit:
    """The power of ε in what is reached.

    Raises:
        InputError: fewer than three accuracies, or runs that diverged.
    """
    return fit_sweep([one.epsilon for one in found], [one.norms for one in found])


def norms_by_step(evidence: Evidence) -> dict[float, Reached]:
    """{q: what η ∝ ε^q reaches at one total of oracle calls}, ascending; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run.
    """
    return evidence.once(_by_step)


def _by_step(evidence: Evidence) -> dict[float, Reached]:
    found = {}
    for record in evidence.require(STEP):
        (one,) = curves(record, METRIC)
        found[float(record.config["paper"]["power"])] = Reached(
            float(record.config["schedule"]["epsilon"]), float(one.calls[-1]), final(record, METRIC)
        )
    return dict(sorted(found.items()))
