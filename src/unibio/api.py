"""The public entry points: ``solve``, ``compare``, ``hypergradient``."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from unibio import hypergradients as estimators
from unibio.algorithms.base import Algorithm
from unibio.draw import Streams
from unibio.errors import InputError, unknown
from unibio.grid import grid_of, history_table, runs_table, with_rows
from unibio.oracle import Oracle
from unibio.problem import Problem, ProblemSpec
from unibio.registry import algorithm_class
from unibio.run import Settings, Trajectories, simulate


@dataclass(frozen=True)
class Result:
    """What ``solve`` returns. A single run has x: (d_x,), y: (d_y,) and one status; a grid has a leading axis of runs.

    Attributes:
        x, y: the last iterates (the last finite ones of diverged runs).
        status: "completed" or "diverged"; a list for a grid.
        history: one row per run and logged iteration: run, the grid's axes, iteration, oracle_calls, one column per
            kind of call, samples, seconds, metrics, and ``<metric>_mean`` for averaged metrics.
        runs: one row per run: the grid's axes, status, stopped_at, counts, first hits.
        seconds: computing time of the whole batch, without logging.
        warnings: what the algorithm found wrong with its settings.
    """

    x: Tensor
    y: Tensor
    status: str | list[str]
    history: pd.DataFrame
    runs: pd.DataFrame
    seconds: float
    warnings: tuple[str, ...]


def solve(
    problem: Problem | ProblemSpec,
    algorithm: str | Algorithm = "unibio",
    x0: Any = None,
    y0: Any = None,
    *,
    steps: int | None = None,
    budget: int | None = None,
    epochs: float | None = None,
    seed: int | Iterable[int] = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    log_points: int = 200,
    targets: Mapping[str, Sequence[float]] | None = None,
    progress: Callable[[int], None] | None = None,
    **parameters: Any,
) -> Result:
    """Run an algorithm on a problem.

    Args:
        problem: a Problem, or the spec of a built-in one such as ``Example3(exponent=4)``.
        algorithm: a registered name (``unibio list``) or an Algorithm object of your own.
        x0, y0: starts: a number or a (d,) vector; (k, d) makes an axis ``start`` of k starts. Default: the problem's.
        steps: T, outer iterations.
        budget: oracle calls; the run ends before the first iteration that starts at or beyond it.
        epochs: passes over the lower level's data by its gradients, the same; history is then logged at equal parts.
        seed: an integer, or several (``range(100)``) to make an axis ``seed``.
        dtype, device: of the computation.
        log_points: rows of history per run, log-spaced over iterations.
        targets: {averaged metric: [thresholds]}; the first iteration below each is reported in ``runs``.
        progress: called with the number of finished iterations.
        parameters: hyper-parameters; a list makes an axis (per-run hyper-parameters only).

    Raises:
        InputError: anything above that cannot work; the message names the argument and what is accepted.
    """
    settings = Settings(_whole(steps), _whole(budget), _whole(log_points), targets, epochs=epochs)
    axes, fixed = _axes(seed, parameters)
    _check_type(dtype, device)
    chosen = _algorithm(algorithm, fixed)
    if isinstance(problem, ProblemSpec):
        problem.check_memory(chosen, math.prod(map(len, axes.values())), dtype, torch.device(device))
    built = _built(problem)
    x, x_starts = _start("x0", x0, built.start[0] if built.start else None, dtype, device)
    y, y_starts = _start("y0", y0, built.start[1] if built.start else None, dtype, device)
    if x_starts or y_starts:
        if x_starts and y_starts and len(x) != len(y):
            raise InputError(f"x0 and y0 give {len(x)} and {len(y)} starts; give the same number, or one of either")
        axes["start"] = list(range(max(len(x), len(y))))
    grid = grid_of(axes)
    chosen = with_rows(chosen, [name for name in axes if name not in ("seed", "start")], grid, x)
    starts = grid["start"].to_numpy(copy=True) if "start" in grid else np.zeros(len(grid), dtype=int)
    seeds = [int(s) for s in grid["seed"]] if "seed" in grid else [_seed(seed)] * len(grid)
    outcome = simulate(
        built,
        chosen,
        x[starts if len(x) > 1 else np.zeros_like(starts)],
        y[starts if len(y) > 1 else np.zeros_like(starts)],
        seeds=seeds,
        settings=settings,
        progress=progress,
    )
    for message in outcome.diagnosis.warnings:
        warnings.warn(message, stacklevel=2)
    return _result(outcome, grid, single=not axes)


def _built(problem: Any) -> Problem:
    if isinstance(problem, type) and issubclass(problem, ProblemSpec):
        raise InputError(f"problem is the class {problem.__name__}; call it: {problem.__name__}()")
    built = problem.build() if isinstance(problem, ProblemSpec) else problem
    if not isinstance(built, Problem):
        raise InputError(f"problem must be a Problem or a ProblemSpec, got {type(problem).__name__}")
    return built


def _axes(seed: Any, parameters: dict[str, Any]) -> tuple[dict[str, list], dict[str, Any]]:
    """Split what was given into grid axes and fixed values."""
    axes: dict[str, list] = {}
    fixed: dict[str, Any] = {}
    if isinstance(seed, (np.ndarray, Tensor)):
        seed = seed.tolist()
    if isinstance(seed, Iterable) and not isinstance(seed, (str, bytes)):
        axes["seed"] = [_seed(s) for s in seed]
    for name, value in parameters.items():
        if isinstance(value, (np.ndarray, np.generic, Tensor)):
            value = value.tolist()
        if isinstance(value, (list, tuple, range)):
            axes[name] = list(value)
        else:
            fixed[name] = value
    for name, values in axes.items():
        if not values:
            raise InputError(f"{name} is an empty list; give at least one value")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InputError(f"{name} must be a number or a list of numbers to vary it, got {value!r} in the list")
    return axes, fixed


def _check_type(dtype: Any, device: Any) -> None:
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"dtype must be a floating type such as torch.float64 or torch.float32, got {dtype}")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error


def _whole(value: Any) -> Any:
    """NumPy's integers as Python's; everything else is for the check of settings."""
    return int(value) if isinstance(value, np.integer) else value


def _seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not -(2**63) <= int(seed) < 2**63:
        raise InputError(f"seed must be an integer in [−2⁶³, 2⁶³) or several of them, got {seed!r}")
    return int(seed)


def _algorithm(algorithm: str | Algorithm, values: dict[str, Any]) -> Algorithm:
    if isinstance(algorithm, str):
        algorithm = algorithm_class(algorithm)()
    if isinstance(algorithm, type) and issubclass(algorithm, Algorithm):
        raise InputError(f"algorithm is the class {algorithm.__name__}; call it: {algorithm.__name__}()")
    if not isinstance(algorithm, Algorithm):
        raise InputError(f"algorithm must be a name or an Algorithm object, got {type(algorithm).__name__}")
    names = [f.name for f in dataclasses.fields(algorithm)]
    for name in values:
        if name not in names:
            raise unknown(f"argument of solve or parameter of algorithm {algorithm.name},", name, [*names, *_OWN])
    return dataclasses.replace(algorithm, **values)


#: solve's own arguments, for the suggestion when one of them is misspelt.
_OWN = ("steps", "budget", "epochs", "seed", "dtype", "device", "log_points", "targets", "progress")


def _start(name: str, value: Any, default: Tensor | None, dtype: torch.dtype, device: Any) -> tuple[Tensor, bool]:
    """A start as (k, d), and whether k starts were given."""
    if value is None:
        if default is None:
            raise InputError(f"{name} is missing: this problem brings no start of its own; give a number or a vector")
        value = default
    try:
        start = torch.as_tensor(value, dtype=dtype, device=device).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} must be a number, a (d,) vector or a (k, d) array of starts: {error}") from error
    if start.ndim > 2 or start.numel() == 0:
        raise InputError(f"{name} must be a number, a (d,) vector or (k, d) starts, got shape {tuple(start.shape)}")
    if not bool(torch.isfinite(start).all()):
        raise InputError(f"{name} has entries that are not finite")
    start, many = (start.reshape(1, -1), False) if start.ndim < 2 else (start, True)
    needed = start.shape[1] if default is None else torch.as_tensor(default).numel()
    if start.shape[1] != needed:
        raise InputError(
            f"{name} has {start.shape[1]} coordinates, this problem needs {needed}; several starts are (k, {needed})"
        )
    return start, many


def _result(outcome: Trajectories, grid: pd.DataFrame, single: bool) -> Result:
    runs = runs_table(outcome, grid)
    history = history_table(outcome, grid)
    return Result(
        x=outcome.x[0] if single else outcome.x,
        y=outcome.y[0] if single else outcome.y,
        status=outcome.status[0] if single else outcome.status,
        history=history,
        runs=runs,
        seconds=outcome.seconds,
        warnings=outcome.diagnosis.warnings,
    )


ESTIMATORS: dict[str, Callable[..., Tensor]] = {
    "generalised_neumann": estimators.generalised_neumann,
    "neumann": estimators.neumann,
    "cg": estimators.conjugate_gradient,
    "exact": estimators.exact,
}


def hypergradient(
    problem: Problem | ProblemSpec,
    x: Any,
    y: Any,
    *,
    estimator: str = "generalised_neumann",
    neumann_terms: int = 50,
    neumann_step: float = 1.0,
    neumann_samples: str = "fresh",
    floor: float = estimators.DEFAULT_FLOOR,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """One estimate of ∇φ(x) from (x, y); see ``unibio.hypergradients`` for the estimators.

    Args:
        problem: a Problem or a spec.
        x, y: (d_x,), (d_y,), or batches (runs, d_x), (runs, d_y).
        estimator: "generalised_neumann", "neumann" (classical), "cg" (preconditioned), "exact" (dense).
        neumann_terms, neumann_step, neumann_samples: Q, c and whether HVPs share a sample; Neumann sums only. A step
            beyond 2/λ_max warns.
        floor: δ, the distance from 0 below which y_i is treated specially (p > 2).
        seed: of the samples.
        dtype, device: of the computation.

    Returns:
        (d_x,) or (runs, d_x), on the device.
    """
    if estimator not in ESTIMATORS:
        raise unknown("estimator", estimator, ESTIMATORS)
    if isinstance(neumann_terms, bool) or not isinstance(neumann_terms, int) or neumann_terms < 1:
        raise InputError(f"neumann_terms must be an integer ≥ 1, got {neumann_terms!r}")
    for name, value in (("neumann_step", neumann_step), ("floor", floor)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise InputError(f"{name} must be a number > 0, got {value!r}")
    if neumann_samples not in ("fresh", "shared"):
        raise InputError(f"neumann_samples must be fresh or shared, got {neumann_samples!r}")
    built = _built(problem)
    _check_type(dtype, device)
    xs, many = _start("x", x, built.start[0] if built.start else None, dtype, device)
    ys, _ = _start("y", y, built.start[1] if built.start else None, dtype, device)
    if len(xs) != len(ys):
        raise InputError(f"x and y must have the same number of rows, got {len(xs)} and {len(ys)}")
    built.prepare(xs, ys)
    streams = Streams([_seed(seed)] * len(xs), xs.device, dtype)
    options: dict[str, Any] = {}
    if estimator in ("generalised_neumann", "neumann"):
        options = {"terms": neumann_terms, "step": neumann_step, "samples": neumann_samples}
        preconditioned = estimator == "generalised_neumann"
        eigenvalue = estimators.largest_eigenvalue(
            Oracle(built, streams), xs, ys, floor=floor, preconditioned=preconditioned
        )
        said = estimators.unstable_step(neumann_step, eigenvalue) if neumann_terms > 1 else None
        if said:
            warnings.warn(said, stacklevel=2)
    if estimator != "neumann":
        options["floor"] = floor
    with torch.no_grad():
        estimate = ESTIMATORS[estimator](Oracle(built, streams), xs, ys, **options)
    return estimate if many else estimate[0]
