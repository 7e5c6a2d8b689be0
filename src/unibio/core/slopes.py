"""Derivatives against central differences, with an error that is estimated from the differences themselves.

Along a line, a central difference D(t) = (F(t) − F(−t))/2t of a smooth F is wrong by O(t²) and by the rounding of F
divided by t. Both show in what else F's values at −2t, −t, 0, t, 2t say: D(2t) − D(t) is a multiple of the first, and
contains the second; 2S(t) − S(2t), where S(t) = (F(t) − 2F(0) + F(−t))/t is the difference of the one-sided slopes, is
O(t³) where F is smooth and as large as the slopes' jump where F has a kink. A derivative is called wrong only where it
differs from D by several times their sum, at the step at which that sum is least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

#: How far points lie around a start, relative to every coordinate.
RADIUS = 0.1
#: A point is at most twice this far along a line whose ends are at ±½.
LONGEST = 0.24
#: A difference from D beyond so many times the estimated error is none of rounding or curvature.
BEYOND = 5.0
#: Differences confirm a derivative that others contradicted if their error is at most this much of what was wrong then.
TELLING = 0.3


class Line(NamedTuple):
    """Points ``middle + t · direction``, feasible for |t| ≤ ½: (rows, d) each."""

    middle: Tensor
    direction: Tensor
    radius: float

    def at(self, t: float) -> Tensor:
        """A point of every row."""
        return torch.add(self.middle, self.direction, alpha=t) if t else self.middle.clone()


def line(
    start: Tensor, project: Callable[[Tensor], Tensor] | None, generator: torch.Generator, radius: float = RADIUS
) -> Line:
    """A random line near a start; between two points of the feasible set, which convexity keeps it in.

    Coordinates are moved relative to their size, so that their signs stay, and zeros by the size of the row's others;
    further, where a projection brings both points back to one.

    Args:
        start: (rows, d).
        project: onto the feasible set.
        generator: on the CPU.
        radius: relative distance.
    """
    typical = torch.linalg.vector_norm(start, dim=-1, keepdim=True) / start.shape[-1] ** 0.5
    typical = torch.where(typical > 0, typical.clamp(max=1.0), torch.ones_like(typical))
    size = torch.where(start == 0, typical, start.abs())

    def drawn() -> Tensor:
        return torch.rand(start.shape, generator=generator, dtype=start.dtype, device="cpu")

    def point(distance: float, move: Tensor) -> Tensor:
        moved = torch.addcmul(start, size, move.to(start.device), value=distance)
        return moved if project is None else project(moved)

    for distance in (radius, 10 * radius, 100 * radius):
        middle, way = 2 * drawn() - 1, (1 + drawn()) / 2  # every coordinate moves: none is hardly looked at
        way = torch.where(drawn() < 0.5, -way, way)
        one, other = point(distance, middle - way), point(distance, middle + way)
        direction = other - one
        if project is None or bool((direction != 0).any(-1).all()):
            break
    return Line(torch.lerp(one, other, 0.5), direction, radius)


@dataclass(frozen=True)
class Slope:
    """One derivative, to be compared with differences.

    Attributes:
        function: t -> F at the line's point: (rows,) or (rows, d).
        claimed: what is said to be its derivative at t = 0, of F's shape.
        size: what the derivative is compared with, where it may be small by chance: its expected size.
        radius: of the line.
        rough: a norm of F's values beyond their own whose rounding is in them: a gradient has that of its loss.
    """

    function: Callable[[float], Tensor]
    claimed: Tensor
    size: float
    radius: float
    rough: float = 0.0

    @property
    def tolerance(self) -> float:
        """A relative difference that is none of a mistake in a formula: ε^{1/3}."""
        return _epsilon(self.claimed) ** (1 / 3)

    def happens_to_be_small(self) -> bool:
        """Whether it is much smaller than in most directions, so that little of a mistake would show."""
        return _norm(self.claimed) < 0.3 * self.size

    def agrees(self) -> bool:
        """Whether one pair of points settles that the derivative is right."""
        step = min(LONGEST, self.tolerance / self.radius)
        plus, minus = self.function(step), self.function(-step)
        slope = (plus - minus) / (2 * step)
        gap = _norm(slope - self.claimed)
        noise = 4 * _epsilon(plus) * max(_norm(plus), _norm(minus), self.rough) / step
        return gap <= noise + self.tolerance * max(self.size, _norm(slope))

    def verdict(self, wrong: float = 1.0) -> Verdict:
        """What differences say.

        Args:
            wrong: how much of the derivative was wrong at another point.
        """
        tried, unseen = self._measured() if bool(torch.isfinite(self.claimed).all()) else ([], 0.0)
        if not tried:
            return Verdict(None, 0.0, False)
        tolerance = max(self.tolerance, unseen ** (1 / 3))
        best = min(range(len(tried)), key=lambda k: tried[k].error)
        slope, error = tried[best].slope, tried[best].error
        size = max(self.size, _norm(slope))
        gap = _norm(slope - self.claimed)
        if gap <= max(BEYOND * error, tolerance * size):
            return Verdict(None, 0.0, BEYOND * error <= TELLING * wrong * size)
        # Shorter steps count unless rounding is all there is to their error: F may vary faster than longer ones see.
        for one in tried[:best]:
            if one.error > 3 * one.noise and _norm(one.slope - self.claimed) <= BEYOND * one.error:
                return Verdict(None, 0.0, False)
        return Verdict(slope, gap / size, False)

    def _measured(self) -> tuple[list[_Measured], float]:
        """D and its estimated error at steps from short to long, where F is finite; the largest relative change unseen.

        What F does not see is below the precision it is computed in, which may be less than its type's.
        """
        centre = self.function(0.0)
        shortest = min(LONGEST, self.tolerance / self.radius)
        steps = sorted({min(LONGEST, shortest * factor) for factor in (1 / 30, 1 / 6, 1, 6, 30, 180, 900, torch.inf)})
        found, unseen = [], 0.0
        for step in steps:
            one, other = self.function(step), self.function(-step)
            far, opposite = self.function(2 * step), self.function(-2 * step)
            values = (opposite, other, centre, one, far)
            same = [torch.equal(a, b) for a, b in pairwise(values)]
            if any(same) and not (step == steps[-1] and all(same)):
                unseen = step * self.radius
                continue
            slope, longer = (one - other) / (2 * step), (far - opposite) / (4 * step)
            kink = 2 * (one - 2 * centre + other) / step - (far - 2 * centre + opposite) / (2 * step)
            noise = 4 * _epsilon(centre) * max(self.rough, *map(_norm, values)) / step
            error = _norm(longer - slope) + _norm(kink) + noise
            if error < torch.inf:  # false for NaN
                found.append(_Measured(slope, error, noise))
        return found, unseen


class Verdict(NamedTuple):
    """D where it contradicts the derivative; how much of that is wrong; whether D confirms it, not merely allows it."""

    contradicts: Tensor | None
    wrong: float
    confirms: bool


class _Measured(NamedTuple):
    """D at one step, its estimated error, and the part of it that rounding explains."""

    slope: Tensor
    error: float
    noise: float


def multiple(claimed: Tensor, slope: Tensor) -> float | None:
    """The factor c of claimed = c · slope, where it is one."""
    square = float((slope * slope).sum())
    if not square:
        return None
    factor = float((claimed * slope).sum()) / square
    return factor if _norm(claimed - factor * slope) <= 1e-2 * max(_norm(claimed), _norm(slope)) else None


def _norm(t: Tensor) -> float:
    return float(torch.linalg.vector_norm(t))


def _epsilon(t: Tensor) -> float:
    return torch.finfo(t.dtype).eps
