"""What the reader of the page may move in its first figure: η for each p, and the cap on η for a comparison.

Whatever a slider shows was run: it stops at the steps in the records, and nothing lies between two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unibio.quantiles import quartiles
from unibio.store.records import Record
from unibio.studies.common import style
from unibio.studies.common.curves import Curves, values_of
from unibio.studies.common.labels import norm_label
from unibio.studies.common.traced import numbers

#: Points of a curve, of which there are hundreds.
POINTS = 90
#: Smallest part of the largest median that the vertical axes show.
DEPTH = 2e-3


@dataclass(frozen=True)
class Steps:
    """A problem whose curves can be seen at every η that each p was run with.

    Attributes:
        title: of the problem.
        about: a sentence for the reader.
        records: {noise: {p: record}}; what is not there at every noise is left out.
        shown: of a record, a noise, an η and a metric the curves of the seeds that are shown.
        own: what the steps are called that each p has for itself.
        own_step: such a step of a record; None where it has none.
        part: of the iterations that is shown.
        equal: the one η for every p to begin with, the nearest that was run; None begins with each p's own.
    """

    title: str
    about: str
    records: Mapping[float, Mapping[int, Record]]
    shown: Callable[[Record, float, float, str], Curves]
    own: str
    own_step: Callable[[Record], float | None]
    part: float = 1.0
    equal: float | None = None

    def data(self, noises: Sequence[float]) -> dict[str, Any]:
        """For the page's script.

        Args:
            noises: some of the keys of ``records``.

        Returns:
            ``title``, axes ``x`` and ``y``, ``own``, ``equal`` (whether all start with one), ``same`` (its place) and
            ``groups``, one a p: ``name``, ``colour``, ``values`` of η, by noise the place of its ``own`` among them,
            and ``curves`` by noise and by η (``x``, ``y``, ``low``, ``high``, ``average``).

        Raises:
            InputError: a record has several curves at one η, or none of the metric.
        """
        some = next(iter(self.records[noises[0]].values()))
        last = int(some.config["steps"]) * self.part
        exponents = sorted(set.intersection(*(set(self.records[noise]) for noise in noises)))
        groups = [self._group(p, noises, last) for p in exponents]
        every = [curve for group in groups for by_step in group["curves"] for curve in by_step]
        known = [value for curve in every for value in curve["y"] if value is not None and value > 0]
        top = max(known, default=1.0)
        low = max(min(known, default=0.1), DEPTH * top)
        steps = groups[0]["values"]
        return {
            "title": self.title,
            "x": {"label": "iteration t", "log": False, "range": [0, max(curve["x"][-1] for curve in every)]},
            "y": {"label": norm_label(some), "log": True, "range": [low, 1.4 * top]},
            "own": self.own,
            "equal": self.equal is not None,
            "same": nearest(steps, self.equal or max(steps)),
            "groups": groups,
        }

    def _group(self, p: int, noises: Sequence[float], last: float) -> dict[str, Any]:
        found = [self.records[noise][p] for noise in noises]
        steps = sorted(set.intersection(*(set(values_of([record], "upper_step")) for record in found)))
        return {
            "name": f"p = {p}",
            "colour": style.of_exponent(p)["color"],
            "values": [float(f"{step:.3g}") for step in steps],
            "own": [nearest(steps, self.own_step(record)) for record in found],
            "curves": [
                [self._curve(record, noise, step, last) for step in steps]
                for noise, record in zip(noises, found, strict=True)
            ],
        }

    def _curve(self, record: Record, noise: float, step: float, last: float) -> dict[str, Any]:
        """Median and quartiles up to an iteration, and the average until then, its median over the seeds."""
        one = self.shown(record, noise, step, "hypergradient_norm")
        inside = np.flatnonzero(one.iterations <= last)
        keep = inside[np.unique(np.linspace(0, len(inside) - 1, min(POINTS, len(inside))).astype(int))]
        low, middle, high = (numbers(band[keep]) for band in quartiles(one.values))
        means = self.shown(record, noise, step, "hypergradient_norm_mean").values[:, inside[-1:]]
        average = numbers(quartiles(means)[1])[0]
        found = {"x": numbers(one.iterations[keep], 6), "y": middle, "average": average}
        return found if low == high else found | {"low": low, "high": high}


@dataclass(frozen=True)
class Caps:
    """A comparison of methods, each at its best steps among those up to a cap on η.

    Attributes:
        about: a sentence for the reader.
        caps: ascending.
        start: the cap to begin with, the nearest there is.
        groups: {its name: methods}, of each ``name``, ``colour``, and by cap ``criterion`` (inf where every run
            diverges) and ``rank``.
    """

    about: str
    caps: Sequence[float]
    start: float
    groups: Mapping[str, Sequence[Mapping[str, Any]]]

    def data(self) -> dict[str, Any]:
        """For the page's script: ``caps``, the place of the ``start``, and ``groups``; None where nothing is finite."""
        groups = [
            {"name": name, "methods": [dict(one) | {"criterion": numbers(one["criterion"])} for one in methods]}
            for name, methods in self.groups.items()
        ]
        caps = [float(f"{cap:.3g}") for cap in self.caps]
        return {"caps": caps, "start": nearest(self.caps, self.start), "groups": groups}


def nearest(values: Sequence[float], wanted: float | None) -> int | None:
    """The place of the positive value that a wanted one is the smallest factor away from; None for None."""
    return None if wanted is None else int(np.argmin(np.abs(np.log(np.array(values) / wanted))))
