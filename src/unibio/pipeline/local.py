"""``launcher=local``: jobs one after the other in this process, and what every launcher does with a job."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from unibio.errors import InputError
from unibio.pipeline.compute import Busy, Ended, FailedBefore, run_job
from unibio.pipeline.job import Job
from unibio.pipeline.live import Live
from unibio.pipeline.tracking import track
from unibio.simulation.trajectories import Interrupted


@dataclass(frozen=True)
class Failure:
    """A job without a record, and why: a traceback, or one line."""

    job: Job
    error: str


#: Told of every job that ends with a record, and whether it was computed here and not by another sweep meanwhile.
Finished = Callable[[Job, bool], object]


def finish_job(job: Job, progress: Callable[[int], None] | None = None, wait: bool = True) -> Ended:
    """Run a job and, where it is computed now, show it to the tracker: while it runs, if it is long, or at its end."""
    live = Live(job)
    try:
        outcome = run_job(job, progress, wait, live.saved)
    except BaseException:
        live.close()
        raise
    if outcome.computed and not live.finish(outcome.record):
        track(outcome.record, job.config["tracker"], job.root)
    return outcome


def reason_of(error: BaseException) -> str:
    """Why a job failed: a traceback, or what was written to be read."""
    return str(error) if isinstance(error, (FailedBefore, InputError)) else traceback.format_exc()


def run_in_turn(jobs: Sequence[Job], bar: tqdm, finished: Finished) -> list[Failure]:
    """Run jobs; those that another sweep is computing are left until the end, and then waited for.

    Args:
        jobs: in their order.
        bar: moved by their iterations.
        finished: called with every job that ends with a record.

    Returns:
        The jobs that failed; after the loss of the device these are all that were left.

    Raises:
        Interrupted: asked to stop.
    """
    failures = []
    waiting, busy = deque(jobs), deque[Job]()
    while waiting or busy:
        wait = not waiting
        job, start = (waiting or busy).popleft(), bar.n
        bar.set_description(str(job.config["experiment"] or job.problem.name))

        def tick(done: int, start: int = start) -> None:
            bar.update(max(0, start + done - bar.n))

        try:
            finished(job, finish_job(job, tick, wait).computed)
        except Busy:
            busy.append(job)
        except Interrupted:
            raise
        except Exception as error:
            failures.append(Failure(job, reason_of(error)))
            if isinstance(error, torch.AcceleratorError):  # what follows in this process would fail by the same error
                lost = f"not run: the device was lost to this process ({str(error).splitlines()[0]})"
                return failures + [Failure(job, lost) for job in (*waiting, *busy)]
    return failures
