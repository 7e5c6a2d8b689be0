"""The formula with the pseudoinverse: equal to others where these hold, right where they do not, or a word said."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unibio import Problem, hypergradient
from unibio.core.oracle import Oracle
from unibio.core.pseudoinverse import by_pseudoinverse
from unibio.core.streams import Streams
from unibio.problems.pl_nonconvex import PLNonconvex
from unibio.problems.quadratic import Quadratic

MANIFOLD = PLNonconvex(dimension_x=2, dimension_y=4)


def rows(k: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(k, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_exact_solution_where_the_hessian_is_regular():
    problem = Quadratic(dimension_x=3, dimension_y=4).build()
    x, y = rows(5, 3), rows(5, 4, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # y is not y*(x)
        found, exact = (hypergradient(problem, x, y, estimator=name) for name in ("pseudoinverse", "exact"))
    assert torch.allclose(found, exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_is_the_gradient_of_phi_where_solutions_are_a_manifold(dtype):
    problem = MANIFOLD.build()
    x = rows(6, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, info = hypergradient(
            problem, x, problem.closed_form.solution(x), estimator="pseudoinverse", dtype=dtype, return_info=True
        )
    assert torch.allclose(
        found.double(), problem.closed_form.gradient(x), atol=1e-10 if dtype is torch.float64 else 1e-3
    )
    assert "Lipschitz" in info.assumed[1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 50), st.floats(0.0, 0.9), st.integers(1, 3), st.integers(0, 3))
def test_against_differences_of_phi(seed, bend, dimension, more):
    spec = PLNonconvex(dimension_x=dimension, dimension_y=dimension + more, bend=bend, data_seed=seed)
    problem, x, step = spec.build(), rows(1, dimension, seed), 1e-5
    moves = step * torch.eye(dimension, dtype=torch.float64)
    value = problem.closed_form.value
    differences = (value(x + moves) - value(x - moves)) / (2 * step)
    oracle = Oracle(problem, Streams([0], x.device, x.dtype))
    found = by_pseudoinverse(oracle, x, problem.closed_form.solution(x)).value[0]
    assert torch.allclose(found, differences, rtol=1e-6, atol=1e-6)


def test_a_solution_that_has_not_the_least_f_is_said():
    problem = MANIFOLD.build()
    x = rows(1, 2)
    y = rows(1, 4).requires_grad_()
    for _ in range(1000):  # a solution, but whichever is nearest
        y = (y - 0.3 * problem.derivatives["grad_lower"](x, y, None)).detach()
    with pytest.warns(UserWarning, match="not in the range"):
        hypergradient(problem, x, y, estimator="pseudoinverse")


def test_a_maximiser_is_said():
    problem = Problem(upper=lambda x, y: (y**2).sum(), lower=lambda x, y: ((y**2 - 1) ** 2).sum() + x.sum() * y.sum())
    with pytest.warns(UserWarning, match="negative eigenvalues"):
        hypergradient(problem, [0.0], [0.0], estimator="pseudoinverse", check=True)
