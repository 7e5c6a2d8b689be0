"""Made-up records of the studies that follow first-order methods by more than x and y, and of calls to ε."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

import synthetic
from unibio.studies.lower_bound_calls import BLOCK, POWERS
from unibio.studies.stationarity import BOUNDS, CASES, PROBLEMS

#: (case, seed, iteration) -> V, all of one run.
Path = Callable[[str, int, np.ndarray], np.ndarray]


def falling(case: str, seed: int, t: np.ndarray) -> np.ndarray:
    """A power law, with noise about it where there is noise."""
    waves = 0.0 if case == "exact" else 0.1 * np.sin(40 * np.log(t + 1) + 7 * seed)
    return (1 + 0.1 * seed) * (t + 1.0) ** -0.6 * np.exp(waves)


def rising_once(case: str, seed: int, t: np.ndarray) -> np.ndarray:
    """One iteration in which V is a hundredth more than before."""
    return falling(case, seed, t) * np.where(t >= 60, 1.025, 1.0)


def level(case: str, seed: int, t: np.ndarray) -> np.ndarray:
    """V falls too little to be seen, or about a level where there is noise."""
    return 0 * t + 1.0 - 1e-5 * t if case == "exact" else falling(case, seed, t) / falling(case, 0, t)


def lyapunov(path: Path = falling, gap: Path | None = None, seeds: int = 6, scale: str = "paper", **settings):
    """Records of lyapunov: V by ``path``; φ by ``gap``, which rises at first where it is not given."""
    found = []
    for case in CASES:
        for condition in (1.0, 4.0):
            exact = case == "exact"
            steps = {"steps": 150, "points": 400} if exact else {"steps": 3000, "points": 60}
            made = synthetic.record(
                2, {}, name="f2sa_followed", schedule=case, seeds=seeds, scale=scale, **steps | settings
            )
            made.config["problem"] |= {"name": "followed_wells", "condition": condition}
            history = made.history
            parts = {"lyapunov": path, "value_gap": gap or _hump, "distance_y": path, "distance_z": path}
            for name, of in parts.items():
                own = [
                    of(case, int(seed), part["iteration"].to_numpy(dtype=float))
                    for seed, part in history.groupby("seed", sort=False)
                ]
                history[name] = np.concatenate(own)
            found.append(made)
    return found


def _hump(case: str, seed: int, t: np.ndarray) -> np.ndarray:
    return (1 + seed + t) / (1 + t / 5) ** 2


#: (method, case) -> slope of the mean ε.
Slope = Callable[[str, str], float]


def as_bounded(method: str, case: str) -> float:
    return BOUNDS[method][case] - 0.1


def above(method: str, case: str) -> float:
    return BOUNDS[method][case] + 0.05


#: What residuals over distances are like, as a power of σ.
MODULI = {"point": 0.0, "manifold": 1.0, "wells": 0.0}


def stationarity(
    slope: Slope = as_bounded, gradient: Slope = as_bounded, modulus=MODULI, scale: str = "paper", **settings
):
    """Records of stationarity: ε and ‖∇φ‖ are power laws; residuals over distances like σ^``modulus``, by problem."""
    found = []
    for method in BOUNDS:
        for on in PROBLEMS:
            for case in CASES:
                made = synthetic.record(
                    2, {}, name=f"{method}_followed", schedule=case, scale=scale,
                    lower_calls=1.0, **{"steps": 4000} | settings,
                )  # fmt: skip
                made.config["paper"] = {"level": on}
                history = made.history
                at, near = np.maximum(history["iteration"], 1.0), 1 + 0.02 * history["seed"]
                history["weight"] = 16 * at ** (1 / 3)
                history["stationarity"] = near * at ** slope(method, case)
                history["hypergradient_norm"] = near * at ** gradient(method, case)
                for letter in ("x", "y", "z"):
                    history[f"residual_{letter}"] = history["stationarity"]
                    history[f"distance_{letter}"] = history["stationarity"] * history["weight"] ** (modulus[on] - 1)
                found.append(made)
    return found


#: One sample for both g_x changes nothing.
ALIKE = dict.fromkeys(POWERS, 5.0)


def calls(
    powers: Mapping[str, float] = POWERS,
    accuracies: Sequence[float] = (0.35, 0.3, 0.25, 0.21),
    best: int = 1,
    spread: float = 0.05,
    scale: str = "paper",
    blocks: int = 4,
):
    """Records of lower_bound_calls: calls to ε are ∝ ε^−power at the step of place ``best``, twice that beside it."""
    found = []
    for turn, (kind, power) in enumerate(powers.items()):
        for place, epsilon in enumerate(accuracies):
            steps = [0.01, 0.02, 0.04]
            name = {"name": "f2ba", "difference_samples": "shared" if "shared" in kind else "fresh"}
            made = synthetic.record(
                2,
                {"upper_step": steps},
                seeds=BLOCK * blocks,
                steps=3000,
                points=20,
                lower_calls=1.0,
                scale=scale,
                **name,
            )
            made.config["paper"] = {"kind": kind, "epsilon": epsilon}
            history = made.history
            off = 2.0 ** np.abs(history["upper_step"].map(steps.index) - best)
            wave = 1 + spread * np.sin(5 * (history["seed"] // BLOCK) + 3 * place + turn)
            needed = 0.25 * epsilon**-power * off * wave
            history["hypergradient_square_mean"] = epsilon**2 * needed / np.maximum(history["oracle_calls"], 1)
            found.append(made)
    return found


def whole(scale: str = "paper") -> synthetic.Makers:
    """Every experiment of these studies, small."""
    few = {"scale": scale, "seeds": 6 if scale == "paper" else 1}
    return {
        "lyapunov": lambda: lyapunov(**few),
        "stationarity": lambda: stationarity(scale=scale, points=40, seeds=3 if scale == "paper" else 1),
        "lower_bound_calls": lambda: calls(scale=scale, blocks=4 if scale == "paper" else 1),
    }
