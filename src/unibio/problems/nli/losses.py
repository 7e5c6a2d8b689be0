"""Both losses of hyper-cleaning with the network, and their gradients, HVP and JVP: see :mod:`.nli_cleaning`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unibio.core.powers import abs_power, signed_power
from unibio.problems.nli.network import Network

#: A minibatch: places of pairs (B,) and their labels (B,).
Batch = tuple[Tensor, Tensor]


class Losses:
    """Both losses and all their derivatives, for rows of runs.

    Args:
        train, valid: the network on the two splits.
        regulariser, exponent: c and p.
    """

    def __init__(self, train: Network, valid: Network, regulariser: float, exponent: int):
        self.train, self.valid, self.c, self.p = train, valid, regulariser, exponent

    def upper(self, x: Tensor, y: Tensor, batch: Batch) -> Tensor:
        """(runs,)."""
        return _rows(lambda y, place, label: self.valid.losses(y, place, label).mean(), y, *batch)

    def lower(self, x: Tensor, y: Tensor, batch: Batch) -> Tensor:
        """(runs,)."""

        def one(y: Tensor, place: Tensor, label: Tensor, x: Tensor) -> Tensor:
            weighted = torch.sigmoid(x[place]) * self.train.losses(y, place, label)
            return weighted.mean() + self.c * abs_power(y, self.p).sum()

        return _rows(one, y, *batch, x)

    def grad_upper(self, x: Tensor, y: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """0 and f_w: (runs, d_x), (runs, d_y)."""

        def one(y: Tensor, place: Tensor, label: Tensor) -> Tensor:
            return self.valid.gradient(y, place, label, y.new_full((len(place),), 1 / len(place)))

        return torch.zeros_like(x), _rows(one, y, *batch)

    def grad_lower(self, x: Tensor, y: Tensor, batch: Batch) -> Tensor:
        """g_w: (runs, d_y)."""

        def one(y: Tensor, place: Tensor, label: Tensor, x: Tensor) -> Tensor:
            found = self.train.gradient(y, place, label, torch.sigmoid(x[place]) / len(place))
            return found.add_(signed_power(y, self.p - 1), alpha=self.c * self.p)

        return _rows(one, y, *batch, x)

    def grad_lower_x(self, x: Tensor, y: Tensor, batch: Batch) -> Tensor:
        """g_λ: (runs, d_x)."""

        def one(y: Tensor, place: Tensor, label: Tensor, x: Tensor) -> Tensor:
            return _placed(x, place, self.train.losses(y, place, label))

        return _rows(one, y, *batch, x)

    def hvp(self, x: Tensor, y: Tensor, v: Tensor, batch: Batch) -> Tensor:
        """∇²_ww g · v: (runs, d_y)."""

        def one(y: Tensor, place: Tensor, label: Tensor, x: Tensor, v: Tensor) -> Tensor:
            found = self.train.hvp(y, place, label, torch.sigmoid(x[place]) / len(place), v)
            factor = self.c * self.p * (self.p - 1)
            return found.addcmul_(abs_power(y, self.p - 2), v, value=factor)

        return _rows(one, y, *batch, x, v)

    def jvp(self, x: Tensor, y: Tensor, v: Tensor, batch: Batch) -> Tensor:
        """∇²_λw g · v, by one forward-mode pass: (runs, d_x)."""

        def one(y: Tensor, place: Tensor, label: Tensor, x: Tensor, v: Tensor) -> Tensor:
            return _placed(x, place, self.train.tangent(y, place, label, v))

        return _rows(one, y, *batch, x, v)


def _placed(x: Tensor, place: Tensor, values: Tensor) -> Tensor:
    """σ'(λ_i) values_i / B at the minibatch's places, 0 elsewhere: (n,)."""
    weights = torch.sigmoid(x[place])
    return torch.zeros_like(x).index_add_(0, place, weights * (1 - weights) * values / len(place))


def _rows(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """A function of rows, over all rows; one row, the usual case with a network, is not copied."""
    found = [function(*(tensor[i] for tensor in tensors)) for i in range(len(tensors[0]))]
    return found[0][None] if len(found) == 1 else torch.stack(found)
