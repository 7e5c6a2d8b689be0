"""Parameters of algorithms and problems: declared once, used by ``solve``, the config schema, ``--help`` and checks.

Nothing here loads torch: what is declared can be read, and numbers checked, where nothing is computed.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeGuard, get_type_hints

import numpy as np

from unibio.errors import InputError, unknown

if TYPE_CHECKING:
    from torch import Tensor

    #: A parameter that may differ between the rows of a batch: a number or a (runs, 1) tensor.
    PerRun = float | Tensor


class Column:
    """Stands for a (runs, 1) tensor where none has to be loaded to read what kind a parameter is."""


#: What :func:`kinds` says of a parameter that is ``PerRun``.
PER_RUN = float | Column


def __getattr__(name: str) -> Any:
    if name != "PerRun":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from torch import Tensor

    globals()[name] = kind = float | Tensor
    return kind


def hyper(
    default: Any,
    help: str,  # noqa: A002
    *,
    symbol: str = "",
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    even: bool = False,
    choices: tuple[str, ...] = (),
    later: bool = False,
) -> Any:
    """A parameter: its default, what it means, the paper's symbol, and the values it accepts.

    Args:
        default: as it is where nothing else is said.
        help, symbol: for readers.
        above, at_least, below, even, choices: what is accepted.
        later: that it was added when there were records of the class already. A configuration that leaves it at its
            default then does not hold it, so that names of records stay as they were. The default has to mean what was
            computed before, and must not change.
    """
    bounds = {"above": above, "at_least": at_least, "below": below, "even": even}
    meta = {"help": help, "symbol": symbol, "choices": choices, "later": later, **bounds}
    return field(default=default, metadata=meta)


def declared(cls: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a class that are parameters, made by :func:`hyper`."""
    return [spec for spec in dataclasses.fields(cls) if "help" in spec.metadata]


def kinds(cls: Any) -> Mapping[str, Any]:
    """The types of a class's fields; :data:`PER_RUN` for ``PerRun``, which is ``float | Tensor``."""
    return _kinds(cls)


@cache
def _kinds(cls: Any) -> Mapping[str, Any]:
    torch = sys.modules.get("torch")
    spelled = None if torch is None else float | torch.Tensor
    return {name: PER_RUN if kind == spelled else kind for name, kind in get_type_hints(cls).items()}


def accepted(meta: Any) -> str:
    """The accepted values of a parameter in words, from its metadata."""
    if meta.get("choices"):
        return "one of " + ", ".join(meta["choices"])
    bounds = [f"{sign} {meta[key]:g}" for key, sign in _BOUNDS if meta.get(key) is not None]
    bounds += ["even"] if meta.get("even") else []
    return " and ".join(bounds) or "any"


_BOUNDS = (("above", ">"), ("at_least", "≥"), ("below", "<"))


@dataclass(frozen=True)
class Configured:
    """A frozen dataclass whose fields, made by :func:`hyper`, are checked when it is created."""

    name: ClassVar[str] = ""
    role: ClassVar[str] = ""

    def __post_init__(self) -> None:
        types = kinds(type(self))
        for spec in declared(self):
            if isinstance(value := getattr(self, spec.name), np.generic):  # NumPy's numbers are none of Python's
                object.__setattr__(self, spec.name, value.item())
            _check(f"{self.role}.{spec.name}", getattr(self, spec.name), types[spec.name], spec.metadata)

    @classmethod
    def create(cls, values: dict[str, Any]) -> Self:
        """An instance from parameters by name.

        Raises:
            InputError: unknown names, wrong types, values out of range.
        """
        names = [spec.name for spec in declared(cls)]
        for name in values:
            if name not in names:
                raise unknown(f"parameter of {cls.role} {cls.name},", name, names)
        return cls(**values)

    @classmethod
    def per_run(cls) -> list[str]:
        """Names of the parameters that may differ between the rows of one batch."""
        return [name for name, kind in kinds(cls).items() if kind == PER_RUN]

    def can_vary(self) -> list[str]:
        """The same of what this one consists of."""
        return self.per_run()


def _check(name: str, value: Any, kind: Any, meta: Any) -> None:
    if kind is str:
        ok = isinstance(value, str) and (not meta.get("choices") or value in meta["choices"])
    elif kind is bool:
        ok = isinstance(value, bool)
    elif kind == PER_RUN and _is_tensor(value):
        ok = value.ndim == 2 and value.shape[1] == 1 and _all_in_range(value, meta)
    else:
        number = (int,) if kind in (int, int | None) else (int, float)
        optional = kind in (int | None, float | None)
        ok = (value is None and optional) or (
            isinstance(value, number)
            and not isinstance(value, bool)
            and not (isinstance(value, int) and abs(value) >= 2**63)  # no such number is in any tensor
            and _in_range(float(value), meta)
        )
    if not ok:
        what = _WORDS.get(kind, "a number")
        shown = value.flatten().tolist() if _is_tensor(value) else value
        raise InputError(f"{name} = {shown!r} is not accepted: it must be {what}; accepted: {accepted(meta)}.")


_WORDS: dict[Any, str] = {
    str: "text",
    int: "an integer",
    bool: "true or false",
    int | None: "an integer or null",
    float | None: "a number or null",
    PER_RUN: "a number or a (runs, 1) tensor",
}


def _is_tensor(value: Any) -> TypeGuard[Tensor]:
    """Whether a value is a tensor, of which there is none where torch is not loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _in_range(value: float, meta: Any) -> bool:
    return (
        math.isfinite(value)
        and (meta.get("above") is None or value > meta["above"])
        and (meta.get("at_least") is None or value >= meta["at_least"])
        and (meta.get("below") is None or value < meta["below"])
        and (not meta.get("even") or value % 2 == 0)
    )


def _all_in_range(value: Tensor, meta: Any) -> bool:
    ok = value.isfinite()
    if meta.get("above") is not None:
        ok &= value > meta["above"]
    if meta.get("at_least") is not None:
        ok &= value >= meta["at_least"]
    if meta.get("below") is not None:
        ok &= value < meta["below"]
    if meta.get("even"):
        ok &= value % 2 == 0
    return bool(ok.all())
