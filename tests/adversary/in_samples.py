"""Mistakes in samplers: the losses are right, and want the parts of data points, (runs, points, …)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adversary.problems import Written
from adversary.use import Use


@dataclass
class Parts:
    """A sample as a user may hold it."""

    H: Any
    b: Any


#: How a sample may be nested, and how the loss takes it apart again.
SHAPES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], tuple[Any, Any]]]] = {
    "tuple": (lambda H, b: (H, b), lambda s: s),
    "list of dicts": (lambda H, b: [{"H": H}, {"b": b}], lambda s: (s[0]["H"], s[1]["b"])),
    "dict of tuples": (lambda H, b: {"H": (H,), "b": (b,)}, lambda s: (s["H"][0], s["b"][0])),
}


def _takes(written: Written, shape: str) -> Callable[[Any, Any], Any]:
    """Have the loss take such samples, with or without an axis of runs; returns how to make one."""
    make, parts = SHAPES[shape]

    def lower(x: Tensor, y: Tensor, s: Any) -> Tensor:
        dH, db = (torch.as_tensor(part) for part in parts(s))
        rows = [part if part.ndim == axes else part.expand(len(y), *part.shape[-axes + 1 :])
                for part, axes in ((dH, 4), (db, 3))]  # fmt: skip
        return written.split_lower(x, y, *rows)

    written.lower = lower
    return make


def sample_without_runs(written: Written, use: Use, rng: np.random.Generator) -> str:
    """A minibatch as a DataLoader gives it, or some part of a sample: no axis of runs."""
    shape = str(rng.choice(list(SHAPES)))
    make, dH, db, n = _takes(written, shape), written.dH, written.db, written.world.points
    ways: dict[str, Callable[[Any], Any]] = {
        "all points": lambda draw: make(dH, db),
        "one part": lambda draw: make(dH[draw.minibatch(n)], db),
        "a point a run": lambda draw: make(dH[: draw.runs], db[: draw.runs]),
        "one run": lambda draw: make(dH[None], db[None]),
        "runs last": lambda draw: make(dH.expand(draw.runs, *dH.shape).movedim(0, -1), db.expand(draw.runs, *db.shape)),
        "NumPy": lambda draw: make(dH[draw.minibatch(n)].numpy(), db[draw.minibatch(n)].numpy()),
    }
    way = str(rng.choice(list(ways)))
    written.sample_lower = ways[way]
    use.rows = int(rng.choice([1, 1, 2, 3]))
    return f"{way}, in a {shape}"


def own_random_sample(written: Written, use: Use, rng: np.random.Generator) -> str:
    """Samples that are no functions of the draw, or belong to other runs too."""
    make, dH, db, n = _takes(written, "tuple"), written.dH, written.db, written.world.points
    generator = torch.Generator().manual_seed(0)

    def endless() -> Any:
        while True:
            yield from range(n)

    walk = endless()

    def of(rows: Tensor) -> Any:
        return make(dH[rows], db[rows])

    ways: dict[str, Callable[[Any], Any]] = {
        "torch.randint": lambda draw: of(torch.randint(n, (draw.runs, 2))),
        "a generator of its own": lambda draw: of(torch.randint(n, (draw.runs, 2), generator=generator)),
        "NumPy's": lambda draw: of(torch.as_tensor(np.random.default_rng().integers(n, size=(draw.runs, 2)))),
        "an iterator": lambda draw: of(torch.tensor([[next(walk)]] * draw.runs)),
        "by the run's place": lambda draw: of((torch.arange(draw.runs)[:, None] + draw.integers(n)) % n),
    }
    way = str(rng.choice(list(ways)))
    written.sample_lower = ways[way]
    use.rows = int(rng.choice([1, 2, 3]))
    return way


def sample_written(written: Written, use: Use, rng: np.random.Generator) -> str:
    """A sampler, or a loss, that writes into samples which others read."""
    make, dH, db, n = _takes(written, "tuple"), written.dH, written.db, written.world.points
    way = str(rng.choice(["one buffer for all", "the draw's numbers", "the loss its sample"]))
    if way == "one buffer for all":
        kept: dict[int, Tensor] = {}

        def reused(draw: Any) -> Any:
            rows = draw.minibatch(n)
            kept.setdefault(draw.runs, torch.empty(draw.runs, n, *db.shape[1:], dtype=db.dtype))
            buffer = kept[draw.runs][:, : rows.shape[1]]
            buffer.copy_(db[rows] + 0.1 * draw.normal(1)[:, None])
            return make(dH[rows], buffer)

        written.sample_lower = reused
    elif way == "the draw's numbers":

        def scaled(draw: Any) -> Any:
            rows = draw.minibatch(n)
            return make(dH[rows], db[rows] + draw.normal(1).mul_(0.5)[:, None])

        written.sample_lower = scaled
    else:
        written.sample_lower = lambda draw: make(dH[draw.minibatch(n)], db[draw.minibatch(n)])
        loss = written.lower

        def doubling(x: Tensor, y: Tensor, s: Any) -> Tensor:
            value = loss(x, y, s)
            with torch.no_grad():
                s[1].mul_(2)
            return value

        written.lower = doubling
    use.rows = int(rng.choice([1, 2]))
    return way
