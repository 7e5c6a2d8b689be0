"""The command line as a user types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from unibio.cli import COMMANDS, main
from unibio.parameters import declared
from unibio.registry import ALGORITHMS, PROBLEMS


def run(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unibio", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_one_configuration(tmp_path: Path) -> None:
    words = ["problem=example3", "problem.exponent=4", "algorithm=unibio", "algorithm.upper_step=0.03", "seed=0"]
    first = run(*words, "steps=20", "tracker=none", cwd=tmp_path)
    assert "computed" in first.stdout
    assert first.stderr == "", "quiet when not on a terminal"
    again = run(*words, "steps=20", "tracker=none", cwd=tmp_path)
    assert "already recorded" in again.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"], "nothing but records is left behind"


def test_an_experiment_is_a_sweep_announced_before_it_starts(tmp_path: Path) -> None:
    done = run("experiment=runtime", "scale=smoke", "tracker=none", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert "4 jobs, 0 already recorded, 4 to run" in lines[0]
    assert "about" in lines[0]
    assert len([line for line in lines if "computed" in line]) == 4
    assert len(list((tmp_path / "runs").glob("example3-p*"))) == 4


def test_a_sweep_over_the_command_line(tmp_path: Path) -> None:
    done = run("-m", "problem.exponent=2,4", "steps=5", "tracker=none", cwd=tmp_path)
    assert done.stdout.count("computed") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["algorithm.uper_step=1"], "Did you mean 'upper_step'?"),
        (["-m", "problem.exponent=2,3"], "problem.exponent = 3"),
        (["experiment=fig1", "algorithm.momentum=2"], "algorithm.momentum"),
        (["problem.exponent=2,4"], "add -m"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    tmp_path: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["run", *arguments, "tracker=none"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_list_shows_every_method_problem_parameter_and_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list"])
    text = capsys.readouterr().out
    for table in (ALGORITHMS, PROBLEMS):
        for name, cls in table.items():
            assert f"  {name}: " in text
            for field in declared(cls):
                assert f"    {field.name} = " in text
    assert "fig1: Figure 1" in text
    with pytest.raises(SystemExit) as stopped:
        main(["list", "unibo"])
    assert stopped.value.code == 2
    assert "did you mean 'unibio'" in capsys.readouterr().err.lower()


def test_help_at_every_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    top = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command}" in top
    for command in set(COMMANDS) - {"run", "sweep"}:
        with pytest.raises(SystemExit) as stopped:
            main([command, "--help"])
        assert stopped.value.code == 0
        assert capsys.readouterr().out
    assert "Hydra overrides" in top
    assert run("--help", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []
