"""Whether losses are written for rows or for vectors, and whether they and own derivatives return what they must."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unibio.core.losses import Loss, Sample, first_row, nonzero
from unibio.errors import InputError

#: Seeds, one a row -> a sample of these rows.
Sampling = Callable[[Sequence[int]], Sample]

_TYPES = re.compile(r"same dtype|scalar type|dtype|Float and Double|Double and Float", re.IGNORECASE)
_PLACES = re.compile(r"same device|on device|cuda.*cpu", re.IGNORECASE)


def shown(value: Any) -> str:
    """What a callback returned, in two words."""
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def failure(error: Exception, like: Tensor) -> str:
    """An error of a callback, and what to write where tensors of two types or devices have met.

    Args:
        error: what it raised.
        like: an iterate.
    """
    said = f"{type(error).__name__}: {error}".rstrip(".\n ")
    if _TYPES.search(said):
        kind = str(like.dtype)
        other = "float32" if like.dtype == torch.float64 else "float64"
        said += (
            f". The run computes in {kind}: bring your data to it with .to({kind}), or say dtype=torch.{other} if that "
            "is theirs"
        )
    elif _PLACES.search(said):
        said += f". The run computes on {like.device}: bring your data there with .to(y.device), or say device="
    return said


def row_by_row(
    loss: Loss, x: Tensor, y: Tensor, sampling: Sampling, sizes: Sequence[int], spread: float = 0.5
) -> str | None:
    """Why a loss does not map (rows, d) to (rows,) row by row; None where it does.

    Decided on unlike rows of several numbers, by what a row gives alone and among others.

    Args:
        loss: takes (x, y, sample).
        x, y: a start, whose first row is looked around.
        sampling: makes samples.
        sizes: numbers of rows.
        spread: how far to look around, relative to the start.
    """
    tried = []
    for rows in sizes:  # all of them first: constants that belong to one number of rows fail at another
        shift = torch.linspace(1 - spread, 1 + spread, rows, dtype=x.dtype, device=x.device)[:, None]
        xs, ys = nonzero(x[:1]) * shift, nonzero(y[:1]) * shift.flip(0)  # unlike each other, too
        values = loss(xs, ys, sampling(range(rows)))
        if not isinstance(values, Tensor) or values.shape != (rows,):
            return f"for {rows} rows it returned {shown(values)}"
        tried.append((xs, ys, values.detach()))
    near = torch.finfo(x.dtype).eps ** 0.5
    for xs, ys, values in tried:
        size = near * float(values.abs().max())
        for row in (0, len(values) - 1):
            alone = loss(xs[row : row + 1], ys[row : row + 1], sampling([row]))
            if not isinstance(alone, Tensor) or alone.shape != (1,):
                return f"for one row it returned {shown(alone)}"
            if not torch.allclose(alone.detach()[0], values[row], near, size, equal_nan=True):
                return f"a row gave {float(values[row]):.6g} among {len(values)} and {float(alone[0]):.6g} alone"
    return None


def is_batched(loss: Loss, x: Tensor, y: Tensor, sampling: Sampling) -> bool:
    """Whether a loss maps (rows, d) to (rows,), row by row; decided on different rows of two sizes."""
    try:
        return row_by_row(loss, x, y, sampling, (3, 5)) is None
    except Exception:  # whatever a loss of 1-d vectors says to a matrix; check_scalar reports what is really wrong
        return False


def check_batched(loss: Loss, role: str, x: Tensor, y: Tensor, sample: Sample) -> None:
    """Hold a loss that is declared batched to one value per row.

    Raises:
        InputError: it fails, or returns anything else.
    """
    shapes = f"x: {tuple(x.shape)}, y: {tuple(y.shape)}"
    try:
        value = loss(x, y, sample)
    except InputError:  # which says it better
        raise
    except Exception as error:
        raise InputError(f"{role} is declared batched, but fails on {shapes}: {failure(error, y)}") from error
    if not isinstance(value, Tensor) or value.shape != (len(x),):
        raise InputError(
            f"{role} is declared batched and must return one value per row, shape ({len(x)},), for {shapes}; it "
            f"returned {shown(value)}."
        )


def check_scalar(loss: Loss, role: str, x: Tensor, y: Tensor, sample: Sample) -> None:
    """Hold a loss to a scalar for vectors.

    Raises:
        InputError: it fails, or returns anything else.
    """
    shapes = f"vectors x: ({x.shape[1]},), y: ({y.shape[1]},)"
    try:
        value = loss(x[0], y[0], first_row(sample))
    except Exception as error:
        raise InputError(
            f"{role} fails on {shapes}: {failure(error, y)}. It must return a scalar for 1-d vectors, or shape (runs,) "
            "for x: (runs, d_x), y: (runs, d_y); if it does the latter, say batched=True to see what fails."
        ) from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise InputError(
            f"{role} must return a scalar tensor for 1-d {shapes}, or one value per row for a batch; it returned "
            f"{shown(value)}."
        )
