"""Which update rules fit which algorithm; needs what an algorithm declares, and no torch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from unibio.core.parameters import declared
from unibio.core.rules import Update
from unibio.errors import InputError

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
        shown = f"the class {rule.__name__}" if isinstance(rule, type) else f"a {type(rule).__name__}"
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
