"""What ``Result`` and ``Comparison`` look like in a terminal and in a notebook: the numbers of their own tables."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch

from unibio import Comparison, Example3, Problem, Result, compare, solve
from unibio.api.showing import Shown, shown_summary


def cells(result: Result | Comparison) -> list[list[str]]:
    """The notebook's table, and with it that its HTML is well-formed."""
    page = ElementTree.fromstring(f"<div>{result._repr_html_()}</div>")
    return [[cell.text or "" for cell in row] for row in page.iter("tr")]


def described(result: Result | Comparison) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in cells(result)}


@pytest.fixture(scope="module")
def grid() -> Result:
    """Ten runs, of which the five of the larger lower step diverge."""
    return solve(Example3(exponent=4, noise=0.1), "soba", y0=2.0, steps=30, seed=range(5), lower_step=[0.1, 100.0])


def test_a_single_run_says_how_it_ended():
    result = solve(Example3(exponent=4), steps=20, log_points=3)
    assert repr(result).splitlines()[0] == "Result: completed"
    last, shown = result.history.iloc[-1], described(result)
    assert shown["iterations"] == ["20"]
    assert shown["oracle calls"][0].startswith(f"{int(last['oracle_calls']):,} (20 grad_upper, ")
    for metric in ("hypergradient_norm", "value", "hypergradient_norm_mean"):
        assert shown[metric] == [f"{last[metric]:.4g}"]
    assert shown["x, y"] == ["(1,), (1,), float64 on cpu"]


def test_no_tensor_and_no_table_is_poured_out():
    result = solve(
        Problem(lambda x, y: ((y - 1) ** 2).sum(), lambda x, y: ((y - x) ** 2).sum()),
        "soba",
        [0.0] * 500,
        [0.0] * 500,
        steps=300,
        dtype=torch.float32,
    )
    assert len(repr(result).splitlines()) < 12
    assert "tensor" not in repr(result)
    assert described(result)["x, y"] == ["(500,), (500,), float32 on cpu"]


def test_a_grid_counts_its_runs_and_shows_those_that_completed(grid: Result):
    completed = grid.runs.index[grid.runs["status"] == "completed"]
    assert 0 < len(completed) < len(grid.runs)
    assert repr(grid).splitlines()[0] == "Result of 10 runs (seed: 5, lower_step: 2): 5 completed, 5 diverged"
    last = grid.history.groupby("run").last().loc[completed]
    low, middle, high = np.quantile(last["hypergradient_norm"], [0.25, 0.5, 0.75])
    shown = described(grid)
    assert shown["hypergradient_norm"] == [f"{middle:.4g} ({low:.4g} to {high:.4g})"]
    assert shown["iterations"] == ["30"]
    assert "metrics: median (and quartiles) over the runs that completed" in repr(grid)


def test_where_no_run_completed_it_says_so():
    result = solve(Example3(exponent=4), "soba", y0=2.0, steps=30, lower_step=[100.0, 200.0])
    assert repr(result).splitlines()[0].endswith(": 2 diverged")
    assert "over all runs, of which none completed" in repr(result)
    assert described(result)["iterations"] != ["30"]


def test_runs_that_spend_differently_show_a_range():
    result = solve(Example3(exponent=4, noise=0.1), "bsa", steps=10, seed=range(8))
    calls = result.history.groupby("run")["oracle_calls"].last()
    assert calls.min() < calls.max()  # its Neumann sums have random lengths
    assert described(result)["oracle calls"][0].startswith(f"{calls.min():,} to {calls.max():,} (10 grad_upper, ")


def test_metrics_that_are_no_numbers_are_counted():
    problem = Problem(
        lambda x, y: ((y - 1) ** 2).sum(-1),
        lambda x, y, noise: ((y - x) ** 2 + noise * y).sum(-1),
        sample_lower=lambda draw: draw.normal(1),
        batched=True,
        metrics=lambda x, y: {
            "partly": torch.tensor([1.0, torch.nan, 3.0])[: len(x)],
            "never": torch.full_like(x[:, 0], torch.nan),
        },
    )
    with pytest.warns(UserWarning, match="not defined"):
        result = solve(problem, "soba", 0.0, 0.0, steps=3, seed=range(3))
    shown = described(result)
    assert shown["partly"] == ["2 (1.5 to 2.5), nan in 1 run"]
    assert shown["never"] == ["nan in 3 runs"]


def test_warnings_stay_readable():
    problem = Problem(lambda x, y: ((y - 1) ** 2).sum(), lambda x, y: 5 * ((y - x) ** 2).sum())
    with pytest.warns(UserWarning, match="neumann_step is not below"):
        result = solve(problem, "unibio", 1.0, 0.0, steps=3, neumann_step=10.0)
    (said,) = result.warnings
    assert repr(result).splitlines()[-1] == f"  warning: {said}"
    assert said in "".join(ElementTree.fromstring(f"<div>{result._repr_html_()}</div>").itertext())  # "<" escaped


def test_a_comparison_shows_its_summary_best_first():
    found = compare(
        Example3(exponent=4, noise=0.1),
        {"A & B": "unibio", "<soba>": "soba"},
        steps=10,
        seed=range(3),
        tune={"upper_step": [0.03, 0.1], "A & B": {"inner_budget": [10, 20]}},
    )
    assert repr(found).splitlines()[0] == ("Comparison of 2 algorithms by hypergradient_norm, 3 runs each, best first")
    header, *rows = cells(found)
    assert header == [name.replace("_", " ") for name in found.summary.columns]
    assert [row[0] for row in rows] == found.summary["algorithm"].tolist()
    table = dict(zip(header, zip(*rows, strict=True), strict=True))
    assert table["final hypergradient norm"] == tuple(f"{v:.4g}" for v in found.summary["final hypergradient_norm"])
    assert table["oracle calls"] == tuple(f"{v:,}" for v in found.summary["oracle_calls"])
    assert (
        dict(zip(table["algorithm"], table["inner budget"], strict=True))["<soba>"] == "–"
    )  # it has no such parameter
    for row in rows:
        assert any(re.search(r"\s+".join(map(re.escape, row)), line) for line in repr(found).splitlines())


def test_a_comparison_says_whom_a_warning_is_about():
    problem = Problem(lambda x, y: ((y - 1) ** 2).sum(), lambda x, y: 5 * ((y - x) ** 2).sum())
    with pytest.warns(UserWarning, match="neumann_step is not below"):
        found = compare(problem, {"ours": "unibio"}, 1.0, 0.0, steps=3, neumann_step=10.0)
    assert repr(found).splitlines()[0].endswith("1 run each, best first")
    assert repr(found).splitlines()[-1].startswith("  warning: ours: neumann_step is not below")


def test_tuned_parameters_that_are_no_numbers_are_shown_as_they_are():
    summary = pd.DataFrame(
        {"algorithm": ["one", "two"], "flag": [True, None], "word": ["fresh", None], "count": [3, 4]}
    )
    assert shown_summary(summary, "m", 2, ()).rows == [["one", "True", "fresh", "3"], ["two", "–", "–", "4"]]


def test_columns_are_aligned():
    text = Shown("title", [["a", "1"], ["long name", "2"]], ["", "value"], ["remark"]).text()
    assert text.splitlines() == ["title", "             value", "  a          1", "  long name  2", "  remark"]
