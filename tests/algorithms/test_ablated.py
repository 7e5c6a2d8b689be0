"""UniBiO without one of its parts, against Algorithm 2 in NumPy with the part taken out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from references import unibio_numpy as reference
from support import iterates, mixing_of, numbers
from unibio import Coordinatewise, Example3
from unibio.algorithms.ablated import ABLATED, ColdUniBiO, UnaveragedUniBiO, UnwarmedUniBiO
from unibio.algorithms.unibio import UniBiO
from unibio.registry import ALGORITHMS, VARIANTS

SETTINGS = {
    "lower_step": 0.6,
    "momentum": 0.6,
    "period": 3,
    "inner_budget": 60,
    "warm_budget": 80,
    "neumann_step": 0.35,
}


def expected(method: type[UniBiO], problem, d: int, p: int, x: np.ndarray, y0: np.ndarray, steps: int, eta: float):
    """Algorithm 2 on one trajectory of seed 5, (x, y) of every iterate."""
    a = method(upper_step=eta, **SETTINGS)
    lower, upper = numbers(5, "lower", d, 1.0), numbers(5, "upper", d, 0.2)
    known = reference.Mixed(p, mixing_of(problem, d))

    def solve(x, y, budget):
        if method is ColdUniBiO:
            y = y0
        for length, step, radius in reference.epoch_plan(budget, a.first_length, p):
            centre, visited = y, [y]
            for _ in range(length):
                moved = visited[-1] - a.lower_step * step * (known.grad_lower(x, visited[-1]) + lower())
                away = np.linalg.norm(moved - centre)
                limit = a.first_radius * radius
                visited.append(centre + (moved - centre) * min(1, limit / away))
            y = visited[-1] if method is UnaveragedUniBiO else np.mean(visited[:-1], axis=0)
        return y

    y, m = y0 if method is UnwarmedUniBiO else solve(x, y0, a.warm_budget), np.zeros_like(x)
    path = [(x, y)]
    for t in range(steps):
        if t > 0 and t % a.period == 0:
            y = solve(x, y, a.inner_budget)
        h = reference.estimate(known, x, y, a.neumann_terms, a.neumann_step, a.floor, upper(), lower)
        m = a.momentum * m + (1 - a.momentum) * h
        x = x - eta * m / np.linalg.norm(m)
        path.append((x, y))
    return path


@pytest.mark.parametrize("method", [*ABLATED, UniBiO])
@pytest.mark.parametrize(("p", "d"), [(4, 1), (2, 3), (6, 3)])
def test_golden_trajectory(method: type[UniBiO], p: int, d: int) -> None:
    noise = {"noise": 1.0, "upper_noise": 0.04}
    spec = Example3(exponent=p, **noise) if d == 1 else Coordinatewise(exponent=p, dimension=d, **noise)
    problem = spec.build()
    x, y = (start[None].clone() for start in problem.start)
    ours = iterates(problem, method(upper_step=0.05, **SETTINGS), x, y, 20, [5])
    theirs = expected(method, problem, d, p, x[0].numpy(), y[0].numpy(), 20, 0.05)
    np.testing.assert_allclose(ours["x"][:, 0], [one for one, _ in theirs], rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours["y"][:, 0], [one for _, one in theirs], rtol=0, atol=1e-10)


def test_names_are_no_registered_ones() -> None:
    assert {one.name for one in ABLATED} <= set(VARIANTS)
    assert not {one.name for one in ABLATED} & set(ALGORITHMS)
