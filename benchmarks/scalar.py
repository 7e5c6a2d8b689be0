"""The scalar opponents: Algorithms 1 and 2 on Example 3, one trajectory at a time.

:class:`PythonFloats` is as fast as plain Python gets: local names only, no call in a step but the random number's, the
power spelled out as a product. :class:`NumpyNumbers` is what research scripts look like: ``np.float64`` numbers or
arrays of one element, with ``np.sin``, the legacy ``np.random.normal`` and ``np.linalg.norm`` in every step.

Both can be given the numbers that a batched run drew, to be compared with it, and otherwise draw their own as a script
would. They draw noise only where it enters (the lower gradient), and take |∇φ(x)| of every iterate into a mean.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Noise = Callable[[], Any]


@dataclass(frozen=True)
class Settings:
    """Example 3's settings in the paper; Q, c and the floor are ours."""

    exponent: int = 4
    steps: int = 500
    upper_step: float = 0.03
    lower_step: float = 1.0
    momentum: float = 0.9
    period: int = 2
    budget: int = 100
    first_length: float = 5.0
    first_radius: float = 1.0
    neumann_terms: int = 3
    neumann_step: float = 1.0
    floor: float = 1e-3

    def epochs(self) -> list[tuple[int, float, float]]:
        """(⌊T_k⌋, γ_k, D_k) of Algorithm 1."""
        table: list[tuple[int, float, float]] = []
        used = 0.0
        while True:
            k = len(table)
            length = self.first_length * 2.0 ** (2 * (self.exponent - 1) * k / self.exponent)
            if used + length > self.budget:
                return table
            table.append((int(length), self.lower_step * 0.5**k, self.first_radius * 2.0 ** (-k / self.exponent)))
            used += length

    @property
    def solve_steps(self) -> int:
        """Lower-level steps of one solve."""
        return sum(length for length, _, _ in self.epochs())

    @property
    def solves(self) -> int:
        """Solves of one trajectory: the warm start and one every ``period`` iterations."""
        return 1 + (self.steps - 1) // self.period

    @property
    def lower_steps(self) -> int:
        """Lower-level steps of one trajectory."""
        return self.solves * self.solve_steps


@dataclass(frozen=True)
class Outcome:
    """Where a trajectory ends, and the mean of |∇φ| over its iterates."""

    x: float
    y: float
    mean_norm: float


_EPOCH_SGD = """
def epoch_sgd(x, y):
    s = sin(x)
    for length, gamma, radius in epochs:
        low, high, w, total = y - radius, y + radius, y, 0.0
        for _ in range(length):
            total += w
            w -= gamma * ({power} - s{noise})
            if w > high:
                w = high
            elif w < low:
                w = low
        y = total / length
    return y
"""
#: w^{p−1} where a product is faster than ``**``.
_PRODUCTS = {2: "w", 4: "w * w * w"}


class PythonFloats:
    """The algorithms in Python floats.

    Args:
        s: settings.
        std: standard deviation of the noise on the lower gradient; 0 for none.
        noise: standard normal numbers; default ``random.gauss(0, std)``.
    """

    def __init__(self, s: Settings, std: float, noise: Noise | None = None):
        self.s = s
        term = "" if std == 0 else " + gauss(0.0, std)" if noise is None else " + std * gauss()"
        power = _PRODUCTS.get(s.exponent, f"w ** {s.exponent - 1}")
        # Exponent and noise are written into the source, so that no step pays for the generality of the benchmark.
        scope: dict[str, Any] = {"sin": math.sin, "epochs": s.epochs(), "std": std, "gauss": noise or random.gauss}
        exec(_EPOCH_SGD.format(power=power, noise=term), scope)
        self.epoch_sgd: Callable[[float, float], float] = scope["epoch_sgd"]

    def run(self) -> Outcome:
        """One trajectory from (1, 1)."""
        s, sin, cos, epoch_sgd = self.s, math.sin, math.cos, self.epoch_sgd
        p, beta, c, terms = s.exponent, s.momentum, s.neumann_step, range(s.neumann_terms - 1)
        x, m, total = 1.0, 0.0, 0.0
        y = epoch_sgd(x, 1.0)
        for t in range(s.steps):
            total += abs(cos(x) * cos(sin(x)))
            if t > 0 and t % s.period == 0:
                y = epoch_sgd(x, y)
            moved = y if p == 2 or abs(y) >= s.floor else math.copysign(s.floor, y)
            z, scale = moved ** (p - 1), (p - 1) * moved ** (p - 2)
            r = cos(z) if abs(z) <= math.pi / 2 else 0.0  # D⁻¹ f_y
            v = c * r
            for _ in terms:
                r -= c * (scale * r) / scale
                v += c * r
            m = beta * m + (1 - beta) * (cos(x) * v)  # ĥ = f_x − ∇²_xy g · v, where f_x = 0 and ∇²_xy g = −cos x
            if m != 0:
                x -= s.upper_step * m / abs(m)
        return Outcome(x, y, total / s.steps)


