"""Made-up records of hyper-cleaning of sentence pairs: accuracy and AUC rise to chosen ends."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

import synthetic
from unibio.store import records

METHODS = ("unibio", "unibio_plain", "stocbio", "ttsa", "saba", "ma_soba", "sustain", "vrbo", "bo_rep")
#: Those of nli_tuning and of nli_tuning_others.
FIRST = ("unibio", "unibio_plain", "bo_rep")
OTHERS = tuple(name for name in METHODS if name not in (*FIRST, "saba"))
#: UniBiO with two epochs and without p, which the main comparison has beside them.
FURTHER = ("unibio epochs", "unibio_adaptive")
PAIRS = 10_000


def record(
    method: str,
    accuracy: float = 0.55,
    *,
    auc: float = 0.6,
    seed: int = 0,
    weights: str = "learned",
    rate: float = 0.1,
    p: int = 3,
    noise: str = "once",
    source: str = "snli",
    scale: str = "paper",
    valid: float | None = None,
    noisy: float = 1 / 3 + 0.1,
    cost: float = 1.0,
    status: str = "completed",
    points: int = 6,
    upper: float = 1.0,
    width: int | None = None,
    apart: float = 0.0,
) -> synthetic.FakeRecord:
    """One job; a seed changes accuracies by a thousandth.

    ``cost`` multiplies calls and seconds; ``apart`` is what a seed does to this method and not to others, 0 in the mean
    of three seeds.
    """
    accuracy += apart * ((0, 1, -1), (1, -1, 0), (-1, 0, 1))[sum(method.encode()) % 3][seed % 3]
    part = np.linspace(0, 1, points)
    frozen = weights == "frozen"
    metrics = {
        "train_accuracy": 1 / 3 + (accuracy + 0.05 - 1 / 3) * part,
        "valid_accuracy": 1 / 3 + ((accuracy if valid is None else valid) - 1 / 3) * part,
        "valid_loss": 1.1 - 0.1 * part,
        "test_accuracy": 1 / 3 + (accuracy + 0.001 * seed - 1 / 3) * part,
        "weight_spread": 0.0 * part if frozen else 0.2 * part,
    }
    if noise == "once":
        metrics |= {"noisy_accuracy": 1 / 3 + (noisy - 1 / 3) * part}
        metrics |= {"cleaning_auc": 0.5 + (0 if frozen else auc - 0.5) * part}
        metrics |= {"cleaning_precision": rate + (0 if frozen else auc - 0.5) * part}
    calls = (part * 900 * cost).astype(int)
    head = {"run": 0, "iteration": (part * 300).astype(int), "oracle_calls": calls, "samples": calls * 64}
    head |= {"lower_samples": (part * 20 * PAIRS).astype(int), "seconds": part * 20 * cost}
    history = pd.DataFrame({name: np.broadcast_to(column, part.shape) for name, column in (head | metrics).items()})
    problem = {"name": "nli_cleaning", "exponent": p, "noise_rate": rate, "noise": noise, "weights": weights}
    problem |= {"width": width or (4096 if scale == "paper" else 32), "layers": 2}
    algorithm = {"name": method.split()[0], "upper_step": upper, "lower_step": 0.3, "batch_size": 64}
    if method == "unibio epochs":
        algorithm |= {"inner_budget": 12, "first_length": 3.0, "floor": 0.01}
    elif method == "unibio_adaptive":
        del algorithm["upper_step"], algorithm["lower_step"]
        algorithm["floor"] = 0.001
    elif method.startswith("unibio"):
        algorithm["floor"] = 0.5 if p == 3 else 3**-0.5
    data = {"source": source, "train": PAIRS, "valid": 2000, "test": 4000, "vectors": "glove", "dir": "", "content": ""}
    config = {"problem": problem, "algorithm": algorithm, "steps": None, "budget": None, "epochs": 20.0, "seed": seed}
    config |= {"grid": {}, "data": data, "data_hash": "ab" * 32, "scale": {"name": scale}}
    summary = {"status": "completed", "seconds": 20.0, "modules": [], "warnings": []}
    runs = pd.DataFrame({"status": [status], "stopped_at": [300]})
    return synthetic.FakeRecord(records.record_name(config), config, summary, history, runs)


def pair(method: str, accuracy: float, gain: float = 0.02, seeds: int = 3, **settings: Any) -> list:
    """A method's runs and its frozen twin's."""
    found = [record(method, accuracy, seed=seed, **settings) for seed in range(seeds)]
    settings.pop("auc", None)
    return found + [record(method, accuracy - gain, seed=seed, weights="frozen", **settings) for seed in range(seeds)]


def everyone(names: Sequence[str] = METHODS, **settings: Any) -> list:
    """All methods; the last is the best."""
    return [one for k, name in enumerate(names) for one in pair(name, 0.5 + 0.01 * k, **settings)]


def ranked(names: Sequence[str], width: int, step: float = 0.02, seeds: int = 3, **settings: Any) -> list:
    """Methods of one width, the first the highest, each a ``step`` above the next."""
    return [
        record(name, 0.7 - step * k, seed=seed, width=width, **settings)
        for k, name in enumerate(names)
        for seed in range(seeds)
    ]


def controls(noisy: float = 0.5, clean: float = 0.55, **settings: Any) -> list:
    """Plain training on both kinds of labels."""
    kinds = (("once", noisy), ("none", clean))
    return [
        record("stocbio", accuracy, noise=noise, seed=seed, weights="frozen", **settings)
        for (noise, accuracy), seed in itertools.product(kinds, range(3))
    ]


def tuning(
    method: str, best: int = 3, seed: int = 1000, scale: str = "paper", weights: str = "learned"
) -> synthetic.FakeRecord:
    """A record of the search on one seed: 3 × 2 pairs of steps, 1 × 2 for frozen weights, one above the others."""
    one = record(method, scale=scale, seed=seed, weights=weights)
    steps = list(itertools.product((1.0,) if weights == "frozen" else (0.3, 1.0, 3.0), (0.1, 0.3)))
    histories = [
        one.history.drop(columns="test_accuracy").assign(run=k, valid_accuracy=0.4 + 0.05 * (k == best))
        for k in range(len(steps))
    ]
    runs = pd.DataFrame(steps, columns=["upper_step", "lower_step"]).assign(status="completed", stopped_at=300)
    return synthetic.FakeRecord(one.name, one.config, one.summary, pd.concat(histories, ignore_index=True), runs)


def floor(delta: float, method: str = "unibio_plain", *, largest: float = 6.0, **settings: Any) -> synthetic.FakeRecord:
    """A record of the study of D's floor, whose Neumann step makes λ_max c = 1."""
    one = record(method, **settings)
    one.config["algorithm"] |= {"floor": delta, "neumann_step": delta / largest}
    runs = one.runs.assign(neumann_lambda_max=largest / delta)
    return synthetic.FakeRecord(records.record_name(one.config), one.config, one.summary, one.history, runs)


