"""A job in parts: the numbers of the whole to the bit, and nothing that is finished is computed again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from unibio.pipeline import computing
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job
from unibio.pipeline.computing import divided
from unibio.pipeline.job import Job
from unibio.pipeline.replay import replay
from unibio.simulation.trajectories import Interrupted
from unibio.store import writing
from unibio.store.directories import own_files
from unibio.store.records import Record, find

STRONGLY_CONVEX = ("problem=example3", "problem.exponent=2", "problem.noise=1")
#: Jobs of several runs: noise and steps as axes, some of which diverge; random lengths; targets; seeds that do nothing.
JOBS = {
    "grid": (
        "problem=example3",
        "algorithm=unibio",
        "problem.exponent=4",
        "+grid.problem.noise=[0,1]",
        "+grid.algorithm.upper_step=[0.03,1e11]",
        "+grid.seed={count: 3}",
        "targets.hypergradient_norm=[0.9,0.5]",
    ),
    "random lengths": (*STRONGLY_CONVEX, "algorithm=sustain", "+grid.seed={count: 7}"),
    "budget": (*STRONGLY_CONVEX, "algorithm=bsa", "budget=60", "+grid.seed={count: 5}"),
    "nothing random": ("problem=example3", "algorithm=unibio", "+grid.seed={count: 5}"),
}
#: Their steps are products of matrices, whose last digits BLAS has depend on how many rows there are.
MATRICES = {
    "tables": ("problem=quadratic", "algorithm=saba", "algorithm.batch_size=2", "+grid.seed={count: 4}"),
    "mixing": ("problem=coordinatewise", "algorithm=unibio", "problem.noise=1", "+grid.seed={count: 4}"),
}


def job_of(root: Path, words: Sequence[str], steps: int = 12) -> Job:
    """A job of few steps."""
    with composer() as compose_one:
        (job,) = expand([f"steps={steps}", *words, "tracker=none", f"records={root}"], compose_one)
    return job


def in_parts(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(computing, "PART_RUNS", most)


def assert_same(one: Record, other: Record) -> None:
    """All but the seconds, which are measured."""
    pd.testing.assert_frame_equal(
        one.history.drop(columns="seconds"), other.history.drop(columns="seconds"), check_exact=True
    )
    pd.testing.assert_frame_equal(one.runs, other.runs, check_exact=True)
    measured = {"seconds", "seconds_repeats", "finished", "command"}
    first, second = ({key: value for key, value in of.summary.items() if key not in measured} for of in (one, other))
    assert first.keys() == second.keys()
    assert str(first) == str(second)  # NaN is NaN


@pytest.mark.slow
@pytest.mark.parametrize("kind", MATRICES)
def test_parts_have_the_numbers_of_the_whole_but_for_rounding(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_job(job_of(tmp_path / "whole", MATRICES[kind])).record
    in_parts(monkeypatch, 3)
    record, again = (run_job(job_of(tmp_path / name, MATRICES[kind])).record for name in ("parts", "again"))
    for table in ("history", "runs"):
        one, other = (getattr(of, table).drop(columns="seconds", errors="ignore") for of in (record, whole))
        pd.testing.assert_frame_equal(one, other, rtol=1e-11)
    assert_same(record, again)


@pytest.mark.slow
@pytest.mark.parametrize("kind", JOBS)
def test_parts_have_the_numbers_of_the_whole(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_job(job_of(tmp_path / "whole", JOBS[kind])).record
    for most in (1, 3):
        in_parts(monkeypatch, most)
        job = job_of(tmp_path / str(most), JOBS[kind])
        assert len(divided(job)) > 1
        record = run_job(job).record
        assert find(record.path) is not None
        assert sorted(file.name for file in record.path.iterdir()) == sorted(file.name for file in whole.path.iterdir())
        assert_same(record, whole)


def test_what_is_said_of_some_parts_names_their_runs() -> None:
    parts = [range(2), range(2, 4), range(4, 6)]
    assert computing._gathered([["a", "b"], ["a"], ["b", "a"]], parts) == ["a", "of runs 0 to 1, 4 to 5: b"]


class Killed(BaseException):
    """Nothing of ours catches it, as nothing catches SIGKILL."""


def test_a_killed_job_computes_no_finished_part_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_job(job_of(tmp_path / "whole", JOBS["grid"])).record
    in_parts(monkeypatch, 3)
    job = job_of(tmp_path / "parts", JOBS["grid"])
    simulation, started = computing.simulation, []

    def counted(*arguments: Any, rows: range | None = None, **more: Any) -> Any:
        started.append(rows)
        if len(started) == 3:
            raise Killed
        return simulation(*arguments, rows=rows, **more)

    monkeypatch.setattr(computing, "simulation", counted)
    with pytest.raises(Killed):
        run_job(job)
    parts = divided(job)
    assert started == parts[:3]
    (second,) = job.path.glob(f"part-*-{parts[1].start}-history.parquet")
    second.write_bytes(second.read_bytes()[:-1])  # and the disk has lost the end of a file
    assert set(job.path.iterdir()) >= set(own_files(job.path)) >= set(job.path.glob("part-*"))
    assert_same(run_job(job).record, whole)
    assert started[3:] == parts[1:]
    assert not list(job.path.glob("part-*"))


@pytest.mark.slow
def test_a_job_that_is_killed_in_any_of_its_writes_ends_with_the_same_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*JOBS["nothing random"], "check=false")
    whole = run_job(job_of(tmp_path / "whole", words, 3)).record
    in_parts(monkeypatch, 3)
    fsync, writes = writing.os.fsync, []
    for deadly in range(1, 20):
        job = job_of(tmp_path / str(deadly), words, 3)
        writes.clear()

        def write(number: int, deadly: int = deadly) -> None:
            writes.append(number)
            if len(writes) == deadly:
                raise Killed
            fsync(number)

        with monkeypatch.context() as patch:
            patch.setattr(writing.os, "fsync", write)
            try:
                run_job(job)
            except Killed:
                assert find(job.path) is None
            else:
                break
        assert_same(run_job(job).record, whole)
        assert not list(job.path.glob("*part-*"))
    assert deadly > 12, "two parts of four files each, and a record of five"


def test_an_interrupted_part_goes_on_within_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_job(job_of(tmp_path / "whole", JOBS["grid"])).record
    in_parts(monkeypatch, 4)
    job = job_of(tmp_path / "parts", JOBS["grid"])
    told: list[int] = []
    simulation = computing.simulation

    def stopped(job: Job, checkpoint: Path, progress: Any, should_stop: Any, rows: range, **more: Any) -> Any:
        ask = (lambda: bool(told) and told[-1] >= 6) if rows.start else should_stop
        return simulation(job, checkpoint, progress, ask, rows=rows, **more)

    monkeypatch.setattr(computing, "simulation", stopped)
    with pytest.raises(Interrupted):
        run_job(job, progress=told.append)
    monkeypatch.setattr(computing, "simulation", simulation)
    record = run_job(job, progress=told.append).record
    assert record.summary["resumed_from"] > 0
    monkeypatch.setitem(record.summary, "resumed_from", 0)
    assert_same(record, whole)
    assert told == sorted(told), "progress is that of the whole"
    assert told[-1] == 12


def test_parts_of_other_code_are_no_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_parts(monkeypatch, 3)
    job = job_of(tmp_path, JOBS["grid"])
    job.path.mkdir(parents=True)
    (job.path / "part-abcdefabcdef-0.json").write_text("{}")
    run_job(job)
    assert not list(job.path.glob("part-*"))


def test_how_a_job_is_divided_follows_from_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parts_of(*words: str) -> list[range]:
        return divided(job_of(tmp_path, ("algorithm=unibio", *words), 500))

    def sizes(*words: str) -> set[int]:
        return {len(part) for part in parts_of(*words)}

    assert parts_of("+grid.seed={count: 100}") == [range(100)]
    many = parts_of("+grid.seed={count: 90001}")
    assert [part.start for part in many[1:]] == [part.stop for part in many[:-1]]
    assert (many[0].start, many[-1].stop) == (0, 90_001)
    (less, more) = sorted({len(part) for part in many})
    assert more - less == 1
    assert max(sizes("+grid.seed={count: 90001}", "log_points=400")) < 0.6 * more
    assert sizes("+grid.seed={count: 90001}", "log_points=2") == {30_000, 30_001}, "more would be slower"
    assert parts_of("+grid.seed={count: 500}", "problem=coordinatewise", "problem.dimension=5") == [range(500)]
    assert (
        len(
            parts_of(
                "+grid.seed={count: 3000}",
                "problem=coordinatewise",
                "problem.dimension=2000",
                "problem.mixing=hadamard",
            )
        )
        > 1
    )


def test_a_record_in_parts_is_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_parts(monkeypatch, 3)
    job = job_of(tmp_path, JOBS["grid"])
    record = run_job(job).record
    for whole, last in ((True, 12), (False, 3)):
        result = replay(job, record, whole=whole)
        assert result is not None
        assert (result.equal, result.iteration) == (True, last)
        assert result.rows == int((record.history["iteration"] <= last).sum())
    assert record.length == len(record.history)
    history = record.history.copy()
    history.loc[history.index[-1], "hypergradient_norm"] += 1e-12
    history.to_parquet(record.path / "history.parquet", index=False)
    result = replay(job, record, whole=True)
    assert result is not None
    assert f"of run {job.runs - 1}, iteration 1:" in result.difference
