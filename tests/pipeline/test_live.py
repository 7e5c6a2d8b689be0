"""wandb while a job runs: rows after the checkpoints that hold them, none twice, and nothing that stops a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from given import given
from unibio.pipeline import compute, live, local, tracking
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.job import Job
from unibio.pipeline.local import finish_job
from unibio.simulation import simulate
from unibio.simulation.trajectories import Interrupted

WORDS = ("problem.noise=1", "+grid.seed={count: 3}", "+grid.algorithm.upper_step=[0.03,0.1]", "checkpoint_seconds=0")


class Desk:
    """What stands in for wandb's runs: {id: rows as (step, row)}, and how often each was opened and ended."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[int, dict]]] = {}
        self.opened: list[tuple[str, str | None]] = []
        self.ended: list[int | None] = []
        self.summaries: dict[str, dict] = {}
        self.deposits: list[str] = []

    def open(self, config: Any, name: str, curve: Any, tracker: Any, root: Path, resume: Any = None, **_: Any) -> Any:
        own = tracking.run_id(name, curve)
        self.opened.append((own, resume))
        return SimpleNamespace(
            id=own,
            log=lambda row, step: self.rows.setdefault(own, []).append((step, row)),
            summary=self.summaries.setdefault(own, {}),
            finish=lambda exit_code=None: self.ended.append(exit_code),
            log_artifact=self.deposits.append,
        )


