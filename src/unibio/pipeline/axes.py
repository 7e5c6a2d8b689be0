"""The axes of a job's batch, from the ``grid`` section of a configuration. What is no axis is refused, never mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from unibio.core.rule_settings import KEYS
from unibio.errors import InputError, unknown
from unibio.simulation.values import MOST_RUNS, axis, number_of, seed_axis

_SPACED: dict[str, Any] = {"log": np.geomspace, "linear": np.linspace}
_LISTS = "{log: [from, to, count]} or {linear: [from, to, count]}"


def axes_of(grid: Mapping[str, Any], seed: int) -> dict[str, list[Any]]:
    """{"seed" | "problem.<parameter>" | "algorithm.<parameter>": values}; seeds last, so that they vary fastest.

    Args:
        grid: the section.
        seed: the first one where only a number of seeds is given.

    Raises:
        InputError: an unknown key, or values that are no axis.
    """
    axes: dict[str, list[Any]] = {}
    for key, value in grid.items():
        if key in ("problem", "algorithm"):
            if value is not None and not isinstance(value, Mapping):
                raise InputError(f"grid.{key} = {value!r} names no parameter; write grid.{key}.PARAMETER=[A,B]")
            for name, values in _leaves(value or {}):
                axes[f"{key}.{name}"] = _numbers(f"grid.{key}.{name}", values)
        elif key == "seed":
            axes["seed"] = _seeds(value, seed)
        else:
            raise unknown("key in grid", key, ("seed", "problem", "algorithm"))
    # A curve's runs lie together.
    return {key: axes[key] for key in sorted(axes, key=lambda k: k == "seed")}


def _leaves(section: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Parameters and their values, the numbers of an update rule as "lower_update.step"."""
    for name, values in section.items():
        if name in KEYS and isinstance(values, Mapping):
            yield from ((f"{name}.{number}", some) for number, some in values.items())
        else:
            yield name, values


def _seeds(value: Any, first: int) -> list[int]:
    """A list of integers as it is, or {count: N}."""
    if isinstance(value, (list, tuple)):
        return seed_axis(value, "grid.seed")
    if isinstance(value, Mapping) and "count" in value:
        for key in value:
            if key != "count":
                raise InputError(
                    f"grid.seed = {value!r}: there is no {key!r} beside count; the first seed is seed=FIRST"
                )
        return seed_axis(range(first, first + _count("grid.seed", value["count"])), "grid.seed")
    raise InputError(f"grid.seed = {value!r} is not an axis: give a list of integers, or {{count: N}}{_alone(value)}")


def _numbers(key: str, value: Any) -> list[float]:
    """A list as it is, or {log: [from, to, count]} or {linear: [from, to, count]}."""
    if isinstance(value, (list, tuple)):
        return [float(one) for one in axis(value, key)]
    if isinstance(value, Mapping) and len(value) == 1:
        kind, numbers = next(iter(value.items()))
        if kind in _SPACED and isinstance(numbers, (list, tuple)) and len(numbers) == 3:
            low, high = (number_of(one, key) for one in numbers[:2])
            count = _count(key, numbers[2])
            if kind == "log" and not (low > 0 and high > 0):
                raise InputError(f"{key} = {value!r}: log needs two positive numbers")
            return axis((float(f"{one:.12g}") for one in _SPACED[kind](low, high, count)), key)
    raise InputError(f"{key} = {value!r} is not an axis: give a list of numbers, {_LISTS}{_alone(value)}")


def _count(key: str, count: Any) -> int:
    """How many values, an integer."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_RUNS:
        raise InputError(f"{key}: the count must be an integer from 1 to {MOST_RUNS:,}, got {count!r}")
    return count


def _alone(value: Any) -> str:
    """What to write where one number was given."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"; for one value write [{value}]" if number else ""
