"""What the authors' released synthetic script does, as a named variant: to tell the picture and the method apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.algorithm import Algorithm, State
from unibio.core.epoch_sgd import epoch_sgd
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.updates import descend, mix, normalised
from unibio.errors import InputError


@dataclass(frozen=True)
class ReleasedUniBiO(Algorithm):
    """The released script's loop on Example 3.

    Deviations from Algorithm 2: the upper step follows the closed-form hypergradient cos x · cos(sin x) plus noise of
    standard deviation ``gradient_noise``; the lower-level iterate decides nothing but whether the clip of f cuts the
    gradient to 0; every call of Epoch-SGD starts at a fresh N(0, 1) draw; epochs average w_2 … w_{T+1}.
    Needs a problem with a closed-form gradient and clip (Example 3). An iteration counts one upper gradient.
    """

    name: ClassVar[str] = "unibio_released"
    no_update: ClassVar[Mapping[str, str]] = {
        "upper": "its steps are those of the released script; unibio takes one",
        "lower": "its lower level is Epoch-SGD from a fresh draw, as in the released script; unibio_plain takes one",
    }

    upper_step: PerRun = hyper(0.03, "normalised upper-level step", symbol="η", above=0)
    lower_step: PerRun = hyper(1.0, "first step of Epoch-SGD", symbol="γ₁", above=0)
    momentum: PerRun = hyper(0.9, "weight of the old momentum", symbol="β", at_least=0, below=1)
    period: int = hyper(2, "outer iterations between lower-level solves", symbol="I", at_least=1)
    inner_budget: int = hyper(100, "lower-level steps available to Epoch-SGD", symbol="K", at_least=1)
    first_length: float = hyper(5.0, "length of Epoch-SGD's first epoch", symbol="T₁", at_least=1)
    first_radius: PerRun = hyper(1.0, "radius of the ball in the first epoch", symbol="D₁", above=0)
    gradient_noise: PerRun = hyper(0.01, "standard deviation of the noise added to the hypergradient", at_least=0)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        known = oracle.problem.closed_form
        if known.gradient is None or known.inside_clip is None:
            raise InputError(
                f"{self.name} steps along a closed-form hypergradient, which problem {oracle.problem.name!r} does not "
                "have; it exists for example3 only. Use algorithm unibio."
            )
        return {"x": x, "y": self.solve_lower(oracle, x, y), "momentum": x.new_zeros(x.shape), "t": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, t = state["x"], state["y"], state["t"]
        known = oracle.problem.closed_form
        assert known.gradient is not None  # init has checked
        assert known.inside_clip is not None
        if t > 0 and t % self.period == 0:
            y = self.solve_lower(oracle, x, y)
        oracle.count_closed_form()
        noise = oracle.draw("hypergradient").normal(x.shape[-1])
        h = torch.where(known.inside_clip(y), known.gradient(x), torch.zeros_like(x)) + self.gradient_noise * noise
        m = mix(state["momentum"], h, self.momentum)
        return {"x": descend(x, self.upper_step, normalised(m)), "y": y, "momentum": m, "t": t + 1}

    def solve_lower(self, oracle: Oracle, x: Tensor, y: Tensor) -> Tensor:
        return epoch_sgd(
            oracle,
            x,
            oracle.draw("start").normal(y.shape[-1]),
            budget=self.inner_budget,
            first_length=self.first_length,
            first_radius=self.first_radius,
            step=self.lower_step,
            average="last",
        )
