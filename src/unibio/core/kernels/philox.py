"""The Philox generator (Salmon et al., 2011) as NumPy runs it, Philox4x64-10, for many places of its sequence at once.

NumPy's own takes one place a call, which costs more than the numbers where a trajectory needs a few at a time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unibio.core.kernels.jit import jit

_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ZERO, _ONE, _HALF, _SHIFT, _LOW = np.uint64(0), np.uint64(1), np.uint64(32), np.uint64(11), np.uint64(0xFFFFFFFF)

#: Groups of four words that go through all rounds together: they stay in a core's innermost cache.
TOGETHER = 512

Words = NDArray[np.uint64]


@jit
def _product(a: np.uint64, b: np.uint64) -> Any:
    """The upper and the lower 64 bits of a product, by products of 32 bits, which processors have for vectors."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low, left, right = a0 * b0, a0 * b1, a1 * b0
    middle = (low >> _HALF) + (left & _LOW) + (right & _LOW)
    return a1 * b1 + (left >> _HALF) + (right >> _HALF) + (middle >> _HALF), (low & _LOW) | (middle << _HALF)


@jit
def _rounds(key: np.uint64, a: Words, b: Words, c: Words, d: Words) -> None:
    """From counters to words, in place, (groups,) each."""
    k0, k1 = key, _ZERO
    for _ in range(10):
        for i in range(len(a)):
            (high0, low0), (high1, low1) = _product(_M0, a[i]), _product(_M1, c[i])
            b_old, d_old = b[i], d[i]
            a[i], b[i], c[i], d[i] = high1 ^ b_old ^ k0, low1, high0 ^ d_old ^ k1, low0
        k0 += _W0
        k1 += _W1


@jit
def _words(key: np.uint64, seeds: Words, block: int, size: int, out: Words) -> None:
    """All words of a block, of all seeds.

    Args:
        key: of the purpose; the second word of the key is 0.
        seeds: (streams,) those of the streams, plus 2⁶³.
        block, size: the upper words of the counter.
        out: (4, groups · streams), word j of group g of stream s at (j, g · streams + s). A seed's groups are next to
            each other in the sequence.
    """
    streams = len(seeds)
    a, b, c, d = out[0], out[1], out[2], out[3]
    groups = np.uint64(len(a) // streams)
    for group in range(len(a) // streams):
        for s in range(streams):
            # The counter is one ahead of its words. The places of one draw end below 2¹²⁸.
            high, low = _product(seeds[s], groups)
            counter = low + np.uint64(group + 1)
            i = group * streams + s
            a[i], b[i] = counter, high + (_ONE if counter < low else _ZERO)
            c[i], d[i] = np.uint64(block), np.uint64(size)
    for i in range(0, len(a), TOGETHER):
        end = min(i + TOGETHER, len(a))
        _rounds(key, a[i:end], b[i:end], c[i:end], d[i:end])


@jit
def uniforms(key: np.uint64, seeds: Words, first: int, size: int, out: NDArray[np.float64]) -> None:
    """Uniform numbers on [0, 1), multiples of 2⁻⁵³.

    Args:
        key, seeds, size: as above.
        first: the first of the successive blocks.
        out: (blocks, width, streams).
    """
    width, streams = out.shape[1], out.shape[2]
    words = np.empty((4, width // 4 * streams), dtype=np.uint64)
    for n in range(out.shape[0]):
        _words(key, seeds, first + n, size, words)
        for row in range(width):
            for s in range(streams):
                out[n, row, s] = np.float64(words[row % 4, row // 4 * streams + s] >> _SHIFT) * 2.0**-53


@jit
def radii_and_angles(
    key: np.uint64,
    seeds: Words,
    first: int,
    size: int,
    radius: NDArray[np.floating],
    angle: NDArray[np.floating],
) -> None:
    """What Box and Muller's transform starts from: numbers in (0, 1) and half angles in [−π/2, π/2).

    Args:
        key, seeds, first, size: as above.
        radius, angle: (blocks, width / 2, streams), of one type.
    """
    half, streams = radius.shape[1], radius.shape[2]
    words = np.empty((4, half // 4 * streams), dtype=np.uint64)
    for n in range(radius.shape[0]):
        _words(key, seeds, first + n, size, words)
        for row in range(half // 2):  # a word has two numbers, the lower one first
            begin = row // 4 * streams
            some = words[row % 4, begin : begin + streams]
            one, other = radius[n, 2 * row], radius[n, 2 * row + 1]
            for s in range(streams):
                one[s] = np.float64(np.int32(some[s])) * 2.0**-32 + (0.5 + 2.0**-33)
            for s in range(streams):
                other[s] = np.float64(np.int32(some[s] >> _HALF)) * 2.0**-32 + (0.5 + 2.0**-33)
        for row in range(half // 2):
            begin = (half // 2 + row) // 4 * streams
            some = words[(half // 2 + row) % 4, begin : begin + streams]
            one, other = angle[n, 2 * row], angle[n, 2 * row + 1]
            for s in range(streams):
                one[s] = np.float64(np.int32(some[s])) * (math.pi * 2.0**-32)
            for s in range(streams):
                other[s] = np.float64(np.int32(some[s] >> _HALF)) * (math.pi * 2.0**-32)


@jit
def finish(radius: NDArray[np.floating], t: NDArray[np.floating], one: np.floating) -> None:
    """Box and Muller's pairs of normal numbers from the logarithms of the former and the tangents of the latter.

    Args:
        radius, t: (blocks, width / 2, streams), in one piece each, written over by the first and the second of a pair.
        one: 1 of their type.
    """
    first, second, two = radius.ravel(), t.ravel(), one + one
    for i in range(len(first)):
        square = second[i] * second[i]
        r = np.sqrt(first[i] * -two) / (one + square)
        first[i] = r * (one - square)
        second[i] = r * (two * second[i])


def trial() -> None:
    """Raise whatever keeps a loop from being compiled."""
    _words(np.uint64(0), np.zeros(1, dtype=np.uint64), 0, 1, np.empty((4, 1), dtype=np.uint64))
