"""Searches for the largest value and for the steepest pair of points, which zoom in by a decade a level.

What is bounded stops growing as a search zooms in. What is not grows by a power of the distance to where it breaks, and
so by a factor a decade: that is how a limit that does not exist looks on a computer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.assumptions.region import Space

#: Decades that a search zooms in by, and the one from which on growth is looked for.
DECADES, SETTLED = 6, 2
#: Powers of ten by which a constant grows a decade, from which on it has no bound.
UNBOUNDED = 0.05
#: Points, or pairs, that a level hands on; new ones that it tries around each.
KEPT, TRIED = 12, 16
#: Pieces that a segment is cut into.
PIECES = 10
#: Units of rounding of the values compared below which a difference is none.
ROUNDING = 1e6 * torch.finfo(torch.float64).eps
#: Values of points: (rows, width) → (rows,).
Value = Callable[[Tensor], Tensor]
#: What is compared between points: (rows, width) → (rows, m), with the norm of differences (rows, m) → (rows,).
Mapped = Callable[[Tensor], Tensor]
Norm = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Trail:
    """What a search found.

    Attributes:
        levels: the largest value up to each level; of pairs, by the decades of their distances.
        where: the point, or an end of the pair, that the search ended at, (width,).
    """

    levels: tuple[float, ...]
    where: Tensor

    @property
    def value(self) -> float:
        """The largest."""
        return self.levels[-1]

    @property
    def growth(self) -> float:
        """Powers of ten by which the value grows a decade, once the search has settled; inf where it is infinite."""
        first, last = self.levels[SETTLED], self.levels[-1]
        if not math.isfinite(last):
            return math.inf
        if last <= 0:
            return 0.0
        return math.log10(last / max(first, 1e-12 * last)) / (DECADES - SETTLED)

    @property
    def account(self) -> str:
        """How the value goes on, in words."""
        if not math.isfinite(self.value):
            return "is infinite"
        return f"grew from {self.levels[SETTLED]:.2g} to {self.value:.2g} as the search came nearer,"

    @property
    def bounded(self) -> bool:
        """Whether it looks so."""
        return self.growth < UNBOUNDED


def _known(values: Tensor) -> Tensor:
    """What is no number counts as infinite."""
    return torch.where(torch.isnan(values), math.inf, values)


def largest(value: Value, space: Space, points: int, start: Tensor | None = None) -> Trail:
    """The largest value over the region, as far as a search finds it.

    Args:
        value: the function.
        space: of its points.
        points: random points to begin with.
        start: further ones, (rows, width).
    """
    rows = space.points(points) if start is None else torch.cat([space.points(points), start])
    values = _known(value(rows))
    levels: list[float] = []
    for level in range(DECADES + 1):
        if level:
            around = (len(rows), TRIED, space.width)
            near = rows[:, None] + 10.0**-level * space.radii * space.normal(*around)
            # one coordinate in a few, so that others keep what made a point bad
            near = torch.where(space.uniform(*around) < 0.5, near, rows[:, None])
            shrunk = torch.where(space.shrinking(len(rows), TRIED), 0.1, 1.0) * rows[:, None]
            tried = torch.cat([near, shrunk, space.contracted(rows)[:, None]], dim=1).flatten(0, 1)
            tried = space.inside(tried)
            rows, values = torch.cat([rows, tried]), torch.cat([values, _known(value(tried))])
        best = values.topk(min(KEPT, len(values))).indices
        rows, values = rows[best], values[best]
        levels.append(float(values[0]))
    return Trail(tuple(levels), rows[0])


def steepest(mapped: Mapped, norm: Norm, space: Space, moving: Tensor, segments: int) -> Trail:
    """The largest ‖h(a) − h(b)‖/‖a − b‖ over pairs of points, as far as a search finds it.

    Segments are cut into pieces, the steepest of which is at least as steep as the whole, and turned and shifted.

    Args:
        mapped, norm: h and the norm of its differences.
        space: of the points.
        moving: bool (width,), columns in which the points of a pair may differ.
        segments: random pairs to begin with.
    """

    longest = float(space.radii.max())
    levels = torch.zeros(DECADES + 1, dtype=torch.float64)

    def slopes(start: Tensor, end: Tensor) -> Tensor:
        first, last = mapped(start), mapped(end)
        change = _known(norm(last - first))
        size = torch.maximum(norm(first), norm(last))
        length = torch.linalg.vector_norm(end - start, dim=1)
        decade = (longest / length).log10().ceil().clamp(0).nan_to_num(posinf=DECADES + 1)
        found = torch.where((change > ROUNDING * size) & (decade <= DECADES), change / length, 0.0)
        levels.scatter_reduce_(0, decade.clamp(max=DECADES).long(), found, "amax")
        return found

    start, end = space.segments(segments, moving)
    values = slopes(start, end)
    for level in range(DECADES + 1):
        if level:
            pieces = torch.linspace(0, 1, PIECES + 1, dtype=torch.float64)[None, :, None]
            cuts = start[:, None] + pieces * (end - start)[:, None]
            start, end = cuts[:, :-1].flatten(0, 1), cuts[:, 1:].flatten(0, 1)
            start, end, values = _kept(start, end, slopes(start, end))
            step = end - start
            length = torch.linalg.vector_norm(step, dim=1)[:, None, None] / math.sqrt(float(moving.sum()))
            around = (len(start), TRIED, space.width)
            turned = torch.where(moving, step[:, None] + length * space.normal(*around), 0.0)
            shift = torch.where(space.uniform(len(start), TRIED, 1) < 0.5, 0.0, length * space.normal(*around))
            first = space.inside((start[:, None] + shift).flatten(0, 1))
            last = space.inside((start[:, None] + shift + turned).flatten(0, 1))
            last = torch.where(moving, last, first)
            start, end = torch.cat([start, first]), torch.cat([end, last])
            values = torch.cat([values, slopes(first, last)])
        start, end, values = _kept(start, end, values)
    return Trail(tuple(levels.cummax(0).values.tolist()), start[0])


def _kept(start: Tensor, end: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    best = values.topk(min(KEPT, len(values))).indices
    return start[best], end[best], values[best]
