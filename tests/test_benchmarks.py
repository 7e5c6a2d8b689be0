"""The benchmarks run, compare equals with equals, and write what they say they write. No timing is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from unibio.registry import ALGORITHMS

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.slow  # every benchmark once, at tiny sizes
FIELDS = {"value", "unit", "target", "relative_to", "met", "note", "section"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The rows of a tiny run, and what it printed."""
    output = tmp_path_factory.mktemp("bench") / "rows.json"
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--tiny", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
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
            below = name.startswith(("agreement/", "over/", "overhead/", "harness/", "startup/", "dashboards/"))
            below |= name.endswith(("/over_oracle", "/data_share", "/memory_over_released"))
            assert row["met"] == (row["value"] <= row["target"] if below else row["value"] >= row["target"]), name
        if name.startswith(("speedup/", "overhead/", "over/")) and row["value"] is not None:
            assert row["relative_to"] in rows, name


def test_every_row_has_every_field(tiny: tuple[dict[str, Any], str]) -> None:
    check_rows(tiny[0])


def test_opponents_compute_the_same(tiny: tuple[dict[str, Any], str]) -> None:
    agreements = {name: row for name, row in tiny[0].items() if name.startswith("agreement/")}
    assert {name.split("/")[1] for name in agreements} >= {"p4", "example3", "network", "users"}
    assert all(row["value"] <= row["target"] for row in agreements.values())


def test_opponents_that_are_not_here_are_said_to_be_missing(tiny: tuple[dict[str, Any], str]) -> None:
    rows, printed = tiny
    for name in ("speedup/example3/1/float64/jax", "over/quadratic/3/vrbo/jax"):
        missing = [row for row in rows.values() if "jax is not installed" in row["note"]]
        assert (name in rows) != bool(missing)
    for who in ("betty", "torchopt"):
        measured = {f"over/models/{what}/{who}" for what in ("hyper_cleaning/4", "weight_decay/4", "lines")}
        measured |= {
            f"models/{task}/{what}/{who}"
            for task in ("hyper_cleaning", "weight_decay")
            for what in ("quality", "memory")
        }
        here = find_spec(who) is not None
        assert measured & set(rows) == (measured if here else set())
        assert (f"over/models/{who}" in rows) != here
    if any(find_spec(name) is None for name in ("jax", "betty", "torchopt")):
        assert "Left out" in printed
    assert {"example3/3/float32/numba", "example3/3/float32/torch"} <= set(rows)


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
        "models/hyper_cleaning/4/ours",
        "models/weight_decay/quality/ours",
        "models/lines/ours",
        "dashboards/clock",
        "dashboards/processor",
        "dashboards/taken",
        "dashboards/waited",
        "startup/recorded",
        "startup/many_runs",
        "memory/per_trajectory",
        "compiled/epoch_sgd",
        "shares/grid/random numbers",
    ):
        assert name in rows
    assert sum(row["value"] for name, row in rows.items() if name.startswith("shares/seeds/")) == pytest.approx(100)
    assert "Speed-up over scalar code" in printed
    assert "missed" in printed  # with this few trajectories; it must be said


def test_every_method_is_compared_with_its_oracle(tiny: tuple[dict[str, Any], str]) -> None:
    rows, printed = tiny
    cases = {name.split("/")[1] for name in rows if name.startswith("overhead/")}
    assert {case.rstrip("0123456789") for case in cases} == {"quadratic", "lp_regression_"}
    for case in cases:
        names = {name.split("/")[2] for name in rows if name.startswith(f"overhead/{case}/")}
        assert names == set(ALGORITHMS) - {"unibio_released"}
        assert {rows[f"overhead/{case}/{name}"]["target"] for name in names} == {1.3}
    assert "over that of its oracle calls alone" in printed


@pytest.fixture
def dashboards(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that measures what a dashboard costs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("WANDB_MODE", "WANDB_DISABLED", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    import dashboards

    return dashboards


def test_a_run_with_a_dashboard_is_the_run_without(dashboards: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kinds run as often as is said, with the same iterations, and only the one of them waits for wandb."""
    done: list[tuple[str, int, float]] = []
    timed = dashboards._timed

    def noted(root: Path, mode: str, steps: int, scale: Any) -> Any:
        found = timed(root, mode, steps, scale)
        done.append((mode, steps, found[0].waited / found[0].clock))
        return found

    monkeypatch.setattr(dashboards, "_timed", noted)
    rows = dashboards.rows(dashboards.Scale(0.3, 1, 0.05))
    (none, steps, idle), (offline, as_many, waited) = done[-2:]
    assert (none, offline) == ("none", "offline")
    assert steps == as_many
    assert idle < waited
    assert rows["dashboards/waited"].value == pytest.approx(100 * waited)
    targets = {name.split("/")[1]: row.target for name, row in rows.items() if row.target is not None}
    assert targets == pytest.approx({"taken": 2})
    assert rows["dashboards/taken"].value >= rows["dashboards/waited"].value


def test_a_dashboard_that_shows_nothing_is_not_timed(dashboards: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboards, "CURVES", 9)
    with pytest.raises(RuntimeError, match="has shown 8 curves"):
        dashboards.rows(dashboards.Scale(0.3, 1, 0.05))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    (row,) = dashboards.rows(dashboards.Scale()).values()
    assert row.value is None
    assert row.note.startswith("skipped")


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that compares methods with their oracles."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import methods

    return methods


@pytest.mark.parametrize("name", ["unibio", "bsa", "saba", "vrbo"])
def test_the_bare_calls_are_those_of_the_method(methods: Any, name: str) -> None:
    """Replayed from the same state they count the same, kind by kind and run by run, and draw the same samples."""
    case = methods.lp_regression(3)
    stretch = methods.Stretch(case, methods.configured(ALGORITHMS[name], case))
    ends = []
    for work in (stretch.repeat, stretch.replay):
        stretch.rewind()
        with torch.no_grad():
            work()
        ends.append({kind: count.tolist() for kind, count in stretch.oracle.counts().items()})
    assert ends[0] == ends[1]
    assert ends[0]["grad_upper"][0] > 0


def test_a_stretch_is_the_same_every_time(methods: Any) -> None:
    """SABA writes into its tables: without a copy of them the second time would go on from the first."""
    case = methods.lp_regression(2)
    stretch = methods.Stretch(case, methods.configured(ALGORITHMS["saba"], case))
    ends = []
    for _ in range(2):
        stretch.rewind()
        with torch.no_grad():
            stretch.repeat()
        ends.append(stretch.end["x"].clone())
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], stretch.state["x"])


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
    assert all(row["section"] or name.startswith("machine/") for name, row in rows.items())
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
