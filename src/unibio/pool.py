"""A local pool that runs jobs: one failing does not stop the others, and a stop keeps what is computed."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from unibio import records
from unibio.config import Job, job_from
from unibio.job import Outcome, pick_device, run_job
from unibio.run import Interrupted
from unibio.tracking import track


@dataclass(frozen=True)
class Failure:
    """A job that raised."""

    job: Job
    error: str


def finish_job(job: Job, progress: Callable[[int], None] | None = None) -> Outcome:
    """Run a job and, where it was computed now, show it to the tracker."""
    outcome = run_job(job, progress)
    if outcome.computed:
        track(outcome.record, job.config["tracker"], job.root)
    return outcome


def run_pool(pending: Sequence[Job], workers: int, show: bool = True) -> list[Failure]:
    """Run jobs in a pool of processes; one job's failure does not stop the others.

    Args:
        pending: jobs to run, each for itself.
        workers: processes; 1 runs in this one.
        show: a progress bar over all iterations on a terminal.

    Returns:
        The jobs that failed, in order of failing.

    Raises:
        Interrupted: the sweep was asked to stop; everything computed so far is kept.
    """
    total = sum(job.config["steps"] or 0 for job in pending)
    # Longest first, so that no long job starts last; many rows make an iteration long.
    ordered = sorted(pending, key=lambda job: -(job.config["steps"] or 0) * (500 + job.runs))
    with tqdm(total=total, unit="it", unit_scale=True, disable=None if show else True, smoothing=0.05) as bar:
        if workers == 1 or len(ordered) <= 1:
            return _in_turn(ordered, bar)
        return _in_pool(ordered, min(workers, len(ordered)), bar)


def _in_turn(jobs: Sequence[Job], bar: tqdm) -> list[Failure]:
    failures = []
    for job in jobs:
        bar.set_description(_label(job))
        try:
            finish_job(job, _Ticker(bar.update))
        except Interrupted:
            raise
        except Exception:
            failures.append(Failure(job, traceback.format_exc()))
    return failures


_worker: dict[str, Any] = {}


def _start_worker(queue: Any) -> None:
    _worker["ticks"] = queue


def _work(config: dict[str, Any]) -> None:
    if "stopped" in _worker:  # the pool hands out one job more than there are workers
        raise Interrupted("not begun")
    try:
        finish_job(job_from(config), _Ticker(_worker["ticks"].put))
    except Interrupted:
        _worker["stopped"] = True
        raise


def _in_pool(jobs: Sequence[Job], workers: int, bar: tqdm) -> list[Failure]:
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(queue, bar), daemon=True)
    listener.start()
    failures: list[Failure] = []
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(queue,))
    try:
        futures = {pool.submit(_work, job.portable()): job for job in jobs}
        for future in as_completed(futures):
            error = future.exception()
            if isinstance(error, Interrupted):
                raise error
            if error is not None:
                failures.append(Failure(futures[future], "".join(traceback.format_exception(error))))
    except (KeyboardInterrupt, Interrupted):
        # The workers got the same signal and are writing their checkpoints; jobs not begun are dropped.
        pool.shutdown(wait=True, cancel_futures=True)
        raise Interrupted("the sweep was stopped") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        queue.put(None)
        listener.join(timeout=5)
    return failures


def _listen(queue: Any, bar: tqdm) -> None:
    while (steps := queue.get()) is not None:
        bar.update(steps)


class _Ticker:
    """Turns "iterations finished so far" into increments, a few a second."""

    def __init__(self, add: Callable[[int], Any]):
        self._add, self._told, self._when = add, 0, time.monotonic()

    def __call__(self, finished: int) -> None:
        now = time.monotonic()
        if now - self._when > 0.2 or finished < self._told:
            self._add(max(0, finished - self._told))
            self._told, self._when = finished, now


def _label(job: Job) -> str:
    return f"{job.config['experiment'] or job.problem.name}"


def report_failures(failures: Sequence[Failure]) -> None:
    """A table of what failed and why, on stderr."""
    for failure in failures:
        name = records.record_name(failure.job.config)
        reason = failure.error.strip().splitlines()[-1]
        print(
            f"unibio: failed: {name}: {reason}\n  full traceback: {failure.job.root / name}/summary.json",
            file=sys.stderr,
        )


def default_workers(device: str) -> int:
    """One process per core on the CPU, one on a CUDA device."""
    return 1 if pick_device(device).type == "cuda" else max(1, os.cpu_count() or 1)
