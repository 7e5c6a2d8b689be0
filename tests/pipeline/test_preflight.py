"""Before a sweep: jobs that cannot run are left out once and for all, and networks too wide for a CPU are warned of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from given import given
from unibio.cli import main as cli
from unibio.cli import reproduce
from unibio.errors import InputError
from unibio.pipeline.batch import simulation
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.job import Job, named
from unibio.pipeline.launch import launch
from unibio.pipeline.preflight import refusal, slowness
from unibio.pipeline.sweep import announce, plan
from unibio.problems.nli import memory as nli_memory
from unibio.store import records

PAIRS = ("problem=nli_cleaning", "data.train=36", "data.valid=14", "data.test=10", "tracker=none", "device=cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pairs")


def jobs_of(root: Path, cache: Path, *words: str) -> list[Job]:
    with composer() as compose_one:
        return expand(given(*PAIRS, f"data.cache={cache}", f"records={root}", "steps=1", *words), compose_one)


SABA = ("algorithm=saba", "algorithm.batch_size=6", "dtype=float32")


def test_tables_that_do_not_fit_are_refused_in_the_words_of_the_job(tmp_path: Path, cache: Path) -> None:
    (job,) = jobs_of(tmp_path, cache, *SABA, "problem.width=4", "algorithm.table_limit=1e-6")
    said = refusal(job)
    assert said is not None
    with pytest.raises(InputError) as refused:
        simulation(job)
    assert str(refused.value) == said
    (job,) = jobs_of(tmp_path, cache, *SABA, "problem.width=4", "algorithm.table_limit=1e-3")
    assert refusal(job) is None


def test_several_rows_on_unequal_blocks_are_refused_too(tmp_path: Path, cache: Path) -> None:
    (job,) = jobs_of(tmp_path, cache, *SABA[:1], "algorithm.batch_size=7", "problem.width=4", "+grid.seed=[0,1]")
    assert "works for a single run only" in (refusal(job) or "")


def test_a_sweep_leaves_out_what_cannot_run_says_so_once_and_runs_the_rest(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*PAIRS, f"data.cache={cache}", f"records={tmp_path}", "algorithm=saba", "steps=1", "problem.width=4"]
    words += ["algorithm.table_limit=1e-6,1", "problem.init_seed=0,1,2", "progress=false", "algorithm.batch_size=18"]
    started: list[Job] = []

    def watched(jobs: Sequence[Job], *more: object) -> list:
        started.extend(jobs)
        return launch(jobs, *more)

    monkeypatch.setattr("unibio.pipeline.launch.launch", watched)
    with pytest.raises(SystemExit) as ended:
        cli.run(["-m", *words])
    assert ended.value.code == 1
    assert [job.config["algorithm"]["table_limit"] for job in started] == [1.0] * 3
    assert all(records.find(tmp_path / records.record_name(job.config)) for job in started)
    said = capsys.readouterr()
    assert "6 jobs, 0 already recorded, 3 left out because they cannot run, 3 to run" in said.out
    assert said.err.count("unibio: 3 of 6 jobs left out: SABA's tables need") == 1
    assert "failed" not in said.err  # nothing was tried: no traceback to point to
    with pytest.raises(SystemExit) as ended:  # what could run is recorded, the others still cannot
        cli.run(["-m", *words])
    assert ended.value.code == 1
    assert "6 jobs, 3 already recorded" in capsys.readouterr().out


def test_a_sweep_of_which_nothing_can_run_ends_there(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*PAIRS, f"data.cache={cache}", f"records={tmp_path}", *SABA, "steps=1", "problem.width=4"]
    with pytest.raises(SystemExit) as ended:
        cli.run(["-m", *words, "algorithm.table_limit=1e-6,1.5e-6"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("1 of 2 jobs left out: SABA's tables need") == 2  # each limit is a reason


@pytest.mark.slow
def test_reproducing_goes_on_without_jobs_that_cannot_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where all of an experiment is left out: the others are run, and figures and report are written."""
    started: list[Job] = []
    monkeypatch.setattr(
        "unibio.pipeline.preflight.refusal", lambda job: "no room" if job.problem.name == "nli_cleaning" else None
    )
    monkeypatch.setattr(reproduce, "launch", lambda jobs, finished: started.extend(jobs) or [])
    monkeypatch.setattr(reproduce, "publish", lambda root, out: [out / "report.md"])
    monkeypatch.chdir(tmp_path)  # where prepared pairs go
    for names, others in ((["nli_controls", "algorithm1"], 4), (["nli_controls"], 0)):
        started.clear()
        with pytest.raises(SystemExit) as ended:
            reproduce.reproduce(names, "smoke", ["tracker=none", f"records={tmp_path}"], tmp_path, workers=1)
        assert ended.value.code == 1
        assert len(started) == others
        said = capsys.readouterr().err
        assert f"4 of {4 + others} jobs left out: no room" in said
        assert "failed" not in said


def test_memory_is_asked_for_on_the_cpu_of_this_machine_only(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nli_memory, "available", lambda device: 1e4)
    (job,) = jobs_of(tmp_path, cache, "algorithm=stocbio", "problem.width=4")
    assert "problem.width = 4 needs" in (refusal(job) or "")
    (job,) = jobs_of(tmp_path, cache, "algorithm=stocbio", "problem.width=4", "launcher=slurm")
    assert refusal(job) is None
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    (job,) = jobs_of(tmp_path, cache, "algorithm=stocbio", "problem.width=4", "device=cuda")
    assert refusal(job) is None


def test_wide_networks_on_a_cpu_are_warned_of_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With 300-d vectors 4,096 units have 51.6 million weights, 64 units 32,387."""
    words = ("algorithm=stocbio", "problem.width=4096", "data.dimension=300", "problem.init_seed=0,1,2")
    words += ("steps=null", "epochs=1")  # of which no sweep tries a few to tell how long they take
    jobs = jobs_of(tmp_path, cache, *words)
    said = slowness(jobs)
    assert said is not None
    assert "3 of these jobs train networks of up to 4,096 units on a CPU" in said
    assert "about 1,594 times the arithmetic of 64 units" in said
    monkeypatch.setattr("unibio.pipeline.preflight.refusal", lambda job: None)
    announce(jobs, "again")
    assert capsys.readouterr().err.count("unibio: warning: 3 of these jobs") == 1
    assert slowness(jobs_of(tmp_path, cache, *words[:1], "problem.width=256")) is None
    assert slowness(jobs_of(tmp_path, cache, *words, "launcher=slurm")) is None
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert slowness(jobs_of(tmp_path, cache, *words, "device=auto")) is None


def test_what_a_record_seems_to_vouch_for_is_checked_where_it_does_not(tmp_path: Path) -> None:
    """A job whose record is there is not checked to the last, since what computed it was; a false one is."""
    words = ["+grid.algorithm.period=[1,2]", "steps=2", "tracker=none", f"records={tmp_path}"]
    with composer() as compose_one:
        with pytest.raises(InputError, match="cannot be a grid axis"):
            expand(words, compose_one)
        job = named(compose_one(words))
        job.path.mkdir(parents=True)
        (job.path / "done").write_text("")
        jobs = expand(words, compose_one)
    with pytest.raises(InputError, match="cannot be a grid axis"):
        plan(jobs)
