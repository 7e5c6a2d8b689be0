"""What a sweep will cost: iterations and kinds against what the jobs then take."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from given import given
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job
from unibio.pipeline.job import Job
from unibio.pipeline.sizing import Size, _labels, measure, size_up
from unibio.problems.nli import memory as nli_memory

SCRIPT = Path(__file__).parents[2] / "scripts" / "size_up.py"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pairs")


def jobs_of(tmp_path: Path, *more: str) -> list[Job]:
    with composer() as compose_one:
        return expand(given(f"records={tmp_path}", "tracker=none", "progress=false", "device=cpu", *more), compose_one)


def small(tmp_path: Path, cache: Path, *more: str) -> list[Job]:
    return jobs_of(tmp_path, "experiment=nli", "scale=smoke", f"data.cache={cache}", *more)


def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure without starting a process for every kind."""
    monkeypatch.setattr("unibio.pipeline.sizing.ProcessPoolExecutor", lambda count, _: ThreadPoolExecutor(count))


@pytest.mark.parametrize(
    "method",
    ["unibio", "saba", "vrbo", "unibio_plain", "bo_rep"],
)
@pytest.mark.slow
def test_iterations_of_epochs_are_those_that_a_run_takes(method: str, tmp_path: Path, cache: Path) -> None:
    """Warm starts and checkpoints cost samples of their own, and periods are not all alike."""
    (job,) = small(tmp_path, cache, f"+experiment/nli={method}", "problem.weights=learned", "seed=0", "epochs=9")
    size = measure(job)
    record = run_job(job).record
    assert abs(size.iterations - record.summary["iterations"]) <= 1  # a period may be cut
    assert size.evaluations == 11
    assert min(size.start, size.iteration, size.evaluation) > 0
    assert size.peak >= 0  # so small a network may fit into what the process has already
    assert size.seconds == size.start + size.iterations * size.iteration + 11 * size.evaluation


def test_the_bound_is_that_of_the_check(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(nli_memory, "check", lambda net, needed, *_: asked.append(needed))
    (job,) = small(tmp_path, cache, "+experiment/nli=stocbio", "problem.weights=learned", "seed=0")
    assert measure(job).bound == asked[0]


def test_iterations_of_steps_and_of_a_budget(tmp_path: Path) -> None:
    (one,) = jobs_of(tmp_path, "problem=quadratic", "algorithm=stocbio", "steps=70")
    assert measure(one).iterations == 70
    assert measure(one).bound is None
    (one,) = jobs_of(tmp_path, "problem=quadratic", "algorithm=soba", "steps=null", "budget=103")
    assert measure(one).iterations == run_job(one).record.summary["iterations"] == 26  # four calls an iteration
    (one,) = jobs_of(tmp_path, "problem=quadratic", "algorithm=soba", "steps=20", "budget=103")
    assert measure(one).iterations == 20


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_jobs_that_differ_in_seeds_are_of_one_kind(
    tmp_path: Path, cache: Path, processes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not processes:
        in_this_process(monkeypatch)
    wanted = "+experiment/nli=stocbio,saba", "problem.weights=learned", "scale.nli.table_limit=1e-6"
    done: list[int] = []
    kinds = size_up(small(tmp_path, cache, *wanted), done=lambda: done.append(1))
    assert [(kind.label, kind.jobs) for kind in kinds] == [("stocbio", 2), ("saba", 2)]
    assert len(done) == 2
    assert isinstance(kinds[0].size, Size)
    assert kinds[1].size is None
    assert "SABA's tables need" in kinds[1].reason
    assert not list(tmp_path.glob("nli*")), "nothing is recorded"


def test_two_settings_of_an_algorithm_have_two_labels() -> None:
    kinds = [
        {"algorithm.name": "unibio", "algorithm.period": 2, "algorithm.inner_budget": 3, "problem.width": 64},
        {"algorithm.name": "unibio", "algorithm.period": 6, "algorithm.inner_budget": 12, "problem.width": 64},
        {"algorithm.name": "soba", "problem.width": 16},
    ]
    assert _labels(kinds) == ["unibio width=64 period=2", "unibio width=64 period=6", "soba width=16"]


@pytest.mark.slow
def test_a_process_that_dies_is_said(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = small(tmp_path, cache, "+experiment/nli=stocbio", "problem.weights=learned", "seed=0")
    monkeypatch.setattr("unibio.pipeline.sizing._measure", _die)
    (kind,) = size_up(jobs)
    assert kind.size is None
    assert kind.reason == "its process was killed: not enough memory?"


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _known(*_: object) -> Size:
    """1 + 30 · 0.5 + 200 · 0.1 = 36 seconds."""
    return Size(1.0, 0.5, 30, 0.1, 200, 3 << 29, None)


def test_the_script(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def script(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["size_up.py", *arguments])
        runpy.run_path(str(SCRIPT), run_name="__main__")

    monkeypatch.setattr("unibio.pipeline.sizing._measure", _known)
    in_this_process(monkeypatch)
    script("problem=quadratic", "algorithm=soba", "steps=30", "seed=0,1", f"records={tmp_path}")
    said = capsys.readouterr().out
    row = next(line.split() for line in said.splitlines() if line.strip().startswith("soba"))
    assert row == ["soba", "2", "36", "s", "30", "0.5", "0.1", "1.50", "–"]
    assert "2 jobs, one after another: about 72 s" in said
    with pytest.raises(SystemExit) as stopped:
        script("experiment=nil")
    assert stopped.value.code == 2
    assert "nli" in capsys.readouterr().err
