"""The measurement of v: against closed forms, and never with more products than it says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from unibio import Coordinatewise, Problem, solve
from unibio.algorithms.linear_system import LinearSystem
from unibio.core.oracle import Oracle
from unibio.core.streams import Streams

ESTIMATORS = ("generalised", "classical", "cg", "cg_scaled", "pcg")
SPEC = Coordinatewise(exponent=4, dimension=3)


def measured(spec: Any = SPEC, seeds: int = 3, **options: Any) -> Any:
    return solve(spec, LinearSystem(most_products=8, **options), steps=1, seed=list(range(seeds)), log_points=2)


@pytest.mark.parametrize("c", [0.05, 0.1])
def test_errors_of_the_classical_sum_in_closed_form(c: float) -> None:
    """The Hessian is D: after Q terms every coordinate of v is left with (1 − cD)^Q of itself."""
    found = measured(estimator="classical", neumann_step=c)
    y = found.y.numpy()
    v, d = np.cos(y**3) * (np.abs(y**3) <= np.pi / 2), 3 * y**2
    for b in (1, 2, 4, 8):
        off = v * (1 - c * d) ** (b + 1)
        expected = np.linalg.norm(off, axis=1) / np.linalg.norm(v, axis=1)
        assert np.allclose(found.runs[f"error_{b}"], expected, rtol=1e-9)
        assert np.allclose(found.runs[f"excess_{b}"], -(off * v).sum(1) / (v * v).sum(1), rtol=1e-9)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_v_in_the_end_and_whether_it_is_one(name: str) -> None:
    found = measured(estimator=name, neumann_step=1.0 if name != "classical" else 0.2).runs
    assert (found["error_8"] < (0.9 if name == "classical" else 1e-9)).all()
    assert (found["convex"] == 1).all()
    assert len(set(found["error_1"])) > 1 or name in ("generalised", "pcg"), "every seed is a point"


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("declared", [True, False])
def test_never_more_products_than_it_says(name: str, declared: bool) -> None:
    problem = SPEC.build()
    if not declared:
        own = {key: one for key, one in problem.derivatives.items() if key != "hessian_diagonal"}
        problem = dataclasses.replace(problem, derivatives=own, separable=None)
    x, y = (start.expand(2, -1) for start in problem.start)
    problem.prepare(x, y)
    for products in (1, 2, 9, 12):
        oracle = Oracle(problem, Streams([0, 1]))
        estimate = LinearSystem(estimator=name).estimate(oracle, x, y, products)
        assert estimate.shape == y.shape
        assert int(oracle.counts()["hvp"].max()) <= products
        if name == "pcg" and products <= (1 if declared else 10):
            assert (estimate == 0).all(), "there is nothing left for the solve"


def test_noise_is_in_the_products_alone() -> None:
    """v itself has none: with a sum of one product, its error is that of (1 − (1 + ζ)) for c = 1."""
    quiet, noisy = (
        measured(Coordinatewise(exponent=4, dimension=3, hessian_noise=level), seeds=40, draws=50).runs["error_1"]
        for level in (0.0, 0.04)
    )
    assert (quiet < 1e-12).all()
    # √E ζ² = 0.2; an average over 40 · 50 · 3 squares is off by √(2/6000) of itself, five times that is 9 %
    assert abs(float((noisy**2).mean()) / 0.04 - 1) < 0.1


def test_a_hessian_that_is_not_positive_is_said_and_solved() -> None:
    """v is (∇²_yy g)⁻¹ f_y whatever the signs."""
    curvature = torch.tensor([2.0, -1.0], dtype=torch.float64)

    def metrics(x: torch.Tensor, y: torch.Tensor) -> Mapping[str, torch.Tensor]:
        return {"nothing": torch.zeros(len(x), dtype=x.dtype)}

    problem = Problem(
        upper=lambda x, y: y.sum(-1),
        lower=lambda x, y: (curvature * y * y).sum(-1) / 2 + (x * y).sum(-1),
        metrics=metrics,
        batched=True,
    )
    options: dict[str, Any] = {"lower_iterations": 0, "most_products": 1, "neumann_step": 1.0}
    algorithm = LinearSystem(estimator="classical", **options)
    found = solve(problem, algorithm, np.zeros(2), np.ones(2), steps=1, seed=[0, 1], log_points=2).runs
    assert (found["convex"] == 0).all()
    # v = (½, −1); the sum of two terms is 1 + (1 − λ) = (0, 3)
    assert np.allclose(found["error_1"], np.sqrt((0.5**2 + 4**2) / 1.25))
