"""No bilevel optimisation: the baseline that every hyper-cleaning study needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.core.algorithm import Algorithm, State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper


@dataclass(frozen=True)
class LowerOnly(Algorithm):
    """SGD on the lower level alone; x stays where it starts.

        T times:  y ← y − ρ g_y(x_0, y)

    An iteration costs T lower gradients.
    """

    name: ClassVar[str] = "lower_only"
    updates: ClassVar[tuple[str, ...]] = ("lower",)
    no_update: ClassVar[Mapping[str, str]] = {"upper": "x stays where it starts"}

    lower_step: PerRun = hyper(0.1, "lower-level step", symbol="ρ", above=0)
    lower_iterations: int = hyper(1, "lower steps per iteration", symbol="T", at_least=1)
    batch_size: int | None = hyper(None, "minibatch size for finite sums; null means the full batch", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, k = state["x"], state["y"], state["k"]
        move = self.moves(oracle, state, k)
        for _ in range(self.lower_iterations):
            y = oracle.project_lower(move.lower(y, self.lower_step, oracle.grad_lower(x, y)))
        return {"x": x, "y": y, "k": k + 1, **move.carried}
