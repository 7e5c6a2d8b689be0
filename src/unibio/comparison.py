"""Several algorithms on one problem, under the same starts, seeds and oracle budget."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unibio.algorithms.base import Algorithm
from unibio.api import Result, solve
from unibio.errors import InputError, unknown
from unibio.problem import Problem, ProblemSpec
from unibio.registry import algorithm_class

#: Seeds of tuning runs start here, far from those a comparison would use, so that no method is tuned on its test.
TUNING_SEED = 1_000_003


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` returns.

    Attributes:
        metric: what was compared.
        results: {label: Result}.
        history: all histories under one another, with a first column ``algorithm``.
        summary: one row per algorithm, best first: tuned parameters, median and quartiles of the metric at the end
            and of its mean over the budget, oracle calls per run, runs that diverged, seconds.
        tuning: {label: table of tried parameters and their criterion}; empty without tuning.
    """

    metric: str
    results: dict[str, Result]
    history: pd.DataFrame
    summary: pd.DataFrame
    tuning: dict[str, pd.DataFrame]

    def plot(self, against: str = "oracle_calls", ax: Any = None) -> Any:
        """Median and interquartile band of the metric over runs; returns the matplotlib axes."""
        import matplotlib.pyplot as plt

        ax = ax if ax is not None else plt.subplots(figsize=(6, 4))[1]
        for label in self.summary["algorithm"]:
            part = self.history[self.history["algorithm"] == label]
            grouped = part.groupby("iteration")
            x = grouped[against].median()
            low, middle, high = (grouped[self.metric].quantile(q) for q in (0.25, 0.5, 0.75))
            (line,) = ax.plot(x, middle, label=label)
            ax.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        ax.set(xlabel=against.replace("_", " "), ylabel=self.metric.replace("_", " "), yscale="log")
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
    **parameters: Any,
) -> Comparison:
    """Run every algorithm from the same start with the same seeds, to the same budget.

    Args:
        problem, x0, y0, seed: as in ``solve``.
        algorithms: names or Algorithm objects, or {label: either}.
        budget: oracle calls per run, the fair unit; ``steps`` (outer iterations) may be given instead or besides.
        metric: a metric of the problem, smaller is better.
        tune: {parameter: values} for all algorithms that have the parameter, or {label: {parameter: values}}. The
            product is tried on seeds of its own with the same budget; the least mean metric over the budget wins.
        tuning_seeds: how many seeds tuning uses.
        parameters: hyper-parameters for every algorithm that has them.

    Raises:
        InputError: no budget, unknown names, a parameter or metric that nothing has.
    """
    chosen = _labelled(algorithms)
    if budget is None and steps is None:
        raise InputError("compare needs budget (oracle calls per run) or steps; a budget compares methods fairly")
    everyone = {name for algorithm in chosen.values() for name in _fields(algorithm)}
    for name in parameters:
        if name not in everyone:
            raise unknown("parameter of the compared algorithms,", name, everyone)
    seeds = list(seed) if isinstance(seed, Iterable) else [seed]
    common: dict[str, Any] = {"budget": budget, "steps": steps}
    results: dict[str, Result] = {}
    tuning: dict[str, pd.DataFrame] = {}
    rows = []
    for label, algorithm in chosen.items():
        own: dict[str, Any] = {name: value for name, value in parameters.items() if name in _fields(algorithm)}
        axes = _axes_for(label, algorithm, tune or {}, chosen, everyone)
        if axes:
            tried = solve(
                problem,
                algorithm,
                x0,
                y0,
                seed=range(TUNING_SEED, TUNING_SEED + tuning_seeds),
                **common,
                **(own | axes),
            )
            table = _criterion(tried, metric).groupby(list(axes), as_index=False)["criterion"].median()
            tuning[label] = table.sort_values("criterion", ignore_index=True)
            own |= {name: float(tuning[label][name].iloc[0]) for name in axes}
        results[label] = solve(problem, algorithm, x0, y0, seed=seeds, **common, **own)
        rows.append(_row(label, results[label], metric, {name: own[name] for name in axes}))
    summary = pd.DataFrame(rows).sort_values(f"mean {metric}", ignore_index=True)
    history = pd.concat([r.history.assign(algorithm=label) for label, r in results.items()], ignore_index=True)
    history.insert(0, "algorithm", history.pop("algorithm"))
    return Comparison(metric, results, history, summary, tuning)


def _labelled(algorithms: Any) -> dict[str, str | Algorithm]:
    if isinstance(algorithms, Mapping):
        return dict(algorithms)
    labelled: dict[str, str | Algorithm] = {}
    for algorithm in algorithms:
        name = algorithm if isinstance(algorithm, str) else algorithm.name or type(algorithm).__name__
        label = next(
            label
            for label in itertools.chain([name], (f"{name} #{i}" for i in itertools.count(2)))
            if label not in labelled
        )
        labelled[label] = algorithm
    return labelled


def _class(algorithm: str | Algorithm) -> type[Algorithm]:
    return algorithm_class(algorithm) if isinstance(algorithm, str) else type(algorithm)


def _fields(algorithm: str | Algorithm) -> list[str]:
    return list(_class(algorithm).__dataclass_fields__)


def _axes_for(
    label: str, algorithm: str | Algorithm, tune: Mapping[str, Any], labels: Iterable[str], everyone: set[str]
) -> dict[str, list[float]]:
    """The tuning axes of one algorithm."""
    axes: dict[str, list[float]] = {}
    for key, value in tune.items():
        if isinstance(value, Mapping):
            if key not in labels:
                raise unknown("algorithm in tune", key, labels)
            axes |= {name: list(values) for name, values in value.items()} if key == label else {}
        elif key not in everyone:
            raise unknown("parameter in tune", key, everyone)
        elif key in _fields(algorithm):
            axes[key] = list(value)
    return axes


def _criterion(result: Result, metric: str) -> pd.DataFrame:
    """The runs table with ``criterion``: the metric's mean over the run, infinite where it diverged."""
    history = result.history
    if metric not in history:
        metrics = [name for name in history.columns if history[name].dtype.kind == "f" and name != "seconds"]
        raise unknown("metric", metric, metrics)
    if f"{metric}_mean" in history:
        means = history.groupby("run")[f"{metric}_mean"].last()
    else:  # logged iterations are log-spaced, so their plain mean would favour the start

        def over_run(part: pd.DataFrame) -> float:
            span = part["iteration"].iloc[-1] - part["iteration"].iloc[0]
            area = np.trapezoid(part[metric], part["iteration"])
            return float(area / span) if span else float(part[metric].iloc[-1])

        means = history.groupby("run")[["iteration", metric]].apply(over_run)
    diverged = (result.runs["status"] != "completed").to_numpy()
    values = means.reindex(result.runs.index).to_numpy()
    return result.runs.assign(criterion=np.where(diverged, np.inf, values))


def _row(label: str, result: Result, metric: str, tuned: Mapping[str, float]) -> dict[str, Any]:
    means = _criterion(result, metric)["criterion"]
    last = result.history.groupby("run").tail(1)
    low, middle, high = (float(last[metric].quantile(q)) for q in (0.25, 0.5, 0.75))
    return {
        "algorithm": label,
        **tuned,
        f"mean {metric}": float(means.median()),
        f"final {metric}": middle,
        "lower quartile": low,
        "upper quartile": high,
        "oracle_calls": int(last["oracle_calls"].median()),
        "diverged": int((result.runs["status"] != "completed").sum()),
        "seconds": result.seconds,
    }
