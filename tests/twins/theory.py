"""Small runs of what the theory's studies rest on, intact and broken."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from twins.broken import exploding, fixed_lower, receding
from twins.methods import EXPONENTS, Records, job
from twins.running import run
from unibio.algorithms.epochs import EpochSGD
from unibio.core.schedules import Scheduled, scheduled

ALGORITHM1 = {
    "steps of zero": fixed_lower(EpochSGD),
    "wrong sign": receding(EpochSGD),
    "all diverged": exploding(EpochSGD),
}


@cache
def algorithm1(breaking: str) -> Records:
    """Records of algorithm1, short."""
    found = [
        run(
            {"name": "hoelder", "exponent": float(p), "noise": 1.0, "start_y": -1.0},
            {"name": "epoch_sgd", "first_radius": 2.0},
            {
                "seed": list(range(12)),
                "problem": {"start_x": [0.0, 0.5 ** (p - 1), 1.0]},
                "algorithm": {"lower_step": [0.3, 1.0]},
            },
            ALGORITHM1[breaking],
            steps=8 if p == 2 else 6,
            targets={},
        )
        for p in EXPONENTS
    ]
    return {"algorithm1": found}


#: How the runs that follow a schedule are broken, with those off it.
SCHEDULES = ("y never refreshed", "x never moves", "wrong sign")
#: Of the twins: what of the schedule's settings each of them leaves.
_OFF: dict[str, Callable[[Scheduled], dict[str, Any]]] = {
    "none": lambda s: {},
    "stale": lambda s: {"period": s.steps},
    "one epoch": lambda s: {"inner_budget": 5, "warm_budget": max(5, s.inner_budget)},
    "long step": lambda s: {"upper_step": 1 - s.momentum},
}
#: By p, accuracies over two decades of calls.
_EPSILONS = {2: (0.8, 0.5, 0.32, 0.2), 4: (0.8, 0.62, 0.48, 0.35), 6: (0.8, 0.66, 0.54, 0.44)}
_NOISE = {"noise": 1.0, "hessian_noise": 0.0625, "cross_noise": 0.25, "upper_noise": 2.0}


@cache
def schedules(breaking: str) -> Records:
    """Records of schedules, which stand for those of schedules_paper as well: at d = 4, short."""
    found = []
    for p, epsilons in _EPSILONS.items():
        for epsilon in epsilons:
            s = scheduled("sharp", epsilon=epsilon, exponent=float(p), gap=1.0, momentum=0.5)
            own = {"period": s.period, "inner_budget": max(5, s.inner_budget), "upper_step": s.upper_step}
            for twin, off in _OFF.items():
                momentum = [s.momentum, 0.0] if twin == "none" else [s.momentum]
                found.append(
                    job(
                        breaking,
                        {"name": "hoelder", "exponent": p, "shape": "asymmetric", "dimension": 4, **_NOISE},
                        {"name": "unibio", **own, **off(s)},
                        {"seed": list(range(3)), "algorithm": {"momentum": momentum}},
                        steps=s.steps,
                        log_points=10,
                        targets={},
                        paper={"twin": twin, "epsilon": epsilon},
                    )
                )
    return {"schedules": found, "schedules_paper": found}


#: How tracking's runs are broken. What never solves spends too few calls for a range; steps of zero spend them.
TRACKING = ("steps of zero", "x never moves", "wrong sign", "diverged", "NaN")
#: Of tracking's twins, as above.
_OFF_TRACK: dict[str, Callable[[Scheduled], dict[str, Any]]] = {
    "none": lambda s: {},
    "stale": _OFF["stale"],
    "one epoch": _OFF["one epoch"],
    "long period": lambda s: {"period": math.ceil(0.5 / s.upper_step)},
}
#: By p, accuracies over two decades of calls, c_y and c_η.
_TRACKED: dict[int, tuple[tuple[float, ...], float, float]] = {
    2: ((0.316, 0.21, 0.14, 0.093), 0.5, 16.0),
    4: ((0.502, 0.42, 0.35, 0.29), 1.0, 4.0),
    6: ((0.65, 0.58, 0.52, 0.46), 1.0, 4.0),
}


@cache
def tracking(breaking: str) -> Records:
    """Records of tracking, which stand for those of tracking_paper as well: at d = 4, short."""
    found, still = [], {"lower_step": 1e-9} if breaking == "steps of zero" else {}
    for p, (epsilons, lower, step) in _TRACKED.items():
        for epsilon in epsilons:
            s = scheduled("sharp", epsilon=epsilon, exponent=float(p), gap=1.0, lower=lower, step=step)
            own = {"period": s.period, "inner_budget": max(5, s.inner_budget), "upper_step": s.upper_step}
            problem = {"name": "tracked_hoelder", "exponent": p, "dimension": 4, "start_x": 0.5, "start_y": 0.0}
            found += [
                job(
                    "intact" if still else breaking,
                    {**problem, "shape": "asymmetric", **_NOISE, "accuracy": epsilon},
                    {"name": "unibio", "first_radius": 2.0, "momentum": s.momentum, **own, **off(s), **still},
                    {"seed": list(range(30))},
                    steps=s.steps,
                    log_points=10,
                    targets={"lower_margin": [-1.0, -3.0, -7.0]},
                    paper={"twin": twin, "epsilon": epsilon},
                )
                for twin, off in _OFF_TRACK.items()
            ]
    return {"tracking": found, "tracking_paper": found}


#: What each variant of ablation is without, and its settings.
_WITHOUT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "periods": {"period": 1},
    "momentum": {"momentum": 0.0},
    "balls": {"first_radius": 1e6},
    "averaging": {"name": "unibio_unaveraged"},
    "warm starts": {"name": "unibio_cold"},
    "the first solve": {"name": "unibio_unwarmed"},
}
_ABLATED: dict[str, dict[str, Any]] = {
    "ablation": {"name": "hoelder", "dimension": 4, "shape": "asymmetric", **_NOISE},
    "ablation_coordinatewise": {"name": "coordinatewise", "dimension": 4, "noise": 1.0, "upper_noise": 1.0},
    "ablation_lp": {"name": "lp_regression", "size_lower": 60, "size_upper": 40, "size_test": 10, "dimension": 3},
}


@cache
def ablation(breaking: str) -> Records:
    """Records of the three experiments of ablation, short."""
    found: Records = {}
    for experiment, problem in _ABLATED.items():
        regression = experiment == "ablation_lp"
        own: dict[str, Any] = {"floor": 1.0, "neumann_step": 0.1, "batch_size": 20} if regression else {}
        found[experiment] = [
            job(
                breaking,
                {**problem, "exponent": p},
                {"name": "unibio", "period": 4, "inner_budget": 20, **own, **without},
                {"seed": list(range(6)), "algorithm": {"upper_step": [0.03, 0.1, 0.3], "lower_step": [0.1, 0.3]}},
                steps=None,
                budget=400,
                log_points=5,
                targets={},
                paper={"without": part},
            )
            for p in (2, 4, 6)
            for part, without in _WITHOUT.items()
        ]
    return found


@cache
def steps(breaking: str) -> Records:
    """Records of schedules_step, short."""
    epsilon, p = 0.6, 3
    return {
        "schedules_step": [
            job(
                breaking,
                {"name": "hoelder", "exponent": p, "shape": "asymmetric", "dimension": 4, **_NOISE},
                {
                    "name": "unibio",
                    "upper_step": 0.5 * epsilon**q,
                    "momentum": 1 - 0.5 * epsilon**2,
                    "period": max(1, int(2 * epsilon ** (p - 1 - q))),
                    "inner_budget": 8,
                },
                {"seed": list(range(4))},
                steps=None,
                budget=1500,
                log_points=10,
                targets={},
                paper={"power": float(q)},
                schedule={"name": "sharp", "epsilon": epsilon},
            )
            for q in (2, 3, 4, 5, 6)
        ]
    }
