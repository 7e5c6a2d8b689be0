"""Made-up records of Appendix E.1: trajectories of x, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import synthetic
from unibio.studies.discrepancies import PUBLISHED
from unibio.studies.e1.search import RANDOM

EXPONENTS = (2, 4, 6, 8)
UPPER, LOWER = (0.005, 0.02, 0.08, 0.3, 1.0), (0.01, 0.1, 1.0)

#: (step, t) -> x, from 1 towards −π/2.
Trajectory = Callable[[float, np.ndarray], np.ndarray]


def lengths(step: float, t: np.ndarray) -> np.ndarray:
    """A normalised method: constant pace, then circling at a distance of half a step."""
    x = 1 - step * t
    return np.where(x > -np.pi / 2, x, -np.pi / 2 + 0.5 * step)


def descent(step: float, t: np.ndarray) -> np.ndarray:
    """Exponential approach, faster beyond 0.5; slower than ``lengths`` at the same step until it overtakes."""
    return -np.pi / 2 + (1 + np.pi / 2) * np.exp(-0.3 * step * t)


def held_up(step: float, t: np.ndarray) -> np.ndarray:
    """Constant pace with a long stay around 0."""
    x = 1 - step * t
    return np.where(x > 0.2, x, np.where(x > -4, 0.2 - 0.1 * (0.2 - x), -np.pi / 2))


def record(
    p: int,
    method: str,
    trajectory: Trajectory = descent,
    *,
    upper: Sequence[float] = UPPER,
    lower: Sequence[float] = LOWER,
    lower_error: Callable[[Mapping[str, float]], float] = lambda cell: 0.01,
    **settings: Any,
) -> synthetic.FakeRecord:
    """One method's grid of steps on one problem."""

    def norm(cell: Mapping[str, float], seed: int, t: np.ndarray) -> np.ndarray:
        x = trajectory(cell["upper_step"], t)
        return np.abs(np.cos(x) * np.cos(np.sin(x)))

    axes = {"upper_step": upper, "lower_step": lower}
    made = synthetic.record(p, axes, norm, name=method, **settings)
    history = made.history
    begins = np.flatnonzero(np.diff(history["run"].to_numpy(), prepend=-1))
    parts = []
    cells = made.runs[["upper_step", "lower_step"]].to_dict("records")
    for cell, at in zip(cells, np.split(history["iteration"].to_numpy(), begins[1:]), strict=True):
        x = trajectory(cell["upper_step"], at)
        parts.append(np.stack([np.sin(np.sin(x)), np.full(len(x), lower_error(cell))]))
    history["value"], history["lower_error"] = np.concatenate(parts, axis=1)
    return made


def study(
    own: Trajectory = lengths,
    others: Trajectory = descent,
    methods: Sequence[str] = ("unibio", "stocbio", "ttsa", "ma_soba", "soba"),
    **settings: Any,
) -> list[synthetic.FakeRecord]:
    """Records of several methods for every p; one that draws lengths needs seeds to choose and to judge."""
    settings = {"seeds": 1, "points": 40} | settings
    more = {m: settings | {"seeds": max(2, settings["seeds"])} if m in RANDOM else settings for m in methods}
    return [record(p, m, own if m == "unibio" else others, **more[m]) for p in EXPONENTS for m in methods]


def whole(scale: str, steps: int) -> synthetic.Makers:
    """Every experiment of the comparison."""
    common: dict[str, Any] = {"scale": scale, "steps": steps}
    methods = ("unibio", "stocbio", "ttsa", "ma_soba", "bo_rep")
    names = dict.fromkeys([*PUBLISHED.values(), *PUBLISHED])
    return {
        "e1": lambda: study(methods=methods, neumann_terms=3, **common),
        "e1_noise": lambda: study(methods=methods, noise=1.0, upper_noise=1.0, **{**common, "seeds": 2}),
        "e1_noise_lower": lambda: study(methods=methods, noise=1.0, **{**common, "seeds": 2}),
        "e1_coordinatewise": lambda: [one for d in (10, 100) for one in study(methods=methods, dimension=d, **common)],
        "discrepancies": lambda: [
            synthetic.record(2, {"upper_step": UPPER}, name=name, **{**common, "seeds": 1}) for name in names
        ],
    }
