"""Orthogonal mixings of coordinates: a dense matrix, or a product of sparse factors that costs O(d log d).

The dense one is uniform among orthogonal matrices and takes O(d³) to make and O(d²) to use. The other is

    R = (W' T W P S)²,    S, T random signs, P a random permutation, W, W' Walsh–Hadamard transforms,

drawn anew in each of the two rounds, and orthogonal because every factor is. W transforms the first and W' the last 2^k
coordinates, the most with 2^k ≤ d; they overlap, and are the same where d is a power of two. One W makes every entry
±d^{−1/2}, more make them sums of many random signs, which look like the entries of a uniform matrix.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

#: Rounds of the fast mixing.
ROUNDS = 2


def orthogonal(dimension: int, seed: int) -> Tensor:
    """A uniformly random orthogonal matrix, (dimension, dimension) float64."""
    gaussian = np.random.Generator(np.random.Philox(seed)).standard_normal((dimension, dimension))
    q, r = np.linalg.qr(gaussian)
    return torch.from_numpy(q * np.sign(np.diag(r)))  # the signs make it uniform, and the factorisation unique


class Dense:
    """A uniformly random orthogonal matrix R.

    Args:
        dimension: d.
        seed: of the numbers.
    """

    def __init__(self, dimension: int, seed: int):
        self._matrix = orthogonal(dimension, seed)
        self._at: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """R x for every row: (runs, d)."""
        return x @ self._like(x).T

    def back(self, u: Tensor) -> Tensor:
        """Rᵀ u for every row: (runs, d)."""
        return u @ self._like(u)

    def _like(self, t: Tensor) -> Tensor:
        at = t.device, t.dtype
        if at not in self._at:
            self._at[at] = self._matrix.to(*at)
        return self._at[at]


class Hadamard:
    """R as above, never formed; additions and subtractions only, each row for itself.

    Args:
        dimension: d ≥ 2.
        seed: of signs and permutations.
    """

    def __init__(self, dimension: int, seed: int):
        random = np.random.Generator(np.random.Philox(seed))
        self._block = 1 << (dimension.bit_length() - 1)
        self._dimension = dimension
        self._rounds = [
            (
                torch.from_numpy(2.0 * random.integers(0, 2, (2, dimension)) - 1),
                torch.from_numpy(random.permutation(dimension)),
            )
            for _ in range(ROUNDS)
        ]
        self._at: dict[tuple[torch.device, torch.dtype], list[tuple[Tensor, Tensor, Tensor]]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """R x for every row: (runs, d)."""
        for signs, order, _ in self._like(x):
            x = self._last(signs[1] * self._first((signs[0] * x).index_select(-1, order)))
        return x

    def back(self, u: Tensor) -> Tensor:
        """Rᵀ u for every row: (runs, d)."""
        for signs, _, inverse in reversed(self._like(u)):
            u = signs[0] * self._first(signs[1] * self._last(u)).index_select(-1, inverse)
        return u

    def _first(self, x: Tensor) -> Tensor:
        block = self._block
        return torch.cat((walsh_hadamard(x[:, :block]), x[:, block:]), -1)

    def _last(self, x: Tensor) -> Tensor:
        rest = self._dimension - self._block
        return torch.cat((x[:, :rest], walsh_hadamard(x[:, rest:])), -1) if rest else x

    def _like(self, t: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Signs, permutation and its inverse of every round, on the device of t."""
        at = t.device, t.dtype
        if at not in self._at:
            self._at[at] = [
                (signs.to(*at), order.to(t.device), order.argsort().to(t.device)) for signs, order in self._rounds
            ]
        return self._at[at]


def walsh_hadamard(x: Tensor) -> Tensor:
    """The orthogonal Walsh–Hadamard transform of every row, its own inverse: (runs, 2^k) in k passes of butterflies."""
    runs, size = x.shape
    half = 1
    while half < size:
        pairs = x.reshape(runs, size // (2 * half), 2, half)
        a, b = pairs[:, :, 0], pairs[:, :, 1]
        x = torch.stack((a + b, a - b), 2)
        half *= 2
    return x.reshape(runs, size) * size**-0.5


#: How a mixing is made, by the name that a configuration gives it.
MIXINGS: dict[str, type[Dense] | type[Hadamard]] = {"qr": Dense, "hadamard": Hadamard}
