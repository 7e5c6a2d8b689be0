"""A measurement in the form of an algorithm: what estimates of v make of so many Hessian–vector products. Ours.

∇φ = f_x − ∇²_xy g · v with ∇²_yy g · v = f_y, and an estimator is as good as its v. Here estimators run, unchanged, on
the problem whose f_x is 0 and whose ∇²_xy g is −I: what they return for a hypergradient is v. The study ``estimators``
reads the numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from unibio.core.algorithm import Algorithm, Diagnosis, State
from unibio.core.hypergradients import DEFAULT_FLOOR, conjugate_gradient, generalised_neumann, neumann
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.pcg import PROBES, preconditioned_conjugate_gradient
from unibio.core.powers import away_from_zero
from unibio.core.problem import Problem
from unibio.core.reference import reference
from unibio.core.streams import Streams
from unibio.core.trouble import Trouble

#: A residual that no solve reaches, so that products alone end it.
_NEVER = 1e-15


@dataclass(frozen=True)
class LinearSystem(Algorithm):
    """The error of v against Hessian–vector products, at a point on the way to y*(x): a measurement, no method.

        x = x_0 + s n,  n standard normal
        A times:  y ← y − ρ g_y(x, y)  on all data, without noise
        at (x, ỹ),  ỹ = sign(y) max(|y|, δ):  v by one estimator with at most b = 1, 2, 4, … products, many times over

    Every run is a point, and nothing happens after the start. Of a run there are

        convex      whether ∇²_yy g is positive definite at the point, 1 or 0; and for every b
        error_b     √E‖v̂ − v‖²/‖v‖, over ``draws`` estimates that share nothing but the point
        excess_b    ⟨E v̂ − v, v⟩/‖v‖², by how much v̂ is too long along v on average: its bias

    v solves the system of all data, without noise, by its eigenvalues where they are not all positive. f_y is that of
    all data as well, so that what is measured is the work of the products alone. An estimate that b products are too
    few for, those for a preconditioner among them, is 0 and has the error 1.

    ``cg`` is conjugate gradient on the system as it is, ``cg_scaled`` with the paper's D as preconditioner, ``pcg``
    with the Hessian's own diagonal, for which it pays one product where the problem declares it and ten where not.
    """

    name: ClassVar[str] = "linear_system"
    no_update: ClassVar[Mapping[str, str]] = {
        "upper": "it measures at a point and takes no step",
        "lower": "its steps lead to the point that it measures at; lower_only takes one",
    }

    estimator: str = hyper(
        "generalised",
        "the Neumann sum of Theorem 4.1 or the classical one; conjugate gradient plain, with D, or with the diagonal",
        choices=("generalised", "classical", "cg", "cg_scaled", "pcg"),
    )
    neumann_step: PerRun = hyper(1.0, "step of the sums", symbol="c", above=0)
    most_products: int = hyper(64, "the largest b", at_least=1)
    draws: int = hyper(1, "estimates at a point; 1 is enough without noise", at_least=1)
    spread: float = hyper(1.0, "standard deviation of x about the start", symbol="s", at_least=0)
    lower_step: PerRun = hyper(0.1, "lower step on the way to the point", symbol="ρ", above=0)
    lower_iterations: int = hyper(100, "lower steps on the way to the point", symbol="A", at_least=0)
    floor: float = hyper(DEFAULT_FLOOR, "distance from 0 below which y_i is moved", symbol="δ", above=0)
    batch_size: int | None = hyper(None, "minibatch size for finite sums; null means the full batch", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        x = x + self.spread * oracle.draw("point").normal(x.shape[-1])
        exact = Oracle(_exact(oracle.problem), oracle.streams)
        for _ in range(self.lower_iterations):
            y = oracle.project_lower(y - self.lower_step * exact.grad_lower(x, y))
        return {"x": oracle.project_upper(x), "y": y}

    def step(self, oracle: Oracle, state: State) -> State:
        return state

    def diagnose(self, oracle: Oracle, state: State) -> Diagnosis:
        """The numbers of every point, (runs,) each."""
        x, y = state["x"], away_from_zero(state["y"], self.floor)
        system = _system(oracle.problem, oracle.streams, x, y)
        exact = Oracle(_exact(system), oracle.streams)
        solved = reference(exact, x, y, self.floor)
        v = solved.inverse(exact.grad_upper_y(x, y))
        if self.estimator in ("cg", "cg_scaled"):  # D is taken where a problem says that its Hessian vanishes with it
            system = dataclasses.replace(system, vanishing_hessian=self.estimator == "cg_scaled")
        size = torch.linalg.vector_norm(v, dim=-1)
        found: dict[str, Tensor] = {"convex": (solved.trouble == Trouble.NONE).to(v.dtype)}
        for products in self.budgets():
            estimating = Oracle(system, oracle.streams, self.batch_size)
            total, squares = torch.zeros_like(v), torch.zeros_like(size)
            for _ in range(self.draws):
                off = self.estimate(estimating, x, y, products) - v
                total, squares = total + off, squares + (off * off).sum(-1)
            found[f"error_{products}"] = (squares / self.draws).sqrt() / size
            found[f"excess_{products}"] = (total * v).sum(-1) / self.draws / size**2
        return Diagnosis(found)

    def budgets(self) -> list[int]:
        """1, 2, 4, … up to ``most_products``."""
        return [1 << k for k in range(self.most_products.bit_length())]

    def estimate(self, oracle: Oracle, x: Tensor, y: Tensor, products: int) -> Tensor:
        """v̂ with at most so many products: (runs, d_y)."""
        if self.estimator in ("generalised", "classical"):
            terms: dict[str, Any] = {"terms": products + 1, "step": self.neumann_step}
            if self.estimator == "classical":
                return neumann(oracle, x, y, **terms)
            return generalised_neumann(oracle, x, y, **terms, floor=self.floor)
        solve: Callable[..., Tensor] = conjugate_gradient
        if self.estimator == "pcg":
            solve = preconditioned_conjugate_gradient
            products -= 1 if "hessian_diagonal" in oracle.problem.derivatives else PROBES
            if products < 1:
                return torch.zeros_like(y)
        return solve(oracle, x, y, tolerance=_NEVER, max_iterations=products, floor=self.floor, unsolved="keep")


def _exact(problem: Problem) -> Problem:
    """The problem without noise; of a finite sum, which is exact on all its data, the problem itself."""
    if problem.size_lower is not None:
        return problem
    return dataclasses.replace(problem, sample_upper=None, sample_lower=None)


def _system(problem: Problem, streams: Streams, x: Tensor, y: Tensor) -> Problem:
    """The problem whose hypergradient is v at (x, y), with the noise of the lower level."""
    slope = Oracle(_exact(problem), streams).grad_upper_y(x, y)
    nothing = torch.zeros_like(slope)
    kept = {name: own for name, own in problem.derivatives.items() if name in ("grad_lower", "hvp", "hessian_diagonal")}

    def grad_upper(x: Tensor, y: Tensor, sample: Any) -> tuple[Tensor, Tensor]:
        return nothing, slope

    def jvp(x: Tensor, y: Tensor, v: Tensor, sample: Any) -> Tensor:
        return -v

    derivatives: dict[str, Callable[..., Any]] = {**kept, "grad_upper": grad_upper, "jvp": jvp}
    return dataclasses.replace(problem, derivatives=derivatives, weighted=None, separable=None)