class NumpyNumbers:
    """The algorithms in NumPy, written as research scripts are.

    Args:
        s, std: as in :class:`PythonFloats`.
        start: ``np.float64(1)`` or ``np.array([1.0])``; decides what everything is made of.
        noise: standard normal numbers; default ``np.random.normal(0, std)``.
    """

    def __init__(self, s: Settings, std: float, start: Any, noise: Noise | None = None):
        self.s, self.std, self.start, self.noise = s, std, start, noise
        self.shape = np.shape(start) or None
        self.epochs = s.epochs()

    def gradient(self, x: Any, w: Any) -> Any:
        g = w ** (self.s.exponent - 1) - np.sin(x)
        if self.std == 0:
            return g
        if self.noise is None:
            return g + np.random.normal(0.0, self.std, size=self.shape)  # noqa: NPY002
        return g + self.std * self.noise()

    def epoch_sgd(self, x: Any, y: Any) -> Any:
        for length, gamma, radius in self.epochs:
            w, total = y, 0.0
            for _ in range(length):
                total = total + w
                w = w - gamma * self.gradient(x, w)
                distance = np.linalg.norm(w - y)
                if distance > radius:
                    w = y + radius * (w - y) / distance
            y = total / length
        return y

    def run(self) -> Outcome:
        """One trajectory from (1, 1)."""
        s, p = self.s, self.s.exponent
        x, m, norms = self.start, 0.0 * self.start, []
        y = self.epoch_sgd(x, self.start)
        for t in range(s.steps):
            norms.append(np.linalg.norm(np.cos(x) * np.cos(np.sin(x))))
            if t > 0 and t % s.period == 0:
                y = self.epoch_sgd(x, y)
            moved = y if p == 2 else np.where(y < 0, -1.0, 1.0) * np.maximum(np.abs(y), s.floor)
            z, scale = moved ** (p - 1), (p - 1) * moved ** (p - 2)
            r = np.where(np.abs(z) <= np.pi / 2, np.cos(z) * scale, 0.0) / scale
            v = s.neumann_step * r
            for _ in range(s.neumann_terms - 1):
                r = r - s.neumann_step * (scale * r) / scale
                v = v + s.neumann_step * r
            m = s.momentum * m + (1 - s.momentum) * (np.cos(x) * v)
            norm = np.linalg.norm(m)
            if norm > 0:
                x = x - s.upper_step * m / norm
        return Outcome(np.asarray(x).item(), np.asarray(y).item(), float(np.mean(norms)))


#: The opponents by name: (settings, std, noise or None) -> an object with ``run`` and ``epoch_sgd``.
OPPONENTS: dict[str, Callable[[Settings, float, Noise | None], PythonFloats | NumpyNumbers]] = {
    "python_floats": PythonFloats,
    "numpy_float64": lambda s, std, noise: NumpyNumbers(s, std, np.float64(1.0), noise),
    "numpy_arrays": lambda s, std, noise: NumpyNumbers(s, std, np.array([1.0]), noise),
}
