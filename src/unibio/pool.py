"""Runs jobs in this process or in a pool: one that fails or is killed does not stop the others."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

import torch
from tqdm import tqdm

from unibio.config import Job, job_from
from unibio.errors import InputError
from unibio.job import Busy, FailedBefore, Outcome, note_killed, pick_device, run_job, stop_requests
from unibio.run import Interrupted
from unibio.tracking import track


@dataclass(frozen=True)
class Failure:
    """A job without a record, and why: a traceback, or one line."""

    job: Job
    error: str


#: Told of every job that ends with a record, and whether it was computed here and not by another sweep meanwhile.
Finished = Callable[[Job, bool], object]


def finish_job(job: Job, progress: Callable[[int], None] | None = None, wait: bool = True) -> Outcome:
    """Run a job and, where it was computed now, show it to the tracker."""
    outcome = run_job(job, progress, wait)
    if outcome.computed:
        track(outcome.record, job.config["tracker"], job.root)
    return outcome


def run_pool(
    pending: Sequence[Job], workers: int, show: bool = True, finished: Finished = lambda job, computed: None
) -> list[Failure]:
    """Run jobs in a pool of processes; one job's failure does not stop the others.

    A job that another sweep is computing is left until the end, and its record then waited for.

    Args:
        pending: jobs to run, each for itself.
        workers: processes; 1 runs in this one.
        show: a progress bar over all iterations on a terminal.
        finished: called in this process with every job that ends with a record.

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
            return _in_turn(ordered, bar, finished)
        return _Pool(ordered, min(workers, len(ordered)), bar, finished).run()


def _in_turn(jobs: Sequence[Job], bar: tqdm, finished: Finished) -> list[Failure]:
    failures = []
    waiting, busy = deque(jobs), deque[Job]()
    while waiting or busy:
        wait = not waiting
        job = (waiting or busy).popleft()
        bar.set_description(_label(job))
        try:
            outcome = finish_job(job, _Ticker(bar.update), wait)
            finished(job, outcome.computed)
        except Busy:
            busy.append(job)
        except Interrupted:
            raise
        except Exception as error:
            failures.append(Failure(job, _reason(error)))
            if isinstance(error, torch.AcceleratorError):  # what follows in this process would fail by the same error
                lost = f"not run: the device was lost to this process ({str(error).splitlines()[0]})"
                return failures + [Failure(job, lost) for job in (*waiting, *busy)]
    return failures


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, (FailedBefore, InputError)) else traceback.format_exc()


def _serve(wire: Any) -> None:
    """A worker: takes jobs from a wire until it says None, and tells of their progress and their end."""
    # Between jobs Ctrl-C is the parent's business; during a job it means: write a checkpoint.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def tell(kind: str, content: Any = None) -> None:
        with suppress(OSError):  # without a parent the job is still worth finishing
            wire.send((kind, content))

    with suppress(EOFError, OSError):
        while (task := wire.recv()) is not None:
            config, wait = task
            try:
                outcome = finish_job(job_from(config), _Ticker(lambda steps: tell("ticks", steps)), wait)
            except Busy:
                tell("busy")
            except Interrupted:
                tell("interrupted")
            except torch.AcceleratorError as error:  # the device is lost to this process, not to the next one
                tell("broken", _reason(error))
                return
            except Exception as error:
                tell("failed", _reason(error))
            else:
                tell("finished", outcome.computed)


class _Worker:
    """A process, the wire to it and the job that it has."""

    def __init__(self, slot: int, gpus: Sequence[str]):
        context = multiprocessing.get_context("spawn")
        self.slot = slot
        self.job: Job | None = None
        self.wire, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=False)
        before = os.environ.get("CUDA_VISIBLE_DEVICES")
        if gpus:  # a process reads it when it first asks for a device, so it must stand there at birth
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
        try:
            self.process.start()
        finally:
            if gpus:
                os.environ.pop("CUDA_VISIBLE_DEVICES")
            if before is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = before
        theirs.close()

    def give(self, job: Job, wait: bool) -> None:
        """Hand over a job; a worker that has just died is noticed by who reads from it."""
        self.job = job
        with suppress(OSError):
            self.wire.send((job.portable(), wait))


