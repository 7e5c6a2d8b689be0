"""The quadratic of :mod:`unibio.problems.quadratic` in JAX: derivatives on minibatches of consecutive points.

benchmark_bilevel takes its minibatches in this way: reading one is a slice, where a minibatch of points from all over
the data would be a gather.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

#: Data points of a minibatch.
BATCH = 64


class Level(NamedTuple):
    """The points of one level, each with matrices A, B, C and vectors a, b, and the means of all points."""

    A: Any
    B: Any
    C: Any
    a: Any
    b: Any
    means: tuple[Any, ...]

    def dy(self, x: Any, y: Any, block: Any) -> Any:
        """The gradient in y on a minibatch given by its number, or on all points where that is None."""
        return self._mean("A", block) @ y + x @ self._mean("C", block) + self._mean("a", block)

    def dx(self, x: Any, y: Any, block: Any) -> Any:
        """The gradient in x."""
        return self._mean("B", block) @ x + self._mean("C", block) @ y + self._mean("b", block)

    def hvp(self, v: Any, block: Any) -> Any:
        """∇²_yy · v."""
        return self._mean("A", block) @ v

    def jvp(self, v: Any, block: Any) -> Any:
        """∇²_xy · v."""
        return self._mean("C", block) @ v

    def _mean(self, name: str, block: Any) -> Any:
        place = self._fields.index(name)
        if block is None:
            return self.means[place]
        return lax.dynamic_slice_in_dim(self[place], block * BATCH, BATCH).mean(0)


class Data(NamedTuple):
    """Both levels and the start."""

    lower: Level
    upper: Level
    x0: Any
    y0: Any


def data(arrays: Mapping[str, np.ndarray]) -> Data:
    """From the arrays of :func:`unibio.problems.quadratic.from_arrays`."""
    levels = []
    for level in "gf":
        every = [jnp.asarray(arrays[f"{level}_{key}"]) for key in ("hess_y", "hess_x", "cross", "lin_y", "lin_x")]
        levels.append(Level(*every, means=tuple(values.mean(0) for values in every)))
    return Data(levels[0], levels[1], jnp.asarray(arrays["x0"]), jnp.asarray(arrays["y0"]))
