"""Fifty kills: nothing is computed twice that a checkpoint holds, and the numbers are those of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

from stress.kills import campaign
from unibio.config import Job
from unibio.sweep import composer, expand


def test_fifty_kills(tmp_path: Path) -> None:
    words = ["steps=800", "problem.noise=1", "+grid.seed={count: 20}", "checkpoint_seconds=0.03", "tracker=none"]

    def job_in(root: Path) -> Job:
        with composer() as compose_one:
            (job,) = expand([*words, f"records={root}"], compose_one)
        return job

    done = campaign(job_in, tmp_path, kills=50, in_writes=20)
    print(f"\n{done}")
    assert done.kills >= 50
    assert done.in_writes >= 10
    assert done.with_checkpoint >= 30
