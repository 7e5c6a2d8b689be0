"""Orthogonal mixings: what they are, for every size, and that the fast one is never formed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard

from unibio.problems.example3 import KINDS, Coordinatewise
from unibio.problems.mixings import MIXINGS, Dense, Hadamard, walsh_hadamard


def matrix_of(mixing: Dense | Hadamard, d: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """R, whose columns are what becomes of unit vectors."""
    return mixing(torch.eye(d, dtype=dtype)).T


@settings(max_examples=30, deadline=None)
@given(d=st.integers(2, 70), seed=st.integers(0, 2**32), kind=st.sampled_from(KINDS))
def test_it_is_orthogonal_and_back_is_its_transpose(d: int, seed: int, kind: str) -> None:
    mixing = MIXINGS[kind](d, seed)
    R = matrix_of(mixing, d)
    torch.testing.assert_close(R @ R.T, torch.eye(d, dtype=torch.float64), rtol=0, atol=1e-13)
    torch.testing.assert_close(mixing.back(torch.eye(d, dtype=torch.float64)), R, rtol=0, atol=1e-13)
    assert torch.equal(R, matrix_of(MIXINGS[kind](d, seed), d)), "of its seed alone"
    assert not torch.equal(R, matrix_of(MIXINGS[kind](d, seed + 1), d)) or d == 2


@pytest.mark.parametrize("k", range(6))
def test_the_transform_is_sylvesters_matrix(k: int) -> None:
    H = walsh_hadamard(torch.eye(2**k, dtype=torch.float64))
    np.testing.assert_allclose(H, hadamard(2**k) / 2 ** (k / 2), rtol=0, atol=1e-15)


@pytest.mark.parametrize("d", [64, 100, 129])
def test_the_fast_one_mixes_everything_with_everything(d: int) -> None:
    """Entries of a uniform orthogonal matrix have mean 0 and variance 1/d, and none of d² exceeds 6 deviations."""
    R = matrix_of(Hadamard(d, 0), d)
    assert float(R.abs().max()) < 6 * d**-0.5
    assert int((R != 0).sum()) > 0.7 * d * d
    assert float((R**2).mean()) == pytest.approx(1 / d, rel=1e-12)


def test_rows_do_not_depend_on_their_batch_and_constants_follow_the_dtype() -> None:
    mixing, x = Hadamard(37, 5), torch.randn(9, 37, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for row in range(9):
        assert torch.equal(mixing(x[row : row + 1])[0], mixing(x)[row])
        assert torch.equal(mixing.back(x[row : row + 1])[0], mixing.back(x)[row])
    assert mixing(x.float()).dtype == torch.float32
    torch.testing.assert_close(mixing(x.float()).double(), mixing(x), rtol=0, atol=1e-5)


def test_ten_thousand_coordinates_are_built_without_a_matrix() -> None:
    """10⁸ numbers, and more than a minute of factorising, are what this saves; autograd agrees with its derivatives."""
    d = 10_000
    problem = Coordinatewise(dimension=d, mixing="hadamard").build()
    start, y = (part[None] for part in problem.start)
    x = start.clone().requires_grad_()
    problem.lower(x, 0.5 * y, None).sum().backward()
    own = problem.derivatives["grad_lower_x"](start, 0.5 * y, None)
    torch.testing.assert_close(x.grad, own, rtol=0, atol=1e-13)
    x = start.clone().requires_grad_()
    problem.closed_form.value(x).sum().backward()
    torch.testing.assert_close(x.grad, problem.closed_form.gradient(start), rtol=0, atol=1e-13)
    for t in (start, own):
        assert float(t.norm()) > 0
