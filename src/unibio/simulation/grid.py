"""Grids: the product of axes as a table of runs, and the parameters' columns in a batch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from unibio.core.algorithm import Algorithm
from unibio.core.parameters import Configured, declared
from unibio.core.problem import ProblemSpec
from unibio.errors import InputError, unknown
from unibio.simulation.values import MOST_RUNS

SpecT = TypeVar("SpecT", bound=Configured)


def grid_of(axes: Mapping[str, Sequence[Any]], rows: range | None = None) -> pd.DataFrame:
    """The product of axes as a table, one row per run; the last axis varies fastest. No axes: one row.

    Args:
        axes: {name: values}.
        rows: of the product; None for all of them.

    Raises:
        InputError: more runs than :data:`~unibio.simulation.values.MOST_RUNS`.
    """
    runs = math.prod(len(values) for values in axes.values())
    if runs > MOST_RUNS:
        sizes = " × ".join(f"{len(values)} of {name}" for name, values in axes.items())
        raise InputError(f"the grid has {runs:,} runs ({sizes}), and one batch takes {MOST_RUNS:,}: divide it")
    numbers = np.arange(runs) if rows is None else np.asarray(rows)
    if not axes:
        return pd.DataFrame(index=range(len(numbers)))
    places = np.unravel_index(numbers, tuple(len(values) for values in axes.values()))
    # The type of a column is that of the whole axis, of which these rows may have a part.
    columns = {name: pd.Series(list(axes[name])).to_numpy()[at] for name, at in zip(axes, places, strict=True)}
    return pd.DataFrame(columns, index=range(len(numbers)))


def table_of(axes: Mapping[str, Sequence[Any]], rows: range | None = None) -> pd.DataFrame:
    """The product of a configuration's axes, "seed", "problem.NAME" or "algorithm.NAME", in columns called NAME."""
    return grid_of({key.split(".", 1)[-1]: values for key, values in axes.items()}, rows)


def specs_of(
    problem: ProblemSpec,
    algorithm: Algorithm,
    axes: Mapping[str, Sequence[Any]],
    like: Tensor,
    rows: range | None = None,
) -> tuple[ProblemSpec, Algorithm]:
    """A configuration's problem and algorithm with their axes as (runs, 1) tensors, of ``like``'s dtype and device.

    ``rows`` are those of the product that are wanted; None stands for all.

    Raises:
        InputError: an axis that is unknown, static or out of range.
    """
    table = table_of(axes, rows)
    first, second = (
        [key.split(".", 1)[1] for key in axes if key.startswith(f"{spec.role}.")] for spec in (problem, algorithm)
    )
    return with_rows(problem, first, table, like), with_rows(algorithm, second, table, like)


def check_axes(spec: Configured, names: Iterable[str]) -> None:
    """Check that parameters of a spec can vary within one batch.

    Raises:
        InputError: a parameter that is unknown, or static: it decides the program, not the numbers in it.
    """
    batchable = spec.can_vary()
    fields = [f.name for f in declared(spec)] + [name for name in batchable if "." in name]
    for name in names:
        if name not in fields:
            raise unknown(f"parameter of {spec.role} {spec.name},", name, fields)
        if name not in batchable:
            raise InputError(
                f"{spec.role}.{name} cannot be a grid axis inside one batch, because it changes the program; loop over "
                f"it, or sweep it with Hydra ({spec.role}.{name}=a,b -m). Axes can be: {', '.join(batchable)}."
            )


def with_rows(spec: SpecT, names: Iterable[str], grid: pd.DataFrame, like: Tensor) -> SpecT:
    """A spec with the parameters in ``names`` replaced by (runs, 1) tensors, the grid's columns of those names.

    Raises:
        InputError: see :func:`check_axes`; values out of range.
    """
    names = list(names)
    check_axes(spec, names)
    columns: dict[str, Any] = {}
    for name in names:
        try:
            values = grid[name].to_numpy(dtype=float)
        except (TypeError, ValueError) as error:
            raise InputError(f"{spec.role}.{name} must be numbers to be an axis, got {list(grid[name])}") from error
        if "." in name:
            columns |= _rule_in_rows(spec, name, values, columns, like)
        else:
            columns[name] = torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]
    return dataclasses.replace(spec, **columns)


def _rule_in_rows(spec: Any, name: str, values: np.ndarray, columns: Mapping[str, Any], like: Tensor) -> dict[str, Any]:
    """{"lower_update": the rule with a number in rows}, for a name like "lower_update.step"."""
    key, _, number = name.partition(".")
    rule = columns.get(key, getattr(spec, key))
    for value in dict.fromkeys(values.tolist()):
        dataclasses.replace(getattr(spec, key), **{number: value})  # which the rule checks
    # In float64, whatever the iterates are: see unibio.core.rules.
    return {key: rule.in_rows({number: torch.tensor(values, dtype=torch.float64, device=like.device)[:, None]})}
