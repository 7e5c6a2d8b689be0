"""Small runs of what the theory's studies rest on, intact and broken."""

from __future__ import annotations

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
