"""Eight methods on a quadratic of benchmark_bilevel's size, n = m = 1,024, d_y = 20, d_x = 10, minibatches of 64.

The opponent is JAX: the same methods, compiled, as a scan over iterations and with ``vmap`` over seeds. Its minibatches
are blocks of consecutive points in random order; ours walk through random permutations of all points, as they do by
default. On the same minibatches both compute the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from batched import Disagreement
from measure import Contestant, Row, interleaved, over
from optional import without_jax
from unibio.core.algorithm import Algorithm
from unibio.core.problem import Problem
from unibio.core.streams import Draw, Streams
from unibio.problems.quadratic import from_arrays
from unibio.registry import ALGORITHMS
from unibio.simulation.settings import Settings
from unibio.simulation.simulate import simulate

#: The methods, with about how many oracle calls an iteration takes: runs of the dearer ones are shorter.
CALLS = {
    "soba": 4, "saba": 4, "ma_soba": 4, "sustain": 20, "stocbio": 22, "amigo": 22, "f2sa": 33, "vrbo": 58
}  # fmt: skip
METHODS = tuple(CALLS)
BATCH = 64
#: How many times JAX's time we may take, by seeds side by side.
TARGETS = {1: 3.0, 32: 0.8, 256: 0.6}
#: What may lie between the same iterates computed in another order.
TOLERANCE = 1e-10
#: One iteration in so many is logged, as in a run of 4,000 iterations whose length is left to the defaults.
LOGGED = 20
#: Settings that are not the defaults: benchmark_bilevel's lengths.
LENGTHS: dict[str, dict[str, Any]] = {"f2sa": {"lower_iterations": 10}}


@dataclass(frozen=True)
class Scale:
    """Seeds with the iterations of SOBA's runs, data points of either level, and the rounds that are kept."""

    steps: tuple[tuple[int, int], ...] = ((1, 400), (32, 100), (256, 16))
    points: int = 1024
    repetitions: int = 4


def rows(scale: Scale) -> dict[str, Row]:
    """How far JAX's results are from ours; then, by seeds and method, seconds an iteration and seed, and ratios."""
    if without_jax():
        return {"over/quadratic/jax": Row(None, "×", note=without_jax())}
    from rivals import methods_jax, quadratic_jax

    given = arrays(scale.points)
    problem, data = from_arrays(given), quadratic_jax.data(given)
    table = {f"agreement/quadratic/{name}": agree(name, given) for name in METHODS}
    for runs, longest in scale.steps:
        for name in METHODS:
            steps = max(4, longest * CALLS["soba"] // CALLS[name])
            pair = {
                "ours": Contestant(partial(run, problem, name, runs, steps), runs * steps),
                "jax": Contestant(methods_jax.own(name, data, runs, steps), runs * steps),
            }
            seconds = interleaved(pair, scale.repetitions)
            table |= over(f"quadratic/{runs}/{name}", seconds, "jax", TARGETS.get(runs), f"T = {steps}")
    return table


def arrays(points: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A random problem: the lower level's mean Hessian has eigenvalues in [0.1, 1], every point its own deviation."""
    rng, dx, dy = np.random.default_rng(seed), 10, 20

    def hessians(d: int, low: float) -> np.ndarray:
        basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
        own = 0.1 * rng.standard_normal((points, d, d)) / d**0.5
        own = own + own.swapaxes(1, 2)
        return (basis * np.linspace(low, 1, d)) @ basis.T + own - own.mean(0)

    made: dict[str, np.ndarray] = {"x0": np.full(dx, -2.0), "y0": np.zeros(dy)}
    for level, low, coupling in (("g", 0.1, 0.3), ("f", 0.5, 0.1)):
        made |= {f"{level}_hess_y": hessians(dy, low), f"{level}_hess_x": hessians(dx, 0.5)}
        made[f"{level}_cross"] = coupling * rng.standard_normal((points, dx, dy)) / dy**0.5
        made |= {f"{level}_lin_{of}": rng.standard_normal((points, d)) for of, d in (("y", dy), ("x", dx))}
    return made


def algorithm(name: str) -> Algorithm:
    """A method of ours with its defaults, but for minibatches and benchmark_bilevel's lengths."""
    return ALGORITHMS[name](batch_size=BATCH, **LENGTHS.get(name, {}))


def run(problem: Problem, name: str, runs: int, steps: int) -> tuple[Tensor, Tensor]:
    """(x, y) of so many seeds after so many iterations, of which one in LOGGED is logged."""
    assert problem.start is not None
    x, y = (part.expand(runs, -1).clone() for part in problem.start)
    end = simulate(
        problem,
        algorithm(name),
        x,
        y,
        seeds=range(runs),
        settings=Settings(steps=steps, log_points=max(2, steps // LOGGED)),
    )
    return end.x, end.y


def agree(name: str, given: Mapping[str, np.ndarray], steps: int = 20) -> Row:
    """The largest difference of x and y, relative to the largest number in them, on the same minibatches.

    Raises:
        Disagreement: it is too large.
    """
    from rivals import methods_jax, quadratic_jax

    problem, blocks = from_arrays(given), len(given["g_lin_y"]) // BATCH
    order = {level: _random_blocks(level, blocks) for level in ("lower", "upper")}
    changed = {
        f"sample_{level}": _in_order(getattr(problem, f"sample_{level}"), level, order[level]) for level in order
    }
    ours = run(replace(problem, **changed), name, 1, steps)
    needs = methods_jax.METHODS[name]
    lower = order["lower"][: steps * needs.lower].reshape(steps, -1)
    upper = order["upper"][: steps * needs.upper].reshape(steps, -1)
    if name == "saba":  # picks its blocks by streams of its own
        lower, upper = (_drawn(f"{level} block", blocks, steps) for level in order)
    lengths = _drawn("neumann length", methods_jax.TERMS, steps)[:, 0]
    theirs = methods_jax.given(name, quadratic_jax.data(given), methods_jax.Samples(lower, upper, lengths))
    differences = [np.abs(a[0].numpy() - b).max() / np.abs(b).max() for a, b in zip(ours, theirs, strict=True)]
    worst = float(np.max(differences))
    if not worst <= TOLERANCE:
        raise Disagreement(f"{name} in JAX, quadratic: differs from ours by {worst}")
    note = f"x, y after {steps} iterations on the same minibatches, relative to the largest entry"
    return Row(worst, "largest difference", TOLERANCE, f"quadratic/ours, {name}", True, note)


@cache
def _random_blocks(level: str, blocks: int) -> np.ndarray:
    return np.random.default_rng(len(level) + ord(level[0])).integers(blocks, size=4096)


def _in_order(own: Any, level: str, order: np.ndarray) -> Any:
    """A sampler whose minibatch of an index is a block of consecutive points; what is not a minibatch of this level's
    own sequence (all points, SABA's blocks) is left to the problem's own sampler."""

    def sample(draw: Draw) -> Tensor | None:
        if draw.purpose != level or draw.size != BATCH:
            return own(draw)
        first = int(order[draw.index]) * BATCH
        return torch.arange(first, first + BATCH).expand(draw.runs, -1)

    return sample


def _drawn(purpose: str, below: int, steps: int) -> np.ndarray:
    """What ours draws for a purpose, iteration by iteration: (steps, 1)."""
    streams = Streams([0])
    return np.stack([Draw(streams, purpose, k).integers(below)[0].numpy() for k in range(steps)])
