"""Small runs of what is measured of the pilot study and of the motivating problems, intact and broken."""

from __future__ import annotations

from functools import cache
from typing import Any

from twins.methods import Records, job

_BLOCKWISE = {"update": "blockwise", "lower_step": 0.9, "lower_iterations": 20, "penalised_iterations": 20}
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
        ({"name": "linear_cleaning_conditions"}, {**_BLOCKWISE, "upper_step": 3.0}, 300),
        ({"name": "weighted_cleaning_conditions", **_WIDE}, {**_BLOCKWISE, "upper_step": 30.0}, 300),
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
    settings: dict[str, dict[str, Any]] = {
        "pbgd": {**_BLOCKWISE, "upper_step": 30.0},
        "stocbio": {
            "lower_step": 0.9,
            "lower_iterations": 20,
            "neumann_terms": 20,
            "neumann_step": 0.9,
            "upper_step": 30.0,
        },
    }
    grids = {"pbgd": {"penalty": [31.6, 100.0, 316.0, 1000.0]}, "stocbio": {}}
    return {
        "weighted_cleaning": [
            job(
                breaking,
                {"name": "weighted_cleaning"},
                {"name": name, **own},
                {**_starts(6), "algorithm": grids[name]},
                steps=300,
                log_points=10,
            )
            for name, own in settings.items()
        ]
    }


@cache
def motivating(breaking: str = "intact") -> Records:
    """Records of motivating, by two methods."""
    settings: dict[str, dict[str, Any]] = {
        "pbgd": {"update": "blockwise", "penalty": 30.0, "lower_iterations": 20, "penalised_iterations": 20},
        "stocbio": {"lower_iterations": 20, "neumann_terms": 30, "neumann_step": 0.5},
    }
    steps = {"kernel_ridge": {"pbgd": 30.0, "stocbio": 3.0}, "power_attack": {"pbgd": 3.0, "stocbio": 0.3}}
    lower = {"kernel_ridge": 0.5, "power_attack": 0.03}
    starts: dict[str, dict[str, Any]] = {
        "kernel_ridge": {"start_smooth": [-2.0, 1.0], "start_rough": [-3.0, -1.0, 1.0]},
        "power_attack": {"start_seed": list(range(6))},
    }
    return {
        "motivating": [
            job(
                breaking,
                {"name": problem},
                {"name": name, "upper_step": steps[problem][name], "lower_step": lower[problem], **own},
                {"seed": [0], "problem": starts[problem]},
                steps=100,
                log_points=10,
            )
            for problem in steps
            for name, own in settings.items()
        ]
    }
