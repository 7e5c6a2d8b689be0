"""``make reproduce`` at the smoke scale: from nothing to a report, then nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from unibio.reproduce import SYNTHETIC, experiments

ROOT = Path(__file__).parents[1]


def reproduce(cwd: Path) -> str:
    command = [sys.executable, str(ROOT / "scripts" / "reproduce.py"), "--scale", "smoke", "--tracker", "none"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    where = tmp_path_factory.mktemp("reproduce")
    return where, reproduce(where)


def test_every_figure_table_and_verdict_is_there(reproduced: tuple[Path, str]) -> None:
    where, text = reproduced
    out = where / "reproduced"
    report = (out / "report.md").read_text(encoding="utf-8")
    claims = json.loads((out / "claims.json").read_text(encoding="utf-8"))
    assert "smoke" in report
    assert len(list((out / "figures").glob("*.png"))) == len(list((out / "figures").glob("*.pdf"))) >= 8
    assert len(list((out / "tables").glob("*.csv"))) >= 8
    # Thirty steps reach no target, so nothing can be said about who reaches it first; everything else is judged.
    unjudged = {claim["id"] for claim in claims["claims"] if claim["verdict"] == "not yet run"}
    assert unjudged == {f"slower-{cost}{where}" for cost in ("iterations", "calls") for where in ("", "-10d")}
    assert text.strip().splitlines()[-1].startswith("reproduced/report")


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
