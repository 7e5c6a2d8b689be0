"""What the tests of the second-order methods share: problems as arrays, and a loop that keeps every iterate."""

from __future__ import annotations

import dataclasses
import io
from functools import cache
from pathlib import Path

import numpy as np
import torch

from references.quadratic import QuadraticBilevel, random_problem
from thinned import some
from unibio import solve
from unibio.core.oracle import Oracle
from unibio.core.streams import Streams
from unibio.problems.quadratic import Quadratic, from_arrays

#: The exported benchmark problem and its golden numbers, outside the repository; tests skip where absent.
GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "data" / "quadratic"


@cache
def pair(seed=3, dx=4, dy=7, n=12, kappa=8.0, noise=1.0):
    """One random quadratic for both sides: (the library's Problem, the NumPy reference, x0, y0).

    Tests share it, and what the library found when it first looked at it; it is not to be written into.
    """
    arrays = random_problem(seed, dx, dy, n, kappa, noise)
    rng = np.random.default_rng(seed + 1)
    return from_arrays(arrays), QuadraticBilevel.of(arrays), rng.normal(size=dx), rng.normal(size=dy)


@cache
def quadratic():
    """A small one of the library's own, with 12 samples for each level; shared in the same way."""
    return Quadratic(dimension_x=3, dimension_y=5, size_lower=12, size_upper=12).build()


def oracle_for(problem, seeds=(0,), dtype=torch.float64, batch_size=None):
    return Oracle(problem, Streams(list(seeds), dtype=dtype), batch_size)


def iterates(problem, algorithm, x0, y0, steps, *, seed=0, dtype=torch.float64, state=None):
    """[(x_0, y_0), …, (x_T, y_T)] as NumPy vectors, the final state and the oracle."""
    problem.prepare(torch.as_tensor(x0, dtype=dtype)[None], torch.as_tensor(y0, dtype=dtype)[None])
    oracle = oracle_for(problem, (seed,), dtype, getattr(algorithm, "batch_size", None))
    with torch.no_grad():
        if state is None:
            x, y = (torch.as_tensor(start, dtype=dtype)[None] for start in (x0, y0))
            state = algorithm.init(oracle, x, y)
        path = [(state["x"][0].numpy().copy(), state["y"][0].numpy().copy())]
        for _ in range(steps):
            state = algorithm.step(oracle, state)
            path.append((state["x"][0].numpy().copy(), state["y"][0].numpy().copy()))
    return path, state, oracle


def worst_gap(path, reference):
    """Largest difference of any coordinate of any iterate."""
    assert len(path) == len(reference)
    return max(max(np.abs(a[0] - b[0]).max(), np.abs(a[1] - b[1]).max()) for a, b in zip(path, reference, strict=True))


#: Axes of a grid of :func:`check_axes`: four at once, and one by one among the long tests.
AT_ONCE = some([4, 1], lambda together: together == 4)


def check_axes(ours, together, steps):
    """A grid over some per-run parameters, two values each: its rows of all the first and all the last values equal
    runs of these values."""
    name, given = ours.name, dataclasses.asdict(ours)
    for axes in batched(ours.per_run(), together):
        first, last = ({axis: given[axis] + more for axis in axes} for more in (0.05, 0.02))
        values = {axis: [first[axis], last[axis]] for axis in axes}
        grid = solve(quadratic(), name, steps=steps, log_points=2, **given | values)
        assert len(grid.x) == 2 ** len(axes)
        for row, own in ((0, first), (-1, last)):
            assert all(grid.runs[axis].iloc[row] == own[axis] for axis in axes)
            alone = solve(quadratic(), name, steps=steps, log_points=2, **given | own)
            torch.testing.assert_close(alone.x, grid.x[row], rtol=1e-12, atol=1e-13)


def batched(names, size):
    return [names[at : at + size] for at in range(0, len(names), size)]


def assert_state_survives_a_file(ours):
    """A state is tensors and numbers: saved, loaded safely, and continued, it goes on as if nothing had happened."""
    problem, _, x0, y0 = pair()
    path, _, _ = iterates(problem, ours, x0, y0, 9)
    _, state, oracle = iterates(problem, ours, x0, y0, 4)
    file = io.BytesIO()
    torch.save({"state": state, "oracle": oracle.state()}, file)
    file.seek(0)
    content = torch.load(file, weights_only=True)
    fresh = oracle_for(problem, (0,), batch_size=4)
    fresh.restore(content["oracle"])
    state = content["state"]
    for _ in range(5):
        state = ours.step(fresh, state)
    assert np.array_equal(state["x"][0].numpy(), path[-1][0])
