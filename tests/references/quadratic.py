"""A finite-sum quadratic bilevel problem in plain NumPy: the reference methods' only access to a problem.

Each level is the mean over i of ½yᵀP_iy + ½xᵀR_ix + xᵀS_iy + p_iᵀy + r_iᵀx.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Level:
    """One level's samples; ``at`` returns the mean over some of them."""

    P: np.ndarray
    R: np.ndarray
    S: np.ndarray
    p: np.ndarray
    r: np.ndarray

    def at(self, batch=None):
        """The five mean coefficients over a batch of indices; over all samples for None."""
        parts = (self.P, self.R, self.S, self.p, self.r)
        return [part.mean(axis=0) if batch is None else part[batch].mean(axis=0) for part in parts]

    def value(self, x, y, batch=None):
        P, R, S, p, r = self.at(batch)
        return 0.5 * y @ P @ y + 0.5 * x @ R @ x + x @ S @ y + p @ y + r @ x

    def dy(self, x, y, batch=None):
        P, _, S, p, _ = self.at(batch)
        return P @ y + S.T @ x + p

    def dx(self, x, y, batch=None):
        _, R, S, _, r = self.at(batch)
        return R @ x + S @ y + r


class QuadraticBilevel:
    """Lower level g, upper level f, and everything that has a closed form."""

    def __init__(self, g: Level, f: Level):
        self.g, self.f = g, f
        self.H, self.Rg, self.J, self.a, self.b = g.at()
        self.Fy, self.Fx, self.Fc, self.fy, self.fx = f.at()

    @classmethod
    def load(cls, path: Path):
        """From an npz file with keys {g,f}_{hess_y, hess_x, cross, lin_y, lin_x}."""
        with np.load(path) as arrays:
            return cls.of(arrays)

    @classmethod
    def of(cls, arrays):
        """From a mapping with the same keys."""
        keys = ("hess_y", "hess_x", "cross", "lin_y", "lin_x")
        return cls(*(Level(*(arrays[f"{level}_{key}"] for key in keys)) for level in "gf"))

    def lower_solution(self, x):
        return -np.linalg.solve(self.H, self.J.T @ x + self.a)

    def hypergradient(self, x):
        """∇φ(x) by implicit differentiation at the exact lower solution."""
        y = self.lower_solution(x)
        f_y = self.Fy @ y + self.Fc.T @ x + self.fy
        return self.Fx @ x + self.Fc @ y + self.fx - self.J @ np.linalg.solve(self.H, f_y)

    def value(self, x):
        y = self.lower_solution(x)
        return 0.5 * y @ self.Fy @ y + 0.5 * x @ self.Fx @ x + x @ self.Fc @ y + self.fy @ y + self.fx @ x


def random_problem(seed, dx, dy, n, kappa=8.0, noise=1.0):
    """A small random instance: arrays by key. The mean lower Hessian has condition number kappa and norm 1.

    ``noise`` scales how much the linear and cross terms of single samples differ from their means.
    """
    rng = np.random.default_rng(seed)

    def hessians(d, low):
        q, _ = np.linalg.qr(rng.normal(size=(d, d)))
        mean = q @ np.diag(np.linspace(low, 1.0, d)) @ q.T
        wobble = rng.normal(size=(n, d, d)) * 0.1
        wobble = wobble + wobble.transpose(0, 2, 1)
        return mean + wobble - wobble.mean(axis=0)

    arrays = {}
    for level, low in (("g", 1.0 / kappa), ("f", 0.5)):
        arrays[f"{level}_hess_y"] = hessians(dy, low)
        arrays[f"{level}_hess_x"] = hessians(dx, 0.5)
        arrays[f"{level}_cross"] = 0.1 * rng.normal(size=(dx, dy)) + 0.1 * noise * rng.normal(size=(n, dx, dy))
        arrays[f"{level}_lin_y"] = rng.normal(size=dy) + noise * rng.normal(size=(n, dy))
        arrays[f"{level}_lin_x"] = rng.normal(size=dx) + noise * rng.normal(size=(n, dx))
    return arrays
