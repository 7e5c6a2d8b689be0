"""``solve``: one algorithm on one problem, for one run or a grid of them."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from unibio.api.logged import logged
from unibio.api.showing import Shown, shown_runs
from unibio.api.watching import Progress, checkpoint_path, interruptible, owner_of, watched
from unibio.core.algorithm import Algorithm
from unibio.core.ambient import clean
from unibio.core.metrics import LOG_POINTS
from unibio.core.problem import Problem, ProblemSpec
from unibio.errors import InputError, unknown
from unibio.registry import algorithm_class
from unibio.simulation.footprint import check_fits, per_run
from unibio.simulation.grid import grid_of, with_rows
from unibio.simulation.history import check_names
from unibio.simulation.loop import OnLog
from unibio.simulation.rows import history_table, runs_table
from unibio.simulation.sameness import same_for_all_seeds
from unibio.simulation.settings import Settings
from unibio.simulation.simulate import simulate
from unibio.simulation.trajectories import Trajectories
from unibio.simulation.values import axis, seed_axis, seed_of
from unibio.tensorfile import DamagedFile

#: Types of numbers; in half precision neither differences nor linear solvers have digits to be judged by.
DTYPES = (torch.float64, torch.float32)
#: Metrics beside averages that are assumed before any is evaluated.
METRICS = 3


@dataclass(frozen=True)
class Result:
    """What ``solve`` returns. A single run has x: (d_x,), y: (d_y,) and one status; a grid has a leading axis of runs.

    Attributes:
        x, y: the last iterates (the last finite ones of diverged runs).
        status: "completed", "diverged" or "interrupted"; a list for a grid.
        history: one row per run and logged iteration: run, the grid's axes, iteration, oracle_calls, one column per
            kind of call, samples, seconds, metrics, and ``<metric>_mean`` for averaged metrics.
        runs: one row per run: the grid's axes, status, stopped_at, counts, first hits.
        seconds: computing time of the whole batch, without logging.
        warnings: what is wrong with settings or problem, how often metrics were not defined, iterates that have grown
            out of hand, whether the seeds made no difference, and where a run was interrupted.
        view: of the problem: what :attr:`upper` and :attr:`lower` show.
        buffers: what the problem stores along with y, (b,), of a grid (runs, b); None where it stores nothing.
    """

    x: Tensor
    y: Tensor
    status: str | list[str]
    history: pd.DataFrame
    runs: pd.DataFrame
    seconds: float
    warnings: tuple[str, ...]
    view: Callable[..., Any] | None = None
    buffers: Tensor | None = None

    @cached_property
    def upper(self) -> Any:
        """x as the problem shows it, a module where it is made of modules; of a grid a tuple, one for each run."""
        return self._viewed("upper", self.x)

    @cached_property
    def lower(self) -> Any:
        """y as the problem shows it, as ``upper``."""
        return self._viewed("lower", self.y)

    def _viewed(self, role: str, iterate: Tensor) -> Any:
        if self.view is None:
            vector = "x" if role == "upper" else "y"
            raise AttributeError(f"the problem is not made of modules: result.{vector} is what there is, no .{role}")
        stored = () if self.buffers is None else (self.buffers,)
        if isinstance(self.status, str):
            return self.view(role, iterate, *stored)
        return tuple(self.view(role, *rows) for rows in zip(iterate, *stored, strict=True))

    def __repr__(self) -> str:
        return self._shown().text()

    def _repr_html_(self) -> str:
        return self._shown().html()

    def _shown(self) -> Shown:
        single = isinstance(self.status, str)
        return shown_runs(self.x, self.y, self.history, self.runs, self.seconds, self.warnings, single)


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
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    log_points: int | None = None,
    targets: Mapping[str, Sequence[float]] | None = None,
    progress: Progress = None,
    check: bool = True,
    metric_points: int | None = None,
    on_log: OnLog | None = None,
    should_stop: Callable[[], bool] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
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
        dtype, device: of the computation; left out, those that the problem asks for (``Problem.like``), or float64 on
            the CPU.
        log_points: rows of history per run, log-spaced over iterations. Left out, 200; fewer, but at least 50, where
            default metrics with their hypergradient norm would cost more than a tenth of a short run.
        targets: {averaged metric: [thresholds]}; the first iteration below each is reported in ``runs``.
        progress: called with the number of finished iterations; True shows a bar.
        check: look at the problem first, near the start and at one sample: that rows are runs, that derivatives are
            those of the losses, that nothing is random beside the draw, and that callbacks write into nothing. False
            leaves it out, with a warning.
        metric_points: data points of either level that default metrics are evaluated on, always the same. Left out,
            sizes decide: all of them, or on minibatches of large data a subsample, so that they do not cost more than
            a tenth of the run; the warnings say so. No matter where the problem brings its own metrics.
        on_log: called with every row of history as it is logged, a dict of its columns: numbers of a single run, arrays
            (runs,) of a grid, NaN where a run has ended. Where it returns False the run stops.
        should_stop: asked before every iteration, and during the start before every oracle call; True stops the run.
        checkpoint: a file to save to, about every half minute and when the run stops or ends, and to go on from: the
            same call resumes, with the numbers of a run that was never interrupted, and gives the same result where it
            had ended. A checkpoint of another call (problem, algorithm, seed, start, length, …) is refused. Of a
            problem's losses their values near the start are compared.
        parameters: hyper-parameters; a list makes an axis (per-run hyper-parameters only). ``upper_update``,
            ``lower_update`` and ``auxiliary_update`` are rules of ``unibio.nn``, such as Adam(1e-3), for steps that are
            to be others than the algorithm's plain ones.

    A run that is stopped (by ``on_log``, by ``should_stop``, by Ctrl-C) returns what there is, with the status
    "interrupted" and a warning; a second Ctrl-C raises KeyboardInterrupt.

    Raises:
        InputError: anything above that cannot work; the message names the argument and what is accepted.
    """
    path = checkpoint_path(checkpoint)
    if on_log is not None and not callable(on_log):
        raise InputError(f"on_log must be a function of a row, got {on_log!r}")
    points = LOG_POINTS if log_points is None else plain(log_points)
    settings = Settings(plain(steps), plain(budget), points, targets, epochs=plain(epochs), check=check)
    axes, fixed = _axes(seed, parameters)
    like = problem.like if isinstance(problem, Problem) else None
    dtype = dtype if dtype is not None else torch.float64 if like is None else like.dtype
    device = device if device is not None else "cpu" if like is None else like.device
    check_type(dtype, device)
    chosen = _algorithm(algorithm, fixed, [*fixed, *axes])
    axes |= {name: axis(values, name) for name, values in chosen.rule_axes().items()}
    if isinstance(problem, ProblemSpec):
        problem.check_memory(chosen, math.prod(map(len, axes.values())), dtype, torch.device(device))
    with clean(dtype, device):
        built = built_problem(problem)
        x, x_starts = given_start("x0", x0, built.start[0] if built.start else None, dtype, device)
        y, y_starts = given_start("y0", y0, built.start[1] if built.start else None, dtype, device)
        if x_starts or y_starts:
            if x_starts and y_starts and len(x) != len(y):
                raise InputError(f"x0 and y0 give {len(x)} and {len(y)} starts; give the same number, or one of either")
            axes["start"] = list(range(max(len(x), len(y))))
            check_starts(x, y)
        grid = grid_of(axes)
        single_values = chosen
        chosen = with_rows(chosen, [name for name in axes if name not in ("seed", "start")], grid, x)
        starts = grid["start"].to_numpy(copy=True) if "start" in grid else np.zeros(len(grid), dtype=int)
        seeds = [int(s) for s in grid["seed"]] if "seed" in grid else [seed_of(seed)] * len(grid)
        settings, metrics, subsampled = logged(
            built, chosen, settings, y.shape[1], plain(metric_points), log_points is None
        )
        columns = METRICS + len(built.averaged)
        needed = per_run(settings, len(axes), columns, (x.shape[1], y.shape[1]), x.element_size())
        check_fits(len(grid), needed, settings, list(axes))
        check_names(None if built.metrics is None else built.measured, x[:1], y[:1], list(grid))
        if path is not None:
            more = {"dtype": dtype, "metric_points": metric_points} | axes
            owner = owner_of(problem, built, single_values, settings, x, y, more)
            settings = dataclasses.replace(settings, checkpoint=path, owner=owner)
        announced, caller = [], sys._getframe(1)  # the warning is told from deep within

        def announce(said: str) -> None:
            announced.append(said)
            warnings.warn_explicit(said, UserWarning, caller.f_code.co_filename, caller.f_lineno)

        with watched(progress, settings.steps) as tell, interruptible(should_stop) as stop:
            try:
                outcome = simulate(
                    built,
                    chosen,
                    x[starts if len(x) > 1 else np.zeros_like(starts)],
                    y[starts if len(y) > 1 else np.zeros_like(starts)],
                    seeds=seeds,
                    settings=settings,
                    progress=tell,
                    should_stop=stop,
                    metrics=metrics,
                    on_log=on_log,
                    returning=True,
                    announce=announce if isinstance(problem, Problem) else None,
                )
            except DamagedFile as error:
                raise InputError(f"checkpoint: {error}; delete it, or name another file") from error
    cut = _cut(outcome, path)
    same = None if cut else same_for_all_seeds(grid, outcome.x, outcome.y, outcome.history)
    noted = (*outcome.diagnosis.warnings, *(said for said in (subsampled, same, cut) if said))
    for message in noted:
        warnings.warn(message, stacklevel=2)
    noted = (*announced, *noted)
    return _result(outcome, grid, noted, single=not axes, view=built.view)


