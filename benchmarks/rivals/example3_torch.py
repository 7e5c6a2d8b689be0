"""Algorithm 2 on Example 3 as a plain torch loop over a batch of trajectories, as one writes it without a library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalar import Settings


class Torch:
    """Algorithm 2 for batches of trajectories from (1, 1).

    Args:
        s: settings; its steps are whole periods.
        std: standard deviation of the noise.
        dtype: "float64" or "float32".
    """

    def __init__(self, s: Settings, std: float, dtype: str):
        self.s, self.std, self.dtype = s, std, getattr(torch, dtype)

    def given(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y and the mean of |∇φ| of every trajectory, on standard normal numbers (runs, solves, steps of one)."""
        columns = torch.from_numpy(numbers).to(self.dtype).reshape(len(numbers), -1).unbind(1)
        x, y, mean = (part.numpy() for part in self._run(len(numbers), iter(columns)))
        return x, y, mean

    def own(self, runs: int) -> Callable[[], Any]:
        """So many trajectories on numbers of its own, ready to be called."""

        def drawn() -> Iterator[Tensor]:
            while True:
                yield torch.randn(runs, dtype=self.dtype)

        return lambda: self._run(runs, drawn())

    def _run(self, runs: int, numbers: Iterator[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        s, p = self.s, self.s.exponent
        x, y = torch.ones(2, runs, dtype=self.dtype)
        m, total = torch.zeros(2, runs, dtype=self.dtype)
        for t in range(s.steps):
            if t % s.period == 0:
                y = self._solve(x, y, numbers)
            total += (x.cos() * x.sin().cos()).abs()
            z = (y if p == 2 else torch.copysign(y.abs().clamp_min(s.floor), y)) ** (p - 1)
            r = torch.where(z.abs() <= math.pi / 2, z.cos(), 0.0)  # D⁻¹f_y; D⁻¹∇²_yy g is 1
            v = r
            for _ in range(s.neumann_terms - 1):
                r = r - s.neumann_step * r
                v = v + r
            m = s.momentum * m + (1 - s.momentum) * x.cos() * (s.neumann_step * v)
            x = x - s.upper_step * m.sign()
        return x, y, total / s.steps

    def _solve(self, x: Tensor, y: Tensor, numbers: Iterator[Tensor]) -> Tensor:
        """Algorithm 1."""
        sine = x.sin()
        for length, gamma, radius in self.s.epochs():
            low, high, w, total = y - radius, y + radius, y, torch.zeros_like(y)
            for _ in range(length):
                total += w
                w = torch.clamp(w - gamma * (w ** (self.s.exponent - 1) - sine + self.std * next(numbers)), low, high)
            y = total / length
        return y
