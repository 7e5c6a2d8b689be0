"""Weighted sums of p-th powers of residuals with an ℓ_p regulariser: derivatives on minibatches, and the minimiser."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.powers import abs_power, scale, signed_power
from unibio.problems.matrices import Constants

#: Newton's method: where it stops, where it trusts its steps, and its limits.
PRECISION, TRUSTED, ITERATIONS, HALVINGS = 1e-24, 1e-8, 200, 40


class Powers:
    """Σ_i of weight_i |x_iᵀw − t_i|^p / (number of i), and its derivatives in w; all i, or a minibatch per row.

    Args:
        features, targets: (n, d), (n,).
        exponent: p.
    """

    def __init__(self, features: object, targets: object, exponent: int):
        self.exponent = exponent
        X = torch.as_tensor(features, dtype=torch.float64)
        self.dimension = X.shape[1]
        self._at = Constants({"X": X, "t": torch.as_tensor(targets, dtype=torch.float64)})

    def residual(self, w: Tensor, batch: Tensor | None) -> Tensor:
        """x_iᵀw − t_i: (runs, b)."""
        return self.along(w, batch) - (self._at("t", w) if batch is None else self._at("t", w)[batch])

    def along(self, v: Tensor, batch: Tensor | None) -> Tensor:
        """x_iᵀv: (runs, d) → (runs, b)."""
        X = self._at("X", v)
        return v @ X.T if batch is None else torch.bmm(X[batch], v[..., None])[..., 0]

    def back(self, u: Tensor, batch: Tensor | None) -> Tensor:
        """Σ_i u_i x_i: (runs, b) → (runs, d)."""
        X = self._at("X", u)
        return u @ X if batch is None else torch.bmm(u[:, None, :], X[batch])[:, 0]

    def loss(self, w: Tensor, batch: Tensor | None, weights: Tensor | float = 1.0) -> Tensor:
        """(runs,)."""
        return (weights * abs_power(self.residual(w, batch), self.exponent)).mean(-1)

    def gradient(self, w: Tensor, batch: Tensor | None, weights: Tensor | float = 1.0) -> Tensor:
        """(runs, d)."""
        slope = weights * signed_power(self.residual(w, batch), self.exponent - 1)
        return self.back(slope, batch) * (self.exponent / slope.shape[-1])

    def curvature(self, w: Tensor, batch: Tensor | None, weights: Tensor) -> Tensor:
        """Second derivatives along the x_i: (runs, b)."""
        bent = weights * scale(self.residual(w, batch), self.exponent)
        return bent * (self.exponent / bent.shape[-1])

    def hessian(self, w: Tensor, weights: Tensor) -> Tensor:
        """All data points: (runs, d, d)."""
        X = self._at("X", w)
        outer = (X[:, :, None] * X[:, None, :]).flatten(1)  # one matrix product then serves every row
        return (self.curvature(w, None, weights) @ outer).unflatten(-1, (self.dimension, self.dimension))


@dataclass(frozen=True)
class Weighted:
    """The lower level: weighted powers plus c‖w‖_p^p, and its derivatives. ``x`` is λ, ``batch`` as in Powers."""

    data: Powers
    regulariser: float

    @property
    def bend(self) -> float:
        """p·c."""
        return self.data.exponent * self.regulariser

    def weights(self, x: Tensor, batch: Tensor | None) -> Tensor:
        """σ(λ_i): (runs, b)."""
        return torch.sigmoid(x if batch is None else x.gather(1, batch))

    def spread(self, per_sample: Tensor, x: Tensor, batch: Tensor | None) -> Tensor:
        """The mean's derivative in λ from dg/dσ_i per sample: (runs, b) → (runs, n)."""
        s = self.weights(x, batch)
        value = s * (1 - s) * per_sample / per_sample.shape[-1]
        return value if batch is None else torch.zeros_like(x).scatter_add_(1, batch, value)

    def loss(self, x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
        """(runs,)."""
        regular = abs_power(w, self.data.exponent).sum(-1)
        return self.data.loss(w, batch, self.weights(x, batch)) + self.regulariser * regular

    def gradient(self, x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
        """g_w: (runs, d)."""
        regular = signed_power(w, self.data.exponent - 1)
        return self.data.gradient(w, batch, self.weights(x, batch)) + self.bend * regular

    def gradient_x(self, x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
        """g_λ: (runs, n)."""
        return self.spread(abs_power(self.data.residual(w, batch), self.data.exponent), x, batch)

    def hvp(self, x: Tensor, w: Tensor, v: Tensor, batch: Tensor | None) -> Tensor:
        """∇²_ww g · v: (runs, d)."""
        bent = self.data.curvature(w, batch, self.weights(x, batch))
        return self.data.back(bent * self.data.along(v, batch), batch) + self.bend * scale(w, self.data.exponent) * v

    def jvp(self, x: Tensor, w: Tensor, v: Tensor, batch: Tensor | None) -> Tensor:
        """∇²_λw g · v: (runs, n)."""
        slope = self.data.exponent * signed_power(self.data.residual(w, batch), self.data.exponent - 1)
        return self.spread(slope * self.data.along(v, batch), x, batch)

    def inverse(self, x: Tensor, w: Tensor, v: Tensor) -> Tensor:
        """(∇²_ww g)⁻¹ v: (runs, d), by a dense solve on all data points.

        A trace of the identity is added: weights so small that g vanishes in float64 must not end a run.
        """
        hessian = self.data.hessian(w, self.weights(x, None))
        diagonal = hessian.diagonal(dim1=-2, dim2=-1)
        diagonal += self.bend * scale(w, self.data.exponent)
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
