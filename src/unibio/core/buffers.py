"""What a lower level stores beside y and learns along the way: running statistics, which lower steps alone change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Buffers:
    """Numbers that every run has of its own; losses do not read them, metrics and results do.

    Attributes:
        start: those that a run begins with, (b,) float64.
        stepped: (x, y, sample, buffers: (runs, b)) -> buffers: (runs, b) after a lower step that went from y along a
            gradient on this sample. A pure function, and of every row for itself.
    """

    start: Tensor
    stepped: Callable[[Tensor, Tensor, Any, Tensor], Tensor]

    def begin(self, like: Tensor) -> Tensor:
        """The start of every row of an iterate, on its device: (runs, b)."""
        return self.start.to(like.device).expand(len(like), -1).clone()


class Held:
    """The buffers of a batch of runs, and the lower gradients that a step may follow.

    Args:
        buffers: of the problem.
        like: an iterate, (runs, ·).

    Attributes:
        values: (runs, b).
    """

    def __init__(self, buffers: Buffers, like: Tensor):
        self._buffers = buffers
        self.values = buffers.begin(like)
        self._asked: dict[int, tuple[Tensor, Tensor, Any]] = {}

    def asked(self, x: Tensor, y: Tensor, sample: Any) -> None:
        """A lower gradient at a point; of several at one y the latest counts."""
        self._asked[id(y)] = (y, x, sample)  # y is kept, so that its id stays its own

    def stepped(self, y: Tensor) -> bool:
        """A step from y: whether it follows a gradient there, without which nothing is changed."""
        found = self._asked.get(id(y))
        self._asked.clear()
        if found is None:
            return False
        y, x, sample = found
        self.values = self._buffers.stepped(x, y, sample, self.values)
        return True
