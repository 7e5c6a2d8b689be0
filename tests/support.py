"""What the tests of the core share: random problems whose lower Hessian is not diagonal, and truths about them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from unibio.core.algorithm import Algorithm
from unibio.core.oracle import Oracle
from unibio.core.powers import abs_power, signed_power
from unibio.core.problem import Problem
from unibio.core.streams import Draw, Streams
from unibio.simulation.trajectories import Trajectories

Array = np.ndarray


def tensor(values: object) -> Tensor:
    return torch.as_tensor(np.asarray(values, dtype=float), dtype=torch.float64)


def oracle_of(problem: Problem, x: Tensor, y: Tensor, seeds: list[int] | None = None, **options: object) -> Oracle:
    """An oracle for a start, (runs, d_x) and (runs, d_y)."""
    problem.prepare(x, y)
    return Oracle(problem, Streams(seeds if seeds is not None else [0] * len(x)), **options)  # type: ignore[arg-type]


def iterates(problem: Problem, algorithm: Algorithm, x: Tensor, y: Tensor, steps: int, seeds: list[int]) -> dict:
    """Every (x_t, y_t) as arrays (steps + 1, runs, d), by the algorithm's own init and step, and the oracle."""
    oracle = oracle_of(problem, x, y, seeds)
    xs, ys = [], []
    with torch.no_grad():
        state = algorithm.init(oracle, x, y)
        for _ in range(steps):
            xs.append(state["x"].numpy().copy())
            ys.append(state["y"].numpy().copy())
            state = algorithm.step(oracle, state)
    xs.append(state["x"].numpy().copy())
    ys.append(state["y"].numpy().copy())
    return {"x": np.array(xs), "y": np.array(ys), "oracle": oracle, "state": state}


def finite_difference(function: Callable[[Array], float], x: Array, h: float = 1e-3) -> Array:
    """The gradient by the five-point rule, error O(h⁴)."""
    gradient = np.zeros_like(x)
    for i in range(len(x)):
        e = np.zeros_like(x)
        e[i] = h
        gradient[i] = (
            8 * (function(x + e) - function(x - e)) - (function(x + 2 * e) - function(x - 2 * e))
        ) / (12 * h)  # fmt: skip
    return gradient


@dataclass
class Known:
    """A problem with its truth: y*(x) and φ(x) = f(x, y*(x)), found without the library."""

    problem: Problem
    solution: Callable[[Array], Array]
    value: Callable[[Array], float]
    x: Array

    @property
    def y(self) -> Array:
        return self.solution(self.x)

    def gradient(self, h: float = 1e-3) -> Array:
        """∇φ(x) by finite differences of x ↦ f(x, y*(x))."""
        return finite_difference(self.value, self.x, h)


def regular_problem(p: float, seed: int = 0, d_x: int = 3, d_y: int = 4, zeros: tuple[int, ...] = ()) -> Known:
    """A lower level with a regular, non-diagonal Hessian, y*(x) by Newton's method.

    g = Σ|y_i|^p/p + (1 + ½ tanh x_0) ½ yᵀS y + bᵀy + sin(x)ᵀBy,   f = Σ cos(y_i − c_i) + (wᵀy) sin(x_1) + ½‖x‖²

    The components of y*(x) in ``zeros`` are exactly 0 at the given x: b is chosen so.
    """
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(d_y, d_y))
    S = A @ A.T / d_y + 0.5 * np.eye(d_y)
    B, c, w = rng.normal(size=(d_x, d_y)), rng.normal(size=d_y), rng.normal(size=d_y)
    x = rng.normal(size=d_x)
    target = rng.uniform(0.5, 1.2, size=d_y) * rng.choice([-1, 1], size=d_y)
    target[list(zeros)] = 0.0

    def amplitude(x: Array) -> float:
        return 1 + 0.5 * np.tanh(x[0])

    b = -(np.sign(target) * np.abs(target) ** (p - 1) + amplitude(x) * S @ target + np.sin(x) @ B)

    def solution(x: Array) -> Array:
        y = target.copy()
        for _ in range(50):
            gradient = np.sign(y) * np.abs(y) ** (p - 1) + amplitude(x) * S @ y + b + np.sin(x) @ B
            y = y - np.linalg.solve(np.diag((p - 1) * np.abs(y) ** (p - 2)) + amplitude(x) * S, gradient)
        assert np.abs(gradient).max() < 1e-12
        return np.where(np.abs(y) < 1e-14, 0.0, y)  # zeros up to rounding are meant to be zeros

    def value(x: Array) -> float:
        y = solution(x)
        return float(np.cos(y - c).sum() + (w @ y) * np.sin(x[1]) + 0.5 * x @ x)

    tS, tB, tb, tc, tw = map(tensor, (S, B, b, c, w))

    def lower(x: Tensor, y: Tensor) -> Tensor:
        quadratic = 0.5 * (1 + 0.5 * torch.tanh(x[:, 0])) * ((y @ tS) * y).sum(-1)
        return (abs_power(y, p) / p).sum(-1) + quadratic + y @ tb + ((torch.sin(x) @ tB) * y).sum(-1)

    def upper(x: Tensor, y: Tensor) -> Tensor:
        return torch.cos(y - tc).sum(-1) + (y @ tw) * torch.sin(x[:, 1]) + 0.5 * (x * x).sum(-1)

    return Known(Problem(upper=upper, lower=lower, exponent=p, name="regular"), solution, value, x)


