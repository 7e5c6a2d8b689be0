"""``make reproduce`` at the smoke scale: from nothing to a report, then nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unibio.analysis.study import SYNTHETIC
from unibio.records import load_experiment
from unibio.reproduce import experiments

ROOT = Path(__file__).parents[1]


#: A part of the study with curves, a schedule and a table; the whole of it takes a minute even at this scale.
PART = ("fig1", "fig1_equal", "runtime")


def reproduce(cwd: Path) -> str:
    script = str(ROOT / "scripts" / "reproduce.py")
    command = [sys.executable, script, *PART, "--scale", "smoke", "--tracker", "none", "--workers", "1"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    where = tmp_path_factory.mktemp("reproduce")
    return where, reproduce(where)


def test_figures_tables_and_verdicts_of_what_was_run_are_there(reproduced: tuple[Path, str]) -> None:
    where, text = reproduced
    out = where / "results"
    assert "smoke" in (out / "report.md").read_text(encoding="utf-8")
    assert {path.stem for path in (out / "figures").glob("*.png")} == {"fig1", "fig1_equal", "fig1_equal_noise1"}
    assert {path.stem for path in (out / "figures").glob("*.pdf")} == {"fig1", "fig1_equal", "fig1_equal_noise1"}
    assert {path.stem for path in (out / "tables").glob("*.csv")} >= {*PART}
    assert text.strip().splitlines()[-1] == "results/index.html"
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
    mine = [claim for claim in claims["claims"] if set(claim["experiments"]) <= set(SYNTHETIC)]
    unjudged = {claim["id"] for claim in mine if claim["verdict"] == "not yet run"}
    assert unjudged == {f"slower-{cost}{where}" for cost in ("iterations", "calls") for where in ("", "-10d")}


def test_a_second_call_computes_and_draws_nothing(reproduced: tuple[Path, str]) -> None:
    where, _ = reproduced
    files = [path for path in where.rglob("*") if path.is_file() and not {".experiments", ".locks"} & set(path.parts)]
    before = {path: path.stat().st_mtime_ns for path in files}
    text = reproduce(where)
    assert "0 jobs computed" in text
    assert "up to date" in text
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_deleting_one_record_reruns_exactly_that_job(reproduced: tuple[Path, str]) -> None:
    import shutil

    where, _ = reproduced
    victim = sorted((where / "runs").glob("example3-p4-unibio-T30-*"))[0]
    shutil.rmtree(victim)
    assert "1 jobs computed" in reproduce(where)
    assert (victim / "done").is_file()


def test_figures_need_no_torch(reproduced: tuple[Path, str], tmp_path: Path) -> None:
    where, _ = reproduced
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['hydra'] = None\n"
        "from unibio.cli import main\n"
        f"main(['figures', '--records', {str(where / 'runs')!r}, '--out', {str(tmp_path)!r}])\n"
        f"main(['report', '--records', {str(where / 'runs')!r}, '--out', {str(tmp_path)!r}])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (tmp_path / "report.md").is_file()


def test_the_synthetic_study_is_a_part_of_everything() -> None:
    assert set(SYNTHETIC) <= set(experiments())


def test_ctrl_c_keeps_what_is_computed_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """The signal goes to the whole group, as from a terminal: the parent and both workers get it."""
    script = str(ROOT / "scripts" / "reproduce.py")
    command = [sys.executable, script, "theorem_schedule", "--scale", "smoke", "--tracker", "none", "--workers", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/done")):  # the longest job, three times the next, is in the other worker
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "nothing was finished within two minutes"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 130, text
    assert "the same command goes on from there" in text
    assert "Traceback" not in text
    kept = len(list(tmp_path.glob("runs/*/done")))
    assert 1 <= kept < 6
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{kept} already recorded, {6 - kept} to run" in done.stdout
    longest = next(r for r in load_experiment(tmp_path / "runs", "theorem_schedule") if r.config["steps"] == 31623)
    assert longest.summary["resumed_from"] > 0
