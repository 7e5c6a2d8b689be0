"""Whether f_y and ∇²_yy g vanish together with D(y) at coordinates near 0, as the problem declares or does not."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from unibio.core.oracle import Oracle

#: Two distances from 0 are compared, this factor apart: what follows D changes by its (p − 2)th power.
_APART = 100.0
#: What counts as that power, and not as a value that stays; no exponent is judged for which both would.
_SLACK = 3.0


def vanishing_rows(oracle: Oracle, x: Tensor, y: Tensor, floor: float) -> Tensor:
    """Rows in which f_y and ∇²_yy g fall like D(y) where a coordinate nearer to 0 than ``floor`` goes to 0.

    Both are taken at two points in which these coordinates are moved to ``floor`` and to a hundredth of it. Costs two
    upper gradients and two HVPs, on one sample each, and nothing where p = 2 or where no coordinate is near 0.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y).
        floor: δ > 0.

    Returns:
        bool (runs,).
    """
    falls = y.abs() < floor
    for old, new, most in _nearing(oracle, x, y, floor):
        falls = falls & (old != 0) & (new.abs() <= most * old.abs())
    return falls.any(-1) & _judged(oracle, y, floor)


def staying_rows(oracle: Oracle, x: Tensor, y: Tensor, floor: float) -> Tensor:
    """Rows in which f_y or ∇²_yy g is as large a hundred times nearer to 0 as it is at ``floor``, at such a coordinate.

    Args, returns and costs are those of :func:`vanishing_rows`.
    """
    near = y.abs() < floor
    stays = torch.zeros_like(near)
    for old, new, _ in _nearing(oracle, x, y, floor):
        stays = stays | (near & (old != 0) & (new.abs() >= 0.5 * old.abs()))
    return stays.any(-1) & _judged(oracle, y, floor)


def _judged(oracle: Oracle, y: Tensor, floor: float) -> Tensor:
    """Where there is anything to judge, bool (runs,)."""
    told = _SLACK * _APART ** (2.0 - oracle.problem.exponent) <= 0.5
    return (y.abs() < floor).any(-1) & told


def _nearing(oracle: Oracle, x: Tensor, y: Tensor, floor: float) -> Iterator[tuple[Tensor, Tensor, float]]:
    """f_y and ∇²_yy g · v, v random along the coordinates near 0: at ``floor``, nearer, and what falling like D makes.

    Nothing where nothing is to be judged.
    """
    if not bool(_judged(oracle, y, floor).any()):
        return
    near = y.abs() < floor
    upper, lower = oracle.sample_upper(), oracle.sample_lower()
    along = near * oracle.draw("vanishing").normal(y.shape[-1])
    found = []
    for distance in (floor, floor / _APART):
        moved = torch.where(near, torch.copysign(torch.full_like(y, distance), y + 0.0), y)
        found.append((oracle.grad_upper_y(x, moved, upper), oracle.hvp_at(x, moved, lower)(along)))
    for old, new in zip(*found, strict=True):
        yield old, new, _SLACK * _APART ** (2.0 - oracle.problem.exponent)


def vanishing_question(oracle: Oracle, x: Tensor, y: Tensor, floor: float) -> str | None:
    """The question whether ``vanishing_hessian`` is meant as it is, in one line; None where there is no reason to ask.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y).
        floor: δ > 0.
    """
    if oracle.problem.vanishing_hessian:
        rows = staying_rows(oracle, x, y, floor)
        said = (
            f"False? In {{}} runs f_y or ∇²_yy g does not vanish where coordinates of y go to 0, so that what is "
            f"evaluated where |y_i| ≥ {floor:g} is the hypergradient of another point"
        )
    else:
        rows = vanishing_rows(oracle, x, y, floor)
        said = (
            "True? In {} runs f_y and ∇²_yy g vanish together with D(y) where coordinates of y go to 0, and the "
            "hypergradient is lost there unless the problem is declared so"
        )
    if not bool(rows.any()):
        return None
    return "vanishing_hessian=" + said.format(f"{int(rows.sum())} of {len(rows)}")
