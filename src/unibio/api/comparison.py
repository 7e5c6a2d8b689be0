"""Several algorithms on one problem, under the same starts, seeds and oracle budget."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unibio.api.showing import Shown, metrics_of, shown_summary
from unibio.api.solving import Result, solve
from unibio.api.tuning import TUNING_SEED, criterion, diverged, labelled, plans_for, silent, tune_steps
from unibio.core.algorithm import Algorithm
from unibio.core.oracle import KINDS
from unibio.core.probe import UNCHECKED
from unibio.core.problem import Problem, ProblemSpec
from unibio.errors import InputError, unknown
from unibio.quantiles import quartiles, worst
from unibio.simulation.values import seed_axis

#: Arguments of ``solve`` that ``compare`` passes on.
_OPTIONS = ("dtype", "device", "log_points")


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` returns.

    Attributes:
        metric: what was compared.
        results: {label: Result}, in the order given; every result is a grid over the seeds, even for one seed.
        history: all histories under one another, with a first column ``algorithm``.
        summary: one row per algorithm, best first: tuned parameters, median over the runs of the metric's mean over
            the iterations, median and quartiles of the metric at the end, median oracle calls of a run, number of runs
            that diverged, seconds. A diverged run counts as infinitely bad, and so does a metric that is not finite.
        tuning: {label: table of tried parameters and their criterion, best first}; empty without tuning.
    """

    metric: str
    results: dict[str, Result]
    history: pd.DataFrame
    summary: pd.DataFrame
    tuning: dict[str, pd.DataFrame]

    def __repr__(self) -> str:
        return self._shown().text()

    def _repr_html_(self) -> str:
        return self._shown().html()

    def _shown(self) -> Shown:
        said = [f"{label}: {text}" for label, result in self.results.items() for text in result.warnings]
        runs = max(len(result.runs) for result in self.results.values())
        return shown_summary(self.summary, self.metric, runs, said)

    def plot(self, against: str = "oracle_calls", ax: Any = None) -> Any:
        """Draw the median and the interquartile band of the metric over the runs, one line per algorithm, best first.

        A line ends where more than half of the runs have diverged.

        Args:
            against: "oracle_calls", "iteration", "seconds", "samples" or a kind of call such as "hvp".
            ax: matplotlib axes to draw on; None makes a figure.

        Returns:
            The axes.

        Raises:
            InputError: an ``against`` that the history does not have.
        """
        import matplotlib.pyplot as plt

        accepted = ("oracle_calls", "iteration", "seconds", "samples", *KINDS)
        if against not in accepted:
            raise unknown("column to plot against,", against, accepted)
        ax = ax if ax is not None else plt.subplots(figsize=(6, 4), layout="constrained")[1]
        positive = True
        for label in self.summary["algorithm"]:
            x, (low, middle, high) = _bands(self.results[label], self.metric, against)
            (line,) = ax.plot(x, middle, label=label)
            ax.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
            positive &= bool((low[~np.isnan(low)] > 0).all())
        ax.set(xlabel=against.replace("_", " "), ylabel=self.metric.replace("_", " "))
        if positive:  # a loss below zero has no place on a logarithmic axis
            ax.set_yscale("log")
        ax.legend()
        return ax


