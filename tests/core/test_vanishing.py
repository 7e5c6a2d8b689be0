"""``vanishing_hessian=True?`` is asked where f_y and the Hessian vanish with D(y), ``False?`` where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from support import oracle_of, regular_problem, tensor, vanishing_problem
from unibio import Example3, Problem
from unibio.core.vanishing import vanishing_question, vanishing_rows
from unibio.problems.hoelder import Hoelder


def rows(problem, x, y, floor=1e-3):
    return vanishing_rows(oracle_of(problem, x, y), x, y, floor).tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("p", [3, 4, 6])
def test_an_undeclared_vanishing_hessian_is_asked_about(p, dtype):
    known = vanishing_problem(p, 1, zeros=(1,))
    problem = replace(known.problem, vanishing_hessian=False, batched=True)
    away = np.where(known.y == 0, 0.5, known.y)
    nearly = np.where(known.y == 0, -1e-9, known.y)
    x = tensor([known.x] * 3).to(dtype)
    y = tensor([known.y, away, nearly]).to(dtype)
    if dtype == torch.float64:  # the problem's own constants are in float64
        assert rows(problem, x, y) == [True, False, True]
        assert "vanishing_hessian=True? In 2 of 3 runs" in (
            vanishing_question(oracle_of(problem, x, y), x, y, 1e-3) or ""
        )
    plain = replace(Example3(exponent=p if p % 2 == 0 else 4).build(), vanishing_hessian=False)
    zero = torch.zeros(1, 1, dtype=dtype)
    assert rows(plain, zero, zero) == [True]
    assert rows(plain, zero, zero + 1e-7) == [True]
    assert rows(plain, zero, zero + 0.5) == [False]


@pytest.mark.parametrize("p", [2, 3, 4, 6])
def test_a_regular_hessian_is_not(p):
    for zeros in ((0,), (0, 1, 2, 3)):
        known = regular_problem(p, 0, zeros=zeros)
        x, y = tensor(known.x[None]), tensor(known.y[None])
        assert rows(known.problem, x, y) == [False]


@pytest.mark.parametrize(
    ("upper", "why"),
    [
        (lambda x, y: ((y - 1) ** 2).sum(), "f_y stays: the hypergradient is infinite there, not lost"),
        (lambda x, y: (x**2).sum() + (y[:1] ** 4).sum(), "the coordinates that vanish do not matter to f"),
    ],
)
def test_nor_is_one_that_vanishes_alone(upper, why):
    problem = Problem(upper, lambda x, y: (y**4).sum() / 4 - (x * y).sum(), exponent=4)
    x = tensor([[1.0, 0.0]])
    assert rows(problem, x, tensor([[1.0, 0.0]])) == [False], why


def test_products_of_small_coordinates_are_no_vanishing_hessian():
    """Two layers y_1 y_2 near 0: f_y falls like the other layer, the Hessian's mixed part does not fall."""
    problem = Problem(
        lambda x, y: (y[0] * y[1] - 1) ** 2,
        lambda x, y: (y[0] * y[1] - x[0]) ** 2 + (y.abs() ** 3).sum() / 3,
        exponent=3,
    )
    assert rows(problem, tensor([[1.0]]), tensor([[1e-5, -1e-4]])) == [False]


def declared(upper, lower, x, y, exponent=4, floor=1e-3):
    problem = Problem(upper, lower, exponent=exponent, vanishing_hessian=True)
    x, y = tensor([x]), tensor([y])
    return vanishing_question(oracle_of(problem, x, y), x, y, floor)


def test_a_declared_vanishing_hessian_that_does_not_vanish_is_asked_about():
    def smooth(x, y):
        return 0.5 * ((y - 1) ** 2).sum()

    def powers(x, y):
        return (y**4).sum() / 4 - (x * y).sum()

    regular = declared(smooth, lambda x, y: powers(x, y) + (y**2).sum() / 2, [0.0, 0.6], [0.0, 0.5])
    assert regular == (
        "vanishing_hessian=False? In 1 of 1 runs f_y or ∇²_yy g does not vanish where coordinates of y go to 0, so "
        "that what is evaluated where |y_i| ≥ 0.001 is the hypergradient of another point"
    )
    alone = declared(smooth, powers, [0.0, 0.1], [0.0, 0.5])
    assert alone == regular, "the Hessian vanishes, f_y does not: the hypergradient is infinite, and a number returned"
    assert declared(smooth, powers, [1.0, 0.1], [1.0, 0.5]) is None, "no coordinate is near 0"


@pytest.mark.parametrize("spec", [Example3(), *(Hoelder(exponent=p) for p in (2.5, 3, 4, 6))])
@pytest.mark.parametrize("y", [0.0, 1e-7, -9e-4])
def test_what_is_declared_and_vanishes_is_not(spec, y):
    problem = spec.build()
    x = torch.as_tensor(problem.start[0], dtype=torch.float64).reshape(1, -1)
    ys = torch.full((1, torch.as_tensor(problem.start[1]).numel()), y, dtype=torch.float64)
    assert vanishing_question(oracle_of(problem, x, ys), x, ys, 1e-3) is None


@pytest.mark.parametrize("p", [3, 4, 6])
def test_nor_are_random_problems_that_vanish(p):
    known = vanishing_problem(p, 1, zeros=(1,))
    for shift in (0.0, 1e-5, -9e-4):
        x, y = tensor([known.x]), tensor([np.where(known.y == 0, shift, known.y)])
        assert vanishing_question(oracle_of(known.problem, x, y), x, y, 1e-3) is None
