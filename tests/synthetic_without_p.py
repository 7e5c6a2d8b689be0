"""Made-up records of the studies of what needs no p, by default ones on which every claim is as claimed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from synthetic import FakeRecord, Makers
from synthetic_theory import table

EXPONENTS = (2, 4, 6, 8)
ESTIMATORS = ("generalised", "classical", "cg", "cg_scaled", "pcg")
VANISHING, REGULAR = ("coordinatewise", "hoelder"), "lp_regression"
PRODUCTS = (1, 2, 4, 8, 16)
#: Of the curvature, where products are noisy.
VARIANCE = 0.0625


def left(problem: str, p: int, name: str) -> float:
    """What a product leaves of the error at the best step, where all is as claimed."""
    exact = name in ("generalised", "cg_scaled", "pcg") if problem in VANISHING else name == "pcg"
    if exact or (p == 2 and name != "classical"):
        return 1e-8
    slow = {"generalised": 0.999, "cg_scaled": 0.97} if problem == REGULAR and p > 2 else {}
    return slow.get(name, 0.2 if name == "cg" else 0.5)


def too_long(name: str) -> float:
    """The bias of v with noisy products, where all is as claimed."""
    return 1.1 * VARIANCE if name in ("cg", "cg_scaled", "pcg") else 0.0


def estimators(
    left: Callable[[str, int, str], float] = left,
    excess: Callable[[str], float] = too_long,
    spread: float = 0.003,
    points: int = 10,
    steps: Sequence[float] = (0.1, 1.0, 10.0),
    scale: str = "paper",
    exponents: Sequence[int] = EXPONENTS,
    problems: Sequence[str] = (*VANISHING, REGULAR),
    network: bool = False,
) -> list[FakeRecord]:
    """Records of estimators: errors are powers of what a product leaves, larger off c = 1; biases are known to
    ``spread`` at a point."""
    found = []
    for problem in problems:
        for p in exponents:
            for noise in (False, True):
                for name in ESTIMATORS:
                    found.append(_one(problem, p, noise, name, left(problem, p, name), excess(name), spread, points,
                                      steps, scale, network))  # fmt: skip
    return found


def _one(
    problem: str, p: int, noise: bool, name: str, left: float, excess: float, spread: float, points: int,
    steps: Sequence[float], scale: str, network: bool,
) -> FakeRecord:  # fmt: skip
    own = list(steps) if name in ("generalised", "classical") else [1.0]
    sampled = {"batch_size": 20} if noise and problem not in VANISHING else {"batch_size": None}
    config = {
        "name": problem,
        "exponent": p,
        "dimension": 3,
        "hessian_noise": VARIANCE * (noise and not sampled["batch_size"]),
    }
    axes = {"algorithm.neumann_step": own, "seed": list(range(points))}
    made = table(
        config, {"name": "linear_system", "estimator": name, **sampled}, axes, lambda cell: {}, [0, 1], [0, 1], scale
    )
    runs = made.runs.copy()
    runs["convex"] = 0.0 if network else 1.0
    random = np.random.default_rng([EXPONENTS.index(p) if p in EXPONENTS else 9, ESTIMATORS.index(name), int(noise)])
    for b in PRODUCTS:
        spent = b - 1 if name == "pcg" else b
        off = np.where(runs["neumann_step"] == 1, 1.0, np.where(runs["neumann_step"] < 1, 1.5, 1e6**b))
        error = left**spent * off * np.exp(0.1 * random.normal(size=len(runs)))
        runs[f"error_{b}"] = np.maximum(error, 0.3) if noise else error
        runs[f"excess_{b}"] = (excess if noise else 0.0) + spread * random.normal(size=len(runs))
    return dataclasses.replace(made, runs=runs)


def whole(scale: str = "paper") -> Makers:
    """Every experiment of these studies."""
    points = 10 if scale == "paper" else 1
    return {
        "estimators": lambda: estimators(points=points, scale=scale),
        "estimators_network": lambda: estimators(
            points=min(points, 2), scale=scale, exponents=(2, 3), problems=("nli_cleaning",), network=True
        ),
    }
