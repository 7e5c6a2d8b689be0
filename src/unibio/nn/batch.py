"""What a loss of modules receives: the items of a minibatch, their indices, and the seed of its dropout masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unibio.core.losses import map_sample


@dataclass
class Batch:
    """A minibatch. As a sample its tensors have the runs as first axis; a loss sees that of one run, without it.

    ``b.x`` and ``b.y`` are the first and the second part of items that are tuples, ``b[2]`` the third; of dictionaries
    ``b["key"]``, or ``b.key``, is what lies under a key.

    Attributes:
        items: collated as torch does it: a tuple of tensors (size, …), or a dictionary of them. Empty without data.
        index: where the items stand in the data set, (size,) int64; None without data.
        seed: of everything random in the modules' forward passes, (1,) int64; None where nothing is meant to be.
    """

    items: Any
    index: Tensor | None = None
    seed: Tensor | None = None

    @property
    def x(self) -> Any:
        """The first part of the items, or what they have under "x"."""
        return self._part(0, "x")

    @property
    def y(self) -> Any:
        """The second part of the items, or what they have under "y"."""
        return self._part(1, "y")

    def _part(self, place: int, name: str) -> Any:
        if isinstance(self.items, Mapping):
            return self[name]
        if place >= len(self.items):
            raise AttributeError(f"b.{name}: an item of this level's data has {len(self.items)} parts")
        return self.items[place]

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.items[key]
        except (KeyError, IndexError, TypeError):
            known = list(self.items) if isinstance(self.items, Mapping) else list(range(len(self.items)))
            raise KeyError(f"an item of this level's data has {known}, and no {key!r}") from None

    def __getattr__(self, name: str) -> Any:
        items = self.__dict__.get("items")
        if isinstance(items, Mapping) and name in items:
            return items[name]
        if isinstance(items, tuple) and name in ("x", "y"):  # which the property could not give
            has = f"{len(items)} parts" if items else "none, because this level was given no data"
            raise AttributeError(f"b.{name}: of an item's parts there are {has}")
        raise AttributeError(f"this level's batch has no {name!r}, but b.x, b.y, b[2] or b['key'], and b.index")

    def of_run(self, run: int) -> Batch:
        """The minibatch of one run."""
        found: Batch = map_sample(lambda leaf: leaf[run] if isinstance(leaf, Tensor) else leaf, self)
        return found


@contextmanager
def seeded(seed: Tensor | None, device: torch.device) -> Iterator[None]:
    """Torch's random numbers on the CPU and a device are those of a seed; afterwards they go on as if nothing had been.

    Args:
        seed: one integer; None leaves them alone.
        device: of the computation.
    """
    if seed is None:
        yield
        return
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[index])
    before = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(int(seed))
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)
