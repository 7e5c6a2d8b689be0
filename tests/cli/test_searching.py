"""Configuration files in other directories, for every command."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import foreign
from unibio.cli.main import main
from unibio.cli.searching import taken_out
from unibio.errors import InputError
from wording import check_message


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an experiment, below the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "its own" / "experiment").mkdir(parents=True)
    (tmp_path / "its own" / "experiment" / "asked.yaml").write_text(foreign.experiment("asked", "soba"))
    return tmp_path / "its own"


@pytest.mark.parametrize(
    "words",
    [
        ["--config-dir", "its own"],
        ["--config-dir=its own"],
        ["-cd", "its own"],
        ["hydra.searchpath=['file://its own']"],
        ['+hydra.searchpath=["its own"]'],
    ],
)
def test_a_directory_is_named_in_many_ways(words: list[str], own: Path) -> None:
    assert taken_out(["a=1", *words, "-m"]) == (["a=1", "-m"], [own])


def test_a_directory_of_a_package(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = foreign.package(own, "searched_package")
    (folder / "conf").mkdir()
    monkeypatch.syspath_prepend(str(own))
    assert taken_out(["hydra.searchpath=[pkg://searched_package.conf]"])[1] == [folder / "conf"]
    assert taken_out(["hydra.searchpath=[pkg://searched_package/conf,pkg://searched_package]"])[1][1] == folder


@pytest.mark.parametrize(
    "words",
    [
        ["--config-dir"],
        ["--config-dir", "nowhere"],
        ["hydra.searchpath=its_own"],
        ["hydra.searchpath=[1]"],
        ["hydra.searchpath=[pkg://nowhere.conf]"],
        ["hydra.searchpath=[http://x]"],
        ["hydra.searchpath"],
    ],
)
def test_what_is_no_directory_is_said(words: list[str], own: Path) -> None:
    with pytest.raises(InputError) as refused:
        taken_out(words)
    check_message(str(refused.value))


def test_commands_read_it(own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    main(["run", "experiment=asked", "tracker=none", "--config-dir", "its own", "-m", "problem.exponent=2"])
    assert "1 jobs, 0 already recorded" in capsys.readouterr().out
    (noted,) = (own.parent / "runs" / ".experiments").glob("*.json")
    assert f"--config-dir='{own}'" in noted.read_text(encoding="utf-8"), "the command can be given again"
    main(["list", "--config-dir", "its own"])
    assert re.search(r"\basked +Somebody's question\.", capsys.readouterr().out)
    with pytest.raises(SystemExit):
        main(["run", "experiment=asked"])
    assert "unknown experiment 'asked'" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["unibio"])
    main(["run", "--cfg", "job", "--config-dir", "its own", "experiment=asked"])
    assert "experiment: asked" in capsys.readouterr().out
