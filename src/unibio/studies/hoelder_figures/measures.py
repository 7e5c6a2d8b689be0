"""What is measured of the Hölder problem's runs: averages and power laws, at an equal and at a tuned η."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from unibio.store.records import Record
from unibio.studies.common.curves import Array, Curves, curves, values_of
from unibio.studies.common.envelopes import Family, Power, costs, family
from unibio.studies.common.evidence import Evidence, dimension, exponent
from unibio.studies.common.rates import fit_power_law

EXPERIMENT = "hoelder_figures"
#: The dimension that is judged; the other stands beside it.
JUDGED = 4
#: The η at which every p is compared: the searched one that is nearest. The paper's 0.03 times √4.
EQUAL_STEP = 0.06
#: Figure 1 shows the first quarter of the iterations, 500; Figure 5 all of them, and fits the last decade.
FIRST, DECADE = 0.25, 10.0


def groups(evidence: Evidence, d: int) -> dict[float, dict[int, Record]]:
    """{noise: {p: record}} in one dimension, both ascending.

    Raises:
        MissingRecordsError: the experiment was not run.
    """
    found: dict[float, dict[int, Record]] = {}
    for record in evidence.require(EXPERIMENT):
        if dimension(record) == d:
            found.setdefault(float(record.config["problem"]["noise"]), {})[exponent(record)] = record
    return dict(sorted(found.items()))


def searched(record: Record) -> Family:
    """Every η of a record against iterations, over the last decade and from there back to Figure 1's end and before."""
    last = int(record.config["steps"])
    return family([record], costs(min(last / DECADE, FIRST * last), last), iterations=True)


def equal_step(record: Record) -> float:
    """The searched η nearest to ``EQUAL_STEP``."""
    return min(values_of([record], "upper_step"), key=lambda step: abs(math.log(step / EQUAL_STEP)))


def tuned_step(record: Record) -> float:
    """The η that half of the seeds choose for Figure 1: of the least average over its iterations."""
    return float(searched(record).at(FIRST * record.config["steps"])["upper_step"])


STEPS: dict[str, Callable[[Record], float]] = {"equal": equal_step, "tuned": tuned_step}


def shown(record: Record, step: float, metric: str = "hypergradient_norm") -> Curves:
    """The judging seeds' curves at one η."""
    (one,) = curves(record, metric, upper_step=step)
    seeds = len(one.values)
    return Curves(one.exponent, one.cell, one.iterations, one.calls, one.values[max(1, seeds // 2) % seeds :])


def first_averages(record: Record, step: float) -> Array:
    """(judging seeds,) the average of the norm over Figure 1's iterations."""
    one = shown(record, step, "hypergradient_norm_mean")
    return one.values[:, int(np.searchsorted(one.iterations, FIRST * record.config["steps"]))]


def power(record: Record, kind: str) -> Power:
    """The power law over the last decade: of the envelope over all η, or of the judging seeds at the equal one.

    Without noise seeds are alike, and at one η there is no interval.
    """
    last = int(record.config["steps"])
    if kind == "tuned":
        return family([record], costs(last / DECADE, last), iterations=True).power
    one = shown(record, equal_step(record), "hypergradient_norm_mean")
    if not np.isfinite(one.values).all():
        return Power(math.nan, math.nan, math.nan)
    fit = fit_power_law(one.iterations, one.values, last / DECADE)
    return Power(fit.slope, *(fit.interval or (math.nan, math.nan)))


def averages(record: Record, kind: str) -> tuple[Array, Array]:
    """(n,) iterations and the average so far, mean over the judging seeds; "tuned": at the best η for each t."""
    last = int(record.config["steps"])
    if kind == "tuned":
        every = family([record], costs(max(1.0, last / 200), last), iterations=True)
        return every.cost, every.envelope
    one = shown(record, equal_step(record), "hypergradient_norm_mean")
    inside = one.iterations >= max(1.0, last / 200)
    return one.iterations[inside], one.values[:, inside].mean(axis=0)
