"""Runs of every other method, intact and broken: small versions of the experiments that compare them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from synthetic import FakeRecord
from twins.broken import NeverRefreshed, WrongSign, climbing, exploding, fixed_lower, motionless, undefined
from twins.running import run
from unibio.core.algorithm import Algorithm
from unibio.registry import algorithm_class
from unibio.studies.discrepancies import PUBLISHED
from unibio.studies.landscape import CONDITIONS
from unibio.studies.landscape import EXPONENTS as STRICTLY
from unibio.studies.nondegeneracy.measures import PLACES

EXPONENTS = (2, 4, 6, 8)
Records = dict[str, list[FakeRecord]]

#: What is run in a method's place.
BREAKINGS: dict[str, Callable[[type[Algorithm]], type[Algorithm] | None]] = {
    "intact": lambda cls: None,
    "wrong sign": lambda cls: WrongSign if cls.name == "unibio" else climbing(cls),
    "y never refreshed": lambda cls: NeverRefreshed if cls.name == "unibio" else fixed_lower(cls),
    "diverged": exploding,
    "NaN": undefined,
    "x never moves": motionless,
}


def job(breaking: str, problem: Mapping[str, Any], algorithm: Mapping[str, Any], grid: Any, **more: Any) -> FakeRecord:
    """A run of an algorithm by name, broken in some way."""
    return run(problem, algorithm, grid, BREAKINGS[breaking](algorithm_class(str(algorithm["name"]))), **more)


# Appendix E.1 --------------------------------------------------------------------------------------------------------

UPPER, LOWER = [0.01, 0.03, 0.1, 0.3], [1e-8, 0.1, 1.0]
E1 = ("unibio", "stocbio", "ttsa", "ma_soba", "bo_rep")


@cache
def _e1(method: str, p: int, breaking: str) -> FakeRecord:
    neumann = {"neumann_terms": 3, "neumann_step": 1 / (p - 1)}
    settings: dict[str, dict[str, Any]] = {
        "unibio": {"neumann_terms": 3, "inner_budget": 60},
        "stocbio": {**neumann, "lower_iterations": 10},
        "ttsa": {**neumann, "upper_decay": 0.0, "lower_decay": 0.0},
        "ma_soba": {"auxiliary_step": 1 / (p - 1)},
        "bo_rep": {"auxiliary_step": 1 / (p - 1), "lower_iterations": 10, "warm_budget": 60},
    }
    return job(
        breaking,
        {"name": "example3", "exponent": p},
        {"name": method, **settings[method]},
        {"seed": [0], "algorithm": {"upper_step": UPPER, "lower_step": LOWER}},
        steps=120,
    )


def e1(own: str = "intact", others: str = "intact", twin: str | None = None) -> Records:
    """Records of e1, which stand for those with noise and in more dimensions as well.

    Args:
        own, others, twin: how UniBiO, the other methods and of these BO-REP are broken.
    """
    how = dict.fromkeys(E1, others) | {"unibio": own} | ({"bo_rep": twin} if twin else {})
    found = [_e1(method, p, how[method]) for p in EXPONENTS for method in E1]
    return dict.fromkeys(("e1", "e1_noise", "e1_noise_lower", "e1_coordinatewise"), found)


# First-order methods -------------------------------------------------------------------------------------------------

ACROSS = {
    "f2sa": {"schedule": "exact", "penalised_step": 0.03},
    "f2ba": {"lower_iterations": 5},
    "proximal": {"schedule": "exact", "lower_iterations": 5},
    "proximal_momentum": {"schedule": "exact"},
    "bome": {"lower_iterations": 5},
    "pbgd joint": {"update": "joint", "lower_iterations": 5},
    "pbgd blockwise": {"update": "blockwise", "lower_iterations": 5, "penalised_iterations": 5},
}


@cache
def _across(method: str, p: int, breaking: str) -> FakeRecord:
    name, axes = method.split()[0], {"upper_step": [0.03, 0.1, 0.3, 1.0], "lower_step": [0.1, 1.0]}
    penalties = {} if name == "bome" else {"penalty": [3.0, 10.0]}
    return job(
        breaking,
        {"name": "example3", "exponent": p},
        {"name": name, **ACROSS[method]},
        {"algorithm": axes | penalties},
        steps=None,
        budget=3000,
        log_points=80,
    )


def across(breaking: str = "intact") -> Records:
    """Records of first_order_example3."""
    return {"first_order_example3": [_across(name, p, breaking) for p in EXPONENTS for name in ACROSS]}


@cache
def nasty(breaking: str = "intact", starts: tuple[float, ...] = (-0.5, -0.01, 0.0, 0.01, 0.5)) -> Records:
    """Records of nasty."""
    settings: dict[str, dict[str, Any]] = {
        "pbgd": {"update": "joint", "upper_step": 0.1, "lower_step": 0.5, "lower_iterations": 10},
        "stocbio": {"upper_step": 0.02, "lower_step": 0.5, "neumann_terms": 5, "neumann_step": 0.5},
    }
    grids = {"pbgd": {"penalty": [2.0, 10.0]}, "stocbio": {}}
    return {
        "nasty": [
            job(
                breaking if name == "pbgd" else "intact",
                {"name": "nasty"},
                {"name": name, **own},
                {"seed": [0], "problem": {"start_x": list(starts)}, "algorithm": grids[name]},
                steps=600,
            )
            for name, own in settings.items()
        ]
    }


@cache
def optimality(breaking: str = "intact", rivals: str | None = None, starts: int = 6) -> Records:
    """Records of global_optimality; ``rivals`` breaks StocBiO otherwise than PBGD."""
    sized = {"features": 8, "width": 20, "size_train": 4, "size_validation": 3}
    close = {"lower_step": 0.2, "lower_iterations": 20}
    blockwise = {"update": "blockwise", "upper_step": 0.3, "lower_step": 0.3, "lower_iterations": 5}
    kinds: list[tuple[dict[str, Any], dict[str, Any], list[float]]] = [
        ({"name": "representation", **sized}, {"name": "pbgd", "update": "joint", "upper_step": 0.1} | close, [3.0]),
        ({"name": "linear_cleaning"}, {"name": "pbgd", "penalised_iterations": 20} | blockwise, [31.6, 100.0, 316.0]),
        ({"name": "linear_cleaning"}, {"name": "stocbio", "upper_step": 1.0, "neumann_step": 0.3} | _INNER, []),
        ({"name": "double_well"}, {"name": "pbgd", "update": "joint", "upper_step": 0.5, "lower_step": 0.5}, [10.0]),
        ({"name": "double_well"}, {"name": "stocbio", "upper_step": 0.05, "lower_step": 0.5, "neumann_terms": 1}, []),
    ]
    return {
        "global_optimality": [
            job(
                (rivals or breaking) if algorithm["name"] == "stocbio" else breaking,
                problem,
                algorithm,
                {
                    "seed": [0],
                    "problem": {"start_seed": list(range(starts))},
                    "algorithm": {"penalty": penalties} if penalties else {},
                },
                steps=300,
            )
            for problem, algorithm, penalties in kinds
        ]
    }


_INNER = {"lower_step": 0.3, "lower_iterations": 20, "neumann_terms": 20}


# Penalties -----------------------------------------------------------------------------------------------------------

CASES = {"exact": (0.0, 0.0), "upper": (0.0, 1.0), "both": (1.0, 1.0)}


@cache
def rates(breaking: str = "intact", seeds: int = 5) -> Records:
    """Records of penalty_rates, penalty_rates_fixed and proximal_rates."""
    scheduled, fixed, proximal = [], [], []
    for case, (noise, upper_noise) in CASES.items():
        problem = {"name": "noisy_quadratic", "condition": 2.0, "noise": noise, "upper_noise": upper_noise}
        grid = {"seed": list(range(seeds))}
        for name in ("f2sa", "f3sa"):
            steps = {"upper_step": 0.5, "lower_step": 0.5, "penalised_step": 0.4, "penalty": 1.0}
            algorithm = {"name": name, "schedule": case, **steps}
            scheduled.append(job(breaking, problem, algorithm, grid, steps=400, log_points=60))
        powers = {"exact": (0.5, 0.0, 0.3), "upper": (0.25, -0.5, 1.0), "both": (1 / 6, -2 / 3, 1.0)}[case]
        for horizon in (50, 100, 200, 400):
            algorithm = {"name": "f2ba", "lower_step": 0.5, "lower_iterations": 2}
            algorithm |= {"penalty": 2 * horizon ** powers[0], "upper_step": powers[2] * horizon ** powers[1]}
            paper = {"case": case, "horizon": horizon}
            fixed.append(job(breaking, problem, algorithm, grid, steps=horizon, log_points=5, paper=paper))
        problem = {"name": "pl_nonconvex", "noise": 0.3 * noise, "upper_noise": 0.3 * upper_noise}
        for name in ("proximal", "proximal_momentum"):
            algorithm = {"name": name, "schedule": case, "upper_step": 1.0, "lower_step": 0.3, "penalty": 1.0}
            proximal.append(job(breaking, problem, algorithm, grid, steps=None, budget=4000, log_points=60))
    return {"penalty_rates": scheduled, "penalty_rates_fixed": fixed, "proximal_rates": proximal}


@cache
def lower_bound(breaking: str = "intact", steps: int = 300, seeds: int = 5) -> Records:
    """Records of lower_bound."""
    settings: dict[str, dict[str, Any]] = {
        "fresh": {"name": "f2ba", "difference_samples": "fresh"},
        "shared": {"name": "f2ba", "difference_samples": "shared"},
        "stocbio": {"name": "stocbio", "neumann_terms": 1, "neumann_step": 1.0},
    }
    penalties = {"penalty": [1.0, 2.0, 4.0, 8.0]}
    return {
        "lower_bound": [
            job(
                breaking,
                {"name": "lower_bound", "dimension": 4, "noise": 1.0},
                {"upper_step": 2e-3, "lower_step": 0.5, "lower_iterations": 2, **own},
                {"seed": list(range(seeds)), "algorithm": {} if kind == "stocbio" else penalties},
                steps=steps,
            )
            for kind, own in settings.items()
        ]
    }


@cache
def accuracy(largest: float = 1e5) -> Records:
    """Records of penalty_accuracy, of which nothing is optimised."""
    penalties = [float(v) for v in np.geomspace(1, largest, 11)]
    return {
        "penalty_accuracy": [
            job(
                "intact",
                {"name": "penalised_quadratic", "condition": condition, "data_seed": seed},
                {"name": "lower_only"},
                {"seed": [0], "problem": {"penalty": penalties}},
                steps=1,
                log_points=2,
            )
            for condition in (2.0, 10.0, 50.0)
            for seed in (0, 1)
        ]
    }


@cache
def landscape() -> Records:
    """Records of landscape, of which nothing is optimised."""
    axes = {"penalty": [1.0, *(float(v) for v in np.geomspace(1e3, 1e6, 7))], "distance": [0.003, 0.1, 1.0]}
    around, near = {"start_seed": list(range(6))}, {"distance": [0.003, 0.01, 0.03, 0.1, 1.0]}
    problems = [
        {"name": "pl_nonconvex", "dimension_y": size, "condition": condition}
        for size in (3, 6)
        for condition in CONDITIONS
    ]
    problems += [{"name": "strictly_convex", "exponent": p} for p in STRICTLY]
    return {
        "landscape": [
            job(
                "intact",
                problem,
                {"name": "lower_only"},
                {"seed": [0], "problem": {**axes, **(around if problem["name"] == "pl_nonconvex" else near)}},
                steps=1,
                log_points=2,
            )
            for problem in problems
        ]
    }


@cache
def nondegeneracy() -> Records:
    """Records of nondegeneracy, of which nothing is optimised."""
    penalties = {"penalty": [1.0, *(float(v) for v in np.geomspace(1e3, 1e6, 7))]}
    axes = {"modulus": [1.0, 0.25, 0.0625], "distance": [0.0, 1e-8, 1e-6, 1e-4, 0.05], "start_seed": list(range(6))}
    problems = [({"name": "polytope", "place": place}, penalties | axes) for place in PLACES]
    problems.append(({"name": "shallow_network"}, penalties | {"start_x": [-0.5, 0.5]}))
    return {
        "nondegeneracy": [
            job("intact", problem, {"name": "lower_only"}, {"seed": [0], "problem": grid}, steps=1, log_points=2)
            for problem, grid in problems
        ]
    }


@cache
def constrained(breaking: str = "intact") -> Records:
    """Records of nondegeneracy_runs."""
    fixed: dict[str, Any] = {"penalty_growth": 0.0, "lower_step": 0.5}
    decays = dict.fromkeys(("upper_decay", "lower_decay", "penalised_decay"), 0.0)

    def steps(name: str, penalty: float) -> dict[str, Any]:
        if name == "f2sa":
            return {"penalised_step": 0.5 / penalty, "upper_step": 0.5 / penalty, "lower_iterations": 2, **decays}
        return {"upper_step": 0.5}

    return {
        "nondegeneracy_runs": [
            job(
                breaking,
                {"name": "polytope", "place": place, "penalty": penalty},
                {"name": name, "penalty": penalty, **fixed, **steps(name, penalty)},
                {"seed": [0], "problem": {"start_seed": [0, 1]}},
                steps=int(20 * penalty),
                log_points=10,
            )
            for name in ("f2sa", "proximal", "proximal_momentum")
            for place in ("cut", "kink", "corner")
            for penalty in (8.0, 16.0, 32.0)  # σ too large lets x leave the place
        ]
    }


# The released code's deviations --------------------------------------------------------------------------------------

_FIXED = {"upper_decay": 0.0, "lower_decay": 0.0, "lower_step": 0.5}
_DEVIATING: dict[str, dict[str, Any]] = {
    "stocbio": {**_FIXED, "neumann_terms": 10, "neumann_step": 0.9, "lower_iterations": 3},
    "ttsa": {**_FIXED, "neumann_terms": 3, "neumann_step": 0.9},
    "saba": {**_FIXED, "auxiliary_step": 0.5, "auxiliary_decay": 0.0},
    "sustain": {**_FIXED, "neumann_terms": 3, "neumann_step": 0.9, "momentum": 0.5, "momentum_decay": 0.0},
    "vrbo": {**_FIXED, "neumann_terms": 10, "neumann_step": 0.9, "lower_iterations": 2, "period": 2},
    "unibio": {
        "lower_step": 1.0,
        "inner_budget": 30,
        "first_radius": 3.0,
        "neumann_terms": 40,
        "neumann_step": 2.0,
        "floor": 1.0,
    },
}


@cache
def _deviating(name: str, breaking: str) -> FakeRecord:
    published = PUBLISHED.get(name, name)
    problem = {"name": "quadratic", "condition": 3.0} | ({"exponent": 3} if published == "unibio" else {})
    return job(
        breaking,
        problem,
        {"name": name, **_DEVIATING[published]},
        {"seed": [0, 1, 2], "algorithm": {"upper_step": [0.03, 0.1, 0.3]}},
        steps=400,
        log_points=10,
        targets={"hypergradient_norm": [0.1]},
    )


def deviations(variants: str = "intact", published: str = "intact") -> Records:
    """Records of discrepancies; "as published" runs the published method in the place of every variant."""
    found = [_deviating(name, published) for name in dict.fromkeys(PUBLISHED.values())]
    for name, of in PUBLISHED.items():
        same = variants == "as published"
        made = _deviating(of if same else name, "intact" if same else variants)
        if variants == "as published":
            config = made.config | {"algorithm": made.config["algorithm"] | {"name": name}}
            made = FakeRecord(f"{made.name}-{name}", config, made.summary, made.history, made.runs)
        found.append(made)
    return {"discrepancies": found}
