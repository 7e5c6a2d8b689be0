"""What a run must not be believed without: undefined metrics, iterates out of hand, undeclared vanishing Hessians."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from unibio import Algorithm, Example3, PerRun, Problem, Result, hyper, solve

W = torch.tensor([[2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
B = torch.tensor([1.0, -1.0], dtype=torch.float64)


@dataclass(frozen=True)
class Scale(Algorithm):
    """Multiplies y, and lets x alone."""

    name: ClassVar[str] = "scale"
    factor: PerRun = hyper(1.0, "of y", at_least=0)

    def init(self, oracle, x, y):
        return {"x": x, "y": y}

    def step(self, oracle, state):
        return {"x": state["x"], "y": self.factor * state["y"]}


def quadratic(**options: Any) -> Problem:
    return Problem(lambda x, y: ((y - 1) ** 2).sum(-1), lambda x, y: ((y - x) ** 2).sum(-1), batched=True, **options)


def roots(**options: Any) -> Problem:
    """The README's problem: y*(x) is the cube root of Wx."""
    return Problem(
        lambda x, y: 0.5 * ((y**3 - B) ** 2).sum(), lambda x, y: (y**4).sum() / 4 - y @ W @ x, exponent=4, **options
    )


def said(*arguments: Any, **options: Any) -> tuple[Result, list[str]]:
    """A result, whose warnings are those that Python got."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = solve(*arguments, **options)
    messages = [str(one.message) for one in caught]
    assert tuple(messages) == result.warnings
    return result, messages


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_undefined_metric_is_counted_and_ends_nothing(value):
    """Undefined where y > 4, that is at 2 of 5 iterates of the first run, and never in the second."""
    problem = quadratic(metrics=lambda x, y: {"size": torch.where(y[:, 0] > 4, value, y[:, 0]), "one": 1 + 0 * y[:, 0]})
    result, messages = said(problem, Scale(), [0.0], [1.0], steps=4, factor=[2.0**0.75, 1.0])
    assert result.status == ["completed"] * 2
    assert len(messages) == 1
    assert "size in 2 of 10 logged rows (1 runs)" in messages[0]
    assert "one" not in messages[0].replace(" one", "")
    shown = result.history["size"].to_numpy()
    assert (~np.isfinite(shown)).tolist() == [False, False, False, True, True, *[False] * 5]


def test_a_running_mean_that_is_lost_between_logged_rows_is_counted_too():
    def metrics(x, y):
        return {"size": torch.where((y[:, 0] > 2) & (y[:, 0] < 3), torch.nan, y[:, 0])}

    result, messages = said(
        quadratic(metrics=metrics, averaged=("size",)), Scale(factor=2**0.5), [0.0], [1.0], steps=30, log_points=3
    )
    assert result.status == "completed"
    assert result.history["size"].notna().all()
    assert "size_mean in " in messages[0]


def test_the_undefined_metrics_of_a_diverged_run_are_no_news():
    result, messages = said(quadratic(), Scale(factor=1e6), [0.0], [1.0], steps=5)
    assert result.status == "diverged"
    assert messages == []


def test_the_default_metric_of_a_lower_level_that_is_not_convex():
    concave = Problem(lambda x, y: ((y - 1) ** 2).sum(), lambda x, y: -(y**2).sum() / 2 - (x * y).sum())
    result, messages = said(concave, "lower_only", [0.2, 0.1], [-0.2, -0.1], steps=3, lower_step=1e-9)
    assert result.status == "completed"
    assert result.history["hypergradient_norm"].isna().all()
    assert "hypergradient_norm in 4 of 4 logged rows" in messages[0]


@pytest.mark.parametrize("algorithm", ["lower_only", "unibio", "soba"])
def test_the_run_asks_whether_the_hessian_vanishes(algorithm):
    _, messages = said(roots(), algorithm, [0.0, 0.0], [0.0, 0.0], steps=2, lower_step=1e-3)
    assert sum(one.startswith("vanishing_hessian=True?") for one in messages) == 1
    _, messages = said(roots(vanishing_hessian=True), algorithm, [0.0, 0.0], [0.0, 0.0], steps=2, lower_step=1e-3)
    assert messages == []


def test_it_asks_at_the_end_as_well():
    """At the start no coordinate is near 0; the run brings one there."""
    _, messages = said(roots(), Scale(factor=1e-4), [0.0, 0.0], [1.0, 1.0], steps=2, log_points=2)
    assert messages[0].startswith("vanishing_hessian=True? In 1 of 1 runs")


def test_a_run_that_is_finite_by_luck_is_not_completed_without_a_word():
    result, messages = said(quadratic(), Scale(), [0.0], [1.0], steps=8, factor=[10.0, 1.0, 1e3])
    assert result.status == ["completed", "completed", "diverged"]
    assert len(messages) == 1
    assert "iterates of 1 of 2 completed runs have grown to y 1.0e+08 times the size of their start" in messages[0]
    _, messages = said(quadratic(), Scale(), [0.0], [1e5], steps=1, factor=[10.0, 0.0])
    assert messages == [], "large from the start, and little larger at the end"
    assert said(quadratic(), Scale(factor=100.0), [0.0], [0.0], steps=2)[1] == []


def test_remarks_survive_a_checkpoint(tmp_path):
    """Growth is measured from the start, not from where a run was taken up again."""
    from unibio.simulation.settings import Settings
    from unibio.simulation.simulate import simulate
    from unibio.simulation.trajectories import Interrupted

    x, y = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    settings = Settings(8, checkpoint=tmp_path / "c")
    asks = iter(range(100))
    with pytest.raises(Interrupted):
        simulate(
            quadratic(), Scale(factor=10.0), x, y, seeds=[0], settings=settings, should_stop=lambda: next(asks) == 6
        )
    resumed = simulate(quadratic(), Scale(factor=10.0), x, y, seeds=[0], settings=settings)
    assert resumed.resumed_from > 0
    assert "1.0e+08 times" in resumed.diagnosis.warnings[0]


def test_our_own_start_is_not_remarked_on():
    assert said(Example3(exponent=6), "unibio", steps=5)[1] == []