def compare(
    problem: Problem | ProblemSpec,
    algorithms: Sequence[str | Algorithm] | Mapping[str, str | Algorithm],
    x0: Any = None,
    y0: Any = None,
    *,
    budget: int | None = None,
    steps: int | None = None,
    seed: int | Iterable[int] = 0,
    metric: str = "hypergradient_norm",
    tune: Mapping[str, Any] | None = None,
    tuning_seeds: int = 3,
    check: bool = True,
    **parameters: Any,
) -> Comparison:
    """Run every algorithm from the same start with the same seeds, to the same budget.

    Everything that can be checked without running is checked first, and one iteration of every algorithm is tried
    before the first long run.

    Args:
        problem, x0, y0, seed: as in ``solve``.
        algorithms: names or Algorithm objects, or {label: either}. Without labels they get their names, and equal
            names are told apart as "name", "name #2", ….
        budget: oracle calls per run, the fair unit: no iteration starts at or beyond it, so that a run exceeds it by
            less than one iteration. ``steps`` (outer iterations) may be given instead or besides.
        metric: a metric of the problem, smaller is better.
        tune: {parameter: values} for all algorithms that have the parameter, or {label: {parameter: values}}. The
            product is tried on seeds of its own with the same budget; the least criterion wins, the earlier of equals.
            The criterion is the metric's mean over the iterations, and of that the median over the seeds. What is
            tuned replaces what ``parameters`` or an Algorithm object say.
        tuning_seeds: how many seeds tuning uses; none of them is in ``seed``.
        check: as in ``solve``.
        parameters: hyper-parameters for every algorithm that has them, each a single value; also ``dtype``,
            ``device`` and ``log_points`` of ``solve``.

    Raises:
        InputError: no budget, unknown names, a parameter or metric that nothing has, values that are not accepted.
    """
    chosen = labelled(algorithms)
    if budget is None and steps is None:
        raise InputError("compare needs budget (oracle calls per run) or steps; a budget compares methods fairly")
    if isinstance(tuning_seeds, bool) or not isinstance(tuning_seeds, int) or tuning_seeds < 1:
        raise InputError(f"tuning_seeds must be an integer ≥ 1, got {tuning_seeds!r}")
    options = {name: parameters.pop(name) for name in _OPTIONS if name in parameters}
    plans = plans_for(chosen, parameters, tune or {}, _OPTIONS)
    seeds = seed_axis(seed if isinstance(seed, Iterable) and not isinstance(seed, (str, bytes)) else [seed])
    if check is False:
        warnings.warn(UNCHECKED, stacklevel=2)
    built = problem.build() if isinstance(problem, ProblemSpec) else problem
    run = partial(_to_the_end, built, x0=x0, y0=y0, check=check, **options)
    for plan in plans:
        _known_metric(silent(run, algorithm=plan.algorithm, steps=1, seed=seeds[:1]), metric)
    run = partial(run, budget=budget, steps=steps)
    results: dict[str, Result] = {}
    tuning: dict[str, pd.DataFrame] = {}
    rows = []
    for plan in plans:
        best: dict[str, Any] = {}
        if plan.axes:
            unseen = (s for s in itertools.count(TUNING_SEED) if s not in seeds)
            tuning[plan.label], best = tune_steps(run, plan, list(itertools.islice(unseen, tuning_seeds)), metric)
        results[plan.label] = _named(plan.label, run, algorithm=plan.algorithm, seed=seeds, **best)
        rows.append(_row(plan.label, results[plan.label], metric, best))
    summary = pd.DataFrame(rows).sort_values(f"mean {metric}", kind="stable", ignore_index=True)
    history = pd.concat([r.history.assign(algorithm=label) for label, r in results.items()], ignore_index=True)
    history.insert(0, "algorithm", history.pop("algorithm"))
    return Comparison(metric, results, history, summary, tuning)


def _to_the_end(problem: Problem, **arguments: Any) -> Result:
    """A run of a comparison, which says nothing with a part of one."""
    result = solve(problem, **arguments)
    if "interrupted" in (result.status if isinstance(result.status, list) else [result.status]):
        raise KeyboardInterrupt
    return result


def _named(label: str, run: Callable[..., Result], **arguments: Any) -> Result:
    """A run whose warnings about settings say which algorithm they are about."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        result = run(**arguments)
    for one in caught:
        if str(one.message) == UNCHECKED:  # said already, once for all
            continue
        if str(one.message) in result.warnings:
            warnings.warn(f"{label}: {one.message}", stacklevel=3)
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return result


def _known_metric(result: Result, metric: str) -> None:
    names = metrics_of(result.history)
    if metric not in names:
        raise unknown("metric", metric, names)


def _bands(result: Result, metric: str, against: str) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Median of ``against``, and quartiles of the metric (NaN where infinite), at every logged iteration."""
    table = result.history.pivot(index="run", columns="iteration", values=metric)
    places = result.history.groupby("iteration")[against].median()
    # A diverged run is worse than any other from where it stopped, whatever the metric says of its last iterate.
    ended = diverged(result)[:, None] & (table.columns.to_numpy() >= result.runs["stopped_at"].to_numpy()[:, None])
    bands = quartiles(np.where(ended, np.inf, worst(table)))
    return places.to_numpy(dtype=float), tuple(np.where(np.isfinite(band), band, np.nan) for band in bands)


def _row(label: str, result: Result, metric: str, tuned: Mapping[str, Any]) -> dict[str, Any]:
    last = result.history.groupby("run").tail(1)
    low, middle, high = quartiles(np.where(diverged(result), np.inf, worst(last[metric])))
    return {
        "algorithm": label,
        **tuned,
        f"mean {metric}": float(quartiles(criterion(result, metric))[1]),
        f"final {metric}": float(middle),
        "lower quartile": float(low),
        "upper quartile": float(high),
        "oracle_calls": int(last["oracle_calls"].median()),
        "diverged": int(diverged(result).sum()),
        "seconds": result.seconds,
    }
