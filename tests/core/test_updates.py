"""The vector operations that iterations consist of, against their formulas."""

from __future__ import annotations

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unibio.core.updates import descend, mix, normalised

NUMBERS = st.floats(-1e6, 1e6)
ROWS = arrays.arrays(float, (3, 4), elements=NUMBERS)
PER_RUN = st.one_of(st.floats(0, 1), arrays.arrays(float, (3, 1), elements=st.floats(0, 1)))


def as_parameter(value):
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


@given(ROWS, ROWS, PER_RUN)
def test_descend_and_mix(old, new, number):
    a, b, parameter = torch.from_numpy(old), torch.from_numpy(new), as_parameter(number)
    np.testing.assert_allclose(descend(a, parameter, b).numpy(), old - number * new, rtol=1e-14, atol=1e-9)
    np.testing.assert_allclose(mix(a, b, parameter).numpy(), number * old + (1 - number) * new, rtol=1e-14, atol=1e-9)


def test_the_ends_of_a_mix_are_exact():
    a, b = torch.randn(2, 5, 3, dtype=torch.float64)
    assert torch.equal(mix(a, b, 0.0), b)
    assert torch.equal(mix(a, b, 1.0), a)


@given(ROWS)
def test_normalised(rows):
    found = normalised(torch.from_numpy(rows)).numpy()
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    usual = norms[:, 0] > 1e-150  # squares of smaller numbers are lost
    np.testing.assert_allclose(found[usual], (rows / np.where(norms == 0, 1, norms))[usual], rtol=1e-12)
    assert (np.linalg.norm(found, axis=1) < 1 + 1e-12).all()
    assert (found[(rows == 0).all(1)] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalised_at_its_edges(dtype):
    """Zero stays zero, NaN stays NaN in every entry, an infinite row is noticed, no row disturbs another."""
    rows = torch.tensor([[0, 0], [math.nan, 1], [math.inf, 1], [3, 4], [1e-18, 0]], dtype=dtype)
    found = normalised(rows)
    assert found[0].tolist() == [0, 0]
    assert found[1].isnan().all()
    assert not found[2].isfinite().all()
    torch.testing.assert_close(found[3:], torch.tensor([[0.6, 0.8], [1, 0]], dtype=dtype))
