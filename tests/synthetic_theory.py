"""Made-up records of the studies that measure the theory, by default ones on which every claim is as claimed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from synthetic import FakeRecord, Makers
from unibio.store import records
from unibio.studies.common.evidence import CALLS

EXPONENTS = (2, 4, 6, 8)
Columns = Mapping[str, np.ndarray]


def table(
    problem: Mapping[str, Any],
    algorithm: Mapping[str, Any],
    axes: Mapping[str, Sequence[float]],
    metrics: Callable[[dict[str, float]], Columns],
    iterations: Sequence[int],
    calls: Sequence[int],
    scale: str = "paper",
    **config: Any,
) -> FakeRecord:
    """One job whose runs all complete.

    Args:
        problem, algorithm: of the configuration.
        axes: {"problem.NAME" | "algorithm.NAME" | "seed": values}, the last of which varies fastest.
        metrics: columns of a cell's history, (n,) each.
        iterations, calls: (n,) of every run.
        scale, config: further keys of the configuration.
    """
    names = [key.split(".")[-1] for key in axes]
    histories, runs = [], []
    for values in itertools.product(*axes.values()):
        cell = dict(zip(names, values, strict=True))
        head = {"run": len(runs), **cell, "iteration": np.asarray(iterations), "oracle_calls": np.asarray(calls)}
        columns = {**head, **dict.fromkeys(CALLS, 0), "grad_lower": np.asarray(calls), "seconds": 0.0, **metrics(cell)}
        histories.append(pd.DataFrame({k: np.broadcast_to(v, len(iterations)) for k, v in columns.items()}))
        runs.append({**cell, "status": "completed", "stopped_at": iterations[-1], **dict.fromkeys(CALLS, 0)})
        runs[-1]["grad_lower"] = int(calls[-1])
    whole = {"problem": dict(problem), "algorithm": dict(algorithm), "steps": iterations[-1], "seed": 0}
    whole |= {"grid": {key: list(values) for key, values in axes.items()}, "scale": {"name": scale}, **config}
    summary = {
        "status": "completed",
        "seconds": 1.0,
        "modules": [],
        "warnings": [],
        "versions": {"python": "3.11"},
        "hardware": {"device": "cpu"},
        "git": {"commit": "0" * 40},
    }
    history = pd.concat(histories, ignore_index=True)
    return FakeRecord(records.record_name(whole), whole, summary, history, pd.DataFrame(runs))


def algorithm1(
    power: Callable[[int, float, float], float] = lambda p, star, step: 0.5 if star or p == 2 else 0.6 / (p - 1),
    gap: float = 1.0,
    seeds: int = 40,
    scale: str = "paper",
) -> list[FakeRecord]:
    """Records of algorithm1: the error falls like K^−power(p, y*, γ₁), the gap like its p-th power at y* = 0, else its
    square, both to the power of ``gap``."""
    found = []
    for p in EXPONENTS:
        lengths = 5 * 2.0 ** (2 * (p - 1) / p * np.arange({2: 17, 4: 12, 6: 11, 8: 11}[p]))
        steps = np.concatenate([[0], np.cumsum(np.floor(lengths))]).astype(int)
        stars = {star ** (p - 1): star for star in (0.0, 0.5, 1.0)}

        def metrics(cell: dict[str, float], p: int = p, steps: np.ndarray = steps, stars: Any = stars) -> Columns:
            star = stars[cell["start_x"]]
            distance = np.full(len(steps), star + 1)
            if cell["lower_step"] > 1e-6:
                random = np.random.default_rng([p, round(10 * star), int(cell["seed"])])
                fallen = 1.1 * (1 + steps) ** -power(p, star, cell["lower_step"])
                distance = np.where(steps > 0, fallen * random.uniform(0.5, 1.5, len(steps)), distance)
            return {"lower_error": distance, "lower_gap": distance ** (gap * (2 if star or p == 2 else p)) / p}

        problem = {"name": "hoelder", "exponent": float(p), "noise": 1.0, "start_y": -1.0}
        axes = {"problem.start_x": list(stars), "algorithm.lower_step": [1e-9, 0.3, 1.0], "seed": list(range(seeds))}
        algorithm = {"name": "epoch_sgd", "first_length": 5.0, "first_radius": 2.0}
        found.append(table(problem, algorithm, axes, metrics, range(len(steps)), steps, scale))
    return found


def regularity(
    solution: Callable[[str, int], float] = lambda of, p: 1 / (p - 1),
    gradient: Callable[[str, int], float] = lambda of, p: 1 / (p - 1) if of == "hoelder" else 1.0,
    bias: float = 1.0,
    remainder: float = 0.9,
    singular: float = 1.0,
    plain: float = 1e-9,
    distances: Sequence[float] = tuple(np.geomspace(1e-6, 1, 13)),
    scale: str = "paper",
) -> list[FakeRecord]:
    """Records of regularity: changes are powers of the distance, the remainder a share of what Eq. (9) allows."""
    found = []
    for of in ("hoelder", "example3"):
        for p in EXPONENTS:

            def metrics(cell: dict[str, float], of: str = of, p: int = p) -> Columns:
                r, power = cell["distance"], gradient(of, p)
                numbers = {
                    "solution_change": r ** solution(of, p),
                    "gradient_change": r**power,
                    "descent_remainder": remainder * r ** (1 + power) / (1 + power),
                    "estimator_bias": r**bias,
                    "generalised_least": singular,
                    "generalised_most": 1.0,
                    "hessian_least": plain if p > 2 else 1.0,
                    "contraction": 1 - singular,
                }
                return {name: np.array([value]) for name, value in numbers.items()}

            problem = {"name": "regularity", "of": of, "exponent": float(p), "dimension": 1}
            axes = {"seed": [0], "problem.distance": list(distances)}
            found.append(table(problem, {"name": "lower_only"}, axes, metrics, [0, 1], [0, 1], scale))
    return found


#: What runs that follow a schedule, and those off it in one point, reach as powers of ε, where all is as claimed.
AS_CLAIMED = {"none": 1.0, "β = 0": 0.5, "stale": -0.3, "one epoch": 0.7, "long step": 0.4}


def schedules(
    power: Callable[[int, str], float] = lambda p, twin: AS_CLAIMED[twin],
    exponents: Sequence[int] = (2, 4, 6),
    seeds: int = 6,
    spread: float = 0.02,
    calls: float = 1e4,
    lower_error: float = 0.05,
    falls: bool = True,
    scale: str = "paper",
    dimensions: Sequence[int] = (1, 4),
) -> list[FakeRecord]:
    """Records of schedules or schedules_paper: norms reached are powers of ε with a factor of the seed's own, whose
    logarithm has the standard deviation ``spread``; over so many oracle calls from the largest ε to the least."""
    found = []
    for d, p, twin, place in itertools.product(dimensions, exponents, ("none", *list(AS_CLAIMED)[2:]), range(5)):
        epsilon = 0.7 * calls ** (-place / 4 / (3 * p - 2))

        def metrics(cell: dict[str, float], p: int = p, twin: str = twin, epsilon: float = epsilon) -> Columns:
            own = "β = 0" if cell.get("momentum") == 0 else twin
            seed = int(cell["seed"])
            factor = np.exp(spread * np.random.default_rng([p, seed, round(1e6 * epsilon)]).normal())
            return {
                "hypergradient_norm_mean": np.array([2.0, 1.5 * factor * epsilon ** power(p, own)]),
                "value": np.array([1.0, 0.5 if falls else 1.0]),
                "lower_error": np.array([lower_error, lower_error]),
            }

        problem = {"name": "hoelder", "exponent": p, "dimension": d, "shape": "asymmetric", "noise": 1.0}
        algorithm = {"name": "unibio", "upper_step": epsilon ** (p + 1), "period": twin}
        axes = {"algorithm.momentum": [0.9, 0.0]} if twin == "none" else {}
        spent = round(100 * calls ** (place / 4))
        axes_of: dict[str, Sequence[float]] = {**axes, "seed": list(range(seeds))}
        paper = {"twin": twin, "epsilon": epsilon}
        found.append(table(problem, algorithm, axes_of, metrics, [0, spent], [0, spent], scale, paper=paper))
    return found


def schedules_step(
    reached: Callable[[float], float] = lambda q: 0.25 if q >= 4 else 0.5,
    seeds: int = 6,
    spread: float = 0.02,
    powers: Sequence[float] = (2, 3, 4, 5, 6),
    lower_error: float = 0.05,
    scale: str = "paper",
) -> list[FakeRecord]:
    """Records of schedules_step: what η ∝ ε^q reaches."""
    found = []
    for q in powers:

        def metrics(cell: dict[str, float], q: float = q) -> Columns:
            factor = np.exp(spread * np.random.default_rng([round(q), int(cell["seed"])]).normal())
            error = np.full(2, lower_error)
            mean = np.array([2.0, reached(q) * factor])
            return {"hypergradient_norm_mean": mean, "value": np.array([1.0, 0.5]), "lower_error": error}

        problem = {"name": "hoelder", "exponent": 3.0, "dimension": 4, "shape": "asymmetric", "noise": 1.0}
        algorithm = {"name": "unibio", "upper_step": 0.25**q}
        config = {"paper": {"power": q}, "schedule": {"name": "sharp", "epsilon": 0.25}}
        axes = {"seed": list(range(seeds))}
        found.append(table(problem, algorithm, axes, metrics, [0, 400_000], [0, 400_000], scale, **config))
    return found


def whole(scale: str = "paper", steps: int = 400) -> Makers:
    """Every experiment of these studies."""
    seeds = 40 if scale == "paper" else 1
    few = 6 if scale == "paper" else 1
    return {
        "schedules": lambda: schedules(seeds=few, scale=scale),
        "schedules_paper": lambda: schedules(exponents=(4, 6), seeds=few, scale=scale),
        "schedules_step": lambda: schedules_step(seeds=few, scale=scale),
        "algorithm1": lambda: algorithm1(seeds=seeds, scale=scale),
        "regularity": lambda: regularity(scale=scale),
    }
