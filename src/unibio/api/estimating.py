"""``hypergradient``: one estimate of ∇φ by any of the estimators, and what is known about it."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal, TypedDict, Unpack, overload

import torch
from torch import Tensor

from unibio.api.judging import HypergradientInfo, Judge, Neumann, judged
from unibio.api.solving import built_problem, check_type, given_start, plain, seed_of
from unibio.core import hypergradients
from unibio.core.ambient import clean
from unibio.core.probe import prepare
from unibio.core.problem import Problem, ProblemSpec
from unibio.core.streams import Streams
from unibio.errors import InputError, unknown

ESTIMATORS = ("generalised_neumann", "neumann", "cg", "pcg", "exact", "pseudoinverse", "kkt")


class _Options(TypedDict, total=False):
    estimator: str
    neumann_terms: int
    neumann_step: float
    neumann_samples: str
    floor: float
    unsolved: str
    seed: int
    dtype: torch.dtype
    device: torch.device | str
    check: bool


@overload
def hypergradient(
    problem: Problem | ProblemSpec, x: Any, y: Any, *, return_info: Literal[False] = False, **options: Unpack[_Options]
) -> Tensor: ...


@overload
def hypergradient(
    problem: Problem | ProblemSpec, x: Any, y: Any, *, return_info: Literal[True], **options: Unpack[_Options]
) -> tuple[Tensor, HypergradientInfo]: ...


def hypergradient(
    problem: Problem | ProblemSpec,
    x: Any,
    y: Any,
    *,
    estimator: str = "generalised_neumann",
    neumann_terms: int = 50,
    neumann_step: float = 1.0,
    neumann_samples: str = "fresh",
    floor: float = hypergradients.DEFAULT_FLOOR,
    unsolved: str = "nan",
    return_info: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    check: bool = True,
) -> Tensor | tuple[Tensor, HypergradientInfo]:
    """One estimate of ∇φ(x) from (x, y); see ``unibio.core.hypergradients`` for the hypergradients.

    The estimate is checked. Up to d_y = 512 it is measured against a dense solve, and a warning says where its relative
    error exceeds 10⁻⁵ (10⁻³ in float32), and why: too few Neumann terms (with the number that would do) or a step
    beyond 2/λ_max, a Hessian that is singular, not positive definite, not finite or too badly conditioned for the
    dtype, one that vanishes with D(y) undeclared. It also says where a y far from y*(x) matters by more than 1 %.
    Of a noisy problem's Neumann sum the error of the same sum on one sample is said, where it exceeds what other
    samples make of it. Beyond that size a residual of more than 1 % is said.

    Args:
        problem: a Problem or a spec.
        x, y: (d_x,), (d_y,), or batches (runs, d_x), (runs, d_y).
        estimator: "generalised_neumann", "neumann" (classical), "cg" (conjugate gradient, preconditioned by D where the
            Hessian vanishes with it), "pcg" (by the Hessian's own diagonal: no exponent), "exact" (dense),
            "pseudoinverse" (dense, for Hessians that are singular at solutions: :mod:`unibio.core.pseudoinverse`),
            "kkt" (dense, for a lower level on a polytope: :mod:`unibio.core.kkt`; NaN, and a warning that says why,
            where LICQ or strict complementarity fails or y is no solution).
            Where "cg" or "pcg" does not get there and a dense solve does, its solution is returned.
        neumann_terms, neumann_step, neumann_samples: Q, c and whether HVPs share a sample; Neumann sums only.
        floor: δ, the distance from 0 below which y_i is treated specially (p > 2).
        unsolved: "cg" and "pcg" only: "nan" for rows that could not be solved, or "keep" for their last iterate.
        return_info: return a :class:`~unibio.api.judging.HypergradientInfo` as well.
        seed: of the samples.
        dtype, device: of the computation.
        check: as in ``solve``. False also leaves the estimate unjudged, but for what conjugate gradient and "exact"
            find themselves: it then costs what its estimator costs.

    Returns:
        (d_x,) or (runs, d_x), on the device; a pair with ``return_info``.

    Raises:
        InputError: arguments that are not accepted.
        torch.linalg.LinAlgError: "exact" on a Hessian that is singular or not finite.
    """
    if estimator not in ESTIMATORS:
        raise unknown("estimator", estimator, ESTIMATORS)
    neumann_terms, neumann_step, floor = plain(neumann_terms), plain(neumann_step), plain(floor)
    if isinstance(neumann_terms, bool) or not isinstance(neumann_terms, int) or neumann_terms < 1:
        raise InputError(f"neumann_terms must be an integer ≥ 1, got {neumann_terms!r}")
    for name, value in (("neumann_step", neumann_step), ("floor", floor)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise InputError(f"{name} must be a number > 0, got {value!r}")
    if neumann_samples not in ("fresh", "shared"):
        raise InputError(f"neumann_samples must be fresh or shared, got {neumann_samples!r}")
    if unsolved not in ("nan", "keep"):
        raise InputError(f"unsolved must be nan or keep, got {unsolved!r}")
    check_type(dtype, device)
    with clean(dtype, device):
        built = built_problem(problem)
        xs, many = given_start("x", x, built.start[0] if built.start else None, dtype, device)
        ys, _ = given_start("y", y, built.start[1] if built.start else None, dtype, device)
        if len(xs) != len(ys):
            raise InputError(f"x and y must have the same number of rows, got {len(xs)} and {len(ys)}")
        said = prepare(built, xs, ys, check=check)
        streams = Streams([seed_of(seed)] * len(xs), xs.device, dtype)
        neumann = Neumann(neumann_terms, neumann_step, neumann_samples)
        with torch.no_grad():
            judge = Judge.at(built, streams, xs, ys, floor, check)
            estimate, info = judged(judge, estimator, neumann, keep=unsolved == "keep")
    for message in (*said, *info.warnings):
        warnings.warn(message, stacklevel=2)
    if not many:
        estimate, info = estimate[0], info.first()
    return (estimate, info) if return_info else estimate
