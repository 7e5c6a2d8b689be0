"""How good an estimate of the hypergradient is, and what is said about it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unibio.core import hypergradients, kkt, pcg
from unibio.core.hypergradients import Preconditioned, classical, precondition
from unibio.core.oracle import Oracle
from unibio.core.problem import Problem
from unibio.core.pseudoinverse import by_pseudoinverse
from unibio.core.reference import Reference, reference
from unibio.core.spectrum import largest_eigenvalue, terms_needed, unstable_step
from unibio.core.streams import Streams
from unibio.core.trouble import Trouble, reasons
from unibio.core.vanishing import vanishing_question

#: Estimates are measured against a dense solve up to this d_y, and up to so many entries of all rows' Hessians.
DENSE, ENTRIES = 512, 2**24
#: The relative error against the dense solution from which on an estimate is not right, in float64 and float32.
RIGHT = {torch.float64: 1e-5, torch.float32: 1e-3}
#: Errors below this part of a hypergradient's two terms, which may cancel, count as none.
CANCELLED = {torch.float64: 1e-8, torch.float32: 1e-4}
#: The same where only a residual is known, and of the error that a y off y*(x) makes.
ROUGHLY = 1e-2
#: More terms than these are better not summed.
MANY = 10_000
#: A lower gradient is 0 up to so many times what rounding x and y does to it, the most of so many draws; measured with
#: so many roundings at once, as a single one may be lost in that of the gradient's own sums.
STATIONARY, DRAWN, ROUNDINGS = 10.0, 4, 4.0
#: Draws of a noisy lower gradient that tell its mean from 0, and how many of their standard errors it takes.
DRAWS, SIGNIFICANT = 16, 4.0


@dataclass(frozen=True)
class HypergradientInfo:
    """What is known about an estimate. Tensors are (runs,), or () where the estimate is of a single run.

    Attributes:
        residual: of the linear system (★), relative to its right-hand side; of a Neumann sum, the first term left out
            over the first one, with or without the factor D.
        iterations: HVPs of conjugate gradient (but for its preconditioner) and of the dense solve, terms of a Neumann
            sum.
        lower_gradient_norm: ‖∇_y g‖ at (x, y), which is 0 at y*(x).
        error: ‖estimate − dense solution‖ over the norm of the latter, at the same y. NaN where it is not known: d_y is
            large, the Hessian is at fault, or a Neumann sum has samples that the dense solve has not; and of "kkt".
        lower_error: the same of the hypergradient at y and that at y*(x), by a Newton step. NaN where it is not known:
            no dense solution, or a constraint that may be active.
        assumed: what the estimate takes for granted.
        warnings: what was said.
        active: constraints of the lower level that count as active, bool (runs, constraints) or (constraints,); None
            of all estimators but "kkt".
    """

    residual: Tensor
    iterations: Tensor
    lower_gradient_norm: Tensor
    error: Tensor
    lower_error: Tensor
    assumed: tuple[str, ...]
    warnings: tuple[str, ...]
    active: Tensor | None = None

    def first(self) -> HypergradientInfo:
        """Of the first run alone."""
        parts: dict[str, Any] = {}
        for name in (spec.name for spec in dataclasses.fields(self)):
            value = getattr(self, name)
            parts[name] = value[0] if isinstance(value, Tensor) else value
        return HypergradientInfo(**parts)


@dataclass(frozen=True)
class Neumann:
    """Q, c and whether HVPs share a sample."""

    terms: int
    step: float
    samples: str


def judged(judge: Judge, estimator: str, neumann: Neumann, keep: bool) -> tuple[Tensor, HypergradientInfo]:
    """An estimate (runs, d_x) by one of the estimators, and what is known about it.

    Args:
        judge: of the point.
        estimator: "generalised_neumann", "neumann", "cg", "pcg", "exact", "pseudoinverse" or "kkt".
        neumann: for the sums.
        keep: whether rows that conjugate gradient and the dense solve cannot solve keep the former's last iterate.

    Raises:
        torch.linalg.LinAlgError: "exact" on a Hessian that is singular or not finite.
        InputError: "kkt" where the lower level's constraints are not known.
    """
    if estimator == "kkt":
        return judge.kkt()
    solve = {"exact": judge.exact, "pseudoinverse": judge.pseudoinverse}
    solve |= {name: partial(judge.conjugate_gradient, name, keep) for name in ("cg", "pcg")}
    estimate, residual, iterations, said = solve.get(estimator, lambda: judge.neumann(estimator, neumann))()
    asked = vanishing_question(judge.oracle(), judge.x, judge.y, judge.floor) if judge.check else None
    lower_error = judge.lower_error()
    error = judge.error(estimate) if estimator in solve or judge.repeatable else torch.full_like(residual, torch.nan)
    info = HypergradientInfo(
        residual=residual,
        iterations=iterations,
        lower_gradient_norm=_norm(judge.lower_gradient),
        error=error,
        lower_error=lower_error,
        assumed=judge.assumed(estimator),
        warnings=tuple(one for one in (asked or said, _far(lower_error)) if one is not None),
    )
    return estimate, info


Estimated = tuple[Tensor, Tensor, Tensor, str | None]


@dataclass(frozen=True)
class Judge:
    """A point, and the dense solution there if there can be one. Nothing here counts for anybody.

    Attributes:
        check: whether estimates are judged; otherwise only what their solvers say themselves is said.
        truth: on the samples that "cg" and "exact" draw; None unchecked, and where d_y or the number of rows is too
            large.
        lower_gradient: ∇_y g (runs, d_y), the mean of some draws where the lower level is noisy.
        stationary: bool (runs,), where it cannot be told from 0 by rounding or noise.
    """

    problem: Problem
    streams: Streams
    x: Tensor
    y: Tensor
    floor: float
    check: bool
    truth: Reference | None
    lower_gradient: Tensor
    stationary: Tensor

    @staticmethod
    def at(problem: Problem, streams: Streams, x: Tensor, y: Tensor, floor: float, check: bool) -> Judge:
        """Solve densely at (x, y), (runs, d_x) and (runs, d_y), and take the lower gradient there."""
        d = y.shape[-1]
        dense = check and d <= DENSE and len(y) * d * d <= ENTRIES
        truth = reference(Oracle(problem, streams), x, y, floor) if dense else None
        oracle = Oracle(problem, streams)
        noisy = problem.sample_lower is not None and problem.size_lower is None
        draws = torch.stack([oracle.grad_lower(x, y) for _ in range(DRAWS if noisy else 1)])
        mean = draws.mean(0)

        def rounded(t: Tensor) -> Tensor:
            return t * (1 + ROUNDINGS * torch.finfo(t.dtype).eps * oracle.draw("rounding").normal(t.shape[-1]).sign())

        # One by one and several times: rounding of both, or of a few coordinates, may cancel.
        places = [place for _ in range(DRAWN) for place in ((rounded(x), y), (x, rounded(y)))]
        moved = torch.stack([_norm(Oracle(problem, streams).grad_lower(*place) - draws[0]) for place in places])
        least = STATIONARY / ROUNDINGS * moved.amax(0)
        if noisy:
            least = torch.maximum(least, SIGNIFICANT / DRAWS**0.5 * _norm(draws.std(0)))
        return Judge(problem, streams, x, y, floor, check, truth, mean, _norm(mean) <= least)

    def oracle(self) -> Oracle:
        """Another one on the same samples."""
        return Oracle(self.problem, self.streams)

    @property
    def repeatable(self) -> bool:
        """Whether all samples are the same: there are none, or finite sums are taken whole."""
        p = self.problem
        levels = ((p.sample_lower, p.size_lower), (p.sample_upper, p.size_upper))
        return all(sampler is None or size is not None for sampler, size in levels)

    def assumed(self, estimator: str) -> tuple[str, ...]:
        """What an estimate takes for granted, in sentences."""
        problem = self.problem

        def found() -> Iterator[str]:
            if estimator == "kkt":
                yield "y is y*(x), and constraints with a slack up to the square root of rounding are the active ones"
                yield "LICQ and strict complementarity hold, as far as this active set and its multipliers show"
                if not self.repeatable:
                    yield "samples stand for their means"
                return
            yield "y is y*(x), where ∇_y g = 0"
            if estimator == "pseudoinverse":
                yield "y is the limit, for σ ↓ 0, of minimisers of σf + g, and these are Lipschitz in (x, σ)"
            elif problem.exponent == 2:
                yield "exponent=2: the lower level is strongly convex"
            elif estimator == "neumann" or (estimator == "pcg" and not problem.vanishing_hessian):
                yield f"exponent={problem.exponent:g} is not used: the estimator knows no D(y)"
            elif problem.vanishing_hessian:
                yield f"vanishing_hessian=True: everything is evaluated where |y_i| ≥ {self.floor:g}"
            else:
                yield "vanishing_hessian=False: ∇²_yy g is regular where y_i = 0"
            if problem.project_lower is not None or problem.project_upper is not None:
                yield "no constraint is active: projections are not differentiated"
            if not self.repeatable:
                yield "samples stand for their means"

        return tuple(found())

    @property
    def right(self) -> float:
        """The relative error up to which an estimate is right."""
        return RIGHT.get(self.x.dtype, ROUGHLY)

    # Estimates -------------------------------------------------------------------------------------------------

    def exact(self) -> Estimated:
        """By ``exact``."""
        estimate = hypergradients.exact(self.oracle(), self.x, self.y, floor=self.floor)
        iterations = torch.full_like(self.x[:, 0], self.y.shape[-1], dtype=torch.int64)
        if self.truth is None:
            return estimate, torch.full_like(self.x[:, 0], torch.nan), iterations, None
        return estimate, self.truth.residual, iterations, self._faults("estimator='exact'")

    def conjugate_gradient(self, estimator: str, keep: bool) -> Estimated:
        """By ``conjugate_gradient`` or ``pcg``, and by the dense solution where that is better."""
        oracle, x, y = self.oracle(), self.x, self.y
        if estimator == "cg":
            iterated, solved = hypergradients.conjugate_gradient_and_trouble(oracle, x, y, floor=self.floor)
        else:
            found = pcg.solve(oracle, x, y, floor=self.floor)
            iterated, solved = found.estimate, found.iterated
        iterations, residual, trouble = solved.iterations, solved.residual, solved.trouble
        estimate = iterated
        if self.truth is not None:
            better = ~((trouble == Trouble.NONE) & (self.error(iterated) <= self.right))
            trouble = torch.where(better, self.truth.trouble, trouble)
            estimate = torch.where(better[:, None], self.truth.value, iterated)
            residual = torch.where(better, self.truth.residual, residual)
            iterations = iterations + better * y.shape[-1]
        bad = trouble != Trouble.NONE
        estimate = torch.where(bad[:, None], iterated if keep else torch.nan, estimate)
        said = None
        if bool(bad.any()):
            now = "the last iterate" if keep else "NaN"
            said = f"estimator='{estimator}': {int(bad.sum())} of {len(bad)} runs are {now}: {reasons(trouble)}"
        return estimate, residual, iterations, said

    def pseudoinverse(self) -> Estimated:
        """By the pseudoinverse of the Hessian, and whether its conditions are met at y."""
        found = by_pseudoinverse(self.oracle(), self.x, self.y)
        iterations = torch.full_like(self.x[:, 0], self.y.shape[-1], dtype=torch.int64)
        convex, inside = found.least >= -self.right, found.outside <= self.right
        said = []
        if self.check and not bool(convex.all()):
            said.append(f"∇²_yy g has negative eigenvalues in {int((~convex).sum())} runs: y is no minimiser of g")
        if self.check and not bool(inside.all()):
            said.append(
                f"∇_y f is not in the range of ∇²_yy g in {int((~inside).sum())} runs: y is not the solution with the "
                "least f, or φ has no gradient"
            )
        what = f"estimator='pseudoinverse' of {len(convex)} runs: {'; '.join(said)}" if said else None
        return found.value, found.residual, iterations, what

    def kkt(self) -> tuple[Tensor, HypergradientInfo]:
        """By the KKT matrix; that a condition fails is said whether or not estimates are judged."""
        found = kkt.by_kkt(self.oracle(), self.x, self.y)
        bad = found.trouble != kkt.Degenerate.NONE
        said = f"estimator='kkt': {int(bad.sum())} of {len(bad)} runs are NaN: {kkt.reasons(found.trouble)}"
        unknown = torch.full_like(self.x[:, 0], torch.nan)
        return found.value, HypergradientInfo(
            residual=found.outside,
            iterations=torch.full_like(self.x[:, 0], self.y.shape[-1], dtype=torch.int64),
            lower_gradient_norm=_norm(self.lower_gradient),
            error=unknown,
            lower_error=unknown,
            assumed=self.assumed("kkt"),
            warnings=(said,) if bool(bad.any()) else (),
            active=found.active,
        )

    def neumann(self, estimator: str, sum_: Neumann) -> Estimated:
        """By one of the Neumann sums."""
        generalised = estimator == "generalised_neumann"
        at = precondition(self.oracle(), self.y, self.floor) if generalised else classical(self.y)
        estimate, residual = hypergradients.neumann_and_residual(
            self.oracle(), self.x, at, terms=sum_.terms, step=sum_.step, samples=sum_.samples
        )
        iterations = torch.full_like(self.x[:, 0], sum_.terms, dtype=torch.int64)
        return estimate, residual, iterations, self._short(estimate, residual, at, generalised, sum_)

    # What is said ----------------------------------------------------------------------------------------------

    def error(self, estimate: Tensor) -> Tensor:
        """‖estimate − truth‖/‖truth‖, 0 where that is rounding, NaN where there is no truth: (runs,)."""
        if self.truth is None:
            return torch.full_like(estimate[:, 0], torch.nan)
        return self._relative(estimate, self.truth.value)

    def _relative(self, estimate: Tensor, value: Tensor) -> Tensor:
        assert self.truth is not None
        least = CANCELLED.get(value.dtype, ROUGHLY)
        size = _norm(self.truth.f_x) + _norm(self.truth.f_x - value)
        off = _norm(estimate - value)
        return torch.where(off <= least * size, torch.zeros_like(off), off / _norm(value))

    def _faults(self, what: str) -> str | None:
        """That the Hessian allows no right estimate, and why."""
        assert self.truth is not None
        bad = self.truth.trouble != Trouble.NONE
        if not bool(bad.any()):
            return None
        return f"{what} cannot be relied on in {int(bad.sum())} of {len(bad)} runs: {reasons(self.truth.trouble)}"

    def _short(
        self, estimate: Tensor, residual: Tensor, at: Preconditioned, generalised: bool, sum_: Neumann
    ) -> str | None:
        """What is wrong with a Neumann sum: its step, the Hessian, or the number of its terms."""
        if not self.check:
            return None
        if sum_.terms > 1:
            eigenvalue = largest_eigenvalue(self.oracle(), self.x, self.y, floor=self.floor, preconditioned=generalised)
            unstable = unstable_step(sum_.step, eigenvalue)
            if unstable is not None:
                return unstable
        fault = self._faults("the Neumann sum") if self.truth is not None and self.repeatable else None
        if fault is not None:
            return fault
        off, enough, measured = self._unfinished(estimate, residual, at, sum_)
        short = ~(off <= enough)
        if not bool(short.any()):
            return None
        worst = int(torch.where(short, off.nan_to_num(nan=torch.inf), -1.0).argmax())
        head = (
            f"neumann_terms = {sum_.terms} are too few in {int(short.sum())} of {len(short)} runs: a residual of "
            f"{float(residual[worst]):.2g}"
        )
        if bool(measured[worst]):
            head += f", an estimate off by {float(off[worst]):.2g} of ∇φ"
        if not generalised and self.problem.vanishing_hessian and bool((self.y.abs() < self.floor).any()):
            return (
                f"the classical Neumann sum is off by {float(off[worst]):.2g} of ∇φ: it does not see coordinates of y "
                "near 0, where ∇_y f and ∇²_yy g vanish; use estimator='generalised_neumann'"
            )
        return f"{head}; {self._advice(worst, float(off[worst] / enough[worst]), at, sum_)}"

    def _unfinished(
        self, estimate: Tensor, residual: Tensor, at: Preconditioned, sum_: Neumann
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What a sum's end leaves out, and how much of that is nothing to speak of, (runs,) each.

        Where there is a dense solution, the error of the same sum on its sample, which counts unless other samples make
        more of a difference; otherwise the residual. The third part says which.
        """
        enough = torch.full_like(residual, ROUGHLY)
        if self.truth is None:
            return residual, enough, torch.zeros_like(residual, dtype=torch.bool)
        measured = self.truth.trouble == Trouble.NONE
        summed = estimate
        if not self.repeatable:
            summed = hypergradients.shared_sum(self.oracle(), self.x, at, terms=sum_.terms, step=sum_.step)
        right = self._relative(estimate, summed).nan_to_num(nan=0.0).clamp_min(self.right)
        return torch.where(measured, self.error(summed), residual), torch.where(measured, right, enough), measured

    def _advice(self, row: int, excess: float, at: Preconditioned, sum_: Neumann) -> str:
        """How many terms would do, and at which step fewer, where what is left is too large by a factor."""
        if self.truth is not None and int(self.truth.trouble[row]) == Trouble.NONE:
            root = at.scale[row].double().rsqrt()
            matrix = root[:, None] * self.truth.hessian[row] * root
            values = torch.linalg.eigvalsh((matrix + matrix.mT) / 2)
            unscaled = torch.linalg.eigvalsh(self.truth.hessian[row])
            null = int((unscaled <= unscaled[-1] * torch.finfo(self.y.dtype).eps).sum())  # D changes no rank
            least, largest = float(values[min(null, len(values) - 1)]), float(values[-1])
            factor = max(abs(1 - sum_.step * least), abs(1 - sum_.step * largest))
            best = 2 / (least + largest)
            if 0 < factor < 1 and excess < math.inf:
                needed = terms_needed(sum_.terms, excess, factor)
                fewer = f"; neumann_step = {best:.3g} needs fewer" if best > 1.5 * sum_.step else ""
                instead = "; estimator='cg' needs none" if needed > MANY else ""
                return f"about {needed:,} terms would do{fewer}{instead}"
        return "more terms or a larger neumann_step below 2/λ_max would do"

    def lower_error(self) -> Tensor:
        """How far the hypergradient at y is from that at y*(x), relative to it, by one Newton step: (runs,).

        Where the Hessian vanishes at the solution, such a step goes 1/(p − 1) of the way only. Infinite where the
        hypergradient is not defined at its end, 0 where the lower gradient cannot be told from 0.
        """
        unknown = torch.full_like(self.x[:, 0], torch.nan)
        if self.truth is None or self.problem.project_lower is not None:
            return unknown
        nearer = self.y - self.truth.inverse(self.lower_gradient)
        there = reference(self.oracle(), self.x, nearer, self.floor)
        moved = self._relative(there.value, self.truth.value) * (self.problem.exponent - 1)
        moved = torch.where(self.stationary, 0.0, moved.nan_to_num(nan=torch.inf))
        return torch.where(self.truth.trouble == Trouble.NONE, moved, unknown)


def _far(lower_error: Tensor) -> str | None:
    far = lower_error > ROUGHLY
    if not bool(far.any()):
        return None
    return (
        f"y is far from y*(x) in {int(far.sum())} of {len(far)} runs: a Newton step on the lower level changes the "
        f"hypergradient by {float(lower_error[far].max()):.2g} of its size; solve the lower level first"
    )


def _norm(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows, dim=-1)
