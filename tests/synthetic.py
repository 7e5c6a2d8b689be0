"""Records made up for the tests of analysis, claims, figures and report: the columns of real ones, chosen numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unibio import records
from unibio.analysis.comparisons import epoch_sgd_steps
from unibio.analysis.study import Study

PAPER = {2: 0.05, 4: 0.03, 6: 0.02, 8: 0.01}
EXPONENTS = (2, 4, 6, 8)

#: (cell, seed, t: (T+1,)) -> (T+1,) values of a metric.
Path_ = Callable[[Mapping[str, float], int, np.ndarray], np.ndarray]


@dataclass
class FakeRecord:
    """What analysis reads of a record."""

    name: str
    config: dict[str, Any]
    summary: dict[str, Any]
    history: pd.DataFrame
    runs: pd.DataFrame
    path: Path = Path("nowhere")


def descent(cell: Mapping[str, float], seed: int, t: np.ndarray) -> np.ndarray:
    """|∇φ| of Example 3 when x falls from 1 by η a step and then circles −π/2."""
    step = cell["upper_step"]
    x = np.maximum(1 - step * t, -np.pi / 2)
    arrived = x <= -np.pi / 2
    x = x + arrived * step * (0.3 + 0.1 * np.sin(t + seed * (cell["noise"] > 0)))
    return np.abs(np.cos(x) * np.cos(np.sin(x)))


def record(
    p: int = 2,
    axes: Mapping[str, Sequence[float]] | None = None,
    norm: Path_ = descent,
    mean: Path_ | None = None,
    *,
    seeds: int = 3,
    steps: int = 400,
    points: int = 60,
    scale: str = "paper",
    status: Callable[[Mapping[str, float], int], str] = lambda cell, seed: "completed",
    lower_calls: float | None = None,
    **settings: Any,
) -> FakeRecord:
    """One job.

    Args:
        p: exponent.
        axes: {noise | upper_step | lower_step | neumann_step: values}, beside the seeds.
        norm: hypergradient norm; first hits below 0.1 and the running mean follow from it.
        mean: overrides the running mean.
        seeds, steps, points: runs a cell, T, logged iterations.
        scale: name of the scale.
        status: of a run; a diverged one ends half-way.
        lower_calls: lower gradients per Epoch-SGD call, the schedule's by default.
        settings: further parameters of problem (``dimension``, ``noise_reading``) and algorithm.
    """
    axes = {name: [float(v) for v in values] for name, values in (axes or {}).items()}
    in_problem = {name: settings.pop(name) for name in ("dimension", "noise", "noise_reading") if name in settings}
    dimension = in_problem.get("dimension", 1)
    paper = {str(q): step * (10**0.5 if dimension > 1 else 1.0) for q, step in PAPER.items()}  # as in conf, for any d
    problem = {"name": "coordinatewise" if dimension > 1 else "example3", "exponent": p, "noise": 0.0}
    problem |= {"noise_reading": "variance", **in_problem}
    algorithm = {"name": "unibio", "upper_step": paper[str(p)], "lower_step": 1.0, "neumann_step": 1.0, "momentum": 0.9}
    algorithm |= {"period": 2, "inner_budget": 100, "first_length": 5.0, **settings}
    inner = lower_calls or epoch_sgd_steps(p, algorithm["inner_budget"], algorithm["first_length"])
    t = np.arange(steps + 1)
    logged = np.unique(np.concatenate([[0], np.geomspace(1, steps, points).round().astype(int)]))
    lower = inner * (1 + np.maximum(t - 1, 0) // algorithm["period"])
    calls = (4 * t + lower).astype(int)
    histories, runs = [], []
    for values in itertools.product(*axes.values(), range(seeds)):
        cell = dict(zip(axes, values[:-1], strict=True))
        full = {
            "noise": problem["noise"],
            **{k: v for k, v in algorithm.items() if isinstance(v, float)},
            **cell,
            "p": p,
        }
        seed = int(values[-1])
        ended = status(full, seed)
        last = steps if ended == "completed" else steps // 2
        path = norm(full, seed, t)
        running = np.concatenate([path[:1], np.cumsum(path[:-1]) / t[1:]]) if mean is None else mean(full, seed, t)
        at = logged[logged <= last]
        head = {"run": len(runs), **cell, "seed": seed, "iteration": at, "oracle_calls": calls[at]}
        metrics = {"hypergradient_norm": path[at], "hypergradient_norm_mean": running[at]}
        histories.append(pd.DataFrame({**head, "grad_lower": lower[at], "seconds": 0.001 * at, **metrics}))
        small = np.flatnonzero(path[: last + 1] < 0.1)
        hit = (float(small[0]), float(calls[small[0]])) if len(small) else (np.nan, np.nan)
        row = {**cell, "seed": seed, "status": ended, "stopped_at": last, "grad_upper": last, "grad_lower": lower[last]}
        row |= {"iterations_to hypergradient_norm<0.1": hit[0], "oracle_calls_to hypergradient_norm<0.1": hit[1]}
        runs.append(row | {"hvp": 2 * last, "jvp": last})
    where = {"noise": "problem"}
    grid = {f"{where.get(name, 'algorithm')}.{name}": values for name, values in axes.items()}
    config = {"problem": problem, "algorithm": algorithm, "steps": steps, "seed": 0}
    config |= {"grid": grid | {"seed": list(range(seeds))}, "scale": {"name": scale}, "paper": {"upper_step": paper}}
    summary = {"status": "completed", "seconds": 1.0 + p, "seconds_repeats": [1.0 + p, 2.0 + p, 1.5 + p], "modules": []}
    summary |= {
        "versions": {"python": "3.11"},
        "hardware": {"device": "cpu"},
        "git": {"commit": "0" * 40},
        "warnings": [],
    }
    return FakeRecord(
        records.record_name(config), config, summary, pd.concat(histories, ignore_index=True), pd.DataFrame(runs)
    )


def study(**given: Sequence[FakeRecord]) -> Study:
    """A study of made-up records, by experiment."""
    return Study(None, given)  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def whole_study(scale: str = "paper", steps: int = 400, seeds: int = 3) -> dict[str, list[FakeRecord]]:
    """Every experiment of the synthetic study, small; not to be written into."""
    import synthetic_e1  # which builds on this module
    import synthetic_first_order
    import synthetic_lp
    import synthetic_nli

    noises, etas = [0.0, 0.01, 1.0, 10.0], list(PAPER.values())
    ten = [eta * 10**0.5 for eta in etas]
    common: dict[str, Any] = {"scale": scale, "steps": steps, "seeds": seeds}
    tall = {
        "dimension": 10,
        "norm": lambda cell, seed, t: descent({**cell, "upper_step": cell["upper_step"] / 4}, seed, t),
    }
    searched = {"upper_step": list(np.geomspace(0.003, 0.3, 9)), "lower_step": [0.1, 1.0, 10.0]}
    return {
        "fig1": [record(p, {"noise": noises}, **common) for p in EXPONENTS],
        "fig1_released": [record(p, {"noise": noises}, noise_reading="std", **common) for p in EXPONENTS],
        "fig1_equal": [record(p, {"noise": noises, "upper_step": etas}, **common) for p in EXPONENTS],
        "fig1_coordinatewise": [record(p, {"noise": noises}, **tall, **common) for p in EXPONENTS],
        "fig1_coordinatewise_equal": [
            record(p, {"noise": [0.0, 1.0], "upper_step": ten}, **tall, **common) for p in EXPONENTS
        ],
        "coordinatewise_sensitivity": [
            record(p, {"noise": [0.0, 1.0], "neumann_step": [0.1, 1.0]}, inner_budget=k, estimator=e, **tall, **common)
            for p in EXPONENTS
            for k in (10, 30, 100, 300)
            for e in ("generalised", "classical")
        ],
        "lr_search": [record(p, searched, noise=1.0, **common) for p in EXPONENTS],
        "fig5": [record(p, {"noise": [0.0, 1.0], "upper_step": etas}, **common) for p in EXPONENTS],
        "theorem_schedule": [
            record(
                2, upper_step=T**-0.75, mean=lambda c, s, t: 1.6 * np.maximum(t, 1) ** -0.26, **{**common, "steps": T}
            )
            for T in (100, 316, 1000, 3162)
        ],
        "runtime": [record(p, noise=1.0, **{**common, "seeds": 1}) for p in EXPONENTS],
        **synthetic_e1.whole(scale, steps),
        **synthetic_lp.whole(scale),
        **synthetic_nli.whole(scale),
        **synthetic_first_order.whole(scale, steps),
    }


def write_study(root: Path, given: Mapping[str, Sequence[FakeRecord]]) -> None:
    """The same as real records on disk, with their manifests."""
    for experiment, found in given.items():
        for one in found:
            records.write(root / one.name, one.config, one.summary, one.history, one.runs)
        command = f"python -m unibio experiment={experiment}"
        records.write_manifest(root, experiment, [one.name for one in found], command)
