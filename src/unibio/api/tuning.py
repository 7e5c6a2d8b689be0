"""The contenders of a comparison: labels, checked settings, and the choice of step sizes on seeds of its own."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unibio.api.solving import Result
from unibio.core.algorithm import Algorithm
from unibio.errors import InputError, unknown
from unibio.quantiles import quartiles, worst
from unibio.registry import algorithm_class
from unibio.simulation.values import distinct

#: Seeds of tuning runs start here, far from those a comparison would use, so that no method is tuned on its test.
TUNING_SEED = 1_000_003


def labelled(algorithms: Any) -> dict[str, Algorithm]:
    """{label: algorithm} from a list of names and objects, or from a mapping.

    Raises:
        InputError: neither of these, nothing in it, or something in it that is no algorithm.
    """
    if isinstance(algorithms, (str, Algorithm)) or not isinstance(algorithms, Iterable):
        raise InputError(
            f"algorithms must be a list of names or Algorithm objects, or {{label: either}}, got {algorithms!r}"
        )
    if isinstance(algorithms, Mapping):
        found = {str(label): _object(algorithm) for label, algorithm in algorithms.items()}
    else:
        found = {}
        for algorithm in map(_object, algorithms):
            name = algorithm.name or type(algorithm).__name__
            numbered = itertools.chain([name], (f"{name} #{i}" for i in itertools.count(2)))
            found[next(label for label in numbered if label not in found)] = algorithm
    if not found:
        raise InputError("algorithms is empty; give at least one name or Algorithm object")
    return found


def _object(algorithm: Any) -> Algorithm:
    if isinstance(algorithm, str):
        return algorithm_class(algorithm)()
    if isinstance(algorithm, type) and issubclass(algorithm, Algorithm):
        raise InputError(f"algorithms has the class {algorithm.__name__}; call it: {algorithm.__name__}()")
    if not isinstance(algorithm, Algorithm):
        raise InputError(f"algorithms must hold names or Algorithm objects, got {type(algorithm).__name__}")
    return algorithm


@dataclass(frozen=True)
class Plan:
    """One algorithm with its settings, and the values to tune over."""

    label: str
    algorithm: Algorithm
    axes: dict[str, list[Any]]

    def combinations(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """The product of some axes."""
        names = list(names)
        return [dict(zip(names, values, strict=True)) for values in itertools.product(*(self.axes[n] for n in names))]


def plans_for(
    chosen: Mapping[str, Algorithm], parameters: Mapping[str, Any], tune: Mapping[str, Any], options: Iterable[str]
) -> list[Plan]:
    """What to run, with every setting checked.

    Args:
        chosen: {label: algorithm}.
        parameters: for every algorithm that has them.
        tune: {parameter: values} or {label: {parameter: values}}.
        options: other keywords of the caller, for the suggestion when one is misspelt.

    Raises:
        InputError: unknown names, several values where one is meant, values that an algorithm does not accept.
    """
    everyone = {name for algorithm in chosen.values() for name in _fields(algorithm)}
    for name, value in parameters.items():
        if name not in everyone:
            raise unknown("parameter of the compared algorithms,", name, everyone.union(options))
        if isinstance(value, (list, tuple, range, np.ndarray)):
            raise InputError(f"{name} has several values; compare takes one, or chooses: tune={{{name!r}: [...]}}")
    ready = {label: algorithm.having(_shared(algorithm, parameters)) for label, algorithm in chosen.items()}
    everyone = {name for algorithm in ready.values() for name in _fields(algorithm)}
    for key, value in tune.items():
        if isinstance(value, Mapping) and key not in chosen:
            raise unknown("algorithm in tune,", key, chosen)
        if not isinstance(value, Mapping) and key not in everyone:
            raise unknown("parameter in tune,", key, everyone)
    plans = []
    for label, algorithm in ready.items():
        for name in algorithm.rule_axes():
            raise InputError(f"{name} has several values; compare takes one, or chooses: tune={{{name!r}: [...]}}")
        axes = _axes_for(label, algorithm, tune)
        plan = Plan(label, algorithm, axes)
        for values in plan.combinations(axes):
            plan.algorithm.having(values)  # the algorithm checks its own parameters
        plans.append(plan)
    return plans


def _shared(algorithm: Algorithm, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some parameters that an algorithm has."""
    return {name: value for name, value in parameters.items() if name in _fields(algorithm)}


