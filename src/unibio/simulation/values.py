"""The values of an axis: taken as they are or refused, never rounded, cut or dropped, so that a row is what it says."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from unibio.errors import InputError

#: Runs of one batch. The histories of more fit into no memory, and so many are a slip of the finger.
MOST_RUNS = 1_000_000


def seed_of(seed: Any, key: str = "seed") -> int:
    """A seed as it is.

    Raises:
        InputError: it is no integer of 64 bits; 1.0 and True are none.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not -(2**63) <= int(seed) < 2**63:
        raise InputError(f"{key} must be an integer in [−2⁶³, 2⁶³) or several of them, got {seed!r}")
    return int(seed)


def seed_axis(values: Iterable[Any], key: str = "seed") -> list[int]:
    """Seeds as an axis.

    Raises:
        InputError: none, one of them twice, or one that is no integer of 64 bits.
    """
    return _distinct(key, [seed_of(value, key) for value in itertools.islice(values, MOST_RUNS + 1)])


def axis(values: Iterable[Any], key: str) -> list[Any]:
    """Finite numbers as an axis, Python's own.

    Raises:
        InputError: none, one of them twice, or one that is no number that a float can hold.
    """
    return _distinct(key, [number_of(value, key) for value in itertools.islice(values, MOST_RUNS + 1)])


def number_of(value: Any, key: str) -> Any:
    """A finite number as Python's own.

    Raises:
        InputError: it is another thing (True is one), or an integer that no float is equal to.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{key} must be a number or a list of numbers to vary it, got {value!r} in the list")
    try:
        exact = math.isfinite(value) and float(value) == value
    except OverflowError:
        exact = False
    if not exact:
        raise InputError(f"{key}: {value!r} is not a finite number of 64 bits")
    return value


def distinct(key: str, values: Sequence[Any]) -> None:
    """Check the values of an axis, of whatever kind, for one that is there twice: equal runs are no further evidence.

    Raises:
        InputError: there is one.
    """
    seen: set[Hashable] = set()
    for value in values:
        known = value if isinstance(value, Hashable) and not isinstance(value, bool) else repr(value)
        if known in seen:
            raise InputError(f"{key} has {value!r} twice, which would be the same run; give every value once")
        seen.add(known)


def _distinct(key: str, values: list[Any]) -> list[Any]:
    if not values:
        raise InputError(f"{key} is an empty list; give at least one value")
    if len(values) > MOST_RUNS:
        raise InputError(f"{key} has more than {MOST_RUNS:,} values, each of them a run; give fewer")
    distinct(key, values)
    return values
