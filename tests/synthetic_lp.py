"""Made-up records of ℓ_p-regression hyper-cleaning: φ falls from 0.7 to a chosen end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import synthetic
from unibio.store import records
from unibio.studies.lp_regression.tuned import EXPONENTS

UPPER, LOWER = (0.1, 0.3, 1.0, 3.0, 10.0), (0.01, 0.1, 1.0)
BEST = (1.0, 0.1)
OTHERS = ("stocbio", "bsa", "ttsa", "soba", "ma_soba", "saba", "amigo", "sustain", "mrbo", "vrbo", "bo_rep")

#: (upper step, lower step, seed) -> φ at the end.
End = Callable[[float, float, int], float]


def around(level: float, best: tuple[float, float] = BEST, noise: float = 1e-4) -> End:
    """Least at one pair of steps, by a little per seed apart."""

    def end(upper: float, lower: float, seed: int) -> float:
        away = abs(math.log(upper / best[0])) + abs(math.log(lower / best[1]))
        return level + 0.01 * away + noise * seed

    return end


def record(
    method: str,
    p: int,
    end: End | float = 0.33,
    *,
    auc: float = 0.85,
    accuracy: float = 0.88,
    seeds: int = 4,
    budget: int = 10_000,
    scale: str = "paper",
    diverges: Callable[[float, float, int], bool] = lambda upper, lower, seed: False,
    lower_steps: tuple[float, ...] = LOWER,
    **settings: Any,
) -> synthetic.FakeRecord:
    """One job; ``settings`` are of the algorithm."""
    ends = end if callable(end) else around(end)
    calls = np.unique(np.geomspace(4, budget, 25).astype(int))
    calls = np.concatenate([[0], calls])
    histories, runs = [], []
    for upper, lower, seed in itertools.product(UPPER, lower_steps, range(seeds)):
        bad = diverges(upper, lower, seed)
        at = calls[: len(calls) // 2] if bad else calls
        last = ends(upper, lower, seed)
        value = last + (0.7 - last) * (np.exp(-8 * at / calls[-1]) - np.exp(-8))
        head = {"run": len(runs), "upper_step": upper, "lower_step": lower, "seed": seed}
        metrics = {"hypergradient_norm": 0.01, "value": value, "lower_error": 0.02, "upper_loss": value}
        metrics |= {"test_accuracy": accuracy + 0.002 * (seed % 2), "weight_spread": 0.3}
        metrics |= {"cleaning_auc": auc + 0.001 * seed}
        samples = at * (100 if method == "vrbo" else 50)
        head |= {"iteration": np.arange(len(at)), "oracle_calls": at, "samples": samples, "seconds": 0.1, **metrics}
        histories.append({name: np.broadcast_to(column, at.shape) for name, column in head.items()})
        status = "diverged" if bad else "completed"
        run = {"upper_step": upper, "lower_step": lower, "seed": seed}
        runs.append({**run, "status": status, "stopped_at": len(at) - 1})
    problem = {"name": "lp_regression", "exponent": p, "size_lower": 500, "size_test": 500, "corruption_rate": 0.3}
    algorithm = {"name": method, "upper_step": 1.0, "lower_step": 1.0, **settings}
    grid = {"algorithm.upper_step": list(UPPER), "algorithm.lower_step": list(lower_steps), "seed": list(range(seeds))}
    config = {"problem": problem, "algorithm": algorithm, "steps": None, "budget": budget, "seed": 0, "grid": grid}
    config |= {"scale": {"name": scale}, "paper": {"smoothness": p * (p - 1)}}
    summary = {"status": "completed", "seconds": 5.0, "modules": [], "warnings": []}
    history = pd.DataFrame({name: np.concatenate([part[name] for part in histories]) for name in histories[0]})
    return synthetic.FakeRecord(records.record_name(config), config, summary, history, pd.DataFrame(runs))


def unibio(p: int, end: End | float, inner: int = 100, **settings: Any) -> synthetic.FakeRecord:
    """UniBiO with an inner budget K."""
    return record("unibio", p, end, inner_budget=inner, **settings)


def whole(scale: str = "paper") -> synthetic.Makers:
    """Every method at every exponent; one seed and a short budget at a reduced scale."""
    common: dict[str, Any] = {"scale": scale} | ({} if scale == "paper" else {"seeds": 1, "budget": 600})

    def everyone() -> list[synthetic.FakeRecord]:
        found = []
        for p in EXPONENTS:
            found += [unibio(p, 0.34, 100, **common), unibio(p, 0.335, 30, **common)]
            found += [record(name, p, 0.32 + 0.002 * k, **common) for k, name in enumerate(OTHERS)]
        return found

    return {"lp_regression": everyone}
