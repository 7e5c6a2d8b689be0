"""Runs of UniBiO on Example 3 and on the coordinate-wise problem, intact and broken, small: fewer and larger steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from synthetic import FakeRecord
from twins.broken import NeverRefreshed, WrongSign, exploding, motionless, undefined
from twins.running import run
from unibio.algorithms.released import ReleasedUniBiO
from unibio.algorithms.unibio import UniBiO

EXPONENTS = (2, 4, 6, 8)
#: The paper's steps, twice as large: half of the iterations.
STEPS = {2: 0.1, 4: 0.06, 6: 0.04, 8: 0.02}
#: Iterations.
LENGTH = 220
#: Of the coordinate-wise problem, as configurations have them: times √10, for d = 10.
ROOT = 10**0.5
SEEDS = [0, 1, 2]
NOISES = [0.0, 0.01, 1.0, 10.0]

#: How an algorithm is broken, from its class and p: what runs in its place, and settings.
Breaking = Callable[[type, int], tuple[type | None, dict[str, Any]]]

BREAKINGS: dict[str, Breaking] = {
    "intact": lambda cls, p: (None, {}),
    "β = 0": lambda cls, p: (None, {"momentum": 0.0}),
    "y never refreshed": lambda cls, p: (NeverRefreshed, {}),
    "wrong sign of the Jacobian": lambda cls, p: (WrongSign, {}),
    "lower step 0": lambda cls, p: (None, {"lower_step": 1e-12}),
    "all diverged": lambda cls, p: (exploding(cls), {}),
    "NaN": lambda cls, p: (undefined(cls), {}),
    "p = 8 diverged": lambda cls, p: (exploding(cls) if p == 8 else None, {}),
    "x never moves": lambda cls, p: (motionless(cls), {}),
}


@cache
def unibio(
    breaking: str,
    p: int,
    grid: tuple[tuple[str, tuple[float, ...]], ...] = (),
    noise: float = 0.0,
    dimension: int = 1,
    steps: int = LENGTH,
    algorithm: tuple[tuple[str, Any], ...] = (),
    upper_noise: float = 0.0,
    seeds: int = len(SEEDS),
) -> FakeRecord:
    """One job.

    Args:
        breaking: key of ``BREAKINGS``.
        p, noise, dimension, steps: as configured.
        grid: (parameter, values) of axes beside the seeds.
        algorithm: (parameter, value) of further settings.
        upper_noise: of the upper level.
        seeds: how many.
    """
    broken, settings = BREAKINGS[breaking](UniBiO, p)
    in_problem = {name: list(values) for name, values in grid if name.endswith("noise")}
    in_algorithm = {name: list(values) for name, values in grid if not name.endswith("noise")}
    problem = {"name": "coordinatewise" if dimension > 1 else "example3", "exponent": p, "noise": noise}
    problem |= {"dimension": dimension} if dimension > 1 else {}
    problem |= {"upper_noise": upper_noise} if upper_noise else {}
    step = STEPS[p] * (ROOT if dimension > 1 else 1.0)
    chosen = {"name": "unibio", "upper_step": step, "period": 4, "inner_budget": 100, **dict(algorithm), **settings}
    paper = {q: value * (ROOT if dimension > 1 else 1.0) for q, value in STEPS.items()}
    return run(
        problem,
        chosen,
        {"seed": list(range(seeds)), "problem": in_problem, "algorithm": in_algorithm},
        broken,
        steps=steps,
        targets={"hypergradient_norm": [0.1 * dimension**0.5]},
        paper={"upper_step": paper},
    )


def _axes(**values: Any) -> tuple[tuple[str, tuple[float, ...]], ...]:
    return tuple((name, tuple(found)) for name, found in values.items())


@cache
def released(breaking: str, p: int) -> FakeRecord:
    """The released script's loop."""
    broken = {"all diverged": exploding(ReleasedUniBiO), "x never moves": motionless(ReleasedUniBiO)}.get(breaking)
    return run(
        {"name": "example3", "exponent": p, "noise_reading": "std"},
        {"name": "unibio_released", "upper_step": STEPS[p]},
        {"seed": SEEDS, "problem": {"noise": NOISES}},
        broken,
        steps=LENGTH,
        targets={"hypergradient_norm": [0.1]},
        paper={"upper_step": STEPS},
    )


def figure1(breaking: str = "intact", script: str | None = None) -> dict[str, list[FakeRecord]]:
    """Records of fig1, fig1_equal, fig1_released and fig5."""
    steps = _axes(noise=[0.0, 1.0], upper_noise=[0.0, 1.0], upper_step=STEPS.values())
    equal = [unibio(breaking, p, steps) for p in EXPONENTS]
    return {
        "fig1": [unibio(breaking, p, _axes(noise=NOISES, upper_noise=NOISES)) for p in EXPONENTS],
        "fig1_equal": equal,
        "fig5": equal,
        "fig1_released": [released(script or "intact", p) for p in EXPONENTS],
    }


def noisy_upper(breaking: str) -> dict[str, list[FakeRecord]]:
    """Records of fig1 with noise on the upper gradient, too, on which momentum matters."""
    return {"fig1": [unibio(breaking, p, _axes(noise=NOISES), upper_noise=10.0, seeds=6) for p in EXPONENTS]}


def coordinates(breaking: str = "intact") -> dict[str, list[FakeRecord]]:
    """Records of fig1_coordinatewise and its equal steps, in three dimensions."""
    steps = [step * ROOT for step in STEPS.values()]
    return {
        "fig1_coordinatewise": [
            unibio(breaking, p, _axes(noise=NOISES, upper_noise=NOISES), dimension=3) for p in EXPONENTS
        ],
        "fig1_coordinatewise_equal": [
            unibio(breaking, p, _axes(noise=[0.0, 1.0], upper_noise=[0.0, 1.0], upper_step=steps), dimension=3)
            for p in EXPONENTS
        ],
    }


def sensitivity(breaking: str = "intact", classical: str | None = None) -> dict[str, list[FakeRecord]]:
    """Records of coordinatewise_sensitivity; ``classical`` breaks the classical estimator's runs otherwise."""
    kinds = (("generalised", breaking), ("classical", classical or breaking))
    return {
        "coordinatewise_sensitivity": [
            unibio(
                how,
                p,
                _axes(noise=[0.0, 1.0], upper_noise=[0.0, 1.0], neumann_step=[0.1, 1.0]),
                dimension=3,
                algorithm=(("inner_budget", budget), ("estimator", estimator)),
            )
            for p in EXPONENTS
            for budget in (20, 100)
            for estimator, how in kinds
        ]
    }


def search(breaking: str = "intact") -> dict[str, list[FakeRecord]]:
    """Records of lr_search."""
    grid = _axes(upper_step=[0.0015, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.3, 1.0, 3.0], lower_step=[0.01, 0.3, 1.0])
    return {"lr_search": [unibio(breaking, p, grid, noise=1.0) for p in EXPONENTS]}


def runtime(breaking: str = "intact") -> dict[str, list[FakeRecord]]:
    """Records of runtime, with the paper's K = 100 and I = 2."""
    settings = (("inner_budget", 100), ("period", 2))
    return {"runtime": [unibio(breaking, p, noise=1.0, steps=20, algorithm=settings, seeds=1) for p in EXPONENTS]}
