"""Whole iterations of Algorithm 2 where both levels are made of sines: the numbers of ``UniBiO.step``, to the bit.

Sines and cosines are computed by the very functions that torch calls, whose addresses are handed in.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba.core.funcdesc import ExternalFunctionDescriptor
from numba.extending import intrinsic
from numpy.typing import NDArray

from unibio.core.kernels.epochs import norm, run, signed_power
from unibio.core.kernels.jit import fma, jit
from unibio.core.kernels.neumann import direction, moved

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

#: Rows of the array that an iteration works in, (ROWS, runs · d); x and y are next to each other.
X, Y, MOMENTUM, SINE, COSINE, SLOPE, V, OLD_X, OLD_Y, W, TOTAL, POINT, SCALE, Z, F_Y = range(15)
ROWS = 15
#: Where things stand: the iteration, steps taken of a solve, the next draws of either level, solves begun.
T, TAKEN, LOWER, UPPER, SOLVES = range(5)
#: What came of it: all iterations done; random numbers are used up; somebody wanted to look at the last iterate, or
#: has to.
DONE, NUMBERS_LOWER, NUMBERS_UPPER, DUE, LOOK = range(5)


@intrinsic
def _vector_function(typing: Any, address: Any, size: Any, source: Any, target: Any, mode: Any) -> Any:
    """Call f(int64 n, const T *source, T *target, int64 mode) by its address; what it returns means nothing."""
    word = numba.types.int64

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = context.get_external_function_type(ExternalFunctionDescriptor("vector function", word, (word,) * 4))
        return builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])

    return word(*(word,) * 5), generate


@jit
def apply(address: int, mode: int, source: Floats, target: Floats) -> None:
    """A function of MKL's vector library, of every number.

    Args:
        address: of vmdSin, say.
        mode: of accuracy and errors.
        source, target: (size,), not overlapping.
    """
    _vector_function(address, len(source), np.int64(source.ctypes.data), np.int64(target.ctypes.data), mode)


@jit
def waves(sine: int, cosine: int, mode: int, a: Floats) -> None:
    """sin x, cos x and ∇φ's cos x · cos(sin x), at x of the working array ``a``, (ROWS, size)."""
    apply(sine, mode, a[X], a[SINE])
    apply(cosine, mode, a[X], a[COSINE])
    apply(cosine, mode, a[SINE], a[SLOPE])
    cosines, slope = a[COSINE], a[SLOPE]
    for i in range(len(slope)):
        slope[i] = cosines[i] * slope[i]


@jit
def aim(cosine: int, mode: int, floor: float, exponent: int, terms: int, step: Floats, a: Floats) -> None:
    """v of the Neumann sum at y of the working array; see :func:`unibio.core.kernels.neumann.direction`."""
    if exponent == 2:
        a[POINT], a[SCALE] = a[Y], a.dtype.type(1)
    else:
        moved(a[Y], floor, exponent, a[POINT], a[SCALE])
    signed_power(a[POINT], exponent - 1, a[Z], a[F_Y])  # F_Y is room here
    apply(cosine, mode, a[Z], a[F_Y])
    f_y, scale, z = a[F_Y], a[SCALE], a[Z]
    end, zero = a.dtype.type(math.pi / 2), a.dtype.type(0)
    for i in range(len(z)):
        f_y[i] = f_y[i] * scale[i] if abs(z[i]) <= end else zero
    direction(a[F_Y], a[SCALE], terms, step, a[V])


@jit
def mixed(old: Floats, new: Floats, weight: Floats, out: Floats) -> None:
    """weight · old + (1 − weight) · new as ``torch.lerp`` computes it; ``out`` may be ``old``.

    Args:
        old, new, out: (size,).
        weight: (size,), or (1,) for all.
    """
    half, one = old.dtype.type(0.5), old.dtype.type(1)
    for i in range(len(old)):
        share = weight[i if len(weight) > 1 else 0]
        if share < half:
            out[i] = fma(share, old[i] - new[i], new[i])
        else:
            out[i] = fma(share - one, old[i] - new[i], old[i])


