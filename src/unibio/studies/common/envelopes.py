"""The least that searched settings reach for what they cost, and the power of it: a tuned complexity.

Runs of one problem and one method at many settings, each with the same seeds, are a :class:`Family`. For every cost
(oracle calls or iterations) the setting whose mean over some of the seeds is least is chosen, and judged by its mean
over the others: *the envelope*. Read from the other side it is the least cost at which the mean over seeds is ε, over
all settings, confirmed on fresh seeds: ε ∝ cost^slope means a cost ∝ ε^{−a} with a = −1/slope.

Its points share simulations, and its settings are chosen, so that a regression's standard error is far too small. The
intervals are of a bootstrap over both kinds of randomness: choosing seeds, judging seeds and the searched settings are
drawn with replacement, each kind by itself, the whole envelope and its slope anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.errors import InputError
from unibio.quantiles import HUGE, worst
from unibio.store.records import Record
from unibio.studies.common.curves import Array, by_cell, cell_names, cells
from unibio.studies.common.evidence import axes, column

#: Bootstrap samples, and the confidence of their percentile intervals.
SAMPLES, LEVEL = 200, 0.95
#: A slope above minus this is of rounding.
FLAT = 1e-6
#: What tells the records of a family apart: settings of UniBiO that are no axes.
SETTINGS = ("period", "inner_budget")
#: Costs a decade at which an envelope is computed.
DENSITY = 12


@dataclass(frozen=True, eq=False)
class Family:
    """Runs of several settings, the same seeds for each.

    Attributes:
        settings: (settings, ·) what each of them is.
        cost: (n,) ascending.
        values: (settings, seeds, n) the metric at that cost, inf where a run has diverged or has not come so far.
        choosing: how many of the seeds choose, the first; the others judge. All do both where there is one.
    """

    settings: pd.DataFrame
    cost: Array
    values: Array
    choosing: int

    @property
    def choosers(self) -> NDArray[np.intp]:
        """The seeds that choose."""
        return np.arange(self.choosing)

    @property
    def judges(self) -> NDArray[np.intp]:
        """The seeds that judge: those that do not choose, if there are any."""
        return np.arange(self.choosing % self.values.shape[1], self.values.shape[1])

    @property
    def split(self) -> bool:
        """Whether others judge than choose."""
        return self.choosing < self.values.shape[1]

    def choice(self, rows: NDArray[np.intp] | None = None, choosers: NDArray[np.intp] | None = None) -> Array:
        """(n,) the index of the best setting at every cost, among some settings and by some seeds."""
        rows = np.arange(len(self.values)) if rows is None else rows
        means = self.values[np.ix_(rows, self.choosers if choosers is None else choosers)].mean(axis=1)
        found: Array = rows[means.argmin(axis=0)]
        return found

    def least(self, chosen: Array, judges: NDArray[np.intp] | None = None) -> Array:
        """(n,) the mean over the judging seeds of the settings that are chosen at every cost."""
        judges = self.judges if judges is None else judges
        found: Array = self.values[chosen, :, np.arange(len(self.cost))][:, judges].mean(axis=1)
        return found

    @cached_property
    def envelope(self) -> Array:
        """(n,) see the module; inf where nothing has come so far."""
        return self.least(self.choice())

    def at(self, cost: float) -> pd.Series:
        """The settings that are chosen at the largest cost up to this one."""
        place = max(0, int(np.searchsorted(self.cost, cost * (1 + 1e-9), side="right")) - 1)
        return self.settings.iloc[int(self.choice()[place])]

    def since(self, cost: float) -> Family:
        """The same from a cost on."""
        later = self.cost >= cost * (1 - 1e-9)
        return replace(self, cost=self.cost[later], values=self.values[:, :, later])

    @cached_property
    def power(self) -> Power:
        """The power law of the envelope over all of its costs, with its bootstrap interval."""
        rng, slopes = np.random.default_rng(0), []
        for _ in range(SAMPLES):
            rows, seeds, judges = (
                rng.choice(one, len(one)) for one in (np.arange(len(self.values)), self.choosers, self.judges)
            )
            slopes.append(_slope(self.cost, self.least(self.choice(rows, seeds), judges)))
        slope, finite = _slope(self.cost, self.envelope), np.isfinite(slopes)
        ends = (math.nan, math.nan)
        if self.split and finite.mean() > LEVEL:
            tail = (1 - LEVEL) / 2
            ends = (float(np.nanquantile(slopes, tail)), float(np.nanquantile(slopes, 1 - tail)))
        return Power(slope, *ends)


@dataclass(frozen=True)
class Power:
    """ε ∝ cost^slope, with the ends of the slope's bootstrap interval; NaN where there is none.

    ``exponent``, with its interval, is a of cost ∝ ε^{−a}; inf where ε does not fall.
    """

    slope: float
    low: float
    high: float

    @property
    def exponent(self) -> float:
        """a."""
        return _exponent(self.slope)

    @property
    def interval(self) -> tuple[float, float]:
        """Of a; NaN where there is none."""
        return _exponent(self.low), _exponent(self.high)

    @property
    def known(self) -> bool:
        """Whether slope and interval are finite."""
        return all(map(math.isfinite, (self.slope, self.low, self.high)))

    def said(self) -> str:
        """ "3.02 (2.81 to 3.20)"."""
        low, high = self.interval
        return f"{self.exponent:.2f} ({low:.2f} to {high:.2f})" if self.known else f"{self.exponent:.2f} (no interval)"


def _exponent(slope: float) -> float:
    return slope if math.isnan(slope) else (-1 / slope if slope < -FLAT else math.inf)


def _slope(cost: Array, values: Array) -> float:
    """Of log value on log cost, every decade counting the same; NaN where a value is not positive and finite."""
    if len(cost) < 3 or not (np.isfinite(values) & (values > 0)).all():
        return math.nan
    return float(np.polyfit(np.log(cost), np.log(values), 1)[0])


def costs(low: float, high: float) -> Array:
    """Costs from one to another, ``DENSITY`` a decade."""
    return np.geomspace(low, high, max(3, round(DENSITY * math.log10(high / low)) + 1))


def family(
    records: Iterable[Record],
    cost: Sequence[float] | Array,
    *,
    metric: str = "hypergradient_norm_mean",
    iterations: bool = False,
    kept: Callable[[Mapping[str, Any]], bool] = lambda cell: True,
    choosing: Callable[[int], int] = lambda seeds: max(1, seeds // 2),
) -> Family:
    """The family of some records' cells.

    Args:
        records: whose configurations differ in what is searched; at least one.
        cost: (n,) ascending and positive, at which the metric is read, between logged rows on log–log axes.
        metric: a column of the history.
        iterations: whether the cost is counted in iterations, not in oracle calls.
        kept: which cells belong to it.
        choosing: from the number of seeds to how many of them choose.

    Raises:
        InputError: no cell, cells with different numbers of seeds, or a history without the metric.
    """
    cost, settings, values = np.asarray(cost, dtype=float), [], []
    for record in records:
        own = {name: record.config["algorithm"].get(name) for name in SETTINGS}
        table, read = cells(record), _read(record, metric, "iteration" if iterations else "oracle_calls", cost)
        for cell, group in by_cell(table, cell_names(record)):
            if kept(cell):
                settings.append(own | cell)
                values.append(read[group.index.to_numpy()])
    if not values:
        raise InputError("there are no runs to choose among")
    if len({len(one) for one in values}) > 1:
        raise InputError("settings were tried with different numbers of seeds")
    return Family(pd.DataFrame(settings), cost, np.stack(values), choosing(len(values[0])))


def runs_at_best(records: Iterable[Record], one: Family) -> Iterator[tuple[Record, NDArray[np.bool_]]]:
    """The records and which of their runs, of the setting that is chosen at the largest cost of their family."""
    best = one.at(one.cost[-1])
    for record in records:
        settings = record.config["algorithm"]
        if all(name not in settings or settings[name] == best[name] for name in SETTINGS):
            same = [np.isclose(record.runs[axis].to_numpy(dtype=float), best[axis]) for axis in axes(record)]
            yield record, np.logical_and.reduce([np.ones(len(record.runs), dtype=bool), *same])


def _read(record: Record, metric: str, by: str, cost: Array) -> Array:
    """(runs, n) a metric at some costs, straight between logged ones on log–log axes; inf beyond a run's last.

    Run by run: with random lengths runs of one job spend differently.
    """
    history, found = record.history, np.full((len(record.runs), len(cost)), np.inf)
    runs = history["run"].to_numpy()
    at, values = history[by].to_numpy(dtype=float), worst(column(record, metric))
    starts = np.flatnonzero(np.concatenate([[True], runs[1:] != runs[:-1]]))
    for rows in np.split(np.arange(len(runs)), starts[1:]):
        rows = rows[at[rows] > 0]
        if len(rows):
            y = np.log(np.clip(values[rows], 1 / HUGE, HUGE))
            inside = (cost <= at[rows[-1]] * (1 + 1e-9)) & (cost >= at[rows[0]] * (1 - 1e-9))
            found[runs[rows[0]], inside] = np.exp(np.interp(np.log(cost[inside]), np.log(at[rows]), y))
    return np.where(found < HUGE**0.5, found, np.inf)
