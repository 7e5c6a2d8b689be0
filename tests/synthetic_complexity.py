"""Records made up for the studies of tuned complexities and of p on the Hölder problem: power laws that are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from synthetic import FakeRecord, Makers
from unibio.store import records
from unibio.studies.common.evidence import CALLS

EXPONENTS = (2, 4, 6, 8)
#: (cell, seed, t) -> the metric at t, the axis that is made up: iterations.
Law = Callable[[Mapping[str, float], int, np.ndarray], np.ndarray]


def made(
    problem: Mapping[str, Any],
    algorithm: Mapping[str, Any],
    axes: Mapping[str, Sequence[float]],
    mean: Law,
    *,
    seeds: int = 6,
    steps: int = 2000,
    budget: int | None = None,
    calls: float = 1.0,
    lower_error: float | Law = 0.01,
    falls: bool = True,
    points: int = 60,
    scale: str = "paper",
    **metrics: Law,
) -> FakeRecord:
    """One job.

    Args:
        problem, algorithm: of the configuration.
        axes: {parameter of the algorithm: values}, beside the seeds.
        mean: the average of ‖∇φ‖ so far, and ‖∇φ‖ as well unless ``metrics`` have it.
        seeds, steps, budget, points, scale: as in a configuration.
        calls: oracle calls of an iteration.
        lower_error: ‖y − y*‖; the same all along where it is a number.
        falls: whether φ does.
        metrics: further columns of the history.
    """
    t = np.unique(np.concatenate([[0], np.geomspace(1, steps, points).round().astype(int)]))
    histories, runs = [], []
    for values in itertools.product(*axes.values(), range(seeds)):
        cell, seed = dict(zip(axes, map(float, values[:-1]), strict=True)), int(values[-1])
        spent = (calls * t).astype(int)
        average = np.broadcast_to(mean(cell, seed, np.maximum(t, 1)), t.shape)
        error = lower_error(cell, seed, np.maximum(t, 1)) if callable(lower_error) else lower_error
        columns: dict[str, Any] = {"run": len(runs), **cell, "seed": seed, "iteration": t, "oracle_calls": spent}
        columns |= dict.fromkeys(CALLS, 0) | {"grad_lower": spent, "seconds": 0.001 * t}
        columns |= {"hypergradient_norm": average, "hypergradient_norm_mean": average, "lower_error": error}
        columns |= {"value": 1 - t / t[-1] if falls else np.ones(len(t))}
        columns |= {name: law(cell, seed, np.maximum(t, 1)) for name, law in metrics.items()}
        histories.append({name: np.broadcast_to(column, t.shape) for name, column in columns.items()})
        row = {**cell, "seed": seed, "status": "completed", "stopped_at": steps, **dict.fromkeys(CALLS, 0)}
        runs.append(row | {"grad_lower": int(spent[-1]), "grad_upper": steps})
    grid = {f"algorithm.{name}": [float(v) for v in values] for name, values in axes.items()}
    config: dict[str, Any] = {"problem": dict(problem), "algorithm": dict(algorithm), "seed": 0}
    config |= {"steps": None if budget else steps, "budget": budget}
    config |= {"grid": grid | {"seed": list(range(seeds))}, "scale": {"name": scale}}
    summary: dict[str, Any] = {"status": "completed", "seconds": 1.0, "modules": [], "warnings": []}
    summary |= {"versions": {"python": "3.11"}, "hardware": {"device": "cpu"}, "git": {"commit": "0" * 40}}
    history = pd.DataFrame({name: np.concatenate([part[name] for part in histories]) for name in histories[0]})
    return FakeRecord(records.record_name(config), config, summary, history, pd.DataFrame(runs))


def spread(seed: int, size: float = 0.01) -> float:
    """A factor by seed, no two of which are alike."""
    return float(1 + size * np.sin(2.3 * seed + 1))


def hoelder(p: int, dimension: int, noise: float) -> dict[str, Any]:
    shape = {"shape": "asymmetric", "dimension": dimension}
    return {"name": "hoelder", "exponent": p, **shape, "noise": noise, "upper_noise": noise}


def figures(
    power: Callable[[int], float] = lambda p: -1 / (p + 2),
    level: Callable[[int], float] = lambda p: 1 + p / 8,
    best: Callable[[int], float] = lambda p: 0.12 / p,
    scale: str = "paper",
    steps: int = 2000,
    seeds: int = 6,
    **more: Any,
) -> dict[str, list[FakeRecord]]:
    """Records of hoelder_figures: averages level(p) t^power(p), least at η = best(p)."""

    def law(p: int, noise: float) -> Law:
        def mean(cell: Mapping[str, float], seed: int, t: np.ndarray) -> np.ndarray:
            off = np.log(cell["upper_step"] / best(p)) ** 2
            return level(p) * t ** power(p) * (1 + 0.05 * off) * (spread(seed) if noise else 1)

        return mean

    axes = {"upper_step": [0.01, 0.02, 0.03, 0.06, 0.12]}
    return {
        "hoelder_figures": [
            made(
                hoelder(p, d, noise),
                {"name": "unibio", "period": 2, "inner_budget": 100},
                axes,
                law(p, noise),
                seeds=seeds,
                steps=steps,
                scale=scale,
                **more,
            )
            for d in (1, 4)
            for noise in (0.0, 1.0)
            for p in EXPONENTS
        ]
    }


#: Slopes of accuracy in calls that keep to the claimed exponents, in their order.
AS_CLAIMED = {"unibio": 3.9, "stocbio": 3.9, "ttsa": 4.8, "ma_soba": 3.9, "sustain": 2.9}


def rates(
    exponents: Mapping[str, float] = AS_CLAIMED,
    scale: str = "paper",
    seeds: int = 6,
    level: float = 0.0,
    **more: Any,
) -> dict[str, list[FakeRecord]]:
    """Records of rates_strongly_convex: calls ∝ ε^(−a) with the given a; or accuracies that level off."""

    def law(a: float) -> Law:
        def mean(cell: Mapping[str, float], seed: int, t: np.ndarray) -> np.ndarray:
            reached = level + 30 * (t / 1000) ** (-1 / a)
            return reached * (1 + 0.05 * np.log(cell["upper_step"] / 0.1) ** 2) * spread(seed)

        return mean

    axes = {"upper_step": [0.03, 0.1, 0.3], "lower_step": [0.1, 1.0]}
    problem = {"name": "noisy_quadratic", "exponent": 2, "noise": 1.0, "upper_noise": 1.0}
    return {
        "rates_strongly_convex": [
            made(problem, {"name": name}, axes, law(a), seeds=seeds, steps=100_000, budget=100_000, scale=scale, **more)
            for name, a in exponents.items()
        ]
    }


PLACES: dict[str, dict[str, Any]] = {
    "symmetric": {"name": "hoelder", "shape": "symmetric", "dimension": 1},
    "asymmetric": {"name": "hoelder", "shape": "asymmetric", "dimension": 1},
    "mixed": {"name": "hoelder", "shape": "asymmetric", "dimension": 4},
    "example3": {"name": "example3"},
}


def tuned(
    exponent: Callable[[str, int], float] = lambda place, p: 2.0 if place == "example3" else 3 * p - 2.5,
    scale: str = "paper",
    seeds: int = 6,
    **more: Any,
) -> dict[str, list[FakeRecord]]:
    """Records of tuned_complexity: calls ∝ ε^(−a) with a of the place and p, for the better of two K."""

    def law(a: float, budget: int) -> Law:
        def mean(cell: Mapping[str, float], seed: int, t: np.ndarray) -> np.ndarray:
            off = np.log(cell["upper_step"] / 0.1) ** 2 + (budget == 5)
            return t ** (-1 / a) * (1 + 0.05 * off) * spread(seed)

        return mean

    axes = {"upper_step": [0.03, 0.1, 0.3], "momentum": [0.0, 0.9]}
    return {
        "tuned_complexity": [
            made(
                {**place, "exponent": p, "noise": 1.0},
                {"name": "unibio", "inner_budget": budget, "period": budget},
                axes,
                law(exponent(name, p), budget),
                seeds=seeds,
                steps=100_000,
                budget=100_000,
                scale=scale,
                **more,
            )
            for name, place in PLACES.items()
            for p in (2, 4, 6)
            for budget in (5, 40)
        ]
    }


def flat_at_zero(p: int, place: float) -> float:
    """The power of K with which errors fall: the slower the larger p at y* = 0, that of strong convexity at 1."""
    return -1 / (1 + p / 2) if place == 0 else -0.5


def inner(
    power: Callable[[int, float], float] = flat_at_zero, scale: str = "paper", seeds: int = 6
) -> dict[str, list[FakeRecord]]:
    """Records of inner_iterations: errors that fall like K^power(p, y*), the least at γ₁ = 1."""

    def law(p: int) -> Law:
        def error(cell: Mapping[str, float], seed: int, t: np.ndarray) -> np.ndarray:
            slow = 1 + abs(math.log(cell["lower_step"]))
            return slow * t ** power(p, cell["start_x"]) * spread(seed)

        return error

    axes = {"start_x": [0.0, 1.0], "lower_step": [0.1, 1.0]}
    problem = {"name": "hoelder", "dimension": 1, "noise": 1.0, "start_y": -1.0}
    return {
        "inner_iterations": [
            made(
                {**problem, "exponent": p},
                {"name": "epoch_sgd"},
                axes,
                _flat,
                seeds=seeds,
                steps=300_000,
                points=100,
                scale=scale,
                lower_error=law(p),
            )
            for p in EXPONENTS
        ]
    }


def _flat(cell: Mapping[str, float], seed: int, t: np.ndarray) -> np.ndarray:
    return np.ones(len(t))


def whole(scale: str = "paper", steps: int = 400, seeds: int = 4) -> Makers:
    """Every experiment of these studies, small."""
    return {
        "inner_iterations": lambda: inner(scale=scale, seeds=seeds)["inner_iterations"],
        "hoelder_figures": lambda: figures(scale=scale, steps=steps, seeds=seeds)["hoelder_figures"],
        "rates_strongly_convex": lambda: rates(scale=scale, seeds=seeds)["rates_strongly_convex"],
        "tuned_complexity": lambda: tuned(scale=scale, seeds=seeds)["tuned_complexity"],
    }
