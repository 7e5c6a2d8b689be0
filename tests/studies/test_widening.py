"""Which ranges were too narrow, and what is searched instead."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

import synthetic_e1
import synthetic_lp
from unibio.studies import lp_regression
from unibio.studies.common.widening import Touched, log_range, wider
from unibio.studies.e1.search import touched

SCRIPT = Path(__file__).parents[2] / "scripts" / "widen.py"
STEPS = tuple(np.geomspace(1e-3, 1, 13))


def best_at(place):
    """|∇φ| grows with the distance of the step from ``place``, in decades."""
    return lambda step, t: np.where(t < 2, 1.0, -np.pi / 2 + 0.3 * abs(np.log10(step / place)))


@pytest.mark.parametrize(("place", "ends"), [(0.03, []), (1.0, ["high"]), (50.0, ["high"]), (1e-3, ["low"])])
def test_a_best_step_at_an_end_is_noticed(place, ends):
    made = synthetic_e1.record(2, "soba", best_at(place), upper=STEPS, seeds=1, points=20)
    found = touched(made)
    assert [one.axis for one in found] == ["upper_step"] * len(ends)  # lower steps change nothing: flat
    assert [end for one in found for end in one.ends] == ends


def test_pairs_that_solve_the_lower_level_are_looked_at_too():
    """Small steps win, but leave y alone; among those that do not, the largest lower step is the best."""

    def error(cell):
        return 0.01 if cell["lower_step"] > 0.02 else 1.0

    made = synthetic_e1.record(2, "soba", best_at(0.03), upper=STEPS, lower_error=error, seeds=1, points=20)
    assert touched(made) == []
    better = made.history["lower_step"].map({0.01: 0.1, 0.1: 1.0, 1.0: 0.5})
    made.history["hypergradient_norm_mean"] *= better
    assert [(one.axis, one.ends) for one in touched(made)] == [("lower_step", ("low", "high"))]


def test_on_lp_regression_the_chosen_step_counts():
    inside = synthetic_lp.record("soba", 4, synthetic_lp.around(0.3))
    assert lp_regression.STUDY.touched(inside) == []
    outside = synthetic_lp.record("soba", 4, synthetic_lp.around(0.3, best=(100.0, 0.001)))
    assert {one.axis: one.ends for one in lp_regression.STUDY.touched(outside)} == {
        "upper_step": ("high",),
        "lower_step": ("low",),
    }


def test_a_wider_range_spans_all_and_is_as_dense():
    record = synthetic_lp.record("soba", 4)
    one = Touched(record, "upper_step", np.geomspace(0.01, 1, 5), ("high",))
    assert wider([one]) == (0.01, 100, 9)
    both = Touched(record, "upper_step", np.geomspace(0.1, 10, 3), ("low",))
    assert wider([one, both]) == (1e-4, 1000, 15)


@pytest.mark.parametrize("values", [(1e-10, 1e4, 29), (0.03, 3000, 5), (1.5e-9, 2.5e12, 3)])
def test_ranges_are_numbers_in_yaml(values):
    parsed = OmegaConf.create(f"steps: {log_range(*values)}")
    assert list(parsed.steps.log) == pytest.approx(list(values))
    assert all(isinstance(value, (int, float)) for value in parsed.steps.log)


def test_a_search_is_widened_until_it_is_wide_enough(tmp_path, monkeypatch, capsys):
    """End to end: SOBA on Example 3, at first with upper steps that are all small."""
    from unibio.cli import main as cli

    own = ["problem.exponent=2", "+experiment/e1=soba", "tracker=none", "steps=60"]
    lower = "grid.algorithm.lower_step={log: [0.01, 1.0, 3]}"
    cli.run(["experiment=e1", f"records={tmp_path}", *own, lower, "grid.algorithm.upper_step={log: [0.1, 0.4, 3]}"])

    def widen(*arguments):
        monkeypatch.setattr(sys, "argv", ["widen.py", "e1", "--records", str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        return ended.value.code, capsys.readouterr().out

    code, said = widen()
    assert code == 1
    assert "upper_step at the high end of 0.1 … 0.4; search {log: [0.1, 40, 10]}" in said
    code, said = widen("--run", "--rounds", "5", *own, lower)
    assert code == 0
    assert said.splitlines()[-1] == "e1: 0 of 1 searches were too narrow"


def test_an_experiment_that_was_not_run_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["widen.py", "e1", "--records", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 2
    assert "experiment=e1" in capsys.readouterr().err
