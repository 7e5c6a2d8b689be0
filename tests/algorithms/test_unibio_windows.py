"""UniBiO with the rule for η of UniBiO without p: Algorithm 2 where it is off, and the same rule where it is on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from references import unibio_numpy, windows_numpy
from support import iterates, mixing_of, numbers
from unibio import Coordinatewise, Example3, solve
from unibio.algorithms.unibio_adaptive import AdaptiveUniBiO
from unibio.algorithms.unibio_windows import WindowedUniBiO

SPEC = Coordinatewise(exponent=4, dimension=3, noise=1.0, upper_noise=0.25)


OTHER = {
    "momentum": 0.6, "period": 3, "inner_budget": 12, "warm_budget": 30, "first_length": 3.0, "first_radius": 0.7,
    "lower_step": 0.5, "neumann_terms": 2, "neumann_step": 0.6, "floor": 0.1, "window": 6, "lengthening": 1.6,
    "agreement": 0.3, "upper_growth": 1.2, "upper_shrink": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("options", [{}, OTHER], ids=["default", "other"])
@pytest.mark.parametrize(("p", "d"), [(2, 1), (4, 3), (8, 3)])
def test_golden_trajectory(p: int, d: int, options: dict[str, float]) -> None:
    """160 noisy iterations of two runs: every iterate to 1e−9, through windows after which η grew, shrank or stayed."""
    noise = {"noise": 1.0, "upper_noise": 0.04}
    spec = Example3(exponent=p, **noise) if d == 1 else Coordinatewise(exponent=p, dimension=d, **noise)
    problem, seeds, steps = spec.build(), [6, -17], 160
    a = WindowedUniBiO(**{"inner_budget": 20, **options})  # type: ignore[arg-type]
    x0, y0 = (start[None].repeat(2, 1) for start in problem.start)
    ours = iterates(problem, a, x0, y0, steps, seeds)
    for row, seed in enumerate(seeds):
        path, etas = windows_numpy.windows(
            unibio_numpy.Mixed(p, mixing_of(problem, d)), x0[row].numpy(), y0[row].numpy(), steps,
            eta=a.upper_step, gamma=a.lower_step, beta=a.momentum, I=a.period, K=a.inner_budget,
            K0=a.warm_budget or a.inner_budget, T1=a.first_length, D1=a.first_radius, Q=a.neumann_terms,
            c=a.neumann_step, floor=a.floor, window=a.window, lengthening=a.lengthening, agreement=a.agreement,
            upper=(a.upper_growth, a.upper_shrink), lower_noise=numbers(seed, "lower", d, 1.0),
            upper_noise=numbers(seed, "upper", d, 0.2),
        )  # fmt: skip
        np.testing.assert_allclose(ours["x"][:, row], [x for x, _ in path], rtol=0, atol=1e-9)
        np.testing.assert_allclose(ours["y"][:, row], [y for _, y in path], rtol=0, atol=1e-9)
        assert float(ours["state"]["eta"][row]) == pytest.approx(etas[-1])
        assert len(set(etas)) > 1


def test_calls_are_those_of_unibio() -> None:
    options = {"inner_budget": 20, "neumann_terms": 3, "steps": 50}
    counts = ["grad_lower", "grad_upper", "hvp", "jvp"]
    ours = solve(SPEC, "unibio_windows", upper_step=0.05, **options).runs[counts]
    assert ours.equals(solve(SPEC, "unibio", upper_step=0.05, **options).runs[counts])
    assert ours["grad_upper"].item() == ours["jvp"].item() == 50
    assert ours["hvp"].item() == 50 * 2


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
