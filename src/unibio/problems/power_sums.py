"""Weighted sums of p-th powers of residuals with an ℓ_q regulariser: derivatives on minibatches, and the minimiser."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.powers import abs_power, scale, signed_power
from unibio.problems.matrices import Constants

#: Newton's method: where it stops, where it trusts its steps, and its limits.
PRECISION, TRUSTED, ITERATIONS, HALVINGS = 1e-24, 1e-8, 200, 40


@dataclass(frozen=True)
class Points:
    """Data points: X (n, d), t (n,), or a minibatch per run, X (runs, b, d), t (runs, b)."""

    X: Tensor
    t: Tensor

    def along(self, v: Tensor) -> Tensor:
        """x_iᵀv: (runs, d) → (runs, b)."""
        if self.X.ndim == 2:
            return v @ self.X.T
        return torch.bmm(v[:, None, :], self.X.transpose(1, 2))[:, 0]  # three times faster than X times a column

    def squares(self, u: Tensor) -> Tensor:
        """Σ_i u_i x_i ∘ x_i: (runs, b) → (runs, d)."""
        squared = self.X * self.X
        return u @ squared if self.X.ndim == 2 else torch.bmm(u[:, None, :], squared)[:, 0]

    def back(self, u: Tensor) -> Tensor:
        """Σ_i u_i x_i: (runs, b) → (runs, d)."""
        return u @ self.X if self.X.ndim == 2 else torch.bmm(u[:, None, :], self.X)[:, 0]

    def residual(self, w: Tensor) -> Tensor:
        """x_iᵀw − t_i: (runs, d) → (runs, b)."""
        return self.along(w) - self.t


class Powers:
    """Means of weight_i |x_iᵀw − t_i|^p and their derivatives in w, over all i or over a minibatch per run.

    ``batch`` is (runs, b) indices, or None for all data points.

    Args:
        features, targets: (n, d), (n,).
        exponent: p.
    """

    def __init__(self, features: object, targets: object, exponent: int):
        self.exponent = exponent
        X = torch.as_tensor(features, dtype=torch.float64)
        self.dimension = X.shape[1]
        self._at = Constants({"X": X, "t": torch.as_tensor(targets, dtype=torch.float64)})

    def points(self, like: Tensor, batch: Tensor | None) -> Points:
        """The data points of a batch, on the device and in the dtype of ``like``."""
        X, t = self._at("X", like), self._at("t", like)
        if batch is None:
            return Points(X, t)
        return Points(X.index_select(0, batch.reshape(-1)).view(*batch.shape, self.dimension), t[batch])

    def loss(self, w: Tensor, batch: Tensor | None, weights: Tensor | float = 1.0) -> Tensor:
        """(runs,)."""
        return (weights * abs_power(self.points(w, batch).residual(w), self.exponent)).mean(-1)

    def gradient(self, w: Tensor, batch: Tensor | None, weights: Tensor | float = 1.0) -> Tensor:
        """(runs, d)."""
        points = self.points(w, batch)
        slope = weights * signed_power(points.residual(w), self.exponent - 1)
        return points.back(slope) * (self.exponent / slope.shape[-1])

    def curvature(self, residual: Tensor, weights: Tensor) -> Tensor:
        """Second derivatives along the x_i: (runs, b)."""
        return weights * scale(residual, self.exponent) * (self.exponent / residual.shape[-1])

    def hessian(self, w: Tensor, weights: Tensor) -> Tensor:
        """Of all data points: (runs, d, d)."""
        points = self.points(w, None)
        outer = (points.X[:, :, None] * points.X[:, None, :]).flatten(1)  # one matrix product then serves every run
        bent = self.curvature(points.residual(w), weights)
        return (bent @ outer).unflatten(-1, (self.dimension, self.dimension))


@dataclass(frozen=True)
class Weighted:
    """The lower level: weighted powers plus c‖w‖_q^q, and its derivatives. ``x`` is λ, ``batch`` as in Powers.

    Args:
        data: the powers, of exponent p.
        regulariser: c ≥ 0.
        exponent: q.
    """

    data: Powers
    regulariser: float
    exponent: int

    @property
    def bend(self) -> float:
        """q·c."""
        return self.exponent * self.regulariser

    def weights(self, x: Tensor, batch: Tensor | None) -> Tensor:
        """σ(λ_i): (runs, b), or (runs, n)."""
        return torch.sigmoid(x if batch is None else x.gather(1, batch))

    def spread(self, per_sample: Tensor, x: Tensor, batch: Tensor | None) -> Tensor:
        """The mean's derivative in λ from dg/dσ_i per sample: (runs, b) → (runs, n)."""
        s = self.weights(x, batch)
        value = s * (1 - s) * per_sample / per_sample.shape[-1]
        return value if batch is None else torch.zeros_like(x).scatter_add_(1, batch, value)

    def loss(self, x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
        """(runs,)."""
        regular = abs_power(w, self.exponent).sum(-1)
        return self.data.loss(w, batch, self.weights(x, batch)) + self.regulariser * regular

    def gradient(self, x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
        """g_w: (runs, d)."""
        regular = signed_power(w, self.exponent - 1)
        return self.data.gradient(w, batch, self.weights(x, batch)) + self.bend * regular

    def gradient_x(self, x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
        """g_λ: (runs, n)."""
        return self.spread(abs_power(self.data.points(w, batch).residual(w), self.data.exponent), x, batch)

    def hvp(self, x: Tensor, w: Tensor, v: Tensor, batch: Tensor | None) -> Tensor:
        """∇²_ww g · v: (runs, d)."""
        points = self.data.points(w, batch)
        bent = self.data.curvature(points.residual(w), self.weights(x, batch))
        return points.back(bent * points.along(v)) + self.bend * scale(w, self.exponent) * v

    def hessian_diagonal(self, x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
        """diag ∇²_ww g: (runs, d)."""
        points = self.data.points(w, batch)
        bent = self.data.curvature(points.residual(w), self.weights(x, batch))
        return points.squares(bent) + self.bend * scale(w, self.exponent)

    def jvp(self, x: Tensor, w: Tensor, v: Tensor, batch: Tensor | None) -> Tensor:
        """∇²_λw g · v: (runs, n)."""
        points = self.data.points(w, batch)
        slope = self.data.exponent * signed_power(points.residual(w), self.data.exponent - 1)
        return self.spread(slope * points.along(v), x, batch)

    def inverse(self, x: Tensor, w: Tensor, v: Tensor) -> Tensor:
        """(∇²_ww g)⁻¹ v: (runs, d), by a dense solve on all data points.

        A trace of the identity is added: weights so small that g vanishes in float64 must not end a run.
        """
        hessian = self.data.hessian(w, self.weights(x, None))
        diagonal = hessian.diagonal(dim1=-2, dim2=-1)
        diagonal += self.bend * scale(w, self.exponent)
        diagonal += 1e-15 * diagonal.mean(-1, keepdim=True) + 1e-30
        return torch.linalg.solve_ex(hessian, v)[0]

    def solve(self, x: Tensor, w: Tensor) -> Tensor:
        """w*(λ) by Newton's method with halved steps, from w or from 0, whichever has the smaller g: (runs, d).

        Rows stop when gᵀH⁻¹g, the squared error in the norm of the Hessian, is 10⁻²⁴ of g, or when no step helps.
        """
        value, origin = self.loss(x, w, None), self.loss(x, torch.zeros_like(w), None)
        w = torch.where((value < origin)[:, None], w, torch.zeros_like(w))
        value = torch.where(value < origin, value, origin)
        running = torch.isfinite(value)
        for _ in range(ITERATIONS):
            gradient = self.gradient(x, w, None)
            direction = self.inverse(x, w, gradient)
            decrease = (gradient * direction).sum(-1)
            running &= decrease > PRECISION * value
            if not bool(running.any()):
                break
            length = running.to(w.dtype)
            for _ in range(HALVINGS):
                new = self.loss(x, w - length[:, None] * direction, None)
                # Close to the solution differences of g are rounding errors, and Newton's steps are right.
                refused = (length > 0) & ~(new <= value - 1e-4 * length * decrease) & ~(decrease <= TRUSTED * value)
                if not bool(refused.any()):
                    break
                length = torch.where(refused, 0.5 * length, length)
            else:
                running &= ~refused
                length = torch.where(refused, torch.zeros_like(length), length)
            w = torch.where(running[:, None], w - length[:, None] * direction, w)
            value = torch.where(running, self.loss(x, w, None), value)
        return w
