"""One job: a checked configuration in, a record on disk out. Resumes, never computes twice, notes failures."""

from __future__ import annotations

import errno
import math
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from unibio.errors import InputError
from unibio.pipeline.batch import Saved
from unibio.pipeline.computing import compute_parts, compute_whole, divided
from unibio.pipeline.devices import pick_device
from unibio.pipeline.job import Job
from unibio.pipeline.place import check_writable, unwritable
from unibio.pipeline.provenance import circumstances_of
from unibio.pipeline.replay import replay
from unibio.pipeline.standing import Found, look
from unibio.pipeline.stopping import stop_requests
from unibio.quantiles import worst
from unibio.simulation.trajectories import Interrupted
from unibio.store import heartbeat, parts, records
from unibio.store.codehash import code_hash
from unibio.store.directories import own_files, tidy
from unibio.store.heartbeat import Heartbeat
from unibio.store.records import Record
from unibio.store.writing import check_place


@dataclass(frozen=True)
class Ended:
    """A job's record, and whether it was computed now or found; a record that was replayed counts as found."""

    record: Record
    computed: bool


def existing(job: Job) -> Record | None:
    """The job's record if it is complete, undamaged and stands for today's code: computed by it, or replayed."""
    found = look(job)
    return found.record if found.valid else None


def failed_before(job: Job) -> str | None:
    """Why an earlier attempt with today's code failed; None if there was none, or if the job asks for another."""
    if job.config["retry_failed"]:
        return None
    reason = records.failure(job.path, code_hash(job.modules))
    return None if reason is None else f"failed before, not tried again: {reason}"


class Busy(Exception):
    """Another process is computing this job."""


class FailedBefore(Exception):
    """The job failed earlier, and nobody asked for another attempt."""


def run_job(job: Job, progress: Callable[[int], None] | None = None, wait: bool = True, saved: Saved = None) -> Ended:
    """Return the job's record, computing it if it is not there.

    Where the code has changed since a record was computed, its first iterations are replayed before it is given up, see
    :mod:`unibio.pipeline.replay`.

    Args:
        job: what to run.
        progress: called with the number of finished iterations.
        wait: for another process that computes the same job, to return its record.
        saved: told of every checkpoint of a job that is computed at once, see
            :func:`unibio.simulation.simulate.simulate`.

    Raises:
        InputError: the records directory cannot be written, something else stands in the record's place, or the device
            is not there.
        Busy: another process computes it, and ``wait`` is false.
        FailedBefore: it failed with today's code, and its ``retry_failed`` is false.
        Interrupted: SIGINT, SIGTERM or SIGUSR2 arrived; a checkpoint was written.
        Exception: whatever the computation raised; a failed record holds its traceback.
    """
    check_writable(job.root)
    path = job.path
    # The system releases the lock of a process that is killed: there is no stale one to recover from.
    lock = FileLock(job.root / ".locks" / f"{path.name}.lock")
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise Busy(path.name) from None
    except OSError as error:  # among others, that a link stands in the lock's place
        raise unwritable(job.root, error) from None
    try:
        found = look(job)
        if found.record is not None and (found.valid or _replayed(job, found)):
            tidy(path)
            return Ended(found.record, computed=False)
        check_place(path)
        reason = failed_before(job)
        if reason is not None:
            raise FailedBefore(reason)
        circumstances = circumstances_of(job, pick_device(job.config["device"]))
        return Ended(_attempt(job, path, circumstances, progress, saved), computed=True)
    finally:
        lock.release()


def _replayed(job: Job, found: Found) -> bool:
    """Whether a replay, where it is not known yet, shows that today's code computes the same."""
    if not found.unknown or found.record is None:
        return False
    with stop_requests() as should_stop:
        result = replay(job, found.record, should_stop=should_stop)
    return result is not None and result.equal


#: Errors of a disk, not of a computation: nothing has failed that could not go on once there is room.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def _attempt(
    job: Job, path: Path, circumstances: dict[str, Any], progress: Callable[[int], None] | None, saved: Saved
) -> Record:
    """Compute a job, and note an attempt that does not end in a record."""

    def note(status: str, **more: Any) -> None:
        with suppress(OSError):  # the reason may be the disk itself
            _sweep_up(path)
            records.write_unfinished(path, job.config, {"status": status, **more, **circumstances})

    try:
        path.mkdir(parents=True, exist_ok=True)
        for earlier in ("done", "summary.json"):
            (path / earlier).unlink(missing_ok=True)
        _sweep_up(path)
        with Heartbeat(path, job.config["steps"]) as beat:

            def tell(finished: int) -> None:
                beat.iteration = finished
                if progress is not None:
                    progress(finished)

            return _compute(job, path, circumstances, tell, saved)
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
    for leftover in own_files(path, leftovers=True):
        leftover.unlink(missing_ok=True)


def note_killed(job: Job, reason: str) -> bool:
    """Leave a failed record of a job whose process died without a word.

    Args:
        job: what it computed.
        reason: what is known of its end.

    Returns:
        Whether the job has failed: not if another sweep has taken it over or finished it meanwhile.
    """
    path = job.path
    try:
        with FileLock(job.root / ".locks" / f"{path.name}.lock", timeout=0):
            found = look(job)
            if found.valid:
                return False
            if found.unknown or path.is_symlink():  # it died while it replayed: what is recorded stays
                return True
            # It may have died on a machine with a device that this one lacks.
            summary = {"status": "failed", "traceback": reason, **circumstances_of(job, None)}
            records.write_unfinished(path, job.config, summary)
            (path / heartbeat.FILE).unlink(missing_ok=True)
            return True
    except Timeout:
        return False


def _compute(
    job: Job, path: Path, circumstances: dict[str, Any], progress: Callable[[int], None] | None, saved: Saved
) -> Record:
    # Code that has changed must not continue from numbers that older code computed: its hash is in the files' names.
    tag = circumstances["code_hash"][:12]
    checkpoint = path / f"checkpoint-{tag}.pt"
    for old in path.glob("checkpoint-*.pt"):
        if old != checkpoint:
            old.unlink()
    for old in path.glob("tracked-*.json"):
        if old.stem != f"tracked-{tag}":
            old.unlink()
    parts.remove(path, but=tag)
    with stop_requests() as should_stop:
        pieces = divided(job)
        if len(pieces) == 1:
            found = compute_whole(job, checkpoint, progress, should_stop, saved)
        else:
            found = compute_parts(job, pieces, checkpoint, tag, progress, should_stop)
    summary = {
        "status": "completed",
        "statuses": dict(sorted(Counter(found.runs["status"].tolist()).items())),
        "runs": len(found.runs),
        "iterations": int(found.runs["stopped_at"].max()),
        "seconds": found.seconds[0],
        "seconds_repeats": found.seconds,
        "resumed_from": found.resumed_from,
        "oracle_calls": found.oracle_calls,
        "metrics": _final_metrics(found.ends),
        "warnings": found.warnings,
        **circumstances,
    }
    record = records.write(path, job.config, summary, found.history, found.runs)
    checkpoint.unlink(missing_ok=True)
    parts.remove(path)
    return record


def _final_metrics(ends: pd.DataFrame) -> dict[str, float]:
    """Median over the runs of every metric's last value; NaN where that is not finite in half of them."""
    middle = {name: float(np.median(worst(ends[name]))) for name in ends.columns}
    return {name: value if math.isfinite(value) else math.nan for name, value in middle.items()}
