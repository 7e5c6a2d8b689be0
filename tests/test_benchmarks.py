"""The benchmarks run, compare equals with equals, and write what they say they write. No timing is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FIELDS = {"value", "unit", "target", "relative_to", "met", "note"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The rows of a tiny run, and what it printed."""
    output = tmp_path_factory.mktemp("bench") / "rows.json"
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--tiny", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in output.parent.iterdir()] == [output.name]  # no temporary file is left
    return json.loads(output.read_text(encoding="utf-8")), done.stdout


def check_rows(rows: dict[str, Any]) -> None:
    for name, row in rows.items():
        assert set(row) == FIELDS, name
        assert row["value"] is not None or row["note"].startswith("skipped"), name
        assert row["unit"], name
        if row["target"] is None:
            assert row["met"] is None, name
        else:
            assert row["relative_to"], name
            below = name.startswith("agreement/")
            assert row["met"] == (row["value"] <= row["target"] if below else row["value"] >= row["target"]), name
        if name.startswith("speedup/"):
            assert row["relative_to"] in rows, name


def test_every_row_has_every_field(tiny: tuple[dict[str, Any], str]) -> None:
    check_rows(tiny[0])


def test_opponents_compute_the_same(tiny: tuple[dict[str, Any], str]) -> None:
    agreements = [row["value"] for name, row in tiny[0].items() if name.startswith("agreement/")]
    assert agreements
    assert max(agreements) <= 1e-10


@pytest.mark.parametrize("program", ["unibio", "epoch_sgd"])
@pytest.mark.parametrize("layout", ["seeds", "grid"])
def test_targets(tiny: tuple[dict[str, Any], str], program: str, layout: str) -> None:
    prefix = f"speedup/{program}/p4/noise/{layout}"
    targets = {opponent: tiny[0][f"{prefix}/{opponent}"]["target"] for opponent in ("python_floats", "numpy_arrays")}
    assert targets == {"python_floats": 50, "numpy_arrays": 500}


def test_what_else_is_there(tiny: tuple[dict[str, Any], str]) -> None:
    rows, printed = tiny
    for name in (
        "machine/torch",
        "unibio/p4/no_noise/seeds",
        "derivatives/p4/noise/autograd",
        "derivatives/p4/noise/own_derivatives",
        "random/normal",
        "history/overhead",
        "memory/per_trajectory",
        "compiled/epoch_sgd",
        "shares/grid/random numbers",
    ):
        assert name in rows
    assert sum(row["value"] for name, row in rows.items() if name.startswith("shares/seeds/")) == pytest.approx(100)
    assert "Speed-up over scalar code" in printed
    assert "missed" in printed  # with this few trajectories; it must be said


def test_a_wrong_opponent_is_noticed() -> None:
    """The check is worth nothing if a change of the algorithm passes it."""
    program = """
import scalar
from batched import Disagreement, Settings, check_agreement, distinct_seeds
scalar._PRODUCTS[4] = "w * w * w * 1.000001"
try:
    check_agreement(distinct_seeds(Settings(steps=4), 2, 1.0))
except Disagreement as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=BENCHMARKS, capture_output=True, text=True, timeout=120, check=True
    )
    assert "python_floats, p = 4, run 0" in done.stdout


def test_tiny_numbers_do_not_replace_the_latest() -> None:
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--output" in done.stderr


def test_the_page_shows_the_latest_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = json.loads((BENCHMARKS / "latest.json").read_text(encoding="utf-8"))
    check_rows(rows)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from measure import Row
    from page import BEGIN, END, markdown

    shown = (BENCHMARKS / "README.md").read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()
    assert shown == markdown({name: Row(**row) for name, row in rows.items()})


def test_without_a_compiler_compilation_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("CXX", "no-such-compiler")
    import compiled

    (row,) = compiled.rows(8, 1.0).values()
    assert row.value is None
    assert "no-such-compiler is not there" in row.note
