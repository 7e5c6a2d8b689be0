"""A small neural network as lower level: not convex in its weights, and PL where there are enough of them.

    N_j(y) = Σ_k v_k tanh(w_k·a_j + c_k)/√m,     y = (w, c, v), m hidden units, n data points a_j in two dimensions
    g(x, y) = ‖N(y) − t(x)‖²/(2n)                t(x) = t⁰ + B x
    f(x, y) = mean of (N(y) at other points − their targets)²/2 + α/2 ‖y − y⁰‖² + ½‖x − c‖²

With m ≥ n units N fits any targets: g*(x) = 0, S(x, 0) = {y: N(y) = t(x)} is a manifold, and with the Jacobian J of N
‖∇_y g‖² ≥ 2 (λ_min(JJᵀ)/n) g. There is no closed form; what is exact here is solved for, apart from everything that is
measured by it, as the stationary point in (y, ν), from y⁰ on, of

    f(x, y) + νᵀ(N(y) − t(x)) − nσ/2 ‖ν‖².

For σ > 0 it is a stationary point of f + g/σ, with ν = (N − t)/(nσ); for σ = 0 it is one of f on the manifold. These
y are S(x, σ), as far as one follows it from y⁰, and ∇𝓛*_{1/σ} and ∇φ are f_x − Bᵀν. With m < n units g* > 0 is the
least of many descents. The network, its data and the solve are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.func import grad, hessian, vmap

from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec
from unibio.core.pseudoinverse import by_pseudoinverse
from unibio.core.streams import Streams
from unibio.problems.error_bound import proximal_residual
from unibio.problems.least_squares import descended
from unibio.problems.randomness import normal_start

#: Weight α of ‖y − y⁰‖²/2 in f, and how large first-layer weights are.
PULL, SCALE = 0.1, 1.5
#: Newton steps of the exact solve, and the residual up to which it is one.
STEPS, SOLVED = 60, 1e-10
#: Descents whose least is g* where the network is too narrow to fit.
DESCENTS = 64
#: Step of the difference quotients of φ.
STEP = 1e-5
#: A gap below this is rounding, and no ratio is formed with it.
ROUNDING = 1e-24


@dataclass(frozen=True)
class ShallowNetwork(ProblemSpec):
    """d_x = 2, d_y = 4 ``width``; start: x = 0 and y normal around y⁰ at ``distance`` of it, coordinate by coordinate.

    Metrics: ``lower_gap`` g − g*, ``pl_constant`` ‖∇_y g‖²/(2 (g − g*)), NaN where the gap is rounding. Where ``width``
    is at least ``points`` also, for the σ = 1/λ of ``penalty``, and NaN where the exact solve fails: ``value`` φ(x),
    ``hypergradient_norm``, ``value_error`` |φ − 𝓛*_λ|, ``gradient_error`` ‖∇φ − ∇𝓛*_λ‖, ``pseudoinverse_error``, the
    distance of ∇φ and the formula with the pseudoinverse of ∇²_yy g, ``difference_error``, that of the formula and
    difference quotients of φ, and ``stationarity``, the least ε for which (x, y, z) is ε-stationary as the slides
    define it, z any minimiser of g.
    """

    name: ClassVar[str] = "shallow_network"

    width: int = hyper(8, "hidden units", symbol="m", at_least=1)
    points: int = hyper(4, "data points", symbol="n", at_least=1)
    penalty: PerRun = hyper(10.0, "penalty that the metrics are of, whatever the algorithm has", symbol="λ", above=0)
    distance: PerRun = hyper(0.3, "how far the start of y is from y⁰, in every coordinate", at_least=0)
    start_x: PerRun = hyper(0.0, "both coordinates of the start of x")
    start_seed: PerRun = hyper(0, "seed of the start of y", at_least=0)
    proximal_step: float = hyper(0.1, "step of the proximal map in the metrics", symbol="ρ", above=0)
    data_seed: int = hyper(0, "seed of the data and of y⁰", at_least=0)

    def build(self) -> Problem:
        return _Built(self).problem()


class _Built:
    """The problem's functions, for one set of parameters."""

    def __init__(self, spec: ShallowNetwork):
        self.spec, self.n, self.m = spec, spec.points, spec.width
        numbers = normal_start(spec.data_seed, 12 * self.n + 4 * self.m + 2, 1.0)
        parts = numbers.split([2 * self.n] * 3 + [self.n] * 2 + [4 * self.n, 4 * self.m, 2])
        self.inputs, self.others, B = (part.reshape(self.n, 2) for part in parts[:3])
        self.B, self.targets, self.trusted = B / 2, parts[3], parts[4]
        self.y0, self.c = parts[6].clone(), parts[7]
        self.y0[: 2 * self.m] *= SCALE
        self.penalty = torch.as_tensor(spec.penalty, dtype=torch.float64).reshape(-1, 1)
        self._least: tuple[Tensor, Tensor] | None = None

    @property
    def fits(self) -> bool:
        """Whether there are units enough for any targets."""
        return self.m >= self.n

    # The network -----------------------------------------------------------------------------------------------------

    def layers(self, y: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """tanh(…), (runs, m, points), and v/√m, (runs, m, 1)."""
        w, c, v = y.split([2 * self.m, self.m, self.m], dim=-1)
        hidden = torch.tanh(w.reshape(-1, self.m, 2) @ inputs.to(y).T + c[..., None])
        return hidden, v[..., None] / self.m**0.5

    def outputs(self, y: Tensor, inputs: Tensor) -> Tensor:
        hidden, v = self.layers(y, inputs)
        return (v * hidden).sum(-2)

    def pulled_back(self, y: Tensor, inputs: Tensor, e: Tensor) -> Tensor:
        """Jᵀe, (runs, d_y) of e (runs, points)."""
        hidden, v = self.layers(y, inputs)
        inner = v * (1 - hidden.square()) * e[:, None, :]
        parts = ((inner @ inputs.to(y)).flatten(1), inner.sum(-1), (hidden * e[:, None, :]).sum(-1) / self.m**0.5)
        return torch.cat(parts, dim=-1)

    def jacobian(self, y: Tensor) -> Tensor:
        """J of N at the lower level's points, (runs, points, d_y)."""
        units = torch.eye(self.n, dtype=y.dtype, device=y.device)
        return torch.stack([self.pulled_back(y, self.inputs, unit.expand(len(y), -1)) for unit in units], dim=-2)

    # Losses ----------------------------------------------------------------------------------------------------------

    def missed(self, x: Tensor, y: Tensor) -> Tensor:
        """N(y) − t(x), (runs, points)."""
        return self.outputs(y, self.inputs) - self.targets.to(x) - x @ self.B.to(x).T

    def upper(self, x: Tensor, y: Tensor) -> Tensor:
        off = self.outputs(y, self.others) - self.trusted.to(y)
        away = PULL * (y - self.y0.to(y)).square().sum(-1) + (x - self.c.to(x)).square().sum(-1)
        return (off.square().mean(-1) + away) / 2

    def lower(self, x: Tensor, y: Tensor) -> Tensor:
        return self.missed(x, y).square().mean(-1) / 2

    def grad_upper(self, x: Tensor, y: Tensor, sample: None) -> tuple[Tensor, Tensor]:
        off = (self.outputs(y, self.others) - self.trusted.to(y)) / self.n
        return x - self.c.to(x), self.pulled_back(y, self.others, off) + PULL * (y - self.y0.to(y))

    def grad_lower(self, x: Tensor, y: Tensor, sample: None) -> Tensor:
        return self.pulled_back(y, self.inputs, self.missed(x, y) / self.n)

    def grad_lower_x(self, x: Tensor, y: Tensor, sample: None) -> Tensor:
        return -self.missed(x, y) @ self.B.to(x) / self.n

    # The exact solve -------------------------------------------------------------------------------------------------

    def solved(self, x: Tensor, sigma: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """S(x, σ) and ν, (runs, d_y) and (runs, points), by Newton's method with halved steps; NaN where it fails."""
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1).expand(len(x), 1)
        size = 4 * self.m

        def saddle(z: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
            y, nu = z[None, :size], z[size:]
            own = self.upper(x[None], y)[0] + (nu * self.missed(x[None], y)[0]).sum()
            return own - self.n / 2 * sigma[0] * nu.square().sum()

        y = descended(
            lambda y: self.missed(x, y), self.jacobian, self.y0.to(x).expand(len(x), -1), steps=STEPS
        )
        f_y = self.grad_upper(x, y, None)[1]
        nu = -torch.linalg.lstsq(self.jacobian(y).mT, f_y[..., None]).solution[..., 0]
        z, slope, curvature = torch.cat([y, nu], dim=-1), vmap(grad(saddle)), vmap(hessian(saddle))
        left = slope(z, x, sigma)
        for _ in range(STEPS):
            if bool((left.norm(dim=-1) <= SOLVED / 100).all()):
                break
            move = torch.linalg.solve_ex(curvature(z, x, sigma), left[..., None])[0][..., 0]
            share = torch.ones_like(x[:, :1])
            for _ in range(20):  # halve until the residual falls
                worse = slope(z - share * move, x, sigma).norm(dim=-1, keepdim=True) > left.norm(dim=-1, keepdim=True)
                if not bool(worse.any()):
                    break
                share = torch.where(worse, share / 2, share)
            z = z - share * move
            left = slope(z, x, sigma)
        z = torch.where((left.norm(dim=-1, keepdim=True) <= SOLVED), z, torch.nan)
        return z[:, :size], z[:, size:]

    def solution(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """S(x, σ), and S(x, 0⁺)."""
        return self.solved(x, sigma)[0]

    def value(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """𝓛*_{1/σ}(x), and φ(x)."""
        y, nu = self.solved(x, sigma)
        weight = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1)
        return self.upper(x, y) + self.n / 2 * (weight * nu.square()).sum(-1)

    def gradient(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """∇𝓛*_{1/σ}(x), and ∇φ(x)."""
        return x - self.c.to(x) - self.solved(x, sigma)[1] @ self.B.to(x)

    def quotients(self, x: Tensor) -> Tensor:
        """Central difference quotients of φ, (runs, 2)."""
        moves = STEP * torch.eye(2, dtype=x.dtype, device=x.device)
        return torch.stack([self.value(x + m) - self.value(x - m) for m in moves], dim=-1) / (2 * STEP)

    def least(self, x: Tensor) -> Tensor:
        """g*(x), (runs,): 0 where the network fits everything, else the least of many descents."""
        if self.fits:
            return torch.zeros_like(x[:, 0])
        if self._least is None or not torch.equal(self._least[0], x):
            starts = normal_start(1, DESCENTS * 4 * self.m, SCALE).reshape(DESCENTS, -1).to(x).repeat(len(x), 1)
            every = x.repeat_interleave(DESCENTS, dim=0)
            ends = descended(lambda y: self.missed(every, y), self.jacobian, starts, steps=200)
            self._least = x.clone(), self.lower(every, ends).reshape(len(x), -1).amin(-1)
        return self._least[1]

    def stationarity(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """The larger of the proximal residuals of y and of x over σ; that of z is 0. (runs,)."""

        def weighed(y: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
            return (sigma * self.upper(x[None], y[None]) + self.lower(x[None], y[None]))[0]

        def of(function: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
            return lambda z: vmap(function(weighed))(z, x, sigma)

        of_y = proximal_residual(y, self.spec.proximal_step, of(grad), of(hessian))
        of_x = (sigma * self.grad_upper(x, y, None)[0] + self.grad_lower_x(x, y, None)).norm(dim=-1)
        return torch.maximum(of_y, of_x) / sigma[:, 0]

    # The problem -----------------------------------------------------------------------------------------------------

    def metrics(self, x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        x, y = x.double(), y.double()
        sigma = 1 / self.penalty.to(x.device).expand(len(x), 1)

        def gap() -> Tensor:
            return self.lower(x, y) - self.least(x)

        def ratio() -> Tensor:
            found = self.grad_lower(x, y, None).square().sum(-1) / (2 * gap())
            return torch.where(gap() > ROUNDING, found, torch.nan)

        if not self.fits:
            return LazyMetrics(lower_gap=gap, pl_constant=ratio)

        @cache
        def formula() -> Tensor:
            oracle = Oracle(self.problem(), Streams([0] * len(x), x.device, x.dtype))
            at = self.solution(x)
            found = by_pseudoinverse(oracle, x, at).value
            return torch.where(torch.isfinite(at).all(-1, keepdim=True), found, torch.nan)

        return LazyMetrics(
            lower_gap=gap,
            pl_constant=ratio,
            value=lambda: self.value(x),
            hypergradient_norm=lambda: self.gradient(x).norm(dim=-1),
            value_error=lambda: torch.abs(self.value(x) - self.value(x, sigma)),
            gradient_error=lambda: (self.gradient(x) - self.gradient(x, sigma)).norm(dim=-1),
            pseudoinverse_error=lambda: (formula() - self.gradient(x)).norm(dim=-1),
            difference_error=lambda: (formula() - self.quotients(x)).norm(dim=-1),
            stationarity=lambda: self.stationarity(x, y, sigma),
        )

    def start(self) -> tuple[Tensor, Tensor]:
        spec = self.spec
        away = normal_start(spec.start_seed, 4 * self.m, 1.0).reshape(-1, 4 * self.m)
        far, at = (torch.as_tensor(v, dtype=torch.float64).reshape(-1, 1) for v in (spec.distance, spec.start_x))
        rows = max(len(away), len(far), len(at), len(self.penalty))
        x, y = at.expand(rows, 2).clone(), (self.y0 + far * away).expand(rows, -1).clone()
        return (x[0], y[0]) if rows == 1 else (x, y)

    def problem(self) -> Problem:
        return Problem(
            upper=self.upper,
            lower=self.lower,
            metrics=self.metrics,
            derivatives={name: getattr(self, name) for name in ("grad_upper", "grad_lower", "grad_lower_x")},
            closed_form=ClosedForm(self.solution, self.value, self.gradient) if self.fits else ClosedForm(),
            start=self.start(),
            batched=True,
            name=self.spec.name,
        )
