"""Whether runs did what a bilevel method is for: they descended, and their y went along with y*(x).

A small hypergradient alone tells neither. On Example 3 a method with the wrong sign of the Jacobian climbs to a
maximum, where ∇φ vanishes too, and one that never updates y descends all the same, since in one dimension a normalised
step needs a sign only. A rule that judges a method by ‖∇φ‖ therefore asks here first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common.curves import by_cell, cell_names, cells, final, late
from unibio.studies.common.evidence import column, dimension, exponent
from unibio.studies.common.words import listed

#: y has gone along where ‖y − y*(x)‖ is at most this times √d over the last part of the run. The components of y*(x)
#: end at ±1: a y that was never updated is 1 or 2 away from each, one solved with noise of variance 10 about a half.
BEHIND = 0.8
#: What is read to know it, where runs begin and end.
LATE, FINAL = ("lower_error",), ("value",)
#: Part of a cell's runs that must be sound: one that is not says nothing of the others.
MOST = 0.5


def descended(record: Record) -> NDArray[np.bool_]:
    """(runs,) whether φ ended below where it began; not where a run diverged, or φ is not defined.

    Raises:
        InputError: the history has no ``value``.
    """
    value = column(record, "value")
    start = value.groupby(record.history["run"]).first().reindex(range(len(record.runs))).to_numpy(dtype=float)
    below: NDArray[np.bool_] = final(record, "value") < start
    return below


def followed(record: Record) -> NDArray[np.bool_]:
    """(runs,) whether ‖y − y*(x)‖ is at most ``BEHIND``·√d over the last part of the run; not where one diverged.

    Raises:
        InputError: the history has no ``lower_error``.
    """
    near: NDArray[np.bool_] = late(record, "lower_error") <= BEHIND * math.sqrt(dimension(record))
    return near


def sound(record: Record) -> NDArray[np.bool_]:
    """(runs,) both."""
    return descended(record) & followed(record)


def unsound(
    records: Iterable[Record], lower: bool = True, kept: Callable[[Mapping[str, Any]], bool] = lambda cell: True
) -> str:
    """Of which exponents some cell's runs are not sound for the most part, as a clause; "" where all are.

    Args:
        records: at least one.
        lower: whether y must have gone along; else φ must have fallen, and no more.
        kept: which cells are judged, by their settings.

    Raises:
        InputError: there is no such cell.
    """
    shares = [(exponent(record), share) for record in records for share in _shares(record, lower, kept)]
    if not shares:
        raise InputError("there are no runs to be sound or not")
    bad = sorted({p for p, share in shares if share < MOST})
    said = "φ does not fall, or y does not follow y*(x)," if lower else "φ does not fall"
    return f"{said} at p = {listed(bad)}: no working method is judged" if bad else ""


def _shares(record: Record, lower: bool, kept: Callable[[Mapping[str, Any]], bool]) -> list[float]:
    """The part of the runs that is sound, by cell."""
    table = cells(record).assign(sound=sound(record) if lower else descended(record))
    return [float(group["sound"].mean()) for cell, group in by_cell(table, cell_names(record)) if kept(cell)]
