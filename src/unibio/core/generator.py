"""Where the numbers of random streams come from: the Philox generator, for many seeds and blocks of numbers at once.

The numbers are a function of seed, purpose, kind, block and size alone; :mod:`unibio.core.streams` says what for. They
are made by NumPy or, where there is enough to do, by compiled loops (:mod:`unibio.core.compiled`): the same numbers.
Logarithms and tangents are NumPy's in both.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unibio.core import compiled

#: Numbers transformed at once: a few arrays of this size stay in a core's own cache.
CHUNK = 1 << 16
_MASK = (1 << 64) - 1

Key = tuple[int, int]


@lru_cache(maxsize=256)
def purpose_key(purpose: str) -> int:
    """The key of the sequence that a purpose reads: 64 bits."""
    return int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")


class Generator:
    """Numbers for distinct seeds.

    Args:
        seeds: in [−2⁶³, 2⁶³), ascending.
    """

    def __init__(self, seeds: NDArray[np.int64]):
        self.seeds = [int(s) for s in seeds]
        self._shifted = seeds.view(np.uint64) ^ np.uint64(1 << 63)  # seed + 2⁶³
        # Where runs of consecutive seeds begin, and the end of the last: such a run is one stretch of the sequence.
        self._breaks = [0, *(np.flatnonzero(np.diff(seeds) != 1) + 1).tolist(), len(seeds)]
        self._philox = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._philox)
        self._state: Any = self._philox.state

    def seek(self, key: Key, counter: Sequence[int]) -> np.random.Generator:
        """NumPy's generator, one for all seeds, moved to a place of the sequence of ``key``."""
        state = self._state
        state["state"]["key"][:] = key
        state["state"]["counter"][:] = counter
        state["buffer_pos"] = 4
        state["has_uint32"] = 0
        self._philox.state = state
        return self._generator

    def make(
        self,
        purpose: str,
        kind: str,
        first: int,
        blocks: int,
        width: int,
        size: int,
        dtype: torch.dtype,
        out: Tensor | None = None,
    ) -> Tensor:
        """The numbers of successive blocks: (blocks, width, seeds).

        Args:
            purpose: what they are for.
            kind: "normal" or "uniform".
            first: the first block.
            blocks: how many, ≥ 1.
            width: numbers a block and seed, a multiple of 8: Philox makes four words at a time, a word two normals.
            size: of a draw, ≥ 1; different sizes share no numbers.
            dtype: normal numbers are made in float32 where that is wanted, all others in float64.
            out: what an earlier call with the same arguments but ``first`` returned, to be written over.
        """
        single = kind == "normal" and dtype == torch.float32
        if out is None:
            out = torch.empty(blocks, width, len(self.seeds), dtype=torch.float32 if single else torch.float64)
        loops = compiled.philox() if compiled.worthwhile(2e-5 * blocks + 3e-9 * out.numel()) else None
        make = self._plain if loops is None else partial(self._compiled, loops)
        key = purpose_key(f"{purpose}/{kind}")
        streams, numbers = max(1, CHUNK // width), out.numpy()
        for s in range(0, len(self.seeds), streams):
            last = min(s + streams, len(self.seeds))
            together = max(1, CHUNK // (width * (last - s)))
            for n in range(0, blocks, together):
                make(key, kind, first + n, slice(s, last), size, numbers[n : n + together, :, s:last])
        return out

    def _compiled(
        self, loops: Any, key: int, kind: str, first: int, streams: slice, size: int, out: NDArray[np.floating]
    ) -> None:
        seeds = self._shifted[streams]
        if kind == "uniform":
            loops.uniforms(np.uint64(key), seeds, first, size, out)
            return
        blocks, width, count = out.shape
        radius, t = (np.empty((blocks, width // 2, count), dtype=out.dtype) for _ in range(2))
        loops.radii_and_angles(np.uint64(key), seeds, first, size, radius, t)
        np.log(radius, out=radius)
        np.tan(t, out=t)
        loops.finish(radius, t, out.dtype.type(1))
        out[:, : width // 2], out[:, width // 2 :] = radius, t

    def _plain(self, key: int, kind: str, first: int, streams: slice, size: int, out: NDArray[np.floating]) -> None:
        transform, words = (_normal, out.shape[1] // 2) if kind == "normal" else (_uniform, out.shape[1])
        raw = np.empty((out.shape[2], words), dtype=np.uint64)
        for n, block in enumerate(out):
            for begin, end in self._stretches(streams.start, streams.stop):
                place = (self.seeds[begin] + (1 << 63)) * (words // 4)
                self.seek((key, 0), (place & _MASK, place >> 64, first + n, size))
                made = self._philox.random_raw((end - begin) * words).reshape(-1, words)
                raw[begin - streams.start : end - streams.start] = made
            transform(raw, block)

    def _stretches(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Runs of consecutive seeds among the seeds number ``first`` … ``last`` − 1."""
        i = bisect_right(self._breaks, first)
        while first < last:
            end = min(self._breaks[i], last)
            yield first, end
            first, i = end, i + 1


def _normal(raw: NDArray[np.uint64], out: NDArray[np.floating]) -> None:
    """Standard normals by Box and Muller's transform, from 32 bits for a radius (up to 6.8) and 32 for an angle.

    cos and sin come from t = tan(angle/2), as (1 − t²)/(1 + t²) and 2t/(1 + t²): of these functions NumPy has a
    vectorised tan only, and together with its log this takes half the time of torch's log, cos and sin.

    Args:
        raw: (streams, width/2) random 64-bit words.
        out: (width, streams).
    """
    half = len(out) // 2
    bits = torch.from_numpy(raw.view(np.int32)).t().contiguous().to(torch.float64).numpy()  # in [−2³¹, 2³¹)
    bits[:half] *= 2.0**-32
    bits[:half] += 0.5 + 2.0**-33
    bits[half:] *= math.pi * 2.0**-32
    bits = bits.astype(out.dtype, copy=False)  # in (0, 1] and [−π/2, π/2] also when rounded to float32
    radius, t = bits[:half], bits[half:]
    np.log(radius, out=radius)
    radius *= -2
    np.sqrt(radius, out=radius)
    np.tan(t, out=t)
    square = t * t
    radius /= 1 + square
    t *= 2
    np.multiply(radius, 1 - square, out=out[:half])
    np.multiply(radius, t, out=out[half:])


def _uniform(raw: NDArray[np.uint64], out: NDArray[np.floating]) -> None:
    """Uniform numbers on [0, 1), multiples of 2⁻⁵³. Args as in :func:`_normal`, with raw: (streams, width)."""
    out[:] = ((raw >> np.uint64(11)) * 2.0**-53).T
