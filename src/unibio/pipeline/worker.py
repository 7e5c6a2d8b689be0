"""A process that computes jobs of a sweep one after the other: how it begins, what it tells of a job, when it ends.

It shares a directory with its parent. A file there is named after each process and holds its last words, if any; one
after each job that has begun, and holds the id of its process; others are the locks of GPUs; and one, once it is there,
says that no job shall begin.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from unibio.pipeline.compute import Busy
from unibio.pipeline.job import job_from
from unibio.pipeline.local import finish_job, reason_of
from unibio.pipeline.stopping import ignore_requests
from unibio.simulation.trajectories import Interrupted

#: The file that says that no job shall begin.
STOP = "stop"

#: Locks of this process, as long as it lives.
_held: list[FileLock] = []


def begin(folder: Path, gpus: Sequence[str]) -> None:
    """What a process does before its first job.

    Args:
        folder: that it shares with its parent.
        gpus: to be had, of which it takes one; empty on the CPU.
    """
    ignore_requests()
    threading.Thread(target=_outlive_no_parent, daemon=True).start()
    if gpus:
        take_gpu(folder, gpus)
    (folder / str(os.getpid())).write_text("")


def take_gpu(folder: Path, gpus: Sequence[str]) -> None:
    """Have this process see one GPU alone: that of the first place that no living process has.

    It must be called before CUDA is first asked for anything. Where there are more places than GPUs, they are shared.
    """
    place = 0
    while not _held:
        lock = FileLock(folder / f"gpu-{place}.lock")  # the system gives back that of a process that dies
        try:
            lock.acquire(blocking=False)
            _held.append(lock)
        except Timeout:
            place += 1
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]


def work(config: dict[str, Any], folder: Path) -> tuple[str, Any]:
    """Run a job, and tell its end in words, since not every exception can be sent.

    Returns:
        ("finished", whether it was computed now), ("failed", why), ("busy", None) where another sweep computes it, or
        ("interrupted", None).
    """
    if (folder / STOP).exists():
        return "interrupted", None
    try:
        job = job_from(config)
        (folder / job.name).write_text(str(os.getpid()))
        return "finished", finish_job(job, wait=False).computed
    except Busy:
        return "busy", None
    except (Interrupted, KeyboardInterrupt):
        return "interrupted", None
    except torch.AcceleratorError as error:  # the device is lost to this process, not to the one that takes its place
        try:
            (folder / str(os.getpid())).write_text(reason_of(error), encoding="utf-8")
        finally:
            os._exit(1)
    except BaseException as error:
        return "failed", reason_of(error)


def _outlive_no_parent() -> None:
    """Have a job that computes for nobody write its checkpoint and end; without a job the closed pipe is the end."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    while True:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
