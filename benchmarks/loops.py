"""What compiled loops bring to Algorithm 2 on Example 3, and what they cost at first.

With them and without them the same numbers are computed, to the bit.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from measure import Contestant, Row, interleaved, rate
from scalar import Settings
from unibio import Example3
from unibio.algorithms.unibio import UniBiO
from unibio.core import compiled
from unibio.simulation.settings import Settings as RunSettings
from unibio.simulation.simulate import simulate

TYPES = {"float64": torch.float64, "float32": torch.float32}
#: What float32 is wanted to gain over float64 at the largest size.
GAIN = 1.5


def rows(sizes: tuple[int, ...], steps: int, repetitions: int) -> dict[str, Row]:
    """Rates, ratios, and seconds to compile.

    Args:
        sizes: trajectories, ascending.
        steps: T; what is done once a run counts as well.
        repetitions: rounds kept.
    """
    table: dict[str, Row] = {}
    for runs in sizes:
        contestants = {f"{name}/{how}": _run(runs, steps, name, how == "compiled")
                       for name in TYPES for how in ("compiled", "plain")}  # fmt: skip
        seconds = interleaved(contestants, repetitions)
        for name in contestants:
            table[f"loops/{runs}/{name}"] = rate(seconds[name], f"Algorithm 2, p = 4, noise, {runs} seeds, T = {steps}")
        for name in TYPES:
            ratio = _ratio(seconds[f"{name}/plain"], seconds[f"{name}/compiled"])
            table[f"loops/{runs}/{name}/gain"] = Row(ratio, "×", relative_to=f"loops/{runs}/{name}/plain")
        gain = _ratio(seconds["float64/compiled"], seconds["float32/compiled"])
        target = GAIN if runs == max(sizes) else None
        met = None if target is None else gain >= target
        table[f"loops/{runs}/single"] = Row(
            gain, "×", target, f"loops/{runs}/float64/compiled", met, "float32 over float64"
        )
    return table | _first()


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def _run(runs: int, steps: int, dtype: str, loops: bool) -> Contestant:
    s = Settings(exponent=4, steps=steps)
    problem = Example3(exponent=4, noise=1.0).build()
    algorithm = UniBiO(upper_step=s.upper_step, lower_step=s.lower_step)
    x = torch.ones(runs, 1, dtype=TYPES[dtype])

    def work() -> None:
        with compiled.forced(loops):
            simulate(problem, algorithm, x, x.clone(), seeds=range(runs), settings=RunSettings(steps=steps))

    return Contestant(work, runs * s.lower_steps)


def _first() -> dict[str, Row]:
    """Seconds that a process takes more: the first one of a machine, which compiles, and a later one, which loads."""
    with tempfile.TemporaryDirectory() as cache:
        taken = [_process(cache, loops) for loops in (False, True, True)]
    note = "processor time of a process that runs 5 iterations, over that of one without compiled loops"
    return {
        "loops/compile": Row(taken[1] - taken[0], "s", note=f"{note}; nothing compiled yet"),
        "loops/load": Row(taken[2] - taken[0], "s", note=f"{note}; all compiled before"),
    }


def _process(cache: str, loops: bool) -> float:
    command = [sys.executable, __file__, str(int(loops))]
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


if __name__ == "__main__":
    torch.set_num_threads(1)
    _run(3, 5, "float64", bool(int(sys.argv[1]))).work()
    print(time.process_time())
