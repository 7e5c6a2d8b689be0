"""From a checked configuration to the rows of a batch, to its trajectories, and from these to tables.

This and what it imports, with a problem's module and an algorithm's, is all that decides the numbers of a record: its
hash tells whether they may have changed (:mod:`unibio.store.codehash`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from unibio.core.algorithm import Algorithm
from unibio.core.ambient import clean
from unibio.core.problem import Problem, ProblemSpec
from unibio.errors import InputError
from unibio.simulation.grid import specs_of, table_of
from unibio.simulation.history import check_names
from unibio.simulation.settings import Settings
from unibio.simulation.simulate import simulate
from unibio.simulation.trajectories import Trajectories


@dataclass(frozen=True)
class Batch:
    """The part of a configuration that decides its rows.

    Attributes:
        problem, algorithm: as configured, without axes.
        axes: {"seed" | "problem.<parameter>" | "algorithm.<parameter>": values}.
        seed: of every run where no axis says it.
        dtype: of the iterates.
        rows: of the axes' product that are wanted, for what is too large at once; None for all of them. They are what
            they are among all: no row depends on another.
    """

    problem: ProblemSpec
    algorithm: Algorithm
    axes: Mapping[str, Sequence[Any]]
    seed: int
    dtype: torch.dtype
    rows: range | None = None


def beginning(batch: Batch, device: torch.device) -> tuple[Problem, Algorithm, Tensor, Tensor, list[int]]:
    """A batch's problem and algorithm, its starts (runs, d_x) and (runs, d_y), and a seed for every run.

    Args:
        batch: which.
        device: of the iterates.

    Raises:
        InputError: its memory is not there, an axis cannot be one, or the problem brings no start.
    """
    table = table_of(batch.axes, batch.rows)
    runs = len(table)
    like = torch.empty(0, dtype=batch.dtype, device=device)
    spec, algorithm = specs_of(batch.problem, batch.algorithm, batch.axes, like, batch.rows)
    spec.check_memory(algorithm, runs, batch.dtype, device)
    problem = spec.build()
    if problem.start is None:
        raise InputError(f"problem {problem.name!r} brings no start, which a configured run needs")
    x, y = (start.to(device, batch.dtype).expand(runs, -1).clone() for start in problem.start)
    return problem, algorithm, x, y, table["seed"].tolist() if "seed" in table else [batch.seed] * runs


def simulated(batch: Batch, device: torch.device, settings: Settings, **asked: Any) -> Trajectories:
    """A batch's trajectories: :func:`beginning`, then :func:`unibio.simulation.simulate.simulate`.

    Args:
        batch, device: as above.
        settings: length, logging, checkpoint.
        asked: further arguments of ``simulate``: progress, should_stop, until.
    """
    with clean(batch.dtype, device):
        problem, algorithm, x, y, seeds = beginning(batch, device)
        check_names(
            None if problem.metrics is None else problem.measured, x, y, [key.split(".", 1)[-1] for key in batch.axes]
        )
        return simulate(problem, algorithm, x, y, seeds=seeds, settings=settings, **asked)


def history_table(outcome: Trajectories, grid: pd.DataFrame) -> pd.DataFrame:
    """The outcome's history with the axes' values as columns after ``run``; in place, since it can be large."""
    history = outcome.history
    rows = history["run"].to_numpy()
    for i, name in enumerate(grid.columns):
        history.insert(1 + i, name, grid[name].to_numpy()[rows])
    return history


def runs_table(outcome: Trajectories, grid: pd.DataFrame) -> pd.DataFrame:
    """One row per run: axes, status, stopped_at, oracle counts, diagnosed numbers, first hits (NaN where never)."""
    columns: dict[str, Any] = {"status": outcome.status, "stopped_at": outcome.stopped_at}
    columns |= {kind: count.numpy() for kind, count in outcome.counts.items()}
    columns |= {name: value.cpu().numpy() for name, value in outcome.diagnosis.values.items()}
    for key, hit in outcome.first_below.items():
        found = hit.to(torch.float64)
        found[found < 0] = torch.nan
        columns |= {
            f"iterations_to {key}": found[:, 0].numpy(),
            f"oracle_calls_to {key}": found[:, 1].numpy(),
        }
    return pd.concat([grid, pd.DataFrame(columns, index=grid.index)], axis=1)
