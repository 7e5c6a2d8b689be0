"""A job's batch on this machine: its beginning, and its trajectories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from unibio.core.algorithm import Algorithm
from unibio.core.problem import Problem
from unibio.pipeline.devices import pick_device
from unibio.pipeline.job import Job
from unibio.simulation.rows import Batch, beginning, simulated
from unibio.simulation.settings import Settings
from unibio.simulation.trajectories import Trajectories
from unibio.store.records import digest

#: Told after every checkpoint, with what makes the history that it holds.
Saved = Callable[[Callable[[], pd.DataFrame]], None] | None


def simulation(
    job: Job,
    checkpoint: Path | None = None,
    progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    until: int | None = None,
    rows: range | None = None,
    saved: Saved = None,
) -> Trajectories:
    """The job's simulation, or that of some of its rows; see :func:`unibio.simulation.simulate.simulate`."""
    part = "" if rows is None else f" runs {rows.start} to {rows.stop - 1}"
    settings = Settings.of(job.config, checkpoint, owner=digest(job.config) + part)
    device = pick_device(job.config["device"])
    return simulated(
        _batch(job, rows),
        device,
        settings,
        progress=progress,
        should_stop=should_stop,
        until=until,
        on_save=saved,
    )


def prepared(
    job: Job, device: torch.device, rows: range | None = None
) -> tuple[Problem, Algorithm, Tensor, Tensor, list[int]]:
    """The job's problem and algorithm, its starts (runs, d_x) and (runs, d_y) on the device, and a seed for every run.

    Raises:
        InputError: its memory is not there, or the problem brings no start.
    """
    return beginning(_batch(job, rows), device)


def _batch(job: Job, rows: range | None = None) -> Batch:
    """What decides the job's rows; sets the number of threads that it asks for: other numbers, other last digits."""
    torch.set_num_threads(job.config["threads"])
    threadpool_limits(job.config["threads"], user_api="blas")  # of NumPy and SciPy, which prepare data
    return Batch(job.problem, job.algorithm, job.axes, job.config["seed"], job.dtype, rows)
