"""One job: a checked configuration in, a record on disk out. Resumes, never computes twice, notes failures."""

from __future__ import annotations

import errno
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from unibio import heartbeat, records
from unibio.algorithms.base import Algorithm
from unibio.checkpoint import DamagedCheckpoint
from unibio.codehash import code_hash
from unibio.config import Job, specs_for
from unibio.errors import InputError
from unibio.grid import history_table, runs_table
from unibio.heartbeat import Heartbeat
from unibio.oracle import KINDS, POINTS
from unibio.problem import Problem
from unibio.provenance import circumstances_of, modules_of
from unibio.records import Record
from unibio.run import Interrupted, Settings, Trajectories, simulate


@dataclass(frozen=True)
class Outcome:
    """A job's record, and whether it was computed now or found."""

    record: Record
    computed: bool


def existing(job: Job) -> Record | None:
    """The job's record if it is complete, undamaged and computed by today's code."""
    record = records.find(job.root / records.record_name(job.config))
    return None if record is None or record.stale else record


def failed_before(job: Job) -> str | None:
    """Why an earlier attempt with today's code failed; None if there was none, or if the job asks for another."""
    if job.config["retry_failed"]:
        return None
    reason = records.failure(job.root / records.record_name(job.config), code_hash(modules_of(job)))
    return None if reason is None else f"failed before, not tried again: {reason}"


class Busy(Exception):
    """Another process is computing this job."""


class FailedBefore(Exception):
    """The job failed earlier, and nobody asked for another attempt."""


def run_job(job: Job, progress: Callable[[int], None] | None = None, wait: bool = True) -> Outcome:
    """Return the job's record, computing it if it is not there.

    Args:
        job: what to run.
        progress: called with the number of finished iterations.
        wait: for another process that computes the same job, to return its record.

    Raises:
        InputError: the records directory cannot be written, or the device is not there.
        Busy: another process computes it, and ``wait`` is false.
        FailedBefore: it failed with today's code, and its ``retry_failed`` is false.
        Interrupted: SIGINT, SIGTERM or SIGUSR2 arrived; a checkpoint was written.
        Exception: whatever the computation raised; a failed record holds its traceback.
    """
    check_writable(job.root)
    path = job.root / records.record_name(job.config)
    # The system releases the lock of a process that is killed: there is no stale one to recover from.
    lock = FileLock(job.root / ".locks" / f"{path.name}.lock")
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise Busy(path.name) from None
    try:
        found = existing(job)
        if found is not None:
            return Outcome(found, computed=False)
        reason = failed_before(job)
        if reason is not None:
            raise FailedBefore(reason)
        circumstances = circumstances_of(job, pick_device(job.config["device"]))
        return Outcome(_attempt(job, path, circumstances, progress), computed=True)
    finally:
        lock.release()


#: Errors of a disk, not of a computation: nothing has failed that could not go on once there is room.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def _attempt(job: Job, path: Path, circumstances: dict[str, Any], progress: Callable[[int], None] | None) -> Record:
    """Compute a job, and note an attempt that does not end in a record."""

    def note(status: str, **more: Any) -> None:
        with suppress(OSError):  # the reason may be the disk itself
            _sweep_up(path)
            records.write_unfinished(path, job.config, {"status": status, **more, **circumstances})

    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "summary.json").unlink(missing_ok=True)  # of an earlier attempt
        _sweep_up(path)
        with Heartbeat(path, job.config["steps"]) as beat:

            def tell(finished: int) -> None:
                beat.iteration = finished
                if progress is not None:
                    progress(finished)

            return _compute(job, path, circumstances, tell)
    except Interrupted:
        note("interrupted")
        raise
    except OSError as error:
        if error.errno not in _NO_ROOM:
            note("failed", traceback=traceback.format_exc())
            raise
        note("interrupted")
        raise unwritable(job.root, error) from None
    except InputError:  # said at once, and by what is true now: too little memory may be enough the next time
        note("interrupted")
        raise
    except Exception:
        note("failed", traceback=traceback.format_exc())
        raise


def _sweep_up(path: Path) -> None:
    """Remove what writes that were cut off left; nobody else writes there, since this process has the lock."""
    for leftover in path.glob(".*"):
        leftover.unlink(missing_ok=True)


def note_killed(job: Job, reason: str) -> bool:
    """Leave a failed record of a job whose process died without a word.

    Args:
        job: what it computed.
        reason: what is known of its end.

    Returns:
        Whether the job has failed: not if another sweep has taken it over or finished it meanwhile.
    """
    path = job.root / records.record_name(job.config)
    try:
        with FileLock(job.root / ".locks" / f"{path.name}.lock", timeout=0):
            if existing(job) is not None:
                return False
            # It may have died on a machine with a device that this one lacks.
            summary = {"status": "failed", "traceback": reason, **circumstances_of(job, None)}
            records.write_unfinished(path, job.config, summary)
            (path / heartbeat.FILE).unlink(missing_ok=True)
            return True
    except Timeout:
        return False


