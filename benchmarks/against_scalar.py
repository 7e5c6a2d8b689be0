"""Batches of 10,000 trajectories on Example 3 against scalar code that computes the same, and what surrounds them."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass

import numpy as np

import shares
from batched import Batch, check_agreement, distinct_seeds, grid
from measure import Contestant, Row, interleaved, rate, speedup
from scalar import OPPONENTS, Settings
from unibio.core.streams import BLOCK, Draw, Streams

#: Wanted speed-ups over the opponents.
TARGETS = {"python_floats": 50.0, "numpy_float64": 500.0, "numpy_arrays": 500.0}


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        runs: trajectories of a batch: a square, its root divisible by 4.
        steps: T of the paired timings.
        short_steps: T where slower code is timed.
        repetitions: rounds kept for p = 4.
        few_repetitions: rounds kept elsewhere.
        exponents: p.
    """

    runs: int = 10_000
    steps: int = 500
    short_steps: int = 40
    repetitions: int = 5
    few_repetitions: int = 3
    exponents: tuple[int, ...] = (2, 4, 8)


def rows(scale: Scale) -> dict[str, Row]:
    """Agreement first; then rates and speed-ups of both algorithms, with own derivatives and without."""
    table = agreement(scale)
    for p in scale.exponents:
        table |= against_scalar_code(scale, p, 1.0) | against_scalar_code(scale, p, 0.0)
        table |= epoch_sgd_alone(scale, p)
        table |= autograd(scale, p, 1.0) | autograd(scale, p, 0.0)
    return table


def agreement(scale: Scale) -> dict[str, Row]:
    """Largest differences between the opponents and us, on our noise; raises where they are not the same."""
    table = {}
    for p in scale.exponents:
        s = Settings(exponent=p, steps=min(scale.steps, 100))
        worst = max(check_agreement(distinct_seeds(s, 3, 1.0)), check_agreement(grid(s, 16, 1.0)))
        note = f"x, y, mean |∇φ| after {s.steps} iterations; 3 seeds, and 4 seeds × 4 settings"
        table[f"agreement/p{p}"] = Row(worst, "largest difference", 1e-10, "all opponents", worst <= 1e-10, note)
    return table


def simulated(batch: Batch) -> Contestant:
    """Algorithm 2 by one batched program."""
    return Contestant(batch.simulate, batch.runs * batch.s.lower_steps)


