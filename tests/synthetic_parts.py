"""Made-up records of tracking and ablation, by default ones on which every claim is as claimed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from synthetic import FakeRecord, Makers
from synthetic_complexity import made
from synthetic_theory import table
from unibio.store import records
from unibio.studies.ablation.measures import EXPONENTS, PARTS, PROBLEMS, WHOLE

#: Levels of ‖y − y*‖/ε that runs are asked about.
LEVELS = tuple(float(2 ** (k / 4)) for k in range(13))
TWINS = ("none", "stale", "one epoch", "long period")


def largest(p: int, twin: str, fallen: float) -> float:
    """Of ‖y − y*‖/ε, where ε has fallen by that factor: 2.5 under the schedule, growing off it."""
    return 2.5 if twin == "none" else 2.5 * fallen**-3


def tracking(
    most: Callable[[int, str, float], float] = largest,
    power: Callable[[int, str], float] = lambda p, twin: 1.0 if twin == "none" else 0.2,
    exponents: Sequence[int] = (2, 4, 6),
    dimensions: Sequence[int] = (1, 4),
    seeds: int = 40,
    spread: float = 0.05,
    places: int = 5,
    calls: float = 1e4,
    lower_error: float = 0.05,
    falls: bool = True,
    scale: str = "paper",
) -> list[FakeRecord]:
    """Records of tracking or tracking_paper: the largest error over ε, and a mean bias that is a power of ε."""
    found = []
    for d, p, twin, place in itertools.product(dimensions, exponents, TWINS, range(places)):
        fallen = calls ** (-place / max(1, places - 1) / (3 * p - 2))
        epsilon = 0.5 * fallen

        factor = np.exp(
            [spread * np.random.default_rng([p, seed, round(1e6 * epsilon)]).normal() for seed in range(seeds)]
        )
        metrics = {
            "hypergradient_norm_mean": (1.0, epsilon),
            "hypergradient_bias_mean": (1.0, 0.5 * factor * epsilon ** power(p, twin)),
            "lower_margin_mean": (0.0, 0.1),
            "value": (1.0, 0.5 if falls else 1.0),
            "lower_error": (lower_error, lower_error),
        }
        problem = {"name": "tracked_hoelder", "exponent": p, "dimension": d, "noise": 1.0, "accuracy": epsilon}
        steps, spent = round(10 / fallen ** (p + 2)), round(100 / fallen ** (3 * p - 2))
        one = table(
            problem,
            {"name": "unibio", "inner_budget": place + 5, "period": twin},
            {"seed": [0]},
            lambda cell: {},
            [0, steps],
            [0, spent],
            scale,
            paper={"twin": twin, "epsilon": epsilon},
        )
        one.config["grid"]["seed"] = list(range(seeds))
        runs = pd.concat([one.runs] * seeds, ignore_index=True).assign(seed=range(seeds))
        history = pd.concat([one.history] * seeds, ignore_index=True)
        history["run"] = history["seed"] = np.repeat(np.arange(seeds), 2)
        for name, (first, last) in metrics.items():
            history[name] = np.stack([np.full(seeds, first), np.broadcast_to(last, seeds)], axis=1).ravel()
        reached = most(p, twin, fallen) * factor
        for level in LEVELS:
            runs[f"iterations_to lower_margin<{1 - level:g}"] = np.where(reached > level, 1.0, np.nan)
        found.append(dataclasses.replace(one, name=records.record_name(one.config), history=history, runs=runs))
    return found


def ablation(
    factor: Callable[[str, str, int], float] = lambda experiment, part, p: 1.0 if part == WHOLE else 1.3,
    seeds: int = 12,
    spread: float = 0.001,
    best: float = 0.1,
    scale: str = "paper",
    lower_error: float = 0.05,
    falls: bool = True,
    budgets: Callable[[str], Sequence[int]] = lambda part: (20,),
) -> dict[str, list[FakeRecord]]:
    """Records of the three experiments of ablation: what every variant reaches, by factors of what the whole does."""
    found: dict[str, list[FakeRecord]] = {name: [] for name in PROBLEMS}
    for name, p, (i, part) in itertools.product(PROBLEMS, EXPONENTS, enumerate((WHOLE, *PARTS))):
        for inner in budgets(part):

            def law(
                cell: Mapping[str, float], seed: int, t: np.ndarray, level: float = factor(name, part, p), i: int = i
            ) -> np.ndarray:
                off = np.log(cell["upper_step"] / best) ** 2 + abs(np.log(cell["lower_step"]))
                own = np.exp(spread * np.random.default_rng([i, seed]).normal())
                return level * (1 + 0.05 * off) * own * t**-0.2

            one = made(
                {"name": name, "exponent": p, "dimension": 4},
                {"name": "unibio", "inner_budget": inner, "period": part},
                {"upper_step": [0.03, 0.1, 0.3], "lower_step": [0.1, 1.0]},
                law,
                seeds=seeds,
                steps=2000,
                budget=10_000,
                points=12,
                lower_error=lower_error,
                scale=scale,
                value=law if falls else lambda cell, seed, t: np.ones(len(t)),
            )
            config = one.config | {"paper": {"without": part}}
            found[name].append(dataclasses.replace(one, name=records.record_name(config), config=config))
    return found


def whole(scale: str = "paper") -> Makers:
    """Every experiment of these studies."""
    few, choosing = (40, 8) if scale == "paper" else (1, 1)

    def one(name: str) -> Callable[[], list[FakeRecord]]:
        return lambda: ablation(seeds=choosing, scale=scale)[name]

    return {
        "tracking": lambda: tracking(seeds=few, scale=scale),
        "tracking_paper": lambda: tracking(seeds=few, scale=scale, exponents=(4, 6), dimensions=(4,)),
        **{name: one(name) for name in PROBLEMS},
    }
