"""Algorithm 2 on Example 3 in JAX: a trajectory is a scan, ``vmap`` makes a batch of it, ``jit`` compiles all.

Everything but the loops is unrolled, and a solve's random numbers are drawn in one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from scalar import Settings

Carry = tuple[Any, ...]


class Jax:
    """Algorithm 2 for batches of trajectories from (1, 1).

    Args:
        s: settings; its steps are whole periods.
        std: standard deviation of the noise.
        dtype: "float64" or "float32".
    """

    def __init__(self, s: Settings, std: float, dtype: str):
        self.s, self.std, self.dtype = s, std, dtype
        self._given = jax.jit(jax.vmap(lambda numbers: self._run(numbers, lambda one: one)))
        self._own = jax.jit(jax.vmap(lambda key: self._run(jax.random.split(key, s.solves), self._draw)))

    def given(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y and the mean of |∇φ| of every trajectory, on standard normal numbers (runs, solves, steps of one)."""
        x, y, mean = self._given(jnp.asarray(numbers, self.dtype))
        return np.asarray(x), np.asarray(y), np.asarray(mean)

    def own(self, runs: int) -> Callable[[], Any]:
        """So many trajectories on numbers of its own, ready to be called."""
        keys = jax.random.split(jax.random.key(0), runs)
        return lambda: jax.block_until_ready(self._own(keys))

    def _draw(self, key: Any) -> Any:
        return jax.random.normal(key, (self.s.solve_steps,), self.dtype)

    def _run(self, sources: Any, numbers: Callable[[Any], Any]) -> Carry:
        """A trajectory: one solve and ``period`` upper steps for each of the sources of random numbers."""

        def period(carry: Carry, source: Any) -> tuple[Carry, None]:
            x, y, *rest = carry
            y = self._solve(x, y, numbers(source))
            return lax.scan(self._upper_step, (x, y, *rest), None, length=self.s.period)[0], None

        one, zero = jnp.ones((), self.dtype), jnp.zeros((), self.dtype)
        (x, y, _, total), _ = lax.scan(period, (one, one, zero, zero), sources)
        return x, y, total / self.s.steps

    def _solve(self, x: Any, y: Any, numbers: Any) -> Any:
        """Algorithm 1."""
        sine, used = jnp.sin(x), 0
        for length, gamma, radius in self.s.epochs():
            low, high = y - radius, y + radius

            def step(carry: Carry, zeta: Any, gamma: float = gamma, low: Any = low, high: Any = high) -> Any:
                w, total = carry
                g = w ** (self.s.exponent - 1) - sine + self.std * zeta
                return (jnp.clip(w - gamma * g, low, high), total + w), None

            (_, total), _ = lax.scan(step, (y, jnp.zeros_like(y)), numbers[used : used + length])
            y, used = total / length, used + length
        return y

    def _upper_step(self, carry: Carry, _: None) -> tuple[Carry, None]:
        s, p = self.s, self.s.exponent
        x, y, m, total = carry
        total = total + jnp.abs(jnp.cos(x) * jnp.cos(jnp.sin(x)))
        z = (y if p == 2 else jnp.copysign(jnp.maximum(jnp.abs(y), s.floor), y)) ** (p - 1)
        r = jnp.where(jnp.abs(z) <= math.pi / 2, jnp.cos(z), 0.0)  # D⁻¹f_y; D⁻¹∇²_yy g is 1
        v = r
        for _ in range(s.neumann_terms - 1):
            r = r - s.neumann_step * r
            v = v + r
        m = s.momentum * m + (1 - s.momentum) * jnp.cos(x) * (s.neumann_step * v)
        return (x - s.upper_step * jnp.sign(m), y, m, total), None
