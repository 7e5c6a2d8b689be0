"""What ``solve`` logs where nobody says: by sizes alone, said, and without a change of the trajectory."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch

from unibio import InputError, Problem, solve
from unibio.problems.quadratic import Quadratic

N = 600
DATA = torch.linspace(-1, 1, N, dtype=torch.float64)


def lower(x, y, rows):
    return ((y - DATA[rows] * x) ** 2).mean() + (y * y).sum()


def fit(**changes):
    def sample(draw):
        return draw.minibatch(N)

    return Problem(
        lambda x, y, rows: ((y - DATA[rows]) ** 2).mean() + (x * x).sum(), lower,
        sample_upper=sample, sample_lower=sample, size_upper=N, size_lower=N, **changes,
    )  # fmt: skip


def test_large_data_are_subsampled_and_it_is_said():
    """The trajectory and its counts are those with all points."""
    with pytest.warns(
        UserWarning, match=r"default metrics are of 128 fixed data points, not of all 600.*metric_points=600"
    ):
        part = solve(fit(), "soba", 0.5, 0.1, steps=60, batch_size=10)
    assert sum("default metrics" in said for said in part.warnings) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = solve(fit(), "soba", 0.5, 0.1, steps=60, batch_size=10, metric_points=N)
        same = solve(fit(), "soba", 0.5, 0.1, steps=60, batch_size=10, metric_points=10 * N)
    assert torch.equal(part.x, whole.x)
    assert torch.equal(part.y, whole.y)
    counts = ["iteration", "oracle_calls", "samples"]
    assert part.history[counts].equals(whole.history[counts])
    assert not part.history["upper_value"].equals(whole.history["upper_value"])
    assert whole.history["upper_value"].equals(same.history["upper_value"])
    x, y = whole.x, whole.y
    exact = ((y - DATA) ** 2).mean() + (x * x).sum()
    assert whole.history["upper_value"].iloc[-1] == pytest.approx(exact.item(), rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"batch_size": N}, {"batch_size": 301}])
def test_full_batches_and_batches_of_half_the_data_are_not_subsampled(options):
    result = solve(fit(), "soba", 0.5, 0.1, steps=3, **options)
    assert not any("default metrics" in said for said in result.warnings)


def test_rows_of_history_are_fewer_in_short_runs_only_where_nobody_says():
    assert len(solve(fit(), "soba", 0.5, 0.1, steps=300).history) == 50
    assert len(solve(fit(), "soba", 0.5, 0.1, steps=300, log_points=200).history) == 200
    assert len(solve(fit(), "soba", 0.5, 0.1, steps=40).history) == 41
    own = dataclasses.replace(fit(), metrics=lambda x, y: {"size": x.norm(dim=-1)})
    assert len(solve(own, "soba", 0.5, 0.1, steps=300).history) == 200
    assert len(solve(Quadratic(), "soba", steps=300).history) == 200


@pytest.mark.parametrize("wrong", [0, -3, 2.5, True, "all"])
def test_metric_points_are_checked(wrong):
    with pytest.raises(InputError, match="metric_points must be a positive integer"):
        solve(fit(), "soba", 0.5, 0.1, steps=3, metric_points=wrong)
