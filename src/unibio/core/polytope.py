"""A polytope as a lower level's feasible set: its inequalities beside the projection onto it.

``Problem.project_lower`` is any function; one that is a :class:`Polytope` also says which constraints there are, which
is what the KKT matrix (:mod:`unibio.core.kkt`) is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.errors import InputError


@dataclass(frozen=True)
class Polytope:
    """{y: C y ≤ b}, not depending on x; called, it projects.

    Attributes:
        matrix: C, (constraints, d).
        bound: b, (constraints,).
        projection: Euclidean projection, (runs, d) -> (runs, d).

    Raises:
        InputError: C and b that do not fit together.
    """

    matrix: Tensor
    bound: Tensor
    projection: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.bound.shape != self.matrix.shape[:1]:
            raise InputError(
                f"a polytope {{y: C y ≤ b}} needs C of (constraints, d) and b of (constraints,), got "
                f"{tuple(self.matrix.shape)} and {tuple(self.bound.shape)}"
            )

    def __call__(self, y: Tensor) -> Tensor:
        return self.projection(y)

    def slack(self, y: Tensor) -> Tensor:
        """b − C y, (runs, constraints): 0 where a constraint is active, negative where it is violated."""
        return self.bound.to(y) - y @ self.matrix.to(y).T

    def active(self, y: Tensor, tolerance: float) -> Tensor:
        """Where a constraint is active, bool (runs, constraints).

        Args:
            y: (runs, d).
            tolerance: slack that counts as none, beside 1 + |b|.
        """
        return self.slack(y) <= tolerance * (1 + torch.abs(self.bound.to(y)))
