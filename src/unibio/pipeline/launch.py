"""Where the jobs of a sweep run: ``launcher=local | processes | slurm``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from unibio.pipeline.compute import failed_before
from unibio.pipeline.devices import default_workers
from unibio.pipeline.job import Job
from unibio.pipeline.local import Failure, Finished
from unibio.pipeline.pool import run_pool


def workers_of(job: Job) -> int:
    """How many jobs run at a time on this machine."""
    launcher = job.config["launcher"]
    if launcher.get("name", "local") == "local":
        return 1
    if launcher["name"] == "slurm":
        return int(launcher["array_parallelism"])
    return launcher.get("workers") or default_workers(job.config["device"])


def launch(jobs: Sequence[Job], finished: Finished) -> list[Failure]:
    """Run jobs as their common ``launcher`` says.

    Args:
        jobs: of one sweep, all with the same launcher.
        finished: called with every job that ends with a record.

    Returns:
        The jobs that failed.

    Raises:
        InputError: SLURM asked for where there is none.
        Interrupted: asked to stop.
    """
    reasons = {id(job): failed_before(job) for job in jobs}
    failures = [Failure(job, reason) for job in jobs if (reason := reasons[id(job)]) is not None]
    jobs = [job for job in jobs if reasons[id(job)] is None]
    if not jobs:
        return failures
    config = jobs[0].config
    if config["launcher"].get("name") == "slurm":
        from unibio.pipeline.slurm import submit

        return failures + submit(jobs, finished)
    # Jobs that are timed run alone, after everything else.
    together = [job for job in jobs if job.config["repeats"] == 1]
    alone = [job for job in jobs if job.config["repeats"] > 1]
    workers, show = workers_of(jobs[0]), config["progress"]
    failures += run_pool(together, workers, show, finished) if together else []
    return failures + (run_pool(alone, 1, show, finished) if alone else [])


def report_failures(failures: Sequence[Failure], total: int | None = None) -> None:
    """A table of what failed and why, on stderr, and what can be done; nothing where nothing failed."""
    if not failures:
        return
    names = [failure.job.name for failure in failures]
    width = max(map(len, names))
    print(f"unibio: {len(failures)} of {total or 'the'} jobs failed:", file=sys.stderr)
    for name, failure in zip(names, failures, strict=True):
        print(f"  {name:<{width}}  {failure.error.strip().splitlines()[-1]}", file=sys.stderr)
    print(
        f"  tracebacks and configurations: {failures[0].job.root}/NAME/summary.json and config.yaml;\n"
        "  to try again: the same command with retry_failed=true, or for one of them unibio rerun NAME",
        file=sys.stderr,
    )
