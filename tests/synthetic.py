"""Records made up for the tests of analysis, claims, figures and report: the columns of real ones, chosen numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unibio.store import lists, records
from unibio.store.replays import Standing, standing
from unibio.studies.common.evidence import CALLS, Evidence
from unibio.studies.runtime import epoch_sgd_steps

PAPER = {2: 0.05, 4: 0.03, 6: 0.02, 8: 0.01}
EXPONENTS = (2, 4, 6, 8)

#: (cell, seed, t: (T+1,)) -> (T+1,) values of a metric.
Path_ = Callable[[Mapping[str, float], int, np.ndarray], np.ndarray]


@dataclass
class FakeRecord:
    """What analysis reads of a record."""

    name: str
    config: dict[str, Any]
    summary: dict[str, Any]
    history: pd.DataFrame
    runs: pd.DataFrame
    path: Path = Path("nowhere")
    thinned: bool = False
    seal: str = ""

    @property
    def standing(self) -> Standing:
        """Of records that nobody has computed again."""
        return standing(self.summary, lambda: None)


def descent(cell: Mapping[str, float], seed: int, t: np.ndarray) -> np.ndarray:
    """|∇φ| of Example 3 when x falls from 1 by η a step and then circles −π/2."""
    step = cell["upper_step"]
    x = np.maximum(1 - step * t, -np.pi / 2)
    arrived = x <= -np.pi / 2
    x = x + arrived * step * (0.3 + 0.1 * np.sin(t + seed * (cell["noise"] > 0)))
    return np.abs(np.cos(x) * np.cos(np.sin(x)))


def record(
    p: int = 2,
    axes: Mapping[str, Sequence[float]] | None = None,
    norm: Path_ = descent,
    mean: Path_ | None = None,
    value: Path_ = lambda cell, seed, t: 0.75 - 1.5 * t / t[-1],
    lower_error: Path_ = lambda cell, seed, t: np.full(len(t), 0.01),
    *,
    seeds: int = 3,
    steps: int = 400,
    points: int = 60,
    scale: str = "paper",
    status: Callable[[Mapping[str, float], int], str] = lambda cell, seed: "completed",
    lower_calls: float | None = None,
    **settings: Any,
) -> FakeRecord:
    """One job.

    Args:
        p: exponent.
        axes: {noise | …_noise | upper_step | lower_step | neumann_step: values}, beside the seeds.
        norm: hypergradient norm; first hits below 0.1 and the running mean follow from it.
        mean: overrides the running mean.
        value, lower_error: φ, which falls, and ‖y − y*(x)‖, which is small, unless they are given.
        seeds, steps, points: runs a cell, T, logged iterations.
        scale: name of the scale.
        status: of a run; a diverged one ends half-way.
        lower_calls: lower gradients per Epoch-SGD call, the schedule's by default.
        settings: further parameters of problem (``dimension``, ``noise_reading``) and algorithm.
    """
    axes = {name: [float(v) for v in values] for name, values in (axes or {}).items()}
    of_problem = ("dimension", "noise", "noise_reading", "upper_noise", "hessian_noise", "cross_noise")
    in_problem = {name: settings.pop(name) for name in of_problem if name in settings}
    dimension = in_problem.get("dimension", 1)
    paper = {str(q): step * (10**0.5 if dimension > 1 else 1.0) for q, step in PAPER.items()}  # as in conf, for any d
    problem = {"name": "coordinatewise" if dimension > 1 else "example3", "exponent": p, "noise": 0.0}
    problem |= {"noise_reading": "variance", "upper_noise": 0.0, **in_problem}
    algorithm = {"name": "unibio", "upper_step": paper[str(p)], "lower_step": 1.0, "neumann_step": 1.0, "momentum": 0.9}
    algorithm |= {"period": 2, "inner_budget": 100, "first_length": 5.0, **settings}
    inner = lower_calls or epoch_sgd_steps(p, algorithm["inner_budget"], algorithm["first_length"])
    t = np.arange(steps + 1)
    logged = np.unique(np.concatenate([[0], np.geomspace(1, steps, points).round().astype(int)]))
    lower = inner * (1 + np.maximum(t - 1, 0) // algorithm["period"])
    calls = (4 * t + lower).astype(int)
    runs, lengths = [], []
    metrics: dict[str, list[np.ndarray]] = {"hypergradient_norm": [], "hypergradient_norm_mean": []}
    metrics |= {"value": [], "lower_error": []}
    for values in itertools.product(*axes.values(), range(seeds)):
        cell = dict(zip(axes, values[:-1], strict=True))
        full = {
            "noise": problem["noise"],
            "upper_noise": problem["upper_noise"],
            **{k: v for k, v in algorithm.items() if isinstance(v, float)},
            **cell,
            "p": p,
        }
        seed = int(values[-1])
        ended = status(full, seed)
        last = steps if ended == "completed" else steps // 2
        path = norm(full, seed, t)
        running = np.concatenate([path[:1], np.cumsum(path[:-1]) / t[1:]]) if mean is None else mean(full, seed, t)
        at = logged[: np.searchsorted(logged, last, side="right")]
        lengths.append(len(at))
        made = (path, running, value(full, seed, t), lower_error(full, seed, t))
        for parts, one in zip(metrics.values(), made, strict=True):
            parts.append(one[at])
        small = np.flatnonzero(path[: last + 1] < 0.1)
        hit = (float(small[0]), float(calls[small[0]])) if len(small) else (np.nan, np.nan)
        row = {**cell, "seed": seed, "status": ended, "stopped_at": last, **dict.fromkeys(CALLS, 0)}
        row |= {"grad_upper": last, "grad_lower": lower[last], "hvp": 2 * last, "jvp": last}
        row |= {"iterations_to hypergradient_norm<0.1": hit[0], "oracle_calls_to hypergradient_norm<0.1": hit[1]}
        runs.append(row)
    at = np.concatenate([logged[:length] for length in lengths])
    columns = {"run": np.arange(len(runs)), **{name: np.array([run[name] for run in runs]) for name in (*axes, "seed")}}
    columns = {name: np.repeat(column, lengths) for name, column in columns.items()}
    columns |= {"iteration": at, "oracle_calls": calls[at], **dict.fromkeys(CALLS, np.zeros(len(at), dtype=np.int64))}
    columns |= {"grad_lower": lower[at], "seconds": 0.001 * at}
    history = pd.DataFrame(columns | {name: np.concatenate(parts) for name, parts in metrics.items()})
    grid = {f"{'problem' if name in of_problem else 'algorithm'}.{name}": values for name, values in axes.items()}
    config = {"problem": problem, "algorithm": algorithm, "steps": steps, "seed": 0}
    config |= {"grid": grid | {"seed": list(range(seeds))}, "scale": {"name": scale}, "paper": {"upper_step": paper}}
    summary = {"status": "completed", "seconds": 1.0 + p, "seconds_repeats": [1.0 + p, 2.0 + p, 1.5 + p], "modules": []}
    summary |= {
        "versions": {"python": "3.11"},
        "hardware": {"device": "cpu"},
        "git": {"commit": "0" * 40},
        "warnings": [],
    }
    return FakeRecord(records.record_name(config), config, summary, history, pd.DataFrame(runs))


def study(**given: Sequence[FakeRecord]) -> Evidence:
    """A study of made-up records, by experiment."""
    return Evidence(None, given)  # type: ignore[arg-type]


#: Experiments, and what makes up their records.
Makers = dict[str, Callable[[], list[FakeRecord]]]


class Study(Mapping[str, list[FakeRecord]]):
    """Experiments, each made up when it is first asked for; not to be written into."""

    def __init__(self, makers: Makers):
        self._makers = makers
        self._made: dict[str, list[FakeRecord]] = {}

    def __getitem__(self, name: str) -> list[FakeRecord]:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


@lru_cache(maxsize=4)
def whole_study(scale: str = "paper", steps: int = 400, seeds: int = 3) -> Study:
    """Every experiment, small."""
    import synthetic_complexity
    import synthetic_e1  # which builds on this module
    import synthetic_first_order
    import synthetic_followed
    import synthetic_lp
    import synthetic_nli
    import synthetic_parts
    import synthetic_pilot
    import synthetic_theory
    import synthetic_without_p

    return Study(
        synthetic_study(scale, steps, seeds)
        | synthetic_complexity.whole(scale, steps)
        | synthetic_e1.whole(scale, steps)
        | synthetic_lp.whole(scale)
        | synthetic_nli.whole(scale)
        | synthetic_first_order.whole(scale, steps)
        | synthetic_followed.whole(scale)
        | synthetic_theory.whole(scale, steps)
        | synthetic_parts.whole(scale)
        | synthetic_pilot.whole(scale)
        | synthetic_without_p.whole(scale)
    )


@lru_cache(maxsize=2)
def whole_evidence(scale: str = "paper", steps: int = 400) -> Evidence:
    """The same as evidence that tests share: what one of them has computed of it is there for the others."""
    return study(**whole_study(scale, steps))


def synthetic_study(scale: str = "paper", steps: int = 400, seeds: int = 3) -> Makers:
    """Every experiment of the synthetic study, the report's first part."""
    noises, etas = [0.0, 0.01, 1.0, 10.0], list(PAPER.values())
    ten = [eta * 10**0.5 for eta in etas]
    common: dict[str, Any] = {"scale": scale, "steps": steps, "seeds": seeds}
    tall = {
        "dimension": 10,
        "norm": lambda cell, seed, t: descent({**cell, "upper_step": cell["upper_step"] / 4}, seed, t),
    }
    one = {"noise": [0.0, 1.0], "upper_noise": [0.0, 1.0]}
    searched = {"upper_step": list(np.geomspace(0.003, 0.3, 9)), "lower_step": [0.1, 1.0, 10.0]}
    return {
        "fig1": lambda: [record(p, {"noise": noises, "upper_noise": noises}, **common) for p in EXPONENTS],
        "fig1_released": lambda: [record(p, {"noise": noises}, noise_reading="std", **common) for p in EXPONENTS],
        "fig1_equal": lambda: [record(p, one | {"upper_step": etas}, **common) for p in EXPONENTS],
        "fig1_coordinatewise": lambda: [
            record(p, {"noise": noises, "upper_noise": noises}, **tall, **common) for p in EXPONENTS
        ],
        "fig1_coordinatewise_equal": lambda: [
            record(p, one | {"upper_step": ten}, **tall, **common) for p in EXPONENTS
        ],
        "coordinatewise_sensitivity": lambda: [
            record(
                p,
                one | {"hessian_noise": [0.0, 0.25], "cross_noise": [0.0, 0.25], "neumann_step": [0.1, 1.0]},
                inner_budget=k,
                estimator=e,
                **tall,
                **common,
            )
            for p in EXPONENTS
            for k in (10, 100)
            for e in ("generalised", "classical")
        ],
        "lr_search": lambda: [record(p, searched, noise=1.0, **common) for p in EXPONENTS],
        "fig5": lambda: [record(p, one | {"upper_step": etas}, **common) for p in EXPONENTS],
        "runtime": lambda: [record(p, noise=1.0, **{**common, "seeds": 1}) for p in EXPONENTS],
    }


def write_study(root: Path, given: Mapping[str, Sequence[FakeRecord]]) -> None:
    """The same as real records on disk, with their manifests."""
    for experiment, found in given.items():
        names = [records.name_of(one.config) for one in found]  # some are changed after they were named
        for name, one in zip(names, found, strict=True):
            records.write(root / name, one.config, one.summary, one.history, one.runs)
        lists.write_manifest(root, experiment, names, f"python -m unibio experiment={experiment}")
