"""Algorithms that are broken on purpose. They run in another's place and are registered nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unibio.algorithms.unibio import UniBiO
from unibio.core.algorithm import Algorithm, State
from unibio.core.oracle import Oracle


@dataclass(frozen=True)
class NeverRefreshed(UniBiO):
    """y stays where it began."""

    def solve_lower(self, oracle: Oracle, x: Tensor, y: Tensor, budget: int) -> Tensor:
        return y


@dataclass(frozen=True)
class WrongSign(UniBiO):
    """ĥ with the opposite sign of the Jacobian; where f does not depend on x itself, of all of it."""

    def hypergradient(self, oracle: Oracle, x: Tensor, y: Tensor) -> Tensor:
        return -super().hypergradient(oracle, x, y)


def exploding(cls: type[Algorithm]) -> type[Algorithm]:
    """An algorithm whose iterates leave every bound."""
    return _after_each_step(cls, lambda x: 1e4 * (x + 1))


def undefined(cls: type[Algorithm]) -> type[Algorithm]:
    """An algorithm whose x is NaN after the first step."""
    return _after_each_step(cls, lambda x: x * float("nan"))


def motionless(cls: type[Algorithm]) -> type[Algorithm]:
    """An algorithm that leaves x where it is."""

    class Motionless(cls):  # type: ignore[misc, valid-type]
        def step(self, oracle: Oracle, state: State) -> State:
            return {**super().step(oracle, state), "x": state["x"]}

    return Motionless


def fixed_lower(cls: type[Algorithm]) -> type[Algorithm]:
    """An algorithm that leaves y where it is, whatever it computes."""

    class FixedLower(cls):  # type: ignore[misc, valid-type]
        def step(self, oracle: Oracle, state: State) -> State:
            return {**super().step(oracle, state), "y": state["y"]}

    return FixedLower


def receding(cls: type[Algorithm]) -> type[Algorithm]:
    """An algorithm that takes every lower step the other way."""

    class Receding(cls):  # type: ignore[misc, valid-type]
        def step(self, oracle: Oracle, state: State) -> State:
            new = super().step(oracle, state)
            return {**new, "y": 2 * state["y"] - new["y"]}

    return Receding


def climbing(cls: type[Algorithm]) -> type[Algorithm]:
    """An algorithm that takes every upper step the other way."""

    class Climbing(cls):  # type: ignore[misc, valid-type]
        def step(self, oracle: Oracle, state: State) -> State:
            new = super().step(oracle, state)
            return {**new, "x": 2 * state["x"] - new["x"]}

    return Climbing


def _after_each_step(cls: type[Algorithm], change: Any) -> type[Algorithm]:
    class Changed(cls):  # type: ignore[misc, valid-type]
        def step(self, oracle: Oracle, state: State) -> State:
            new = super().step(oracle, state)
            return {**new, "x": change(new["x"])}

    return Changed
