"""The attack on a power grid, small enough that the worst attack can be found by looking everywhere.

After the slides' motivating example (Kim et al., 2016): an attacker raises the impedance of some lines, within a limit
on the power of the attack; the operator sheds load, as little as possible, so that no line is overloaded. A generator
feeds three loads over three feeders, two lines join the loads, and flows follow from a linear (DC) model:

    susceptance of line l    b_l(x) = b_l/(1 + reach·x_l),   x_l = 0 off the feeders,   0 ≤ x ≤ 1,  Σ x_l ≤ limit
    flows                    F = diag(b(x)) A (AᵀDiag(b(x))A)⁻¹ (s − d),    with s the load that is shed, 0 ≤ s ≤ d
    operator                 g(x, s) = ½‖s‖² + ½ρ Σ_l v_l²,     v_l = max(|F_l| − c_l, 0)
    attacker                 f(x, s) = −Σ_i s_i + ½ cost ‖x‖²

With the overloads v as variables, v_l ≥ |F_l| − c_l, the operator's problem is a convex quadratic program; its one
solution s*(x) is followed to the last digits by accelerated projected gradient steps. Every attack is compared with the
best on a grid of attacks, refined around its best points: with three numbers to choose that is the global answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec
from unibio.problems.matrices import Constants
from unibio.problems.randomness import normal_start

#: Lines by the buses that they join; bus 0 has the generator, the first three lines are the feeders.
LINES = ((0, 1), (0, 2), (0, 3), (1, 2), (2, 3))
FEEDERS, LOADS = 3, 3
#: Susceptances, capacities and loads.
SUSCEPTANCE = (1.0, 1.2, 0.9, 0.8, 0.7)
CAPACITY = (1.1, 1.2, 1.1, 0.35, 0.35)
LOAD = (0.9, 1.1, 0.9)
#: Accelerated steps that solve the operator's problem, whose condition number is at most a hundred.
STEPS = 250
#: Points of the grid of attacks along an axis, and how often it is drawn around the best of them at a third the size.
GRID, ZOOMS = 13, 6


@dataclass(frozen=True)
class PowerAttack(ProblemSpec):
    """d_x = 3 feeders, d_y = 3 loads, with projections of both levels.

    Start: x the projection of normal numbers of size ``start_scale``, made positive, of every ``start_seed``; s = 0.
    Metrics: ``value_gap`` φ(x) − min φ, ``upper_gap`` f(x, s) − min φ, ``lower_gap`` g − g*, ``severity`` Σ s*_i(x).
    """

    name: ClassVar[str] = "power_attack"

    limit: float = hyper(1.0, "power of the attack: Σ x_l at most", above=0)
    reach: float = hyper(6.0, "how much a whole attack raises a line's impedance, as a multiple of it", above=0)
    overload: float = hyper(10.0, "weight of overloads against shed load", symbol="ρ", above=0)
    cost: float = hyper(0.02, "cost of the attack", at_least=0)
    start_seed: PerRun = hyper(0, "seed of the start", at_least=0)
    start_scale: float = hyper(0.5, "size of the start", at_least=0)

    def solve(self) -> tuple[float, Tensor]:
        """min φ and the (3,) worst attack, by grids that are drawn ever closer around the best point."""
        return _solve(self.limit, self.reach, self.overload, self.cost)

    def build(self) -> Problem:
        grid, best = _Grid(self.limit, self.reach, self.overload, self.cost), self.solve()[0]

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            x, y = x.double(), y.double()
            return LazyMetrics(
                value_gap=lambda: grid.value(x) - best,
                upper_gap=lambda: grid.upper(x, y) - best,
                lower_gap=lambda: grid.lower(x, y) - grid.lower(x, grid.solution(x)),
                severity=lambda: grid.solution(x).sum(-1),
            )

        begun = normal_start(self.start_seed, FEEDERS, self.start_scale).abs()
        x0 = grid.attack(begun.reshape(-1, FEEDERS)).reshape(begun.shape)
        return Problem(
            upper=grid.upper,
            lower=grid.lower,
            project_upper=grid.attack,
            project_lower=grid.shed,
            metrics=metrics,
            derivatives={
                "grad_upper": lambda x, y, sample: (self.cost * x, -torch.ones_like(y)),
                "grad_lower": lambda x, y, sample: grid.slope(x, y, grid.kept_response(x)),
                "grad_lower_x": lambda x, y, sample: grid.slope_x(x, y, grid.kept_response(x)),
                "hvp": lambda x, y, v, sample: grid.bend(y, v, grid.kept_response(x)),
                "jvp": lambda x, y, v, sample: grid.bend_x(x, y, v, grid.kept_response(x)),
            },
            closed_form=ClosedForm(grid.solution, grid.value),
            start=(x0, torch.zeros(*x0.shape[:-1], LOADS, dtype=torch.float64)),
            batched=True,
            name=self.name,
        )


class _Grid:
    """The network: flows, the operator's problem and its solution. Rows are attacks and loads shed, (runs, 3) each."""

    def __init__(self, limit: float, reach: float, overload: float, cost: float):
        self.limit, self.reach, self.overload, self.cost = limit, reach, overload, cost
        joins = np.zeros((len(LINES), 1 + LOADS))
        for line, (first, second) in enumerate(LINES):
            joins[line, first], joins[line, second] = 1.0, -1.0
        made = {"A": joins[:, 1:], "b": SUSCEPTANCE, "c": CAPACITY, "d": LOAD}  # the generator's angle is 0
        self.data = Constants({key: torch.tensor(np.asarray(a), dtype=torch.float64) for key, a in made.items()})
        self._known: tuple[Tensor, int, Tensor] | None = None

    def kept_response(self, x: Tensor) -> Tensor:
        """The response, kept for the attack that was asked for last: lower steps ask for one attack many times."""
        if self._known is None or self._known[0] is not x or self._known[1] != x._version:
            self._known = x, x._version, self.response(x)
        return self._known[2]

    def response(self, x: Tensor) -> Tensor:
        """∂F/∂s: (runs, lines, loads)."""
        A = self.data("A", x)
        raised = torch.cat([x, x.new_zeros(len(x), len(LINES) - FEEDERS)], dim=-1)
        b = self.data("b", x) / (1 + self.reach * raised)
        return b[:, :, None] * torch.linalg.solve(A.T @ (b[:, :, None] * A), A.T.expand(len(x), -1, -1)).mT

    def flows(self, x: Tensor, y: Tensor) -> Tensor:
        return self.flows_from(y, self.response(x))

    def excess(self, flows: Tensor) -> Tensor:
        """By how much flows exceed the capacities, with their sign."""
        return flows.sign() * (flows.abs() - self.data("c", flows)).clamp(min=0.0)

    def upper(self, x: Tensor, y: Tensor) -> Tensor:
        return -y.sum(-1) + 0.5 * self.cost * (x * x).sum(-1)

    def lower(self, x: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (y * y).sum(-1) + 0.5 * self.overload * (self.excess(self.flows(x, y)) ** 2).sum(-1)

    def slope(self, x: Tensor, y: Tensor, response: Tensor) -> Tensor:
        """∇_s g, with the response R to x; here and below R q are the flows that injections q cause."""
        return y + self.overload * back(response, self.excess(self.flows_from(y, response)))

    def slope_x(self, x: Tensor, y: Tensor, response: Tensor) -> Tensor:
        """∇_x g, from ∂F/∂x_k = −reach/(1 + reach·x_k) F_k (e_k − R a_k), with a_k the k-th row of A."""
        flows = self.flows_from(y, response)
        return self.overload * self.rerouted(x, flows, self.excess(flows), response)

    def bend(self, y: Tensor, v: Tensor, response: Tensor) -> Tensor:
        """∇²_ss g · v, where no line is at its capacity."""
        return v + self.overload * back(response, self.overloaded(y, response) * forth(response, v))

    def bend_x(self, x: Tensor, y: Tensor, v: Tensor, response: Tensor) -> Tensor:
        """∇²_xs g · v, likewise: the excess and the response both change with x."""
        flows, along = self.flows_from(y, response), forth(response, v)
        changed = self.rerouted(x, flows, self.overloaded(y, response) * along, response)
        return self.overload * (changed + self.rerouted(x, along, self.excess(flows), response))

    def flows_from(self, y: Tensor, response: Tensor) -> Tensor:
        return forth(response, y - self.data("d", y))

    def overloaded(self, y: Tensor, response: Tensor) -> Tensor:
        return self.flows_from(y, response).abs() > self.data("c", y)

    def rerouted(self, x: Tensor, flows: Tensor, weights: Tensor, response: Tensor) -> Tensor:
        """Σ_l weights_l ∂F_l/∂x_k, where F = R q are such flows: (runs, 3)."""
        kept = (weights - back(response, weights) @ self.data("A", x).T)[:, :FEEDERS]
        return -self.reach / (1 + self.reach * x) * flows[:, :FEEDERS] * kept

    def shed(self, y: Tensor) -> Tensor:
        """The projection onto 0 ≤ s ≤ d."""
        return torch.minimum(y.clamp(min=0.0), self.data("d", y))

    def attack(self, x: Tensor) -> Tensor:
        """The projection onto 0 ≤ x ≤ 1, Σ x ≤ limit: x − t cut off, with the least t ≥ 0 that keeps the limit."""
        low, high = torch.zeros_like(x[:, :1]), x.amax(dim=-1, keepdim=True).clamp(min=0.0)
        within = x.clamp(0.0, 1.0).sum(-1, keepdim=True) <= self.limit
        for _ in range(60):
            middle = (low + high) / 2
            over = (x - middle).clamp(0.0, 1.0).sum(-1, keepdim=True) > self.limit
            low, high = torch.where(over, middle, low), torch.where(over, high, middle)
        return torch.where(within, x, x - high).clamp(0.0, 1.0)

    def solution(self, x: Tensor) -> Tensor:
        """s*(x)."""
        x = x.detach()
        response = self.response(x)
        step = 1 / (1 + self.overload * torch.linalg.matrix_norm(response, ord=2) ** 2)[:, None]
        root = step.sqrt()  # the modulus is 1
        momentum = (1 - root) / (1 + root)
        y = ahead = torch.zeros_like(x)
        for _ in range(STEPS):
            new = self.shed(ahead - step * self.slope(x, ahead, response))
            y, ahead = new, new + momentum * (new - y)
        return y

    def value(self, x: Tensor) -> Tensor:
        """φ(x)."""
        return self.upper(x, self.solution(x))


def forth(response: Tensor, q: Tensor) -> Tensor:
    """R q: (runs, lines)."""
    return (response @ q[:, :, None])[:, :, 0]


def back(response: Tensor, weights: Tensor) -> Tensor:
    """Rᵀ weights: (runs, loads)."""
    return (weights[:, None, :] @ response)[:, 0]


@cache
def _solve(limit: float, reach: float, overload: float, cost: float) -> tuple[float, Tensor]:
    grid, most = _Grid(limit, reach, overload, cost), min(1.0, limit)
    centre, half = torch.full((FEEDERS,), most / 2, dtype=torch.float64), most / 2
    best, worst = torch.inf, centre
    for _ in range(1 + ZOOMS):
        axes = [torch.linspace(float(c) - half, float(c) + half, GRID, dtype=torch.float64) for c in centre]
        points = grid.attack(torch.cartesian_prod(*axes)).unique(dim=0)
        values = grid.value(points)
        if float(values.min()) < best:
            best, worst = float(values.min()), points[values.argmin()]
        centre, half = worst, half / 3
    return best, worst
