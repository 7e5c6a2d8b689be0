"""Algorithm 1 on a separable lower level, all its steps in one call: the numbers of ``core.epoch_sgd``, to the bit.

Every operation is rounded as torch rounds it. A step y − γg is one fused multiplication and addition there
(``torch.sub`` with ``alpha``, ``torch.addcmul``), and nothing else is, except in the last few squares of a norm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unibio.core.kernels.jit import fma, jit

#: Coordinates that are stepped together: some arrays of this size stay in a core's innermost cache.
TOGETHER = 512

#: When an iterate is added to the sum: before its step, after it, or not yet, because a projection follows.
_BEFORE, _AFTER, _LATER = 0, 1, 2

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


@jit
def run(
    y: Floats,
    w: Floats,
    total: Floats,
    target: Floats,
    power: int,
    noise: Floats,
    columns: Ints,
    level: Floats,
    steps: Floats,
    radii: Floats,
    by_reciprocal: bool,
    ends: Ints,
    last: bool,
    first: int,
    count: int,
) -> None:
    """Steps ``first`` … ``first + count − 1`` of a solve, counted through all epochs.

    Args:
        y, w, total: (runs, d), the centre of the ball, the iterate and the sum of the iterates so far; written into.
        target: (runs, d), s.
        power: p − 1.
        noise: (count or more, seeds, d), standard normal, or seeds × 3d for noise of three kinds; (0, 0, 0) for none.
        columns: (runs,) each row's among the seeds; (0,) where rows are seeds.
        level: (1 or runs, 1 or all) what the noise is multiplied with.
        steps, radii: (epochs, 1 or runs), γ_k and D_k.
        by_reciprocal: divide a radius by a norm as torch divides a number by a tensor.
        ends: (epochs,), the steps at which epochs end.
        last: average w_2 … w_{T+1} instead of w_1 … w_T.
        first, count: which steps.
    """
    runs, d = y.shape
    rows = min(runs, max(1, TOGETHER // d))
    z, g, gamma = np.empty(rows * d, y.dtype), np.empty(rows * d, y.dtype), np.empty(rows * d, y.dtype)
    low, high = np.empty(rows * d, y.dtype), np.empty(rows * d, y.dtype)
    room = np.empty(d + 8, y.dtype)
    ones, scaled = np.ones(rows * d, y.dtype), np.zeros((3, rows * d), y.dtype)
    levels = np.empty((3, rows * d), y.dtype)
    kinds = noise.shape[2] // d
    when = (_LATER if d > 1 else _AFTER) if last else _BEFORE
    fused = kinds < 3 and power in (1, 3, 5, 7)
    begin = np.searchsorted(ends, first, side="right")
    for top in range(0, runs, rows):
        end = min(top + rows, runs)
        size = (end - top) * d
        cy, cw, ct, cs = y[top:end].ravel(), w[top:end].ravel(), total[top:end].ravel(), target[top:end].ravel()
        _expand_levels(level, top, end, d, kinds, levels)
        k = begin
        for t in range(first, first + count):
            if t == first or t == ends[k - 1]:
                _expand(steps[k], top, end, d, gamma)
                _bounds(cy, radii[k], top, end, d, low, high)  # infinite where a ball is no interval
            plain = len(columns) == 0 and kinds == 1  # numbers lie as coordinates do
            if kinds and not (plain and fused):
                _scale(noise[t - first], columns, top, end, d, kinds, levels, scaled)
            if fused and plain:
                numbers = noise[t - first].ravel()[top * d : end * d]
                _step(cw, ct, cs, power, numbers, levels[0, :size], gamma, low, high, when)
            elif fused:
                _step(cw, ct, cs, power, scaled[0, :size], ones[:size], gamma, low, high, when)
            else:
                if not last:
                    for i in range(size):
                        ct[i] += cw[i]
                signed_power(cw, power, z, g)
                _gradient(z, cs, scaled, kinds, g)
                for i in range(size):
                    cw[i] = fma(g[i], -gamma[i], cw[i])
                if d == 1:
                    for i in range(size):  # NaN stays NaN
                        moved = low[i] if cw[i] < low[i] else cw[i]
                        cw[i] = high[i] if moved > high[i] else moved
            if d > 1:
                _project(cw, cy, radii[k], top, end, d, by_reciprocal, room)
            if last and (d > 1 or not fused):
                for i in range(size):
                    ct[i] += cw[i]
            if t + 1 == ends[k]:
                length = y.dtype.type(ends[k] - (ends[k - 1] if k else 0))
                for i in range(size):
                    cy[i] = ct[i] / length
                    cw[i] = cy[i]
                    ct[i] = 0
                k += 1


@jit
def _expand(values: Floats, top: int, end: int, d: int, out: Floats) -> None:
    """One value or one a run, for every coordinate of some rows."""
    for row in range(top, end):
        value = values[row if len(values) > 1 else 0]
        for j in range(d):
            out[(row - top) * d + j] = value


@jit
def _expand_levels(level: Floats, top: int, end: int, d: int, kinds: int, out: Floats) -> None:
    for kind in range(kinds):
        for row in range(top, end):
            for j in range(d):
                column = kind * d + j if level.shape[1] > 1 else 0
                out[kind, (row - top) * d + j] = level[row if level.shape[0] > 1 else 0, column]


@jit
def _bounds(y: Floats, radius: Floats, top: int, end: int, d: int, low: Floats, high: Floats) -> None:
    """The interval that a ball of one dimension is; no bounds in several."""
    if d > 1:
        low[:], high[:] = -np.inf, np.inf
        return
    _expand(radius, top, end, d, high)
    for i in range((end - top) * d):
        low[i] = y[i] - high[i]
        high[i] = y[i] + high[i]


@jit
def signed_power(y: Floats, q: int, out: Floats, square: Floats) -> None:
    """[y]^{∘q}, by repeated squaring in the order of ``core.powers``."""
    size = len(y)
    if q == 1:
        for i in range(size):
            out[i] = y[i]
        return
    started = False
    for i in range(size):
        square[i] = y[i]
    rest = q
    while rest:
        if rest & 1 and started:
            for i in range(size):
                out[i] = out[i] * square[i]
        elif rest & 1:
            started = True
            for i in range(size):
                out[i] = square[i]
        rest >>= 1
        if rest:
            for i in range(size):
                square[i] = square[i] * square[i]
    if q % 2 == 0:
        for i in range(size):
            out[i] = -out[i] if y[i] < 0 else out[i]


@jit
def _step(
    w: Floats,
    total: Floats,
    target: Floats,
    power: int,
    noise: Floats,
    level: Floats,
    gamma: Floats,
    low: Floats,
    high: Floats,
    when: int,
) -> None:
    """One step in one pass, for p = 2, 4, 6, 8 and noise of one kind; ``when`` the iterate is added to the sum."""
    for i in range(len(w)):
        old = w[i]
        square = old * old
        z = old
        if power == 3:
            z = old * square
        elif power == 5:
            z = old * (square * square)
        elif power == 7:
            z = (old * square) * (square * square)
        new = fma(z - target[i] + level[i] * noise[i], -gamma[i], old)
        new = low[i] if new < low[i] else new  # NaN stays NaN
        new = high[i] if new > high[i] else new
        w[i] = new
        if when == _BEFORE:
            total[i] += old
        elif when == _AFTER:
            total[i] += new


@jit
def _scale(noise: Floats, columns: Ints, top: int, end: int, d: int, kinds: int, levels: Floats, out: Floats) -> None:
    """A draw's numbers (seeds, kinds · d) for some rows, times their levels: (kinds, rows · d)."""
    if len(columns) == 0 and kinds == 1:
        flat = noise.ravel()
        for i in range((end - top) * d):
            out[0, i] = levels[0, i] * flat[top * d + i]
        return
    for kind in range(kinds):
        for row in range(top, end):
            column = columns[row] if len(columns) else row
            for j in range(d):
                i = (row - top) * d + j
                out[kind, i] = levels[kind, i] * noise[column, kind * d + j]


