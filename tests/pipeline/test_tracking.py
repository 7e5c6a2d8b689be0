"""wandb is a view: it gets what a reader would look at, and can never stop a run."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from given import given
from unibio.errors import InputError
from unibio.pipeline import tracking
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.job import Job, job_from
from unibio.pipeline.local import finish_job
from unibio.pipeline.schema import mode_of
from unibio.pipeline.sweep import announce
from unibio.pipeline.tracking import curves, flat, run_id, slopes, track
from unibio.store.lists import manifest
from unibio.store.records import record_name


@pytest.fixture(autouse=True)
def _nothing_has_failed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("WANDB_MODE", "WANDB_DISABLED", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    tracking._failed.clear()
    yield
    tracking._failed.clear()


def make(root: Path, *overrides: str) -> Job:
    with composer() as compose_one:
        (job,) = expand(given(f"records={root}", "steps=12", *overrides), compose_one)
    return job


@pytest.mark.slow
def test_a_grid_is_one_offline_run_per_curve_with_medians_over_seeds(tmp_path: Path) -> None:
    """Two step sizes with three seeds are two runs; each says its step, and its last row is the median."""
    words = ["tracker=offline", "problem.noise=1", "+grid.seed={count: 3}", "+grid.algorithm.upper_step=[0.03,0.1]"]
    job = make(tmp_path, *words)
    job.join("my sweep")
    record = finish_job(job).record
    files = {file.stem.removeprefix("run-"): file for file in (tmp_path / "wandb").glob("offline-run-*/*.wandb")}
    found = curves(record, most=8)
    assert sorted(files) == sorted(run_id(record.name, curve) for curve in found)
    assert [curve.label for curve in found] == ["upper_step=0.03", "upper_step=0.1"]
    for curve in found:
        rows = read(files[run_id(record.name, curve)])
        mine = record.history[record.history["upper_step"] == curve.values["upper_step"]]
        last = mine[mine["iteration"] == 12]
        assert rows[-1]["hypergradient_norm"] == pytest.approx(last["hypergradient_norm"].median())
        assert rows[-1]["oracle_calls"] == last["oracle_calls"].median()
        assert [row["iteration"] for row in rows] == sorted(record.history["iteration"].unique())
        assert curve.runs == 3
        assert '"my sweep"' in inspected(files[run_id(record.name, curve)]), "its group"


@pytest.mark.slow
def test_the_group_is_the_sweep_and_no_part_of_a_records_name(tmp_path: Path) -> None:
    def groups(*words: str, name: str | None = None) -> set[str | None]:
        with composer() as compose_one:
            jobs = expand(given(f"records={tmp_path}", "steps=3", *words), compose_one)
        before = [job.name for job in jobs]
        announce(jobs, "again", name)
        assert [record_name(job.config) for job in jobs] == before
        assert all(job_from(job.portable()).config["tracker"] == job.config["tracker"] for job in jobs), "as a worker"
        return {job.config["tracker"].get("group") for job in jobs}

    assert groups("problem.exponent=2,4", "tracker=offline", name="mine") == {"mine"}
    assert groups("tracker=offline", name="mine") == {"mine"}
    assert groups("problem.exponent=2,4", "tracker=offline", "tracker.group=own", name="mine") == {"own"}
    assert groups("problem.exponent=2,4", "tracker=none", name="mine") == {None}
    assert groups("tracker=offline") == {None}
    assert groups("experiment=e1", "scale=smoke", "tracker=offline") == {"e1"}
    (label,) = groups("problem.exponent=4,6", "tracker=offline")
    assert manifest(tmp_path, str(label)) is not None, "as unibio status lists it"


def read(file: Path) -> list[dict]:
    """The history rows of a .wandb file, through wandb's own viewer."""
    found = [json.loads(line) for line in inspected(file).splitlines() if line.startswith("{")]
    return [record["history"]["item"] for record in found if record.get("type") == "history"]


