"""One job: a checked configuration in, a record on disk out. Resumes, never computes twice, notes failures."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock

from unibio import records
from unibio.checkpoint import DamagedCheckpoint
from unibio.codehash import code_hash
from unibio.config import Job, specs_for
from unibio.errors import InputError
from unibio.grid import history_table, runs_table
from unibio.oracle import KINDS, POINTS
from unibio.records import Record
from unibio.run import Interrupted, Settings, Trajectories, simulate

_VERSIONS = ("torch", "numpy", "pandas", "hydra-core", "omegaconf")


@dataclass(frozen=True)
class Outcome:
    """A job's record, and whether it was computed now or found."""

    record: Record
    computed: bool


def existing(job: Job) -> Record | None:
    """The job's record if it is complete, undamaged and computed by today's code."""
    record = records.find(job.root / records.record_name(job.config))
    return None if record is None or record.stale else record


def run_job(job: Job, progress: Callable[[int], None] | None = None) -> Outcome:
    """Return the job's record, computing it if it is not there.

    Args:
        job: what to run.
        progress: called with the number of finished iterations.

    Raises:
        InputError: the records directory cannot be written, or the device is not there.
        Interrupted: SIGINT, SIGTERM or SIGUSR2 arrived; a checkpoint was written.
        Exception: whatever the computation raised; a failed record holds its traceback.
    """
    _check_writable(job.root)
    path = job.root / records.record_name(job.config)
    with FileLock(job.root / ".locks" / f"{path.name}.lock"):
        found = existing(job)
        if found is not None:
            return Outcome(found, computed=False)
        try:
            return Outcome(_compute(job, path, progress), computed=True)
        except Interrupted:
            records.write_unfinished(path, job.config, {"status": "interrupted", **_circumstances(job)})
            raise
        except Exception:
            summary = {"status": "failed", "traceback": traceback.format_exc(), **_circumstances(job)}
            records.write_unfinished(path, job.config, summary)
            raise


def _compute(job: Job, path: Path, progress: Callable[[int], None] | None) -> Record:
    config = job.config
    circumstances = _circumstances(job)
    # Code that has changed must not continue from numbers that older code computed: its hash is in the file's name.
    checkpoint = path / f"checkpoint-{circumstances['code_hash'][:12]}.pt"
    path.mkdir(parents=True, exist_ok=True)
    for old in path.glob("checkpoint-*.pt"):
        if old != checkpoint:
            old.unlink()
    with stop_requests() as should_stop:
        try:
            outcome = simulation(job, checkpoint, progress, should_stop)
        except DamagedCheckpoint:
            checkpoint.unlink()
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
    config, device = job.config, pick_device(job.config["device"])
    torch.set_num_threads(config["threads"])
    problem_spec, algorithm = specs_for(job, device)
    problem = problem_spec.build()
    if problem.start is None:
        raise InputError(f"problem {problem.name!r} brings no start, which a configured run needs")
    dtype = getattr(torch, config["dtype"])
    x, y = (start.to(device, dtype).expand(job.runs, -1).clone() for start in problem.start)
    table = job.table
    seeds = table["seed"].tolist() if "seed" in table else [config["seed"]] * job.runs
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


def pick_device(name: str) -> torch.device:
    """The device of a configuration; "auto" takes CUDA where there is one.

    Raises:
        InputError: CUDA asked for and not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device = cuda, but this PyTorch sees no CUDA device; use device=cpu or device=auto")
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


def _check_writable(root: Path) -> None:
    try:
        (root / ".locks").mkdir(parents=True, exist_ok=True)
        probe = root / f".writable-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"records = {root} cannot be written: {error.strerror}; choose another with records=DIR"
        ) from None


def _final_metrics(history: pd.DataFrame, axes: set[str]) -> dict[str, float]:
    """Median over the runs of every metric's last value."""
    last = history.groupby("run").tail(1)
    skip = {"run", "iteration", "oracle_calls", "seconds", *KINDS, *POINTS, *axes}
    return {name: float(last[name].median()) for name in last.columns if name not in skip}


def _circumstances(job: Job) -> dict[str, Any]:
    """Where and by what a record was made. Nothing of the environment's variables."""
    modules = sorted({"unibio.run", type(job.problem).__module__, type(job.algorithm).__module__})
    device = pick_device(job.config["device"])
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "modules": modules,
        "code_hash": code_hash(modules),
        "git": _git(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}},
        "hardware": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
        "threads": job.config["threads"],
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


@lru_cache(maxsize=1)
def _git() -> dict[str, Any]:
    """Commit of the code that runs, and whether the tree differs from it; empty outside a clone."""

    def ask(*words: str) -> str:
        return subprocess.run(
            ("git", *words), cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