@jit
def _gradient(z: Floats, s: Floats, noise: Floats, kinds: int, out: Floats) -> None:
    """∇_y g with its noise: ``core.separable``."""
    if kinds < 3:
        for i in range(len(s)):
            out[i] = z[i] - s[i] + noise[0, i]
        return
    zero, half, one, knee = z.dtype.type(0.0), z.dtype.type(0.5), z.dtype.type(1.0), z.dtype.type(1.5)
    for i in range(len(s)):
        size = abs(z[i])
        bent = min(max(size - knee, zero), one)
        bounded = min(size, knee) + bent - half * bent * bent
        bounded = -bounded if z[i] < zero else bounded
        if z[i] != z[i]:
            bounded = z[i]
        out[i] = z[i] - (one + noise[1, i]) * s[i] + noise[0, i] * bounded + noise[2, i]


@jit
def norm(v: Floats, squares: Floats) -> Any:
    """The norm of v, (d,), summed as ``torch.linalg.vector_norm`` sums: in lanes of 32 bytes, ``squares`` has room."""
    d, lanes = len(v), 32 // v.itemsize
    whole = d - d % lanes
    total = v.dtype.type(0)
    if whole:
        squares[:lanes] = 0
        for j in range(0, whole, lanes):
            for lane in range(lanes):
                squares[lane] += v[j + lane] * v[j + lane]
        total = squares[0]
        for lane in range(1, lanes):
            total += squares[lane]
    if d - whole >= 4:
        for j in range(whole, whole + 4):
            total += v[j] * v[j]
        whole += 4
    for j in range(whole, d):
        total = fma(v[j], v[j], total)
    return np.sqrt(total)


@jit
def _project(
    w: Floats, y: Floats, radius: Floats, top: int, end: int, d: int, by_reciprocal: bool, room: Floats
) -> None:
    """Rows that have left their ball around y, back onto it."""
    offset, squares = room[:d], room[d:]
    one = w.dtype.type(1.0)
    for row in range(end - top):
        for j in range(d):
            offset[j] = w[row * d + j] - y[row * d + j]
        size = norm(offset, squares)
        reach = radius[top + row if len(radius) > 1 else 0]
        if size > reach:
            factor = one / size * reach if by_reciprocal else reach / size
            for j in range(d):
                w[row * d + j] = y[row * d + j] + offset[j] * factor


@jit
def norms(v: Floats) -> Floats:
    """Of the rows of (rows, d): what tells whether torch sums as :func:`norm` does."""
    out, squares = np.empty(v.shape[0], v.dtype), np.empty(8, v.dtype)
    for row in range(v.shape[0]):
        out[row] = norm(v[row], squares)
    return out


@jit
def descended(y: Floats, step: Floats, g: Floats) -> Floats:
    """y − step · g: what tells whether torch fuses it as :func:`run` does."""
    out = np.empty(len(y), y.dtype)
    for i in range(len(y)):
        out[i] = fma(g[i], -step[i], y[i])
    return out


def trial() -> None:
    """Raise whatever keeps a loop from being compiled."""
    norms(np.ones((1, 1)))
