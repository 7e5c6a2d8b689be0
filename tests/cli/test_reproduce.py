"""``make reproduce`` at the smoke scale: from nothing to a report, then nothing twice."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unibio.cli.reproduce import experiments
from unibio.store.lists import load_experiment
from unibio.studies import PARTS

ROOT = Path(__file__).parents[2]


#: A part of the study with curves and a table; the whole of it takes a minute even at this scale.
PART = ("fig1", "runtime")


SCRIPT = str(ROOT / "scripts" / "reproduce.py")
COMMAND = [SCRIPT, *PART, "--scale", "smoke", "--tracker", "none", "--launcher", "local"]


def reproduce(cwd: Path) -> str:
    done = subprocess.run([sys.executable, *COMMAND], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    where = tmp_path_factory.mktemp("reproduce")
    return where, reproduce(where)


@pytest.mark.slow
def test_figures_tables_and_verdicts_of_what_was_run_are_there(reproduced: tuple[Path, str]) -> None:
    where, text = reproduced
    out = where / "results"
    assert "smoke" in (out / "report.md").read_text(encoding="utf-8")
    drawn = {"fig1", "fig1_lower"}
    for suffix in ("png", "pdf"):
        assert {path.stem for path in (out / "figures").glob(f"*.{suffix}")} == drawn
    assert {path.stem for path in (out / "tables").glob("*.csv")} >= {*PART}
    lines = text.strip().splitlines()
    assert lines[-1] == "results/index.html"
    (paper,) = (n for n, line in enumerate(lines) if line.startswith("the paper: "))
    assert lines[paper - 1].startswith("results/"), "counts come after everything else"
    assert "at a reduced scale (smoke)" in lines[paper]
    for claim in json.loads((out / "claims.json").read_text(encoding="utf-8"))["claims"]:
        if not set(claim["experiments"]) & set(PART):
            assert claim["verdict"] == "not yet run", claim["id"]


def test_the_whole_study_is_judged() -> None:
    """For what ``make reproduce-all SCALE=smoke`` wrote; continuous integration runs that before the tests."""
    if "UNIBIO_REPRODUCED" not in os.environ:
        pytest.skip("needs UNIBIO_REPRODUCED=DIR, what make reproduce-all SCALE=smoke wrote")
    out = Path(os.environ["UNIBIO_REPRODUCED"])
    claims = json.loads((out / "claims.json").read_text(encoding="utf-8"))
    assert len(list((out / "figures").glob("*.png"))) == len(list((out / "figures").glob("*.pdf"))) >= 8
    assert len(list((out / "tables").glob("*.csv"))) >= 8
    # Thirty steps reach no target, so nothing can be said about who reaches it first; everything else is judged.
    mine = [claim for claim in claims["claims"] if set(claim["experiments"]) <= set(PARTS[0].experiments)]
    unjudged = {claim["id"] for claim in mine if claim["verdict"] == "not yet run"}
    assert unjudged == {
        f"slower-{cost}{where}{reading}"
        for cost in ("iterations", "calls")
        for where in ("", "-10d")
        for reading in ("", "-lower")
    }


@pytest.mark.slow
def test_a_second_call_computes_and_draws_nothing(
    reproduced: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where, _ = reproduced
    files = [path for path in where.rglob("*") if path.is_file() and not {".experiments", ".locks"} & set(path.parts)]
    before = {path: path.stat().st_mtime_ns for path in files}
    monkeypatch.chdir(where)
    monkeypatch.setattr(sys, "argv", COMMAND)
    runpy.run_path(COMMAND[0], run_name="__main__")
    text = capsys.readouterr().out
    assert "0 jobs computed" in text
    assert "up to date" in text
    assert {path: path.stat().st_mtime_ns for path in files} == before


@pytest.mark.slow
def test_deleting_one_record_reruns_exactly_that_job(reproduced: tuple[Path, str]) -> None:
    import shutil

    where, _ = reproduced
    victim = sorted((where / "runs").glob("example3-p4-unibio-T30-*"))[0]
    shutil.rmtree(victim)
    assert "1 jobs computed" in reproduce(where)
    assert (victim / "done").is_file()


@pytest.mark.slow
def test_figures_need_no_torch(reproduced: tuple[Path, str], tmp_path: Path) -> None:
    where, _ = reproduced
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['hydra'] = None\n"
        "from unibio.cli.main import main\n"
        f"main(['figures', '--records', {str(where / 'runs')!r}, '--out', {str(tmp_path)!r}])\n"
        f"main(['report', '--records', {str(where / 'runs')!r}, '--out', {str(tmp_path)!r}])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (tmp_path / "report.md").is_file()


def test_the_synthetic_study_is_a_part_of_everything() -> None:
    assert set(PARTS[0].experiments) <= set(experiments())


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_computed_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """The signal goes to the whole group, as from a terminal: the parent and both workers get it."""
    command = [sys.executable, SCRIPT, "schedules_step", "--scale", "smoke", "--tracker", "none", "--workers", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/done")):  # the other worker is in the middle of a job
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "nothing was finished within two minutes"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 130, text
    assert "the same command goes on from there" in text
    assert "Traceback" not in text
    kept = len(list(tmp_path.glob("runs/*/done")))
    assert 1 <= kept < 5
    # The signal may find the other worker between two jobs, or before its first iteration: then nothing is half done.
    half_done = {path.parent.name for path in tmp_path.glob("runs/*/checkpoint-*.pt")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{kept} already recorded, {5 - kept} to run" in done.stdout
    found = load_experiment(tmp_path / "runs", "schedules_step")
    assert {record.name for record in found if record.summary.get("resumed_from")} == half_done
