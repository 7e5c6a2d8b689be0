"""``launcher=slurm``: every job an element of a SLURM array, through submitit as Hydra's submitit launcher uses it.

That launcher itself stops waiting at the first job that is killed, and composes every configuration again in its job.
Here a job takes the checked configuration along, and the sweep waits for all.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from unibio.errors import InputError
from unibio.pipeline.compute import existing, note_killed
from unibio.pipeline.job import Job, job_from
from unibio.pipeline.local import Failure, Finished, finish_job
from unibio.pipeline.schema import slurm_parameters
from unibio.simulation.trajectories import Interrupted
from unibio.store import heartbeat
from unibio.store.status import state_of

#: How often a job is submitted that dies before it begins: a signal may come while Python is still starting.
SUBMISSIONS = 3

#: SLURM's default MaxArraySize is 1001.
LARGEST_ARRAY = 1000


class Task:
    """What one SLURM job runs; submitit carries it there and back."""

    def __call__(self, config: dict[str, Any]) -> str | None:
        """Compute a job; returns its traceback if it failed, after its record was written."""
        try:
            finish_job(job_from(config))
        except Interrupted:
            if _still_wanted():
                # submitit's own handler, back in place after ours: it queues this job again and leaves.
                signal.raise_signal(signal.SIGUSR2)
            raise
        except Exception:
            return traceback.format_exc()
        return None

    def checkpoint(self, config: dict[str, Any]) -> Any:
        """Called by submitit before it queues a job again: the same once more, which goes on from its checkpoint."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, config)


def _still_wanted() -> bool:
    """Whether SLURM means to have this job run: not when it sent SIGTERM because of ``scancel``."""
    number = os.environ.get("SLURM_JOB_ID", "")
    try:
        asked = subprocess.run(
            ("squeue", "--noheader", "--jobs", number, "--format", "%T"),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return True
    return asked.stdout.strip() == "RUNNING"


def submit(jobs: Sequence[Job], finished: Finished) -> list[Failure]:
    """Submit jobs as arrays, and wait for all of them.

    Args:
        jobs: of one sweep.
        finished: called with every job that ends with a record.

    Returns:
        Those that failed, were killed or cancelled.

    Raises:
        InputError: there is no SLURM here, or it does not take the jobs.
        Interrupted: Ctrl-C; the jobs go on in SLURM.
    """
    if shutil.which("sbatch") is None:
        raise InputError("launcher=slurm needs SLURM's sbatch, which is not on this machine; use launcher=processes")
    import submitit

    launcher, root = jobs[0].config["launcher"], jobs[0].root.resolve()
    executor = submitit.AutoExecutor(
        root / ".slurm" / "%j", cluster="slurm", slurm_max_num_timeout=launcher.get("max_num_timeout", 100)
    )
    executor.update_parameters(name="unibio", **slurm_parameters(launcher))
    failures: list[Failure] = []
    waiting = list(jobs)
    for left in reversed(range(SUBMISSIONS)):
        handles = _submitted(executor, waiting, root)
        unborn, failed = _wait(handles, finished)
        failures += failed
        waiting = [job for job, _ in unborn]
        if not left:
            failures += [Failure(job, f"{reason} before it began, {SUBMISSIONS} times") for job, reason in unborn]
        if not waiting:
            break
        print(f"unibio: {len(waiting)} SLURM jobs ended before they began", flush=True)
    return failures


def _submitted(executor: Any, jobs: Sequence[Job], root: Path) -> list[tuple[Any, Job]]:
    import submitit

    handles: list[tuple[Any, Job]] = []
    try:
        for start in range(0, len(jobs), LARGEST_ARRAY):
            part = jobs[start : start + LARGEST_ARRAY]
            configs = [job.portable() | {"records": str(root)} for job in part]
            handles += zip(executor.map_array(Task(), configs), part, strict=True)
    except submitit.core.utils.FailedJobError as error:
        said = [line for line in str(error).splitlines() if line.strip()]
        raise InputError(f"SLURM refuses the jobs: {said[-1] if said else error}") from None
    arrays = sorted({handle.job_id.partition("_")[0] for handle, _ in handles})
    print(f"unibio: SLURM jobs {', '.join(arrays)}; output in {root}/.slurm", flush=True)
    return handles


def _wait(
    waiting: list[tuple[Any, Job]], finished: Finished, pause: float = 1.0
) -> tuple[list[tuple[Job, str]], list[Failure]]:
    """Wait for SLURM jobs; returns those that died before they began, with how, and those that failed."""
    unborn: list[tuple[Job, str]] = []
    failures: list[Failure] = []
    arrays = sorted({handle.job_id.partition("_")[0] for handle, _ in waiting})
    try:
        with tqdm(total=len(waiting), unit="job", disable=None) as bar:
            while waiting:
                ended = [(handle, job) for handle, job in waiting if handle.done()]
                waiting = [pair for pair in waiting if pair not in ended]
                for handle, job in ended:
                    bar.update()
                    reason = _outcome(handle, job)
                    if reason is None:
                        finished(job, True)
                    elif _unborn(handle, job):
                        unborn.append((job, reason))
                    else:
                        failures.append(Failure(job, reason))
                if waiting:
                    time.sleep(pause)
    except KeyboardInterrupt:
        raise Interrupted(
            f"no longer waiting; the jobs go on in SLURM (unibio status shows, scancel {' '.join(arrays)} ends them)"
        ) from None
    return unborn, failures


def _unborn(handle: Any, job: Job) -> bool:
    """Whether an ended SLURM job never began to compute, and nobody cancelled it."""
    cancelled = handle.state.upper().startswith("CANCELLED")
    return not cancelled and state_of(job.path).state == "to do"


def _outcome(handle: Any, job: Job) -> str | None:
    """Why an ended SLURM job left no record; None if it left one. Where it died in the middle, that is noted."""
    import submitit

    path = job.path
    try:
        said = handle.result()
    except submitit.core.utils.FailedJobError:  # its process raised, which is Interrupted
        return f"SLURM job {handle.job_id} was stopped ({handle.state}); the same command goes on from its checkpoint"
    except submitit.core.utils.UncompletedJobError:  # its process died without a word
        said = f"SLURM job {handle.job_id} was killed (its state: {handle.state}); output in {handle.paths.stderr}"
        if heartbeat.read(path) is not None:
            note_killed(job, said)
    return None if existing(job) is not None else said or "it left no record"
