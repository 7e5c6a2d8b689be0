"""Map-style data sets, indexed by the draw: tensors are gathered at once, all else item by item, collated by torch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset, default_collate

from unibio.core.losses import leaves, map_sample
from unibio.core.streams import Draw
from unibio.errors import InputError
from unibio.nn.batch import seeded

#: Seeds of a draw are below this.
SEEDS = 2**48


def seeds(draw: Draw, purpose: str) -> Tensor:
    """A seed for every run, (runs, 1) int64, that belongs to the draw and to a purpose."""
    return Draw(draw.streams, f"{draw.purpose} {purpose}", draw.index).integers(SEEDS)


class Points:
    """The data points of a level.

    Args:
        data: a map-style data set: its length, and items by their number.
        role: "upper" or "lower".

    Raises:
        InputError: it is an iterator or a DataLoader, it is empty, or its items cannot be collated to tensors.
    """

    def __init__(self, data: Any, role: str):
        self._data, self._key = data, f"{role}_data"
        self.size = _length(data, self._key)
        self._tensors = _tensors(data)
        self._held: dict[tuple[torch.dtype, torch.device], tuple[Tensor, ...]] = {}
        if self._tensors is None:
            self._collated([0])

    def batch(self, draw: Draw) -> tuple[Any, Tensor]:
        """The items of a draw, tensors (runs, size, …) in a tuple or a dictionary, and their places (runs, size).

        Floating-point parts are of the run's type and on its device; other parts keep their type.
        """
        index, streams = draw.minibatch(self.size), draw.streams
        if self._tensors is not None:
            parts = self._on(streams.dtype, streams.device)
            if draw.places is None and (draw.size is None or draw.size >= self.size):
                return tuple(part.expand(draw.runs, *part.shape) for part in parts), index
            return tuple(part[index] for part in parts), index
        rows = []
        for places, seed in zip(index.tolist(), seeds(draw, "items").tolist(), strict=True):
            with everything_seeded(seed[0]):
                rows.append(self._collated(places))
        batch = rows[0] if len(rows) == 1 else default_collate(rows)
        if len(rows) == 1:
            batch = map_sample(lambda leaf: leaf[None], batch)
        return map_sample(lambda leaf: _moved(leaf, streams.dtype, streams.device), batch), index

    def _on(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
        """The whole data in a run's type, brought there once."""
        if (dtype, device) not in self._held:
            assert self._tensors is not None
            self._held[dtype, device] = tuple(_moved(part, dtype, device) for part in self._tensors)
        return self._held[dtype, device]

    def _collated(self, places: Sequence[int]) -> Any:
        """Items as one: a tuple or a dictionary of tensors (size, …)."""
        items = []
        for place in places:
            try:
                items.append(self._data[place])
            except Exception as error:
                said = f"{type(error).__name__}: {error}".splitlines()[0]
                raise InputError(f"{self._key}: its item {place} of {self.size} cannot be had: {said}") from error
        if not isinstance(items[0], (tuple, list, Mapping)):
            items = [(item,) for item in items]
        try:
            batch = default_collate(items)
        except (TypeError, RuntimeError, ValueError, KeyError) as error:
            said = str(error).strip().splitlines()[0]
            raise InputError(f"{self._key}: its items cannot be collated as torch does it: {said}") from error
        for part, leaf in leaves(batch, "item"):
            if not isinstance(leaf, Tensor):
                raise InputError(
                    f"{self._key}: {part} is a {type(leaf).__name__}, and losses of modules take tensors: make "
                    "numbers of it in the data set"
                )
        return batch if isinstance(batch, Mapping) else tuple(batch)


def _moved(part: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    return part.to(device, dtype) if part.is_floating_point() else part.to(device)


def _length(data: Any, key: str) -> int:
    if isinstance(data, DataLoader):
        raise InputError(
            f"{key} is a DataLoader, whose minibatches belong to nobody's seed: give its data set, loader.dataset, and "
            "batch_size= to solve"
        )
    if isinstance(data, type):
        raise InputError(f"{key} is the class {data.__name__}; call it: {data.__name__}(…)")
    parts = list(data.values()) if isinstance(data, Mapping) else list(data) if isinstance(data, tuple) else []
    if isinstance(data, Mapping) or (parts and all(isinstance(part, (Tensor, np.ndarray)) for part in parts)):
        raise InputError(
            f"{key} is a {type(data).__name__}, whose items are no data points: TensorDataset(x, y) makes a data "
            "set of tensors, and a list of dictionaries one whose items have keys"
        )
    indexed = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    if isinstance(data, (Iterator, IterableDataset)) or not indexed:
        raise InputError(
            f"{key} has the type {type(data).__name__}, and must be a map-style data set, with len(data) and data[i]: "
            "collect what an iterator gives in a list, or in a TensorDataset"
        )
    try:
        size = len(data)
    except Exception as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{key} is a {type(data).__name__} without a length: {said}") from error
    if size < 1:
        raise InputError(f"{key} is empty: it has no data points")
    return size


def _tensors(data: Any) -> tuple[Tensor, ...] | None:
    """The tensors of a data set that is made of them; None of any other."""
    if isinstance(data, TensorDataset):
        return tuple(tensor.detach() for tensor in data.tensors)
    if isinstance(data, Subset):
        inner = _tensors(data.dataset)
        return None if inner is None else tuple(tensor[torch.as_tensor(list(data.indices))] for tensor in inner)
    return (data.detach(),) if isinstance(data, Tensor) else None


@contextmanager
def everything_seeded(seed: int) -> Iterator[None]:
    """Torch's, NumPy's and Python's random numbers are those of a seed, so that what augments an item belongs to it."""
    numpy, python = np.random.get_state(), random.getstate()  # noqa: NPY002, what data sets use
    with seeded(torch.tensor(seed), torch.device("cpu")):
        try:
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            yield
        finally:
            np.random.set_state(numpy)  # noqa: NPY002
            random.setstate(python)