def vanishing_problem(p: float, seed: int = 0, d_x: int = 3, d_y: int = 4, zeros: tuple[int, ...] = ()) -> Known:
    """A lower level whose non-diagonal Hessian vanishes with D(y), as in Example 3; y*(x) by a contraction.

    With z = [y]^{∘(p−1)} and m(x) = 1 + 0.3 sin x_0,

        g = Σ|y_i|^p/p + m(x)/(2p) Σ_ij M_ij |y_i|^p |y_j|^p − s(x)ᵀy,    s(x) = Bx + ½ sin(Bx)
        f = sin(aᵀz + cᵀx) + ½ zᵀPz + ½‖x‖²

    so that ∇_y g = 0 reads z_i (1 + m(x) Σ_j M_ij |z_j|^{p/(p−1)}) = s_i(x), and D⁻¹∇²_yy g is I + O(M), not diagonal.
    The components of y*(x) in ``zeros`` are exactly 0 at the given x.
    """
    rng = np.random.default_rng(seed)
    M = rng.uniform(0.0, 0.04, size=(d_y, d_y))
    M = (M + M.T) / 2
    B = rng.normal(size=(d_y, d_x))
    x = rng.uniform(0.4, 1.0, size=d_x)
    for i in zeros:
        B[i] -= (B[i] @ x) / (x @ x) * x  # B_i x = 0, hence s_i = 0
    a, c, P = rng.normal(size=d_y), rng.normal(size=d_x), rng.normal(size=(d_y, d_y))
    P = (P + P.T) / 2
    power = p / (p - 1)

    def z_of(x: Array) -> Array:
        u = B @ x
        u[np.abs(u) < 1e-15] = 0.0
        s, m = u + 0.5 * np.sin(u), 1 + 0.3 * np.sin(x[0])
        z = s.copy()
        for _ in range(200):
            z = s / (1 + m * (M @ np.abs(z) ** power))
        assert np.abs(z * (1 + m * (M @ np.abs(z) ** power)) - s).max() < 1e-14
        return z

    def solution(x: Array) -> Array:
        z = z_of(x)
        return np.sign(z) * np.abs(z) ** (1 / (p - 1))

    def value(x: Array) -> float:
        z = z_of(x)
        return float(np.sin(a @ z + c @ x) + 0.5 * z @ P @ z + 0.5 * x @ x)

    tM, tB, ta, tc, tP = map(tensor, (M, B, a, c, P))

    def lower(x: Tensor, y: Tensor) -> Tensor:
        u = x @ tB.T
        powers = abs_power(y, p)
        coupling = (1 + 0.3 * torch.sin(x[:, 0])) / (2 * p) * ((powers @ tM) * powers).sum(-1)
        return (powers / p).sum(-1) + coupling - ((u + 0.5 * torch.sin(u)) * y).sum(-1)

    def upper(x: Tensor, y: Tensor) -> Tensor:
        z = signed_power(y, p - 1)
        return torch.sin(z @ ta + x @ tc) + 0.5 * ((z @ tP) * z).sum(-1) + 0.5 * (x * x).sum(-1)

    problem = Problem(upper=upper, lower=lower, exponent=p, vanishing_hessian=True, name="vanishing")
    return Known(problem, solution, value, x)


def numbers(seed: int, purpose: str, size: int, std: float):
    """A function that gives one trajectory's samples of a purpose one after the other."""
    stream, count = Streams([seed]), itertools.count()
    return lambda: std * Draw(stream, purpose, next(count)).normal(size)[0].numpy()


def mixing_of(problem: Problem, d: int) -> np.ndarray:
    """R, from ∇²_xy g · e_i = −Rᵀ cos(0) e_i at x = 0."""
    zero, eye = torch.zeros(d, d, dtype=torch.float64), torch.eye(d, dtype=torch.float64)
    return -problem.derivatives["jvp"](zero, zero, eye, None).numpy()


def assert_same(one: Trajectories, other: Trajectories) -> None:
    """Two batches have the same history, results, first hits and counts, to the bit."""
    pd.testing.assert_frame_equal(
        one.history.drop(columns="seconds"), other.history.drop(columns="seconds"), check_exact=True
    )
    for name in ("x", "y"):
        assert torch.equal(getattr(one, name).nan_to_num(), getattr(other, name).nan_to_num())
    assert (one.status, one.stopped_at) == (other.status, other.stopped_at)
    for key, hits in one.first_below.items():
        assert torch.equal(hits, other.first_below[key])
    for kind, count in one.counts.items():
        assert torch.equal(count, other.counts[kind])