class AtOnce:
    """In the place of a thread: what is handed over is done before anything else, so that a test knows when."""

    def __init__(self, *_: object) -> None: ...

    def submit(self, function: Callable[..., None], *arguments: Any) -> Future[None]:
        function(*arguments)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def shutdown(self) -> None: ...


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("WANDB_MODE", "WANDB_DISABLED", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    tracking._failed.clear()
    made = Desk()
    monkeypatch.setattr(simulate, "SAVE_PAUSE", 0)  # a checkpoint after every iteration
    monkeypatch.setattr(live, "ThreadPoolExecutor", AtOnce)
    monkeypatch.setattr(live, "opened", made.open)
    monkeypatch.setattr(live, "_deposit", lambda run, record, curve, picture, waiting: made.deposits.append(run.id))
    yield made
    tracking._failed.clear()


def make(root: Path, *overrides: str) -> Job:
    with composer() as compose_one:
        (job,) = expand(given(f"records={root}", "steps=12", "tracker=offline", *WORDS, *overrides), compose_one)
    return job


def stopping_after(count: int, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next job be asked to stop once the row of an iteration was sent."""

    @contextmanager
    def requests() -> Iterator[Callable[[], bool]]:
        yield lambda: any(step >= count for rows in desk.rows.values() for step, _ in rows)

    monkeypatch.setattr(compute, "stop_requests", requests)


def test_rows_come_while_it_runs_and_are_those_of_the_record(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make(tmp_path)
    seen = []
    monkeypatch.setattr(live.Live, "finish", _noting(live.Live.finish, lambda: seen.append(dict.copy(desk.rows))))
    record = finish_job(job).record
    (before,) = seen
    assert len(before) == 2
    assert all(len(rows) >= 10 for rows in before.values()), "sent before the end"
    found = tracking.curves(record, 8, rows=None)
    for curve in found:
        own = tracking.run_id(record.name, curve)
        table = pd.DataFrame([row for _, row in desk.rows[own]]).set_index("iteration")
        pd.testing.assert_frame_equal(table, curve.table, check_names=False, check_index_type=False)
        assert [step for step, _ in desk.rows[own]] == curve.table.index.tolist()
        assert desk.summaries[own]["record_path"] == str(record.path.resolve())
    assert desk.ended == [None, None]
    assert len(desk.deposits) == 2
    assert not list(record.path.glob("tracked-*")), "what was noted of an unfinished job is gone"


def test_a_job_does_not_wait_for_its_rows_and_loses_none(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = threading.Event()

    def slow(*arguments: Any, **more: Any) -> Any:
        assert computed.wait(60), "the job has waited for its dashboard"
        return desk.open(*arguments, **more)

    monkeypatch.setattr(live, "ThreadPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(live, "opened", slow)
    monkeypatch.setattr(live.Live, "finish", _noting(live.Live.finish, computed.set))
    record = finish_job(make(tmp_path)).record
    assert computed.is_set()
    assert len(desk.rows) == 2
    for rows in desk.rows.values():
        assert [step for step, _ in rows] == sorted(record.history["iteration"].unique())
    assert desk.ended == [None, None]


def test_of_a_long_history_as_many_rows_are_sent_as_a_chart_shows(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "ROWS", 5)
    with monkeypatch.context() as stopped:
        stopping_after(9, desk, stopped)
        with pytest.raises(Interrupted):
            finish_job(make(tmp_path, "steps=29", "log_points=15"))
    record = finish_job(make(tmp_path, "steps=29", "log_points=15")).record
    logged = sorted(record.history["iteration"].unique())
    assert logged[-1] == 29
    assert (len(logged) - 1) % 3, "the last row is none of every third"
    for rows in desk.rows.values():
        assert [step for step, _ in rows] == [*logged[::3], 29]


def _noting(function: Callable[..., Any], note: Callable[[], object]) -> Callable[..., Any]:
    def noted(*arguments: Any) -> Any:
        note()
        return function(*arguments)

    return noted


@pytest.mark.parametrize("when", [5, 9])
def test_a_job_that_was_stopped_goes_on_with_its_runs_and_sends_no_row_twice(
    when: int, tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as stopped:
        stopping_after(when, desk, stopped)
        with pytest.raises(Interrupted):
            finish_job(make(tmp_path))
    assert desk.ended == [1, 1], "not shown as finished"
    assert list(tmp_path.glob("*/tracked-*.json"))
    record = finish_job(make(tmp_path)).record
    assert [resume for _, resume in desk.opened] == [None, None, "allow", "allow"]
    assert len({own for own, _ in desk.opened}) == 2
    for rows in desk.rows.values():
        steps = [step for step, _ in rows]
        assert steps == sorted(set(steps)) == sorted(record.history["iteration"].unique())


def test_what_is_noted_as_sent_is_not_sent_again_where_the_checkpoint_is_gone(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as stopped:
        stopping_after(6, desk, stopped)
        with pytest.raises(Interrupted):
            finish_job(make(tmp_path))
    (checkpoint,) = tmp_path.glob("*/checkpoint-*.pt")
    checkpoint.unlink()
    finish_job(make(tmp_path))
    for rows in desk.rows.values():
        assert len(rows) == len({step for step, _ in rows}) == 13


def test_the_note_is_written_before_rows_are_sent(tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "opened", lambda *a, **k: SimpleNamespace(log=gone, finish=lambda exit_code=None: None))
    with pytest.raises(KeyboardInterrupt):
        finish_job(make(tmp_path))
    (note,) = tmp_path.glob("*/tracked-*.json")
    assert set(json.loads(note.read_text())["sent"].values()) == {1}


def test_a_search_of_more_curves_than_are_shown_is_logged_at_its_end(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[str] = []
    monkeypatch.setattr(local, "track", lambda record, *_: later.append(record.name))
    record = finish_job(make(tmp_path, "tracker.max_curves=1")).record
    assert later == [record.name]
    assert desk.opened == []


def test_whatever_wandb_raises_the_record_is_there(tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no space left for wandb")

    monkeypatch.setattr(live, "opened", broken)
    with pytest.warns(UserWarning, match="no space left for wandb.*records are complete"):
        record = finish_job(make(tmp_path)).record
    assert record.summary["status"] == "completed"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process is killed")
def test_over_all_offline_files_of_a_killed_and_resumed_run_no_step_is_twice(tmp_path: Path) -> None:
    words = ["problem.noise=1", "+grid.seed={count: 3}", "steps=20000", "checkpoint_seconds=0.1", "tracker=offline"]
    command = [sys.executable, "-m", "unibio", *words]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    first = subprocess.Popen(command, cwd=tmp_path, env=kept)
    while first.poll() is None and not list((tmp_path / "runs" / "wandb").glob("offline-run-*/*.wandb")):
        pass
    assert first.poll() is None, "it was over before it could be killed"
    first.kill()
    first.wait()
    subprocess.run(command, cwd=tmp_path, env=kept, check=True, capture_output=True)
    files = sorted((tmp_path / "runs" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2
    assert len({file.stem for file in files}) == 1, "it keeps its id"
    steps: list[int] = []
    for file in files:
        inspect = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
        lines = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.splitlines()
        rows = [json.loads(line) for line in lines if line.startswith("{")]
        steps += [int(row["history"]["item"]["iteration"]) for row in rows if row.get("type") == "history"]
    assert len(steps) == len(set(steps))
    assert max(steps) == 20000
