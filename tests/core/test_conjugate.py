"""Conjugate gradient knows of every row whether it solved it, and why not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from support import tensor
from unibio.core.conjugate import Iterated, conjugate_gradients
from unibio.core.trouble import Trouble, reasons


def solve(matrices, rhs, tolerance=1e-10, max_iterations=None, dtype=torch.float64) -> Iterated:
    matrices, rhs = tensor(matrices).to(dtype), tensor(rhs).to(dtype)
    return conjugate_gradients(
        lambda u, rows: (matrices @ u[..., None])[..., 0],
        rhs,
        weight=torch.ones_like(rhs),
        tolerance=tolerance,
        max_iterations=max_iterations or 10 * rhs.shape[-1],
    )


def test_every_row_has_its_own_outcome():
    """Rows of every kind in one batch: what is wrong with one changes no bit of another."""
    good = np.array([[2.0, 0.5], [0.5, 1.0]])
    kinds = {
        Trouble.NONE: (good, [1.0, -1.0]),
        Trouble.NOT_FINITE: (np.full((2, 2), np.nan), [1.0, 1.0]),
        Trouble.NOT_CONVEX: (np.diag([-3.0, 2.0]), [1.0, 1.0]),
        Trouble.SINGULAR: (np.diag([1.0, 0.0]), [1.0, 1.0]),
    }
    found = solve([m for m, _ in kinds.values()], [b for _, b in kinds.values()])
    assert found.trouble.tolist() == [int(kind) for kind in kinds]
    alone = solve([good], [[1.0, -1.0]])
    assert torch.equal(found.solution[0], alone.solution[0])
    assert found.iterations[0] == alone.iterations[0] == 2
    assert torch.isfinite(found.solution).all(), "a row that stopped keeps the iterate it had"
    said = reasons(found.trouble)
    assert all(word in said for word in ("not finite", "negative eigenvalue", "singular"))
    assert reasons(alone.trouble) == ""


def test_a_right_hand_side_that_is_not_finite():
    assert solve([np.eye(2)] * 2, [[np.nan, 1.0], [np.inf, 1.0]]).trouble.tolist() == [int(Trouble.NOT_FINITE)] * 2


def test_zero_is_solved_at_once():
    found = solve([np.eye(2)], [[0.0, 0.0]])
    assert (found.trouble.tolist(), found.iterations.tolist(), found.residual.tolist()) == ([0], [0], [0.0])


def test_a_limit_that_comes_first_is_said():
    found = solve([np.diag([1.0, 2.0, 3.0])], [[1.0, 1.0, 1.0]], max_iterations=2)
    assert found.trouble.tolist() == [int(Trouble.LIMIT)]
    assert found.residual.item() > 1e-3


def test_a_condition_number_beyond_the_dtype_is_said():
    """b lies along the direction of curvature 1e−15: rounding alone leaves all of it."""
    found = solve([np.diag([1.0, 1e-15])], [[1e-15, 1.0]])
    assert found.trouble.tolist() != [int(Trouble.NONE)]


@pytest.mark.parametrize("size", [1e-200, 1e-30, 1.0, 1e30, 1e150])
def test_the_size_of_the_right_hand_side_changes_no_bit(size):
    """Squares of such numbers vanish or overflow; powers of two apart, the solutions are the same to the bit."""
    power = 2.0 ** np.round(np.log2(size))
    matrix, rhs = [[[2.0, 0.5], [0.5, 1.0]]], np.array([[0.3, -0.7]])
    found, reference = solve(matrix, power * rhs), solve(matrix, rhs)
    assert found.trouble.tolist() == [0]
    assert torch.equal(found.solution, power * reference.solution)


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_single_precision_is_solved_to_its_own_rounding(condition):
    """No residual of 1e−10 exists in float32; one as small as rounding is a solution there."""
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    matrix = (Q * np.geomspace(1 / condition, 1, 8)) @ Q.T
    rhs = rng.normal(size=8)
    found = solve([matrix], [rhs], dtype=torch.float32, max_iterations=200)
    assert found.trouble.tolist() == [0]
    error = np.linalg.norm(found.solution[0].numpy() - np.linalg.solve(matrix, rhs))
    assert error < 30 * np.finfo(np.float32).eps * condition * np.linalg.norm(np.linalg.solve(matrix, rhs))
