"""What a sweep will cost on this device, from a few iterations of every kind of job, each in a process of its own.

Two jobs are of one kind if nothing but seeds tells them apart: they do the same work.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unibio.core.oracle import Oracle
from unibio.core.probe import prepare
from unibio.core.streams import Streams
from unibio.errors import InputError
from unibio.pipeline.batch import prepared
from unibio.pipeline.devices import pick_device
from unibio.pipeline.job import Job, job_from
from unibio.simulation.loop import clock
from unibio.store.show import flat


@dataclass(frozen=True)
class Size:
    """What a job costs.

    Attributes:
        start: seconds from nothing to the first iterate, without the look at λ_max (at most 100 HVPs).
        iteration: seconds of one, the mean over whole periods.
        iterations: in a whole job.
        evaluation: seconds of all metrics once.
        evaluations: in a whole job.
        peak: bytes, on CUDA that PyTorch took of the device, otherwise that the process took after reading the data.
        bound: bytes that the check before a run asks for; None where a problem has none.
    """

    start: float
    iteration: float
    iterations: int
    evaluation: float
    evaluations: int
    peak: int
    bound: int | None

    @property
    def seconds(self) -> float:
        """Of a whole job."""
        return self.start + self.iterations * self.iteration + self.evaluations * self.evaluation


@dataclass(frozen=True)
class Kind:
    """Jobs that differ in their seeds only.

    Attributes:
        label: the algorithm, and what else tells this kind from others of the sweep.
        jobs: of this kind.
        size: None where one of them cannot run here, for which ``reason`` is why.
    """

    label: str
    jobs: int
    size: Size | None
    reason: str = ""


def size_up(jobs: Sequence[Job], periods: int = 2, done: Callable[[], None] | None = None) -> list[Kind]:
    """Measure one job of every kind.

    Args:
        jobs: of one sweep.
        periods: of the algorithm, to take the mean of an iteration over.
        done: called after every kind.
    """
    kinds: dict[str, list[Job]] = {}
    for job in jobs:
        kinds.setdefault(json.dumps(_without_seeds(job), sort_keys=True, default=str), []).append(job)
    alike = list(kinds.values())
    labels = _labels([_without_seeds(members[0]) for members in alike])
    found = []
    for label, members in zip(labels, alike, strict=True):
        # A fresh process: peaks of memory stay apart, and one that the system kills takes nothing with it.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            try:
                kind = Kind(label, len(members), pool.submit(_measure, members[0].portable(), periods).result())
            except InputError as error:
                kind = Kind(label, len(members), None, str(error))
            except BrokenProcessPool:
                kind = Kind(label, len(members), None, "its process was killed: not enough memory?")
            except RuntimeError as error:  # of torch; among them that a device's memory ran out
                kind = Kind(label, len(members), None, str(error).splitlines()[0])
        found.append(kind)
        if done is not None:
            done()
    return found


def _without_seeds(job: Job) -> dict[str, Any]:
    found = flat(job.config)
    return {key: value for key, value in found.items() if key != "seed" and not key.endswith("_seed")}


def _labels(kinds: Sequence[dict[str, Any]]) -> list[str]:
    """The algorithm's name, with the other settings that differ among kinds, and one of its own where these do not."""
    labels = [[kind["algorithm.name"], *_telling(kinds, kind, own=False)] for kind in kinds]
    for label in list(labels):
        alike = [k for k, other in enumerate(labels) if other == label]
        for k in alike if len(alike) > 1 else ():
            labels[k] = [*label, *_telling([kinds[i] for i in alike], kinds[k], own=True)[:1]]
    return [" ".join(label) for label in labels]


def _telling(kinds: Sequence[dict[str, Any]], kind: dict[str, Any], own: bool) -> list[str]:
    """The settings of a kind that differ among kinds, of the algorithm or other ones."""
    keys = dict.fromkeys(key for one in kinds for key in one if key.startswith("algorithm.") == own)
    differing = (key for key in keys if len({str(one.get(key)) for one in kinds}) > 1)
    return [f"{_last(key)}={kind.get(key)}" for key in differing]


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _measure(config: dict[str, Any], periods: int) -> Size:
    return measure(job_from(config), periods)


def measure(job: Job, periods: int = 2) -> Size:
    """Take a job's start and a few of its iterations.

    Args:
        job: what to measure.
        periods: of the algorithm, that the mean is taken over; one more is not counted.

    Raises:
        InputError: it cannot run here.
    """
    config, device = job.config, pick_device(job.config["device"])
    held = 0 if device.type == "cuda" else _memory("VmRSS")
    began = clock(device)
    problem, algorithm, x, y, seeds = prepared(job, device)
    batch_size = getattr(algorithm, "batch_size", None)
    prepare(problem, x, y, batch_size=batch_size, check=config.get("check", True))
    oracle = Oracle(problem, Streams(seeds, device, x.dtype), batch_size)
    period = getattr(algorithm, "period", 2)
    count = period * periods
    with torch.no_grad():
        state = algorithm.init(oracle, x, y)
        start = clock(device) - began
        for _ in range(period):
            state = algorithm.step(oracle, state)
        before, began = _spent(oracle, period), clock(device)
        for _ in range(count):
            state = algorithm.step(oracle, state)
        iteration = (clock(device) - began) / count
        after, began = _spent(oracle, period + count), clock(device)
        if problem.metrics is not None:
            problem.measured(state["x"], state["y"])
        evaluation = clock(device) - began
    each = {name: (spent - before[name]) / count for name, spent in after.items()}
    epochs = None if config["epochs"] is None else config["epochs"] * (problem.size_lower or math.inf)
    limits = {"iterations": config["steps"], "oracle calls": config["budget"], "lower samples": epochs}
    iterations = min(
        period + max(0, math.ceil((limit - before[name]) / each[name]))
        for name, limit in limits.items()
        if limit is not None and each[name]
    )
    bound = job.problem.memory(algorithm, job.runs, x.dtype)
    return Size(start, iteration, iterations, evaluation, config["log_points"], _peak(device) - held, bound)


def _spent(oracle: Oracle, iterations: int) -> dict[str, float]:
    """What a run's limits are about, of the run that has spent most."""
    calls = float(oracle.calls_per_run().max())
    return {"iterations": iterations, "oracle calls": calls, "lower samples": oracle.lower_samples}


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else _memory("VmHWM")


def _memory(what: str) -> int:
    """Bytes of this process: VmRSS, that it holds, or VmHWM, the most that it ever did."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split(f"{what}:")[1].split()[0]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # where there is no better, for both
    return most * (1 if sys.platform == "darwin" else 1024)
