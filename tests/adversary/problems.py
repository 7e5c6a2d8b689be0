"""A world as the library's user would write it, right or with one mistake planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adversary.worlds import World
from unibio import Problem

#: The user's own numbers: mistakes change them, and the library must not.
DATA = ("H", "K", "M", "a", "b", "c", "dH", "db", "dc", "u", "r", "w", "t")


@dataclass
class Written:
    """The parts of a problem, in rows: losses (x, y, sample) -> (runs,), samplers, own derivatives."""

    world: World
    dtype: torch.dtype
    upper: Callable[..., Tensor] = field(init=False)
    lower: Callable[..., Tensor] = field(init=False)
    sample_upper: Callable[[Any], Any] | None = field(init=False, default=None)
    sample_lower: Callable[[Any], Any] | None = field(init=False, default=None)
    derivatives: dict[str, Callable[..., Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        w = self.world
        numbers = (w.H, w.K, w.M, w.a, w.b, w.c, w.dH, w.db, w.dc, *w.kinks)
        for name, part in zip(DATA, numbers, strict=True):
            setattr(self, name, torch.as_tensor(part, dtype=self.dtype))
        self.upper = self.vanishing_upper if w.vanishing else self.regular_upper
        self.lower = self.plain_lower
        if w.points:
            self.lower, self.sample_lower = self.sum_lower, lambda draw: draw.minibatch(w.points)
            if not w.vanishing:
                self.upper, self.sample_upper = self.sum_upper, lambda draw: draw.minibatch(w.points)
        elif w.noise == "gradient":
            self.lower, self.sample_lower = self.shaken_lower, lambda draw: w.sigma * draw.normal(len(w.y))
        elif w.noise == "hessian":
            self.lower, self.sample_lower = self.bent_lower, lambda draw: w.sigma * (2 * draw.uniform(1) - 1)
        elif w.noise == "upper":
            self.upper, self.sample_upper = (
                self.shaken_upper,
                lambda draw: {"s": [w.sigma * (2 * draw.uniform(len(w.y)) - 1)]},
            )

    def power(self, y: Tensor) -> Tensor:
        """[y]^{∘(p−1)}, smooth at 0 for odd p−1."""
        return y ** (self.world.p - 1) if self.world.p % 2 == 0 else y * y.abs() ** (self.world.p - 2)

    def of_x(self, x: Tensor) -> Tensor:
        """What f has of x alone."""
        return ((x - self.a) ** 2).sum(-1) / 2 + (self.u * (x - self.r).abs()).sum(-1)

    def regular_upper(self, x: Tensor, y: Tensor, sample: Any = None) -> Tensor:
        return ((y - self.c) ** 2).sum(-1) / 2 + self.of_x(x) + (x @ self.M * y).sum(-1)

    def sum_upper(self, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        return self.regular_upper(x, y) - (y * self.dc[rows].mean(1)).sum(-1)

    def shaken_upper(self, x: Tensor, y: Tensor, sample: Any) -> Tensor:
        return self.regular_upper(x, y) + (y * sample["s"][0]).sum(-1)

    def vanishing_upper(self, x: Tensor, y: Tensor, sample: Any = None) -> Tensor:
        return ((self.power(y) - self.c) ** 2).sum(-1) / 2 + self.of_x(x)

    def bowl(self, y: Tensor) -> Tensor:
        """s Σ|y|^p / p."""
        p = self.world.p
        return 0.0 * y.sum(-1) if p == 2 else (y.abs() ** p).sum(-1) / p

    def plain_lower(self, x: Tensor, y: Tensor, sample: Any = None) -> Tensor:
        square = (y @ self.H * y).sum(-1) / 2 + (self.w * (y - self.t).relu()).sum(-1)
        return self.bowl(y) + square - (y * (x @ self.K.T + self.b)).sum(-1)

    def sum_lower(self, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        return self.split_lower(x, y, self.dH[rows], self.db[rows])

    def split_lower(self, x: Tensor, y: Tensor, dH: Tensor, db: Tensor) -> Tensor:
        """Of the parts of some data points, (runs, points, d, d) and (runs, points, d)."""
        extra = torch.einsum("ri,rij,rj->r", y, dH.mean(1), y) / 2 - (y * db.mean(1)).sum(-1)
        return self.plain_lower(x, y) + extra

    def shaken_lower(self, x: Tensor, y: Tensor, sample: Tensor) -> Tensor:
        return self.plain_lower(x, y) + (y * sample).sum(-1)

    def bent_lower(self, x: Tensor, y: Tensor, sample: Tensor) -> Tensor:
        return self.plain_lower(x, y) + sample[..., 0] * (y @ self.H * y).sum(-1) / 2

    def add_own(self) -> None:
        """Closed-form derivatives of everything, as a careful user writes them; not for finite sums and noise."""
        w = self.world

        def grad_upper(x: Tensor, y: Tensor, s: Any) -> tuple[Tensor, Tensor]:
            f_x = x - self.a + self.u * (x - self.r).sign()
            if w.vanishing:
                z = self.power(y)
                return f_x, (w.p - 1) * y.abs() ** (w.p - 2) * (z - self.c)
            return f_x + y @ self.M.T, y - self.c + x @ self.M

        def curved(y: Tensor) -> Tensor:
            return torch.zeros_like(y) if w.p == 2 else (w.p - 1) * y.abs() ** (w.p - 2)

        def grad_lower(x: Tensor, y: Tensor, s: Any) -> Tensor:
            bowl = torch.zeros_like(y) if w.p == 2 else self.power(y)
            return bowl + y @ self.H + self.w * (y > self.t) - x @ self.K.T - self.b

        self.derivatives = {
            "grad_upper": grad_upper,
            "grad_lower": grad_lower,
            "grad_lower_x": lambda x, y, s: -y @ self.K,
            "hvp": lambda x, y, v, s: v @ self.H + curved(y) * v,
            "jvp": lambda x, y, v, s: -v @ self.K,
        }

    def problem(self, scalar: bool) -> Problem:
        """As a Problem; scalar losses of vectors, or rows."""
        w = self.world
        given: dict[str, Any] = {"exponent": w.p, "vanishing_hessian": w.vanishing, "derivatives": self.derivatives}
        losses = []
        for role in ("upper", "lower"):
            sampler, loss = getattr(self, f"sample_{role}"), getattr(self, role)
            if sampler is not None:
                given |= {f"sample_{role}": sampler, f"size_{role}": w.points or None}
            losses.append(_of_vectors(loss, sampler is not None) if scalar else loss)
        return Problem(*losses, **given | self.options)


def _of_vectors(loss: Callable[..., Tensor], sampled: bool) -> Callable[..., Tensor]:
    """A loss of rows as one of vectors."""

    def one(t: Any) -> Any:
        if isinstance(t, dict):
            return {key: one(part) for key, part in t.items()}
        if isinstance(t, (tuple, list)):
            return type(t)(one(part) for part in t)
        return t[None] if isinstance(t, Tensor) else t

    if not sampled:
        return lambda x, y: loss(one(x), one(y))[0]
    return lambda x, y, s: loss(one(x), one(y), one(s))[0]


def rng_of(seed: int) -> np.random.Generator:
    """Everything of one case comes from it."""
    return np.random.default_rng([20261128, seed])
