"""Where assumptions are looked at: a box around the origin, and points of it, many with coordinates of y near 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.problem import Problem
from unibio.errors import InputError


@dataclass(frozen=True)
class Region:
    """|x_i| ≤ x, |y_i| ≤ y, less what the problem's constraints forbid.

    Raises:
        InputError: a radius that is not a finite number above 0.
    """

    x: float = 3.0
    y: float = 2.0

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise InputError(f"a region's {name} must be a finite number above 0, got {value!r}")

    def times(self, factor: float) -> Region:
        """The region with both radii multiplied."""
        return Region(self.x * factor, self.y * factor)


@dataclass(frozen=True)
class Space:
    """Points of a region, stored as rows (x | y), with further copies of y where several belong to one x.

    Attributes:
        problem: whose constraints points keep.
        region: the box.
        d_x, d_y: dimensions.
        generator: of all random numbers.
        copies: of y in a row.
    """

    problem: Problem
    region: Region
    d_x: int
    d_y: int
    generator: torch.Generator
    copies: int = 1

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return self.d_x + self.copies * self.d_y

    @property
    def radii(self) -> Tensor:
        """Of every number in a row: (width,)."""
        ends = torch.full((self.width,), float(self.region.y), dtype=torch.float64)
        ends[: self.d_x] = self.region.x
        return ends

    def uniform(self, *shape: int) -> Tensor:
        """On [0, 1)."""
        return torch.rand(*shape, generator=self.generator, dtype=torch.float64)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal."""
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def inside(self, points: Tensor) -> Tensor:
        """The nearest points of the region, and of the feasible sets: (rows, width)."""
        points = torch.clamp(points, -self.radii, self.radii)
        upper, lower = self.problem.project_upper, self.problem.project_lower
        parts = list(points.split([self.d_x] + self.copies * [self.d_y], dim=1))
        if upper is not None:
            parts[0] = upper(parts[0])
        if lower is not None:
            parts[1:] = [lower(part) for part in parts[1:]]
        return torch.cat(parts, dim=1)

    def points(self, rows: int) -> Tensor:
        """Random ones, the copies of y in a row unrelated, every second row with some
        coordinates nearer to 0: (rows, width)."""
        spread = (2 * self.uniform(rows, self.width) - 1) * self.radii
        near = self.uniform(rows, self.width) < 0.3
        near[::2] = False
        shrunk = spread * 10.0 ** (-3 * self.uniform(rows, self.width))
        return self.inside(torch.where(near, shrunk, spread))

    def shrinking(self, rows: int, each: int) -> Tensor:
        """Coordinates to move towards 0: a few of y and x, or all of y; bool (rows, each, width)."""
        few = self.uniform(rows, each, self.width) < 1 / 3
        all_of_y = self.uniform(rows, each, 1) < 0.25
        all_of_y = all_of_y & (torch.arange(self.width) >= self.d_x)
        return few | all_of_y

    def contracted(self, points: Tensor) -> Tensor:
        """Points whose copies of y are ten times as near to the first: (rows, width)."""
        x, first, *others = points.split([self.d_x] + self.copies * [self.d_y], dim=1)
        return torch.cat([x, first, *(first + 0.1 * (other - first) for other in others)], dim=1)

    def segments(self, rows: int, moving: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs of points, far and near ones, and some across 0 in some coordinates: two (rows, width).

        Args:
            rows: pairs.
            moving: bool (width,), the columns in which the points of a pair may differ.
        """
        start, end = self.points(rows), self.points(rows)
        near = start + (end - start) * 10.0 ** (-2 * self.uniform(rows, 1))
        third = torch.arange(rows)[:, None] % 3
        end = torch.where(third == 1, near, end)
        across = (self.uniform(rows, self.width) < 0.5) & (third == 2)
        end = torch.where(across, -start * self.uniform(rows, self.width), torch.where(third == 2, start, end))
        return start, self.inside(torch.where(moving, end, start))
