"""Derivatives of row losses by autograd, with as few nodes in its graph as they take.

Rows do not interact, so that the gradient of the summed loss holds every row's gradient. A scalar loss that was lifted
to rows is differentiated as it was written where there is a single run: selecting the row, and putting it back, would
cost as much as a small loss itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unibio.core.losses import Loss, Sample, first_row


def gradients(loss: Loss, sample: Sample, x: Tensor, y: Tensor, of: str) -> tuple[Tensor, ...]:
    """The gradients of a loss in x, in y, or in both ("xy")."""
    loss, sample, x, y, single = _seen(loss, sample, x, y)
    if of != "y":
        x = _leaf(x)
    if of != "x":
        y = _leaf(y)
    inputs = (x, y) if of == "xy" else (x,) if of == "x" else (y,)
    with torch.enable_grad():
        return _rows(_gradients(loss(x, y, sample), inputs), single)


def hessian(loss: Loss, sample: Sample, x: Tensor, y: Tensor, once: bool) -> Callable[[Tensor], Tensor]:
    """v ↦ ∇²_yy g · v from one graph, which gives back its memory while it is used if that is ``once``."""
    loss, sample, x, y, single = _seen(loss, sample, x, y)
    y = _leaf(y)
    g_y = _slope(loss, sample, x, y)
    return lambda v: _rows(_products(g_y, (y,), v[0] if single else v, keep=not once), single)[0]


def mixed_product(loss: Loss, sample: Sample, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """∇²_xy g · v."""
    loss, sample, x, y, single = _seen(loss, sample, x, y)
    x, y = _leaf(x), _leaf(y)
    return _rows(_products(_slope(loss, sample, x, y), (x,), v[0] if single else v), single)[0]


def gradient_and_products(loss: Loss, sample: Sample, x: Tensor, y: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(g_y, ∇²_yy g · v, ∇²_xy g · v) from one graph."""
    loss, sample, x, y, single = _seen(loss, sample, x, y)
    x, y = _leaf(x), _leaf(y)
    g_y = _slope(loss, sample, x, y)
    of_y, of_x = _products(g_y, (y, x), v[0] if single else v)
    slope, of_y, of_x = _rows((g_y.detach(), of_y, of_x), single)
    return slope, of_y, of_x


def _seen(loss: Loss, sample: Sample, x: Tensor, y: Tensor) -> tuple[Loss, Sample, Tensor, Tensor, bool]:
    """What is differentiated: rows as they are, or the vectors of a single run of a lifted loss, and which of them."""
    scalar = getattr(loss, "lifted", None) if y.shape[0] == 1 else None
    return (loss, sample, x, y, False) if scalar is None else (scalar, first_row(sample), x[0], y[0], True)


def _rows(found: tuple[Tensor, ...], single: bool) -> tuple[Tensor, ...]:
    return tuple([part[None] for part in found]) if single else found


def _leaf(t: Tensor) -> Tensor:
    return t.detach().requires_grad_()


def _gradients(value: Tensor, inputs: tuple[Tensor, ...], differentiable: bool = False) -> tuple[Tensor, ...]:
    """Zeros where the value does not depend on an input."""
    if not value.requires_grad:
        return tuple(torch.zeros_like(t) for t in inputs)
    total = value if value.numel() == 1 else value.sum()
    return _filled(torch.autograd.grad(total, inputs, create_graph=differentiable, allow_unused=True), inputs)


def _slope(loss: Loss, sample: Sample, x: Tensor, y: Tensor) -> Tensor:
    """g_y at leaves, to be differentiated again."""
    with torch.enable_grad():
        return _gradients(loss(x, y, sample), (y,), differentiable=True)[0]


def _products(g_y: Tensor, inputs: tuple[Tensor, ...], v: Tensor, keep: bool = False) -> tuple[Tensor, ...]:
    """The gradients of g_y · v; zeros where g_y does not depend on an input."""
    if not g_y.requires_grad:
        return tuple(torch.zeros_like(t) for t in inputs)
    return _filled(torch.autograd.grad(g_y, inputs, v, retain_graph=keep, allow_unused=True), inputs)


def _filled(found: tuple[Tensor | None, ...], inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple([torch.zeros_like(t) if g is None else g for g, t in zip(found, inputs, strict=True)])
