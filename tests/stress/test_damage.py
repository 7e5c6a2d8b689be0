"""Damaged files in a directory with a finished and an unfinished job: found, and computed again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stress.damage import damaged
from unibio import tensorfile
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import existing, run_job
from unibio.pipeline.job import Job
from unibio.store import records


def job_in(root: Path) -> Job:
    with composer() as compose_one:
        (job,) = expand(["steps=40", "problem.noise=1", "tracker=none", f"records={root}"], compose_one)
    return job


def test_every_damage_to_a_record_is_found_and_repaired(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    record = run_job(job).record
    before = record.history.drop(columns="seconds")
    count = repaired = 0
    for name in (*records.FILES, "done"):
        for index, what in enumerate(damaged(record.path / name, flips=300, seed=3)):
            assert records.find(record.path) is None, what
            count += 1
            if index % 100 == 0:
                assert run_job(job).computed, what
                again = existing(job)
                assert again is not None
                assert again.history.drop(columns="seconds").equals(before), what
                repaired += 1
        assert run_job(job).record.history.drop(columns="seconds").equals(before)
    print(
        f"\n{count} damages to {len(records.FILES) + 1} files of a record found, {repaired} repaired by computing again"
    )


def test_every_damage_to_a_checkpoint_is_found(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "checkpoint-1.pt"
    tensorfile.save(path, {"iteration": 3, "state": {"x": torch.randn(40, 7)}, "rows": [{"a": 1.5}]})
    count = 0
    for what in damaged(path, flips=2000, seed=4):
        try:
            tensorfile.load(path)
        except tensorfile.DamagedFile:
            count += 1
        else:
            raise AssertionError(what)
    print(f"\n{count} damages to a checkpoint refused")


def test_no_secret_reaches_a_record_or_an_offline_dashboard(tmp_path: Path) -> None:
    """Keys and tokens in the environment, runs that succeed, fail and are shown to wandb: no file holds any of them."""
    secrets = {"WANDB_API_KEY": "a" * 30 + "SECRET7f3a", "HF_TOKEN": "hf_SECRETtoken", "MY_PASSWORD": "SECRETpassword"}
    words = ["-m", "seed=0,1", "steps=5", "tracker=offline", f"records={tmp_path / 'runs'}"]
    environment = os.environ | secrets
    subprocess.run([sys.executable, "-m", "unibio", *words], env=environment, check=True, capture_output=True)
    code = (
        "import unibio.algorithms.unibio as u\n"
        "def step(*_): raise RuntimeError('no luck')\n"
        "u.UniBiO.step = step\n"
        f"from unibio.cli.main import main; main(['run', 'seed=9', 'steps=5', 'records={tmp_path / 'runs'}'])"
    )
    failed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert failed.returncode == 1, failed.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert any(b"no luck" in path.read_bytes() for path in files)
    for path in files:
        content = path.read_bytes()
        for name, secret in secrets.items():
            assert secret.encode() not in content, (path, name)
    print(f"\n{len(files)} files hold no secret")
