"""Forms in which users write losses, brought to one: rows in, (runs,) out, with a sample as third argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from unibio.errors import InputError

Sample = Any
Loss = Callable[..., Tensor]


def with_sample(loss: Loss, role: str) -> Loss:
    """The loss as a function of (x, y, sample), also where the user wrote (x, y)."""
    try:
        parameters = inspect.signature(loss).parameters.values()
    except (TypeError, ValueError):
        return loss
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = sum(p.default is p.empty for p in positional)
    if required == 3 or any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return loss
    if required > 3 or len(positional) < 2:
        count = max(required, len(positional))
        raise InputError(f"{role} must take (x, y) or (x, y, sample), it takes {count} positional arguments")
    if len(positional) == 2:
        return lambda x, y, sample: loss(x, y)
    # f(x, y, sample=None), or f(x, y, a=a) with a constant, which an absent sample must not overwrite
    return lambda x, y, sample: loss(x, y) if sample is None else loss(x, y, sample)


def nonzero(start: Tensor) -> Tensor:
    """The start, moved off zero, where a multiple of a row would be the same row."""
    return torch.where(start == 0, torch.full_like(start, 0.01), start)


def _map_sample(function: Callable[[Any], Any], sample: Sample) -> Any:
    """A sample's structure with every leaf replaced by ``function`` of it."""
    if isinstance(sample, Mapping):
        return {key: _map_sample(function, part) for key, part in sample.items()}
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*(_map_sample(function, part) for part in sample))
    if isinstance(sample, (tuple, list)):
        return type(sample)(_map_sample(function, part) for part in sample)
    return function(sample)


def first_row(sample: Sample) -> Sample:
    """The sample of the first run alone."""
    return _map_sample(lambda leaf: leaf[0] if isinstance(leaf, Tensor) else leaf, sample)


def lift(loss: Loss, role: str) -> Loss:
    """A scalar loss of vectors as a loss of rows."""

    def one(x: Tensor, y: Tensor, sample: Sample) -> Tensor:
        return loss(x, y, sample).reshape(())

    def rows(x: Tensor, y: Tensor, sample: Sample) -> Tensor:
        if x.shape[0] == 1:  # vmap costs about a millisecond a call and buys nothing here
            return one(x[0], y[0], first_row(sample))[None]
        axes = _map_sample(lambda leaf: 0 if isinstance(leaf, Tensor) else None, sample)
        try:
            return torch.func.vmap(one, in_dims=(0, 0, axes))(x, y, sample)
        except RuntimeError as error:
            raise InputError(
                f"{role} works on one run's vectors but not on {len(x)} runs at once by torch.func.vmap: {error}. "
                "Avoid if, .item() and writing into tensors, or write it for rows: (runs, d) in, (runs,) out."
            ) from error

    rows.lifted = True  # type: ignore[attr-defined]
    return rows
