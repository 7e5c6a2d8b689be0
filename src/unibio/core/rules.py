"""Update rules: what an algorithm makes of a direction in the place of the plain step y − step · direction.

A rule is a frozen dataclass and a pure function, (state, direction) → (state, iterate). What it remembers lies in the
algorithm's state, row by row, so that checkpoints and grids work as they do for everything else there. Directions are
gradients, or whatever the algorithm's plain step would have followed. Schedules count outer iterations, k = 0, 1, …;
rules count their own steps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from unibio.core.updates import descend
from unibio.errors import InputError

#: What a rule remembers of one sequence of iterates: tensors (runs, d) and numbers.
Memory = Mapping[str, Any]
#: The same after a step, and the new iterate.
Moved = tuple[dict[str, Any], Tensor]
#: k -> the factor of the step in outer iteration k.
Schedule = Callable[[int], float]


def _number(owner: str, name: str, value: Any, least: float, below: float = math.inf, strict: bool = False) -> None:
    """Refuse what is no number in [least, below), or in (least, below) where that is strict."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (least < value < below if strict else least <= value < below):
        sign, end = (">" if strict else "≥"), (f" and < {below:g}" if below < math.inf else "")
        raise InputError(f"{owner}: {name} must be a number {sign} {least:g}{end}, got {value!r}")


# Schedules -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class constant:  # noqa: N801, called like a function
    """The same step always."""

    def __call__(self, k: int) -> float:
        return 1.0


@dataclass(frozen=True)
class power:  # noqa: N801
    """((k + offset)/offset)^(−exponent): 1 at the start."""

    exponent: float
    offset: float = 1.0

    def __post_init__(self) -> None:
        _number("power", "exponent", self.exponent, 0)
        _number("power", "offset", self.offset, 0, strict=True)

    def __call__(self, k: int) -> float:
        return float((k / self.offset + 1) ** (-self.exponent))


@dataclass(frozen=True)
class cosine:  # noqa: N801
    """Half a cosine from 1 at the start to ``final`` after ``steps`` outer iterations, where it stays."""

    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _number("cosine", "steps", self.steps, 1)
        _number("cosine", "final", self.final, 0)

    def __call__(self, k: int) -> float:
        if k >= self.steps:
            return self.final
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * k / self.steps)) / 2


@dataclass(frozen=True)
class warm_up:  # noqa: N801
    """(k + 1)/steps in the first ``steps`` outer iterations, then another schedule from its beginning."""

    steps: int
    then: Schedule = field(default_factory=constant)

    def __post_init__(self) -> None:
        _number("warm_up", "steps", self.steps, 1)
        if not callable(self.then):
            raise InputError(f"warm_up: then must be a schedule such as cosine(500), got {self.then!r}")

    def __call__(self, k: int) -> float:
        return (k + 1) / self.steps if k < self.steps else self.then(k - self.steps)


# Rules ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Update:
    """What rules share.

    Attributes:
        step: in the place of the algorithm's own step and its decay; None takes those, which may be axes of a grid.
        clip: directions that are longer are shortened to this length, every run's for itself; None for no clipping.
        schedule: factor of the step by outer iteration.
    """

    step: float | None = None
    _: dataclasses.KW_ONLY
    clip: float | None = None
    schedule: Schedule = field(default_factory=constant)

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.step is not None:
            _number(name, "step", self.step, 0, strict=True)
        if self.clip is not None:
            _number(name, "clip", self.clip, 0, strict=True)
        if not callable(self.schedule):
            raise InputError(f"{name}: schedule must be a schedule such as cosine(500), got {self.schedule!r}")

    def moved(self, memory: Memory, y: Tensor, step: float | Tensor, direction: Tensor, k: int) -> Moved:
        """The new memory and the new iterate, before any projection.

        Args:
            memory: of this sequence of iterates; empty at its first step.
            y: the iterate, (runs, d).
            step: the algorithm's own, a number or (runs, 1).
            direction: (runs, d).
            k: the outer iteration.
        """
        if self.step is not None:
            step = self.step
        factor = self.schedule(k)
        if factor != 1.0:
            step = step * factor
        if self.clip is not None:
            norm = torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
            direction = torch.where(norm > self.clip, direction * (self.clip / norm), direction)
        return self.apply(memory, y, step, direction)

    def apply(self, memory: Memory, y: Tensor, step: float | Tensor, direction: Tensor) -> Moved:
        """The rule itself, with the step and the direction that are due."""
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Update):
    """Stochastic gradient descent, with momentum as ``torch.optim.SGD`` has it; without, the plain step.

    b ← μ b + g, and y ← y − step · b; Nesterov's form steps along g + μ b.
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _number("SGD", "momentum", self.momentum, 0, 1)
        if self.nesterov and not self.momentum:
            raise InputError("SGD: nesterov=True needs a momentum above 0")

    def apply(self, memory: Memory, y: Tensor, step: float | Tensor, direction: Tensor) -> Moved:
        if not self.momentum:
            return {}, descend(y, step, direction)
        held = memory.get("momentum")
        velocity = direction if held is None else torch.add(direction, held, alpha=self.momentum)
        along = torch.add(direction, velocity, alpha=self.momentum) if self.nesterov else velocity
        return {"momentum": velocity}, descend(y, step, along)


@dataclass(frozen=True)
class Adam(Update):
    """Adam (Kingma & Ba, ICLR 2015), as ``torch.optim.Adam`` has it."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise InputError(f"{name}: betas must be two numbers, got {self.betas!r}")
        for beta in self.betas:
            _number(name, "betas", beta, 0, 1)
        _number(name, "eps", self.eps, 0, strict=True)

    def apply(self, memory: Memory, y: Tensor, step: float | Tensor, direction: Tensor) -> Moved:
        first, second = self.betas
        zero = torch.zeros_like(direction)
        count = memory.get("count", 0) + 1
        mean = torch.lerp(direction, memory.get("mean", zero), first)
        square = torch.lerp(direction * direction, memory.get("square", zero), second)
        size = (square / (1 - second**count)).sqrt() + self.eps
        along = mean / (1 - first**count) / size
        return {"count": count, "mean": mean, "square": square}, descend(y, step, along)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with a weight decay of its own (Loshchilov & Hutter, ICLR 2019): y ← (1 − step · weight_decay) y first."""

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _number("AdamW", "weight_decay", self.weight_decay, 0)

    def apply(self, memory: Memory, y: Tensor, step: float | Tensor, direction: Tensor) -> Moved:
        return super().apply(memory, y * (1 - step * self.weight_decay), step, direction)


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