def _compute(job: Job, path: Path, circumstances: dict[str, Any], progress: Callable[[int], None] | None) -> Record:
    config = job.config
    # Code that has changed must not continue from numbers that older code computed: its hash is in the file's name.
    checkpoint = path / f"checkpoint-{circumstances['code_hash'][:12]}.pt"
    for old in path.glob("checkpoint-*.pt"):
        if old != checkpoint:
            old.unlink()
    with stop_requests() as should_stop:
        try:
            outcome: Trajectories | None = simulation(job, checkpoint, progress, should_stop)
        except DamagedCheckpoint:
            checkpoint.unlink()
            outcome = None  # begun again outside of here, where the error no longer holds what it had in memory
        if outcome is None:
            outcome = simulation(job, checkpoint, progress, should_stop)
        repeats = [outcome.seconds]
        repeats += [simulation(job, None, progress, should_stop).seconds for _ in range(config["repeats"] - 1)]
    table = job.table
    runs = runs_table(outcome, table)
    history = history_table(outcome, table)
    summary = {
        "status": "completed",
        "statuses": {status: outcome.status.count(status) for status in sorted(set(outcome.status))},
        "runs": len(runs),
        "iterations": int(max(outcome.stopped_at)),
        "seconds": outcome.seconds,
        "seconds_repeats": repeats,
        "resumed_from": outcome.resumed_from,
        "oracle_calls": int(history.groupby("run")["oracle_calls"].max().sum()),
        "metrics": _final_metrics(history, set(table.columns)),
        "warnings": list(outcome.diagnosis.warnings),
        **circumstances,
    }
    record = records.write(path, config, summary, history, runs)
    checkpoint.unlink(missing_ok=True)
    return record


def simulation(
    job: Job,
    checkpoint: Path | None = None,
    progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    steps: int | None = None,
) -> Trajectories:
    """The job's simulation; ``steps`` shortens it, to estimate how long it will take."""
    config = job.config
    problem, algorithm, x, y, seeds = beginning(job, pick_device(config["device"]))
    settings = Settings(
        steps=steps or config["steps"],
        budget=config["budget"],
        log_points=config["log_points"],
        targets=config["targets"],
        checkpoint=checkpoint,
        checkpoint_seconds=config["checkpoint_seconds"],
        epochs=config["epochs"],
    )
    return simulate(
        problem, algorithm, x, y, seeds=seeds, settings=settings, progress=progress, should_stop=should_stop
    )


def beginning(job: Job, device: torch.device) -> tuple[Problem, Algorithm, Tensor, Tensor, list[int]]:
    """The job's problem and algorithm, its starts (runs, d_x) and (runs, d_y) on the device, and a seed for every run.

    Sets the number of threads that the job asks for.

    Raises:
        InputError: its memory is not there, or the problem brings no start.
    """
    config = job.config
    torch.set_num_threads(config["threads"])
    spec, algorithm = specs_for(job, device)
    dtype = getattr(torch, config["dtype"])
    spec.check_memory(algorithm, job.runs, dtype, device)
    problem = spec.build()
    if problem.start is None:
        raise InputError(f"problem {problem.name!r} brings no start, which a configured run needs")
    x, y = (start.to(device, dtype).expand(job.runs, -1).clone() for start in problem.start)
    table = job.table
    return problem, algorithm, x, y, table["seed"].tolist() if "seed" in table else [config["seed"]] * job.runs


def pick_device(name: str) -> torch.device:
    """The device of a configuration; "auto" takes CUDA where there is one.

    Raises:
        InputError: CUDA asked for and not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        why = f"sees no CUDA device (nvidia-smi tells whether the driver is one for CUDA {torch.version.cuda})"
        if torch.version.cuda is None:
            why = "is a build without CUDA"
        raise InputError(f"device = cuda, but this PyTorch {why}; use device=cpu or device=auto")
    return torch.device(name)


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """A question "has someone asked us to stop?" that SIGINT, SIGTERM and SIGUSR2 answer with yes.

    A second SIGINT raises KeyboardInterrupt at once. Outside the main thread, where Python allows no handlers, the
    answer stays no.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    previous: dict[int, Any] = {}

    def handler(number: int, frame: Any) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    for name in ("SIGINT", "SIGTERM", "SIGUSR2"):
        if hasattr(signal, name):
            number = getattr(signal, name)
            previous[number] = signal.signal(number, handler)
    try:
        yield asked.is_set
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


def check_writable(root: Path) -> None:
    """Try to write into the records directory, creating it.

    Raises:
        InputError: that does not work.
    """
    try:
        (root / ".locks").mkdir(parents=True, exist_ok=True)
        probe = root / f".writable-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise unwritable(root, error) from None


def unwritable(root: Path, error: OSError) -> InputError:
    """What is said of a records directory that cannot be written."""
    room = "make room and give the same command, which goes on from the last checkpoint, or "
    return InputError(
        f"records = {root} cannot be written: {os.strerror(error.errno) if error.errno else error}; "
        f"{room if error.errno in (errno.ENOSPC, errno.EDQUOT) else ''}choose another directory with records=DIR"
    )


def _final_metrics(history: pd.DataFrame, axes: set[str]) -> dict[str, float]:
    """Median over the runs of every metric's last value."""
    last = history.groupby("run").tail(1)
    skip = {"run", "iteration", "oracle_calls", "seconds", *KINDS, *POINTS, *axes}
    return {name: float(last[name].median()) for name in last.columns if name not in skip}
