"""Small runs of what is measured of the pilot study and of the motivating problems, intact and broken."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import synthetic_pilot
from twins.methods import Records, job
from unibio.studies.pl_conditions.measures import REPRESENTATION

#: How the real runs are broken; all but the last finish with numbers that are finite.
BREAKINGS = ("x never moves", "wrong sign", "y never refreshed", "diverged")
_BLOCKWISE = {"update": "blockwise", "lower_step": 0.9, "lower_iterations": 20, "penalised_iterations": 20}
_FEW = {"lower_iterations": 5, "penalised_iterations": 5}
_WIDE = {"noise": 0.3, "bound": 3.0}


def _starts(count: int) -> dict[str, Any]:
    return {"seed": [0], "problem": {"start_seed": list(range(count))}}


@cache
def conditions(breaking: str = "intact") -> Records:
    """Records of pl_conditions, at one γ."""
    small = {"features": 8, "width": 20, "size_train": 4, "size_validation": 3}
    kinds: list[tuple[dict[str, Any], dict[str, Any], int]] = [
        (
            {"name": "representation_conditions", **small},
            {"update": "joint", "upper_step": 0.1, "lower_step": 0.2, "lower_iterations": 20},
            300,
        ),
        ({"name": "linear_cleaning_conditions", "bound": 1.0}, {**_BLOCKWISE, "upper_step": 300.0}, 300),
        ({"name": "weighted_cleaning_conditions", **_WIDE}, {**_BLOCKWISE, "upper_step": 1000.0}, 1000),
        (
            {"name": "double_well_conditions"},
            {"update": "joint", "upper_step": 0.5, "lower_step": 0.5, "lower_iterations": 10},
            600,
        ),
    ]
    return {
        "pl_conditions": [
            job(
                breaking,
                {**problem, "penalty": 10.0},
                {"name": "pbgd", "penalty": 10.0, **algorithm},
                _starts(8),
                steps=steps,
                log_points=80,
            )
            for problem, algorithm, steps in kinds
        ]
    }


@cache
def weighted(breaking: str = "intact") -> Records:
    """Records of weighted_cleaning."""
    own: list[dict[str, Any]] = [
        {"name": "pbgd", **_BLOCKWISE, **_FEW, "penalty": penalty, "upper_step": 300 * penalty}
        for penalty in (31.6, 100.0, 316.0, 1000.0)
    ]
    sums = {"neumann_terms": 20, "neumann_step": 0.9, "lower_iterations": 5}
    own.append({"name": "stocbio", "upper_step": 300.0, "lower_step": 0.9, **sums})
    return {
        "weighted_cleaning": [
            job(breaking, {"name": "weighted_cleaning"}, algorithm, _starts(6), steps=600, log_points=6)
            for algorithm in own
        ]
    }


@cache
def motivating(breaking: str = "intact") -> Records:
    """Records of motivating, by two methods."""
    settings: dict[str, dict[str, Any]] = {
        "pbgd": {"update": "blockwise", "penalty": 30.0, **_FEW},
        "stocbio": {"lower_iterations": 5, "neumann_terms": 20, "neumann_step": 0.5},
    }
    steps = {"kernel_ridge": {"pbgd": 300.0, "stocbio": 10.0}, "power_attack": {"pbgd": 3.0, "stocbio": 0.3}}
    lower = {"kernel_ridge": 0.5, "power_attack": 0.03}
    starts: dict[str, dict[str, Any]] = {
        "kernel_ridge": {"start_smooth": [-2.0, 1.0], "start_rough": [-3.0, -1.0, 1.0]},
        "power_attack": {"start_seed": list(range(5))},
    }
    return {
        "motivating": [
            job(
                breaking,
                {"name": problem},
                {"name": name, "upper_step": steps[problem][name], "lower_step": lower[problem], **own},
                {"seed": [0], "problem": starts[problem]},
                steps=150,
                log_points=10,
            )
            for problem in steps
            for name, own in settings.items()
        ]
    }


@cache
def power_law() -> Records:
    """Records of pl_conditions whose gaps fall like 1/t², at every γ a γ times as long way off."""
    found = synthetic_pilot.conditions(problems=(REPRESENTATION,), steps=70000)
    for one in found:
        t, penalty = one.history["iteration"], one.config["algorithm"]["penalty"]
        gap = (10 + one.history["seed"]) / (1 + t / np.sqrt(penalty)) ** 2
        one.history["upper_gap"] = one.history["lower_gap"] = gap
    return {"pl_conditions": found}
