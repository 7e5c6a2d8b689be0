"""Points near the start of a problem, with one sample of either level: where a probe looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
from torch import Tensor

from unibio.core.forms import failure
from unibio.core.handed import check_axes
from unibio.core.oracle import Oracle, Sample
from unibio.core.problem import Problem
from unibio.core.slopes import RADIUS, Line, line
from unibio.core.streams import Streams
from unibio.errors import InputError

ROLES = ("upper", "lower")
#: Where the Hessian vanishes at 0, coordinates of y below this part of the others' size are looked at farther from it.
SMALL = 0.2


@dataclass(frozen=True)
class Near:
    """Random lines through a point near the start; ``rows`` (bool, (rows,)) are those where both losses are finite."""

    x_line: Line
    y_line: Line
    rows: Tensor

    @property
    def x(self) -> Tensor:
        """The point, (rows, d_x)."""
        return self.x_line.middle

    @property
    def y(self) -> Tensor:
        """The point, (rows, d_y)."""
        return self.y_line.middle


class Surroundings:
    """A problem near its start.

    Args:
        problem: prepared.
        x, y: the start, (rows, d_x) and (rows, d_y).
        size: data points of the samples; None for all there are.
    """

    def __init__(self, problem: Problem, x: Tensor, y: Tensor, size: int | None):
        self.problem, self.x, self.y, self.size = problem, x, y, size
        self.oracle = Oracle(problem, Streams(range(len(x)), x.device, x.dtype))
        self.generator = torch.Generator(device="cpu").manual_seed(0)

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """One sample of either level."""
        found = {}
        for role in ROLES:
            value = self.problem.probed(role, range(len(self.x)), self.x, self.size)
            check_axes(f"sample_{role}", value, len(self.x))
            found[role] = Sample(value)
        return found

    def value(self, role: str, x: Tensor, y: Tensor) -> Tensor:
        """A loss, (rows,), of floating type."""
        with torch.no_grad():
            value: Tensor = getattr(self.problem, role)(x, y, self.samples[role].value)
        return value if value.dtype.is_floating_point else value.to(x.dtype)

    def near(self, scale: float = 1.0, like: Near | None = None, radius: float = RADIUS) -> Near:
        """Random lines near the start, nearer where the losses are not finite, or fail, so far from it.

        Args:
            scale: of the start.
            like: lines whose directions to take, except where they might leave a feasible set; with a smaller radius,
                near their point and not near the start.
            radius: how far to look at most, relative to the point.
        """
        found: Near | None = None
        x, y = (self.x, self.y) if like is None or radius >= RADIUS else (like.x, like.y)
        ys = [_away(y), y] if self.problem.vanishing_hessian and (like is None or radius >= RADIUS) else [y]
        shortest = torch.finfo(x.dtype).eps ** 0.5  # or rounding would be all there is to see
        distances = sorted({max(shortest, factor * radius) for factor in (1, 1e-3, 1e-6)}, reverse=True)
        for y, distance in product(ys, distances):
            one = self._line(scale * x, "upper", distance, None if like is None else like.x_line)
            other = self._line(scale * y, "lower", distance, None if like is None else like.y_line)
            try:
                values = [self.value(role, one.middle, other.middle) for role in ROLES]
            except Exception:  # a loss need not be defined here
                continue
            rows = torch.isfinite(values[0]) & torch.isfinite(values[1])
            if found is None or bool(rows.sum() > found.rows.sum()):
                found = Near(one, other, rows)
            if bool(rows.all()):
                break
        return found or Near(one, other, torch.zeros(len(self.x), dtype=torch.bool, device=self.x.device))

    def _line(self, start: Tensor, role: str, radius: float, like: Line | None) -> Line:
        project = getattr(self.problem, f"project_{role}")
        made = line(start, project, self.generator, radius)
        if like is None or project is not None:
            return made
        return Line(made.middle, like.direction * (radius / like.radius), radius)


def _away(y: Tensor) -> Tensor:
    """y with what is small beside the row's other coordinates, or 0, as large as they are.

    Where f_y and the Hessian vanish at y_i = 0, what is wrong there hardly shows in differences, and D⁻¹ brings it back
    into the hypergradient.
    """
    typical = torch.linalg.vector_norm(y, dim=-1, keepdim=True) / y.shape[-1] ** 0.5
    typical = torch.where(typical > 0, typical.clamp(max=1.0), torch.ones_like(typical)).expand_as(y)
    return torch.where(y.abs() < SMALL * typical, torch.where(y < 0, -typical, typical), y)


@contextmanager
def naming(who: str, like: Tensor, how: str = "fails") -> Iterator[None]:
    """Say which callback an error is of.

    Args:
        who: the callback.
        like: an iterate.
        how: it fails.

    Raises:
        InputError: in the place of whatever was raised, except for want of memory.
    """
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise InputError(f"{who} {how} near the start: {failure(error, like)}") from error
