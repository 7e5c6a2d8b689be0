"""How regular a problem is: the numbers against closed forms, on problems whose exponents are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from support import tensor
from unibio import InputError, solve
from unibio.problems.regularity import NAMES, Regularity

DISTANCES = [1e-5, 1e-3, 1e-1]


def measured(**options: object) -> dict[str, np.ndarray]:
    """Every number, by distance."""
    spec = Regularity(distance=tensor(DISTANCES)[:, None], pairs=1000, **options)
    problem = spec.build()
    x, y = (start.expand(len(DISTANCES), -1) for start in problem.start)
    found = problem.metrics(x, y)
    assert tuple(found) == NAMES
    return {name: value.numpy() for name, value in found.items()}


@pytest.mark.parametrize("p", [2.0, 3.0, 4.0])
def test_the_hoelder_problem(p: float) -> None:
    """y* changes most across 0, by 2(r/2)^ν; the estimator at y is off by ψ(y) − ψ(y*), which is r at the most."""
    found, r, nu = measured(exponent=p, shape="symmetric"), np.array(DISTANCES), 1 / (p - 1)
    np.testing.assert_allclose(found["solution_change"], 2 * (r / 2) ** nu, rtol=0.01)
    assert (found["solution_change"] <= 2 * (r / 2) ** nu * (1 + 1e-9)).all()
    np.testing.assert_allclose(found["estimator_bias"], r, rtol=1e-4)
    np.testing.assert_allclose(found["generalised_least"], 1)
    np.testing.assert_allclose(found["generalised_most"], 1)
    assert (found["contraction"] < 1e-9).all()
    assert (found["hessian_least"][0] < 1e-2) == (p > 2)
    assert (found["descent_remainder"] > 0).all()
    if p > 2:
        np.testing.assert_allclose(found["gradient_change"][0], 2 * (r[0] / 2) ** nu, rtol=0.01)


def test_phi_of_example_3_does_not_know_p() -> None:
    few, many = (measured(of="example3", exponent=p) for p in (2.0, 8.0))
    for name in ("gradient_change", "descent_remainder"):
        np.testing.assert_allclose(few[name], many[name], rtol=1e-6, atol=1e-15)
    assert few["solution_change"][0] < 1e-4 < many["solution_change"][0]


@pytest.mark.parametrize("of", ["hoelder", "coordinatewise"])
def test_mixed_coordinates(of: str) -> None:
    """A mixing turns and does not stretch: of d coordinates at most √d times as much, and no less than in one."""
    one = measured(of="example3" if of == "coordinatewise" else of, exponent=4.0)
    three = measured(of=of, exponent=4.0, dimension=3)
    assert (three["solution_change"] <= math.sqrt(3) * one["solution_change"] * 1.01).all()
    assert (three["solution_change"] >= 0.5 * one["solution_change"]).all()


def test_the_numbers_do_not_depend_on_the_iterates() -> None:
    history = solve(Regularity(pairs=50), "lower_only", steps=1, log_points=2).history
    assert len(history) == 2
    for name in NAMES:
        assert history[name].nunique() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "example3", "exponent": 2.5}, r"problem\.exponent of example3"),
        ({"of": "example3", "dimension": 2}, r"problem\.dimension of example3 is 1"),
        ({"of": "quadratic"}, "one of hoelder, example3, coordinatewise"),
        ({"distance": 0.0}, r"problem\.distance"),
    ],
)
def test_bad_input(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Regularity(**options).build()
