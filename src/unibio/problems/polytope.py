"""A lower level on a polytope: nondegenerate on most of the domain, degenerate at known places, all in closed form.

    Y = {y ∈ [−1, 1]⁴: y₁ + y₂ ≤ 0},      u = A x,  A orthogonal,      u' = (u₁, u₂, u₃),  y' = (y₁, y₂, y₃)
    g(x, y) = μ/2 ‖y' − u'‖² − u₄ y₄              f(x, y) = ½‖y − b‖² + ½‖x − c‖²

y'*(x) is the projection of u', and y*₄ = sign u₄: g is strongly convex in three coordinates and linear in the fourth.
With σ = 1/λ and m = (σb' + μu')/(σ + μ), the minimiser S(x, σ) of σf + g is the projection of m beside the projection
of b₄ + u₄/σ on [−1, 1]; 𝓛*_λ and its gradient follow from it, φ and ∇φ from its limit. What fails where:

- **strict complementarity** where u' enters or leaves the cone that one face collects (u₁ + u₂ = 0 in front of the cut,
  |u₃| = 1 and so on): there y* is Lipschitz and has no derivative, and φ a kink;
- **LICQ** at y = (1, −1) and (−1, 1), where the cut goes through corners of the box and three constraints meet in two
  coordinates: for all u' in the open cones in front of these. Constraints do not depend on x: y* is smooth there;
- **both, and more**, where u₄ = 0: every y₄ is a solution, and φ jumps.

The box, its cut and the places are ours: the slides that state the theory name no problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.kkt import Constrained, by_kkt
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.polytope import Polytope
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec
from unibio.core.pseudoinverse import by_pseudoinverse
from unibio.core.streams import Streams
from unibio.problems.mixings import orthogonal
from unibio.problems.randomness import normal_start

#: u at the middle of a place; the second line are the degenerate ones.
PLACES = {
    "interior": (-0.4, -0.3, 0.3, 1.0),
    "face": (-1.5, -0.2, 0.3, 1.0),
    "cut": (0.5, 0.3, 0.3, 1.0),
    "vertex": (-1.5, -1.6, 0.3, 1.0),
    "kink": (0.3, -0.3, 0.3, 1.0),  # strict complementarity fails on a plane through it
    "corner": (1.5, -1.3, 0.3, 1.0),  # LICQ fails all around it
    "jump": (-0.4, -0.3, 0.3, 0.0),  # solutions are a segment, on a plane through it
}
#: b. b₁ + b₂ > 0 makes the kink of φ a convex one, so that it can be a minimiser.
TARGET = (1.2, 0.9, -0.5, -0.4)
#: Step of the difference quotients of φ.
STEP = 1e-6
#: How near a kink, beside 1 + |u|, φ counts as having no gradient: a few roundings of A x.
ON_A_KINK = 1e-13


@dataclass(frozen=True)
class PolytopeConstrained(ProblemSpec):
    """d_x = d_y = 4; start: y = 0 and x at ``distance`` from the middle of ``place``, where φ has its minimum.

    Metrics of x, for the σ = 1/λ of ``penalty``: ``value`` φ(x), ``hypergradient_norm`` (NaN on kinks),
    ``value_error`` |φ − 𝓛*_λ|, ``gradient_error`` ‖∇φ − ∇𝓛*_λ‖, ``upper_slope`` ‖f_y‖ at y*(x); ``kkt_error`` and
    ``pseudoinverse_error``, the distance of ∇φ and the formula with the pseudoinverse of the KKT matrix, or of ∇²_yy g
    alone; ``difference_error``, that of the former and difference quotients of φ; ``licq`` and ``strict``, 1 where
    these hold as the estimator sees it, and ``said``, 1 where it gives no number for ∇φ. Metrics of x and y:
    ``stationarity``, the least ε for which (x, y, y*(x)) is ε-stationary as the slides define it, ``lower_gap``
    g(x, y) − g*(x), ``lower_error`` ‖y − y*(x)‖.
    """

    name: ClassVar[str] = "polytope"

    place: str = hyper("cut", "where the start is and the minimiser of φ", choices=tuple(PLACES))
    modulus: PerRun = hyper(1.0, "strong convexity of g in three coordinates", symbol="μ", above=0)
    penalty: PerRun = hyper(10.0, "penalty that the metrics are of, whatever the algorithm has", symbol="λ", above=0)
    distance: PerRun = hyper(0.5, "distance of the start of x from the middle", at_least=0)
    start_seed: PerRun = hyper(0, "seed of the direction of the start of x from there", at_least=0)
    proximal_step: float = hyper(0.1, "step of the proximal maps in the metrics", symbol="ρ", above=0)
    data_seed: int = hyper(0, "seed of A", at_least=0)

    def build(self) -> Problem:
        return _Built(self).problem()


def projected(u: Tensor) -> Tensor:
    """The projection onto Y, (runs, 4): that onto the box where it lies below the cut, and else onto the cut's edge."""
    inside = u.clamp(-1.0, 1.0)
    along = ((u[:, :1] - u[:, 1:2]) / 2).clamp(-1.0, 1.0)
    cut = inside[:, :1] + inside[:, 1:2] > 0
    return torch.where(cut, torch.cat([along, -along, inside[:, 2:]], dim=-1), inside)


