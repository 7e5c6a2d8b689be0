"""A budget of oracle calls ends every run for itself, also where random lengths make runs cost differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unibio import Example3, solve
from unibio.algorithms.stocbio import StocBiO
from unibio.errors import InputError
from unibio.problems.quadratic import Quadratic
from unibio.simulation.settings import Settings
from unibio.simulation.simulate import simulate
from unibio.simulation.trajectories import Interrupted, Trajectories


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


# Epochs -------------------------------------------------------------------------------------------------------------
SUM = Quadratic(size_lower=40, size_upper=30, dimension_y=3, dimension_x=2)


@pytest.mark.parametrize(
    ("algorithm", "gradients"),
    [("stocbio", 3), ("soba", 1), ("sustain", 2), ("unibio", None)],
)
def test_an_epoch_is_n_data_points_of_lower_gradients(algorithm: str, gradients: int | None) -> None:
    own = {"stocbio": {"lower_iterations": 3}, "unibio": {"inner_budget": 3, "first_length": 3, "period": 2}}
    settings = {"batch_size": 8, "lower_step": 0.01, "upper_step": 0.01, **own.get(algorithm, {})}
    result = solve(SUM, algorithm, epochs=4, seed=range(2), log_points=5, **settings)
    for _, history in result.history.groupby("run"):
        points = history["lower_samples"].to_numpy()
        assert points[-1] >= 4 * 40 > history["lower_samples"].iloc[-2]
        if gradients is not None:
            assert points[-1] < 4 * 40 + 8 * gradients
        # Logged at equal parts: an epoch is 40 points, met or passed by less than one iteration's.
        late = points[1:] - 40 * np.arange(1, len(points))
        assert len(points) == 5
        assert ((late >= 0) & (late < 24)).all()
    assert (result.runs["lower_samples"] == result.history.groupby("run")["lower_samples"].last()).all()


def test_steps_still_end_a_run_before_its_epochs() -> None:
    result = solve(SUM, "soba", epochs=100, steps=7, batch_size=8, lower_step=0.01, upper_step=0.01)
    assert result.runs["stopped_at"].tolist() == [7]


def test_epochs_that_cannot_be_counted_are_refused() -> None:
    with pytest.raises(InputError, match="has none; use steps or budget"):
        solve(Example3(exponent=4), "soba", epochs=1)
    for wrong in (0, -1.0, float("inf"), True):
        with pytest.raises(InputError, match="epochs must be a positive number"):
            solve(SUM, "soba", epochs=wrong)


def test_a_resumed_run_of_epochs_is_the_uninterrupted_one(tmp_path: Path) -> None:
    problem = SUM.build()
    algorithm = StocBiO(batch_size=8, lower_iterations=2, lower_step=0.01, upper_step=0.01)
    x, y = (start[None].clone() for start in problem.start)

    def run(checkpoint: Path | None, stop_after: int | None = None) -> Trajectories:
        finished: list[int] = []
        return simulate(
            problem, algorithm, x, y, seeds=[3],
            settings=Settings(None, epochs=3, log_points=7, checkpoint=checkpoint),
            progress=finished.append,
            should_stop=None if stop_after is None else lambda: len(finished) >= stop_after,
        )  # fmt: skip

    whole = run(None).history
    for after in (1, 2):
        with pytest.raises(Interrupted):
            run(tmp_path / "checkpoint", after)
    parts = run(tmp_path / "checkpoint").history
    pd.testing.assert_frame_equal(parts.drop(columns="seconds"), whole.drop(columns="seconds"), check_exact=True)
