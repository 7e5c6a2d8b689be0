"""What can be known of jobs before any of them starts: which cannot run here, and which will take very long."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unibio.errors import InputError
from unibio.pipeline.devices import pick_device
from unibio.pipeline.job import Job


def refusal(job: Job) -> str | None:
    """Why a job cannot run, in the words in which it would itself end; None where nothing is known against it.

    The memory of a CUDA device is left to the job: whoever asks for it has opened the device, and holds part of it.
    """
    try:
        job.problem.check_tables(job.algorithm, job.runs, job.dtype)  # refused wherever it is to run
        if not _elsewhere(job) and pick_device(job.config["device"]).type == "cpu":
            job.problem.check_memory(job.algorithm, job.runs, job.dtype, torch.device("cpu"))
    except InputError as error:
        return str(error)
    return None


def slowness(jobs: Sequence[Job]) -> str | None:
    """A sentence about jobs that are too much for the CPU that is to run them; None where there are none."""
    slow = [found for job in jobs if not _elsewhere(job) and (found := job.problem.slowness()) is not None]
    if not slow or pick_device(jobs[0].config["device"]).type != "cpu":
        return None
    return f"{len(slow)} of these jobs {max(slow)[1]}"


def _elsewhere(job: Job) -> bool:
    """Whether another machine computes it, of which nothing is known here."""
    return job.config["launcher"].get("name") == "slurm"
