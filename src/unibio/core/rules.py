"""Update rules: what an algorithm makes of a direction in the place of the plain step y − step · direction.

A rule is a frozen dataclass and a pure function, (state, direction) → (state, iterate). What it remembers lies in the
algorithm's state, row by row, so that checkpoints and grids work as they do for everything else there. Directions are
gradients, or whatever the algorithm's plain step would have followed. Schedules count outer iterations, k = 0, 1, …;
rules count their own steps.

Nothing here loads torch: a configuration with rules can be read, checked and named where nothing is computed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from unibio.core.parameters import declared
from unibio.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

#: Whose steps may have a rule.
LEVELS = ("upper", "lower", "auxiliary")
#: What a rule remembers of one sequence of iterates: tensors (runs, d) and numbers.
Memory = Mapping[str, Any]
#: The same after a step, and the new iterate.
Moved: TypeAlias = "tuple[dict[str, Any], Tensor]"
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


def _descend(y: Tensor, step: float | Tensor, direction: Tensor) -> Tensor:
    """y − step · direction, as :func:`unibio.core.updates.descend`, which loads torch."""
    if isinstance(step, (int, float)):
        return y.sub(direction, alpha=step)
    return y.addcmul(step, direction, value=-1)


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
            norm = direction.norm(dim=-1, keepdim=True)
            direction = (direction * (self.clip / norm)).where(norm > self.clip, direction)
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
        if not isinstance(self.nesterov, bool):
            raise InputError(f"SGD: nesterov must be True or False, got {self.nesterov!r}")
        if self.nesterov and not self.momentum:
            raise InputError("SGD: nesterov=True needs a momentum above 0")

    def apply(self, memory: Memory, y: Tensor, step: float | Tensor, direction: Tensor) -> Moved:
        if not self.momentum:
            return {}, _descend(y, step, direction)
        held = memory.get("momentum")
        velocity = direction if held is None else direction.add(held, alpha=self.momentum)
        along = direction.add(velocity, alpha=self.momentum) if self.nesterov else velocity
        return {"momentum": velocity}, _descend(y, step, along)


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
        zero = direction.new_zeros(direction.shape)
        count = memory.get("count", 0) + 1
        mean = direction.lerp(memory.get("mean", zero), first)
        square = (direction * direction).lerp(memory.get("square", zero), second)
        size = (square / (1 - second**count)).sqrt() + self.eps
        along = mean / (1 - first**count) / size
        return {"count": count, "mean": mean, "square": square}, _descend(y, step, along)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with a weight decay of its own (Loshchilov & Hutter, ICLR 2019): y ← (1 − step · weight_decay) y first."""

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _number("AdamW", "weight_decay", self.weight_decay, 0)

    def apply(self, memory: Memory, y: Tensor, step: float | Tensor, direction: Tensor) -> Moved:
        return super().apply(memory, y * (1 - step * self.weight_decay), step, direction)


# What fits ------------------------------------------------------------------------------------------------------------

#: Why an algorithm takes no rule for a level, where it says nothing itself.
_NO_STEP = {
    "upper": "it has no upper step",
    "lower": "it has no lower step",
    "auxiliary": "it has no iterate z for its linear system, which soba, ma_soba, saba, amigo and bo_rep have",
}


def steps_of(algorithm: Any, level: str) -> tuple[str, ...]:
    """Parameters of an algorithm, or of what it declares, that say what a level's steps are if no rule does."""
    return (f"{level}_step", f"{level}_decay", *algorithm.replaced.get(level, ()))


def check_rule(algorithm: Any, level: str, rule: Any) -> None:
    """Refuse a rule that does not fit an algorithm.

    Args:
        algorithm: with its parameters; what it declares is enough.
        level: of :data:`LEVELS`.
        rule: for that level.

    Raises:
        InputError: it is none, the algorithm takes none there, or a step is said twice.
    """
    key, name = f"{level}_update", algorithm.name
    if not isinstance(rule, Update):
        shown = f"the class {rule.__name__}" if isinstance(rule, type) else repr(rule)
        raise InputError(f"{key} must be an update rule, such as Adam(1e-3) of unibio.nn, got {shown}")
    if level not in algorithm.updates:
        reason = algorithm.no_update.get(level, _NO_STEP[level])
        takes = " and ".join(f"{one}_update" for one in algorithm.updates)
        more = f" ({name} takes {takes})" if takes else ""
        raise InputError(f"{key}: algorithm {name} takes none: {reason}; leave {key} out{more}")
    values = {spec.name: (getattr(algorithm, spec.name), spec.default) for spec in declared(algorithm)}
    plain = (int, float, type(None))  # all else is the tensor of a grid's axis, which somebody gave
    check_once(algorithm, level, rule, [n for n, (v, d) in values.items() if not isinstance(v, plain) or v != d])


def check_once(algorithm: Any, level: str, rule: Update | None, given: Collection[str]) -> None:
    """Refuse a rule with a step of its own beside a parameter, of those given, that says what the step is.

    Raises:
        InputError: naming both.
    """
    for name in steps_of(algorithm, level):
        if rule is not None and rule.step is not None and name in given:
            raise InputError(
                f"{name} and {level}_update={rule!r} both say what the step is: leave {name} out, or the step of "
                f"{type(rule).__name__}"
            )