def polytope() -> Polytope:
    """Y: y_i ≤ 1, −y_i ≤ 1 and the cut, in this order."""
    unit = torch.eye(4, dtype=torch.float64)
    cut = torch.tensor([[1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    bound = torch.ones(9, dtype=torch.float64)
    bound[8] = 0.0
    return Polytope(torch.cat([unit, -unit, cut]), bound, projected)


def slope(u: Tensor) -> Tensor:
    """∂y*/∂u off kinks, (runs, 4, 4)."""
    inside = u.clamp(-1.0, 1.0)
    free = (u.abs() < 1).to(u)
    box = torch.diag_embed(torch.cat([free[:, :3], torch.zeros_like(u[:, 3:])], dim=-1))
    along = ((u[:, 0] - u[:, 1]).abs() < 2).to(u)[:, None, None] / 2
    edge = box.clone()
    edge[:, :2, :2] = along * torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=u.dtype, device=u.device)
    return torch.where((inside[:, 0] + inside[:, 1] > 0)[:, None, None], edge, box)


def on_a_kink(u: Tensor) -> Tensor:
    """Where y* has no derivative, bool (runs,)."""
    inside, small = u.clamp(-1.0, 1.0), ON_A_KINK * (1 + u.abs().amax(-1))
    over = inside[:, 0] + inside[:, 1]
    at_bound = (u.abs() - 1).abs() <= small[:, None]
    moves = (u[:, :2].abs() < 1).any(-1)  # in front of a corner the cut's sum stays 0
    below = (over <= small) & (at_bound[:, :2].any(-1) | ((over.abs() <= small) & moves))
    above = (over > small) & ((torch.abs(u[:, 0] - u[:, 1]) / 2 - 1).abs() <= small)
    return below | above | at_bound[:, 2] | (u[:, 3].abs() <= small)


class _Built:
    """The problem's functions, for one set of parameters."""

    def __init__(self, spec: PolytopeConstrained):
        self.spec = spec
        self.A = orthogonal(4, spec.data_seed)
        self.b = torch.tensor(TARGET, dtype=torch.float64)
        self.modulus, self.penalty = (
            torch.as_tensor(value, dtype=torch.float64).reshape(-1, 1) for value in (spec.modulus, spec.penalty)
        )
        self.middle = torch.tensor([PLACES[spec.place]], dtype=torch.float64)
        beside = 0.01 * torch.tensor([[1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
        mean = (slope(self.middle + beside) + slope(self.middle - beside)) / 2  # in the middle of a kink's two sides
        pull = (mean @ (self.solution_of(self.middle) - self.b)[..., None])[..., 0]
        self.c = ((self.middle + pull) @ self.A)[0]

    # Losses ----------------------------------------------------------------------------------------------------------

    def u(self, x: Tensor) -> Tensor:
        return x @ self.A.to(x).T

    def weight(self, x: Tensor) -> Tensor:
        """μ for every row, (runs, 1) or (1, 1)."""
        return self.modulus.to(x)

    def upper(self, x: Tensor, y: Tensor) -> Tensor:
        return ((y - self.b.to(y)).square().sum(-1) + (x - self.c.to(x)).square().sum(-1)) / 2

    def lower(self, x: Tensor, y: Tensor) -> Tensor:
        u = self.u(x)
        apart = (y - u)[:, :3].square().sum(-1)
        return self.weight(x)[:, 0] / 2 * apart - u[:, 3] * y[:, 3]

    def grad_upper(self, x: Tensor, y: Tensor, sample: None) -> tuple[Tensor, Tensor]:
        return x - self.c.to(x), y - self.b.to(y)

    def grad_lower(self, x: Tensor, y: Tensor, sample: None) -> Tensor:
        u = self.u(x)
        return torch.cat([self.weight(x) * (y - u)[:, :3], -u[:, 3:]], dim=-1)

    def grad_lower_x(self, x: Tensor, y: Tensor, sample: None) -> Tensor:
        u = self.u(x)
        return -torch.cat([self.weight(x) * (y - u)[:, :3], y[:, 3:]], dim=-1) @ self.A.to(x)

    def hvp(self, x: Tensor, y: Tensor, v: Tensor, sample: None) -> Tensor:
        return torch.cat([self.weight(x) * v[:, :3], torch.zeros_like(v[:, 3:])], dim=-1)

    def jvp(self, x: Tensor, y: Tensor, v: Tensor, sample: None) -> Tensor:
        return -torch.cat([self.weight(x) * v[:, :3], v[:, 3:]], dim=-1) @ self.A.to(x)

    # Closed forms; σ (runs, 1), None for the limit -------------------------------------------------------------------

    def solution_of(self, u: Tensor, sigma: Tensor | None = None) -> Tensor:
        b = self.b.to(u).expand_as(u)
        if sigma is None:
            last = torch.where(u[:, 3:].abs() <= ON_A_KINK, b[:, 3:], u[:, 3:].sign())
            return torch.cat([projected(u)[:, :3], last], dim=-1)
        mu = self.weight(u)
        return projected(torch.cat([(sigma * b + mu * u)[:, :3] / (sigma + mu), b[:, 3:] + u[:, 3:] / sigma], dim=-1))

    def solution(self, x: Tensor, sigma: Tensor | None = None) -> Tensor:
        """S(x, σ), and of S(x, 0) the point with the least f."""
        return self.solution_of(self.u(x), sigma)

    def gap(self, x: Tensor, y: Tensor) -> Tensor:
        """g(x, y) − g*(x), (runs,), from y − y*(x), which loses no digits."""
        u, best = self.u(x), self.solution(x)
        away, both = y - best, y + best - 2 * u
        return self.weight(x)[:, 0] / 2 * (away * both)[:, :3].sum(-1) - u[:, 3] * away[:, 3]

    def value(self, x: Tensor, sigma: Tensor | None = None) -> Tensor:
        """𝓛*_{1/σ}(x), and φ(x)."""
        y = self.solution(x, sigma)
        return self.upper(x, y) if sigma is None else self.upper(x, y) + self.gap(x, y) / sigma[:, 0]

    def gradient(self, x: Tensor, sigma: Tensor | None = None) -> Tensor:
        """∇𝓛*_{1/σ}(x), and ∇φ(x), which is NaN on kinks."""
        u, y = self.u(x), self.solution(x, sigma)
        f_x, f_y = self.grad_upper(x, y, None)
        if sigma is not None:
            away = y - self.solution(x)
            return f_x + self.jvp(x, y, away, None) / sigma  # g_x is linear in y
        pulled = (slope(u) @ f_y[..., None])[..., 0]  # ∂y*/∂u is symmetric
        return torch.where(on_a_kink(u)[:, None], torch.nan, f_x + pulled @ self.A.to(x))

    def quotients(self, x: Tensor) -> Tensor:
        """Central difference quotients of φ, (runs, d_x)."""
        moves = STEP * torch.eye(4, dtype=x.dtype, device=x.device)
        return torch.stack([self.value(x + m) - self.value(x - m) for m in moves], dim=-1) / (2 * STEP)

    def stationarity(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """The larger of the proximal residuals of y and of x over σ; that of z = y*(x) is 0. (runs,)."""
        rho, mu, u = self.spec.proximal_step, self.weight(x), self.u(x)
        pulled = sigma * self.b.to(y) + torch.cat([(mu * u)[:, :3], u[:, 3:]], dim=-1)
        curved = sigma + torch.cat([mu.expand(len(y), 3), torch.zeros_like(y[:, 3:])], dim=-1)
        of_y = (y - projected((y + rho * pulled) / (1 + rho * curved))).norm(dim=-1) / rho
        of_x = (sigma * self.grad_upper(x, y, None)[0] + self.jvp(x, y, y - self.solution(x), None)).norm(dim=-1)
        return torch.maximum(of_y, of_x) / sigma[:, 0]

    # The problem -----------------------------------------------------------------------------------------------------

    def metrics(self, x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        x, y = x.double(), y.double()
        sigma = 1 / self.penalty.to(x.device).expand(len(x), 1)
        oracle = Oracle(self.problem(), Streams([0] * len(x), x.device, x.dtype))

        @cache
        def found() -> Constrained:
            return by_kkt(oracle, x, self.solution(x))

        def off(estimate: Tensor) -> Tensor:
            return (estimate - self.gradient(x)).norm(dim=-1)

        return LazyMetrics(
            value=lambda: self.value(x),
            hypergradient_norm=lambda: self.gradient(x).norm(dim=-1),
            value_error=lambda: torch.abs(self.value(x) - self.value(x, sigma)),
            gradient_error=lambda: off(self.gradient(x, sigma)),
            upper_slope=lambda: self.grad_upper(x, self.solution(x), None)[1].norm(dim=-1),
            kkt_error=lambda: off(found().formula),
            difference_error=lambda: (found().formula - self.quotients(x)).norm(dim=-1),
            pseudoinverse_error=lambda: off(by_pseudoinverse(oracle, x, self.solution(x)).value),
            licq=lambda: found().licq.to(x),
            strict=lambda: found().strict.to(x),
            said=lambda: (found().trouble != 0).to(x),
            stationarity=lambda: self.stationarity(x, y, sigma),
            lower_gap=lambda: self.gap(x, y),
            lower_error=lambda: (y - self.solution(x)).norm(dim=-1),
        )

    def start(self) -> tuple[Tensor, Tensor]:
        spec = self.spec
        away = normal_start(spec.start_seed, 4, 1.0)
        far = torch.as_tensor(spec.distance, dtype=torch.float64).reshape(-1, 1)
        moved = self.middle + far * (away / away.norm(dim=-1, keepdim=True)).reshape(-1, 4)
        x, *_ = torch.broadcast_tensors(moved @ self.A, self.penalty, self.modulus)
        x = x[0].clone() if len(x) == 1 else x.clone()
        return x, torch.zeros_like(x)

    def problem(self) -> Problem:
        return Problem(
            upper=self.upper,
            lower=self.lower,
            project_lower=polytope(),
            metrics=self.metrics,
            derivatives={
                name: getattr(self, name) for name in ("grad_upper", "grad_lower", "grad_lower_x", "hvp", "jvp")
            },
            closed_form=ClosedForm(self.solution, self.value, self.gradient),
            start=self.start(),
            batched=True,
            name=self.spec.name,
        )
