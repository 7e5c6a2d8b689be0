"""What the assumptions speak of, as functions of rows of points: derivatives of the losses without noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from unibio.core.hypergradients import dense_hessian
from unibio.core.oracle import Oracle, Sample
from unibio.core.powers import away_from_zero, scale
from unibio.core.problem import Problem
from unibio.core.streams import Streams
from unibio.errors import InputError

#: d_y, and numbers of ∇²_xy g, up to which a problem is looked at: dense matrices are made of both.
MOST_LOWER, MOST_CROSSED = 256, 100_000
#: Numbers of a matrix-valued function that are made at once.
AT_ONCE = 4_000_000
#: |y_i| from which on generalised derivatives, which divide by D(y), are taken; nearer points count as this far.
NEAREST = 1e-11
#: Of Bregman distances along a segment.
NODES = 16
#: Part of the sizes that went into it below which a number is a rounding error.
ROUNDING = 1e-13

Function = Callable[[Tensor], Tensor]
WHOLE = Sample(None)


class Measures:
    """The derivatives that the assumptions are about. Points are rows (x | y), (rows, d_x + d_y).

    Args:
        problem: with a start, or the two dimensions cannot be known.

    Raises:
        InputError: the problem has no start, is too large, or cannot be evaluated without a sample.
    """

    def __init__(self, problem: Problem):
        if problem.start is None:
            raise InputError(
                f"problem {problem.name!r} has no start, and so no dimensions: give it one (start=(x0, y0))"
            )
        self.problem, self.p = problem, float(problem.exponent)
        x, y = (part.reshape(-1, part.shape[-1])[:1].double() for part in problem.start)
        self.d_x, self.d_y = x.shape[1], y.shape[1]
        if self.d_y > MOST_LOWER or self.d_x * self.d_y > MOST_CROSSED:
            raise InputError(
                f"problem {problem.name!r} is too large to check: d_y = {self.d_y:,} (at most {MOST_LOWER}), "
                f"d_x d_y = {self.d_x * self.d_y:,} (at most {MOST_CROSSED:,}); choose smaller sizes"
            )
        self.oracle = Oracle(problem, Streams([0]))
        self.start = torch.cat([x, y], dim=1)
        try:
            problem.prepare(x, y)
            self.oracle.grad_upper(x, y, WHOLE)
            self.oracle.grad_lower(x, y, WHOLE)
        except (TypeError, AttributeError, InputError) as error:
            why = error.__cause__ if isinstance(error, InputError) else error
            if not isinstance(why, (TypeError, AttributeError)):
                raise
            raise InputError(
                f"problem {problem.name!r} cannot be evaluated without a sample ({why}); its losses must give their "
                "means for the sample None"
            ) from None

    def split(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """x and y."""
        return points[:, : self.d_x], points[:, self.d_x :]

    def at(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, y off 0, and 1/D there."""
        x, y = self.split(points)
        if self.p > 2:
            y = away_from_zero(y, NEAREST)
        return x, y, 1 / scale(y, self.p)

    # Levels: of single samples where one is given, else of the means  -------------------------------------------------

    def upper_x(self, points: Tensor, sample: Sample = WHOLE, oracle: Oracle | None = None) -> Tensor:
        """∇_x f."""
        return (oracle or self.oracle).grad_upper(*self.split(points), sample)[0]

    def upper_z(self, points: Tensor, sample: Sample = WHOLE, oracle: Oracle | None = None) -> Tensor:
        """df/d[y]^{∘(p−1)} = D⁻¹∇_y f."""
        x, y, inverse = self.at(points)
        return inverse * (oracle or self.oracle).grad_upper(x, y, sample)[1]

    def lower_y(self, points: Tensor, sample: Sample = WHOLE, oracle: Oracle | None = None) -> Tensor:
        """∇_y g."""
        return (oracle or self.oracle).grad_lower(*self.split(points), sample)

    def crossed(self, points: Tensor, sample: Sample = WHOLE, oracle: Oracle | None = None) -> Tensor:
        """∇²_xy g, (rows, d_x · d_y)."""
        x, y = self.split(points)
        units = torch.eye(self.d_y, dtype=torch.float64)
        columns = [(oracle or self.oracle).jvp(x, y, unit.expand_as(y), sample) for unit in units]
        return torch.stack(columns, dim=-1).flatten(1)

    def generalised(self, points: Tensor, sample: Sample = WHOLE, oracle: Oracle | None = None) -> Tensor:
        """d∇_y g/d[y]^{∘(p−1)} = ∇²_yy g D⁻¹, (rows, d_y · d_y)."""
        x, y, inverse = self.at(points)
        return (dense_hessian(oracle or self.oracle, x, y, sample) * inverse[:, None, :]).flatten(1)

    def hessian(self, points: Tensor) -> Tensor:
        """∇²_yy g, (rows, d_y · d_y)."""
        return dense_hessian(self.oracle, *self.split(points), WHOLE).flatten(1)

    # Norms ------------------------------------------------------------------------------------------------------------

    def matrix_norm(self, matrices: Tensor) -> Tensor:
        """Spectral, of (rows, m · d_y): (rows,)."""
        return self._singular(matrices)[:, -1]

    def least_singular(self, matrices: Tensor) -> Tensor:
        """Of (rows, d_y · d_y): (rows,); 0 where it may well be 0, and where an entry is not finite."""
        values = self._singular(matrices)
        known = torch.isfinite(values).all(1) & (values[:, 0] > ROUNDING * self.d_y * values[:, -1])
        return torch.where(known, values[:, 0], 0.0)

    def _singular(self, matrices: Tensor) -> Tensor:
        """Singular values in ascending order, at most d_y: inf where an entry is not finite."""
        shaped = matrices.view(len(matrices), -1, self.d_y)
        finite = torch.isfinite(shaped).flatten(1).all(1)
        values = torch.linalg.svdvals(torch.where(finite[:, None, None], shaped, 0.0)).flip(-1)
        return torch.where(finite[:, None], values, torch.inf)

    # What is more than a derivative  ----------------------------------------------------------------------------------

    def modulus(self, triples: Tensor) -> Tensor:
        """p (g(y₂) − g(y₁) − ⟨∇_y g(y₁), y₂ − y₁⟩)/‖y₂ − y₁‖^p for rows (x | y₁ | y₂), (rows,).

        The numerator is ∫₀¹ (1 − t) ⟨∇²_yy g(y₁ + tΔ)Δ, Δ⟩ dt, by Gauss's quadrature: differences of values would be
        rounding errors wherever the points are near each other.
        """
        x, first, last = triples.split([self.d_x, self.d_y, self.d_y], dim=1)
        step = last - first
        length = torch.linalg.vector_norm(step, dim=1)
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        total, size = torch.zeros(2, len(x), dtype=torch.float64)
        unit = step / length[:, None]
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            product = self.oracle.hvp_at(x, first + node * step, WHOLE)(unit)
            total = total + weight * (1 - node) * (product * unit).sum(1)
            size = size + weight * (1 - node) * torch.linalg.vector_norm(product, dim=1)
        total = torch.where(total.abs() <= ROUNDING * self.d_y * size, 0.0, total)
        return torch.where(length > 0, self.p * total * length ** (2 - self.p), torch.inf)

    def flattest(self, points: Tensor) -> Tensor:
        """The eigenvector of ∇²_yy g of the least eigenvalue, (rows, d_y)."""
        matrices = self.hessian(points).view(-1, self.d_y, self.d_y)
        finite = torch.isfinite(matrices).flatten(1).all(1)
        return torch.linalg.eigh(torch.where(finite[:, None, None], matrices, 0.0)).eigenvectors[..., 0]

    def relaxed(self, points: Tensor) -> Tensor:
        """‖∇²_yy g‖/(1 + ‖∇_y g‖), (rows,)."""
        slope = torch.linalg.vector_norm(self.lower_y(points), dim=1)
        return self.matrix_norm(self.hessian(points)) / (1 + slope)


def in_parts(function: Function, size: int) -> Function:
    """A function of rows whose values have ``size`` numbers, so few rows at once that they fit into memory."""
    rows = max(1, AT_ONCE // size)

    def parted(points: Tensor) -> Tensor:
        return torch.cat([function(part) for part in points.split(rows)])

    return parted


def vector_norm(vectors: Tensor) -> Tensor:
    """Euclidean, of (rows, m): (rows,); inf where an entry is not finite."""
    return torch.where(torch.isfinite(vectors).all(1), torch.linalg.vector_norm(vectors, dim=1), torch.inf)
