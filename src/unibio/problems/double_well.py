"""A spurious local minimum: the lower level is as easy as can be, and φ still has a second, worse minimum.

    f(x, y) = (y² − 1)² + t·y,    g(x, y) = ½(y − x)²,    so  y*(x) = x,   φ(x) = (x² − 1)² + t·x

The penalised objective does not satisfy the Polyak–Łojasiewicz inequality, and methods that follow its gradient end in
the minimum of the well they start in: the worse one near x = 1 from about half of all starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import ClosedForm, Problem, ProblemSpec
from unibio.problems.randomness import normal_start


@dataclass(frozen=True)
class DoubleWell(ProblemSpec):
    """d_x = d_y = 1; start x = y, a normal number of standard deviation ``start_scale``.

    Metrics: ``value_gap`` φ(x) − min φ; ``upper_gap`` f(x, y) − min φ; ``lower_gap`` ½(y − x)²; ``hypergradient_norm``.
    """

    name: ClassVar[str] = "double_well"

    tilt: float = hyper(0.3, "t: how much worse the minimum near 1 is; two minima below 1.5", above=0, below=1.5)
    start_seed: PerRun = hyper(0, "seed of the start", at_least=0)
    start_scale: float = hyper(1.0, "standard deviation of the start", above=0)

    def build(self) -> Problem:
        tilt = self.tilt

        def height(t: Tensor) -> Tensor:
            return (t * t - 1) ** 2 + tilt * t

        def slope(t: Tensor) -> Tensor:
            return 4 * t * (t * t - 1) + tilt

        best = self.minimiser()
        lowest = float(height(torch.tensor(best, dtype=torch.float64)))

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            return {
                "value_gap": height(x)[:, 0] - lowest,
                "upper_gap": height(y)[:, 0] - lowest,
                "lower_gap": 0.5 * ((y - x) ** 2)[:, 0],
                "hypergradient_norm": slope(x).abs()[:, 0],
            }

        start = normal_start(self.start_seed, 1, self.start_scale)
        return Problem(
            upper=lambda x, y: height(y)[:, 0] + 0 * x[:, 0],
            lower=lambda x, y: 0.5 * ((y - x) ** 2)[:, 0],
            metrics=metrics,
            derivatives={
                "grad_upper": lambda x, y, sample: (torch.zeros_like(x), slope(y)),
                "grad_lower": lambda x, y, sample: y - x,
                "grad_lower_x": lambda x, y, sample: x - y,
                "hvp": lambda x, y, v, sample: v.clone(),
                "jvp": lambda x, y, v, sample: -v,
            },
            closed_form=ClosedForm(
                lambda x: x.clone(), lambda x: height(x)[:, 0], slope, minimiser=torch.tensor([best]).double()
            ),
            start=(start, start),
            batched=True,
            name=self.name,
        )

    def minimiser(self) -> float:
        """The global minimiser, the smallest root of 4x³ − 4x + t."""
        roots = np.roots([4.0, 0.0, -4.0, self.tilt])
        return float(min(root.real for root in roots if abs(root.imag) < 1e-9))
