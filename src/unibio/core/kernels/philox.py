"""The Philox generator (Salmon et al., 2011) as NumPy runs it, Philox4x64-10, for many places of its sequence at once.

NumPy's own takes one place a call, which costs more than the numbers where a trajectory needs a few at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from unibio.core.kernels.jit import jit, multiply_high

_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ZERO, _ONE, _HALF, _SHIFT = np.uint64(0), np.uint64(1), np.uint64(32), np.uint64(11)


@jit
def _words(
    key: np.uint64, seeds: NDArray[np.uint64], block: int, size: int, group: int, out: NDArray[np.uint64]
) -> None:
    """The four words of a group, of all seeds.

    Args:
        key: of the purpose; the second word of the key is 0.
        seeds: those of the streams, plus 2⁶³. Each has as many groups as fit into ``out``, one after the other.
        block, size: the upper words of the counter.
        group: which.
        out: (words, streams), of which four rows are written.
    """
    groups = np.uint64(out.shape[0] // 4)
    for s in range(len(seeds)):
        # The counter is one ahead of its words. The places of one draw end below 2¹²⁸.
        low = seeds[s] * groups
        c0 = low + np.uint64(group + 1)
        c1 = multiply_high(seeds[s], groups) + (_ONE if c0 < low else _ZERO)
        c2, c3, k0, k1 = np.uint64(block), np.uint64(size), key, _ZERO
        for _ in range(10):
            high0, low0 = multiply_high(_M0, c0), _M0 * c0
            high1, low1 = multiply_high(_M1, c2), _M1 * c2
            c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
            k0 += _W0
            k1 += _W1
        row = 4 * group
        out[row, s], out[row + 1, s], out[row + 2, s], out[row + 3, s] = c0, c1, c2, c3


@jit
def uniforms(key: np.uint64, seeds: NDArray[np.uint64], first: int, size: int, out: NDArray[np.float64]) -> None:
    """Uniform numbers on [0, 1), multiples of 2⁻⁵³.

    Args:
        key, seeds, size: as above.
        first: the first of the successive blocks.
        out: (blocks, width, streams).
    """
    width, streams = out.shape[1], out.shape[2]
    words = np.empty((width, streams), dtype=np.uint64)
    for n in range(out.shape[0]):
        for group in range(width // 4):
            _words(key, seeds, first + n, size, group, words)
        for row in range(width):
            for s in range(streams):
                out[n, row, s] = np.float64(words[row, s] >> _SHIFT) * 2.0**-53


@jit
def radii_and_angles(
    key: np.uint64,
    seeds: NDArray[np.uint64],
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
    words = np.empty((half, streams), dtype=np.uint64)
    for n in range(radius.shape[0]):
        for group in range(half // 4):
            _words(key, seeds, first + n, size, group, words)
        for row in range(half // 2):  # a word has two numbers, the lower one first
            for s in range(streams):
                radius[n, 2 * row, s] = np.float64(np.int32(words[row, s])) * 2.0**-32 + (0.5 + 2.0**-33)
            for s in range(streams):
                radius[n, 2 * row + 1, s] = np.float64(np.int32(words[row, s] >> _HALF)) * 2.0**-32 + (0.5 + 2.0**-33)
            for s in range(streams):
                angle[n, 2 * row, s] = np.float64(np.int32(words[half // 2 + row, s])) * (math.pi * 2.0**-32)
            for s in range(streams):
                word = words[half // 2 + row, s]
                angle[n, 2 * row + 1, s] = np.float64(np.int32(word >> _HALF)) * (math.pi * 2.0**-32)


@jit
def finish(radius: NDArray[np.floating], t: NDArray[np.floating], one: np.floating, out: NDArray[np.floating]) -> None:
    """Box and Muller's normal numbers from the logarithms of the former and the tangents of the latter.

    Args:
        radius, t: (blocks, width / 2, streams).
        one: 1 of their type.
        out: (blocks, width, streams).
    """
    two, half = one + one, radius.shape[1]
    for n in range(radius.shape[0]):
        for row in range(half):
            for s in range(radius.shape[2]):
                square = t[n, row, s] * t[n, row, s]
                r = np.sqrt(radius[n, row, s] * -two) / (one + square)
                out[n, row, s] = r * (one - square)
                out[n, half + row, s] = r * (two * t[n, row, s])


def trial() -> None:
    """Raise whatever keeps a loop from being compiled."""
    _words(np.uint64(0), np.zeros(1, dtype=np.uint64), 0, 1, 0, np.empty((4, 1), dtype=np.uint64))