def whole(scale: str = "paper") -> synthetic.Makers:
    """Every experiment."""
    seeds = (1000, 1001)
    return {
        "nli": lambda: everyone((*FURTHER, *METHODS), scale=scale),
        "nli_noise": lambda: [one for rate in (0.2, 0.4) for one in everyone(rate=rate, scale=scale)],
        "nli_exponents": lambda: [one for p in (2, 4) for one in everyone(p=p, scale=scale)],
        "nli_width": lambda: [one for width in (16, 64) for one in ranked(METHODS, width, scale=scale)],
        "nli_width_256": lambda: ranked(METHODS[:4], 256, seeds=2, scale=scale),
        "nli_controls": lambda: controls(scale=scale),
        "nli_tuning": lambda: (
            [tuning(name, seed=seed, scale=scale) for name in FIRST for seed in seeds]
            + [tuning("stocbio", best=1, seed=seed, scale=scale, weights="frozen") for seed in seeds]
        ),
        "nli_tuning_others": lambda: [tuning(name, seed=seed, scale=scale) for name in OTHERS for seed in seeds],
        "nli_tuning_saba": lambda: [
            record("saba", upper=upper, seed=seed, scale=scale) for upper in (100.0, 1000.0) for seed in seeds
        ],
        "nli_floor": lambda: [
            floor(delta, name, scale=scale, seed=seed, auc=0.55 + 0.01 * seed * delta)
            for delta in (0.001, 0.5)
            for name in ("unibio", "unibio_plain")
            for seed in range(3)
        ],
        "nli_released": lambda: [
            one
            for name in ("unibio_plain", "stocbio", "ma_soba")
            for one in pair(name, 0.52, rate=0.2, noise="released", scale=scale)
        ],
    }
