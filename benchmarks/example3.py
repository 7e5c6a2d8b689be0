"""Example 3 against what a user would pick instead: JAX, a scalar loop compiled by numba, a plain batched torch loop.

All of them run Algorithm 2 at p = 4 with noise of variance 1, from (1, 1), and take |∇φ| of every iterate into a mean;
ours also checks for divergence, counts its oracle calls and keeps a history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from batched import Disagreement, distinct_seeds, recorded
from measure import Contestant, Row, interleaved, rate, speedup
from optional import without_jax
from scalar import Settings
from unibio.core import compiled

#: Iterations of the comparison, and the largest difference it may find. Later ones cross the minimiser, where float32
#: decides by its last digits which way a normalised step goes.
CHECKED = {"float64": 100, "float32": 40}
TOLERANCES = {"float64": 1e-10, "float32": 1e-3}
#: How many times as fast as JAX we want to be in float64.
TARGETS = {1: 0.2, 100: 1.0, 10_000: 2.0}


class Rival(Protocol):
    """A program for batches of trajectories: see :mod:`rivals`."""

    def given(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...

    def own(self, runs: int) -> Callable[[], Any]: ...


@dataclass(frozen=True)
class Scale:
    """Trajectories with the T of their runs, and the rounds that are kept."""

    steps: tuple[tuple[int, int], ...] = ((1, 500), (100, 500), (10_000, 100))
    repetitions: int = 5


def rivals() -> dict[str, Callable[[Settings, float, str], Rival]]:
    """The opponents that are here, by name."""
    from rivals.example3_numba import Numba
    from rivals.example3_torch import Torch

    table: dict[str, Callable[[Settings, float, str], Rival]] = {"numba": Numba, "torch": Torch}
    if not without_jax():
        from rivals.example3_jax import Jax

        table = {"jax": Jax, **table}
    return table


def rows(scale: Scale) -> dict[str, Row]:
    """How far the opponents' results are from ours; then, by number of trajectories and type, rates and ratios."""
    table: dict[str, Row] = {}
    makers = rivals()
    if "jax" not in makers:
        table["speedup/example3/jax"] = Row(None, "×", note=without_jax())
    for dtype in TOLERANCES:
        for name, make in makers.items():
            table[f"agreement/example3/{dtype}/{name}"] = agree(name, make, dtype)
    for runs, steps in scale.steps:
        for dtype in TOLERANCES:
            table |= _compare(makers, runs, steps, dtype, scale.repetitions)
    return table


def agree(name: str, make: Callable[[Settings, float, str], Rival], dtype: str, exponent: int = 4) -> Row:
    """The largest difference of x, y and the mean of |∇φ|, on the numbers of ours.

    Raises:
        Disagreement: it is too large.
    """
    s = Settings(exponent=exponent, steps=CHECKED[dtype])
    batch = replace(distinct_seeds(s, 3, 1.0), dtype=getattr(torch, dtype))
    ours = recorded(batch)
    numbers = ours.numbers.numpy().reshape(batch.runs, s.solves, s.solve_steps)
    got = make(s, 1.0, dtype).given(numbers)
    differences = [np.abs(a - np.asarray(b)).max() for a, b in zip(got, (ours.x, ours.y, ours.mean), strict=True)]
    worst, limit = float(np.max(differences)), TOLERANCES[dtype]  # NaN stays NaN
    if not worst <= limit:
        raise Disagreement(f"{name}, Example 3 in {dtype}: differs from ours by {worst}")
    note = f"x, y, mean |∇φ| after {s.steps} iterations on the same numbers; {batch.runs} seeds, p = {exponent}"
    return Row(worst, "largest difference", limit, f"example3/ours in {dtype}", True, note)


def _compare(
    makers: dict[str, Callable[[Settings, float, str], Rival]], runs: int, steps: int, dtype: str, repetitions: int
) -> dict[str, Row]:
    s = Settings(exponent=4, steps=steps)
    batch = replace(distinct_seeds(s, runs, 1.0), dtype=getattr(torch, dtype))

    def ours() -> None:
        with compiled.forced(True):
            batch.simulate()

    count, name = runs * s.lower_steps, f"example3/{runs}/{dtype}"
    contestants = {"ours": Contestant(ours, count)}
    contestants |= {rival: Contestant(make(s, 1.0, dtype).own(runs), count) for rival, make in makers.items()}
    seconds = interleaved(contestants, repetitions)
    table = {f"{name}/{who}": rate(found, f"p = 4, noise, T = {steps}") for who, found in seconds.items()}
    for rival in makers:
        target = TARGETS.get(runs) if (rival, dtype) == ("jax", "float64") else None
        table[f"speedup/{name}/{rival}"] = speedup(seconds["ours"], seconds[rival], f"{name}/{rival}", target)
    return table