def opponents(s: Settings, variance: float, *, alone: bool) -> dict[str, Contestant]:
    """The scalar programs, each for a tenth of a second or so; ``alone`` runs Algorithm 1 only."""
    table = {}
    for name, make in OPPONENTS.items():
        opponent = make(s, variance**0.5, None)
        solves = max(1, (10 if name == "python_floats" else 1) * s.lower_steps // s.solve_steps)
        if alone:
            start = getattr(opponent, "start", 1.0)
            work = lambda o=opponent, y=start, n=solves: [o.epoch_sgd(y, y) for _ in range(n)]  # noqa: E731
            table[name] = Contestant(work, solves * s.solve_steps)
        else:
            runs = 10 if name == "python_floats" else 1
            work = lambda o=opponent, n=runs: [o.run() for _ in range(n)]  # noqa: E731
            table[name] = Contestant(work, runs * s.lower_steps)
    return table


def against_scalar_code(scale: Scale, p: int, variance: float) -> dict[str, Row]:
    """Rates of Algorithm 2 and its speed-ups, for as many seeds as runs and for seeds × settings."""
    s = Settings(exponent=p, steps=scale.steps)
    kind = f"p{p}/{'noise' if variance else 'no_noise'}"
    ours = {"seeds": distinct_seeds(s, scale.runs, variance)}
    if variance:
        ours["grid"] = grid(s, scale.runs, variance)
    rivals = opponents(s, variance, alone=False)
    rounds = scale.repetitions if p == 4 and variance else scale.few_repetitions
    seconds = interleaved({**{n: simulated(b) for n, b in ours.items()}, **rivals}, rounds)
    table = {f"unibio/{kind}/{name}": rate(seconds[name]) for name in seconds}
    for layout in ours:
        for rival in rivals:
            name = f"unibio/{kind}/{rival}"
            target = TARGETS[rival] if variance else None
            table[f"speedup/unibio/{kind}/{layout}/{rival}"] = speedup(seconds[layout], seconds[rival], name, target)
    return table


def epoch_sgd_alone(scale: Scale, p: int) -> dict[str, Row]:
    """The same for Algorithm 1 without an upper level, metrics or history; noise on."""
    s = Settings(exponent=p, steps=scale.steps)
    solves = max(1, scale.steps // 10)
    contestants = opponents(s, 1.0, alone=True)
    rivals = list(contestants)
    for layout, batch in (("seeds", distinct_seeds(s, scale.runs, 1.0)), ("grid", grid(s, scale.runs, 1.0))):
        solver = batch.solver()
        work = lambda solver=solver: [solver() for _ in range(solves)]  # noqa: E731
        contestants[layout] = Contestant(work, solves * scale.runs * s.solve_steps)
    seconds = interleaved(contestants, scale.repetitions)
    table = {f"epoch_sgd/p{p}/noise/{name}": rate(seconds[name]) for name in seconds}
    for layout in ("seeds", "grid"):
        for rival in rivals:
            name = f"epoch_sgd/p{p}/noise/{rival}"
            row = speedup(seconds[layout], seconds[rival], name, TARGETS[rival])
            table[f"speedup/epoch_sgd/p{p}/noise/{layout}/{rival}"] = row
    return table


def autograd(scale: Scale, p: int, variance: float) -> dict[str, Row]:
    """Algorithm 2 with autograd's derivatives and with the problem's own, side by side."""
    s = Settings(exponent=p, steps=scale.short_steps)
    kind = f"p{p}/{'noise' if variance else 'no_noise'}"
    pair = {
        "own_derivatives": simulated(distinct_seeds(s, scale.runs, variance)),
        "autograd": simulated(distinct_seeds(s, scale.runs, variance, own_derivatives=False)),
    }
    seconds = interleaved(pair, scale.few_repetitions)
    table = {f"derivatives/{kind}/{name}": rate(seconds[name], f"T = {s.steps}") for name in pair}
    ratio = speedup(seconds["own_derivatives"], seconds["autograd"], f"derivatives/{kind}/autograd")
    return {**table, f"derivatives/{kind}/ratio": ratio}


def history_overhead(scale: Scale) -> dict[str, Row]:
    """What logging costs: 200 log-spaced iterations against the first and the last only."""
    batch = grid(Settings(steps=scale.steps), scale.runs, 1.0)
    steps = batch.runs * batch.s.lower_steps
    pair = {"logged": Contestant(batch.simulate, steps), "bare": Contestant(lambda: batch.simulate(2), steps)}
    seconds = interleaved(pair, scale.few_repetitions)
    ratio = speedup(seconds["bare"], seconds["logged"], "history/bare").value
    assert isinstance(ratio, float)
    note = f"time of {scale.steps} iterations with 200 logged, over 2 logged; seeds × settings"
    return {"history/overhead": Row(100 * (ratio - 1), "%", relative_to="the same run, 2 iterations logged", note=note)}


def random_numbers(scale: Scale) -> dict[str, Row]:
    """Normals per second from the streams of as many seeds as runs, and from NumPy's generator."""
    philox = np.random.Generator(np.random.Philox(0))
    near, far = Streams(range(scale.runs)), Streams([7919 * seed for seed in range(scale.runs)])
    out = np.empty(scale.runs * BLOCK)
    fresh = itertools.count()
    contestants = {
        "normal": Contestant(lambda: Draw(near, "lower", next(fresh) * BLOCK).normal(1), out.size),
        "normal_scattered_seeds": Contestant(lambda: Draw(far, "lower", next(fresh) * BLOCK).normal(1), out.size),
        "numpy_standard_normal": Contestant(lambda: philox.standard_normal(out=out), out.size),
    }
    notes = (f"{scale.runs} seeds, {BLOCK} numbers each", "the same, no two seeds neighbours", "one stream, Philox")
    seconds = interleaved(contestants, 3 * scale.few_repetitions)
    return {
        f"random/{name}": Row(1 / statistics.median(seconds[name]), "numbers/s", note=note)
        for name, note in zip(contestants, notes, strict=True)
    }


def share_rows(scale: Scale) -> dict[str, Row]:
    """Where the time of Algorithm 2 goes, for either layout."""
    s = Settings(steps=scale.steps)
    batches = {"seeds": distinct_seeds(s, scale.runs, 1.0), "grid": grid(s, scale.runs, 1.0)}
    return {key: row for name, batch in batches.items() for key, row in shares.rows(batch, name).items()}
