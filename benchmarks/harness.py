"""What a sweep costs beside its computations: composing and recording jobs, dashboards, the table of a large sweep."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from measure import Row
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.job import Job
from unibio.pipeline.launch import launch
from unibio.pipeline.sweep import announce
from unibio.store import lists, records
from unibio.store.records import Record


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        jobs: of a sweep.
        recorded: finished jobs that ``unibio status`` is asked about.
        dashboards: whether wandb is measured, which takes seconds to import.
    """

    jobs: int = 20
    recorded: int = 1000
    dashboards: bool = True


def rows(scale: Scale) -> dict[str, Row]:
    """Processor seconds a job, and of the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        bare, jobs = _sweep(root / "none", scale.jobs, "none")
        what = "composing, planning and recording a job: all but its iterations, after imports"
        table = {"harness/job": _at_most(bare, 0.3, what)}
        if scale.dashboards:
            _sweep(root / "warm", 1, "offline")  # imports wandb and starts its service
            shown = _sweep(root / "offline", scale.jobs, "offline")[0]
            table["harness/wandb"] = Row(shown - bare, "s", note="more a job with tracker=offline, wandb imported")
        seconds = _status(jobs[0], root / "many", scale.recorded)
        what = f"unibio status over {scale.recorded} finished jobs, as a command, imports included"
        table["harness/status"] = _at_most(seconds, 5.0, what)
    return table


def _at_most(seconds: float, target: float, note: str) -> Row:
    return Row(seconds, "s", target, "a limit we set ourselves", seconds <= target, note)


def _sweep(root: Path, count: int, tracker: str) -> tuple[float, list[Job]]:
    """Processor seconds a job of a sweep in this process, beyond the jobs' own; and the jobs."""
    words = [f"seed=range({count})", "steps=20", f"records={root}", f"tracker={tracker}", "progress=false"]
    began = time.process_time()
    with redirect_stdout(io.StringIO()), composer() as compose_one:
        jobs = expand(words, compose_one)
        failures = launch(announce(jobs, "bench").pending, lambda *_: None)
    took = time.process_time() - began
    assert not failures
    computing = sum(Record(root / records.record_name(job.config)).summary["seconds"] for job in jobs)
    return (took - computing) / count, jobs


def _status(job: Job, root: Path, count: int) -> float:
    """Processor seconds of ``unibio status`` over copies of one finished job."""
    source = job.root / records.record_name(job.config)
    names = [f"{source.name}-{index}" for index in range(count)]
    for name in names:
        (root / name).mkdir(parents=True)
        for file in (*records.FILES, "done"):
            os.link(source / file, root / name / file)
    lists.write_manifest(root, "many", names, "bench")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "unibio", "status", "--records", str(root)]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
