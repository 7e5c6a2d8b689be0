"""The polytope and the shallow network: closed forms and exact solves, held against other ways to get there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from unibio.problems.least_squares import descended
from unibio.problems.polytope import PLACES, PolytopeConstrained, _Built, polytope, projected
from unibio.problems.shallow_network import ShallowNetwork
from unibio.problems.shallow_network import _Built as Network

SIGMAS = (None, 0.3, 1e-3)


def rows(k: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(k, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


# The polytope --------------------------------------------------------------------------------------------------------


def test_the_projection_is_the_nearest_point():
    """Feasible, and the rest in the normal cone: (u − P u)·(y − P u) ≤ 0 for the polytope's vertices y."""
    u, Y = 2 * rows(500, 4), polytope()
    found = projected(u)
    assert (Y.slack(found) >= -1e-15).all()
    triangle = [(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0)]
    for first in triangle:
        for third in (-1.0, 1.0):
            for fourth in (-1.0, 1.0):
                vertex = torch.tensor([*first, third, fourth], dtype=torch.float64)
                assert (((u - found) * (vertex - found)).sum(-1) <= 1e-12).all()
    assert torch.equal(projected(found), found)
    assert torch.equal(Y(u), found)


def test_solutions_minimise_what_they_are_said_to():
    """S(x, σ) against SciPy's SLSQP on σf + g, from another start."""
    built = _Built(PolytopeConstrained(place="cut", modulus=0.5))
    constraint = {"type": "ineq", "fun": lambda y: -y[0] - y[1]}
    for x in 1.5 * rows(6, 4):
        for sigma in (0.3, 0.03):

            def loss(y: np.ndarray, x: torch.Tensor = x, sigma: float = sigma) -> float:
                y = torch.from_numpy(y)[None]
                return float(sigma * built.upper(x[None], y) + built.lower(x[None], y))

            bounds = [(-1, 1)] * 4
            found = minimize(loss, -0.3 * np.ones(4), bounds=bounds, constraints=constraint, options={"ftol": 1e-14})
            own = built.solution(x[None], column(sigma))[0]
            assert loss(own.numpy()) <= found.fun + 1e-12
            np.testing.assert_allclose(own.numpy(), found.x, atol=1e-4)


@pytest.mark.parametrize("place", PLACES)
def test_values_and_gradients_are_each_others(place):
    """Off kinks; on them, at the middle of the degenerate places, φ has no gradient."""
    built = _Built(PolytopeConstrained(place=place, modulus=0.5))
    x = built.middle @ built.A + 0.03 * rows(5, 4)
    for sigma in SIGMAS:
        weight = None if sigma is None else column(*[sigma] * len(x))
        gradient = built.gradient(x, weight)
        moves = 1e-6 * torch.eye(4, dtype=torch.float64)
        values = [(built.value(x + m, weight) - built.value(x - m, weight)) / 2e-6 for m in moves]
        assert torch.allclose(torch.stack(values, dim=-1), gradient, atol=1e-5)
        y = built.solution(x, weight)
        direct = built.upper(x, y)
        if sigma is not None:
            best = built.lower(x, built.solution(x))
            direct = direct + (built.lower(x, y) - best) / sigma
            assert torch.allclose(built.lower(x, y) - best, built.gap(x, y), atol=1e-12)
        assert torch.allclose(direct, built.value(x, weight), atol=1e-10)
    assert bool(built.gradient(built.middle @ built.A).isnan().any()) == (place in ("kink", "jump"))


@pytest.mark.parametrize("place", PLACES)
def test_the_middle_of_a_place_is_a_local_minimiser(place):
    built = _Built(PolytopeConstrained(place=place))
    x = built.middle @ built.A
    around = x + 0.05 * rows(200, 4)
    assert (built.value(around) >= built.value(x) - 1e-12).all()


def test_starts_and_places():
    spec = PolytopeConstrained(place="cut", distance=column(0.0, 0.2), start_seed=column(0, 3), penalty=column(1, 10))
    x, y = spec.build().start
    built = _Built(spec)
    assert (x - built.middle @ built.A).norm(dim=-1).tolist() == pytest.approx([0.0, 0.2], abs=1e-12)
    assert (polytope().slack(y) >= 0).all()


def test_stationarity_is_zero_at_the_penalty_s_stationary_point():
    """And elsewhere the largest residual, the proximal point of y found by projected descent."""
    built = _Built(PolytopeConstrained(place="cut", penalty=10.0))
    x, sigma = built.middle @ built.A, column(0.1)
    for _ in range(400):
        x = x - 0.5 * built.gradient(x, sigma)
    assert float(built.stationarity(x, built.solution(x, sigma), sigma)) < 1e-12
    x, y = rows(1, 4), projected(rows(1, 4, 1))
    z, rho = y.clone(), built.spec.proximal_step
    for _ in range(300):
        slope = sigma * built.grad_upper(x, z, None)[1] + built.grad_lower(x, z, None)
        z = projected(z - 0.3 * (rho * slope + z - y))
    of_y = float((y - z).norm() / rho / sigma)
    g_x = built.grad_lower_x(x, y, None) - built.grad_lower_x(x, built.solution(x), None)
    of_x = float((built.grad_upper(x, y, None)[0] + g_x / sigma).norm())
    assert float(built.stationarity(x, y, sigma)) == pytest.approx(max(of_y, of_x), rel=1e-9)


