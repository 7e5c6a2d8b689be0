"""Parameters of algorithms and problems: declared once, used by ``solve``, the config schema, ``--help`` and checks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, get_type_hints

import torch
from torch import Tensor

from unibio.errors import InputError, unknown

#: A parameter that may differ between the rows of a batch: a number or a (runs, 1) tensor.
PerRun = float | Tensor


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
) -> Any:
    """A parameter: its default, what it means, the paper's symbol, and the values it accepts."""
    bounds = {"above": above, "at_least": at_least, "below": below, "even": even}
    meta = {"help": help, "symbol": symbol, "choices": choices, **bounds}
    return field(default=default, metadata=meta)


def declared(cls: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a class that are parameters, made by :func:`hyper`."""
    return [spec for spec in dataclasses.fields(cls) if "help" in spec.metadata]


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
        kinds = get_type_hints(type(self))
        for spec in declared(self):
            _check(f"{self.role}.{spec.name}", getattr(self, spec.name), kinds[spec.name], spec.metadata)

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
        return [name for name, kind in get_type_hints(cls).items() if kind == PerRun]


def _check(name: str, value: Any, kind: Any, meta: Any) -> None:
    if kind is str:
        ok = isinstance(value, str) and (not meta.get("choices") or value in meta["choices"])
    elif kind is bool:
        ok = isinstance(value, bool)
    elif kind == PerRun and isinstance(value, Tensor):
        ok = value.ndim == 2 and value.shape[1] == 1 and _in_range(value, meta)
    else:
        number = (int,) if kind in (int, int | None) else (int, float)
        optional = kind in (int | None, float | None)
        ok = (value is None and optional) or (
            isinstance(value, number) and not isinstance(value, bool) and _in_range(torch.tensor(float(value)), meta)
        )
    if not ok:
        what = _WORDS.get(kind, "a number")
        shown = value.flatten().tolist() if isinstance(value, Tensor) else value
        raise InputError(f"{name} = {shown!r} is not accepted: it must be {what}; accepted: {accepted(meta)}.")


_WORDS: dict[Any, str] = {
    str: "text",
    int: "an integer",
    bool: "true or false",
    int | None: "an integer or null",
    float | None: "a number or null",
    PerRun: "a number or a (runs, 1) tensor",
}


def _in_range(value: Tensor, meta: Any) -> bool:
    ok = torch.isfinite(value)
    if meta.get("above") is not None:
        ok &= value > meta["above"]
    if meta.get("at_least") is not None:
        ok &= value >= meta["at_least"]
    if meta.get("below") is not None:
        ok &= value < meta["below"]
    if meta.get("even"):
        ok &= value % 2 == 0
    return bool(ok.all())
