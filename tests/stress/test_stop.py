"""A request to stop reaches every worker of a pool."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from unibio import heartbeat, records
from unibio.config import Job
from unibio.pool import run_pool
from unibio.run import Interrupted
from unibio.status import state_of
from unibio.sweep import composer, expand

WORDS = ("steps=10000000", "log_points=5", "checkpoint_seconds=10000", "tracker=none")


def make(root: Path, seed: int) -> Job:
    with composer() as compose_one:
        (job,) = expand([*WORDS, f"seed={seed}", f"records={root}"], compose_one)
    return job


def directory(job: Job) -> Path:
    return job.root / records.record_name(job.config)


def until(true: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_stop_request_reaches_a_pool_and_its_jobs_go_on(tmp_path: Path) -> None:
    """SIGTERM to the parent alone: its workers write checkpoints that only their answer to it can have written."""
    jobs = [make(tmp_path, seed) for seed in (0, 1)]

    def stop() -> None:
        until(lambda: all((heartbeat.read(directory(job)) or {}).get("iteration") for job in jobs))  # past their starts
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=stop)
    asking.start()
    with pytest.raises(Interrupted):
        run_pool(jobs, 2, show=False)
    asking.join()
    for job in jobs:
        assert state_of(directory(job)).state == "interrupted"
        assert len(list(directory(job).glob("checkpoint-*.pt"))) == 1