class _Pool:
    """Workers, each with a wire of its own: a killed one can neither hold a shared queue's lock nor break the rest."""

    def __init__(self, jobs: Sequence[Job], workers: int, bar: tqdm, finished: Finished):
        self.waiting, self.busy = deque(jobs), deque[Job]()
        self.bar, self.finished = bar, finished
        self.failures: list[Failure] = []
        self.stopping = False
        self.gpus = visible_gpus() if pick_device(jobs[0].config["device"]).type == "cuda" else []
        self.workers: dict[Any, _Worker] = {}
        for slot in range(workers):
            self.start(slot)

    def start(self, slot: int) -> None:
        """A new worker with the next job, if there is one."""
        if (self.waiting or self.busy) and not self.stopping:
            worker = _Worker(slot, self.gpus)
            self.workers[worker.wire] = worker
            self.give_next(worker)

    def give_next(self, worker: _Worker) -> None:
        """The next job for a worker, or its end."""
        worker.job = None
        if self.stopping or not (self.waiting or self.busy):
            with suppress(OSError):
                worker.wire.send(None)
        else:
            wait = not self.waiting
            worker.give((self.waiting or self.busy).popleft(), wait)

    def run(self) -> list[Failure]:
        """Everything to its end.

        Raises:
            Interrupted: asked to stop; the workers have written their checkpoints.
        """
        try:
            with stop_requests() as should_stop:
                while self.workers:
                    if should_stop() and not self.stopping:
                        self.stop()
                    for wire in connection.wait(list(self.workers), timeout=0.2):
                        self.hear(self.workers[wire])
        finally:
            for worker in self.workers.values():  # only where an error or a second Ctrl-C leads out of the loop
                worker.process.kill()
        if self.stopping:
            raise Interrupted("the sweep was stopped")
        return self.failures

    def stop(self) -> None:
        """Start nothing more, and have every worker write its checkpoint; after a Ctrl-C they are at it already."""
        self.stopping = True
        for worker in self.workers.values():
            if worker.job is None:
                with suppress(OSError):
                    worker.wire.send(None)
            else:
                worker.process.terminate()

    def hear(self, worker: _Worker) -> None:
        """One message from a worker; the end of the wire is the end of the process."""
        try:
            kind, content = worker.wire.recv()
        except (EOFError, OSError):
            self.bury(worker)
            return
        job = worker.job
        if kind == "ticks":
            self.bar.update(content)
            return
        assert job is not None
        if kind == "finished":
            self.finished(job, content)
        elif kind in ("failed", "broken"):
            self.failures.append(Failure(job, content))
        elif kind == "busy":
            self.busy.append(job)
        elif kind == "interrupted" and not self.stopping:
            worker.job = None
            self.stop()
        if kind == "broken":
            worker.job = None
            self.start(worker.slot)
        else:
            self.give_next(worker)

    def bury(self, worker: _Worker) -> None:
        """A worker has ended: as told, or it was killed, and then its job has failed and another takes its place."""
        worker.process.join()
        worker.wire.close()
        del self.workers[worker.wire]
        if worker.job is not None and not self.stopping:
            reason = _death(worker.process.exitcode or 0)
            if note_killed(worker.job, reason):
                self.failures.append(Failure(worker.job, reason))
            else:  # another sweep has it: its record is waited for
                self.busy.append(worker.job)
            self.start(worker.slot)


def _death(code: int) -> str:
    """How a process ended, from its exit code."""
    if code >= 0:
        return f"the worker process ended by itself with exit code {code}"
    with suppress(ValueError):
        hint = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
        return f"the worker process was killed by {signal.Signals(-code).name}{hint}"
    return f"the worker process was killed by signal {-code}"


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


def visible_gpus() -> list[str]:
    """The CUDA devices this process may use, as CUDA_VISIBLE_DEVICES names them; a negative number ends its list."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = [name.strip() for name in given.split(",") if name.strip()]
        return list(itertools.takewhile(lambda name: not name.startswith("-"), names))
    return [str(index) for index in range(torch.cuda.device_count())]


def default_workers(device: str) -> int:
    """One process per core on the CPU, one per GPU on CUDA."""
    if pick_device(device).type == "cuda":
        return max(1, len(visible_gpus()))
    return max(1, os.cpu_count() or 1)