def _cut(outcome: Trajectories, path: Path | None) -> str | None:
    """A sentence where a batch was interrupted."""
    if "interrupted" not in outcome.status:
        return None
    iteration = outcome.stopped_at[outcome.status.index("interrupted")]
    resumes = "" if path is None or not iteration else f"; the same call goes on from {path}"
    return f"interrupted at iteration {iteration}{resumes}"


def check_starts(x: Tensor, y: Tensor) -> None:
    """Refuse a start that is there twice: (k, d_x) and (k, d_y), or one row for all k."""
    places: dict[tuple[bytes, ...], int] = {}
    count = max(len(x), len(y))
    rows = (start.expand(count, -1).cpu().double().contiguous().numpy() for start in (x, y))
    for number, parts in enumerate(zip(*rows, strict=True)):
        first = places.setdefault(tuple(part.tobytes() for part in parts), number)
        if first != number:
            raise InputError(
                f"x0 and y0: start {number} is start {first} again, which would be the same run; give every start once"
            )


def built_problem(problem: Any) -> Problem:
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
        axes["seed"] = seed_axis(seed)
    for name, value in parameters.items():
        if isinstance(value, (np.ndarray, np.generic, Tensor)):
            value = value.tolist()
        if isinstance(value, (list, tuple, range)):
            axes[name] = axis(value, name)
        else:
            fixed[name] = value
    return axes, fixed


