"""Finite-sum quadratic bilevel problem with everything in closed form.

    g(x, y) = 1/n Σ_i  ½ yᵀA_i y + ½ xᵀB_i x + xᵀC_i y + a_iᵀy + b_iᵀx,            f likewise with m terms

With a bar for means over a level: y*(x) = −Ā⁻¹(C̄ᵀx + ā), φ is a quadratic, and ∇φ(x) = Kx + k with K and k computed
once. The lower level is strongly convex with condition number κ(Ā), so p = 2. On a bounded set a strongly convex
function is uniformly convex with every exponent, and a larger one may be stated: it changes what methods do, not g.

Per-sample matrices are either given (arrays, for small dimensions) or a shared matrix plus low-rank parts,
M_i = M + L_i R_iᵀ, which take O(n d r) memory instead of O(n d²): n = 1,024 samples at d = 1,000 fit in 0.2 GB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unibio.core.parameters import hyper
from unibio.core.problem import ClosedForm, Problem, ProblemSpec
from unibio.core.streams import Draw
from unibio.errors import InputError
from unibio.problems.matrices import Constants, Dense, LowRank, Matrices, Vectors

#: Keys of a problem file, per level: g_… for the lower, f_… for the upper, and their shapes.
KEYS = {"hess_y": "(n, d_y, d_y)", "hess_x": "(n, d_x, d_x)", "cross": "(n, d_x, d_y)", "lin_y": "(n, d_y)"}
KEYS |= {"lin_x": "(n, d_x)"}


@dataclass(frozen=True)
class Level:
    """One level: its per-sample matrices and vectors, and its derivatives on a minibatch."""

    A: Matrices
    B: Matrices
    C: Matrices
    a: Vectors
    b: Vectors
    size: int

    def loss(self, x: Tensor, y: Tensor, batch: Tensor | None) -> Tensor:
        """(runs,)."""
        quadratic = 0.5 * (y * self.A(y, batch)).sum(-1) + 0.5 * (x * self.B(x, batch)).sum(-1)
        return (
            quadratic + (x * self.C(y, batch)).sum(-1) + (y * self.a(y, batch)).sum(-1) + (x * self.b(x, batch)).sum(-1)
        )

    def dy(self, x: Tensor, y: Tensor, batch: Tensor | None) -> Tensor:
        """(runs, d_y)."""
        return self.A(y, batch) + self.C(x, batch, transposed=True) + self.a(y, batch)

    def dx(self, x: Tensor, y: Tensor, batch: Tensor | None) -> Tensor:
        """(runs, d_x)."""
        return self.B(x, batch) + self.C(y, batch) + self.b(x, batch)

    def sampler(self) -> Callable[[Draw], Tensor | None]:
        """Indices of a minibatch, (runs, size); None stands for the full batch, whose means are precomputed."""

        def sample(draw: Draw) -> Tensor | None:
            return None if draw.size is None or draw.size >= self.size else draw.minibatch(self.size)

        return sample


@dataclass(frozen=True)
class Quadratic(ProblemSpec):
    """A random quadratic of any size, or one from a file.

    The generated lower level has eigenvalues evenly spread over [1/κ, 1], ‖C̄‖ = coupling; the upper level is jointly
    strongly convex, so φ has one minimiser. Start: x = −2, y = 0 (or the file's).
    """

    name: ClassVar[str] = "quadratic"
    averaged: ClassVar[tuple[str, ...]] = ("hypergradient_norm",)

    exponent: int = hyper(2, "exponent of uniform convexity that methods are told", symbol="p", at_least=2)
    path: str = hyper("", "npz file with the arrays of quadratic.KEYS; empty generates a problem")
    dimension_x: int = hyper(10, "upper-level dimension", symbol="d_x", at_least=1)
    dimension_y: int = hyper(20, "lower-level dimension", symbol="d_y", at_least=1)
    size_lower: int = hyper(256, "data points of the lower level", symbol="n", at_least=1)
    size_upper: int = hyper(256, "data points of the upper level", symbol="m", at_least=1)
    condition: float = hyper(10.0, "condition number of the mean lower Hessian", symbol="κ", at_least=1)
    coupling: float = hyper(0.3, "norm of the mean of ∇²_xy g", at_least=0)
    rank: int = hyper(1, "rank of a sample's own part of each matrix; 0 makes matrices shared", symbol="r", at_least=0)
    spread: float = hyper(0.3, "norm of a sample's own part, relative to 1 = ‖Ā‖", at_least=0)
    linear_spread: float = hyper(1.0, "standard deviation of the entries of a_i and b_i", at_least=0)
    data_seed: int = hyper(0, "seed of the generated data", at_least=0)

    def build(self) -> Problem:
        if self.path:
            return from_arrays(_load(Path(self.path)), self.exponent)
        rng = np.random.Generator(np.random.Philox(self.data_seed))
        lower = self._level(rng, self.size_lower, low=1 / self.condition, coupling=self.coupling)
        upper = self._level(rng, self.size_upper, low=0.5, coupling=0.1)
        return _build(lower, upper, -2 * np.ones(self.dimension_x), np.zeros(self.dimension_y), self.exponent)

    def fingerprint(self) -> str | None:
        if not self.path:
            return None
        try:
            return hashlib.sha256(Path(self.path).read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(f"problem.path = {self.path!r} cannot be read: {error}") from error

    def _level(self, rng: np.random.Generator, n: int, low: float, coupling: float) -> Level:
        dx, dy = self.dimension_x, self.dimension_y

        def orthogonal(d: int) -> np.ndarray:
            q, r = np.linalg.qr(rng.standard_normal((d, d)))
            return q * np.sign(np.diag(r))

        def hessian(d: int, smallest: float) -> np.ndarray:
            q = orthogonal(d)
            return (q * np.linspace(1.0, smallest, d)) @ q.T

        def parts(d: int) -> np.ndarray:
            """Factors with E‖L_i L_iᵀ‖ about ``spread``."""
            return rng.standard_normal((n, d, self.rank)) * np.sqrt(self.spread / d)

        A, B = (LowRank.centred(hessian(d, s), *[parts(d)] * 2) for d, s in ((dy, low), (dx, 0.5)))
        cross = coupling * orthogonal(max(dx, dy))[:dx, :dy]
        C = LowRank.centred(cross, parts(dx), parts(dy))
        a, b = (Vectors(rng.standard_normal((n, d)) * self.linear_spread + rng.standard_normal(d)) for d in (dy, dx))
        return Level(A, B, C, a, b, n)


def from_arrays(arrays: Mapping[str, np.ndarray], exponent: int = 2) -> Problem:
    """The problem of given per-sample arrays, with keys g_… and f_… of :data:`KEYS` and optionally x0, y0.

    Args:
        arrays: by key.
        exponent: p ≥ 2, as of :class:`Quadratic`.

    Raises:
        InputError: missing keys, shapes that do not fit, values that are not finite, Hessians that are not symmetric,
            or a mean lower Hessian that is not positive definite.
    """
    levels = []
    for level in "gf":
        missing = [f"{level}_{key}" for key in KEYS if f"{level}_{key}" not in arrays]
        if missing:
            raise InputError(f"problem.path: the file lacks {', '.join(missing)}; it needs, for g and f, {KEYS}")
        parts = {key: np.asarray(arrays[f"{level}_{key}"], dtype=np.float64) for key in KEYS}
        _check_arrays(level, parts)
        n = len(parts["lin_y"])
        A, B, C = (Dense(parts[key]) for key in ("hess_y", "hess_x", "cross"))
        levels.append(Level(A, B, C, Vectors(parts["lin_y"]), Vectors(parts["lin_x"]), n))
    lower, upper = levels
    dx, dy = lower.C.mean.shape
    if upper.C.mean.shape != (dx, dy):
        raise InputError(f"problem.path: g has (d_x, d_y) = {(dx, dy)}, f has {upper.C.mean.shape}; they must agree")
    x0 = np.asarray(arrays["x0"] if "x0" in arrays else -2 * np.ones(dx), dtype=np.float64)
    y0 = np.asarray(arrays["y0"] if "y0" in arrays else np.zeros(dy), dtype=np.float64)
    return _build(lower, upper, x0, y0, exponent)


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except (OSError, ValueError) as error:
        raise InputError(f"problem.path = {str(path)!r} cannot be read as an npz file: {error}") from error


def _check_arrays(level: str, parts: dict[str, np.ndarray]) -> None:
    shape = parts["cross"].shape
    if len(shape) != 3 or not len(parts["cross"]):
        raise InputError(f"problem.path: {level}_cross must be {KEYS['cross']} with n ≥ 1, got {shape}")
    n, dx, dy = shape
    wanted = {"hess_y": (n, dy, dy), "hess_x": (n, dx, dx), "cross": shape, "lin_y": (n, dy), "lin_x": (n, dx)}
    for key, array in parts.items():
        if array.shape != wanted[key]:
            raise InputError(f"problem.path: {level}_{key} must be {KEYS[key]} = {wanted[key]}, got {array.shape}")
        if not np.isfinite(array).all():
            raise InputError(f"problem.path: {level}_{key} has entries that are not finite")
        if key.startswith("hess") and not np.allclose(array, array.swapaxes(1, 2)):
            raise InputError(f"problem.path: {level}_{key} must be symmetric in its last two axes")


def _build(lower: Level, upper: Level, x0: np.ndarray, y0: np.ndarray, exponent: int) -> Problem:
    A, a = lower.A.mean, lower.a.mean
    if float(torch.linalg.eigvalsh(A)[0]) <= 0:
        raise InputError("problem.path: the mean of g_hess_y is not positive definite, so y*(x) does not exist")
    # y*(x) = Yx + e,  ∇φ(x) = Kx + k,  φ(x) = ½xᵀKx + kᵀx + constant
    inverse = torch.linalg.inv(A)
    Y, e = -inverse @ lower.C.mean.T, -inverse @ a
    Fc_Y = upper.C.mean @ Y
    K = upper.B.mean + Fc_Y + Fc_Y.T + Y.T @ upper.A.mean @ Y
    k = upper.b.mean + upper.C.mean @ e + Y.T @ (upper.A.mean @ e + upper.a.mean)
    minimiser = torch.linalg.lstsq(K, -k[:, None], driver="gelsd").solution[:, 0]
    constant = 0.5 * e @ upper.A.mean @ e + upper.a.mean @ e
    at = Constants({"Y": Y.T, "e": e, "K": K, "k": k, "constant": constant, "minimiser": minimiser})

    def solution(x: Tensor) -> Tensor:
        return x @ at("Y", x) + at("e", x)

    def gradient(x: Tensor) -> Tensor:
        return x @ at("K", x) + at("k", x)

    def value(x: Tensor) -> Tensor:
        return 0.5 * (x * (gradient(x) + at("k", x))).sum(-1) + at("constant", x)

    def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        offset = x - at("minimiser", x)  # φ − φ* without cancellation near the minimiser
        return {
            "hypergradient_norm": torch.linalg.vector_norm(gradient(x), dim=-1),
            "value": value(x),
            "value_gap": 0.5 * (offset * (offset @ at("K", x))).sum(-1),
            "lower_error": torch.linalg.vector_norm(y - solution(x), dim=-1),
        }

    return Problem(
        upper=upper.loss,
        lower=lower.loss,
        exponent=exponent,
        sample_upper=upper.sampler(),
        sample_lower=lower.sampler(),
        size_upper=upper.size,
        size_lower=lower.size,
        metrics=metrics,
        averaged=Quadratic.averaged,
        derivatives={
            "grad_upper": lambda x, y, batch: (upper.dx(x, y, batch), upper.dy(x, y, batch)),
            "grad_upper_x": upper.dx,
            "grad_upper_y": upper.dy,
            "grad_lower": lower.dy,
            "grad_lower_x": lower.dx,
            "hvp": lambda x, y, v, batch: lower.A(v, batch),
            "jvp": lambda x, y, v, batch: lower.C(v, batch),
        },
        closed_form=ClosedForm(solution, value, gradient, minimiser=minimiser),
        start=(torch.from_numpy(x0), torch.from_numpy(y0)),
        batched=True,
        name="quadratic",
    )
