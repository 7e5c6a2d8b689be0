"""Forms in which users write losses, brought to one: rows in, (runs,) out, with a sample as third argument."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from unibio.errors import InputError

Sample = Any
Loss = Callable[..., Tensor]


def with_sample(loss: Loss, role: str) -> Loss:
    """The loss as a function of (x, y, sample), also where the user wrote (x, y)."""
    written = loss.forward if isinstance(loss, torch.nn.Module) else loss  # a module's __call__ takes whatever comes
    try:
        parameters = inspect.signature(written).parameters.values()
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


def map_sample(function: Callable[[Any], Any], sample: Sample) -> Any:
    """A sample's structure with every leaf replaced by ``function`` of it.

    What has parts: tuples, lists, named tuples, mappings and dataclasses, in whatever nesting; all else is a leaf.
    """
    if isinstance(sample, Mapping):
        return {key: map_sample(function, part) for key, part in sample.items()}
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*(map_sample(function, part) for part in sample))
    if isinstance(sample, (tuple, list)):
        return type(sample)(map_sample(function, part) for part in sample)
    if dataclasses.is_dataclass(sample) and not isinstance(sample, type):
        changed = copy.copy(sample)
        for part in dataclasses.fields(sample):
            object.__setattr__(changed, part.name, map_sample(function, getattr(sample, part.name)))  # frozen, too
        return changed
    return function(sample)


def leaves(sample: Sample, name: str = "sample") -> Iterator[tuple[str, Any]]:
    """The leaves of a sample, as :func:`map_sample` meets them, by what they are called: ``sample["a"][0]``."""
    if isinstance(sample, Mapping):
        parts = [(f"{name}[{key!r}]", part) for key, part in sample.items()]
    elif isinstance(sample, tuple) and hasattr(sample, "_fields"):
        parts = [(f"{name}.{key}", part) for key, part in zip(sample._fields, sample, strict=True)]
    elif isinstance(sample, (tuple, list)):
        parts = [(f"{name}[{i}]", part) for i, part in enumerate(sample)]
    elif dataclasses.is_dataclass(sample) and not isinstance(sample, type):
        parts = [(f"{name}.{part.name}", getattr(sample, part.name)) for part in dataclasses.fields(sample)]
    else:
        yield name, sample
        return
    for place, part in parts:
        yield from leaves(part, place)


def first_row(sample: Sample) -> Sample:
    """The sample of the first run alone."""
    if sample is None or isinstance(sample, Tensor):  # nearly all are
        return None if sample is None else sample[0]
    return map_sample(lambda leaf: leaf[0] if isinstance(leaf, Tensor) else leaf, sample)


def lift(loss: Loss, role: str) -> Loss:
    """A scalar loss of vectors as a loss of rows, which keeps the former as ``lifted``."""

    def one(x: Tensor, y: Tensor, sample: Sample) -> Tensor:
        return loss(x, y, sample).reshape(())

    def rows(x: Tensor, y: Tensor, sample: Sample) -> Tensor:
        if x.shape[0] == 1:  # vmap costs about a millisecond a call and buys nothing here
            return one(x[0], y[0], first_row(sample))[None]
        tensors = [leaf for _, leaf in leaves(sample) if isinstance(leaf, Tensor)]

        def of_row(x: Tensor, y: Tensor, *parts: Tensor) -> Tensor:
            left = iter(parts)
            return one(x, y, map_sample(lambda leaf: next(left) if isinstance(leaf, Tensor) else leaf, sample))

        try:
            return torch.func.vmap(of_row)(x, y, *tensors)
        except RuntimeError as error:
            raise InputError(
                f"{role} works on one run's vectors but not on {len(x)} runs at once by torch.func.vmap: {error}. "
                "Avoid if, .item() and writing into tensors, take randomness from the draw alone, or write it for "
                "rows: (runs, d) in, (runs,) out."
            ) from error

    rows.lifted = loss  # type: ignore[attr-defined]
    return rows
