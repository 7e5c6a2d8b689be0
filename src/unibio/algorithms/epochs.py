"""Algorithm 1 by itself, an epoch an iteration: what the lower level of UniBiO does at one x."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.core.algorithm import Algorithm, State
from unibio.core.epoch_sgd import epoch_sgd
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper


@dataclass(frozen=True)
class EpochSGD(Algorithm):
    """Epoch-SGD with shrinking balls (Algorithm 1) on the lower level alone; x stays where it starts.

        k-th iteration:  y ← average of ⌊T_k⌋ steps  w ← Π_{B(y, D_k)}(w − γ_k g_y(x_0, w))  from w = y
        T_k = T₁ 2^{τ(k−1)}   γ_k = γ₁ 2^{−(k−1)}   D_k = D₁ 2^{−(k−1)/p}   τ = 2(p−1)/p

    The iterates are those between the epochs of one long call, so that a history shows how the error falls with the
    steps taken. The k-th iteration costs ⌊T_k⌋ lower gradients.
    """

    name: ClassVar[str] = "epoch_sgd"
    in_epochs: ClassVar[bool] = True
    no_update: ClassVar[Mapping[str, str]] = {
        "upper": "x stays where it starts",
        "lower": "Epoch-SGD's steps halve from epoch to epoch in shrinking balls, and end in an average; lower_only "
        "takes one",
    }

    lower_step: PerRun = hyper(1.0, "step of the first epoch", symbol="γ₁", above=0)
    first_length: float = hyper(5.0, "length of the first epoch", symbol="T₁", at_least=1)
    first_radius: PerRun = hyper(1.0, "radius of the ball in the first epoch", symbol="D₁", above=0)
    average: str = hyper("first", "iterates averaged: w_1…w_T or w_2…w_{T+1}", choices=("first", "last"))
    batch_size: int | None = hyper(None, "minibatch size for finite sums; null means the full batch", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, k, p = state["x"], state["k"], oracle.problem.exponent
        length = self.first_length * 2.0 ** (2 * (p - 1) * k / p)
        y = epoch_sgd(
            oracle,
            x,
            state["y"],
            budget=math.ceil(length),  # which one epoch of this length uses up
            first_length=length,
            first_radius=2.0 ** (-k / p) * self.first_radius,
            step=0.5**k * self.lower_step,
            average=self.average,
        )
        return {"x": x, "y": y, "k": k + 1}
