"""Update rules: what an algorithm makes of a direction in the place of the plain step y − step · direction.

A rule is a frozen dataclass and a pure function, (state, direction) → (state, iterate). What it remembers lies in the
algorithm's state, row by row, so that checkpoints and grids work as they do for everything else there. Directions are
gradients, or whatever the algorithm's plain step would have followed. Schedules count outer iterations, k = 0, 1, …;
rules count their own steps. Numbers of a rule may differ between the runs of a grid.

Nothing here loads torch: a configuration with rules can be read, checked and named where nothing is computed.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from unibio.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

#: Whose steps may have a rule.
LEVELS = ("upper", "lower", "auxiliary")
#: What a rule remembers of one sequence of iterates: tensors (runs, d) and numbers.
Memory = Mapping[str, Any]
#: The same after a step, and the new iterate.
Moved: TypeAlias = "tuple[dict[str, Any], Tensor]"
#: Of all runs, or of every run, (runs, 1) in float64.
Number: TypeAlias = "float | Tensor"
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


def _as(number: Number, like: Tensor) -> Any:
    """A number of all runs as it is, one of every run, (runs, 1), in the type of the iterates.

    Numbers are cast where they meet iterates, and not before: what is computed of them is then the same for all runs
    at once and for one alone, to the last bit.
    """
    return number if isinstance(number, (int, float)) else number.to(like.dtype)


def _plus(one: Tensor, factor: Number, other: Tensor, sign: int = 1) -> Tensor:
    """one ± factor · other, of which torch computes both forms alike."""
    if isinstance(factor, (int, float)):
        return one.add(other, alpha=sign * factor)
    return one.addcmul(_as(factor, one), other, value=sign)


# Rules ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Update:
    """What rules share.

    Attributes:
        step: in the place of the algorithm's own step and its decay; None takes those, which may be axes of a grid.
        clip: directions that are longer are shortened to this length, every run's for itself; None for no clipping.
        schedule: factor of the step by outer iteration.

    Several values of a number, ``SGD([0.1, 0.2])``, are an axis of a grid in ``solve``, called "lower_update.step".
    """

    #: Numbers that may differ between the runs of a grid.
    vary: ClassVar[tuple[str, ...]] = ("step", "clip")

    step: Any = None
    _: dataclasses.KW_ONLY
    clip: Any = None
    schedule: Schedule = field(default_factory=constant)

    def __post_init__(self) -> None:
        self._check("step", 0, strict=True)
        self._check("clip", 0, strict=True)
        if not callable(self.schedule):
            raise InputError(
                f"{type(self).__name__}: schedule must be a schedule such as cosine(500), got {self.schedule!r}"
            )

    def _check(self, name: str, least: float, below: float = math.inf, strict: bool = False) -> None:
        """Refuse what is neither a number in the range nor several of them, which become a tuple."""
        value, owner = getattr(self, name), type(self).__name__
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
            value = tuple(value.tolist() if hasattr(value, "tolist") else value)
            if not value:
                raise InputError(f"{owner}: {name} is an empty list; give at least one value")
            object.__setattr__(self, name, value)
        for one in value if isinstance(value, tuple) else () if value is None else (value,):
            _number(owner, name, one, least, below, strict)

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Numbers of which there are several."""
        found = {name: getattr(self, name) for name in self.vary}
        return {name: values for name, values in found.items() if isinstance(values, tuple)}

    def in_rows(self, columns: Mapping[str, Tensor]) -> Self:
        """The rule with numbers of every run, (runs, 1) in float64; each value has been checked by itself."""
        found = copy.copy(self)
        for name, column in columns.items():
            object.__setattr__(found, name, column)
        return found

    def moved(self, memory: Memory, y: Tensor, step: Number, direction: Tensor, k: int) -> Moved:
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
            norm, clip = direction.norm(dim=-1, keepdim=True), _as(self.clip, direction)
            direction = (direction * (norm.reciprocal() * clip)).where(norm > clip, direction)
        return self.apply(memory, y, step, direction)

    def apply(self, memory: Memory, y: Tensor, step: Number, direction: Tensor) -> Moved:
        """The rule itself, with the step and the direction that are due."""
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Update):
    """Stochastic gradient descent, with momentum as ``torch.optim.SGD`` has it; without, the plain step.

    b ← μ b + g, and y ← y − step · b; Nesterov's form steps along g + μ b.
    """

    vary: ClassVar[tuple[str, ...]] = (*Update.vary, "momentum")

    momentum: Any = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("momentum", 0, 1)
        if not isinstance(self.nesterov, bool):
            raise InputError(f"SGD: nesterov must be True or False, got {self.nesterov!r}")
        least = min(self.momentum) if isinstance(self.momentum, tuple) else self.momentum
        if self.nesterov and not least:
            raise InputError("SGD: nesterov=True needs a momentum above 0")

    def apply(self, memory: Memory, y: Tensor, step: Number, direction: Tensor) -> Moved:
        if isinstance(self.momentum, (int, float)) and not self.momentum:
            return {}, _plus(y, step, direction, -1)
        held = memory.get("momentum")
        velocity = direction if held is None else _plus(direction, self.momentum, held)
        along = _plus(direction, self.momentum, velocity) if self.nesterov else velocity
        return {"momentum": velocity}, _plus(y, step, along, -1)


@dataclass(frozen=True)
class Adam(Update):
    """Adam (Kingma & Ba, ICLR 2015), as ``torch.optim.Adam`` has it."""

    vary: ClassVar[tuple[str, ...]] = (*Update.vary, "eps")

    betas: tuple[float, float] = (0.9, 0.999)
    eps: Any = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise InputError(f"{name}: betas must be two numbers, got {self.betas!r}")
        for beta in self.betas:
            _number(name, "betas", beta, 0, 1)
        self._check("eps", 0, strict=True)

    def apply(self, memory: Memory, y: Tensor, step: Number, direction: Tensor) -> Moved:
        first, second = self.betas
        zero = direction.new_zeros(direction.shape)
        count = memory.get("count", 0) + 1
        mean = direction.lerp(memory.get("mean", zero), first)
        square = (direction * direction).lerp(memory.get("square", zero), second)
        size = (square / (1 - second**count)).sqrt() + _as(self.eps, y)
        along = mean / (1 - first**count) / size
        return {"count": count, "mean": mean, "square": square}, _plus(y, step, along, -1)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with a weight decay of its own (Loshchilov & Hutter, ICLR 2019): y ← (1 − step · weight_decay) y first."""

    vary: ClassVar[tuple[str, ...]] = (*Adam.vary, "weight_decay")

    weight_decay: Any = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("weight_decay", 0)

    def apply(self, memory: Memory, y: Tensor, step: Number, direction: Tensor) -> Moved:
        return super().apply(memory, y * _as(1 - step * self.weight_decay, y), step, direction)
