"""Whether a problem satisfies Assumptions 3.2 to 3.4 of the paper, looked at numerically on a region.

Sampling refutes and never proves. A constant that is found is a lower bound of the true one (of a modulus, and of a
smallest singular value, an upper bound). An assumption is said to fail where its constant grows by a power of the
distance as a search zooms in: there is none.

Where the text of an assumption did not survive in full (the last part of 3.2(v), Eq. (3) of 3.4), it is read as the
proofs that use it need it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.assumptions import noise
from unibio.core.assumptions.measures import Measures, in_parts, vector_norm
from unibio.core.assumptions.region import Region, Space
from unibio.core.assumptions.searching import UNBOUNDED, Trail, largest, steepest
from unibio.core.problem import Problem

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
#: Random points, and pairs, that a search starts from.
POINTS = 400
#: How much larger the second region is, and by how much a constant must grow with it to be worth saying.
LARGER, NOTED = 4.0, 1.5
#: Points whose Hessians are looked at for a direction in which g is flat.
FLATTEST = 64
#: Powers of ten of the region's radii at which φ is looked at, and points of each.
FAR, FAR_POINTS = 4, 64


@dataclass(frozen=True)
class Finding:
    """What was found about one assumption, or one part of it.

    Attributes:
        assumption: its number in the paper.
        claim: what it says.
        verdict: HOLDS, FAILS or UNDECIDED, of the region.
        symbol: of the constant, with how the true one compares with that found.
        constant: that was found.
        reason: why not, and where; empty where it holds.
        larger: the constant's ratio where the region is LARGER times as large; 1 where that was not looked at.
    """

    assumption: str
    claim: str
    verdict: str
    symbol: str
    constant: float
    reason: str = ""
    larger: float = 1.0

    @property
    def grows(self) -> bool:
        """Whether the constant is one of the region more than of the problem."""
        return self.verdict == HOLDS and self.larger > NOTED


def examine(problem: Problem, region: Region | None = None, *, seed: int = 0, points: int = POINTS) -> list[Finding]:
    """Look at every part of Assumptions 3.2 to 3.4.

    Args:
        problem: with a start. Its own derivatives are taken as they are.
        region: of x and y; |x_i| ≤ 3, |y_i| ≤ 2 if left out.
        seed: of the search.
        points: random points that every search starts from.

    Raises:
        InputError: the problem is too large, or cannot be evaluated without a sample.
    """
    return list(_Examination(problem, region or Region(), seed, points).findings())


class _Examination:
    """One problem on one region."""

    def __init__(self, problem: Problem, region: Region, seed: int, points: int):
        self.problem, self.region, self.seed, self.points = problem, region, seed, points
        self.measures = Measures(problem)

    def space(self, factor: float = 1.0, copies: int = 1) -> Space:
        """Every search has the same random numbers to begin with, so that none depends on those before it."""
        generator = torch.Generator().manual_seed(self.seed)
        m = self.measures
        return Space(self.problem, self.region.times(factor), m.d_x, m.d_y, generator, copies)

    def findings(self) -> list[Finding]:
        m = self.measures
        crossed, square = m.d_x * m.d_y, m.d_y**2
        every, of_x = torch.ones(m.d_x + m.d_y, dtype=torch.bool), torch.arange(m.d_x + m.d_y) < m.d_x
        generalised, cross = in_parts(m.generalised, square), in_parts(m.crossed, crossed)
        found = [
            self.convexity(),
            self.bounded("3.2(ii)", "‖∇²_yy g‖ ≤ L (1 + ‖∇_y g‖)", "L ≥", in_parts(m.relaxed, square), stationary=True),
            self.lipschitz("3.2(iii)", "∇_y g is Lipschitz in x", m.lower_y, vector_norm, of_x),
            self.lipschitz("3.2(iv)", "∇²_xy g is Lipschitz", cross, m.matrix_norm, every),
            self.lipschitz("3.2(v)", "d∇_y g/dz exists and is Lipschitz", generalised, m.matrix_norm, every),
            self.regular(in_parts(lambda w: m.least_singular(m.generalised(w)), square)),
            self.bounded(
                "3.2(vi)", "‖d∇_y g/dz‖ ≤ C", "C ≥", in_parts(lambda w: m.matrix_norm(m.generalised(w)), square)
            ),
            self.lipschitz("3.3(i)", "∇_x f is Lipschitz", m.upper_x, vector_norm, every),
            self.lipschitz("3.3(ii)", "df/dz exists and is Lipschitz", m.upper_z, vector_norm, every),
            self.bounded("3.3(iii)", "‖df/dz‖ ≤ L", "L ≥", lambda w: vector_norm(m.upper_z(w))),
            self.bounded_below(),
        ]
        for level, claim, derivative, size in (
            ("upper", "∇_x F", m.upper_x, m.d_x),
            ("upper", "dF/dz", m.upper_z, m.d_y),
            ("lower", "∇²_xy G", m.crossed, crossed),
            ("lower", "d∇_y G/dz", m.generalised, square),
        ):
            found.append(self.noisy(level, claim, derivative, size))
        return [*found, self.light_tailed()]

    # Lower level ------------------------------------------------------------------------------------------------------

    def convexity(self) -> Finding:
        """3.2(i)."""

        def inverse(triples: Tensor) -> Tensor:
            modulus = self.measures.modulus(triples)
            return torch.where(modulus > 0, 1 / modulus, torch.inf)

        trails = []
        for factor in (1.0, LARGER):
            space = self.space(factor, copies=2)
            # pairs on both sides of 0 that differ in all coordinates alike, where the Euclidean norm costs most
            signs = torch.where(space.uniform(self.points, space.d_y) < 0.5, -1.0, 1.0)
            sides = [signs * space.region.y * space.uniform(self.points, 1) for _ in range(2)]
            x = space.points(self.points)[:, : space.d_x]
            apart = torch.cat([x, sides[0], -sides[1]], dim=1)
            # and pairs along the flattest direction
            some = space.points(FLATTEST)[:, : space.d_x + space.d_y]
            along = space.region.y * self.measures.flattest(some) * (2 * space.uniform(FLATTEST, 1) - 1)
            along = torch.cat([some, some[:, space.d_x :] + along], dim=1)
            trails.append(largest(inverse, space, self.points, space.inside(torch.cat([apart, along]))))
        trail, wide = trails
        modulus = 1 / trail.value if trail.value < math.inf else float(self.measures.modulus(trail.where[None]))
        reason = ""
        if not trail.bounded:
            what = (
                "g has no curvature, or a negative one, between two points" if modulus <= 0 else f"1/μ {trail.account}"
            )
            reason = f"no modulus: {what} {self._place(trail)}"
        return self._finding(
            "3.2(i)", f"g is uniformly convex in y, exponent {self.measures.p:g}", "μ ≤", modulus, reason, trail, wide
        )

    def regular(self, least: Callable[[Tensor], Tensor]) -> Finding:
        """The last part of 3.2(v): Lemma B.2's conclusion."""

        def inverse(points: Tensor) -> Tensor:
            value = least(points)
            return torch.where(value > 0, 1 / value, torch.inf)

        trail, wide = (largest(inverse, self.space(factor), self.points) for factor in (1.0, LARGER))
        reason = "" if trail.bounded else f"it becomes singular: its inverse {trail.account} {self._place(trail)}"
        return self._finding(
            "3.2(v)", "singular values of d∇_y g/dz ≥ μ", "μ ≤", 1 / trail.value, reason, trail, wide
        )  # fmt: skip

    # Both levels ------------------------------------------------------------------------------------------------------

    def bounded(
        self, assumption: str, claim: str, symbol: str, value: Callable[[Tensor], Tensor], stationary: bool = False
    ) -> Finding:
        """That a value of points has a bound; ``stationary`` looks at y*(x), where it is known, besides."""
        trails = []
        for factor in (1.0, LARGER):
            space, start = self.space(factor), None
            solution = self.problem.closed_form.solution
            if stationary and solution is not None:
                x = space.points(self.points)[:, : space.d_x]
                start = space.inside(torch.cat([x, solution(x)], dim=1))
            trails.append(largest(value, space, self.points, start))
        trail, wide = trails
        reason = "" if trail.bounded else f"no bound: it {trail.account} {self._place(trail)}"
        return self._finding(assumption, claim, symbol, trail.value, reason, trail, wide)

    def lipschitz(
        self,
        assumption: str,
        claim: str,
        mapped: Callable[[Tensor], Tensor],
        norm: Callable[[Tensor], Tensor],
        moving: Tensor,
    ) -> Finding:
        """That a function of points is Lipschitz."""
        trail, wide = (
            steepest(mapped, norm, self.space(factor), moving, self.points) for factor in (1.0, LARGER)
        )  # fmt: skip
        reason = ""
        if not trail.bounded:
            reason = f"not Lipschitz: its slope {trail.account} {self._place(trail)}"
        return self._finding(assumption, claim, "L ≥", trail.value, reason, trail, wide)

    def bounded_below(self) -> Finding:
        """3.3(iv), at larger and larger distances."""
        value = self.problem.closed_form.value
        known, gaps = value is not None, [0.0]
        for power in range(FAR + 1):
            space = self.space(10.0**power)
            x, y = self.measures.split(torch.cat([space.points(FAR_POINTS), self.measures.start]))
            height = value(x) if value is not None else self.problem.upper(x, y, None)
            # from φ(x_0), or where φ is not known from f at the start, which may be larger or smaller than it
            gap = float(height[-1] - height.min())
            gaps.append(max(gap if math.isfinite(gap) else math.inf, gaps[-1]))
        claim = "φ(x_0) − inf φ is finite" if known else "f is bounded below, and so φ"
        fell = gaps[-1] / gaps[-3] if gaps[-3] > 0 else (math.inf if gaps[-1] > 0 else 1.0)
        if fell < 10 ** (2 * UNBOUNDED):
            return Finding("3.3(iv)", claim, HOLDS, "Δ ≥", gaps[-1])
        reason = (
            f"{'φ' if known else 'f'} keeps falling: by {gaps[-1]:.3g} below its value at the start where |x_i| may be "
            f"{self.region.x * 10.0**FAR:g}, by {gaps[-3]:.3g} where it may be {self.region.x * 10.0 ** (FAR - 2):g}"
        )
        if not known:
            reason += "; φ itself is not known in closed form"
        return Finding("3.3(iv)", claim, FAILS if known else UNDECIDED, "Δ ≥", gaps[-1], reason)

    # Noise ------------------------------------------------------------------------------------------------------------

    def noisy(self, level: str, what: str, derivative: noise.Derivative, size: int) -> Finding:
        """That samples of a derivative are unbiased with a bounded variance."""
        claim = f"{what} is unbiased, of variance ≤ σ²"
        if getattr(self.problem, f"sample_{level}") is None:
            return Finding("3.4", claim, HOLDS, "σ² =", 0.0)
        value = noise.variance(self.measures, level, derivative, size)
        trail = largest(value, self.space(), min(self.points, 48))
        wide = largest(value, self.space(LARGER), min(self.points, 48))
        reason = "" if trail.bounded else f"no bound of the variance, which {trail.account} {self._place(trail)}"
        off = noise.bias(self.measures, level, derivative, self.space().points(2)[:1])
        if not off < noise.ERRORS**2:
            reason = f"biased: the mean of {noise.MANY} samples is {math.sqrt(off):.3g} standard errors off"
        return self._finding("3.4", claim, "σ² ≥", trail.value, reason, trail, wide)

    def light_tailed(self) -> Finding:
        """That the noise of ∇_y G has light tails."""
        claim = "∇_y G is unbiased, with E exp(‖noise‖²/σ²) ≤ e"
        if self.problem.sample_lower is None:
            return Finding("3.4", claim, HOLDS, "σ² =", 0.0)
        point = self.space().points(2)[:1]
        off = noise.bias(self.measures, "lower", self.measures.lower_y, point)
        value = noise.variance(self.measures, "lower", self.measures.lower_y, self.measures.d_y)
        trail, wide = (largest(value, self.space(factor), min(self.points, 48)) for factor in (1.0, LARGER))
        few, many = (trail.value, trail.value) if self.problem.size_lower else noise.tails(self.measures, point)
        reason = "" if trail.bounded else f"no bound of the variance, which {trail.account} {self._place(trail)}"
        if many > noise.LIGHT * few:
            reason = (
                f"heavy tails: {noise.GROUP} samples ask for σ² = {few:.3g}, {noise.ALL} for {many:.3g}, at one point"
            )
        if not off < noise.ERRORS**2:
            reason = f"biased: the mean of {noise.MANY} samples is {math.sqrt(off):.3g} standard errors off"
        return self._finding("3.4", claim, "σ² ≥", max(many, trail.value), reason, trail, wide)

    # Words ------------------------------------------------------------------------------------------------------------

    def _finding(
        self, assumption: str, claim: str, symbol: str, constant: float, reason: str, trail: Trail, wide: Trail
    ) -> Finding:
        ratio = wide.value / trail.value if 0 < trail.value < math.inf else 1.0
        return Finding(assumption, claim, FAILS if reason else HOLDS, symbol, constant, reason, ratio)

    def _place(self, trail: Trail) -> str:
        """Where: the coordinate of y that is nearest to 0 where that may be why, or the first few of everything."""
        x, y = trail.where.split([self.measures.d_x, len(trail.where) - self.measures.d_x])
        i = int(y.abs().argmin())
        if self.measures.p > 2 and float(y[i].abs()) < 1e-4 * self.region.y:
            return f"where y_{i % self.measures.d_y + 1} → 0 (here {float(y[i]):.1e})"
        return f"near x = {_shown(x)}, y = {_shown(y[: self.measures.d_y])}"


def _shown(vector: Tensor, most: int = 3) -> str:
    numbers = [f"{value:.3g}" for value in vector[:most].tolist()]
    return numbers[0] if len(vector) == 1 else f"({', '.join(numbers)}{', …' if len(vector) > most else ''})"
