"""Algorithm 2 on Example 3 as a scalar loop compiled by numba: one trajectory after the other, a number at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from scalar import Settings


class Numba:
    """Algorithm 2 for batches of trajectories from (1, 1).

    Args:
        s: settings; its steps are whole periods.
        std: standard deviation of the noise.
        dtype: "float64" or "float32".
    """

    def __init__(self, s: Settings, std: float, dtype: str):
        self.s, self.dtype = s, np.dtype(dtype)
        table = np.asarray(s.epochs())
        self._epochs = table[:, 0].astype(np.int64), table[:, 1].astype(dtype), table[:, 2].astype(dtype)
        self._run = _compiled(s, std, self.dtype.type)

    def given(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y and the mean of |∇φ| of every trajectory, on standard normal numbers (runs, solves, steps of one)."""
        out = np.empty((len(numbers), 3), self.dtype)
        self._run(numbers.reshape(len(numbers), -1).astype(self.dtype), *self._epochs, out)
        return out[:, 0], out[:, 1], out[:, 2] / self.s.steps

    def own(self, runs: int) -> Callable[[], Any]:
        """So many trajectories on numbers of its own, ready to be called."""
        none, out = np.empty((0, 0), self.dtype), np.empty((runs, 3), self.dtype)
        return lambda: self._run(none, *self._epochs, out)


def _compiled(s: Settings, std: float, number: type) -> Callable[..., None]:
    """The loop; what it takes from here is compiled into it."""
    p, steps, period, terms, half_pi = s.exponent, s.steps, s.period, s.neumann_terms, math.pi / 2
    deviation, floor, c, eta = map(number, (std, s.floor, s.neumann_step, s.upper_step))
    beta, rest, zero, one = map(number, (s.momentum, 1 - s.momentum, 0, 1))

    @numba.njit
    def run(numbers: Any, lengths: Any, gammas: Any, radii: Any, out: Any) -> None:
        for i in range(len(out)):
            x, y, m, total, used = one, one, zero, zero, 0
            for t in range(steps):
                if t % period == 0:
                    sine = math.sin(x)
                    for k in range(len(lengths)):
                        low, high, w, average = y - radii[k], y + radii[k], y, zero
                        for _ in range(lengths[k]):
                            zeta = numbers[i, used] if len(numbers) else number(np.random.normal())  # noqa: NPY002
                            used += 1
                            average += w
                            w = min(max(w - gammas[k] * (w ** (p - 1) - sine + deviation * zeta), low), high)
                        y = average / number(lengths[k])
                total += abs(math.cos(x) * math.cos(math.sin(x)))
                moved = y if p == 2 else math.copysign(max(abs(y), floor), y)
                z = moved ** (p - 1)
                r = math.cos(z) if abs(z) <= half_pi else zero  # D⁻¹f_y; D⁻¹∇²_yy g is 1
                v = r
                for _ in range(terms - 1):
                    r = r - c * r
                    v = v + r
                m = beta * m + rest * math.cos(x) * (c * v)
                x = x - eta * np.sign(m)
            out[i, 0], out[i, 1], out[i, 2] = x, y, total

    return run
