"""Why a linear system with the lower level's Hessian was not solved, per row, and how that is said."""

from __future__ import annotations

from enum import IntEnum

from torch import Tensor


class Trouble(IntEnum):
    """What kept a row from being solved; codes of int8 tensors of shape (runs,)."""

    NONE = 0
    NOT_FINITE = 1
    NOT_CONVEX = 2
    SINGULAR = 3
    ILL_CONDITIONED = 4
    LIMIT = 5


_SAID = {
    Trouble.NOT_FINITE: "∇_y f or ∇²_yy g is not finite (NaN or infinite) there",
    Trouble.NOT_CONVEX: "∇²_yy g has a negative eigenvalue there: the lower level is not convex, or y is no minimiser",
    Trouble.SINGULAR: "∇²_yy g is singular there, so that the lower level does not determine the hypergradient",
    Trouble.ILL_CONDITIONED: "∇²_yy g is too badly conditioned there for the dtype",
    Trouble.LIMIT: "the limit of iterations came first",
}


def reasons(trouble: Tensor) -> str:
    """The reasons found in the rows of ``trouble``, most frequent first, as one clause; empty where all are solved."""
    codes, counts = trouble[trouble != Trouble.NONE].unique(return_counts=True)
    order = counts.argsort(descending=True, stable=True).tolist()
    return "; ".join(_SAID[Trouble(int(codes[i]))] for i in order)
