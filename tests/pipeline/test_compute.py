"""Jobs: computed once, recomputed when damaged, continued when interrupted, recorded when they fail."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from given import given
from unibio.cli.main import main
from unibio.core import compiled
from unibio.core.oracle import Oracle
from unibio.errors import InputError
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import FailedBefore, existing, run_job
from unibio.pipeline.devices import pick_device
from unibio.pipeline.job import Job, job_from
from unibio.pipeline.pool import run_pool
from unibio.pipeline.sweep import plan
from unibio.simulation.trajectories import Interrupted
from unibio.store import records
from unibio.store.status import state_of


def make(root: Path, *overrides: str) -> Job:
    with composer() as compose_one:
        (job,) = expand(given(f"records={root}", "tracker=none", "steps=12", *overrides), compose_one)
    return job


GRID = ("+grid.seed={count: 3}", "+grid.problem.noise=[0,1]", "+grid.algorithm.upper_step=[0.03,0.1]")


def test_a_record_holds_what_the_library_computes(tmp_path: Path) -> None:
    """Row by row, a job's grid equals single calls of ``solve``."""
    from unibio import Example3, solve

    record = run_job(make(tmp_path, *GRID)).record
    assert list(record.history.columns[:4]) == ["run", "noise", "upper_step", "seed"]
    assert len(record.runs) == 12
    for run in (0, 7, 11):
        row = record.runs.iloc[run]
        alone = solve(
            Example3(exponent=4, noise=row["noise"]), steps=12, seed=int(row["seed"]), upper_step=row["upper_step"]
        )
        mine = record.history[record.history["run"] == run]
        for column in ("iteration", "oracle_calls", "grad_lower", "hvp", "hypergradient_norm", "lower_error"):
            np.testing.assert_allclose(mine[column], alone.history[column], rtol=1e-12, atol=1e-12, err_msg=column)


def test_a_finished_job_is_not_computed_twice(tmp_path: Path) -> None:
    job = make(tmp_path)
    first, again = run_job(job), run_job(job)
    assert (first.computed, again.computed) == (True, False)
    assert existing(job) is not None
    assert plan([job]).pending == []


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", [*records.FILES, "done"])
def test_a_flipped_byte_reruns_exactly_that_job(tmp_path: Path, name: str) -> None:
    jobs = [make(tmp_path, f"seed={seed}") for seed in (0, 1)]
    before = [run_job(job).record.history for job in jobs]
    path = tmp_path / records.record_name(jobs[0].config) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert [run_job(job).computed for job in jobs] == [True, False]
    after = existing(jobs[0])
    assert after is not None
    pd.testing.assert_frame_equal(after.history.drop(columns="seconds"), before[0].drop(columns="seconds"))


