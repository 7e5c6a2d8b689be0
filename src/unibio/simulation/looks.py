"""The look at the settings of a batch before its first step: what it is taken on, what it costs, what is asked once."""

from __future__ import annotations

from torch import Tensor

from unibio.core.algorithm import Algorithm
from unibio.core.hypergradients import DEFAULT_FLOOR
from unibio.core.oracle import Oracle
from unibio.core.vanishing import vanishing_question

#: Lower-level data points up to which a look at all of them needs no announcement.
FEW_POINTS = 1000


def looking(oracle: Oracle) -> Oracle:
    """An oracle that counts for nobody, on the data points that settings are checked on."""
    return Oracle(oracle.problem, oracle.streams, oracle.problem.looked_at(oracle.batch_size))


def cost(algorithm: Algorithm, oracle: Oracle) -> str | None:
    """What the look costs, in a line; None where somebody has said so, or it is cheap."""
    problem, batch_size = oracle.problem, oracle.batch_size
    size, points = problem.size_lower, problem.looked_at(batch_size)
    said = f"the settings of {algorithm.name} are looked at first, by up to a hundred Hessian–vector products"
    if problem.diagnosed == "minibatch" and size is not None and points is not None and points < size:
        return f"{said} on {points} of {size} data points; diagnosed=None of the problem takes all"
    if problem.diagnosed is None and batch_size is not None and (size or 0) > max(batch_size, FEW_POINTS):
        return f"{said} on all {size} data points; diagnosed={batch_size} of the problem takes a minibatch"
    return None


def vanishing(algorithm: Algorithm, looked: Oracle, x: Tensor, y: Tensor, said: tuple[str, ...]) -> str | None:
    """A line that asks whether the problem's ``vanishing_hessian`` is meant as it is; None where one of ``said`` has
    asked already, or there is nothing to ask."""
    if any(one.startswith("vanishing_hessian") for one in said):
        return None
    return vanishing_question(looked, x, y, getattr(algorithm, "floor", DEFAULT_FLOOR))
