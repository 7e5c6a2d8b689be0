"""UniBiO with the rule for η of UniBiO without p: Algorithm 2 where it is off, and the same rule where it is on."""

from __future__ import annotations

import pytest
import torch

from unibio import Coordinatewise, solve
from unibio.algorithms.unibio_adaptive import AdaptiveUniBiO
from unibio.algorithms.unibio_windows import WindowedUniBiO

SPEC = Coordinatewise(exponent=4, dimension=3, noise=1.0, upper_noise=0.25)


@pytest.mark.parametrize("estimator", ["generalised", "pcg"])
def test_without_its_rule_it_is_algorithm_2(estimator: str) -> None:
    """An agreement that no cosine exceeds, and windows that do not end."""
    options = {"upper_step": 0.05, "inner_budget": 20, "estimator": estimator}
    plain = solve(SPEC, "unibio", steps=30, seed=[0, 1], **options)
    still = solve(SPEC, "unibio_windows", steps=30, seed=[0, 1], window=1000, **options)
    assert torch.allclose(plain.x, still.x, rtol=0, atol=1e-12)
    assert torch.allclose(plain.y, still.y, rtol=0, atol=1e-12)
    assert plain.runs["grad_lower"].tolist() == still.runs["grad_lower"].tolist()
    other = solve(SPEC, "unibio_windows", steps=30, seed=[0, 1], window=4, **options)
    assert (plain.x - other.x).abs().max() > 1e-3


def test_the_rule_is_that_of_unibio_without_p() -> None:
    """The next η and window of both, for halves that agree, hardly agree, and contradict one another."""
    early = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    late = torch.tensor([[2.0, 0.1], [0.3, 1.0], [-1.0, 0.2], [1.0, 0.0]], dtype=torch.float64)
    one = torch.ones(4, 1, dtype=torch.float64)
    eta, length = 0.1 * one, 26 * one
    zero = torch.zeros(4, 2, dtype=torch.float64)
    state = {"early": early, "late": late, "w": zero, "halfway": zero, "began": zero, "squares": 0 * one}
    state |= {"eta": eta, "length": length, "gamma": one, "cap": one, "place": length}
    own = AdaptiveUniBiO().end_window(state)
    found = WindowedUniBiO().end_window(early, late, eta, length)
    assert torch.equal(found[0], own["eta"])
    assert torch.equal(found[1], own["length"])
    assert found[0][:, 0].tolist() == pytest.approx([0.15, 0.1, 0.06, 0.1])


def test_every_run_has_a_step_of_its_own_and_ends_its_windows_by_itself() -> None:
    options = {"upper_step": 0.05, "inner_budget": 20, "window": 5, "steps": 60}
    together = solve(SPEC, "unibio_windows", seed=range(3), **options)
    alone = solve(SPEC, "unibio_windows", seed=2, **options)
    assert torch.allclose(together.x[2], alone.x, rtol=0, atol=1e-9)
