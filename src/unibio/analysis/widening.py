"""Which searched ranges of steps were too narrow, and what to search instead.

The rule of Appendix E.1 (:meth:`unibio.analysis.e1.MethodSearch.axes`): a range is widened until the region tied with
the best is interior, has levelled off, or is no better at the end than inside, both among all pairs of steps and among
those that solve the lower level. On ℓ_p-regression, whose criterion changes little in relative terms, a range is
widened while the chosen step is one of its ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unibio.analysis import e1, lp_regression
from unibio.analysis.curves import Array
from unibio.records import Record

#: What a range gains at an end that is touched.
DECADES = 2.0


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


def touched(record: Record) -> list[Touched]:
    """The too narrow ranges of one search.

    Raises:
        InputError: a record that is not a full grid of both steps, or without a finite criterion.
    """
    if record.config["problem"]["name"] == lp_regression.EXPERIMENT:
        tuned = lp_regression.tune(record)
        steps = {"upper_step": tuned.upper, "lower_step": tuned.lower}
        return [Touched(record, axis, steps[axis], (end,)) for axis, end in tuned.edges().items()]
    found = e1.search_of(record)
    found.axes()  # refuses a record without a finite criterion
    steps = {"upper_step": found.upper, "lower_step": found.lower}
    ends: dict[str, set[str]] = {}
    for solved in (False, True):
        for name, axis in found.edges(solved).items():
            ends.setdefault(name, set()).update(axis.where.split(" and "))
    return [Touched(record, axis, steps[axis], tuple(sorted(which, reverse=True))) for axis, which in ends.items()]


def wider(found: Sequence[Touched]) -> tuple[float, float, int]:
    """A range (low, high, how many) that is wider at every end that one of several searches touched.

    It spans all their ranges and is as dense as the densest of them.
    """
    low, high = min(one.steps[0] for one in found), max(one.steps[-1] for one in found)
    dense = max((len(one.steps) - 1) / np.log10(one.steps[-1] / one.steps[0]) for one in found)
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
