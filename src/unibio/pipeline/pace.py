"""How long a job will take, from trying it for a moment."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import torch

from unibio.core.oracle import KINDS
from unibio.pipeline.batch import simulation
from unibio.pipeline.job import Job
from unibio.simulation.trajectories import Interrupted


def expected_seconds(job: Job, moment: float = 0.15) -> float:
    """A job's computing time, from its start and the pace of its first iterations."""
    steps = job.config["steps"]
    if job.config["budget"] is not None:
        tried = simulation(job, until=3)
        calls = max(float(torch.stack([tried.counts[kind] for kind in KINDS]).sum(0).max()), 1.0) / 3
        steps = min(steps or math.inf, job.config["budget"] / calls)
    began = time.perf_counter()
    ticks: list[tuple[int, float]] = []
    with suppress(Interrupted):
        simulation(
            job,
            progress=lambda finished: ticks.append((finished, time.perf_counter())),
            should_stop=lambda: bool(ticks) and ticks[-1][1] - ticks[0][1] > moment,
        )
    (first, start), (last, end) = ticks[0], ticks[-1]
    pace = (end - start) / (last - first) if last > first else start - began
    return (start - began + pace * steps) * job.config["repeats"]
