"""The Hölder problem followed through every iterate: its numbers are those of every iterate, its runs the other's."""

from __future__ import annotations

import numpy as np
import pytest

from unibio import Hoelder, solve
from unibio.problems.tracked import TrackedHoelder

NOISE = {"exponent": 4.0, "shape": "asymmetric", "dimension": 2, "noise": 0.5, "hessian_noise": 0.1, "upper_noise": 0.3}
HOW = {"steps": 25, "log_points": 100, "seed": [0, 1, 2], "period": 4, "inner_budget": 12, "upper_step": 0.1}


def test_the_numbers_are_those_of_all_iterates() -> None:
    levels = [round(0.9 - 0.1 * k, 1) for k in range(60)]
    found = solve(TrackedHoelder(accuracy=0.3, **NOISE), "unibio", targets={"lower_margin": levels}, **HOW)
    for run, history in found.history.groupby("run"):
        error = history["lower_error"].to_numpy()
        assert len(error) == 26, "every iterate is logged here"
        margin = 1 - error / 0.3
        np.testing.assert_allclose(history["lower_margin"], margin, rtol=1e-12)
        last = history.iloc[-1]
        assert last["lower_margin_mean"] == pytest.approx(margin[:-1].mean(), rel=1e-12)
        assert last["hypergradient_bias_mean"] == pytest.approx(history["hypergradient_bias"][:-1].mean(), rel=1e-12)
        for level in levels:
            below = np.flatnonzero(margin < level)
            hit = int(found.runs[f"iterations_to lower_margin<{level:g}"].fillna(-1)[run])
            assert hit == (below[0] if len(below) else -1)
    hits = np.array([found.runs[f"iterations_to lower_margin<{level:g}"].fillna(-1) for level in levels])
    assert (hits < 0).any()
    assert (hits > 0).any()


def test_the_runs_are_those_of_the_hoelder_problem() -> None:
    own, other = (solve(one, "unibio", **HOW) for one in (TrackedHoelder(accuracy=0.3, **NOISE), Hoelder(**NOISE)))
    for name in ("hypergradient_norm", "value", "lower_error", "lower_gap", "hypergradient_bias", "oracle_calls"):
        np.testing.assert_array_equal(own.history[name], other.history[name])
