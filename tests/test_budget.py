"""A budget of oracle calls ends every run for itself, also where random lengths make runs cost differently."""

from __future__ import annotations

import pandas as pd
import pytest

from unibio import Example3, solve


@pytest.mark.parametrize("algorithm", ["unibio", "ttsa", "soba"])
def test_where_a_run_ends_does_not_depend_on_its_batch(algorithm: str) -> None:
    settings = {"budget": 500, "upper_step": 0.05, "lower_step": 0.1}
    together = solve(Example3(exponent=4, noise=1.0), algorithm, seed=range(20), log_points=20, **settings)
    for seed in (0, 7, 19):
        alone = solve(Example3(exponent=4, noise=1.0), algorithm, seed=seed, log_points=20, **settings)
        mine = together.history[together.history["run"] == seed].reset_index(drop=True)
        columns = [name for name in alone.history if name not in ("run", "seconds")]
        pd.testing.assert_frame_equal(mine[columns], alone.history[columns], rtol=1e-12)
        assert together.runs["stopped_at"][seed] == alone.runs["stopped_at"][0]
        assert together.x[seed].item() == pytest.approx(alone.x.item(), abs=1e-12)
    assert set(together.status) == {"completed"}


def test_no_iteration_starts_at_or_beyond_the_budget() -> None:
    result = solve(Example3(exponent=4), "ttsa", budget=500, seed=range(50), upper_step=0.05, lower_step=0.1)
    last = result.history.groupby("run").tail(1)["oracle_calls"]
    before = result.history.groupby("run").nth(-2)["oracle_calls"]
    assert (last >= 500).all()
    assert (before < 500).all()
    assert result.runs["stopped_at"].nunique() > 1, "the test needs runs that cost differently"
