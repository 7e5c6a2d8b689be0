"""Hydra's own ways through our command line: its sweepers, its flags, and what is said where ours is another."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unibio.cli import hydras
from unibio.cli.completion import words
from unibio.cli.main import COMMANDS, main
from wording import check_message


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["unibio"])
    return tmp_path


FIXED = ("tracker=none", "steps=6", "progress=false")


def test_a_sweeper_of_hydras_chooses_the_jobs_and_is_told_their_objective(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    judged = hydras._judged
    monkeypatch.setattr(hydras, "_judged", lambda *a: told.append(judged(*a)) or told[-1])
    main(["run", "-m", "hydra/sweeper=basic", "algorithm.upper_step=0.01,0.1", "--objective", "value", *FIXED])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("runs/")]
    assert len(lines) == len(told) == 2
    assert all(": value " in line for line in lines)
    assert told[0] > told[1], "a larger step comes further"
    assert len(list(here.glob("runs/*/done"))) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-m", "hydra/sweeper=optuner"], "unibio sweep KEY=A,B"),
        (["hydra/sweeper=basic"], "add -m"),
        (["-m", "hydra/launcher=joblib"], "launcher=local, processes or slurm"),
        (["-m", "hydra/sweeper=basic", "experiment=fig1"], "unibio sweep runs both"),
        (["-m", "hydra/sweeper=basic", "algorithm=sobo"], "Did you mean 'soba'?"),
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


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Hydra sets up the whole process's logging, on the streams of the moment."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in ("hydra", "unibio"))]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


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
