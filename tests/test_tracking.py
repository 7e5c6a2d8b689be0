"""wandb is a view: it gets what a reader would look at, and can never stop a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from unibio.config import Job
from unibio.pool import finish_job
from unibio.sweep import composer, expand
from unibio.tracking import _curves, _flat, track


def make(root: Path, *overrides: str) -> Job:
    with composer() as compose_one:
        (job,) = expand([f"records={root}", "steps=12", *overrides], compose_one)
    return job


def test_an_offline_run_holds_the_curves_and_the_summary(tmp_path: Path) -> None:
    job = make(tmp_path, "tracker=offline", "+grid.seed={count: 3}", "+grid.algorithm.upper_step=[0.03,0.1]")
    record = finish_job(job).record
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    rows = read(file)
    last = rows[-1]
    for step in (0.03, 0.1):
        mine = record.history[(record.history["upper_step"] == step) & (record.history["iteration"] == 12)]
        assert last[f"hypergradient_norm/upper_step={step:g}"] == pytest.approx(mine["hypergradient_norm"].median())
    assert last["oracle_calls"] == record.history["oracle_calls"].max()
    assert len(rows) == record.history["iteration"].nunique()


def read(file: Path) -> list[dict]:
    """The history rows of a .wandb file, through wandb's own viewer."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [record["history"]["item"] for record in found if record.get("type") == "history"]


def test_a_failing_tracker_warns_and_the_record_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def no_key(*_: object, **__: object) -> None:
        raise wandb.errors.UsageError("api_key not configured")

    monkeypatch.setattr(wandb, "init", no_key)
    with pytest.warns(UserWarning, match="api_key not configured.*its record is complete"):
        outcome = finish_job(make(tmp_path, "tracker=online"))
    assert outcome.record.summary["status"] == "completed"


def test_no_tracker_means_no_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    outcome = finish_job(make(tmp_path, "tracker=none"))
    assert not (tmp_path / "wandb").exists()
    with pytest.warns(UserWarning, match="was not logged"):
        track(outcome.record, {"mode": "offline", "project": "unibio"}, tmp_path)


def test_a_large_grid_is_shown_in_part(tmp_path: Path) -> None:
    job = make(tmp_path, "tracker=none", "+grid.algorithm.upper_step={log: [0.001, 1, 30]}")
    history = finish_job(job).record.history
    rows = _curves(history, ["upper_step"], most=4)
    assert len([key for key in rows[0] if key.startswith("hypergradient_norm/")]) == 4


def test_configuration_is_flat_and_without_paths(tmp_path: Path) -> None:
    flat = _flat(make(tmp_path, "+grid.seed={count: 3}").config)
    assert flat["algorithm.upper_step"] == 0.03
    assert flat["grid.seed"] == 3
    assert "records" not in flat
