"""Samples as pure functions of (seed, purpose, index, size): batches, order and interruption must not matter."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from unibio import Coordinatewise, Draw, Example3, solve
from unibio.core import compiled, kernels
from unibio.core.generator import CHUNK
from unibio.core.streams import BLOCK, Streams

EXTREME = [-(2**63), -(2**63) + 1, -1, 0, 1, 2**63 - 1]
seeds_ = st.one_of(st.integers(-5, 5), st.sampled_from(EXTREME), st.integers(-(2**63), 2**63 - 1))


def numbers(seeds: list[int], kind: str, purpose: str, index: int, size: int) -> np.ndarray:
    draw = Draw(Streams(seeds), purpose, index)
    return (draw.normal(size) if kind == "normal" else draw.uniform(size)).numpy()


# Pure functions -----------------------------------------------------------------------------------------------------


@given(
    seeds=st.lists(seeds_, min_size=1, max_size=12),
    kind=st.sampled_from(["normal", "uniform"]),
    index=st.integers(0, 5000),
    size=st.sampled_from([1, 2, 3, 7, 8, 10, 255, 256, 257, 600]),
)
def test_a_row_is_its_seed_alone(seeds, kind, index, size):
    """Whatever the batch: order, repetitions, gaps between seeds."""
    together = numbers(seeds, kind, "lower", index, size)
    assert together.shape == (len(seeds), size)
    for row, seed in enumerate(seeds):
        np.testing.assert_allclose(together[row], numbers([seed], kind, "lower", index, size)[0], rtol=0, atol=1e-15)


@given(outer=st.integers(1, 4), inner=st.integers(1, 4), distinct=st.lists(seeds_, min_size=1, max_size=5, unique=True))
def test_product_grids(outer, inner, distinct):
    """Rows of product grids are spread by a shortcut of their own: a × seeds × b, sorted or not."""
    for order in (distinct, sorted(distinct)):
        rows = [seed for _ in range(outer) for seed in order for _ in range(inner)]
        together = numbers(rows, "normal", "lower", 3, 2)
        for row, seed in enumerate(rows):
            np.testing.assert_allclose(together[row], numbers([seed], "normal", "lower", 3, 2)[0], rtol=0, atol=1e-15)


@pytest.mark.parametrize("gap", [1, 2])
@pytest.mark.parametrize("size", [1, 10])
def test_many_streams_in_several_chunks(size, gap):
    """Thousands of streams are made in chunks; the first, the last and those beside the seams are as if alone."""
    count = 3 * (CHUNK // BLOCK) + 7
    rows = [gap * seed - 50 for seed in range(count)]
    together = numbers(rows, "normal", "lower", 11, size)
    for row in (0, 1, CHUNK // BLOCK - 1, CHUNK // BLOCK, CHUNK // BLOCK + 1, 2 * (CHUNK // BLOCK), count - 1):
        np.testing.assert_allclose(
            together[row], numbers([rows[row]], "normal", "lower", 11, size)[0], rtol=0, atol=1e-15
        )


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 600), st.sampled_from([1, 3])), max_size=12))
def test_order_and_interleaving_do_not_matter(requests):
    """One Streams object asked in any order, twice, gives what fresh objects give."""
    streams = Streams([3, -4])
    for purpose, index, size in [*requests, *requests]:
        asked = Draw(streams, purpose, index).normal(size)
        assert torch.equal(asked, Draw(Streams([3, -4]), purpose, index).normal(size))


def test_block_boundaries():
    """Indices are consecutive across blocks: no number appears twice, none is lost."""
    for size in (1, 3, 100, 256, 300):
        per_block = max(1, BLOCK // size)
        streams = Streams([9])
        values = [Draw(streams, "lower", i).normal(size)[0].numpy() for i in range(3 * per_block)]
        assert len(np.unique(np.concatenate(values))) == 3 * per_block * size


def test_nothing_is_shared():
    """Neither between seeds, purposes, sizes, kinds, indices nor with permutations: all sets are disjoint."""
    sets = []
    for seed in (0, 1, -1, 2**63 - 1, -(2**63)):
        for purpose in ("lower", "upper", "lower/normal", "hypergradient"):
            for size in (1, 2, 4, 8):
                for index in (0, 1, 300):
                    sets.append(numbers([seed], "normal", purpose, index, size).ravel())
    everything = np.concatenate(sets)
    assert len(np.unique(everything)) == len(everything)
    sets = [numbers([s], "uniform", p, i, 64).ravel() for s in (0, 1) for p in ("a", "b") for i in (0, 1, 9)]
    everything = np.concatenate(sets)
    assert len(np.unique(everything)) == len(everything)


RECORDED_NORMAL = [
    [1.5628358518056509, -2.3960105153932947],
    [-1.1422689228501959, -0.19167416716520633],
    [0.6685365132558003, 1.4451905002950265],
]
RECORDED_UNIFORM = [
    [0.47576658202977595, 0.961593541200767],
    [0.40182552814780403, 0.637280568518155],
    [0.6580026832868063, 0.4172252505445173],
]
RECORDED_MINIBATCH = [4, 6, 2, 3]


def test_numbers_are_fixed_for_good():
    """Recorded values: a change of the generator would silently make every record of the project irreproducible."""
    draw = Draw(Streams([0, 3, -7]), "lower", 5)
    np.testing.assert_allclose(draw.normal(2), RECORDED_NORMAL, rtol=0, atol=1e-13)
    np.testing.assert_allclose(draw.uniform(2), RECORDED_UNIFORM, rtol=0, atol=1e-16)
    assert Draw(Streams([3]), "lower", 0, 4).minibatch(7)[0].tolist() == RECORDED_MINIBATCH


def test_integers_are_the_uniform_numbers_times_n():
    """One per row, below n also in float32, where a uniform number may be rounded to 1, and uniform (chi-squared)."""
    for dtype in (torch.float32, torch.float64):
        streams = Streams([5, 0, 5, 8], dtype=dtype)
        for index in (0, 127, 128, 1000):
            found = Draw(streams, "block", index).integers(7)
            assert (found.dtype, found.shape) == (torch.int64, (4, 1))
            assert torch.equal(found, (Draw(Streams([5, 0, 5, 8]), "block", index).uniform(1) * 7).long())
    counts = torch.bincount(Draw(Streams(range(70_000)), "block", 3).integers(7)[:, 0], minlength=7).double()
    assert len(counts) == 7
    assert float(((counts - 10_000) ** 2 / 10_000).sum()) < 22.5  # the 99.9 % quantile for 6 degrees of freedom


def test_types():
    streams = Streams([1, 2], dtype=torch.float32)
    single, double = Draw(streams, "a", 0).normal(4), Draw(Streams([1, 2]), "a", 0).normal(4)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-6)
    single, double = Draw(streams, "a", 0).uniform(4), Draw(Streams([1, 2]), "a", 0).uniform(4)
    assert torch.equal(single, double.to(torch.float32))  # rounded from the same numbers


def test_normal_numbers_of_float32_are_those_of_float64_in_its_precision():
    """They come from the same bits. A radius near 0 is the root of a rounded logarithm: 3.5·10⁻⁴ instead of 0."""
    seeds = range(100_000)
    single, double = (Draw(Streams(seeds, dtype=t), "a", 0).normal(2).double() for t in (torch.float32, torch.float64))
    error = (single - double).abs()
    assert bool(torch.isfinite(single).all())
    assert float(error.max()) < 4e-4
    assert float(error.quantile(0.999)) < 1e-5
    assert float(error.median()) < 1e-7


# Compiled and not ---------------------------------------------------------------------------------------------------


@given(
    seeds=st.lists(seeds_, min_size=1, max_size=9),
    kind=st.sampled_from(["normal", "uniform", "integers"]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    start=st.integers(0, 5000),
    count=st.integers(1, 700),
    size=st.sampled_from([1, 2, 3, 10, 257]),
)
def test_compiled_numbers_are_numpys(seeds, kind, dtype, start, count, size):
    """To the bit, in whatever portions they are made."""
    made = []
    for on in (False, True):
        with compiled.forced(on):
            streams = Streams(seeds, dtype=dtype)
            draws = [Draw(streams, "lower", start + i) for i in (0, *range(0, count, 37), count)]
            made.append(torch.stack([getattr(draw, kind)(size) for draw in draws]))
    assert torch.equal(*made)
    assert compiled.philox() is not None


def test_compiled_numbers_of_many_streams_are_numpys():
    """In several chunks."""
    made = []
    for on in (False, True):
        with compiled.forced(on):
            made.append(numbers(list(range(-5, 2 * (CHUNK // BLOCK) + 3)), "normal", "lower", 11, 1))
    np.testing.assert_array_equal(*made)


def test_numbers_are_made_ahead_of_few_streams_that_are_read_in_order():
    """More and more blocks at once, up to a chunk, and one where somebody goes elsewhere."""
    streams = Streams([5])
    counts = []
    for index in (*range(0, 40 * BLOCK, BLOCK), 0, BLOCK):
        Draw(streams, "lower", index).normal(1)
        (held,) = streams._made.values()
        counts.append(held.count)
        assert held.first * BLOCK <= index < (held.first + held.count) * BLOCK
    assert counts == [1, 2, 2, *[4] * 4, *[8] * 8, *[16] * 16, *[32] * 9, 1, 2]


def test_loops_are_loaded_when_they_pay(monkeypatch):
    """Not before they would have saved what loading takes, and never where they cannot be compiled, which is said."""
    monkeypatch.setattr(compiled, "_saved", 0.0)
    assert not compiled.worthwhile(0.6 * compiled.WORTH)
    assert compiled.worthwhile(0.6 * compiled.WORTH)
    assert compiled.worthwhile(0)
    monkeypatch.setattr(compiled, "_trouble", None)
    monkeypatch.setattr(compiled, "philox", compiled.philox.__wrapped__)
    monkeypatch.delattr(kernels, "philox")
    monkeypatch.setitem(sys.modules, "unibio.core.kernels.philox", None)
    with pytest.warns(RuntimeWarning, match="no compiled loops here.*pip install numba"):
        assert compiled.philox() is None
    assert not compiled.worthwhile(1e9)
    with compiled.forced(True):
        assert not compiled.worthwhile(0)
        assert Draw(Streams([0, 3, -7]), "lower", 5).normal(2)[0, 0] == pytest.approx(RECORDED_NORMAL[0][0])


# Distributions ------------------------------------------------------------------------------------------------------

COUNT = 200_000


def sample(kind: str, axis: str) -> np.ndarray:
    """Along successive indices of one seed, along seeds, or along the entries of long draws."""
    if axis == "index":
        streams = Streams([12345])
        draws = [getattr(Draw(streams, "lower", i), kind)(8) for i in range(COUNT // 8)]
        return torch.cat(draws).numpy().ravel()
    if axis == "seed":
        return numbers(list(range(COUNT)), kind, "lower", 2, 1).ravel()
    return numbers([77], kind, "lower", 0, COUNT).ravel()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("axis", ["index", "seed", "entry"])
def test_normal_numbers_are_normal(axis):
    """Kolmogorov–Smirnov, tails, moments and serial correlation; each bound has a false-alarm rate below 10⁻⁵."""
    z = sample("normal", axis)
    assert len(z) == COUNT
    assert stats.kstest(z, "norm").pvalue > 1e-5
    for moment, value, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):  # Var z^k = E z^2k − (E z^k)²
        assert abs((z**moment).mean() - value) < 5 * math.sqrt(variance / COUNT)
    beyond = (np.abs(z) > 3).mean()
    assert abs(beyond - 0.0026998) < 5 * math.sqrt(0.0027 / COUNT)
    for lag in (1, 2, 4, 8, 128):  # 128: half a block, where Box and Muller's pairs lie
        assert abs((z[:-lag] * z[lag:]).mean()) < 5 / math.sqrt(COUNT)
        assert abs(((z[:-lag] ** 2 - 1) * (z[lag:] ** 2 - 1)).mean()) < 5 * 2 / math.sqrt(COUNT)


@pytest.mark.parametrize("axis", ["index", "seed", "entry"])
def test_uniform_numbers_are_uniform(axis):
    u = sample("uniform", axis)
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-5
    for lag in (1, 2, 4):
        assert abs(((u[:-lag] - 0.5) * (u[lag:] - 0.5)).mean()) < 5 / 12 / math.sqrt(COUNT)


# Minibatches --------------------------------------------------------------------------------------------------------


@given(
    n=st.integers(1, 40),
    size=st.integers(1, 45),
    seeds=st.lists(seeds_, min_size=1, max_size=4),
    epoch=st.integers(0, 9),
)
def test_an_epoch_visits_every_point_once(n, size, seeds, epoch):
    per_epoch = max(1, math.ceil(n / size))
    batches = [Draw(Streams(seeds), "lower", epoch * per_epoch + i, size) for i in range(per_epoch)]
    indices = [draw.minibatch(n) for draw in batches]
    assert [b.shape[1] for b in indices] == [size] * (n // size) + ([n % size] if n % size else []) or size >= n
    assert [b.shape[1] for b in indices] == [draw.length(n) for draw in batches]
    visited = torch.cat(indices, dim=1)
    assert visited.dtype == torch.int64
    for row in visited.tolist():
        assert sorted(row) == list(range(n))


def test_minibatches_of_epochs_seeds_purposes_and_sizes_differ():
    def order(seed=0, purpose="lower", epoch=0, size=10, n=100) -> list[int]:
        streams = Streams([seed])
        per_epoch = n // size
        return torch.cat(
            [Draw(streams, purpose, epoch * per_epoch + i, size).minibatch(n) for i in range(per_epoch)], dim=1
        )[0].tolist()  # fmt: skip

    orders = [order(), order(seed=1), order(seed=-1), order(purpose="upper"), order(epoch=1), order(size=20)]
    assert len({tuple(o) for o in orders}) == len(orders)
    assert order() == order()


def test_minibatch_rows_are_their_seeds():
    rows = [4, 2, 4, -1]
    together = Draw(Streams(rows), "lower", 7, 3).minibatch(20)
    for row, seed in enumerate(rows):
        assert together[row].tolist() == Draw(Streams([seed]), "lower", 7, 3).minibatch(20)[0].tolist()


def test_no_size_or_a_large_one_is_the_full_batch():
    for size in (None, 5, 9):
        assert Draw(Streams([0, 1]), "lower", 3, size).minibatch(5).tolist() == [[0, 1, 2, 3, 4]] * 2
        assert Draw(Streams([0]), "lower", 3, size).length(5) == 5


def test_first_positions_are_uniform():
    """Chi-square of which point comes first over 6,000 seeds; 1 false alarm in 10⁵."""
    first = Draw(Streams(list(range(6000))), "lower", 0, 1).minibatch(6)[:, 0].numpy()
    assert stats.chisquare(np.bincount(first, minlength=6)).pvalue > 1e-5


@pytest.mark.parametrize(("n", "size"), [(0, 1), (5, 0), (5, -1)])
def test_minibatch_errors(n, size):
    with pytest.raises(ValueError, match="n ≥ 1 and size ≥ 1"):
        Draw(Streams([0]), "lower", 0, size).minibatch(n)


# Whole trajectories -------------------------------------------------------------------------------------------------


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("problem", "algorithm"),
    [
        (Example3(exponent=4, noise=1.0, upper_noise=2.0), "unibio"),
        (Example3(exponent=8, noise=10.0), "unibio_released"),
        (Coordinatewise(exponent=6, noise=1.0, upper_noise=0.1), "unibio"),
    ],
)
def test_seed_three_alone_equals_seed_three_among_a_hundred(problem, algorithm):
    alone = solve(problem, algorithm, steps=60, seed=3)
    among = solve(problem, algorithm, steps=60, seed=range(100))
    sparse = solve(problem, algorithm, steps=60, seed=[40, 3, -9])
    np.testing.assert_allclose(among.x[3], alone.x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(among.y[3], alone.y, rtol=0, atol=1e-12)
    np.testing.assert_allclose(sparse.x[1], alone.x, rtol=0, atol=1e-12)
    columns = [c for c in alone.history.columns if c not in ("seconds", "run", "seed")]
    history = among.history[among.history["seed"] == 3]
    np.testing.assert_allclose(history[columns], alone.history[columns], rtol=0, atol=1e-12)
    assert float((among.y - among.y[3]).abs().amax()) > 1e-3  # seeds do differ
