"""A request to stop reaches every worker of a pool."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import pool_work
from unibio.pipeline import pool
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.job import Job
from unibio.pipeline.pool import run_pool
from unibio.simulation.trajectories import Interrupted
from unibio.store import heartbeat, records
from unibio.store.status import state_of

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
    """SIGTERM to the parent alone: its workers write checkpoints that only their answer to it can have written.

    The job that nobody had yet does not begin.
    """
    *jobs, third = [make(tmp_path, seed) for seed in (0, 1, 2)]

    def stop() -> None:
        until(lambda: all((heartbeat.read(directory(job)) or {}).get("iteration") for job in jobs))  # past their starts
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=stop)
    asking.start()
    with pytest.raises(Interrupted):
        run_pool([*jobs, third], 2, show=False)
    asking.join()
    assert not directory(third).exists()
    for job in jobs:
        assert state_of(directory(job)).state == "interrupted"
        assert len(list(directory(job).glob("checkpoint-*.pt"))) == 1


def test_a_second_interrupt_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even jobs that hear no request, which the first one waits for."""

    def interrupt() -> None:
        until(lambda: len(list(tmp_path.glob("process-*"))) == 2)
        for _ in range(2):
            time.sleep(1)
            assert len(multiprocessing.active_children()) == 2
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(pool, "work", pool_work.deaf)
    asking = threading.Thread(target=interrupt)
    asking.start()
    with pytest.raises(KeyboardInterrupt):
        run_pool([make(tmp_path, seed) for seed in (0, 1)], 2, show=False)
    asking.join()
    assert multiprocessing.active_children() == []
