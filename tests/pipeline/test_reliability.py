"""Short versions of what ``make stress`` does at length: kills, wrong configurations, damaged files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stress.bad_configurations import KINDS, refuse_all
from stress.damage import damaged
from stress.moments import WORLDS
from unibio import tensorfile
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import existing, run_job
from unibio.pipeline.job import Job
from unibio.store import heartbeat, lists, records


def job_in(root: Path) -> Job:
    words = ["steps=150", "problem.noise=1", "checkpoint_seconds=0.01", "tracker=none", f"records={root}"]
    with composer() as compose_one:
        (job,) = expand(words, compose_one)
    return job


@pytest.mark.slow
def test_kills_cost_no_more_than_the_iterations_since_the_checkpoint(tmp_path: Path) -> None:
    """In a process of its own, because it forks others, which a process that has threads should not."""
    code = (
        "from pathlib import Path; from stress.kills import campaign; from test_reliability import job_in\n"
        f"done = campaign(job_in, Path({str(tmp_path)!r}), kills=5, in_writes=2); print(done)\n"
        "assert done.kills >= 5 and done.in_writes >= 2"
    )
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_job_that_is_killed_at_some_moments(tmp_path: Path) -> None:
    """A few of all: over nothing, over an older record and over links, among what is not the job's."""
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-m", "stress.moments", "job", str(tmp_path), "37"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tests)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert set(counts) == set(WORLDS)
    assert all(count["kills"] >= 2 for count in counts.values())


def test_wrong_configurations_of_every_kind_are_refused_in_one_line(tmp_path: Path) -> None:
    counts = refuse_all(len(KINDS), tmp_path / "runs")
    assert set(counts) == set(KINDS)
    assert len(KINDS) >= 12


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    record = run_job(job).record
    for name in (*records.FILES, "done"):
        for what in damaged(record.path / name, flips=40, seed=1):
            assert records.find(record.path) is None, what
    assert existing(job) is not None, "restored"


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint-1.pt"
    tensorfile.save(path, {"iteration": 7, "state": torch.arange(50.0)})
    for what in damaged(path, flips=100, seed=2):
        try:
            tensorfile.load(path)
        except tensorfile.DamagedFile:
            continue
        pytest.fail(f"not found: {what}")
    content = tensorfile.load(path)
    assert content is not None
    assert content["iteration"] == 7


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    """One that is whole but holds more than tensors and numbers: weights_only refuses it."""

    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "broken-into"),)

    buffer = io.BytesIO()
    torch.save({"iteration": Evil()}, buffer)
    path = tmp_path / "checkpoint-1.pt"
    path.write_bytes(hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    with pytest.raises(Exception, match=r"weights_only|Unsupported|not an allowed global"):
        tensorfile.load(path)
    assert not (tmp_path / "broken-into").exists()


def test_damaged_json_beside_records_is_not_half_read(tmp_path: Path) -> None:
    lists.write_manifest(tmp_path, "fig1", ["a", "b"], "python -m unibio")
    path = tmp_path / ".experiments" / "fig1.json"
    for cut in range(len(path.read_bytes()) - 3):
        content = path.read_bytes()
        path.write_bytes(content[:cut])
        assert lists.manifest(tmp_path, "fig1") is None, cut
        path.write_bytes(content)
    for noted in ("", "{", "[1]", "\x00", '{"status": "failed"'):
        (tmp_path / "summary.json").write_text(noted)
        (tmp_path / heartbeat.FILE).write_text(noted)
        assert records.unfinished(tmp_path) == {}
        assert records.failure(tmp_path) is None
        assert heartbeat.read(tmp_path) is None
