"""The formula with the KKT matrix: right where the lower level is nondegenerate, and a word said where it is not."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unibio import Problem, hypergradient
from unibio.core.kkt import Degenerate, by_kkt, reasons
from unibio.core.oracle import Oracle
from unibio.core.polytope import Polytope
from unibio.core.streams import Streams
from unibio.errors import InputError
from unibio.problems.polytope import PLACES, PolytopeConstrained

NONDEGENERATE = ("interior", "face", "cut", "vertex")


def rows(k: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(k, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def box(lower: float, upper: float) -> Polytope:
    """An interval."""
    matrix = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    bound = torch.tensor([upper, -lower], dtype=torch.float64)
    return Polytope(matrix, bound, lambda y: y.clamp(lower, upper))


def at(problem: Problem, x: torch.Tensor, y: torch.Tensor):
    return by_kkt(Oracle(problem, Streams([0] * len(x), x.device, x.dtype)), x, y)


@pytest.mark.parametrize("place", NONDEGENERATE)
def test_it_is_the_gradient_of_phi_and_its_active_set_comes_back(place):
    problem = PolytopeConstrained(place=place, distance=0.05).build()
    x = problem.start[0]
    y = problem.closed_form.solution(x[None])[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, info = hypergradient(problem, x, y, estimator="kkt", return_info=True)
    torch.testing.assert_close(found, problem.closed_form.gradient(x[None])[0], rtol=1e-10, atol=1e-12)
    active = {"interior": [3], "face": [3, 4], "cut": [3, 8], "vertex": [3, 4, 5]}[place]  # y₄ ≤ 1 everywhere
    assert info.active.nonzero()[:, 0].tolist() == active
    assert "LICQ" in info.assumed[1]
    assert not any("no constraint is active" in one for one in info.assumed)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(NONDEGENERATE), st.floats(0.01, 2.0))
def test_against_differences_of_phi(seed, place, modulus):
    """On kinks, which a random point does not hit, these would differ by side."""
    problem = PolytopeConstrained(place=place, distance=0.1, start_seed=seed, modulus=modulus).build()
    x, step = problem.start[0][None], 1e-5
    moves = step * torch.eye(4, dtype=torch.float64)
    value = problem.closed_form.value
    differences = (value(x + moves) - value(x - moves)) / (2 * step)
    found = at(problem, x, problem.closed_form.solution(x))
    assert found.trouble.tolist() == [Degenerate.NONE]
    assert torch.allclose(found.value[0], differences, atol=1e-6)


@pytest.mark.parametrize(
    ("place", "word", "code"),
    [
        ("kink", "strict complementarity fails", Degenerate.STRICT),
        ("corner", "LICQ fails", Degenerate.LICQ),
        ("jump", "solutions may tear", Degenerate.TORN),
    ],
)
def test_what_is_degenerate_is_said_and_gives_no_number(place, word, code):
    problem = PolytopeConstrained(place=place, distance=0.0).build()
    x = problem.start[0]
    y = problem.closed_form.solution(x[None])[0]
    for check in (True, False):
        with pytest.warns(UserWarning, match=word):
            assert hypergradient(problem, x, y, estimator="kkt", check=check).isnan().all()
    found = at(problem, x[None], y[None])
    assert found.trouble.tolist() == [code]
    assert found.formula.isfinite().all()


def test_strict_complementarity_is_told_from_licq():
    x = PolytopeConstrained(place="corner", distance=0.0).build()
    point = x.start[0][None]
    found = at(x, point, x.closed_form.solution(point))
    assert not found.licq
    assert found.strict  # of the multipliers of least norm
    kink = PolytopeConstrained(place="kink", distance=0.0).build()
    point = kink.start[0][None]
    found = at(kink, point, kink.closed_form.solution(point))
    assert found.licq
    assert not found.strict


def test_a_point_that_is_no_solution_is_said():
    problem = PolytopeConstrained(place="face").build()
    x = problem.start[0]
    with pytest.warns(UserWarning, match="y is no solution of the lower level"):
        assert hypergradient(problem, x, torch.zeros(4), estimator="kkt").isnan().all()
    maximum = Problem(  # the multiplier of the bound has the wrong sign
        upper=lambda x, y: (y**2).sum() + (x**2).sum(),
        lower=lambda x, y: ((y - x) ** 2).sum(),
        project_lower=box(-1.0, 1.0),
    )
    with pytest.warns(UserWarning, match="no multipliers ≥ 0"):
        assert hypergradient(maximum, [0.0], [1.0], estimator="kkt").isnan().all()


def test_rows_are_judged_one_by_one():
    problem = PolytopeConstrained(place="kink", distance=0.0).build()
    x = problem.start[0].expand(2, -1).clone()
    x[1] += 0.1 * rows(1, 4)[0]
    found = at(problem, x, problem.closed_form.solution(x))
    assert found.trouble.tolist() == [Degenerate.STRICT, Degenerate.NONE]
    torch.testing.assert_close(found.value[1], problem.closed_form.gradient(x)[1])
    assert "strict" in reasons(found.trouble)
    assert reasons(found.trouble[1:]) == ""


def test_in_single_precision():
    problem = PolytopeConstrained(place="cut", distance=0.05).build()
    x = problem.start[0]
    y = problem.closed_form.solution(x[None])[0]
    found = hypergradient(problem, x, y, estimator="kkt", dtype=torch.float32)
    torch.testing.assert_close(found.double(), problem.closed_form.gradient(x[None])[0], rtol=1e-4, atol=1e-4)


def test_derivatives_that_are_not_finite_are_said():
    problem = PolytopeConstrained(place="cut").build()
    broken = replace(
        problem,
        derivatives={**problem.derivatives, "hvp": lambda x, y, v, sample: torch.full_like(v, torch.nan)},
    )
    x = problem.start[0][None]
    found = at(broken, x, problem.closed_form.solution(x))
    assert found.trouble.tolist() == [Degenerate.NOT_FINITE]
    assert found.formula.isnan().all()


def test_constraints_that_are_not_known_are_asked_for():
    problem = PolytopeConstrained().build()
    for project, word in ((None, "has no project_lower"), (lambda y: y.clamp(-1, 1), "any function")):
        with pytest.raises(InputError, match=word):
            hypergradient(replace(problem, project_lower=project), *problem.start, estimator="kkt")
    with pytest.raises(InputError, match=r"\(constraints, d\)"):
        Polytope(torch.ones(3, 2), torch.ones(2), lambda y: y)


def test_every_place_is_tested_here():
    assert set(PLACES) == {*NONDEGENERATE, "kink", "corner", "jump"}
