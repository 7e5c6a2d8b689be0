"""What can be known of jobs before any of them starts: which cannot run here, and which will take very long."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unibio.config import Job
from unibio.errors import InputError
from unibio.job import pick_device
from unibio.models.pair_rnn import Architecture
from unibio.problems.nli_cleaning import NLICleaning

#: From so many units on a network on a CPU is worth a warning, which compares it to one of so many.
WIDE, NARROW = 1024, 64


def refusal(job: Job) -> str | None:
    """Why a job cannot run, in the words in which it would itself end; None where nothing is known against it.

    The memory of a CUDA device is left to the job: whoever asks for it has opened the device, and holds part of it.
    """
    try:
        dtype: torch.dtype = getattr(torch, job.config["dtype"])
        if isinstance(job.problem, NLICleaning):
            job.problem.tables(job.algorithm, job.runs, dtype)  # refused wherever it is to run
        if not _elsewhere(job) and pick_device(job.config["device"]).type == "cpu":
            job.problem.check_memory(job.algorithm, job.runs, dtype, torch.device("cpu"))
    except InputError as error:
        return str(error)
    return None


def slowness(jobs: Sequence[Job]) -> str | None:
    """A sentence about networks that are too wide for the CPU that is to train them; None where there are none."""
    wide = [
        job.problem
        for job in jobs
        if isinstance(job.problem, NLICleaning) and job.problem.width >= WIDE and not _elsewhere(job)
    ]
    if not wide or pick_device(jobs[0].config["device"]).type != "cpu":
        return None
    widest = max(wide, key=lambda problem: problem.width)
    net = widest.net(widest.data())
    times = net.size / Architecture(net.dimension, NARROW, net.layers).size
    return (
        f"{len(wide)} of these jobs train networks of up to {net.width:,} units on a CPU: every word they read costs "
        f"about {times:,.0f} times the arithmetic of {NARROW} units. scale=paper is made for a CUDA device; "
        "scale=workstation and scale=laptop have smaller networks"
    )


def _elsewhere(job: Job) -> bool:
    """Whether another machine computes it, of which nothing is known here."""
    return job.config["launcher"].get("name") == "slurm"
