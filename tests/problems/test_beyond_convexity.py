"""Lower levels that are not strongly convex: their closed forms, their proximal residual and their start."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unibio import Problem, solve
from unibio.errors import InputError
from unibio.pipeline.batch import simulation
from unibio.pipeline.job import job_from
from unibio.problems.error_bound import proximal_residual
from unibio.problems.pl_nonconvex import PLNonconvex, _Built
from unibio.problems.strictly_convex import StrictlyConvex
from unibio.simulation.history import check_names

SHAPES = [(1, 1), (3, 3), (2, 5)]


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def rows(k: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(k, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", [0.0, 0.01, 1.0])
def test_solutions_values_and_gradients_of_the_penalty(shape, sigma):
    """S(x, σ) is stationary, the value is the weighted loss there, the gradient its difference quotient."""
    built = _Built(PLNonconvex(dimension_x=shape[0], dimension_y=shape[1]))
    x = rows(4, shape[0])
    y = built.solution(x, sigma)
    if sigma:
        slope = sigma * built.grad_upper(x, y, None)[1] + built.grad_lower(x, y, None)
        assert slope.abs().max() < 1e-12
        value = built.upper(x, y, None) + built.lower(x, y, None) / sigma
    else:
        assert built.grad_lower(x, y, None).abs().max() < 1e-12
        value = built.upper(x, y, None)
    assert torch.allclose(value, built.value(x, sigma), rtol=1e-10)
    step = 1e-6
    for i, unit in enumerate(torch.eye(shape[0], dtype=torch.float64)):
        there, back = built.solution(x + step * unit, sigma), built.solution(x - step * unit, sigma)
        assert torch.allclose((there - back) / (2 * step), built.jacobian(x, sigma)[..., i], atol=1e-6)
        quotient = (built.value(x + step * unit, sigma) - built.value(x - step * unit, sigma)) / (2 * step)
        assert torch.allclose(quotient, built.gradient(x, sigma)[:, i], atol=1e-6)
    if sigma:
        move = built.solution(x, sigma + step) - built.solution(x, sigma - step)
        drift = built.drift(x, column(*[sigma] * len(x)))
        assert torch.allclose(move / (2 * step), drift, atol=1e-5)


def test_the_limit_has_the_least_f_of_the_solutions():
    built = _Built(PLNonconvex(dimension_x=2, dimension_y=5))
    x = rows(1, 2)
    best = built.solution(x)
    w = built.bent(best)
    null = torch.linalg.svd(built.B, full_matrices=True)[2][2:]
    for away in 0.3 * rows(20, 3) @ null:
        other = built.unbent(w + away)
        assert built.lower(x, other, None) < 1e-20
        assert built.upper(x, other, None) > built.upper(x, best, None)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 0.99), st.floats(-20.0, 20.0))
def test_the_bijection_is_inverted(bend, w):
    built = _Built(PLNonconvex(dimension_x=1, dimension_y=1, bend=bend))
    assert float(built.bent(built.unbent(column(w)))) == pytest.approx(w, abs=1e-13 * (1 + abs(w)))


def test_the_lower_level_is_pl_and_not_convex():
    spec = PLNonconvex(dimension_x=3, dimension_y=3, bend=0.8, condition=4.0)
    built = _Built(spec)
    x, y = 3 * rows(2000, 3), 3 * rows(2000, 3, 1)
    gap, slope = built.lower(x, y, None), built.grad_lower(x, y, None).square().sum(-1)
    assert (slope >= 2 * (1 - spec.bend) ** 2 / spec.condition * gap * (1 - 1e-12)).all()
    assert (built.least_curvature(x, y) < 0).any()


def test_starts_are_where_they_are_said_to_be():
    for spec in (
        PLNonconvex(distance=column(0.001, 3.0), penalty=column(1.0, 1e6), start_seed=column(0, 5)),
        StrictlyConvex(distance=column(0.001, 3.0), penalty=column(1.0, 1e6)),
    ):
        problem = spec.build()
        assert problem.metrics(*problem.start)["solution_distance"].tolist() == pytest.approx([0.001, 3.0], rel=1e-9)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("distance", [0.01, 3.0])
@pytest.mark.parametrize("problem", [PLNonconvex(penalty=100.0), StrictlyConvex(penalty=100.0)], ids=lambda p: p.name)
def test_the_proximal_residual_against_a_descent(problem, distance):
    """ρ⁻¹‖y − prox(y)‖, the proximal point found by many small gradient steps on autograd's gradient."""
    problem = type(problem)(penalty=100.0, distance=distance)
    built = problem.build()
    x, y = (t[None] for t in built.start)
    sigma, step = 0.01, problem.proximal_step
    z = y.clone()
    for _ in range(600):
        z.requires_grad_()
        loss = (sigma * built.upper(x, z, None) + built.lower(x, z, None)) * step + (z - y).square().sum(-1) / 2
        z = (z - 0.3 * torch.autograd.grad(loss.sum(), z)[0]).detach()
    expected = float((y - z).norm() / step)
    assert float(built.metrics(x, y)["proximal_residual"]) == pytest.approx(expected, rel=1e-6)


