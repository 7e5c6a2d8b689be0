"""UniBiO with the rule for η of UniBiO without p, and all else as published: what knowing p alone is worth. Ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.algorithms.unibio import UniBiO
from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.updates import mix, normalised
from unibio.core.windows import next_window


@dataclass(frozen=True)
class WindowedUniBiO(UniBiO):
    """UniBiO, Algorithm 2, whose η grows while halves of a window agree on the direction and shrinks once they differ.

        y = EpochSGD(x_0, y; K_0);  m = 0;  η = upper_step
        for t = 0, 1, …:
            if t > 0 and t mod I = 0:  y = EpochSGD(x_t, y; K)
            m = β m + (1−β) ĥ(x_t, y);   x_{t+1} = x_t − η m/‖m‖
            every W iterations, the window:  a, b = sums of ĥ over its halves
                cos(a, b) > c:  η grows, W falls        cos(a, b) < 0:  η shrinks, W grows        else:  W grows

    The rule, and its defaults, are those of :class:`~unibio.algorithms.unibio_adaptive.AdaptiveUniBiO`; p, K, γ₁ and
    the estimator stay Algorithm 2's. It is the baseline that a method without p is fairly compared with: both find η,
    and one of them knows p and is tuned. Costs of an iteration as of UniBiO.
    """

    name: ClassVar[str] = "unibio_windows"
    updates: ClassVar[tuple[str, ...]] = ()
    no_update: ClassVar[Mapping[str, str]] = {
        **UniBiO.no_update,
        "upper": "it finds the length of its upper steps itself; unibio takes one",
    }

    upper_step: PerRun = hyper(0.04, "first upper step", symbol="η₀", above=0)
    window: int = hyper(20, "iterations of the first and shortest window", symbol="W", at_least=2)
    lengthening: float = hyper(1.3, "factor by which windows grow, and fall", at_least=1)
    agreement: float = hyper(0.5, "cosine of a window's halves above which η grows", symbol="c", above=0, below=1)
    upper_growth: float = hyper(1.5, "factor by which η grows", at_least=1)
    upper_shrink: float = hyper(0.6, "factor by which η shrinks", above=0, below=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        ones = torch.ones_like(x[:, :1])
        return {
            **super().init(oracle, x, y),
            "eta": self.upper_step * ones,
            "length": self.window * ones,
            "place": 0 * ones,
            "early": torch.zeros_like(x),
            "late": torch.zeros_like(x),
        }

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, t, eta, length = state["x"], state["y"], state["t"], state["eta"], state["length"]
        if t > 0 and t % self.period == 0:
            y = self.solve_lower(oracle, x, y, self.inner_budget)
        h, remembered = self.estimate(oracle, x, y, state)
        m = mix(state["momentum"], h, self.momentum)
        late = state["place"] >= (length.floor() / 2).floor()
        early_sum = torch.where(late, state["early"], state["early"] + h)
        late_sum = torch.where(late, state["late"] + h, state["late"])
        place = state["place"] + 1
        ended = place >= length.floor()
        new_eta, new_length = self.end_window(early_sum, late_sum, eta, length)
        return {
            "x": oracle.project_upper(x - eta * normalised(m)),
            "y": y,
            "momentum": m,
            "t": t + 1,
            "eta": torch.where(ended, new_eta, eta),
            "length": torch.where(ended, new_length, length),
            "place": torch.where(ended, 0.0, place),
            "early": torch.where(ended, 0.0, early_sum),
            "late": torch.where(ended, 0.0, late_sum),
            **remembered,
        }

    def end_window(self, early: Tensor, late: Tensor, eta: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """η and the length of the next window, by the sums of ĥ over the halves of the last: (runs, 1) each."""
        return next_window(self, early, late, eta, length)
