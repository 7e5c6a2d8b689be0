"""The hypergradient by a dense solve that knows what it is worth: the measure of estimates, and a metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.hypergradients import DEFAULT_FLOOR, dense_hessian, precondition, ratio, symmetriser
from unibio.core.oracle import Oracle
from unibio.core.trouble import Trouble

#: Condition number times unit rounding beyond which a row is too badly conditioned: the solution's relative error is
#: about that large.
WORST = 2e-3
#: Units of rounding up to which a component counts as 0.
_ZERO = 1e3
#: Units of rounding of the largest eigenvalue up to which the least one may well be 0.
_SINGULAR = 10.0


@dataclass(frozen=True)
class Reference:
    """The solution of (★) at a point, row by row.

    Attributes:
        value: the hypergradient (runs, d_x); NaN in rows with trouble.
        f_x: (runs, d_x); the other of the value's two terms is their difference.
        trouble: codes of :class:`Trouble`, (runs,) int8.
        residual: of (★), symmetrised where the Hessian vanishes with D, relative to its right-hand side, (runs,).
        hessian: ∇²_yy g in float64, (runs, d_y, d_y).
        inverse: rows b ↦ (∇²_yy g)⁻¹ b, (runs, d_y), of the least norm where the matrix is singular.
    """

    value: Tensor
    f_x: Tensor
    trouble: Tensor
    residual: Tensor
    hessian: Tensor
    inverse: Callable[[Tensor], Tensor]


def reference(oracle: Oracle, x: Tensor, y: Tensor, floor: float = DEFAULT_FLOOR) -> Reference:
    """Solve (★) on one sample by d_y HVPs, one upper gradient and one JVP; three JVPs where a Hessian is singular.

    The Hessian must be positive definite. A singular one is accepted where its null space matters to nobody: f_y has no
    part in it and ∇²_xy g maps it to 0 (coordinates of y that do not occur, for instance).

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y).
        floor: δ > 0, for problems whose Hessian vanishes with D.
    """
    at = precondition(oracle, y, floor)
    f_x, f_y = oracle.grad_upper(x, at.y)
    sample = oracle.sample_lower()
    hessian = dense_hessian(oracle, x, at.y, sample).double()
    root = symmetriser(oracle, at).double()
    eps = torch.finfo(y.dtype).eps
    scaled = oracle.problem.vanishing_hessian
    matrix = root[..., None] * hessian * root[:, None, :] if scaled else hessian
    factors = Factors.of(matrix, eps)
    rhs = root * f_y.double()
    trouble = torch.where(torch.isfinite(rhs).all(-1), factors.trouble, int(Trouble.NOT_FINITE)).to(torch.int8)

    def pushed(u: Tensor) -> Tensor:
        return oracle.jvp(x, at.y, (root * u).to(y.dtype), sample)

    singular = (trouble == Trouble.SINGULAR) | (trouble == Trouble.ILL_CONDITIONED)
    if bool(singular.any()):
        # A vector of the null space drawn at random sees whatever ∇²_xy g does not map to 0.
        drawn = oracle.draw("null space").normal(y.shape[-1]).double()
        null = factors.null_part(drawn)
        unseen = _norm(pushed(null)) <= _ZERO * eps * _norm(pushed(drawn))
        consistent = _norm(factors.null_part(rhs)) <= _ZERO * eps * _norm(rhs)
        trouble = torch.where(singular & unseen & consistent, int(Trouble.NONE), trouble).to(torch.int8)
    solution = factors.solve(rhs)
    value = f_x - pushed(solution)
    solved = (trouble == Trouble.NONE) & torch.isfinite(value).all(-1)
    trouble = torch.where(~solved & (trouble == Trouble.NONE), int(Trouble.NOT_FINITE), trouble).to(torch.int8)
    return Reference(
        value=torch.where(solved[:, None], value, torch.nan),
        f_x=f_x,
        trouble=trouble,
        residual=ratio(rhs - (matrix @ solution[..., None])[..., 0], rhs).to(y.dtype),
        hessian=hessian,
        inverse=lambda b: (root * factors.solve(root * b.double())).to(y.dtype),
    )


@dataclass(frozen=True)
class Factors:
    """Factors of a batch of symmetric matrices: Cholesky's, and eigenvalues of those that it does not settle.

    Attributes:
        lower: Cholesky factors, (runs, d, d); the unit matrix for the others.
        rest: bool (runs,), the others.
        values, vectors: their eigenvalues (k, d), 0 where they cannot be told from 0, and eigenvectors (k, d, d).
        trouble: codes of :class:`Trouble`, (runs,) int8.
    """

    lower: Tensor
    rest: Tensor
    values: Tensor
    vectors: Tensor
    trouble: Tensor

    @staticmethod
    def of(matrices: Tensor, eps: float) -> Factors:
        """Factor matrices (runs, d, d) in float64 whose entries are known to a relative ``eps``."""
        finite = torch.isfinite(matrices.sum((-2, -1)))  # a sum that overflows is of a matrix beyond use, too
        unit = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
        safe = matrices if bool(finite.all()) else torch.where(finite[:, None, None], matrices, unit)
        lower, info = torch.linalg.cholesky_ex(safe)  # this and eigh read the lower triangle alone
        # tr A · tr A⁻¹ is between the condition number and d² times that: enough for most, exact for nobody.
        bound = _trace(safe) * torch.linalg.solve_triangular(lower, unit, upper=False).square().sum((-2, -1))
        rest = finite & ~((info == 0) & (bound * eps < WORST))
        if bool((finite & ~rest).all()):  # as a rule Cholesky's factors settle everything
            none = safe.new_zeros((0, safe.shape[-1]))
            trouble = torch.full_like(rest, int(Trouble.NONE), dtype=torch.int8)
            return Factors(lower, rest, none, none[..., None] * none[:, None, :], trouble)
        values, vectors = torch.linalg.eigh(safe[rest])
        size = values.abs().amax(-1, keepdim=True)
        small = values.abs() <= size * eps / WORST
        least = values.abs().amin(-1, keepdim=True)
        named = torch.where(least > _SINGULAR * size * eps, int(Trouble.ILL_CONDITIONED), int(Trouble.SINGULAR))
        of_rest = torch.where(small.any(-1), named[:, 0], int(Trouble.NONE))
        of_rest = torch.where((values < -size * eps / WORST).any(-1), int(Trouble.NOT_CONVEX), of_rest)
        trouble = torch.where(finite, int(Trouble.NONE), int(Trouble.NOT_FINITE))
        trouble[rest] = of_rest
        lower[rest] = unit
        return Factors(lower, rest, torch.where(small, 0.0, values), vectors, trouble.to(torch.int8))

    def solve(self, rhs: Tensor) -> Tensor:
        """A⁺ b, (runs, d)."""
        solution = torch.cholesky_solve(rhs[..., None], self.lower)[..., 0]
        if len(self.values):
            along = self._components(rhs) / self.values
            along = torch.where(self.values == 0, 0.0, along)
            solution[self.rest] = (self.vectors @ along[..., None])[..., 0]
        return solution

    def null_part(self, rhs: Tensor) -> Tensor:
        """The part of every row in its matrix's null space, (runs, d)."""
        part = torch.zeros_like(rhs)
        if len(self.values):
            along = torch.where(self.values == 0, self._components(rhs), 0.0)
            part[self.rest] = (self.vectors @ along[..., None])[..., 0]
        return part

    def _components(self, rhs: Tensor) -> Tensor:
        return (self.vectors.mT @ rhs[self.rest][..., None])[..., 0]


def _norm(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows, dim=-1)


def _trace(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=-2, dim2=-1).sum(-1)
