"""How regular another problem is: the largest changes over a distance, for what the paper says of y*, ∇φ and ĥ. Ours.

For a distance r, over many pairs x, x' with ‖x − x'‖ = r, |u_i| ≤ ``REGION`` for their middle, and over many y:

    solution_change     max ‖y*(x) − y*(x')‖                             Lemma 4.2
    gradient_change     max ‖∇φ(x) − ∇φ(x')‖                             Eq. (8)
    descent_remainder   max φ(x) − φ(x') − ⟨∇φ(x'), x − x'⟩              Eq. (9)
    estimator_bias      max ‖ĥ(x, y) − ∇φ(x)‖ with ‖y − y*(x)‖ = r       Lemma B.4, ĥ by Theorem 4.1 solved exactly
    generalised_least, generalised_most    singular values of d∇_y g/d[y]^{∘(p−1)} at these (x, y)     Lemma B.2
    hessian_least       the least singular value of ∇²_yy g there
    contraction         ‖I − J/‖J‖‖ of the generalised Hessian J, what a term of the Neumann sum leaves, at most

Half of the middles and of the x are uniform, the others within r of 0: near y* = 0 the changes are largest, and no grid
would find a region as small as r. Directions are uniform. ĥ and the singular values come of the problem's derivatives,
the others of its closed forms.

Nothing is to be optimised: the losses are the other problem's, the numbers do not depend on the iterates, and a run of
one iteration is enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from unibio.core.assumptions.measures import Measures
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import LazyMetrics, Problem, ProblemSpec
from unibio.core.reference import reference
from unibio.core.streams import Streams
from unibio.errors import InputError
from unibio.problems.example3 import Coordinatewise, Example3
from unibio.problems.hoelder import SHAPES, Hoelder

#: Middles of pairs have |x_i| up to this, beyond which φ of the Hölder problem is linear.
REGION = 3.0
#: δ of the exact solve, far below every distance.
FLOOR = 1e-9
OF = ("hoelder", "example3", "coordinatewise")


@dataclass(frozen=True)
class Regularity(ProblemSpec):
    """The largest changes of y*, ∇φ, φ and ĥ of another problem over a distance, which is what a grid varies."""

    name: ClassVar[str] = "regularity"

    of: str = hyper("hoelder", "the problem that is looked at", choices=OF)
    exponent: float = hyper(4.0, "its exponent of uniform convexity", symbol="p", at_least=2)
    shape: str = hyper("asymmetric", "of hoelder", choices=SHAPES)
    dimension: int = hyper(1, "coordinates of x and of y; 1 for example3", symbol="d", at_least=1)
    distance: PerRun = hyper(0.01, "distance of the pairs, and of y from y*(x)", symbol="r", above=0)
    pairs: int = hyper(4000, "pairs of points that are looked at", at_least=2)
    pair_seed: int = hyper(0, "seed of the pairs", at_least=0)

    def other(self) -> ProblemSpec:
        """The problem that is looked at, without noise.

        Raises:
            InputError: an exponent or a dimension that it cannot have.
        """
        if self.of == "hoelder":
            return Hoelder(exponent=self.exponent, shape=self.shape, dimension=self.dimension)
        if not float(self.exponent).is_integer():
            raise InputError(f"problem.exponent of {self.of} must be an even number, got {self.exponent:g}")
        if self.of == "example3":
            if self.dimension != 1:
                raise InputError(f"problem.dimension of example3 is 1, got {self.dimension}; take coordinatewise")
            return Example3(exponent=int(self.exponent))
        return Coordinatewise(exponent=int(self.exponent), dimension=self.dimension)

    def build(self) -> Problem:
        problem = self.other().build()
        distances = torch.as_tensor(self.distance, dtype=torch.float64).reshape(-1).tolist()
        measured = cache(lambda: _measured(problem, self, distances))

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            def of(name: str) -> Callable[[], Tensor]:
                return lambda: measured()[name].to(x.device, x.dtype).expand(len(x))

            return LazyMetrics(**{name: of(name) for name in NAMES})

        return dataclasses.replace(problem, metrics=metrics, averaged=(), name=self.name)


NAMES = (
    "solution_change",
    "gradient_change",
    "descent_remainder",
    "estimator_bias",
    "generalised_least",
    "generalised_most",
    "hessian_least",
    "contraction",
)


def _measured(problem: Problem, spec: Regularity, distances: list[float]) -> dict[str, Tensor]:
    """Every number for every distance: (distances,)."""
    rows = [_at(problem, spec, distance) for distance in distances]
    return {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in NAMES}


def _at(problem: Problem, spec: Regularity, r: float) -> dict[str, float]:
    """Every number for one distance."""
    known: Any = problem.closed_form
    random = np.random.Generator(np.random.Philox(spec.pair_seed))
    reach = np.where(np.arange(spec.pairs) % 2 == 0, REGION, min(r, REGION))
    middle = torch.from_numpy(random.uniform(-1, 1, (spec.pairs, spec.dimension)) * reach[:, None])
    step, off = (_directions(random, middle) * r for _ in range(2))
    first, second = middle + step / 2, middle - step / 2
    change = known.gradient(first) - known.gradient(second)
    remainder = known.value(first) - known.value(second) - (known.gradient(second) * step).sum(-1)

    measures, star = Measures(problem), known.solution(middle)
    y = star + off
    points = torch.cat([middle, y], dim=1)
    generalised = measures.generalised(points)
    least, most = measures.least_singular(generalised), measures.matrix_norm(generalised)
    unit = torch.eye(spec.dimension, dtype=torch.float64).flatten()
    estimate = reference(Oracle(problem, Streams([0] * spec.pairs)), middle, y, FLOOR).value
    return {
        "solution_change": _largest(known.solution(first) - known.solution(second)),
        "gradient_change": _largest(change),
        "descent_remainder": float(remainder.max()),
        "estimator_bias": _largest(estimate - known.gradient(middle)),
        "generalised_least": float(least.min()),
        "generalised_most": float(most.max()),
        "hessian_least": float(measures.least_singular(measures.hessian(points)).min()),
        "contraction": float(measures.matrix_norm(unit - generalised / most.max()).max()),
    }


def _directions(random: np.random.Generator, like: Tensor) -> Tensor:
    """Uniform unit vectors, (rows, d)."""
    normal = torch.from_numpy(random.standard_normal(tuple(like.shape)))
    return normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)


def _largest(vectors: Tensor) -> float:
    """The largest norm of rows; NaN where one is undefined."""
    return float(torch.linalg.vector_norm(vectors, dim=-1).max())