def test_a_failure_leaves_its_traceback_and_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unibio.algorithms.unibio import UniBiO

    job = make(tmp_path)

    def broken(*_: object) -> None:
        raise RuntimeError("no such luck")

    with monkeypatch.context() as patch:
        patch.setattr(UniBiO, "step", broken)
        with pytest.raises(RuntimeError, match="no such luck"):
            run_job(job)
    path = tmp_path / records.record_name(job.config)
    summary = json.loads((path / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert "no such luck" in summary["traceback"]
    assert records.find(path) is None
    with pytest.raises(FailedBefore, match="no such luck"):
        run_job(job)
    assert run_job(make(tmp_path, "retry_failed=true")).computed, "tried again on request"
    assert not run_job(job).computed


def test_a_failure_of_older_code_is_no_reason_not_to_try(tmp_path: Path) -> None:
    job = make(tmp_path)
    path = tmp_path / records.record_name(job.config)
    records.write_unfinished(path, job.config, {"status": "failed", "traceback": "E: no", "code_hash": "0" * 64})
    assert run_job(job).computed


def test_one_failing_job_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unibio.algorithms.unibio import UniBiO

    jobs = [make(tmp_path, f"seed={seed}") for seed in range(3)]
    original = UniBiO.init

    def sometimes(self: UniBiO, oracle, x, y):
        if oracle.streams.seeds == [1]:
            raise MemoryError("out of memory")
        return original(self, oracle, x, y)

    monkeypatch.setattr(UniBiO, "init", sometimes)
    failures = run_pool(jobs, workers=1, show=False)
    assert [f.job.config["seed"] for f in failures] == [1]
    assert "out of memory" in failures[0].error
    assert [existing(job) is not None for job in jobs] == [True, False, True]


@pytest.mark.slow
def test_a_pool_of_processes_computes_the_same(tmp_path: Path) -> None:
    jobs = [make(tmp_path / "pool", f"seed={seed}", *GRID[1:]) for seed in range(3)]
    assert run_pool(jobs, workers=2, show=False) == []
    for seed, job in enumerate(jobs):
        pooled = existing(job)
        assert pooled is not None
        here = run_job(make(tmp_path / "here", f"seed={seed}", *GRID[1:])).record
        pd.testing.assert_frame_equal(
            pooled.history.drop(columns="seconds"), here.history.drop(columns="seconds"), check_exact=True
        )


def test_a_diverged_run_is_a_recorded_result(tmp_path: Path) -> None:
    job = make(tmp_path, "algorithm.first_radius=1e12", "+grid.algorithm.lower_step=[1.0,1e9]")
    record = run_job(job).record
    assert record.summary["statuses"] == {"completed": 1, "diverged": 1}
    assert record.runs["status"].tolist() == ["completed", "diverged"]
    assert record.runs["stopped_at"].tolist()[1] < 12


def test_an_interrupted_job_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unibio.pipeline import compute as module

    whole = run_job(make(tmp_path / "whole", *GRID)).record
    job = make(tmp_path / "parts", *GRID)
    steps: list[int] = []

    class Stop:
        """Says stop once five iterations are done."""

        def __enter__(self):
            return lambda: len(steps) >= 5

        def __exit__(self, *_: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(module, "stop_requests", Stop)
        with pytest.raises(Interrupted):
            run_job(job, steps.append)
    path = tmp_path / "parts" / records.record_name(job.config)
    assert json.loads((path / "summary.json").read_text())["status"] == "interrupted"
    assert len(list(path.glob("checkpoint-*.pt"))) == 1
    resumed = run_job(job, steps.append).record
    assert resumed.summary["resumed_from"] == 5
    assert steps == list(range(1, 13)), "no iteration was done twice"
    assert not list(path.glob("checkpoint-*.pt"))
    for mine, theirs in ((resumed.history, whole.history), (resumed.runs, whole.runs)):
        pd.testing.assert_frame_equal(
            mine.drop(columns="seconds", errors="ignore"),
            theirs.drop(columns="seconds", errors="ignore"),
            check_exact=True,
        )


def test_a_job_that_is_stopped_while_it_starts_is_interrupted_and_can_start_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal during the thirtieth call of the warm start: it ends with the next, as an interrupted job."""
    whole = run_job(make(tmp_path / "whole")).record
    job, calls, count = make(tmp_path / "parts"), [0], Oracle._count

    def counted(*arguments: object) -> None:
        calls[0] += 1
        if calls[0] == 30:
            os.kill(os.getpid(), signal.SIGTERM)
        count(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Oracle, "_count", counted)
        with pytest.raises(Interrupted), compiled.forced(False):  # which counts every gradient by itself
            run_job(job)
    assert calls[0] in (30, 31)
    path = job.root / records.record_name(job.config)
    assert state_of(path).state == "interrupted"
    assert not list(path.glob("checkpoint-*.pt"))
    again = run_job(job).record
    assert again.summary["resumed_from"] == 0
    pd.testing.assert_frame_equal(
        again.history.drop(columns="seconds"), whole.history.drop(columns="seconds"), check_exact=True
    )


def test_a_damaged_checkpoint_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unibio.pipeline import compute as module

    job = make(tmp_path)
    steps: list[int] = []

    class Stop:
        def __enter__(self):
            return lambda: bool(steps)

        def __exit__(self, *_: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(module, "stop_requests", Stop)
        with pytest.raises(Interrupted):
            run_job(job, steps.append)
    (checkpoint,) = (tmp_path / records.record_name(job.config)).glob("checkpoint-*.pt")
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    assert run_job(job).record.summary["resumed_from"] == 0


def test_a_checkpoint_in_a_copied_directory_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another step size, same problem, seeds and sizes: nothing but its owner tells it from this job's own."""
    from unibio.pipeline import compute as module

    jobs = [make(tmp_path, f"algorithm.upper_step={step}") for step in (0.03, 0.1)]
    steps: list[int] = []

    class Stop:
        def __enter__(self):
            return lambda: bool(steps)

        def __exit__(self, *_: object) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(module, "stop_requests", Stop)
        with pytest.raises(Interrupted):
            run_job(jobs[0], steps.append)
    shutil.copytree(jobs[0].path, jobs[1].path)
    record = run_job(jobs[1]).record
    assert record.summary["resumed_from"] == 0
    whole = run_job(make(tmp_path / "whole", "algorithm.upper_step=0.1")).record
    pd.testing.assert_frame_equal(
        record.history.drop(columns="seconds"), whole.history.drop(columns="seconds"), check_exact=True
    )
    assert run_job(jobs[0]).record.summary["resumed_from"] == 1


def test_a_copied_record_is_computed_anew_under_its_new_name(tmp_path: Path) -> None:
    one, two = (make(tmp_path, f"seed={seed}", "problem.noise=1") for seed in (0, 1))
    run_job(one)
    shutil.copytree(one.path, two.path)
    assert plan([one, two]).pending == [two]
    assert run_job(two).computed
    assert existing(one) is not None


def test_what_a_kill_after_the_last_byte_leaves_is_removed(tmp_path: Path) -> None:
    """By the job, and by a sweep that has nothing to compute; not behind a link, and nothing that is not ours."""
    job = make(tmp_path / "runs")
    record = run_job(job).record
    whole = {file.name for file in record.path.iterdir()}

    def litter() -> None:
        for name in ("checkpoint-9bf595ac99bd.pt", "running.json", "part-9b-0-runs.parquet", ".done.7", "notes.txt"):
            (record.path / name).write_text("{}")

    for again in (lambda: run_job(job), lambda: plan([job])):
        litter()
        again()
        assert {file.name for file in record.path.iterdir()} == {*whole, "notes.txt"}
        assert existing(job) is not None
    litter()
    job.path.rename(tmp_path / "elsewhere")
    job.path.symlink_to(tmp_path / "elsewhere")
    assert not run_job(job).computed
    plan([job])
    assert (tmp_path / "elsewhere" / "running.json").exists()


@pytest.mark.parametrize(
    "name", ["config.yaml", "history.parquet", "runs.parquet", "summary.json", "done", "checkpoint-1.pt"]
)
def test_a_folder_in_the_place_of_a_records_file_is_named(tmp_path: Path, name: str) -> None:
    job = make(tmp_path)
    folder = job.path / name
    folder.mkdir(parents=True)
    (folder / "own").write_text("precious")
    with pytest.raises(InputError, match=rf"{re.escape(name)} is a folder, where a file of the record is to be"):
        run_job(job)
    assert (folder / "own").read_text() == "precious"
    folder.rename(tmp_path / "moved")
    assert run_job(job).computed


def test_nothing_behind_a_link_is_touched(tmp_path: Path) -> None:
    """Neither what stands in a record's place, or in its lock's, nor files in its directory that are not ours."""
    job, home = make(tmp_path / "runs"), tmp_path / "home"
    home.mkdir()
    for name in (".bashrc", "checkpoint-1.pt", "summary.json", ".summary.json.7"):
        (home / name).write_text("precious")
    job.root.mkdir()
    job.path.symlink_to(home)
    with pytest.raises(InputError, match="is a link"):
        run_job(job)
    job.path.unlink()
    lock = job.root / ".locks" / f"{job.name}.lock"
    lock.unlink()
    lock.symlink_to(home / ".bashrc")
    with pytest.raises(InputError, match="cannot be written"):
        run_job(job)
    lock.unlink()
    job.path.mkdir()
    (job.path / ".bashrc").write_text("precious")
    (job.path / ".cache").mkdir()
    assert run_job(job).computed
    assert (job.path / ".bashrc").read_text() == "precious"
    assert {file.read_text() for file in home.iterdir()} == {"precious"}
    job.path.rename(tmp_path / "elsewhere")
    job.path.symlink_to(tmp_path / "elsewhere")
    assert not run_job(job).computed, "a record is read through a link"


@pytest.mark.parametrize(
    "name", ["SIGTERM", *(pytest.param(one, marks=pytest.mark.slow) for one in ("SIGINT", "SIGUSR2"))]
)
def test_a_signal_checkpoints_and_the_same_command_goes_on(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        sys.executable,
        "-m",
        "unibio",
        "tracker=none",
        "steps=2500",
        "problem.noise=1",
        "checkpoint_seconds=0.1",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/*/checkpoint-*.pt")):  # now it is in the middle of the run, with seconds to go
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no checkpoint within a minute"
        time.sleep(0.01)
    os.kill(process.pid, getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on from there" in err
    (path,) = (p for p in (tmp_path / "runs").iterdir() if p.name.startswith("example3"))
    assert list(path.glob("checkpoint-*.pt"))
    monkeypatch.chdir(tmp_path)
    main(["run", *command[3:]])
    assert "computed in" in capsys.readouterr().out
    record = records.find(path)
    assert record is not None
    assert record.summary["resumed_from"] > 0


def test_a_directory_that_cannot_be_written_is_said_before_work(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with pytest.raises(InputError, match=r"records = .*cannot be written.*records=DIR"):
        run_job(make(blocked / "runs"))


def test_a_missing_accelerator_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for version, why in ((None, "is a build without CUDA"), ("13.0", "nvidia-smi .* one for CUDA 13.0")):
        monkeypatch.setattr(torch.version, "cuda", version)
        with pytest.raises(InputError, match=rf"{why}.*device=cpu"):
            pick_device("cuda")
    assert pick_device("auto").type == "cpu"


def test_a_job_travels_as_plain_data(tmp_path: Path) -> None:
    job = make(tmp_path, *GRID)
    again = job_from(json.loads(json.dumps(job.portable())))
    assert again.config == job.config
