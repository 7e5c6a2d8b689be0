"""F³SA, F²SA with momentum (Kwon, Kwon, Wright & Nowak, ICML 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.algorithms.f2sa import PenalisedIterate
from unibio.algorithms.first_order import chosen, kept, lower_estimates, upper_estimates
from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.updates import decay


@dataclass(frozen=True)
class F3SA(PenalisedIterate):
    """F³SA: F²SA with one inner step and STORM estimates of its six gradients.

        d_k = g(w_k) + (1 − η_k)(d_{k−1} − g(w_{k−1})),   the same sample at both points,   d_0 = g(w_0)

    for g_y at (x_k, z_k), f_y and g_y at (x_k, y_k), which move z and y, and then f_x and g_x at (x_k, y_{k+1}) and g_x
    at (x_k, z_{k+1}), which move x and whose points before are (x_{k−1}, y_k) and (x_{k−1}, z_k). Schedules as F²SA's,
    and η_k = (1 − β)(k + k₀)^{−2c}; (a, c) = (3/5, 2/5), (1/2, 1/4), (1/3, 0) for noise on both levels, on the upper,
    on none: iterations ε^{−5}, ε^{−4}, ε^{−3}. ``momentum`` is β, the weight of the old estimate at k + k₀ = 1. An
    iteration costs four upper and four lower gradients and four g_x; half of that where there is no memory: at k = 0,
    and always for c = β = 0, where it is F²SA. Assumes a strongly convex lower level and smooth samples.
    """

    name: ClassVar[str] = "f3sa"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower")
    exponents: ClassVar[dict[str, tuple[float, float]]] = {
        "exact": (1 / 3, 0.0),
        "upper": (1 / 2, 1 / 4),
        "both": (3 / 5, 2 / 5),
    }

    momentum: PerRun = hyper(0.0, "weight of the old estimate where k + k₀ = 1", symbol="1 − η", at_least=0, below=1)
    momentum_decay: float | None = hyper(
        None, "the new sample's weight decays like (k + k₀)^(−m); null: m = 2c", at_least=0
    )

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "z": y, "k": 0}

    def keep(self, k: int) -> PerRun:
        """1 − η_k, at least 0."""
        exponent = chosen(self.momentum_decay, 2 * self.exponents[self.schedule][1])
        return kept((1 - self.momentum) * decay(k, exponent, self.decay_offset))

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, k = state["x"], state["y"], state["z"], state["k"]
        penalty, keep, move = self.weight(k), self.keep(k), self.moves(oracle, state, k)
        d = lower_estimates(oracle, state, "y z", keep)
        new_z = oracle.project_lower(move.lower(z, self.gamma(k), d["g_y(z)"], "z"))
        new_y = oracle.project_lower(move.lower(y, self.alpha(k), d["f_y(y)"] + penalty * d["g_y(y)"]))
        moved = state | {"y": new_y, "z": new_z, "y old": y, "z old": z}
        d |= upper_estimates(oracle, moved, "y z", keep)
        direction = d["f_x(y)"] + penalty * (d["g_x(y)"] - d["g_x(z)"])
        new_x = oracle.project_upper(move.upper(x, self.eta(k), direction))
        return {"x": new_x, "y": new_y, "z": new_z, "x old": x, "y old": y, "z old": z, **d, "k": k + 1} | move.carried
