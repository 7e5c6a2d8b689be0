"""F²SA and the proximal methods, which tell a problem that asks for it of their z and λ (:mod:`unibio.core.followed`).

Their iterates, draws and calls are those of the methods they are named after. No methods to use: they are there so that
the studies ``lyapunov`` and ``stationarity`` can look at more than x and y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.algorithms.f2sa import F2SA
from unibio.algorithms.first_order import chosen
from unibio.algorithms.proximal import Proximal, ProximalMomentum, ProximalSteps
from unibio.core.algorithm import Algorithm, State
from unibio.core.followed import write
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun
from unibio.errors import InputError


@dataclass(frozen=True)
class FollowedF2SA(F2SA):
    """F²SA that tells of z_k and λ_k along with x_k and y_k."""

    name: ClassVar[str] = "f2sa_followed"

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return self.told(oracle, super().init(oracle, x, y))

    def step(self, oracle: Oracle, state: State) -> State:
        return self.told(oracle, super().step(oracle, state))

    def told(self, oracle: Oracle, state: State) -> State:
        """The state, once the problem has been told."""
        write(oracle, state["z"], self.weight(state["k"]))
        return state


@dataclass(frozen=True)
class FollowedProximalSteps(ProximalSteps):
    """Tells of the centre z_k and of 1/σ_k along with x_k and the centre y_k."""

    @property
    def settles(self) -> bool:
        """Its lower steps change nothing that is stored, on the problems that it accepts."""
        return True

    def told(self, oracle: Oracle, state: State, growth: float) -> State:
        """The state, once the problem has been told.

        Args:
            oracle, state: of the method.
            growth: the exponent of 1/σ.

        Raises:
            InputError: the problem stores something else along with y, which the proximal methods do not tell of.
        """
        penalty: PerRun = self.grown(state["k"], growth)
        if not write(oracle, state["z"], penalty) and oracle.problem.buffers is not None:
            raise InputError(
                f"buffers: algorithm {self.name!r} tells of z and λ and not of its lower steps, which problem "
                f"{oracle.problem.name!r} stores statistics of; take f2sa"
            )
        return state


@dataclass(frozen=True)
class FollowedProximal(FollowedProximalSteps, Proximal):
    """The two-loop method that tells of its centre z_k and of 1/σ_k."""

    name: ClassVar[str] = "proximal_followed"

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return self.told(oracle, super().init(oracle, x, y), self.penalty_growth)

    def step(self, oracle: Oracle, state: State) -> State:
        return self.told(oracle, super().step(oracle, state), self.penalty_growth)


@dataclass(frozen=True)
class FollowedProximalMomentum(FollowedProximalSteps, ProximalMomentum):
    """The single-loop method that tells of its centre z_k and of 1/σ_k."""

    name: ClassVar[str] = "proximal_momentum_followed"

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return self.told(oracle, super().init(oracle, x, y), self._growth)

    def step(self, oracle: Oracle, state: State) -> State:
        return self.told(oracle, super().step(oracle, state), self._growth)

    @property
    def _growth(self) -> float:
        return chosen(self.penalty_growth, self.exponents[self.schedule][1])


#: Every one, and the method whose iterates it has.
FOLLOWED: dict[type[Algorithm], type[Algorithm]] = {
    FollowedF2SA: F2SA,
    FollowedProximal: Proximal,
    FollowedProximalMomentum: ProximalMomentum,
}
