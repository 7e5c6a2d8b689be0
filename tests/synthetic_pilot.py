"""Made-up records of what is measured of the pilot study, and of the slides' motivating problems."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

import synthetic
from unibio.studies import motivating as motivating_study
from unibio.studies.pl_conditions.measures import PARTS, PROBLEMS, REPRESENTATION, WELL


def conditions(
    power: Callable[[str, str], float] = lambda problem, part: 0.0,
    left: Callable[[str, str, int], float] = lambda problem, part, start: (
        0.6 * (problem == WELL and part != "lower" and start % 2)
    ),
    rate: Callable[[float], float] = lambda penalty: 0.02,
    starts: int = 4,
    steps: int = 2000,
    scale: str = "paper",
    penalties: Sequence[float] = (3.0, 10.0, 30.0),
    problems: Sequence[str] = tuple(PROBLEMS),
):
    """Records of pl_conditions.

    An excess falls like exp(−rate·t) to ``left``, and the ratio is a power of the falling part: where nothing is left
    and the power is 0, an inequality that holds. Gaps of representation learning fall alike.
    """
    found = []
    for problem, penalty in itertools.product(problems, penalties):
        settings = {"name": "pbgd", "update": "joint", "penalty": penalty, "steps": steps, "scale": scale}
        made = synthetic.record(2, {}, seeds=starts, **settings)
        made.config["problem"]["name"] = problem
        history, seed = made.history, made.history["seed"]
        falling = 10 * (1 + 0.1 * seed) * np.exp(-rate(penalty) * history["iteration"])
        for part in PARTS:
            rest = np.array([left(problem, part, int(s)) for s in seed])
            history[f"{part}_excess"] = falling + rest
            history[f"{part}_slope"] = np.sqrt(falling ** (1 + power(problem, part)))
        if problem == REPRESENTATION:
            history["upper_gap"], history["lower_gap"] = falling, 0.1 * falling
        found.append(made)
    return found


def weighted(
    value: Callable[[str, float, int], float] = lambda name, penalty, start: 1e-6 * (1 + 0.1 * start),
    upper: float = -1.0,
    lower: float = -2.0,
    auc: float = 0.97,
    starts: int = 6,
    scale: str = "paper",
    steps: Sequence[float] = (0.1, 1.0, 10.0),
):
    """Records of weighted_cleaning, whose gaps are powers of γ at an upper step of 1 and φ − φ* is larger elsewhere."""
    found = []
    for name in ("pbgd", "stocbio", "soba"):
        axes = {"upper_step": list(steps)} | ({"penalty": [10.0, 31.6, 100.0, 316.0, 1000.0]} if name == "pbgd" else {})
        update = {"update": "blockwise"} if name == "pbgd" else {}
        made = synthetic.record(2, axes, name=name, seeds=starts, steps=40, points=6, scale=scale, **update)
        history = made.history
        penalty = history.get("penalty", 1e6 + 0 * history["upper_step"])
        start, away = history["seed"], 0.1 * np.abs(np.log10(history["upper_step"]))
        reach = [value(name, p, int(s)) for p, s in zip(penalty, start, strict=True)]
        history["value_gap"] = away + reach
        history["upper_gap"] = -0.5 * (1 + 0.01 * start) * penalty**upper
        history["lower_gap"] = (1 + 0.01 * start) * penalty**lower
        history["cleaning_auc"] = auc
        found.append(made)
    return found


METHODS = ("pbgd", "f2ba", "stocbio", "soba")


def motivating(
    end: Callable[[str, str, int], float] = lambda problem, name, start: 1e-6,
    starts: int = 8,
    scale: str = "paper",
    steps: Sequence[float] = (0.1, 1.0, 10.0),
    problems: Sequence[str] = tuple(motivating_study.PROBLEMS),
):
    """Records of motivating: φ − min φ falls from about 1 to ``end(problem, method, start)`` at an upper step of 1."""
    found = []
    for problem, name in itertools.product(problems, METHODS):
        update = {"update": "blockwise"} if name == "pbgd" else {}
        axes = {"upper_step": list(steps)}
        made = synthetic.record(2, axes, name=name, seeds=starts, steps=400, points=20, scale=scale, **update)
        made.config["problem"]["name"] = problem
        history, start = made.history, made.history["seed"]
        reach = np.array([end(problem, name, int(s)) for s in start]) + 0.1 * np.abs(np.log10(history["upper_step"]))
        history["value_gap"] = reach + (1 + 0.01 * start) * np.exp(-0.1 * history["iteration"])
        found.append(made)
    return found


def whole(scale: str = "paper") -> synthetic.Makers:
    """Every experiment, small."""
    starts = 6 if scale == "paper" else 1
    return {
        "pl_conditions": lambda: conditions(scale=scale, starts=starts, steps=2000 if scale == "paper" else 120),
        "weighted_cleaning": lambda: weighted(scale=scale, starts=starts),
        "motivating": lambda: motivating(scale=scale, starts=starts),
    }
