"""Minibatch means of per-sample matrices and vectors against the same with every matrix formed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unibio.problems import matrices
from unibio.problems.matrices import Dense, LowRank, Vectors

#: Of each step in float64: only the order of its sums is another.
CLOSE = {"rtol": 1e-12, "atol": 1e-13}


def families(n: int, d: int, e: int, rank: int, seed: int) -> dict[str, tuple[object, np.ndarray]]:
    """Every kind of family with all of its matrices, (n, d, e)."""
    rng = np.random.default_rng(seed)
    dense, mean = rng.standard_normal((n, d, e)), rng.standard_normal((d, e))
    left, right = rng.standard_normal((n, d, rank)), rng.standard_normal((n, e, rank))
    square = rng.standard_normal((d, d))
    return {
        "dense": (Dense(dense), dense),
        "low rank": (LowRank(mean, left, right), mean + left @ right.swapaxes(1, 2)),
        "symmetric": (LowRank(square, left, left), square + left @ left.swapaxes(1, 2)),
    }


@pytest.mark.parametrize("kind", ["dense", "low rank", "symmetric"])
@given(
    n=st.integers(1, 9), d=st.integers(1, 6), e=st.integers(1, 6), rank=st.integers(0, 3),
    runs=st.integers(1, 7), size=st.integers(1, 9), cached=st.sampled_from([0, 20, 1 << 17]), seed=st.integers(0, 99),
)  # fmt: skip
def test_products_are_those_of_the_matrices(kind, n, d, e, rank, runs, size, cached, seed):
    """Both ways, on minibatches and on all points, however many rows are taken at once."""
    family, every = families(n, d, e, rank, seed)[kind]
    rng = np.random.default_rng(seed + 1)
    batch = np.stack([rng.permutation(n)[:size] for _ in range(runs)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrices, "CACHED", cached)
        for places in (None, batch):
            means = (
                every[batch].mean(1) if places is not None else np.broadcast_to(every.mean(0), (runs, *every.shape[1:]))
            )
            for transposed in (False, True):
                M = means.swapaxes(1, 2) if transposed else means
                v = rng.standard_normal((runs, M.shape[2]))
                found = family(torch.from_numpy(v), None if places is None else torch.from_numpy(places), transposed)
                assert found.shape == (runs, M.shape[1])
                np.testing.assert_allclose(found, np.einsum("rde,re->rd", M, v), **CLOSE)


@given(
    n=st.integers(1, 9), d=st.integers(1, 6), runs=st.integers(1, 7), size=st.integers(1, 9), seed=st.integers(0, 99)
)
def test_means_of_vectors(n, d, runs, size, seed):
    rng = np.random.default_rng(seed)
    every = rng.standard_normal((n, d))
    batch = np.stack([rng.permutation(n)[:size] for _ in range(runs)])
    like, vectors = torch.zeros(runs, d, dtype=torch.float64), Vectors(every)
    np.testing.assert_allclose(vectors(like, torch.from_numpy(batch)), every[batch].mean(1), **CLOSE)
    np.testing.assert_allclose(vectors(like, None), every.mean(0), **CLOSE)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_row_of_dense_matrices_does_not_depend_on_how_many_there_are(transposed):
    """To the bit: a trajectory on minibatches is the same alone and among others."""
    rng = np.random.default_rng(0)
    family = Dense(rng.standard_normal((64, 20, 20)))
    v, batch = torch.from_numpy(rng.standard_normal((30, 20))), torch.from_numpy(rng.integers(64, size=(30, 16)))
    together = family(v, batch, transposed)
    for row in range(30):
        assert torch.equal(family(v[row : row + 1], batch[row : row + 1], transposed)[0], together[row])


def test_no_copy_of_a_minibatch_of_matrices_is_made():
    """At 256 runs it would be 52 MB for a problem of 3 MB, and was the cost of an iteration."""
    rng = np.random.default_rng(0)
    family = Dense(rng.standard_normal((128, 20, 20)))
    v, batch = torch.ones(256, 20, dtype=torch.float64), torch.from_numpy(rng.integers(128, size=(256, 64)))
    family(v, batch)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        family(v, batch)
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert 0 < largest < 2 * 256 * 20 * 20 * 8  # one mean a row, and what lists the minibatches
