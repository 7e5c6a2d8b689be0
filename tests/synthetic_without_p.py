"""Made-up records of the studies of what needs no p, by default ones on which every claim is as claimed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

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


@lru_cache(maxsize=32)  # nobody writes into them
def unknown(
    factor: Callable[[str, str], float] = lambda problem, method: {"told": 8.0, "ma_soba": 3.0}.get(method, 1.2),
    problems: Sequence[str] = ("example3", "coordinatewise"),
    exponents: Sequence[int] = (4, 8),
    seeds: int = 20,
    budget: int = 100_000,
    scale: str = "paper",
    methods: Sequence[str] = ("adaptive", "known", "windows", "told", "ma_soba", "bo_rep"),
    told_steps: Sequence[float] = (0.1, 0.3, 1.0),
    flat: bool = False,
) -> list[FakeRecord]:
    """Records of unknown_exponent: the metric of a method is (100 · factor/calls)^½ at the best of three steps, the
    fair baseline's factor 1 and that of a wrong p "told", which has ``told_steps``; ``flat``: it falls from 1 to 1."""
    names = {"adaptive": "unibio_adaptive", "known": "unibio", "windows": "unibio_windows", "told": "unibio_windows"}
    calls = np.unique(np.geomspace(10, budget, 60).round().astype(int))
    found = []
    for problem, p, method in itertools.product(problems, exponents, methods):
        for told in (2.0, 4.0) if method == "told" else (None,):
            wrong = method == "told" and told != p
            own = 1.0 if method == "windows" or (method == "told" and not wrong) else factor(problem, method)
            metric = {"lp_regression": "value", "corrupted_labels": "upper_loss"}.get(problem, "hypergradient_norm")

            def metrics(cell: dict[str, float], own: float = own, metric: str = metric) -> dict[str, np.ndarray]:
                random = np.random.default_rng(int(cell["seed"]))
                step = 1.0 if cell.get("lower_step", 0.3) == 0.3 else 4.0
                fallen = np.ones(len(calls)) if flat else 100 * own * step * np.exp(0.05 * random.normal()) / calls
                return {metric: np.sqrt(fallen)}

            tried = list(told_steps) if method == "told" else [0.1, 0.3, 1.0]
            steps = {} if method == "adaptive" else {"algorithm.lower_step": tried}
            config = {"name": names.get(method, method), **({} if told is None else {"assumed_exponent": told})}
            sized = {"dimension": 4, "shape": "asymmetric"} if problem == "hoelder" else {}
            made = table(
                {"name": problem, "exponent": p, "noise": 1.0, **sized},
                config,
                {**steps, "seed": list(range(seeds))},
                metrics,
                list(range(len(calls))),
                [0, *calls[1:]] if flat else list(calls),
                scale,
                budget=budget,
                paper={"method": method, "parts": [0.1, 0.5]},
            )
            found.append(made)
    return found


def wrong_but_cheap(problem: str, method: str) -> float:
    """A wrong p gets there with half of the calls."""
    return {"told": 0.5}.get(method, 1.2)


def slow_held_out(problem: str, method: str) -> float:
    """UniBiO without p takes five times the calls where no constant was chosen."""
    return 5.0 if method == "adaptive" and problem in ("lp_regression", "corrupted_labels") else 1.2


def unknown_everywhere(
    factor: Callable[[str, str], float] | None = None, flat: bool = False
) -> dict[str, list[FakeRecord]]:
    """Records of all experiments of the study, a few cells of each; ``factor`` and ``flat`` as of :func:`unknown`."""
    given: dict[str, Any] = {"flat": flat} if factor is None else {"factor": factor, "flat": flat}
    cells = {"": (("example3",), (4,)), "_hoelder": (("hoelder",), (2,)), "_lp": (("lp_regression",), (3,))}
    cells["_labels"] = (("corrupted_labels",), (2,))
    return {
        f"unknown_exponent{name}": unknown(problems=problems, exponents=exponents, **given)
        for name, (problems, exponents) in cells.items()
    }


def parts(
    factor: Callable[[str], float] = lambda part: {"none": 1.2, "uncut": 1.2, "fixed_upper": 4.0}.get(part, 1e4),
    seeds: int = 20,
    scale: str = "paper",
    names: Sequence[str] = ("uncut", "none", "fixed_upper", "one_step"),
    exponents: Sequence[int] = (4, 8),
) -> list[FakeRecord]:
    """Records of unknown_exponent_parts, whose metric is as of :func:`unknown`: a part costs ``factor`` in calls."""
    calls = np.unique(np.geomspace(10, 30_000, 60).round().astype(int))
    found = []
    for p, part in itertools.product(exponents, names):

        def metrics(cell: dict[str, float], part: str = part) -> dict[str, np.ndarray]:
            random = np.random.default_rng(int(cell["seed"]))
            return {"hypergradient_norm": np.sqrt(100 * factor(part) * np.exp(0.05 * random.normal()) / calls)}

        made = table(
            {"name": "example3", "exponent": p, "noise": 1.0},
            {"name": "unibio_adaptive", "lower_iterations": 1 if part == "one_step" else 8, "longest": len(part)},
            {"seed": list(range(seeds))},
            metrics,
            list(range(len(calls))),
            list(calls),
            scale,
            budget=30_000,
            paper={"part": part},
        )
        found.append(made)
    return found


def whole(scale: str = "paper") -> Makers:
    """Every experiment of these studies."""
    points = 10 if scale == "paper" else 1
    return {
        "estimators": lambda: estimators(points=points, scale=scale),
        "estimators_network": lambda: estimators(
            points=min(points, 2), scale=scale, exponents=(2, 3), problems=("nli_cleaning",), network=True
        ),
        "unknown_exponent": lambda: unknown(seeds=20 if scale == "paper" else 1, scale=scale),
        "unknown_exponent_hoelder": lambda: unknown(
            problems=("hoelder",), exponents=(2, 4, 6), seeds=20 if scale == "paper" else 1, scale=scale
        ),
        "unknown_exponent_lp": lambda: unknown(
            problems=("lp_regression",), exponents=(2, 3, 4, 6), seeds=20 if scale == "paper" else 1, scale=scale
        ),
        "unknown_exponent_labels": lambda: unknown(
            problems=("corrupted_labels",), exponents=(2,), seeds=20 if scale == "paper" else 1, scale=scale
        ),
        "unknown_exponent_parts": lambda: parts(seeds=20 if scale == "paper" else 1, scale=scale),
    }
