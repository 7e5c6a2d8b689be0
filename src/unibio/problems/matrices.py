"""Per-sample matrices and vectors of a finite sum, and their minibatch means applied to rows.

``batch`` is (runs, b) indices of data points, a minibatch per row, or None for all points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

#: Numbers formed at once for a product with a minibatch's matrices: more leave the processor's cache.
CACHED = 1 << 17


class Constants:
    """Named float64 tensors, delivered on the device and in the dtype of another tensor and kept there."""

    def __init__(self, values: dict[str, Tensor]):
        self._values = values
        self._kept: dict[tuple[str, torch.device, torch.dtype], Tensor] = {}

    def __call__(self, name: str, like: Tensor) -> Tensor:
        key = (name, like.device, like.dtype)
        if key not in self._kept:
            self._kept[key] = self._values[name].to(like.device, like.dtype)
        return self._kept[key]


class Matrices(Protocol):
    """n matrices of one shape (d, e)."""

    mean: Tensor

    def __call__(self, v: Tensor, batch: Tensor | None, transposed: bool = False) -> Tensor:
        """(mean over the batch of M_i) v, row by row: (runs, e) → (runs, d), or (runs, d) → (runs, e) transposed."""
        ...


def _times(matrix: Tensor, v: Tensor, transposed: bool) -> Tensor:
    return v @ (matrix if transposed else matrix.T)


def _mean(every: Tensor, batch: Tensor) -> Tensor:
    """The mean of a minibatch's rows of ``every`` (n, k), without a copy of them: (runs, k)."""
    return embedding_bag(batch, every, mode="mean")


def _by_rows(apply: Callable[[Tensor, Tensor], Tensor], batch: Tensor, v: Tensor, numbers: int) -> Tensor:
    """``apply(batch, v)``, on a CPU for as many rows at once as keep what it forms in the processor's cache.

    Args:
        apply: a function of (r, b) and (r, e), row by row, for any r.
        batch, v: (runs, b) and (runs, e).
        numbers: that it forms for a row.
    """
    at_once = max(1, CACHED // max(1, numbers))
    if len(batch) <= at_once or batch.device.type != "cpu":
        return apply(batch, v)
    return torch.cat([apply(*part) for part in zip(batch.split(at_once), v.split(at_once), strict=True)])


class Vectors:
    """n vectors, (n, d)."""

    def __init__(self, values: np.ndarray):
        every = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
        self.mean = every.mean(0)
        self._at = Constants({"every": every, "mean": self.mean})

    def __call__(self, like: Tensor, batch: Tensor | None) -> Tensor:
        """The mean over the batch: (d,) for all points, (runs, d) for minibatches."""
        return self._at("mean", like) if batch is None else _mean(self._at("every", like), batch)


class Dense:
    """n given matrices, (n, d, e)."""

    def __init__(self, values: np.ndarray):
        every = torch.from_numpy(np.asarray(values, dtype=np.float64))
        self.mean = every.mean(0)
        flat = every.mT.reshape(len(every), -1)  # transposed: M v is vᵀMᵀ then, the faster of the two
        self._at = Constants({"every": flat, "mean": self.mean})

    def __call__(self, v: Tensor, batch: Tensor | None, transposed: bool = False) -> Tensor:
        if batch is None:
            return _times(self._at("mean", v), v, transposed)
        every, (d, e) = self._at("every", v), self.mean.shape

        def apply(batch: Tensor, v: Tensor) -> Tensor:
            mean = _mean(every, batch).view(-1, e, d)
            # A row's numbers do not depend on how many rows there are, as those of matrices times columns would.
            return (mean * v[:, None, :]).sum(-1) if transposed else torch.bmm(v[:, None, :], mean)[:, 0]

        return _by_rows(apply, batch, v, numbers=d * e)


class LowRank:
    """n matrices M_i = M + L_i R_iᵀ in O(d e + n (d + e) r) memory; L: (n, d, r), R: (n, e, r)."""

    def __init__(self, shared: np.ndarray, left: np.ndarray, right: np.ndarray):
        self.mean = torch.from_numpy(shared + np.einsum("ndr,ner->de", left, right, optimize=True) / len(left))
        self._symmetric = right is left
        own = torch.from_numpy(np.ascontiguousarray(left.swapaxes(1, 2)))  # (n, r, d)
        other = own if self._symmetric else torch.from_numpy(np.ascontiguousarray(right.swapaxes(1, 2)))
        self._at = Constants({"shared": torch.from_numpy(shared), "mean": self.mean, "left": own, "right": other})

    @classmethod
    def centred(cls, mean: np.ndarray, left: np.ndarray, right: np.ndarray) -> LowRank:
        """The family with these low-rank parts whose mean is exactly ``mean``."""
        return cls(mean - np.einsum("ndr,ner->de", left, right, optimize=True) / len(left), left, right)

    def __call__(self, v: Tensor, batch: Tensor | None, transposed: bool = False) -> Tensor:
        if batch is None:
            return _times(self._at("mean", v), v, transposed)
        shared = _times(self._at("shared", v), v, transposed)
        into, out = (self._at(side, v) for side in (("left", "right") if transposed else ("right", "left")))

        def apply(batch: Tensor, v: Tensor) -> Tensor:
            inner = _selected(into, batch)
            outer = inner if self._symmetric else _selected(out, batch)
            coefficients = torch.bmm(inner, v[:, :, None])
            return torch.bmm(coefficients.mT, outer)[:, 0]

        numbers = batch.shape[1] * into.shape[1] * (into.shape[2] + out.shape[2])
        return shared + _by_rows(apply, batch, v, numbers=numbers) / batch.shape[1]


def _selected(factors: Tensor, batch: Tensor) -> Tensor:
    """The factors (n, r, d) of a minibatch, below each other: (runs, b·r, d)."""
    n, r, d = factors.shape
    return factors.view(n, r * d).index_select(0, batch.reshape(-1)).view(len(batch), -1, d)
