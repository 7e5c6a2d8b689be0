"""The benchmarks' opponents compute what ours compute, a wrong one is noticed, and results are kept by section."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MODULES = (
    *("batched", "example3", "goals", "latest", "measure", "model_tasks", "models", "network_released"),
    *("optional", "page", "quadratic", "rival_sheets"),
)
METHODS = ("soba", "saba", "ma_soba", "sustain", "stocbio", "amigo", "f2sa", "vrbo")
needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason='jax is not installed (the extra "bench")')
#: In benchmarks/README.md it says how to install them.
LIBRARIES = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed"))
    for name in ("betty", "torchopt")
]


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """The modules of the benchmarks that are asked here."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        modules = {name: import_module(name) for name in MODULES}
        modules["optional"].without_jax()
        yield SimpleNamespace(**modules)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def small(bench: Any) -> dict[str, Any]:
    """A quadratic of two minibatches a level, as arrays."""
    return bench.quadratic.arrays(2 * bench.quadratic.BATCH)


@pytest.mark.parametrize(
    "name",
    ["torch", pytest.param("numba", marks=pytest.mark.slow), pytest.param("jax", marks=[pytest.mark.slow, needs_jax])],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_opponents_on_example_3(bench: Any, name: str, dtype: str) -> None:
    make = bench.example3.rivals()[name]
    row = bench.example3.agree(name, make, dtype)
    assert row.met is True
    assert row.value <= row.target == bench.example3.TOLERANCES[dtype]


@pytest.mark.parametrize("exponent", [2, 8])
def test_opponents_know_every_exponent(bench: Any, exponent: int) -> None:
    assert bench.example3.agree("torch", bench.example3.rivals()["torch"], "float64", exponent).met


def test_a_wrong_opponent_on_example_3_is_noticed(bench: Any) -> None:
    def wrong(s: Any, std: float, dtype: str) -> Any:
        return bench.example3.rivals()["torch"](s, 1.000001 * std, dtype)

    with pytest.raises(bench.batched.Disagreement, match="differs from ours"):
        bench.example3.agree("torch", wrong, "float64")


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_methods_in_jax(bench: Any, small: dict[str, Any], name: str) -> None:
    assert bench.quadratic.METHODS == METHODS
    assert bench.quadratic.agree(name, small).value <= 1e-12


@needs_jax
@pytest.mark.slow
def test_a_wrong_method_in_jax_is_noticed(bench: Any, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from rivals import methods_jax

    monkeypatch.setattr(methods_jax, "STEP", 0.1000001)
    with pytest.raises(bench.batched.Disagreement, match="soba in JAX"):
        bench.quadratic.agree("soba", small)


@needs_jax
@pytest.mark.slow
def test_methods_in_jax_draw_minibatches_of_their_own(bench: Any, small: dict[str, Any]) -> None:
    """Otherwise every seed would be the same run, and the compiler might compute it once."""
    from rivals import methods_jax, quadratic_jax

    end = methods_jax.own("soba", quadratic_jax.data(small), 3, 5)()
    assert end["x"].shape == (3, 10)
    assert len({tuple(row) for row in end["x"].tolist()}) == 3


@pytest.mark.parametrize("width", [3, 8])
def test_the_released_network_loop(bench: Any, width: int) -> None:
    assert bench.network_released.agree(width).value <= 1e-12


def test_another_loss_in_the_released_loop_is_noticed(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from rivals import released

    monkeypatch.setattr(released, "REGULARISER", 1.001e-4)
    with pytest.raises(bench.batched.Disagreement, match="released loop, gradient at 3 units"):
        bench.network_released.agree(3)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["hyper_cleaning", "weight_decay"])
@pytest.mark.parametrize("who", LIBRARIES)
def test_networks_in_libraries(bench: Any, who: str, task: str) -> None:
    with bench.models.quiet():
        row = bench.models.agree(who, bench.model_tasks.TASKS[task](5))
    assert row.value <= row.target == 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("who", LIBRARIES)
def test_a_wrong_network_in_a_library_is_noticed(bench: Any, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    side = import_module(f"rivals.models_{who}")
    right = side.train
    monkeypatch.setattr(side, "train", lambda task, s, fed: right(task, replace(s, terms=s.terms + 1), fed))
    with pytest.raises(bench.batched.Disagreement, match=r"ends .* from ours"), bench.models.quiet():
        bench.models.agree(who, bench.model_tasks.hyper_cleaning(5))


def test_what_is_trained_depends_on_the_seed_alone(bench: Any) -> None:
    """On the network's start and on all minibatches, and what else uses torch's generator decides nothing."""
    task, settings = bench.model_tasks.weight_decay(3), bench.model_tasks.Settings(2, batch=20)
    ends = []
    for seed in (0, 0, 1):
        torch.rand(1)
        with bench.models.quiet():
            ends.append(
                [bench.models.flat(one) for one in bench.models.train("ours", task, replace(settings, seed=seed))]
            )
    assert all(torch.equal(a, b) for a, b in zip(ends[0], ends[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(ends[0], ends[2], strict=True))


def test_quality_is_chosen_on_validation_and_judged_on_other_seeds(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody's grid is searched whole; what is best on the test data or on another seed does not matter."""
    searched = []

    def trained(who: str, task: Any, s: Any) -> Any:
        searched.append((s.lower_step, s.upper_step, s.seed))
        return None, s

    def accuracy(s: Any, data: str) -> float:
        return s.lower_step - s.upper_step if data == "valid" else s.upper_step + s.seed / 100

    monkeypatch.setattr(bench.models, "train", trained)
    monkeypatch.setattr(bench.models, "accuracy", accuracy)
    scale = bench.models.Scale(lower_steps=(0.1, 0.5), upper_steps=(0.2, 0.3), seeds=(4, 6))
    row = bench.models.quality("ours", SimpleNamespace(valid="valid", test="test"), scale)
    grid = [(lower, upper, 0) for lower in (0.1, 0.5) for upper in (0.2, 0.3)]
    assert searched == [*grid, (0.5, 0.2, 4), (0.5, 0.2, 6)]
    assert row.value == pytest.approx(0.2 + 0.05)
    assert "4 configurations" in row.note


def test_lines_are_counted_without_what_is_no_code(bench: Any, tmp_path: Path) -> None:
    text = '"""A module."""\n\nimport os  # what for\n\n\ndef f(\n    a,\n):\n    """Words.\n\n    More.\n    """\n'
    text += "    # why\n    return [\n        a,\n\n        os,\n    ]\n"
    (tmp_path / "some.py").write_text(text, encoding="utf-8")
    assert bench.models.lines(tmp_path / "some.py") == 1 + 3 + 4


@pytest.mark.slow
def test_without_libraries_ours_is_measured_and_reasons_stand_in_their_places(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = {"betty": bench.optional.ABSENT_BETTY, "torchopt": bench.optional.ABSENT.format("torchopt")}
    monkeypatch.setattr(bench.models, "missing", lambda: reasons)
    rows = bench.models.rows(bench.models.Scale(((2, 1),), 1, (0.5,), (0.1,), 1, (1,), 4))
    assert {name for name, row in rows.items() if row.value is None} == {"over/models/betty", "over/models/torchopt"}
    assert all(row.note.startswith("skipped: ") for row in rows.values() if row.value is None)
    networks, left_out = (sheet for sheet in bench.rival_sheets.sheets(rows) if sheet.lines)
    assert {line[0].partition("/")[0] for line in networks.lines} == {"hyper_cleaning", "weight_decay", "lines"}
    assert any("--ignore-requires-python betty-ml" in line[1] for line in left_out.lines)


def test_networks_have_a_line_per_quantity_and_a_column_per_side(bench: Any) -> None:
    Row = bench.measure.Row
    seconds = {"ours": [0.004, 0.004], "betty": [0.002, 0.008]}
    rows = bench.measure.over("models/hyper_cleaning/32", seconds, "betty", note="small")
    rows |= {"models/lines/ours": Row(30.0, "lines"), "models/lines/betty": Row(60.0, "lines")}
    rows |= {"over/models/lines/betty": Row(0.5, "×", None, "models/lines/betty", note="one count")}
    (sheet,) = (sheet for sheet in bench.rival_sheets.sheets(rows) if sheet.lines)
    assert sheet.header == ["what", "ours", "betty", "ours over betty", "how"]
    assert sheet.lines == [
        ["hyper_cleaning/32: time an iteration", "4 ms", "5 ms", "1.25× (0.5–2)", "small"],
        ["lines", "30 lines", "60 lines", "0.5×", ""],
    ]


def test_where_jax_is_missing_the_reason_stands_in_its_place(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench.quadratic, "without_jax", lambda: bench.optional.ABSENT.format("jax"))
    rows = bench.quadratic.rows(bench.quadratic.Scale())
    (row,) = rows.values()
    assert row.value is None
    shown = [sheet for sheet in bench.rival_sheets.sheets(rows) if sheet.lines]
    assert [sheet.title for sheet in shown] == ["Left out"]
    assert "pip install" in shown[0].lines[0][1]
    bench.page.print_tables(rows)
    assert "[bench]" in capsys.readouterr().out  # which is no markup


def test_a_section_is_replaced_and_the_others_stay(bench: Any, tmp_path: Path) -> None:
    Row = bench.measure.Row
    rows = {"machine/x": Row("a", "text"), "b/old": Row(1.0, "s", section="b"), "a/1": Row(2.0, "s", section="a")}
    rows = bench.latest.with_section(rows, "b", {"b/new": Row(3.0, "s")}, ("a", "b"))
    assert list(rows) == ["machine/x", "a/1", "b/new"]
    assert rows["b/new"].section == "b"
    path = tmp_path / "rows.json"
    bench.latest.save(path, rows)
    assert bench.latest.load(path) == rows
    assert [one.name for one in tmp_path.iterdir()] == ["rows.json"]


def test_rows_of_another_machine_are_not_mixed_with_these(bench: Any) -> None:
    Row = bench.measure.Row
    here = {name: Row("here", "text") for name in bench.latest.SAME}
    assert bench.latest.elsewhere({}, here) is None
    assert bench.latest.elsewhere(here | {"a/1": Row(1.0, "s")}, here) is None
    assert bench.latest.elsewhere(here | {"machine/torch": Row("older", "text")}, here) == "torch"


def test_what_is_missed_is_listed_with_how_far(bench: Any) -> None:
    Row, goals = bench.measure.Row, bench.goals
    rows = {
        "speedup/example3/1/float64/jax": Row(0.05, "×", 0.2, "", False, "0.04–0.06 over 5 rounds"),
        "speedup/example3/100/float64/jax": Row(1.2, "×", 1.0, "", True),
        "speedup/example3/1/float64/numba": Row(0.01, "×"),
        "speedup/example3/1/float64/torch": Row(3.0, "×"),
        "over/quadratic/32/soba/jax": Row(0.7, "×", 0.8, "", True),
        "over/quadratic/32/vrbo/jax": Row(1.6, "×", 0.8, "", False),
        "memory/program": Row(0.0, "MiB"),
    }
    behind = goals.behind(rows)
    assert [(line[0], line[2], line[3]) for line in behind.lines] == [
        ("speedup/example3/1/float64/numba", "", "100×"),
        ("speedup/example3/1/float64/jax", "≥ 0.2", "4×"),
        ("over/quadratic/32/vrbo/jax", "≤ 0.8", "2×"),
    ]
    first, second = goals.reached(rows).lines
    assert first[1:] == ["0.05 / 1.2 / –", "≥ 0.2 / 1 / –", "missed / met / not measured"]
    assert second[1:] == ["– / 1.6 / –", "≤ – / 0.8 / –", "not measured / missed / not measured"]
