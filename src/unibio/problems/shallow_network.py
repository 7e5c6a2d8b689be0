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

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec
from unibio.core.pseudoinverse import by_pseudoinverse
from unibio.core.streams import Streams
from unibio.problems.error_bound import proximal_residual
from unibio.problems.least_squares import descended
from unibio.problems.randomness import normal_start

#: Weight α of ‖y − y⁰‖²/2 in f, and how large first-layer weights are.
PULL, SCALE = 1.0, 1.5
#: Residual up to which the exact solve is one, its Newton steps, and σ that it goes through on its way to the one asked
#: for, with as many steps of least squares at each.
SOLVED, NEWTON, ON_THE_WAY, ALONG = 1e-10, 12, (1.0, 0.1, 1e-2, 1e-3), 20
#: Descents whose least is g* where the network is too narrow to fit, and their steps.
DESCENTS, DESCENDED = 64, 200
#: Step of the difference quotients of φ.
STEP = 1e-5
#: A gap below this is rounding, and no ratio is formed with it.
ROUNDING = 1e-24


@dataclass(frozen=True)
class ShallowNetwork(ProblemSpec):
    """d_x = 2, d_y = 4 ``width``; start of y: normal around y⁰, ``distance`` being the deviation of every coordinate.

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


class _Network:
    """N at some inputs, and its derivatives; y is (w, c, v) of one unit after the other.

    Args:
        units: m.
        inputs: (points, 2).
    """

    def __init__(self, units: int, inputs: Tensor):
        self.units = units
        self.inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=-1)

    def layers(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """tanh(…), (runs, m, points), v/√m, (runs, m, 1), and the inputs with a 1, (points, 3)."""
        parts, inputs = y.reshape(-1, self.units, 4), self.inputs.to(y)
        return torch.tanh(parts[..., :3] @ inputs.T), parts[..., 3:] / self.units**0.5, inputs

    def __call__(self, y: Tensor) -> Tensor:
        """(runs, points)."""
        hidden, v, _ = self.layers(y)
        return (v * hidden).sum(-2)

    def pulled_back(self, y: Tensor, e: Tensor) -> Tensor:
        """Jᵀe, (runs, d_y) of e (runs, points)."""
        hidden, v, inputs = self.layers(y)
        inner = (v * (1 - hidden.square()) * e[:, None, :]) @ inputs
        outer = (hidden * e[:, None, :]).sum(-1, keepdim=True) / self.units**0.5
        return torch.cat([inner, outer], dim=-1).flatten(1)

    def jacobian(self, y: Tensor) -> Tensor:
        """J, (runs, points, d_y)."""
        hidden, v, inputs = self.layers(y)
        inner = (v * (1 - hidden.square()))[..., None] * inputs
        whole = torch.cat([inner, hidden[..., None] / self.units**0.5], dim=-1)
        return whole.transpose(1, 2).flatten(2)

    def curvature(self, y: Tensor, e: Tensor) -> Tensor:
        """Σ_j e_j ∇²N_j, (runs, d_y, d_y): a block for every unit."""
        hidden, v, inputs = self.layers(y)
        rising = 1 - hidden.square()
        blocks = torch.zeros(len(y), self.units, 4, 4, dtype=y.dtype, device=y.device)
        bend = -2 * v * hidden * rising * e[:, None, :]
        blocks[..., :3, :3] = (bend[..., None] * inputs).mT @ inputs
        blocks[..., :3, 3] = (rising * e[:, None, :]) @ inputs / self.units**0.5
        blocks[..., 3, :3] = blocks[..., :3, 3]
        whole = torch.zeros(len(y), self.units, 4, self.units, 4, dtype=y.dtype, device=y.device)
        at = torch.arange(self.units)
        whole[:, at, :, at, :] = blocks.transpose(0, 1)
        return whole.reshape(len(y), 4 * self.units, 4 * self.units)


class _Built:
    """The problem's functions, for one set of parameters."""

    def __init__(self, spec: ShallowNetwork):
        self.spec, self.n, self.m = spec, spec.points, spec.width
        numbers = normal_start(spec.data_seed, 8 * self.n + 4 * self.m + 2, 1.0)
        inputs, others, B, targets, trusted, y0, self.c = numbers.split(
            [2 * self.n] * 3 + [self.n] * 2 + [4 * self.m, 2]
        )
        self.net, self.other = (_Network(self.m, part.reshape(self.n, 2)) for part in (inputs, others))
        scale = torch.tensor([SCALE, SCALE, 1.0, 1.0], dtype=torch.float64).repeat(self.m)
        self.B, self.y0 = B.reshape(self.n, 2) / 2, scale * y0
        self.targets, self.trusted = targets / 2, trusted / 2
        self.penalty = torch.as_tensor(spec.penalty, dtype=torch.float64).reshape(-1, 1)
        self._least: tuple[Tensor, Tensor] | None = None

    @property
    def fits(self) -> bool:
        """Whether there are units enough for any targets."""
        return self.m >= self.n

    # Losses ----------------------------------------------------------------------------------------------------------

    def missed(self, x: Tensor, y: Tensor) -> Tensor:
        """N(y) − t(x), (runs, points)."""
        return self.net(y) - self.targets.to(x) - x @ self.B.to(x).T

    def off(self, y: Tensor) -> Tensor:
        """N at the other points less their targets, (runs, points)."""
        return self.other(y) - self.trusted.to(y)

    def upper(self, x: Tensor, y: Tensor) -> Tensor:
        away = PULL * (y - self.y0.to(y)).square().sum(-1) + (x - self.c.to(x)).square().sum(-1)
        return (self.off(y).square().mean(-1) + away) / 2

    def lower(self, x: Tensor, y: Tensor) -> Tensor:
        return self.missed(x, y).square().mean(-1) / 2

    def grad_upper(self, x: Tensor, y: Tensor, sample: None) -> tuple[Tensor, Tensor]:
        f_y = self.other.pulled_back(y, self.off(y) / self.n) + PULL * (y - self.y0.to(y))
        return x - self.c.to(x), f_y

    def grad_lower(self, x: Tensor, y: Tensor, sample: None) -> Tensor:
        return self.net.pulled_back(y, self.missed(x, y) / self.n)

    def grad_lower_x(self, x: Tensor, y: Tensor, sample: None) -> Tensor:
        return -self.missed(x, y) @ self.B.to(x) / self.n

    def hessian_upper(self, y: Tensor) -> Tensor:
        """∇²_yy f, (runs, d_y, d_y)."""
        J = self.other.jacobian(y)
        unit = PULL * torch.eye(y.shape[-1], dtype=y.dtype, device=y.device)
        return J.mT @ J / self.n + self.other.curvature(y, self.off(y) / self.n) + unit

    def hessian_lower(self, x: Tensor, y: Tensor) -> Tensor:
        """∇²_yy g, (runs, d_y, d_y)."""
        J = self.net.jacobian(y)
        return J.mT @ J / self.n + self.net.curvature(y, self.missed(x, y) / self.n)

    # The exact solve -------------------------------------------------------------------------------------------------

    def solved(self, x: Tensor, sigma: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """S(x, σ) and ν, (runs, d_y) and (runs, points); NaN where no stationary point is found.

        From y⁰ along S(x, σ) from σ = 1, or the asked one if that is more, to a small σ by least squares, which f + g/σ
        are; and on to the asked one by Newton's method.
        """
        asked = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1).expand(len(x), 1)
        y = self.y0.to(x).expand(len(x), -1)
        unit = PULL**0.5 * torch.eye(y.shape[-1], dtype=y.dtype, device=y.device).expand(len(y), -1, -1)
        for passed in ON_THE_WAY:
            root = (self.n * asked.clamp_min(passed)).sqrt()

            def residual(y: Tensor, root: Tensor = root) -> Tensor:
                own = (self.off(y) / self.n**0.5, PULL**0.5 * (y - self.y0.to(y)))
                return torch.cat([*own, self.missed(x, y) / root], dim=-1)

            def jacobian(y: Tensor, root: Tensor = root) -> Tensor:
                own = (self.other.jacobian(y) / self.n**0.5, unit)
                return torch.cat([*own, self.net.jacobian(y) / root[..., None]], dim=-2)

            y = descended(residual, jacobian, y, steps=ALONG)
        y, nu, _ = self.newton(x, y, self.missed(x, y) / root.square(), asked.clamp_min(ON_THE_WAY[-1]))
        y, nu, left = self.newton(x, y, nu, asked)
        found = left <= SOLVED
        return torch.where(found, y, torch.nan), torch.where(found, nu, torch.nan)

    def newton(self, x: Tensor, y: Tensor, nu: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Newton's method on the stationarity of the saddle in (y, ν), and the norm of what is left, (runs, 1)."""
        unit = torch.eye(self.n, dtype=x.dtype, device=x.device)
        for step in range(NEWTON + 1):
            J = self.net.jacobian(y)
            slope = self.grad_upper(x, y, None)[1] + (J.mT @ nu[..., None])[..., 0]
            left = torch.cat([slope, self.missed(x, y) - self.n * sigma * nu], dim=-1)
            size = left.norm(dim=-1, keepdim=True)
            if step == NEWTON or bool((size <= SOLVED / 100).all()):
                break
            corner = (-self.n * sigma[..., None] * unit).expand(len(x), -1, -1)
            top = torch.cat([self.hessian_upper(y) + self.net.curvature(y, nu), J.mT], dim=-1)
            matrix = torch.cat([top, torch.cat([J, corner], dim=-1)], dim=-2)
            move = torch.linalg.solve_ex(matrix, left[..., None])[0][..., 0]
            y, nu = y - move[:, : y.shape[-1]], nu - move[:, y.shape[-1] :]
        return y, nu, size

    def landscape(self, x: Tensor, sigma: Tensor | float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        """S(x, σ), 𝓛*_{1/σ}(x) and ∇𝓛*_{1/σ}(x), or S(x, 0⁺), φ(x) and ∇φ(x), of one solve."""
        y, nu = self.solved(x, sigma)
        weight = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1)
        value = self.upper(x, y) + self.n / 2 * (weight * nu.square()).sum(-1)
        return y, value, x - self.c.to(x) - nu @ self.B.to(x)

    def solution(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """S(x, σ), and S(x, 0⁺)."""
        return self.landscape(x, sigma)[0]

    def value(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """𝓛*_{1/σ}(x), and φ(x)."""
        return self.landscape(x, sigma)[1]

    def gradient(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """∇𝓛*_{1/σ}(x), and ∇φ(x)."""
        return self.landscape(x, sigma)[2]

    def quotients(self, x: Tensor) -> Tensor:
        """Central difference quotients of φ, (runs, 2)."""
        moves = STEP * torch.eye(2, dtype=x.dtype, device=x.device)
        ahead, back = (
            self.value(torch.cat([x[:, None] + moves, x[:, None] - moves], dim=1).flatten(0, 1))
            .reshape(-1, 2, 2)
            .unbind(1)
        )
        return (ahead - back) / (2 * STEP)

    def least(self, x: Tensor) -> Tensor:
        """g*(x), (runs,): 0 where the network fits everything, else the least of many descents."""
        if self.fits:
            return torch.zeros_like(x[:, 0])
        if self._least is None or not torch.equal(self._least[0], x):
            starts = normal_start(1, DESCENTS * 4 * self.m, SCALE).reshape(DESCENTS, -1).to(x).repeat(len(x), 1)
            every = x.repeat_interleave(DESCENTS, dim=0)
            ends = descended(lambda y: self.missed(every, y), self.net.jacobian, starts, steps=DESCENDED)
            self._least = x.clone(), self.lower(every, ends).reshape(len(x), -1).amin(-1)
        return self._least[1]

    def stationarity(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """The larger of the proximal residuals of y and of x over σ; that of z is 0. (runs,)."""
        of_y = proximal_residual(
            y,
            self.spec.proximal_step,
            lambda z: sigma * self.grad_upper(x, z, None)[1] + self.grad_lower(x, z, None),
            lambda z: sigma[..., None] * self.hessian_upper(z) + self.hessian_lower(x, z),
        )
        of_x = (sigma * self.grad_upper(x, y, None)[0] + self.grad_lower_x(x, y, None)).norm(dim=-1)
        return torch.maximum(of_y, of_x) / sigma[:, 0]

    # The problem -----------------------------------------------------------------------------------------------------

    def metrics(self, x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        x, y = x.double(), y.double()
        sigma = 1 / self.penalty.to(x.device).expand(len(x), 1)

        @cache
        def gap() -> Tensor:
            return self.lower(x, y) - self.least(x)

        def ratio() -> Tensor:
            found = self.grad_lower(x, y, None).square().sum(-1) / (2 * gap())
            return torch.where(gap() > ROUNDING, found, torch.nan)

        if not self.fits:
            return LazyMetrics(lower_gap=gap, pl_constant=ratio)

        limit, penalised = cache(lambda: self.landscape(x)), cache(lambda: self.landscape(x, sigma))

        @cache
        def formula() -> Tensor:
            oracle = Oracle(self.problem(), Streams([0] * len(x), x.device, x.dtype))
            at = limit()[0]
            known = torch.isfinite(at).all(-1, keepdim=True)
            return torch.where(known, by_pseudoinverse(oracle, x, torch.where(known, at, 0.0)).value, torch.nan)

        return LazyMetrics(
            lower_gap=gap,
            pl_constant=ratio,
            value=lambda: limit()[1],
            hypergradient_norm=lambda: limit()[2].norm(dim=-1),
            value_error=lambda: torch.abs(limit()[1] - penalised()[1]),
            gradient_error=lambda: (limit()[2] - penalised()[2]).norm(dim=-1),
            pseudoinverse_error=lambda: (formula() - limit()[2]).norm(dim=-1),
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
