"""No bilevel optimisation: the baseline that every hyper-cleaning study needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.algorithms.base import Algorithm, State
from unibio.oracle import Oracle
from unibio.parameters import PerRun, hyper
from unibio.updates import descend


@dataclass(frozen=True)
class LowerOnly(Algorithm):
    """SGD on the lower level alone; x stays where it starts.

        T times:  y ← y − ρ g_y(x_0, y)

    An iteration costs T lower gradients.
    """

    name: ClassVar[str] = "lower_only"

    lower_step: PerRun = hyper(0.1, "lower-level step", symbol="ρ", above=0)
    lower_iterations: int = hyper(1, "lower steps per iteration", symbol="T", at_least=1)
    batch_size: int | None = hyper(None, "minibatch size for finite sums; null means the full batch", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y = state["x"], state["y"]
        for _ in range(self.lower_iterations):
            y = oracle.project_lower(descend(y, self.lower_step, oracle.grad_lower(x, y)))
        return {"x": x, "y": y}
