"""Replays: records of other code stand where their first iterations are equal to the bit, and nowhere else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unibio.algorithms.unibio import UniBiO
from unibio.cli.main import main
from unibio.core import compiled
from unibio.core.streams import Draw
from unibio.errors import InputError
from unibio.pipeline import compute
from unibio.pipeline import replay as module
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import existing, note_killed, run_job
from unibio.pipeline.job import Job
from unibio.pipeline.proving import prove, representatives
from unibio.pipeline.replay import horizon, replay
from unibio.pipeline.standing import Found, look
from unibio.pipeline.sweep import plan
from unibio.simulation import history, limits
from unibio.simulation.trajectories import Interrupted
from unibio.store import records, replays
from unibio.store.records import Record
from unibio.store.status import state_of

WORDS = ["steps=12", "problem.noise=1", "+grid.seed={count: 2}", "+grid.algorithm.upper_step=[0.03,0.1]"]


def jobs_of(root: Path, *overrides: str) -> list[Job]:
    with composer() as compose_one:
        return expand([f"records={root}", "tracker=none", *overrides], compose_one)


def by_other_code(job: Job, **changed: Any) -> Record:
    """The job's record as other code would have left it."""
    record = run_job(job).record
    summary = dict(record.summary) | {"code_hash": "0" * 64, "modules": ["unibio.run"], **changed}
    return records.write(record.path, dict(record.config), summary, record.history, record.runs)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Of a small grid with noise and a target; its record is of other code."""
    (job,) = jobs_of(tmp_path, *WORDS, "targets.hypergradient_norm=[0.5]")
    by_other_code(job)
    return job


def unwanted(*_: object, **__: object) -> None:
    raise AssertionError("nothing was to be computed")


def test_a_record_of_other_code_is_replayed_once_and_kept(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.name: file.read_bytes() for file in job.path.iterdir()}
    planned = plan([job])
    assert (planned.older, planned.pending) == (1, [job])
    assert "1 recorded by other code, whose first iterations are replayed" in planned.describe(1)
    assert "to run" not in planned.describe(1)
    monkeypatch.setattr(compute, "_attempt", unwanted)
    ended = run_job(job)
    assert not ended.computed
    assert str(ended.record.standing) == "replayed to iteration 3", "a period, and the step that begins the next"
    noted = ended.record.standing.replay
    assert noted is not None
    assert noted.rows == 4 * 4
    assert {name: (job.path / name).read_bytes() for name in before} == before, "the record itself is untouched"
    assert plan([job]).pending == []
    monkeypatch.setattr(compute, "replay", unwanted)
    assert not run_job(job).computed
    assert state_of(job.path).replayed


def other_step(patch: pytest.MonkeyPatch) -> None:
    step = UniBiO.step

    def changed(self: UniBiO, oracle: Any, state: Any) -> Any:
        new = step(self, oracle, state)
        return new | {"x": torch.nextafter(new["x"], new["x"] + 1)}

    patch.setattr(UniBiO, "step", changed)


def other_period(patch: pytest.MonkeyPatch) -> None:
    """What happens for the first time in the third iteration."""
    update = UniBiO.update_lower

    def changed(self: UniBiO, oracle: Any, x: Any, y: Any, move: Any) -> Any:
        new = update(self, oracle, x, y, move)
        return torch.nextafter(new, new + 1)

    patch.setattr(UniBiO, "update_lower", changed)


def other_draw(patch: pytest.MonkeyPatch) -> None:
    normal = Draw.normal
    patch.setattr(compiled, "_forced", False)  # loops that have their numbers elsewhere
    patch.setattr(Draw, "normal", lambda self, k: -normal(self, k))


def other_metric(patch: pytest.MonkeyPatch) -> None:
    from unibio.problems import example3

    metrics = example3.Example3.build

    def changed(self: Any) -> Any:
        built = metrics(self)
        own = built.metrics
        return dataclasses.replace(built, metrics=lambda x, y: {k: v * (1 + 2**-52) for k, v in own(x, y).items()})

    patch.setattr(example3.Example3, "build", changed)


def other_metrics_name(patch: pytest.MonkeyPatch) -> None:
    from unibio.problems import example3

    build = example3.Example3.build

    def changed(self: Any) -> Any:
        built = build(self)
        own = built.metrics
        return dataclasses.replace(built, metrics=lambda x, y: {**own(x, y), "more": x[:, 0]})

    patch.setattr(example3.Example3, "build", changed)


def other_rows(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limits, "log_iterations", lambda steps, points: [0, 3, steps])


def other_diagnosis(patch: pytest.MonkeyPatch) -> None:
    diagnose = UniBiO.diagnose

    def changed(self: UniBiO, oracle: Any, state: Any) -> Any:
        found = diagnose(self, oracle, state)
        return dataclasses.replace(found, values={name: value + 1 for name, value in found.values.items()})

    patch.setattr(UniBiO, "diagnose", changed)


def other_hits(patch: pytest.MonkeyPatch) -> None:
    add = history.Recorder.add

    def changed(self: history.Recorder, iteration: int, *rest: Any, **named: Any) -> None:
        add(self, iteration, *rest, **named)
        for hit in self._hits.values():
            hit[hit == iteration] = iteration + 1

    patch.setattr(history.Recorder, "add", changed)


CHANGES = (
    other_step,
    other_period,
    other_draw,
    other_metric,
    other_metrics_name,
    other_rows,
    other_diagnosis,
    other_hits,
)


@pytest.mark.one_in(9)
@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_a_change_of_anything_is_found(
    job: Job, change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the last bit, too; then it is noted, not tried again, and the job is computed anew."""
    record = records.find(job.path)
    assert record is not None
    with monkeypatch.context() as patch:
        change(patch)
        result = replay(job, record)
        assert result is not None
        assert result.difference, "the change must show"
        assert "seconds" not in result.difference
        assert record.stale
        found = look(job)
        assert (found.valid, found.unknown) == (False, False)
        planned = plan([job])
        assert (planned.older, len(planned.pending)) == (0, 1)
        assert run_job(job).computed
    assert existing(job) is not None
    assert not (job.path / replays.FILE).exists()


