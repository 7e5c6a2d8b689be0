"""Grids: the product of axes as a table of runs, the parameters' columns in a batch, and what a batch ended with."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor

from unibio.errors import InputError, unknown
from unibio.parameters import Configured, declared
from unibio.run import Trajectories

SpecT = TypeVar("SpecT", bound=Configured)


def grid_of(axes: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The product of axes as a table, one row per run; the last axis varies fastest. No axes: one row."""
    rows = list(itertools.product(*axes.values()))
    return pd.DataFrame({name: [row[i] for row in rows] for i, name in enumerate(axes)}, index=range(len(rows)))


def check_axes(spec: Configured, names: Iterable[str]) -> None:
    """Check that parameters of a spec can vary within one batch.

    Raises:
        InputError: a parameter that is unknown, or static: it decides the program, not the numbers in it.
    """
    batchable = spec.per_run()
    fields = [f.name for f in declared(spec)]
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
    columns = {}
    for name in names:
        try:
            values = grid[name].to_numpy(dtype=float)
        except (TypeError, ValueError) as error:
            raise InputError(f"{spec.role}.{name} must be numbers to be an axis, got {list(grid[name])}") from error
        columns[name] = torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]
    return dataclasses.replace(spec, **columns)


def history_table(outcome: Trajectories, grid: pd.DataFrame) -> pd.DataFrame:
    """The outcome's history with the axes' values as columns after ``run``; in place, since it can be large."""
    history = outcome.history
    rows = history["run"].to_numpy()
    for i, name in enumerate(grid.columns):
        history.insert(1 + i, name, grid[name].to_numpy()[rows])
    return history


def runs_table(outcome: Trajectories, grid: pd.DataFrame) -> pd.DataFrame:
    """One row per run: axes, status, stopped_at, oracle counts, diagnosed numbers, first hits (NaN where never)."""
    table = grid.copy()
    table["status"] = outcome.status
    table["stopped_at"] = outcome.stopped_at
    for kind, count in outcome.counts.items():
        table[kind] = count.numpy()
    for name, value in outcome.diagnosis.values.items():
        table[name] = value.cpu().numpy()
    for key, hit in outcome.first_below.items():
        found = hit.to(torch.float64)
        found[found < 0] = torch.nan
        table[f"iterations_to {key}"] = found[:, 0].numpy()
        table[f"oracle_calls_to {key}"] = found[:, 1].numpy()
    return table
