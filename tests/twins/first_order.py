"""Runs of F²SA and the proximal methods that are followed by more than x and y, and on the lower-bound construction."""

from __future__ import annotations

from functools import cache
from typing import Any

from synthetic import FakeRecord
from twins.methods import Records, job

CASES = {"exact": (0.0, 0.0), "upper": (0.0, 0.1), "both": (0.1, 0.1)}


@cache
def lyapunov(breaking: str = "intact", longer: float = 1.0, apart: float = 1.0) -> Records:
    """Records of lyapunov, short.

    Args:
        breaking: of F²SA.
        longer: factor of the steps of x.
        apart: how far y and z start from y*.
    """
    found = []
    for case, (noise, upper_noise) in CASES.items():
        for condition in (1.0, 4.0):
            step = 0.02 / condition
            exact = case == "exact"
            problem = {"name": "followed_wells", "condition": condition, "start_scale": 1.0, "distance": apart}
            algorithm = {
                "name": "f2sa_followed",
                "schedule": case,
                "upper_step": longer * step,
                "penalised_step": step,
                "lower_step": 0.8,
                "penalty": 20 * condition,
                "lower_iterations": int(condition),
            }
            found.append(
                job(
                    breaking,
                    problem | {"noise": noise, "upper_noise": 3 * upper_noise},
                    algorithm,
                    {"seed": [0], "problem": {"start_seed": [0, 1, 2, 3]}} if exact else {"seed": list(range(12))},
                    steps=240 if exact else 256,
                    log_points=241 if exact else 30,
                )
            )
    return {"lyapunov": found}


_METHODS: dict[str, dict[str, Any]] = {
    "f2sa": {"upper_step": 0.0125, "penalised_step": 0.01875},
    "proximal": {"upper_step": 0.2},
    "proximal_momentum": {"upper_step": 0.2},
}
_PROBLEMS: dict[str, dict[str, Any]] = {
    "point": {"name": "followed_pl_nonconvex", "bend": 0.5, "condition": 1.0},
    "manifold": {"name": "followed_pl_nonconvex", "bend": 0.5, "condition": 1.0, "dimension_y": 5},
    "wells": {"name": "followed_wells", "start_scale": 1.0},
}


@cache
def stationarity(breaking: str = "intact") -> Records:
    """Records of stationarity, short."""
    return {
        "stationarity": [
            job(
                breaking,
                {**problem, "noise": noise, "upper_noise": upper_noise},
                {"name": f"{method}_followed", "schedule": case, "lower_step": 0.3, "penalty": 16.0, **own},
                {"seed": list(range(3))},
                steps=None,
                budget=1500,
                log_points=24,
                paper={"level": on},
            )
            for method, own in _METHODS.items()
            for on, problem in _PROBLEMS.items()
            for case, (noise, upper_noise) in CASES.items()
        ]
    }


def vanishing() -> Records:
    """Records of stationarity in which the residual of y is σ times what it is."""

    def changed(one: FakeRecord) -> FakeRecord:
        smaller = one.history["residual_y"] / one.history["weight"]
        return FakeRecord(one.name, one.config, one.summary, one.history.assign(residual_y=smaller), one.runs)

    return {name: [changed(one) for one in found] for name, found in stationarity().items()}


#: kind -> power of 1/ε, factor of the steps, and what differs.
_KINDS: dict[str, tuple[int, float, dict[str, Any], dict[str, Any]]] = {
    "informed_fresh": (6, 12.5, {}, {"difference_samples": "fresh", "lower_step": 1.0}),
    "informed_shared": (4, 4.0, {}, {"difference_samples": "shared", "lower_step": 1.0}),
    "own_fresh": (6, 12.5, {"target_noise": 0.2}, {"difference_samples": "fresh", "lower_step": 0.5}),
}


@cache
def lower_calls(breaking: str = "intact", accuracies: tuple[float, ...] = (0.35, 0.3, 0.25, 0.21)) -> Records:
    """Records of lower_bound_calls, at large ε."""
    found = []
    for kind, (power, factor, problem, algorithm) in _KINDS.items():
        for epsilon in accuracies:
            middle = factor * epsilon ** (power - 2)
            found.append(
                job(
                    breaking,
                    {"name": "known_target", "noise": 0.2, "cross_noise": 0.5, **problem},
                    {"name": "f2ba", "lower_iterations": 1, "penalty": 1 / epsilon, **algorithm},
                    {"seed": list(range(30)), "algorithm": {"upper_step": [middle * f for f in (0.1, 0.3, 1.0, 3.0)]}},
                    steps=int(0.25 * epsilon**-6 if power == 6 else epsilon**-4),
                    log_points=50,
                    paper={"kind": kind, "epsilon": epsilon},
                )
            )
    return {"lower_bound_calls": found}
