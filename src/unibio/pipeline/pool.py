"""Runs jobs in this process or in several: one that fails or is killed does not stop the others.

The several are those of Pebble's pool, which puts another in the place of one that dies, and says whose task died.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from unibio.errors import InputError
from unibio.pipeline.compute import note_killed
from unibio.pipeline.devices import pick_device, visible_gpus
from unibio.pipeline.job import Job
from unibio.pipeline.local import Failure, Finished, run_in_turn
from unibio.pipeline.stopping import stop_requests
from unibio.pipeline.worker import STOP, begin, work
from unibio.simulation.trajectories import Interrupted
from unibio.store import heartbeat

#: Seconds between two looks at running jobs, and between two tries of a job that another sweep is computing.
LOOK, TRY_AGAIN = 0.2, 0.5

#: Seconds that Pebble gets to say itself that a process has ended; it never does where the exit code is 0.
GONE = 3.0

#: How often in a row a pool may break before a job comes back from it.
BREAKS = 3


def run_pool(
    pending: Sequence[Job], workers: int, show: bool = True, finished: Finished = lambda job, computed: None
) -> list[Failure]:
    """Run jobs in several processes; one job's failure does not stop the others.

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
            return run_in_turn(ordered, bar, finished)
        return _Pool(ordered, min(workers, len(ordered)), bar, finished).run()


class _Pool:
    """A sweep's jobs on their way through Pebble's pool, which never has more of them than processes.

    What waits can thus be kept back, and what runs is asked to stop by a signal: to cancel a task would kill it.
    """

    def __init__(self, jobs: Sequence[Job], workers: int, bar: tqdm, finished: Finished):
        self.waiting, self.busy = deque(jobs), deque[Job]()
        self.running: dict[Future, Job] = {}
        self.gone: dict[Future, float] = {}  # since when
        self.workers, self.bar, self.finished = workers, bar, finished
        self.gpus = visible_gpus() if pick_device(jobs[0].config["device"]).type == "cuda" else []
        self.failures: list[Failure] = []
        self.iterations: dict[str, int] = {}
        self.stopping, self.breaks, self.try_again = False, 0, 0.0

    def run(self) -> list[Failure]:
        """Everything to its end.

        Raises:
            Interrupted: asked to stop; the running jobs have written their checkpoints.
        """
        with TemporaryDirectory(prefix="unibio-") as folder, stop_requests() as should_stop:
            self.folder = Path(folder)
            self.open()
            try:
                while self.running or (not self.stopping and (self.waiting or self.busy)):
                    if self.stopping or should_stop():
                        self.stop()
                    else:
                        self.hand_over()
                    self.take_back()
            except BaseException:  # an error, or a second Ctrl-C
                self.pool.stop()
                for process in self.processes():
                    process.kill()
                raise
            finally:
                self.close()
        if self.stopping:
            raise Interrupted("the sweep was stopped")
        return self.failures

    def open(self) -> None:
        """A pool without tasks."""
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPool(self.workers, initializer=begin, initargs=(self.folder, self.gpus), context=context)

    def close(self) -> None:
        """End the pool: processes without a task leave at once, others have three seconds."""
        self.pool.stop()
        self.pool.join()

    def processes(self) -> list[multiprocessing.process.BaseProcess]:
        """Those of the pool that have begun."""
        return [child for child in multiprocessing.active_children() if (self.folder / str(child.pid)).exists()]

    def hand_over(self) -> None:
        """A job for every process that has none."""
        while len(self.running) < self.workers and (job := self.next()) is not None:
            try:
                self.running[self.pool.schedule(work, (job.portable(), self.folder))] = job
            except RuntimeError:
                self.waiting.appendleft(job)
                break
        else:
            if self.pool.active:
                return
        # Broken: a process ended while none had a job, or none can be started. What runs will go on from checkpoints.
        self.close()
        self.waiting.extendleft(self.running.values())
        self.running.clear()
        self.breaks += 1
        if self.breaks == BREAKS:
            raise InputError("the processes of the pool end before they take a job, as said above; try launcher=local")
        self.open()

    def next(self) -> Job | None:
        """The next job; last, and from time to time, come those that another sweep was found to compute."""
        if self.waiting:
            return self.waiting.popleft()
        if not self.busy or time.monotonic() < self.try_again:
            return None
        self.try_again = time.monotonic() + TRY_AGAIN
        return self.busy.popleft()

    def stop(self) -> None:
        """Let nothing more begin, and ask for checkpoints, until all have ended: who has just begun may not hear it."""
        self.stopping = True
        if (self.folder / STOP).exists():
            self.running = {task: job for task, job in self.running.items() if task.running() or task.done()}
        (self.folder / STOP).touch()
        for process in self.processes():
            process.terminate()

    def take_back(self) -> None:
        """What has ended since, and what the others' signs of life say of their progress."""
        if not self.running:
            time.sleep(LOOK)
        for task in [*wait(self.running, LOOK, FIRST_COMPLETED).done, *self.left()]:
            job = self.running.pop(task)
            how, content = self.outcome(task, job)
            if how == "finished":
                self.finished(job, content)
            elif how == "failed":
                self.failures.append(Failure(job, content))
            elif how == "busy":
                self.busy.append(job)
            elif how == "interrupted":
                self.stopping = True
            else:
                self.waiting.appendleft(job)
            self.breaks = self.breaks if how == "lost" else 0
            if how in ("finished", "failed") and job.config["steps"]:
                self.iterations[job.name] = job.config["steps"]
        for job in () if self.bar.disable else self.running.values():
            if beat := heartbeat.read(job.path):
                self.iterations[job.name] = beat.get("iteration") or 0
        self.bar.update(sum(self.iterations.values()) - self.bar.n)

    def left(self) -> list[Future]:
        """Tasks whose process has ended in their middle as if all were well, of which Pebble says nothing."""
        alive, now = {child.pid for child in multiprocessing.active_children()}, time.monotonic()
        for task, job in self.running.items():
            with suppress(OSError, ValueError):  # it has not begun, or its file is being written
                if int((self.folder / job.name).read_text()) not in alive and not task.done():
                    self.gone.setdefault(task, now)
        self.gone = {task: since for task, since in self.gone.items() if task in self.running and not task.done()}
        return [task for task, since in self.gone.items() if now - since > GONE]

    def outcome(self, task: Future, job: Job) -> tuple[str, Any]:
        """What :func:`work` told, or what is known of a process that died over it."""
        if not task.done():
            return self.died(job, 0)
        try:
            told: tuple[str, Any] = task.result()
            return told
        except BrokenProcessPool:
            return "lost", None
        except ProcessExpired as end:
            last_words = (self.folder / str(end.pid)).read_text(encoding="utf-8")
            if last_words:
                return "failed", last_words
            return ("interrupted", None) if self.stopping else self.died(job, end.exitcode)

    def died(self, job: Job, code: int) -> tuple[str, Any]:
        """What to make of a job whose process has ended by itself, or was killed."""
        (self.folder / job.name).unlink(missing_ok=True)
        reason = _death(code)
        # Its record may be there all the same, or another sweep may have taken it over: it is asked for once more.
        return ("failed", reason) if note_killed(job, reason) else ("busy", None)


def _death(code: int) -> str:
    """How a process ended, from its exit code."""
    if code >= 0:
        return f"the worker process ended by itself with exit code {code}"
    with suppress(ValueError):
        hint = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
        return f"the worker process was killed by {signal.Signals(-code).name}{hint}"
    return f"the worker process was killed by signal {-code}"
