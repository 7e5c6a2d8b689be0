"""SAGA's tables: the shared one against the general ones, its memory, and the promise that it rests on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from unibio import solve
from unibio.algorithms.saba import SABA, Kept
from unibio.core.oracle import Oracle
from unibio.core.problem import Problem
from unibio.core.saga import SharedTable, Tables
from unibio.core.streams import Streams
from unibio.errors import InputError
from unibio.problems.lp_regression import LpRegression

SPEC = LpRegression(exponent=3, size_lower=12, size_upper=9, size_test=20, dimension=4)
STEPS = {"upper_step": 3.0, "lower_step": 0.05, "auxiliary_step": 0.05}


def path(problem: Problem, batch_size: int | None, seeds: list[int], table_start: str = "filled") -> np.ndarray:
    """(20, runs, d_x + d_y + d_y): x, y, z along a run."""
    algorithm = SABA(batch_size=batch_size, table_start=table_start, **STEPS)
    x, y = (part.expand(len(seeds), -1).clone() for part in problem.start)
    problem.prepare(x, y)
    oracle = Oracle(problem, Streams(seeds), batch_size)
    state, found = algorithm.init(oracle, x, y), []
    for _ in range(20):
        state = algorithm.step(oracle, state)
        found.append(torch.cat((state["x"], state["y"], state["z"]), -1).numpy())
    return np.array(found)


@pytest.mark.parametrize("table_start", ["filled", "zeros"])
@pytest.mark.parametrize(("batch_size", "seeds"), [(3, [0, 1, 1, 7]), (1, [2]), (5, [3]), (None, [0, 1])])
def test_shared_and_general_tables_take_the_same_steps(batch_size, seeds, table_start):
    """Equal blocks side by side, single points, blocks of unequal size (5 of 12 and of 9), one block."""
    weighted = SPEC.build()
    assert weighted.weighted is not None
    general = dataclasses.replace(SPEC.build(), weighted=None)
    kinds = [type(Kept.of(Oracle(problem, Streams([0]), batch_size), 1).of_x) for problem in (weighted, general)]
    assert kinds == [SharedTable, Tables]
    ours, theirs = (path(problem, batch_size, seeds, table_start) for problem in (weighted, general))
    assert np.abs(ours - theirs).max() < 1e-12
    moved = np.ptp(ours, axis=0).max(axis=0) > 1e-6
    assert moved.mean() > 0.9  # a point may not have been visited


def test_memory_of_the_shared_table():
    """One vector for all blocks of Jz, and none for f_x = 0."""
    dx, dy = 12, 5
    found = solve(SPEC, "saba", steps=1, batch_size=1, **STEPS).runs["table_gib"].item()
    assert found == pytest.approx((12 * 2 * dy + 9 * dy + dx) * 8 / 2**30)
    with pytest.raises(InputError, match=r"12 lower blocks × 2·5 \+ 9 upper blocks × 5 \+ 12"):
        solve(SPEC, "saba", steps=1, batch_size=1, table_limit=1e-9)


def test_rows_of_a_batch_do_not_depend_on_each_other():
    """But for rounding: torch's vectorised sigmoid differs from the scalar one that ends an array by a last bit."""
    problem = SPEC.build()
    together = path(problem, 3, [4, 0, 9])
    for row, seed in enumerate([4, 0, 9]):
        np.testing.assert_allclose(together[:, [row]], path(problem, 3, [seed]), rtol=0, atol=1e-13)
    assert np.abs(together[1:, [0]] - together[1:, [1]]).max() > 0.1


@pytest.mark.parametrize("name", ["grad_upper", "grad_lower_x", "jvp"])
def test_a_false_promise_is_noticed(name):
    """f that depends on x, or a derivative of the lower level off the minibatch's places, is one clear error."""
    problem = SPEC.build()
    honest = problem.derivatives[name]

    def off(x, y, *rest):
        value = honest(x, y, *rest)
        return (value[0] + 1e-3, value[1]) if name == "grad_upper" else value + 1e-3

    problem.derivatives = {**problem.derivatives, name: off}
    with pytest.raises(InputError, match=rf"weighted says .* derivatives\['{name}'\]"):
        solve(problem, "saba", steps=1, batch_size=3)
