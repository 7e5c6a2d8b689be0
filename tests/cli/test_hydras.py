"""Hydra's own ways through our command line: its sweepers, its flags, and what is said where ours is another."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.errors import HydraException

import foreign
from unibio import plugins
from unibio.cli import hydras
from unibio.cli.completion import words
from unibio.cli.main import COMMANDS, main
from unibio.pipeline import local
from wording import check_message


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["unibio"])
    return tmp_path


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Hydra sets up the whole process's logging, on the streams of the moment."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in ("hydra", "unibio"))]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


FIXED = ("tracker=none", "steps=6", "progress=false")


def noting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What a sweeper is told, from now on."""
    told: list[float] = []
    judged = hydras._Search.judged
    monkeypatch.setattr(hydras._Search, "judged", lambda *a: told.append(judged(*a)) or told[-1])
    return told


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.slow
def test_a_sweeper_of_hydras_chooses_the_jobs_and_is_told_their_objective(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = noting(monkeypatch)
    main(["run", "-m", "hydra/sweeper=basic", "algorithm.upper_step=0.01,0.1", "--objective", "value", *FIXED])
    first, second, best = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert all(": value " in line for line in (first, second))
    assert told[0] > told[1], "a larger step comes further"
    assert best == f"best of 2 jobs: {second}"
    assert len(list(here.glob("runs/*/done"))) == 2


@pytest.mark.usefixtures("logging_as_before")
def test_optuna_searches_and_the_same_seed_finds_its_records(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs hydra-optuna-sweeper: pip install it")
    told = noting(monkeypatch)
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra.sweeper.sampler.seed=1", "+grid.seed={count:3}"]
    words += ["algorithm.upper_step=tag(log, interval(1e-3, 1))", "algorithm=choice(unibio,soba)", "problem.noise=1"]
    main(["run", "-m", *words, *FIXED])
    lines = capsys.readouterr().out.splitlines()
    assert len(told) == len(lines) - 1 == 4
    records = sorted(here.glob("runs/*/done"))
    assert len(records) == 4
    (results,) = here.glob("runs/.hydra/optimization_results.yaml")
    assert yaml.safe_load(results.read_text())["best_value"] == min(told), "it minimises what it is told"
    assert lines[-1].startswith("best of 4 jobs: ")
    assert lines[-1].endswith(f" {min(told):.6g}")
    before = [path.stat().st_mtime_ns for path in records]
    main(["run", "-m", *words, *FIXED])
    assert told[:4] == told[4:]
    assert sorted(here.glob("runs/*/done")) == records
    assert [path.stat().st_mtime_ns for path in records] == before, "nothing is computed twice"


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize(("direction", "told_of_the_failed"), [("minimize", math.inf), ("maximize", -math.inf)])
def test_a_failed_job_is_the_worst_in_either_direction(
    direction: str, told_of_the_failed: float, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs hydra-optuna-sweeper: pip install it")
    told = noting(monkeypatch)
    finish = local.finish_job

    def failing(job: Any) -> Any:
        if len(told) == 1:
            raise ArithmeticError("no number")
        return finish(job)

    monkeypatch.setattr(local, "finish_job", failing)
    words = ["hydra/sweeper=optuna", "hydra/sweeper/sampler=random", f"hydra.sweeper.direction={direction}"]
    with pytest.raises(SystemExit) as stopped:
        main(["run", "-m", *words, "hydra.sweeper.n_trials=3", "algorithm.upper_step=interval(0.01, 0.1)", *FIXED])
    assert stopped.value.code == 1
    assert told[1] == told_of_the_failed
    (results,) = here.glob("runs/.hydra/optimization_results.yaml")
    best = yaml.safe_load(results.read_text())["best_value"]
    assert best == (min if direction == "minimize" else max)(told[0], told[2])


@pytest.mark.one_in(18)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-m", "hydra/sweeper=optuner"], "unibio sweep KEY=A,B"),
        (["hydra/sweeper=basic"], "add -m"),
        (["-m", "hydra/sweeper/sampler=random"], "add hydra/sweeper=NAME"),
        (["-m", "hydra/launcher=joblib"], "launcher=local, processes or slurm"),
        (["-m", "hydra/sweeper=basic", "experiment=fig1"], "unibio sweep runs both"),
        (["-m", "hydra/sweeper=basic", "algorithm=sobo"], "Did you mean 'soba'?"),
        (["-m", "hydra/sweeper=basic", "algorithm.uper_step=0.1,0.2"], "Did you mean 'upper_step'?"),
        (["-m", "hydra/sweeper=basic", "algorithm.uper_step=interval(0.1, 0.2)"], "Did you mean 'upper_step'?"),
        (["-m", "hydra/sweeper=basic", "upper_step=range(1, 100000000)"], "unknown key in the configuration"),
        (["-m", "hydra/sweeper=basic", "algorithm=unibio,sobo"], "Did you mean 'soba'?"),
        (["-m", "hydra/sweeper=basic", "algorithm=unibio,soba", "algorithm.period=1,2"], "'period'"),
        (["-m", "hydra/sweeper=basic", "problem.exponent=tag(log, interval(2, four))"], "is not KEY=VALUE"),
        (["-m", "hydra/sweeper=basic", "problem.exponent=true,2"], "must be an integer"),
        (["-m", "hydra/sweeper=basic", "algorithm.upper_step=range(1, 0, 0)"], "write range(START,STOP,STEP)"),
        (["-m", "hydra/sweeper=basic", "hydra.sweeper.nope=3"], "hydra/sweeper=basic: Could not override"),
        (["-m", "hydra/sweeper=basic", "+hydra.sweeper.params={algorithm.upper_step: '1,2'}"], "written as it is"),
        (["-m", "hydra/sweeper=basic", "--objective", "nrm", *FIXED], "unknown metric 'nrm'"),
        (["-sc", "install=bash"], "unibio completion bash"),
    ],
)
def test_what_cannot_work_is_one_line_that_names_our_way(
    arguments: list[str], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", *arguments])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.strip()
    check_message(said)
    assert says in said


@pytest.mark.slow
@pytest.mark.usefixtures("logging_as_before")
def test_a_sweeper_finds_a_method_from_outside_the_tree(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = foreign.package(here, "plug_swept", method=foreign.method("mine_swept"))
    file = folder / "conf" / "algorithm" / "mine_swept.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("defaults:\n  - schema_mine_swept\nupper_step: 0.7\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setenv(plugins.VARIABLE, "plug_swept.method")
    main(["run", "-m", "hydra/sweeper=basic", "algorithm=mine_swept,soba", "problem.exponent=2,4", *FIXED])
    assert "best of 4 jobs" in capsys.readouterr().out


@pytest.mark.usefixtures("logging_as_before")
def test_whoever_asks_hydra_for_a_traceback_gets_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(HydraException):
        main(["run", "-m", "hydra/sweeper=basic", "hydra.sweeper.nope=3", *FIXED])


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize("flags", [["--cfg", "job"], ["--info", "searchpath"]])
def test_hydras_flags_show_and_run_nothing(flags: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", *flags, "algorithm=soba"])
    assert capsys.readouterr().out
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("re", {"report", "rerun"}),
        ("run problem=ex", {"problem=example3"}),
        ("sweep algorithm=unibio,so", {"algorithm=unibio,soba"}),
        ("run algorithm.upper_s", {"algorithm.upper_step="}),
        ("run algorithm=soba algorithm.auxiliary_s", {"algorithm.auxiliary_step="}),
        ("run algorithm=soba,nothing algorithm.auxiliary_s", {"algorithm.auxiliary_step="}),
        ("run log_p", {"log_points="}),
        ("list fig1_r", {"fig1_released"}),
        ("new al", {"algorithm"}),
        ("plot mi", {"mine"}),
        ("run nothing=", set()),
    ],
)
def test_words_are_completed(line: str, expected: set[str], here: Path) -> None:
    (here / "runs" / ".experiments").mkdir(parents=True)
    (here / "runs" / ".experiments" / "mine.json").write_text("{}")
    assert set(words(line.split(" "), COMMANDS)) == expected


def test_the_script_of_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh"):
        main(["completion", shell])
        assert "complete -F _unibio unibio" in capsys.readouterr().out
    main(["completion", "words", "--", "unibio swe"])
    assert capsys.readouterr().out == "sweep\n"
