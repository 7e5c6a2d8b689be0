"""How much ``solve`` logs where nobody says: decided from sizes before the run, never by the clock."""

from __future__ import annotations

import dataclasses
from typing import Any

from unibio.core.algorithm import Algorithm
from unibio.core.metrics import CALLS, LOG_POINTS, default_metrics, points_to_log, rows_to_log
from unibio.core.problem import Metrics, Problem
from unibio.errors import InputError
from unibio.simulation.settings import Settings


def logged(
    problem: Problem, algorithm: Algorithm, settings: Settings, dimension: int, points: Any, free: bool
) -> tuple[Settings, Metrics | None, str | None]:
    """The settings with the rows of history, the default metrics, and what is worth a warning.

    Args:
        problem, algorithm, settings: of the run.
        dimension: d_y.
        points: data points to evaluate default metrics on, as a caller said; None to decide.
        free: whether the number of rows is to be decided, too.

    Raises:
        InputError: ``points`` is no number of data points.
    """
    if points is not None and (isinstance(points, bool) or not isinstance(points, int) or points < 1):
        raise InputError(f"metric_points must be a positive integer, got {points!r}")
    if problem.metrics is not None:
        return settings, None, None
    iterations = _iterations(problem, algorithm, settings)
    if free:
        settings = dataclasses.replace(settings, log_points=rows_to_log(dimension, iterations, LOG_POINTS))
    said = None
    if points is None:
        sizes, batch_size = (problem.size_upper, problem.size_lower), getattr(algorithm, "batch_size", None)
        points = points_to_log(sizes, batch_size, iterations, int(min(settings.log_points, iterations)))
        if points is not None:
            most = max(size for size in sizes if size is not None)
            said = (
                f"default metrics are of {points} fixed data points, not of all {most}, which would take longer than a "
                f"tenth of the run; metric_points={most} takes all, metrics=... of the problem others"
            )
    return settings, default_metrics(problem, points), said


def _iterations(problem: Problem, algorithm: Algorithm, settings: Settings) -> float:
    """About how many iterations a run is going to make, by what ends it."""
    lengths = [float(settings.steps)] if settings.steps is not None else []
    if settings.budget is not None:
        lengths.append(settings.budget / CALLS)
    if settings.epochs is not None:
        size = problem.size_lower or 1
        lengths.append(settings.epochs * size / (getattr(algorithm, "batch_size", None) or size))
    return min(lengths)
