"""Runs of the studies of p on the Hölder problem and of tuned complexities, intact and broken, small."""

from __future__ import annotations

from functools import cache
from typing import Any

from synthetic_complexity import PLACES
from twins.methods import EXPONENTS, Records, job


@cache
def figures(breaking: str = "intact") -> Records:
    """Records of hoelder_figures, at one noise level."""
    return {
        "hoelder_figures": [
            job(
                breaking,
                {
                    "name": "hoelder",
                    "exponent": p,
                    "shape": "asymmetric",
                    "dimension": 4,
                    "noise": 1.0,
                    "upper_noise": 1.0,
                },
                {"name": "unibio", "inner_budget": 20, "period": 4},
                {"seed": list(range(6)), "algorithm": {"upper_step": [0.03, 0.1]}},
                steps=160,
            )
            for p in EXPONENTS
        ]
    }


@cache
def rates(breaking: str = "intact") -> Records:
    """Records of rates_strongly_convex."""
    neumann = {"neumann_terms": 4, "neumann_step": 4 / 3}
    settings: dict[str, dict[str, Any]] = {
        "unibio": {"period": 15, "inner_budget": 15, "first_radius": 4.0, **neumann},
        "stocbio": {"lower_iterations": 3, **neumann},
        "ttsa": neumann,
        "ma_soba": {},
        "sustain": neumann,
    }
    return {
        "rates_strongly_convex": [
            job(
                breaking,
                {"name": "noisy_quadratic", "condition": 2.0, "noise": 1.0, "upper_noise": 1.0},
                {"name": name, **own},
                {"seed": list(range(4)), "algorithm": {"upper_step": [0.01, 0.1], "lower_step": [0.1, 0.3]}},
                steps=None,
                budget=10_000,
            )
            for name, own in settings.items()
        ]
    }


@cache
def tuned(breaking: str = "intact") -> Records:
    """Records of tuned_complexity."""
    own: dict[str, Any] = {"name": "unibio", "period": 5, "inner_budget": 5}
    return {
        "tuned_complexity": [
            job(
                breaking,
                {**place, "exponent": p, "noise": 1.0},
                own,
                {"seed": list(range(4)), "algorithm": {"upper_step": [0.03, 0.1], "momentum": [0.0, 0.9]}},
                steps=None,
                budget=1000,
            )
            for place in PLACES.values()
            for p in (2, 4, 6)
        ]
    }


@cache
def inner(breaking: str = "intact", lower_step: float = 1.0) -> Records:
    """Records of inner_iterations, short."""
    problem = {"name": "hoelder", "noise": 1.0, "start_y": -1.0}
    return {
        "inner_iterations": [
            job(
                breaking,
                {**problem, "exponent": p},
                {"name": "epoch_sgd", "first_radius": 2.0},
                {
                    "seed": list(range(6)),
                    "problem": {"start_x": [0.0, 1.0]},
                    "algorithm": {"lower_step": [lower_step / 3, lower_step]},
                },
                steps=6,
                log_points=20,
            )
            for p in EXPONENTS
        ]
    }
