"""Configuration files in other directories, for every command."""

from __future__ import annotations

import json
import re
import runpy
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
    assert "1 job, 0 already recorded" in capsys.readouterr().out
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


SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.slow
def test_the_whole_study_is_reproduced_with_an_experiment_from_there(
    own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["asked", "--config-dir", "its own", "--scale", "smoke", "--tracker", "none", "--launcher", "local"]
    for ends in ("2 jobs computed", "0 jobs computed"):
        monkeypatch.setattr(sys, "argv", ["reproduce.py", *words])
        runpy.run_path(str(SCRIPTS / "reproduce.py"), run_name="__main__")
        assert ends in capsys.readouterr().out
    root = own.parent
    (noted,) = (root / "runs" / ".experiments").glob("*.json")
    assert noted.stem == "asked"
    assert f"--config-dir='{own}' experiment=asked" in json.loads(noted.read_text(encoding="utf-8"))["command"]
    assert (root / "results" / "index.html").is_file()
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "asked"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(SCRIPTS / "reproduce.py"), run_name="__main__")
    assert stopped.value.code == 2
    assert "unknown experiment 'asked'" in capsys.readouterr().err


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_every_script_takes_it(
    script: str, own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said of a directory that is not there is said by what all of them share; --help lets the other pass."""
    monkeypatch.setattr(sys, "argv", [script, "--config-dir", "nowhere"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
    assert stopped.value.code == 2
    assert "--config-dir: nowhere is no directory" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [script, "--config-dir", "its own", "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
    assert stopped.value.code == 0


@pytest.mark.slow
def test_a_script_finds_plugins_that_are_files(
    own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the commands do, although Python looks beside the script and not in the current directory."""
    (own.parent / "beside_me.py").write_text(foreign.METHOD.replace("NAME", "beside_me").replace("STEP", "0"))
    monkeypatch.setenv("UNIBIO_PLUGINS", "beside_me")
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *(place for place in sys.path if place)])
    monkeypatch.setattr(sys, "argv", ["size_up.py", "algorithm=beside_me", "steps=4"])
    runpy.run_path(str(SCRIPTS / "size_up.py"), run_name="__main__")
    assert "beside_me" in capsys.readouterr().out