@jit
def _lengths(rows: Floats, d: int, out: Floats) -> None:
    """The norm of every d numbers, as torch computes it: of one number without squaring it.

    Args:
        rows: (runs · d,).
        d: how many.
        out: (runs,) or more, written into.
    """
    if d == 1:
        for i in range(len(rows)):
            out[i] = abs(rows[i])
        return
    squares = np.empty(8, rows.dtype)
    for row in range(len(rows) // d):
        out[row] = norm(rows[row * d : (row + 1) * d], squares)


@jit
def _upwards(a: Floats, d: int, noise: Floats, weight: Floats, step: Floats, least: float) -> None:
    """Momentum and the normalised step of x.

    Args:
        a: the working array; W and Z are overwritten.
        d: coordinates of a run.
        noise: ξ, (size,), or (0,) for none.
        weight, step: β and η, (size,), or (1,) for all.
        least: what a norm is at least taken for.
    """
    x, m, h, lengths, cosine, v = a[X], a[MOMENTUM], a[Z], a[W], a[COSINE], a[V]
    floor, zero = a.dtype.type(least), a.dtype.type(0)
    for i in range(len(x)):
        h[i] = (noise[i] if len(noise) else zero) - -cosine[i] * v[i]
    mixed(m, h, weight, m)
    _lengths(m, d, lengths)
    for i in range(len(x)):
        length = lengths[i // d]
        length = floor if length < floor else length  # NaN stays NaN
        x[i] = fma(m[i] / length, -step[i if len(step) > 1 else 0], x[i])


@jit
def _taken_in(
    a: Floats,
    d: int,
    limit: float,
    running: NDArray[np.bool_],
    alarms: NDArray[np.float64],
    values: NDArray[np.float64],
) -> bool:
    """‖∇φ‖ of every run; whether nobody has to look: all that run are within bounds and above their alarm.

    Args:
        a, d: as above; W is overwritten.
        limit: of every coordinate of x and y.
        running: (runs,).
        alarms: (runs,) values below which a run is to be looked at.
        values: (runs,), written into.
    """
    x, y, lengths, well = a[X], a[Y], a[W], True
    _lengths(a[SLOPE], d, lengths)
    for row in range(len(values)):
        values[row] = lengths[row]
        well &= not (running[row] and lengths[row] < alarms[row])
    for i in range(len(x)):
        well &= (abs(x[i]) <= limit and abs(y[i]) <= limit) or not running[i // d]
    return well


@jit
def advance(
    a: Floats,
    d: int,
    place: Ints,
    until: int,
    look: bool,
    lower: Floats,
    lower_first: int,
    upper: Floats,
    upper_first: int,
    columns: Ints,
    level: Floats,
    upper_level: Floats,
    steps: Floats,
    radii: Floats,
    by_reciprocal: bool,
    ends: Ints,
    last: bool,
    exponent: int,
    period: int,
    terms: int,
    passed: int,
    floor: float,
    neumann_step: Floats,
    weight: Floats,
    step: Floats,
    least: float,
    sine: int,
    cosine: int,
    mode: int,
    limit: float,
    running: NDArray[np.bool_],
    alarms: NDArray[np.float64],
    values: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> int:
    """Iterations up to ``until``, as far as random numbers go and nobody has to look.

    Args:
        a: the working array at iterate ``place[T]``, with :func:`waves` of its x and :func:`aim` of its y.
        d, place: coordinates of a run; where things stand, (5,).
        until: the iteration to stop at; ``look`` says that somebody looks at its iterate, whatever it is.
        lower, lower_first: (draws, seeds, d) standard normal and the index of the first; (steps, 0, 0) for none.
        upper, upper_first: likewise.
        columns: (runs,) each row's among the seeds; (0,) where rows are seeds.
        level, upper_level: (1 or runs, 1) what they are multiplied with.
        steps, radii, by_reciprocal, ends, last: of a solve, see :func:`unibio.core.kernels.epochs.run`.
        exponent, period, terms, floor: p, I, Q, δ.
        passed: samples of the lower level that an estimate uses.
        neumann_step, weight, step, least: c, β, η, see :func:`_upwards`.
        sine, cosine, mode: see :func:`apply`.
        limit, running, alarms, values: see :func:`_taken_in`.
        sums: (runs,), which values are added to, or (0,); not those of an iterate that is looked at.

    Returns:
        DONE, NUMBERS_LOWER, NUMBERS_UPPER, DUE or LOOK.
    """
    size = a.shape[1]
    runs, total = size // d, ends[-1]
    noise = np.empty(size if upper.shape[2] else 0, a.dtype)
    y, w, sum_w, target = (
        a[Y].reshape(runs, d),
        a[W].reshape(runs, d),
        a[TOTAL].reshape(runs, d),
        a[SINE].reshape(runs, d),
    )
    while place[T] < until:
        t = place[T]
        if len(noise) and not 0 <= place[UPPER] - upper_first < len(upper):
            return NUMBERS_UPPER
        if place[TAKEN] == 0:
            a[OLD_X], a[OLD_Y] = a[X], a[Y]
        if t > 0 and t % period == 0:
            if place[TAKEN] == 0:
                a[W], a[TOTAL] = a[Y], a.dtype.type(0)
            while place[TAKEN] < total:
                at = place[LOWER] - lower_first if lower.shape[2] else 0
                if not 0 <= at < len(lower):
                    return NUMBERS_LOWER
                count = min(total - place[TAKEN], len(lower) - at)
                run(y, w, sum_w, target, exponent - 1, lower[at : at + count], columns, level, steps, radii,
                    by_reciprocal, ends, last, place[TAKEN], count)  # fmt: skip
                place[TAKEN] += count
                place[LOWER] += count
            place[TAKEN] = 0
            place[SOLVES] += 1
            aim(cosine, mode, floor, exponent, terms, neumann_step, a)
        for i in range(len(noise)):
            row = i // d
            number = upper[place[UPPER] - upper_first, columns[row] if len(columns) else row, i % d]
            noise[i] = upper_level[row if len(upper_level) > 1 else 0, 0] * number
        _upwards(a, d, noise, weight, step, least)
        waves(sine, cosine, mode, a)
        place[T] = t + 1
        place[LOWER] += passed
        place[UPPER] += 1
        well = _taken_in(a, d, limit, running, alarms, values)
        if not well:
            return LOOK
        if look and t + 1 == until:
            return DUE
        for row in range(len(sums)):
            sums[row] += values[row]
    return DONE


def trial() -> None:
    """Raise whatever keeps a loop from being compiled."""
    loop: Any = apply  # calling it takes an address
    loop.compile("(int64, int64, float64[::1], float64[::1])")