KINDS = {
    "a budget": ["problem=quadratic", "algorithm=stocbio", "steps=null", "budget=400"],
    "epochs": ["problem=lp_regression", "algorithm=soba", "steps=null", "epochs=2", "algorithm.batch_size=32"],
    "tables": ["problem=quadratic", "algorithm=saba", "steps=20", "algorithm.batch_size=10"],
    "gradients alone": ["problem=penalised_quadratic", "algorithm=f2sa", "steps=20"],
    "long, few rows": ["steps=300", "log_points=10", "problem.noise=1"],
    "shorter than a period": ["steps=3", "algorithm.period=7"],
    "runs that diverge": ["steps=12", "algorithm.first_radius=1e12", "+grid.algorithm.lower_step=[1.0,1e9]"],
    "all diverge": ["steps=12", "algorithm.first_radius=1e12", "algorithm.lower_step=1e9"],
    "single precision": ["steps=12", "dtype=float32", "problem.noise=1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("words", KINDS.values(), ids=KINDS)
def test_every_kind_of_record_is_equal_to_its_replay(tmp_path: Path, words: list[str]) -> None:
    (job,) = jobs_of(tmp_path, *words)
    record = by_other_code(job)
    for whole in (False, True):
        result = replay(job, record, whole)
        assert result is not None
        assert result.equal, result.difference
        assert result.rows == (record.history["iteration"] <= result.iteration).sum() > 0
        assert result.iteration == result.last or result.iteration > getattr(job.algorithm, "period", 1)
    assert result.whole


def test_what_acts_late_is_found_by_a_whole_replay(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    step, told = UniBiO.step, []

    def late(self: UniBiO, oracle: Any, state: Any) -> Any:
        new = step(self, oracle, state)
        return new | {"x": new["x"] + (state["t"] >= 8)} if "t" in state else new

    record = records.find(job.path)
    assert record is not None
    with monkeypatch.context() as patch:
        patch.setattr(UniBiO, "step", late)
        assert not run_job(job).computed, "its beginning is equal"
        with pytest.raises(InputError, match=r"today's code does not compute what .* holds \(.*run 0, iteration 9"):
            prove([record], told.append)
    assert len(told) == 1
    prove([record], told.append)
    assert "equal to the bit up to its end, iteration 12" in told[-1]
    assert representatives([record]) == {}, "what was replayed whole by this code is not again"


@pytest.mark.slow
def test_one_record_of_every_problem_and_algorithm_stands_for_all(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, "algorithm=soba,ttsa", "problem=quadratic", "seed=0,1,2", "steps=5")
    found = [by_other_code(job, seconds=float(1 + job.config["seed"])) for job in jobs]
    chosen = representatives([*found, *found])
    assert set(chosen) == {("quadratic", "soba"), ("quadratic", "ttsa")}
    assert {record.config["seed"] for record in chosen.values()} == {0}, "the quickest of those as long"
    result = replay(jobs[0], found[0], whole=True)
    assert result is not None
    assert result.whole
    assert set(representatives(found)) == {("quadratic", "ttsa")}
    assert representatives([run_job(job).record for job in jobs_of(tmp_path / "now", "steps=3")]) == {}


def test_an_interrupted_or_failing_replay_loses_nothing(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.name: file.read_bytes() for file in job.path.iterdir()}

    class Stop:
        def __enter__(self) -> Callable[[], bool]:
            return lambda: True

        def __exit__(self, *_: object) -> None: ...

    def broken(*_: object) -> None:
        raise RuntimeError("no such luck")

    for name, value, error in ((compute, "stop_requests", Interrupted), (UniBiO, "step", RuntimeError)):
        with monkeypatch.context() as patch:
            patch.setattr(name, value, Stop if error is Interrupted else broken)
            with pytest.raises(error):
                run_job(job)
        assert {file.name: file.read_bytes() for file in job.path.iterdir()} == before
    assert note_killed(job, "killed while it replayed")
    assert {file.name: file.read_bytes() for file in job.path.iterdir()} == before
    assert not run_job(job).computed


def test_it_runs_on_the_device_and_with_the_threads_of_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = jobs_of(tmp_path, "steps=4", "threads=2")
    record = by_other_code(job, threads=1)
    seen: list[Job] = []
    simulation = module.simulation
    monkeypatch.setattr(module, "simulation", lambda job, **asked: [seen.append(job), simulation(job, **asked)][1])
    assert replay(job, record) is not None
    assert (seen[0].config["threads"], seen[0].config["device"]) == (1, "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    record = by_other_code(job, hardware={"device": "NVIDIA H100"})
    assert look(job) == Found(record, valid=False, unknown=False), "nothing here can tell: it is computed again"
    assert replay(job, record) is None


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=30, unique=True).map(sorted),
    st.integers(1, 500),
)
def test_the_horizon_is_the_first_logged_row_beyond_a_period(logged: list[int], period: int) -> None:
    k = horizon(pd.DataFrame({"run": 0, "iteration": logged}), period)
    beyond = [iteration for iteration in logged if iteration > period]
    assert k == (beyond[0] if beyond else logged[-1])


def test_bits_are_compared() -> None:
    zero, nan = np.array([0.0, np.nan]), np.array([-0.0, np.nan])
    assert module._unequal(zero, nan).tolist() == [True, False]
    assert module._unequal(np.array([1]), np.array([1.0])).all()
    assert module._difference(pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1, 2]})) == "1 rows now, 2 recorded"
    assert module._difference(pd.DataFrame({"a": [1], "seconds": 1}), pd.DataFrame({"a": [1], "seconds": 2})) == ""
    assert "columns: b (now)" in module._difference(pd.DataFrame({"a": [1], "b": [1]}), pd.DataFrame({"a": [1]}))


def test_commands_say_how_records_stand(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(job.root)
    main(["show", job.name, "--records", root])
    assert "stale" in capsys.readouterr().out
    main(["run", f"records={root}", "tracker=none", *WORDS, "targets.hypergradient_norm=[0.5]"])
    said = capsys.readouterr().out
    assert "1 recorded by other code, whose first iterations are replayed" in said
    assert "already recorded, replayed to iteration 3; 4 completed" in said
    main(["run", f"records={root}", "tracker=none", *WORDS, "targets.hypergradient_norm=[0.5]"])
    assert "1 already recorded;" in capsys.readouterr().out
    main(["show", job.name, "--records", root])
    assert "replayed to iteration 3" in capsys.readouterr().out
    main(["status", "--records", root])
    head, row = (line for line in capsys.readouterr().out.splitlines() if "sweep" in line)
    names, counts = ([cell.strip() for cell in line.replace("┃", "│").split("│")] for line in (head, row))
    assert [counts[names.index(name)] for name in ("done", "replayed", "stale")] == ["1", "1", ""]
    (job.path / replays.FILE).write_text(json.dumps([1]))
    main(["status", "--records", root])
