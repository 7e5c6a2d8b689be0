"""Per-sample matrices and vectors of a finite sum, and their minibatch means applied to rows.

``batch`` is (runs, b) indices of data points, a minibatch per row, or None for all points.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor


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


class Vectors:
    """n vectors, (n, d)."""

    def __init__(self, values: np.ndarray):
        every = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
        self.mean = every.mean(0)
        self._at = Constants({"every": every, "mean": self.mean})

    def __call__(self, like: Tensor, batch: Tensor | None) -> Tensor:
        """The mean over the batch: (d,) for all points, (runs, d) for minibatches."""
        return self._at("mean", like) if batch is None else self._at("every", like)[batch].mean(1)


class Dense:
    """n given matrices, (n, d, e)."""

    def __init__(self, values: np.ndarray):
        every = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
        self.mean = every.mean(0)
        self._at = Constants({"every": every, "mean": self.mean})

    def __call__(self, v: Tensor, batch: Tensor | None, transposed: bool = False) -> Tensor:
        if batch is None:
            return _times(self._at("mean", v), v, transposed)
        mean = self._at("every", v)[batch].mean(1)
        return torch.einsum("rde,rd->re" if transposed else "rde,re->rd", mean, v)


class LowRank:
    """n matrices M_i = M + L_i R_iᵀ in O(d e + n (d + e) r) memory; L: (n, d, r), R: (n, e, r)."""

    def __init__(self, shared: np.ndarray, left: np.ndarray, right: np.ndarray):
        self.mean = torch.from_numpy(shared + np.einsum("ndr,ner->de", left, right, optimize=True) / len(left))
        own = torch.from_numpy(np.ascontiguousarray(left))
        other = own if right is left else torch.from_numpy(np.ascontiguousarray(right))
        self._at = Constants({"shared": torch.from_numpy(shared), "mean": self.mean, "left": own, "right": other})

    @classmethod
    def centred(cls, mean: np.ndarray, left: np.ndarray, right: np.ndarray) -> LowRank:
        """The family with these low-rank parts whose mean is exactly ``mean``."""
        return cls(mean - np.einsum("ndr,ner->de", left, right, optimize=True) / len(left), left, right)

    def __call__(self, v: Tensor, batch: Tensor | None, transposed: bool = False) -> Tensor:
        if batch is None:
            return _times(self._at("mean", v), v, transposed)
        shared = _times(self._at("shared", v), v, transposed)
        into, out = ("left", "right") if transposed else ("right", "left")
        coefficients = torch.einsum("rbek,re->rbk", self._at(into, v)[batch], v)
        return shared + torch.einsum("rbdk,rbk->rd", self._at(out, v)[batch], coefficients) / batch.shape[1]
