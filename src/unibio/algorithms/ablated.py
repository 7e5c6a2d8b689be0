"""UniBiO without one of its parts, where no setting of the method takes the part away.

No methods to use: they are there so that the study ``ablation`` can say what a part is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.algorithms.unibio import UniBiO
from unibio.core.algorithm import Algorithm, State
from unibio.core.epoch_sgd import ball, epochs
from unibio.core.oracle import Oracle
from unibio.core.updates import descend


@dataclass(frozen=True)
class UnaveragedUniBiO(UniBiO):
    """UniBiO whose Epoch-SGD hands on the last iterate of an epoch instead of an average; ``average`` says nothing."""

    name: ClassVar[str] = "unibio_unaveraged"

    def solve_lower(self, oracle: Oracle, x: Tensor, y: Tensor, budget: int) -> Tensor:
        p = oracle.problem.exponent if self.assumed_exponent is None else self.assumed_exponent
        for epoch in epochs(budget, self.first_length, p):
            gamma, project = epoch.step_factor * self.lower_step, ball(y, epoch.radius_factor * self.first_radius)
            for _ in range(epoch.length):
                gradient = oracle.grad_lower(x, y)
                oracle.stepped_lower(y)
                y = project(descend(y, gamma, gradient))
        return y


@dataclass(frozen=True)
class ColdUniBiO(UniBiO):
    """UniBiO every one of whose lower-level solves begins at the y of the run's start, not at the last solve's."""

    name: ClassVar[str] = "unibio_cold"

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {**super().init(oracle, x, y), "start": y}

    def step(self, oracle: Oracle, state: State) -> State:
        if state["t"] > 0 and state["t"] % self.period == 0:
            state = {**state, "y": state["start"]}
        return {**super().step(oracle, state), "start": state["start"]}


@dataclass(frozen=True)
class UnwarmedUniBiO(UniBiO):
    """UniBiO whose first iterations have the y of the run's start; ``warm_budget`` says nothing."""

    name: ClassVar[str] = "unibio_unwarmed"

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "momentum": x.new_zeros(x.shape), "t": 0}


#: Every one, all of them of UniBiO.
ABLATED: tuple[type[Algorithm], ...] = (UnaveragedUniBiO, ColdUniBiO, UnwarmedUniBiO)
