"""Whether the seeds of a batch made any difference: told after the runs, whatever could have been random in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor


def fingerprints(x: Tensor, y: Tensor, history: pd.DataFrame) -> np.ndarray:
    """A number per run that tells what it did: (runs,) uint64, equal for equal runs and hardly ever for others.

    Args:
        x, y: where the runs ended, (runs, d).
        history: of these runs, in their order, with a column ``run``.
    """
    told = history.drop(columns=[name for name in ("run", "seed", "seconds") if name in history])
    lines = pd.util.hash_pandas_object(told, index=False).to_numpy()
    begins = np.flatnonzero(np.diff(history["run"].to_numpy(), prepend=-1))
    place = np.arange(len(lines), dtype=np.uint64) - np.repeat(begins, np.diff(begins, append=len(lines))).astype(
        np.uint64
    )
    with np.errstate(over="ignore"):  # numbers modulo 2⁶⁴
        found: np.ndarray = np.add.reduceat(lines * (2 * place + 1), begins)
        for end in (x, y):
            columns = pd.DataFrame(end.cpu().double().numpy())
            found = found * np.uint64(0x9E3779B97F4A7C15) + pd.util.hash_pandas_object(columns, index=False).to_numpy()
    return found


def same_by_fingerprints(grid: pd.DataFrame, found: np.ndarray) -> str | None:
    """:func:`same_for_all_seeds` of runs whose histories are not all in memory, from their fingerprints (runs,)."""
    if "seed" not in grid or grid["seed"].nunique() < 2:
        return None
    _, twin = _twins(grid)
    return _sentence(grid) if bool((found == found[twin]).all()) else None


def same_for_all_seeds(grid: pd.DataFrame, x: Tensor, y: Tensor, history: pd.DataFrame) -> str | None:
    """A sentence where runs that differ in their seeds only are equal to the bit; None where any two of them differ.

    Seeds are then no repetitions: a median over them is one run, and a spread of 0 says nothing.

    Args:
        grid: one row per run.
        x, y: where the runs ended, (runs, d).
        history: of all runs, with a column ``run``.
    """
    if "seed" not in grid or grid["seed"].nunique() < 2:
        return None
    group, first = _twins(grid)
    twin = torch.as_tensor(first, device=x.device)
    if not (torch.equal(x, x[twin]) and torch.equal(y, y[twin])):
        return None
    told = history.drop(columns=[name for name in ("seed", "seconds") if name in history])
    values = told.drop(columns="run").groupby([group[told["run"].to_numpy()], told["iteration"].to_numpy()])
    if (values.nunique(dropna=False) > 1).any(axis=None):
        return None
    return _sentence(grid)


def _twins(grid: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """For every run the group of those that differ from it in their seeds only, and the first run of that group."""
    others = [name for name in grid.columns if name != "seed"]
    group = grid.groupby(others, sort=False).ngroup().to_numpy() if others else np.zeros(len(grid), dtype=int)
    _, first = np.unique(group, return_index=True)
    return group, first[group]


def _sentence(grid: pd.DataFrame) -> str:
    return (
        f"the {grid['seed'].nunique()} seeds gave one and the same run, to the bit: nothing is random in this problem "
        "and algorithm as they are set, so one seed says as much"
    )
