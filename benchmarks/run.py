"""``make bench``: how fast and how large batched runs are, against scalar code that computes the same, and what every
method adds to the cost of its oracle calls.

Prints tables and writes ``benchmarks/latest.json``: name → {value, unit, target, relative_to, met, note}. The method is
described in ``benchmarks/README.md``, whose table of results this program also writes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and NumPy read it: one thread for everybody

import numpy as np
import torch

import compiled
import harness
import machine
import memory
import methods
import network
import shares
from batched import Batch, check_agreement, distinct_seeds, grid
from measure import Contestant, Row, interleaved, rate, speedup
from page import print_tables, write_page
from scalar import OPPONENTS, Settings
from unibio.draw import BLOCK, Draw, Streams

HERE = Path(__file__).parent
#: Wanted speed-ups over the opponents.
TARGETS = {"python_floats": 50.0, "numpy_float64": 500.0, "numpy_arrays": 500.0}


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        runs: trajectories of a batch: a square, its root divisible by 4.
        steps: T of the paired timings and of the memory runs.
        short_steps: T where slower code is timed.
        repetitions: rounds kept for p = 4.
        few_repetitions: rounds kept elsewhere.
        exponents: p.
        memory_runs: sizes of the memory runs.
        compile_limit: seconds that compilation may take; 0 leaves it out.
        methods: how large the problems are on which methods are compared with their oracles.
        network: how wide the recurrent network is, and its batches.
        harness: how many jobs are run and listed to see what sweeps cost.
    """

    runs: int = 10_000
    steps: int = 500
    short_steps: int = 40
    repetitions: int = 5
    few_repetitions: int = 3
    exponents: tuple[int, ...] = (2, 4, 8)
    memory_runs: tuple[int, ...] = (2_500, 5_000, 10_000, 20_000)
    compile_limit: float = 60.0
    methods: methods.Scale = field(default_factory=methods.Scale)
    network: network.Scale = field(default_factory=network.Scale)
    harness: harness.Scale = field(default_factory=harness.Scale)


TINY = Scale(
    64,
    4,
    2,
    1,
    1,
    (4,),
    (100, 200),
    0.0,
    methods.Scale(20, 100, (2,), 1),
    network.Scale((8,), 16, 40, 10, 1),
    harness.Scale(2, 20, False),
)


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


def measure(scale: Scale) -> dict[str, Row]:
    """Everything, in the order of the tables."""
    rows: dict[str, Row] = {}
    stages = [("opponents compute the same", lambda: agreement(scale))]
    for p in scale.exponents:
        stages.append((f"UniBiO, p = {p}, noise", lambda p=p: against_scalar_code(scale, p, 1.0)))
        stages.append((f"UniBiO, p = {p}, no noise", lambda p=p: against_scalar_code(scale, p, 0.0)))
        stages.append((f"Epoch-SGD alone, p = {p}", lambda p=p: epoch_sgd_alone(scale, p)))
        stages.append((f"derivatives, p = {p}", lambda p=p: {**autograd(scale, p, 1.0), **autograd(scale, p, 0.0)}))
    s = Settings(steps=scale.steps)
    stages.append(("random numbers", lambda: random_numbers(scale)))
    stages.append(("history", lambda: history_overhead(scale)))
    stages.append(("shares, seeds", lambda: shares.rows(distinct_seeds(s, scale.runs, 1.0), "seeds")))
    stages.append(("shares, grid", lambda: shares.rows(grid(s, scale.runs, 1.0), "grid")))
    stages.append(("methods over their oracles", lambda: methods.rows(scale.methods)))
    stages.append(("network", lambda: network.rows(scale.network)))
    stages.append(("sweeps", lambda: harness.rows(scale.harness)))
    stages.append(("memory", lambda: memory.rows(list(scale.memory_runs), min(scale.steps, 250))))
    if scale.compile_limit:
        stages.append(("torch.compile", lambda: compiled.rows(scale.runs, scale.compile_limit)))
    else:
        rows[compiled.NAME] = Row(None, "lower steps/s", note="skipped: not asked for")
    wall, processor = 0.0, 0.0
    for name, stage in stages:
        began = time.perf_counter(), time.process_time()
        rows.update(stage())
        took = time.perf_counter() - began[0]
        print(f"  {name}: {took:.1f} s", file=sys.stderr, flush=True)
        if name not in ("memory", "network", "torch.compile"):  # they work in other processes
            wall, processor = wall + took, processor + time.process_time() - began[1]
    rows["bench/wall_over_processor"] = Row(wall / processor, "×", note="1 on an idle machine")
    return rows


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a few runs and steps: does everything work?")
    parser.add_argument("--output", type=Path, help="where to write the JSON (default: latest.json beside this file)")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    options = parser.parse_args()
    if options.tiny and options.output is None:
        parser.error("--tiny needs --output: its numbers are not worth keeping as latest.json")
    scale = TINY if options.tiny else Scale(compile_limit=0.0 if options.no_compile else 60.0)
    torch.set_num_threads(1)
    began = time.perf_counter()
    rows = {**machine.rows(), **measure(scale)}
    rows["bench/seconds"] = Row(time.perf_counter() - began, "s", note="all of this")
    output = options.output or HERE / "latest.json"
    text = json.dumps({name: row.as_json() for name, row in rows.items()}, indent=1, ensure_ascii=False)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(output)
    print_tables(rows)
    if options.output is None:
        write_page(HERE / "README.md", rows)
    print(f"\nwritten: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
