"""Whether a searched range of steps was wide enough, and what to search instead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.studies.common.curves import Array

#: A tied region that runs this many decades up to an end of the axis has levelled off there.
LEVELLED_OFF_DECADES = 2.0
#: What a range gains at an end that is touched.
DECADES = 2.0
#: Steps a decade of a range that had a single one.
SPARSE = 2.0


@dataclass(frozen=True)
class Axis:
    """What the region of the cells tied with the best does along one axis of a search.

    Attributes:
        kind: "interior" where it touches neither end; "flat" where ties span the whole axis, or run unbroken for
            ``LEVELLED_OFF_DECADES`` up to the end they touch: the criterion has levelled off, and a wider range would
            show more of the same; else "edge": the range must be widened before "best" means anything. A comparison
            that looks at single seeds, too, calls an edge "alike" that they do not tell from the inside.
        where: the ends that it touches: "", "low", "high" or "low and high"; "both" where ties span the axis.
        low, high: its least and largest step.
    """

    kind: str
    where: str
    low: float
    high: float

    @property
    def touched(self) -> list[str]:
        """The ends of an edge, "low", "high" or both."""
        return self.where.split(" and ") if self.kind == "edge" else []

    def describe(self) -> str:
        """A few words for the table."""
        if self.kind == "edge":
            return f"at the {self.where} edge: widen the range"
        if self.kind == "alike":
            return f"tied at the {self.where} edge, no better there than inside"
        if self.kind == "flat" and self.where != "both":
            return f"flat towards the {self.where} end"
        return self.kind


def judge_axis(values: Array, tied: NDArray[np.bool_]) -> Axis:
    """Judge one axis from which of its values (ascending, positive) have a tied cell."""
    inside = np.flatnonzero(tied)
    low, high = float(values[inside[0]]), float(values[inside[-1]])
    if tied.all() and len(values) >= 3:
        return Axis("flat", "both", low, high)
    ends = [name for name, touched in (("low", tied[0]), ("high", tied[-1])) if touched]
    if not ends:
        return Axis("interior", "", low, high)
    runs = {"low": int(np.argmin(tied)), "high": int(np.argmin(tied[::-1]))}  # ties unbroken from that end
    first, last = values[0], values[-1]
    reach = {
        "low": math.log10(values[max(runs["low"] - 1, 0)] / first),
        "high": math.log10(last / values[len(values) - max(runs["high"], 1)]),
    }
    short = [name for name in ends if reach[name] < LEVELLED_OFF_DECADES - 1e-9]
    if short:
        return Axis("edge", " and ".join(short), low, high)
    return Axis("flat", " and ".join(ends), low, high)


@dataclass(frozen=True)
class Touched:
    """A range that was too narrow.

    Attributes:
        record: whose search it was.
        axis: upper_step or lower_step.
        steps: (a,) what was searched, ascending.
        ends: "low", "high" or both.
    """

    record: Record
    axis: str
    steps: Array
    ends: tuple[str, ...]


def touched(record: Record, steps: Mapping[str, Array], ends: Mapping[str, Iterable[str]]) -> list[Touched]:
    """The ranges of one search that were too narrow, from {axis: its steps} and {axis: the ends that are touched}."""
    order = ("low", "high")
    return [
        Touched(record, axis, steps[axis], tuple(sorted(set(which), key=order.index))) for axis, which in ends.items()
    ]


def wider(found: Sequence[Touched]) -> tuple[float, float, int]:
    """A range (low, high, how many) that is wider at every end that one of several searches touched.

    It spans all their ranges and is as dense as the densest of them.
    """
    low, high = min(one.steps[0] for one in found), max(one.steps[-1] for one in found)
    several = [one.steps for one in found if len(one.steps) > 1]
    dense = max(((len(steps) - 1) / np.log10(steps[-1] / steps[0]) for steps in several), default=SPARSE)
    ends = {end for one in found for end in one.ends}
    low, high = low / 10 ** (DECADES * ("low" in ends)), high * 10 ** (DECADES * ("high" in ends))
    return float(f"{low:.6g}"), float(f"{high:.6g}"), round(float(dense * np.log10(high / low))) + 1


def log_range(low: float, high: float, count: int) -> str:
    """The range as a grid in YAML."""
    return f"{{log: [{_yaml(low)}, {_yaml(high)}, {count}]}}"


def _yaml(value: float) -> str:
    """YAML takes 1e-08 for a text."""
    text = f"{value:g}"
    return text.replace("e", ".0e") if "e" in text and "." not in text else text