def test_metrics_at_a_nondegenerate_place():
    problem = PolytopeConstrained(place="vertex", distance=0.05, penalty=1e4).build()
    found = problem.metrics(*(t[None] for t in problem.start))
    assert found["kkt_error"] < 1e-12
    assert found["difference_error"] < 1e-7
    assert found["pseudoinverse_error"] > 0.1  # it does not know the two bounds
    assert (found["licq"], found["strict"], found["said"]) == (1, 1, 0)
    assert 0 < found["value_error"] < 1e-3
    assert 0 < found["gradient_error"] < 1e-2


# The network ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(ShallowNetwork(width=5, points=3))


def test_the_network_s_derivatives_are_those_of_autograd(network):
    x, y = rows(3, 2), rows(3, 20, 1)
    hessian = torch.autograd.functional.hessian
    for row in range(3):
        at, v = x[row : row + 1], y[row]
        for loss, slope, curved in (
            (network.lower, network.grad_lower, network.hessian_lower(at, v[None])),
            (network.upper, lambda *of: network.grad_upper(*of)[1], network.hessian_upper(v[None])),
        ):

            def scalar(v: torch.Tensor, at: torch.Tensor = at, loss=loss) -> torch.Tensor:
                return loss(at, v[None])[0]

            torch.testing.assert_close(slope(at, v[None], None)[0], torch.autograd.functional.jacobian(scalar, v))
            torch.testing.assert_close(curved[0], hessian(scalar, v))
    x.requires_grad_()
    (slope,) = torch.autograd.grad(network.lower(x, y).sum(), x)
    torch.testing.assert_close(network.grad_lower_x(x, y, None), slope)
    jacobian = torch.autograd.functional.jacobian(lambda v: network.net(v[None])[0], y[1])
    torch.testing.assert_close(network.net.jacobian(y)[1], jacobian)
    torch.testing.assert_close(
        network.net.pulled_back(y, rows(3, 3)), (rows(3, 3)[:, None] @ network.net.jacobian(y))[:, 0]
    )


@pytest.mark.one_in(3)
@pytest.mark.parametrize("sigma", [0.0, 1e-3, 0.1])
def test_the_exact_solve_is_stationary_and_its_gradient_that_of_its_value(network, sigma):
    x = 0.3 * rows(2, 2)
    y, nu = network.solved(x, sigma)
    if sigma:
        slope = network.grad_upper(x, y, None)[1] + network.grad_lower(x, y, None) / sigma
        assert slope.abs().max() < 1e-8
        torch.testing.assert_close(network.value(x, sigma), network.upper(x, y) + network.lower(x, y) / sigma)
    else:
        assert network.missed(x, y).abs().max() < 1e-10
        assert (
            network.grad_upper(x, y, None)[1] + (network.net.jacobian(y).mT @ nu[..., None])[..., 0]
        ).abs().max() < 1e-9
        null = torch.linalg.svd(network.net.jacobian(y)[0])[2][3:]  # f has a minimum on the manifold, to second order
        away = network.y0 * 0 + y[0] + 0.05 * rows(30, 17) @ null
        back = descended(lambda v: network.missed(x[:1].expand(len(v), -1), v), network.net.jacobian, away, steps=50)
        assert (network.upper(x[:1].expand(30, -1), back) >= network.upper(x[:1], y[:1])).all()
    moves = 1e-5 * torch.eye(2, dtype=torch.float64)
    values = [(network.value(x + m, sigma) - network.value(x - m, sigma)) / 2e-5 for m in moves]
    torch.testing.assert_close(torch.stack(values, dim=-1), network.gradient(x, sigma), rtol=1e-5, atol=1e-6)


def test_a_solve_that_fails_is_nan():
    narrow = Network(ShallowNetwork(width=1, points=6))  # nothing fits
    assert narrow.solution(rows(1, 2)).isnan().all()


@pytest.mark.parametrize(("width", "zero"), [(5, True), (1, False)])
def test_the_least_loss_is_below_what_descents_reach(width, zero):
    network = Network(ShallowNetwork(width=width, points=3))
    x = rows(2, 2)
    least = network.least(x)
    assert (least == 0).all() == zero
    y = rows(2, 4 * width, 5)
    for _ in range(30):
        y = y - 0.3 * network.grad_lower(x, y, None)
    assert (network.lower(x, y) >= least - 1e-12).all()
    found = network.metrics(x, y)
    ratio = network.grad_lower(x, y, None).square().sum(-1) / (2 * found["lower_gap"])
    torch.testing.assert_close(found["pl_constant"], ratio)
    assert ("value" in found) == zero


def test_least_squares_against_scipy():
    def residual(y: torch.Tensor) -> torch.Tensor:
        return torch.stack([10 * (y[:, 1] - y[:, 0] ** 2), 1 - y[:, 0], y[:, 0] * y[:, 1] - 2], dim=-1)

    def jacobian(y: torch.Tensor) -> torch.Tensor:
        zero = torch.zeros_like(y[:, 0])
        parts = ((-20 * y[:, 0], zero + 10), (zero - 1, zero), (y[:, 1], y[:, 0]))
        return torch.stack([torch.stack(part, dim=-1) for part in parts], dim=-2)

    found = descended(residual, jacobian, torch.tensor([[-1.2, 1.0]], dtype=torch.float64), steps=200)
    other = minimize(lambda y: float(residual(torch.from_numpy(y)[None]).square().sum()), [1.0, 1.0], tol=1e-14)
    np.testing.assert_allclose(found[0].numpy(), other.x, atol=1e-5)
