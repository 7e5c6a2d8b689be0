"""The command line as a user types it."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import unibio
from unibio.cli.main import COMMANDS, main
from unibio.core.parameters import declared
from unibio.registry import ALGORITHMS, PROBLEMS
from wording import check_message

ROOT = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unibio", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_one_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In an interpreter of its own, whose secrets reach no file; then once more."""
    secret = "0123456789abcdefSECRET"
    for name in ("WANDB_API_KEY", "SOME_TOKEN"):
        monkeypatch.setenv(name, secret)
    words = ["problem=example3", "problem.exponent=4", "algorithm=unibio", "algorithm.upper_step=0.03", "seed=0"]
    words += ["steps=20", "tracker=none"]
    first = run(*words, cwd=tmp_path)
    assert "computed" in first.stdout
    assert first.stderr == "", "quiet when not on a terminal"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"], "nothing but records is left behind"
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) >= 5
    assert not any(secret.encode() in p.read_bytes() for p in files)
    monkeypatch.chdir(tmp_path)
    main(["run", *words])
    assert "already recorded" in capsys.readouterr().out


@pytest.mark.slow
def test_an_experiment_is_a_sweep_announced_before_it_starts(tmp_path: Path) -> None:
    done = run("experiment=runtime", "scale=smoke", "tracker=none", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert "4 jobs, 0 already recorded, 4 to run" in lines[0]
    assert "about" in lines[0]
    assert len([line for line in lines if "computed" in line]) == 4
    assert len(list((tmp_path / "runs").glob("example3-p*"))) == 4


def test_a_sweep_over_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["run", "-m", "problem.exponent=2,4", "steps=5", "tracker=none"])
    assert capsys.readouterr().out.count("computed") == 2


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
    for kind, table in (("algorithms", ALGORITHMS), ("problems", PROBLEMS)):
        main(["list", kind])
        text = capsys.readouterr().out
        for name, cls in table.items():
            assert re.search(rf"^{name}: ", text, re.M)
            for field in declared(cls):
                assert f"\n  {field.name} = " in text
    main(["list", "experiments"])
    assert "\nfig1: Figure 1" in capsys.readouterr().out
    main(["list", "nasty"])
    both = capsys.readouterr().out
    assert "python -m unibio experiment=nasty" in both, "a problem and an experiment of one name are both shown"
    assert both.startswith("nasty: The nasty example, d_x")
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
    main(["run", "problem=quadratic", "--help"])
    said = capsys.readouterr().out
    assert said == run("--help", cwd=tmp_path).stdout
    for part in (*ALGORITHMS, *PROBLEMS, "experiment  ", " retry_failed: false", "--cfg job"):
        assert part in said
    assert max(map(len, said.splitlines())) <= 120
    main(["--version"])
    assert capsys.readouterr().out == f"unibio {unibio.__version__}\n"
    assert list(tmp_path.iterdir()) == []


#: Every command and script, each with something that it cannot do; {root} is the repository.
WRONG = {
    "unknown command": ["unibio", "stauts"],
    "unknown flag of run": ["unibio", "run", "--foo"],
    "flag of run without its value": ["unibio", "run", "--cfg"],
    "wrong choice of run": ["unibio", "run", "--cfg", "jb"],
    "configuration to show that does not compose": ["unibio", "run", "--cfg", "job", "stps=3"],
    "part to show that does not exist": ["unibio", "run", "--cfg", "job", "-p", "nope"],
    "sweep": ["unibio", "sweep", "seed=1,"],
    "words after list": ["unibio", "list", "unibio", "soba"],
    "no records": ["unibio", "status"],
    "number of status": ["unibio", "status", "--every", "soon"],
    "value for a switch": ["unibio", "status", "--watch=3"],
    "show nothing": ["unibio", "show"],
    "show three": ["unibio", "show", "a", "b", "c"],
    "show without a value": ["unibio", "show", "a", "--csv"],
    "rerun nothing": ["unibio", "rerun"],
    "rerun what is not there": ["unibio", "rerun", "nope"],
    "flag of clean": ["unibio", "clean", "--yess"],
    "data": ["unibio", "data", "wikipedia"],
    "two sources": ["unibio", "data", "generated", "snli"],
    "several values of data": ["unibio", "data", "data.train=1,2"],
    "check nothing": ["unibio", "check"],
    "check what is not there": ["unibio", "check", "hoelde"],
    "check no problem": ["unibio", "check", "problem.exponent=4"],
    "check several": ["unibio", "check", "hoelder", "problem.exponent=2,4"],
    "check a parameter": ["unibio", "check", "hoelder", "problem.exponent=1"],
    "check a region": ["unibio", "check", "hoelder", "--y", "0"],
    "check too few points": ["unibio", "check", "hoelder", "--points", "3"],
    "check what is too large": ["unibio", "check", "hoelder", "problem.dimension=300"],
    "figure": ["unibio", "figures", "fig99"],
    "figures without records": ["unibio", "figures"],
    "report without records": ["unibio", "report"],
    "report into a file": ["unibio", "report", "--records", ".", "--out", "{root}/pyproject.toml"],
    "word after report": ["unibio", "report", "nope"],
} | {
    f"flag of {name}": [f"{name}.py", "e1", "--nosuch"] for name in ("fit_rates", "plot", "publish", "report", "widen")
}
WRONG |= {
    "workers of reproduce": ["reproduce.py", "--workers", "0"],
    "experiment of reproduce": ["reproduce.py", "fig99"],
    "periods of size_up": ["size_up.py", "steps=3", "--periods", "0"],
    "overrides of size_up": ["size_up.py", "steps"],
    "rounds of widen": ["widen.py", "e1", "--rounds", "many"],
    "records of widen": ["widen.py", "e1", "--records", "nowhere"],
    "range of fit_rates": ["fit_rates.py", "--low", "x"],
    "nothing to publish": ["publish.py"],
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_work_is_one_line_and_exit_status_2(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program, *arguments = [word.replace("{root}", str(ROOT)) for word in WRONG[what]]
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    run_it = main if program == "unibio" else partial(runpy.run_path, str(ROOT / "scripts" / program), None, "__main__")
    with pytest.raises(SystemExit) as stopped:
        run_it()
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    name, _, said = line.partition(": ")
    assert name == program.removesuffix(".py")
    check_message(said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_is_not_utf8(encoding: str, tmp_path: Path) -> None:
    code = "from unibio.cli.main import main; main(['list', 'unibio'])"
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"upper_step" in done.stdout


@pytest.mark.slow
def test_a_configuration_is_shown_by_hydra(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    done = run("algorithm.upper_step=0.5", "--cfg", "job", "-p", "algorithm", cwd=tmp_path)
    assert "upper_step: 0.5" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_seeds_that_make_no_difference_are_said(tmp_path: Path) -> None:
    words = ["steps=3", "tracker=none"]
    assert "and 1 more with other seeds are one and the same run" in run("-m", "seed=0,1", *words, cwd=tmp_path).stderr
    assert "the 2 seeds gave one and the same run" in run("+grid.seed=[0,1]", *words, cwd=tmp_path).stdout
    assert run("-m", "seed=0,1", "problem.noise=1", *words, cwd=tmp_path).stderr == ""
    noisy = run("+grid.seed=[0,1]", "+grid.problem.noise=[0,1]", *words, cwd=tmp_path)
    assert "same run" not in noisy.stdout, "some of these seeds are repetitions"