def inspected(file: Path) -> str:
    """What wandb's viewer says of a file."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_a_failing_tracker_warns_once_and_the_records_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    tries = []

    def no_key(*_: object, **__: object) -> None:
        tries.append(1)
        raise wandb.errors.UsageError("api_key not configured")

    monkeypatch.setattr(wandb, "init", no_key)
    with pytest.warns(UserWarning, match=r"api_key not configured.*records are complete"):
        outcome = finish_job(make(tmp_path, "tracker=online"))
    again = finish_job(make(tmp_path, "tracker=online", "seed=1"))
    assert [one.record.summary["status"] for one in (outcome, again)] == ["completed"] * 2
    assert tries == [1]


def test_no_tracker_means_no_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    outcome = finish_job(make(tmp_path, "tracker=none"))
    assert not (tmp_path / "wandb").exists()
    with pytest.warns(UserWarning, match="was not logged"):
        track(outcome.record, {"mode": "offline", "project": "unibio"}, tmp_path)


@pytest.mark.parametrize(
    ("variables", "configured", "mode"),
    [
        ({}, "offline", "offline"),
        ({"WANDB_MODE": "online"}, "offline", "online"),
        ({"WANDB_MODE": "offline"}, "online", "offline"),
        ({"WANDB_MODE": "dryrun"}, "online", "offline"),
        ({"WANDB_MODE": "disabled"}, "online", "none"),
        ({"WANDB_MODE": "online"}, "none", "none"),
        ({"WANDB_DISABLED": "true"}, "offline", "none"),
        ({"WANDB_DISABLED": "TRUE", "WANDB_MODE": "online"}, "offline", "none"),
        ({"WANDB_DISABLED": "false"}, "offline", "offline"),
        ({"WANDB_MODE": "", "WANDB_DISABLED": ""}, "online", "online"),
    ],
)
def test_wandbs_own_variables_count(
    variables: dict[str, str], configured: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert mode_of({"mode": configured}) == mode


def test_an_unknown_mode_of_wandb_is_said_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(InputError, match=r"WANDB_MODE.*'ofline'.*Did you mean 'offline'"):
        make(tmp_path, "tracker=online")


@pytest.mark.slow
def test_wandb_writes_where_its_variable_says_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DISABLED", "true")
    outcome = finish_job(make(tmp_path / "runs", "tracker=offline"))
    assert not (tmp_path / "runs" / "wandb").exists()
    monkeypatch.delenv("WANDB_DISABLED")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    track(outcome.record, outcome.record.config["tracker"], tmp_path / "runs")
    assert list((tmp_path / "elsewhere" / "wandb").glob("offline-run-*/*.wandb"))
    assert not (tmp_path / "runs" / "wandb").exists()


def test_of_a_search_the_best_curves_are_shown(tmp_path: Path) -> None:
    job = make(tmp_path, "tracker=none", "+grid.algorithm.upper_step={log: [0.001, 1, 30]}")
    record = finish_job(job).record
    shown = {curve.values["upper_step"] for curve in curves(record, most=4)}
    last = record.history[record.history["iteration"] == 12].sort_values("hypergradient_norm")
    assert shown == set(last["upper_step"].head(4))


@pytest.mark.parametrize("most", [4, 100])
def test_curves_of_a_search_are_medians_of_their_own_rows(most: int, tmp_path: Path) -> None:
    """Two axes with seeds, some step sizes diverging: every table as its own rows alone give it."""
    axes = ["+grid.algorithm.upper_step=[0.01,0.1,1.0]", "+grid.algorithm.lower_step=[0.5,1.0,1e9]"]
    words = ["problem.noise=1", "algorithm.first_radius=1e12", "+grid.seed={count: 3}", *axes]
    record = finish_job(make(tmp_path, "tracker=none", *words)).record
    found = curves(record, most)
    assert len({curve.label for curve in found}) == len(found) == min(most, 9)
    assert {curve.diverged > 0 for curve in curves(record, 100)} == {False, True}
    for curve in found:
        mine = record.history
        for axis, value in curve.values.items():
            mine = mine[mine[axis] == value]
        assert curve.runs == mine["run"].nunique() == 3
        statuses = record.runs.loc[mine["run"].unique(), "status"]
        assert curve.diverged == (statuses == "diverged").sum()
        assert curve.table.index.tolist() == sorted(mine["iteration"].unique())
        for metric in ("hypergradient_norm", "oracle_calls"):
            expected = [mine.loc[mine["iteration"] == when, metric].median() for when in curve.table.index]
            assert curve.table[metric].tolist() == expected


def test_diverged_runs_are_counted_and_not_chosen(tmp_path: Path) -> None:
    job = make(tmp_path, "tracker=none", "algorithm.first_radius=1e12", "+grid.algorithm.lower_step=[1.0,1e9]")
    record = finish_job(job).record
    assert [curve.diverged for curve in curves(record, most=8)] == [0, 1]
    assert [curve.values["lower_step"] for curve in curves(record, most=1)] == [1.0]


def test_undefined_metrics_count_as_worst_and_are_not_drawn(tmp_path: Path) -> None:
    """Two of three seeds of the curve that ends lowest lose their metric: it is the last to be shown."""
    words = ["tracker=none", "problem.noise=1", "+grid.seed={count: 3}", "+grid.algorithm.upper_step=[0.03,0.1]"]
    record = finish_job(make(tmp_path, *words)).record
    (best,) = curves(record, most=1)
    steps = {0.03, 0.1}
    history = record.history  # kept by the record, which reads it once
    lost = (history["upper_step"] == best.values["upper_step"]) & (history["seed"] < 2) & (history["iteration"] > 6)
    history.loc[lost, "hypergradient_norm"] = math.nan
    (now,) = curves(record, most=1)
    assert {now.values["upper_step"]} == steps - {best.values["upper_step"]}
    (same,) = (curve for curve in curves(record, most=8) if curve.values == best.values)
    assert same.table["hypergradient_norm"].isna().tolist() == [t > 6 for t in same.table.index]


def test_slopes_are_those_of_a_power_law() -> None:
    import pandas as pd

    iterations = [0, 1, 3, 10, 30, 100, 300, 1000]
    table = pd.DataFrame({"norm_mean": [5 * max(t, 1) ** -0.25 for t in iterations], "norm": 1.0}, index=iterations)
    assert slopes(table) == {"norm_mean": pytest.approx(-0.25)}


def test_configuration_is_flat_has_the_papers_symbols_and_no_paths(tmp_path: Path) -> None:
    config = make(tmp_path, "+grid.algorithm.upper_step=[0.1,0.2]", "experiment=fig1", "problem.exponent=6").config
    named = flat(config, {"upper_step": 0.2, "noise": 10})
    assert named["η (upper_step)"] == 0.2
    assert named["p (exponent)"] == 6
    assert (named["algorithm"], named["problem"], named["experiment"]) == ("unibio", "example3", "fig1")
    assert not any(str(tmp_path) in str(value) for value in named.values())
    assert not any(isinstance(value, dict) for value in named.values())
