"""The steps of one outer iteration: plain ones, or those of the algorithm's rules (:mod:`unibio.core.rules`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from unibio.core.rules import Update
from unibio.core.updates import descend


class Moves:
    """The steps of one outer iteration: plain ones, or those of the algorithm's rules.

    Args:
        rules: {"upper" | "lower" | "auxiliary": rule or None}.
        state: the algorithm's, with what rules remember.
        k: the outer iteration.
        stepped: told of every step of the lower level's iterate, with the y that it goes from.

    Attributes:
        carried: what rules remember now: entries of the algorithm's next state.
    """

    def __init__(
        self,
        rules: Mapping[str, Update | None],
        state: Mapping[str, Any],
        k: int,
        stepped: Callable[[Tensor], None] | None = None,
    ):
        self._rules, self._k, self._stepped = rules, k, stepped
        self.carried: dict[str, Any] = {}
        if rules:
            self.carried = {key: value for key, value in state.items() if key.startswith(_MARK)}

    def upper(self, x: Tensor, step: float | Tensor, direction: Tensor, name: str = "x") -> Tensor:
        """The next x, (runs, d_x); ``name`` tells sequences of iterates apart that have one rule."""
        return self._move("upper", name, x, step, direction)

    def lower(self, y: Tensor, step: float | Tensor, direction: Tensor, name: str = "y") -> Tensor:
        """The next lower-level iterate, (runs, d_y); "y" is the name of the level's own, others have other names."""
        return self._move("lower", name, y, step, direction)

    def auxiliary(self, z: Tensor, step: float | Tensor, direction: Tensor, name: str = "z") -> Tensor:
        """The next iterate of the linear system, (runs, d_y)."""
        return self._move("auxiliary", name, z, step, direction)

    def _move(self, level: str, name: str, y: Tensor, step: float | Tensor, direction: Tensor) -> Tensor:
        if name == "y" and self._stepped is not None:
            self._stepped(y)
        rule = self._rules.get(level)
        if rule is None:
            return descend(y, step, direction)
        mark = f"{_MARK}{level} {name} "
        held = {key.removeprefix(mark): value for key, value in self.carried.items() if key.startswith(mark)}
        memory, moved = rule.moved(held, y, step, direction, self._k)
        self.carried |= {mark + key: value for key, value in memory.items()}
        return moved


#: How entries of a state begin that rules remember.
_MARK = "update of "