def _fields(algorithm: Algorithm) -> list[str]:
    return [spec.name for spec in dataclasses.fields(algorithm)] + [one for one in algorithm.can_vary() if "." in one]


def _axes_for(label: str, algorithm: Algorithm, tune: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The tuning axes of one algorithm; those under its label count before those for all."""
    fields = _fields(algorithm)
    given = {key: value for key, value in tune.items() if not isinstance(value, Mapping) and key in fields}
    own = tune.get(label)
    given |= own if isinstance(own, Mapping) else {}
    axes = {}
    for name, values in given.items():
        if name not in fields:
            raise unknown(f"parameter in tune for {label},", name, fields)
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise InputError(f"tune: {name} must be a list of values to try, got {values!r}")
        axes[name] = [value.item() if isinstance(value, np.generic) else value for value in values]
        if not axes[name]:
            raise InputError(f"tune: {name} is an empty list; give at least one value")
        distinct(f"tune: {name}", axes[name])
    return axes


def tune_steps(
    run: Callable[..., Result], plan: Plan, seeds: list[int], metric: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Try the product of the axes.

    Args:
        run: ``solve`` with everything given but algorithm, seeds and the tuned parameters.
        plan: the algorithm and its axes.
        seeds: of the trials.
        metric: smaller is better.

    Returns:
        The table of tried parameters and their criterion, best first, and the best parameters.
    """
    batched = [name for name in plan.axes if name in plan.algorithm.can_vary()]
    tried: list[tuple[float, dict[str, Any]]] = []
    for fixed in plan.combinations(name for name in plan.axes if name not in batched):
        # The values under one program are one batch; solve lets its last axis vary fastest, as the product does.
        result = silent(
            run, algorithm=plan.algorithm, seed=seeds, **fixed, **{name: plan.axes[name] for name in batched}
        )
        means = criterion(result, metric).reshape(len(seeds), -1)
        values = plan.combinations(batched)
        tried += [(float(quartiles(means)[1][i]), fixed | values[i]) for i in range(len(values))]
    tried.sort(key=lambda entry: entry[0])
    least, best = tried[0]
    if not np.isfinite(least):
        warnings.warn(
            f"{plan.label}: every setting in tune diverged, or left {metric} undefined; try smaller steps", stacklevel=3
        )
    table = pd.DataFrame([{name: values[name] for name in plan.axes} | {"criterion": c} for c, values in tried])
    return table, best


def silent(run: Callable[..., Result], **arguments: Any) -> Result:
    """A trial, whose warnings about settings are no news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return run(**arguments)


def criterion(result: Result, metric: str) -> np.ndarray:
    """The metric's mean over the iterations of every run, (runs,); infinite where it diverged or is not defined."""
    history = result.history
    if f"{metric}_mean" in history:
        means = history.groupby("run").tail(1).set_index("run")[f"{metric}_mean"]
    else:  # logged iterations are log-spaced, so their plain mean would favour the start

        def over_run(part: pd.DataFrame) -> float:
            span = part["iteration"].iloc[-1] - part["iteration"].iloc[0]
            area = np.trapezoid(part[metric], part["iteration"])
            return float(area / span) if span else float(part[metric].iloc[-1])

        means = history.groupby("run")[["iteration", metric]].apply(over_run)
    values = means.reindex(range(len(result.runs))).to_numpy(dtype=float)
    return np.where(diverged(result), np.inf, worst(values))


def diverged(result: Result) -> np.ndarray:
    """Which runs did: bool, (runs,)."""
    return (result.runs["status"] != "completed").to_numpy()
