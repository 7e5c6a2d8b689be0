"""The inequalities of docs/theory.md, on matrices and on runs: each holds, and each fails where its condition does."""

from __future__ import annotations

import math
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support import oracle_of, tensor
from unibio import Hoelder, Problem, solve
from unibio.algorithms.unibio import UniBiO
from unibio.core.hypergradients import generalised_neumann

seeds = st.integers(0, 10**6)


def preconditioned(seed: int, d: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(D, H, A = D⁻¹H): D over so many decades, eigenvalues of A in [0.2, 1.5]."""
    rng = np.random.default_rng(seed)
    D = 10 ** rng.uniform(-spread, 0, size=d)
    q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    S = q @ np.diag(rng.uniform(0.2, 1.5, size=d)) @ q.T
    H = np.sqrt(D)[:, None] * S * np.sqrt(D)
    return D, H, H / D[:, None]


def norm_in(D: np.ndarray, M: np.ndarray) -> float:
    """‖D^{1/2} M D^{−1/2}‖."""
    return float(np.linalg.norm(np.sqrt(D)[:, None] * M / np.sqrt(D), 2))


# The Neumann sum ----------------------------------------------------------------------------------------------------


@given(seed=seeds, d=st.integers(2, 5), spread=st.floats(0, 8))
def test_powers_of_the_neumann_factor_are_bounded_with_and_without_d(seed: int, d: int, spread: float) -> None:
    D, _, A = preconditioned(seed, d, spread)
    values = np.linalg.eigvals(A)
    assert np.abs(values.imag).max() < 1e-6
    singular = np.linalg.svd(A, compute_uv=False)
    assert singular[-1] * (1 - 1e-6) <= values.real.min()
    assert values.real.max() <= singular[0] * (1 + 1e-6)
    B = np.eye(d) - A
    rho = norm_in(D, B)
    assert rho == pytest.approx(np.abs(1 - values.real).max(), rel=1e-4)
    power, N = np.eye(d), np.linalg.norm(B)
    for q in range(1, 30):
        power = power @ B
        size = np.linalg.norm(power, 2)
        assert size <= math.sqrt(D.max() / D.min()) * rho**q * (1 + 1e-4) + 1e-9
        assert size <= sum(comb(q, k) * rho ** (q - k) * N**k for k in range(min(q, d - 1) + 1)) * (1 + 1e-4)


@given(seed=seeds, d=st.integers(1, 5), spread=st.floats(0, 8))
def test_noise_of_symmetric_hessians_is_no_larger_in_the_norm_of_d(seed: int, d: int, spread: float) -> None:
    D = preconditioned(seed, d, spread)[0]
    S = np.random.default_rng(seed + 1).normal(size=(d, d))
    N = (S + S.T) / D[:, None]
    assert norm_in(D, N) <= np.linalg.norm(N, 2) * (1 + 1e-9)


def test_that_needs_symmetry() -> None:
    D = np.array([1.0, 1e-6])
    N = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert norm_in(D, N) > 100 * np.linalg.norm(N, 2)


@given(seed=seeds, spread=st.floats(0, 6))
def test_second_moments_contract_whatever_d_is(seed: int, spread: float) -> None:
    """X ↦ E (I − cA_j) X (I − cA_j)ᵀ has spectral radius at most θ = ρ² + c²σ², with c = min(1/C, m/(m² + σ²))."""
    D, _, A = preconditioned(seed, 3, spread)
    S = np.random.default_rng(seed + 1).normal(size=(3, 3))
    N = 0.3 * np.sqrt(D)[:, None] * (S + S.T) * np.sqrt(D) / D[:, None]  # A_j = A ± N
    m, C = 0.2, 1.5
    sigma = norm_in(D, N)
    c = min(1 / C, m / (m**2 + sigma**2))
    theta = max(abs(1 - c * m), abs(1 - c * C)) ** 2 + (c * sigma) ** 2
    assert theta < 1
    factors = [np.eye(3) - c * (A + sign * N) for sign in (1, -1)]
    second = sum(np.kron(F, F) for F in factors) / 2
    assert np.abs(np.linalg.eigvals(second)).max() <= theta * (1 + 1e-5)


def coupled(spread: float, factor: float) -> tuple[Problem, torch.Tensor, torch.Tensor]:
    """p = 4 and A = (1, aD₂; a, 1) with D = (1, D₂), a√D₂ = ``factor``; ∇φ = (1, 0) at the y* that is given."""
    small = 1 / spread
    a = factor / math.sqrt(small)
    H, star = tensor([[1.0, a * small], [a * small, small]]), tensor([1.0, small]).div(3).sqrt()
    slope = H @ tensor([1.0, 0.0])
    problem = Problem(
        upper=lambda x, y: y @ slope + 0 * x.sum(-1),
        lower=lambda x, y: 0.5 * (((y - star) @ H) * (y - star)).sum(-1) - (x * y).sum(-1),
        exponent=4,
        start=(torch.zeros(2, dtype=torch.float64), star),
        batched=True,
    )
    return problem, torch.zeros(1, 2, dtype=torch.float64), star[None]


def test_the_error_of_a_neumann_sum_may_grow_before_it_falls_and_is_said_to() -> None:
    """c = 1 < 2/λ_max, and yet ‖I − cA‖ = a: the error grows by up to √(D_max/D_min), falls in the end, and a run that
    stops the sum too early is told what it leaves unsolved."""
    spread, factor = 1e4, 0.95
    problem, x, y = coupled(spread, factor)
    truth = tensor([[1.0, 0.0]])
    errors = [1.0]
    for terms in (*range(1, 8), 400):
        estimate = generalised_neumann(oracle_of(problem, x, y), x, y, terms=terms, step=1.0, floor=1e-6)
        errors.append(float((estimate - truth).norm()))
    assert errors[1] == pytest.approx(factor * math.sqrt(spread), rel=1e-9)
    assert max(errors) <= math.sqrt(spread)
    assert errors[3] > 50, "it does so again and again"
    assert errors[-1] < 1e-6
    quiet = {"steps": 1, "floor": 1e-6, "neumann_step": 1.0, "inner_budget": 1, "first_length": 1.0}
    with pytest.warns(UserWarning, match="unsolved"):
        short = solve(problem, "unibio", neumann_terms=2, **quiet)
    assert any("unsolved" in line for line in short.warnings), short.warnings
    long = solve(problem, "unibio", neumann_terms=400, **quiet)
    assert not any("unsolved" in line for line in long.warnings), long.warnings


# Drift, descent, tracking -------------------------------------------------------------------------------------------


@given(beta=st.floats(0, 0.999), p=st.floats(2, 9))
def test_drift_over_the_memory_of_the_momentum(beta: float, p: float) -> None:
    """(1−β) Σ β^j j^ν ≤ (β/(1−β))^ν, far below the 1/(1−β) single steps that the paper adds up."""
    nu, j = 1 / (p - 1), np.arange(200_000)
    weights = (1 - beta) * beta**j
    assert (weights * j**nu).sum() <= (beta / (1 - beta)) ** nu * (1 + 1e-9) + 1e-12


@pytest.mark.one_in(3)
@pytest.mark.parametrize("shape", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("p", [2.0, 3.0, 4.0])
def test_descent_and_tracking_along_runs(p: float, shape: str) -> None:
    """Step 1 for every realisation, and step 3 for whole periods, with the Hölder problem's own constants."""
    nu, eta, beta, steps, period = 1 / (p - 1), 0.02, 0.8, 200, 7
    noise = {"noise": 1.0, "hessian_noise": 0.0625, "cross_noise": 0.25, "upper_noise": 0.25}
    problem = Hoelder(exponent=p, shape=shape, **noise).build()
    known = problem.closed_form
    method = UniBiO(upper_step=eta, momentum=beta, period=period, inner_budget=40)
    x0, y0 = (start.expand(3, -1).clone() for start in problem.start)
    oracle = oracle_of(problem, x0, y0, [0, 1, 2])
    state = method.init(oracle, x0, y0)
    xs, errors, norms, drifts = [state["x"]], [], [], []
    for t in range(steps):
        if t % period == 0:
            begin = known.solution(state["x"])
        new = method.step(oracle, state)
        gradient = known.gradient(state["x"])
        errors.append((new["momentum"] - gradient).norm(dim=1))
        norms.append(gradient.norm(dim=1))
        drifts.append((known.solution(state["x"]) - begin).norm(dim=1))
        state = new
        xs.append(state["x"])
    fallen = (known.value(xs[0]) - known.value(xs[-1])) / (eta * steps)
    smooth = (p - 1) / p * 2 ** (1 - nu) * eta**nu + 0.5 * 6 * eta
    mean_error, mean_norm = torch.stack(errors).mean(0), torch.stack(norms).mean(0)
    assert bool((mean_norm <= fallen + 2 * mean_error + smooth).all())
    assert not bool((mean_norm <= fallen + 0.1 * mean_error).all()), "a bound that the errors do not enter says nothing"
    assert float(torch.stack(drifts).max()) <= 2 ** (1 - nu) * (period * eta) ** nu
    if p > 2:
        assert period * eta**nu > 2 * (period * eta) ** nu, "what is added up step by step is much more"