def check_type(dtype: Any, device: Any) -> None:
    if dtype not in DTYPES:
        named = getattr(torch, dtype.lower(), None) if isinstance(dtype, str) else None
        write = f"; write dtype={named}" if named in DTYPES else ""
        raise InputError(f"dtype must be torch.float64 or torch.float32, got {dtype!r}{write}")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"device {device!r} is none of PyTorch's; write device='cpu' or device='cuda'") from None
    try:
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error


def plain(value: Any) -> Any:
    """NumPy's numbers as Python's; everything else is for the checks."""
    return value.item() if isinstance(value, np.generic) else value


def _algorithm(algorithm: str | Algorithm, values: dict[str, Any], given: Iterable[str]) -> Algorithm:
    """The algorithm with some values; ``given`` are the names of all that were given, axes among them."""
    if isinstance(algorithm, str):
        algorithm = algorithm_class(algorithm)()
    if isinstance(algorithm, type) and issubclass(algorithm, Algorithm):
        raise InputError(f"algorithm is the class {algorithm.__name__}; call it: {algorithm.__name__}()")
    if not isinstance(algorithm, Algorithm):
        raise InputError(f"algorithm must be a name or an Algorithm object, got {type(algorithm).__name__}")
    names = [f.name for f in dataclasses.fields(algorithm)] + [one for one in algorithm.can_vary() if "." in one]
    for name in values:
        if name not in names:
            raise unknown(f"argument of solve or parameter of algorithm {algorithm.name},", name, [*names, *_OWN])
    chosen = algorithm.having(values)
    chosen.check_given(list(given))
    return chosen


#: solve's own arguments, for the suggestion when one of them is misspelt.
_OWN = (
    "steps",
    "budget",
    "epochs",
    "seed",
    "dtype",
    "device",
    "log_points",
    "targets",
    "progress",
    "check",
    "metric_points",
    "on_log",
    "should_stop",
    "checkpoint",
)


def given_start(name: str, value: Any, default: Tensor | None, dtype: torch.dtype, device: Any) -> tuple[Tensor, bool]:
    """A start as (k, d), and whether k starts were given."""
    if value is None:
        if default is None:
            raise InputError(f"{name} is missing: this problem brings no start of its own; give a number or a vector")
        value = default
    try:
        start = torch.as_tensor(_dense(value), dtype=dtype, device=device).clone()  # the caller's stays the caller's
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


def _dense(value: Any) -> Any:
    """What a start is given as, in a form that torch takes; a tensor of a graph without it.

    Raises:
        TypeError: its numbers are complex, missing, or those of a transformation of torch.func, which would take the
            result for a constant.
    """
    if isinstance(value, Tensor):
        if torch._C._functorch.is_functorch_wrapped_tensor(value):
            raise TypeError("nothing differentiates through it, and torch.func must be left outside")
        value = value.detach().to_dense()
    elif hasattr(value, "__array__"):  # NumPy's and pandas', in any order, and perhaps read-only
        if np.ma.is_masked(value):
            raise TypeError("some of its entries are masked")
        value = np.asarray(value)
        value = np.array(value, dtype=None if np.iscomplexobj(value) else float, order="C")
    if value.is_complex() if isinstance(value, Tensor) else np.iscomplexobj(value):
        raise TypeError("its numbers are complex")
    return value


def _result(
    outcome: Trajectories,
    grid: pd.DataFrame,
    noted: tuple[str, ...],
    single: bool,
    view: Callable[..., Any] | None,
) -> Result:
    runs = runs_table(outcome, grid)
    history = history_table(outcome, grid)
    return Result(
        x=outcome.x[0] if single else outcome.x,
        y=outcome.y[0] if single else outcome.y,
        status=outcome.status[0] if single else outcome.status,
        history=history,
        runs=runs,
        seconds=outcome.seconds,
        warnings=noted,
        view=view,
        buffers=outcome.buffers if outcome.buffers is None or not single else outcome.buffers[0],
    )