def test_a_proximal_map_that_is_not_found_is_nan():
    jumps = proximal_residual(
        column(1.0), 0.1, lambda z: z.sign() * 1e3 * (z * 1e9).sin(), lambda z: torch.ones(1, 1, 1)
    )
    assert torch.isnan(jumps).all()


@pytest.mark.parametrize("p", [2.0, 4.0, 6.0])
def test_the_error_bound_fails_under_strict_convexity_alone(p):
    """h_σ has at S(0, σ) the curvature (p − 1) σ^{(p−2)/(p−1)}, up to lower order."""
    weights = column(1e4, 1e8)
    problem = StrictlyConvex(exponent=p, penalty=weights, distance=column(1e-5, 1e-5)).build()
    found = problem.metrics(*problem.start)
    moduli = (found["proximal_residual"] / found["solution_distance"]).tolist()
    assert moduli[1] / moduli[0] == pytest.approx(1e-4 ** ((p - 2) / (p - 1)), rel=0.3)


def test_a_lower_level_that_cannot_reach_every_x_is_refused():
    with pytest.raises(InputError, match=r"problem\.dimension_y = 2 is below problem\.dimension_x = 3"):
        PLNonconvex(dimension_x=3, dimension_y=2).build()


def test_a_metric_with_the_name_of_a_swept_parameter_is_refused_before_work_starts():
    """The history could not tell their columns apart, which was found out when all was computed."""
    x, y = (t[None] for t in StrictlyConvex().build().start)
    with pytest.raises(InputError, match="'value' is also a swept parameter"):
        check_names(lambda x, y: {"value": x[:, 0]}, x, y, ["seed", "value"])
    problem = Problem(
        upper=lambda x, y: (y**2).sum(),
        lower=lambda x, y: ((y - x) ** 2).sum(),
        metrics=lambda x, y: {"seed": x[:, 0]},
        start=(torch.ones(1), torch.ones(1)),
    )
    with pytest.raises(InputError, match="'seed' is also a swept parameter"):
        solve(problem, "stocbio", steps=2, seed=[0, 1], upper_step=0.1, lower_step=0.1)


@pytest.mark.parametrize("algorithm", ["proximal", pytest.param("proximal_momentum", marks=pytest.mark.slow)])
def test_methods_without_convexity_find_the_stationary_point(algorithm):
    steps = {"upper_step": 2.0, "lower_step": 0.3, "penalty": 30.0}
    config = {"problem": {"name": "pl_nonconvex", "dimension_y": 4}, "algorithm": {"name": algorithm, **steps}}
    history = simulation(job_from({**config, "steps": 200, "device": "cpu", "log_points": 2})).history
    norms = history["hypergradient_norm"]
    assert norms.iloc[-1] < 0.05 * norms.iloc[0]
