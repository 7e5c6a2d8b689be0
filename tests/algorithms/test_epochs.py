"""Algorithm 1 an epoch an iteration: the iterates and the counts of one long call."""

from __future__ import annotations

import pytest
import torch

from support import oracle_of
from unibio import Hoelder, solve
from unibio.algorithms.epochs import EpochSGD
from unibio.core import compiled
from unibio.core.epoch_sgd import epoch_sgd, steps_taken


@pytest.mark.one_in(3)
@pytest.mark.parametrize("p", [2.0, 3.0, 4.0])
@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("average", ["first", "last"])
def test_epochs_are_those_of_one_long_call(p: float, quick: bool, average: str) -> None:
    """To the bit, on shared noise, with numbers and with columns for γ₁ and D₁."""
    problem = Hoelder(exponent=p, dimension=2, noise=1.0, start_y=-1.0).build()
    x, y = (start.expand(2, -1) for start in problem.start)
    columns = {
        "lower_step": torch.tensor([[0.3], [1.0]]).double(),
        "first_radius": torch.tensor([[1.0], [0.7]]).double(),
    }
    for settings in ({"lower_step": 0.7, "first_radius": 0.9}, columns):
        algorithm = EpochSGD(**settings, average=average)
        with compiled.forced(quick):
            one, other = (oracle_of(problem, x, y, [3, 4]) for _ in range(2))
            state = algorithm.init(one, x, y)
            budget = 0.0
            for k in range(4):
                state = algorithm.step(one, state)
                budget += 5.0 * 2 ** (2 * (p - 1) * k / p)
            options = {"first_length": 5.0, "step": settings["lower_step"], "first_radius": settings["first_radius"]}
            whole = epoch_sgd(other, x, y, budget=int(budget + 1), average=average, **options)
        assert torch.equal(state["y"], whole)
        assert torch.equal(state["x"], x)
        assert one.counts()["grad_lower"].tolist() == [steps_taken(int(budget + 1), 5.0, p)] * 2


def test_a_history_shows_the_steps_taken_by_the_end_of_every_epoch() -> None:
    result = solve(Hoelder(exponent=2.0, noise=1.0), "epoch_sgd", steps=5, log_points=10)
    assert result.history["grad_lower"].tolist() == [0, 5, 15, 35, 75, 155]
