"""One iteration of UniBiO on the recurrent network: over its oracle calls, over the released loop, over a floor.

The pairs are random words in sentences as long as SNLI's, so that everybody can run this: lengths decide the time, and
how many of the words are different. Random minibatches of 128 pairs of SNLI have 715 different words on average, with a
standard deviation of 26, among some 2,840 tokens; the words are drawn by a power of their rank that gives as many.
Every width has a process of its own, for its peak memory.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch

import network_released
from measure import Row, spread

if TYPE_CHECKING:
    from unibio.core.algorithm import Algorithm, State
    from unibio.core.oracle import Oracle

#: How many times as fast as the released loop an iteration of ours is wanted to be, by width.
WANTED = {64: 3.0, 256: 2.0}
#: An iteration over its oracle calls; percent of it spent on handling data; peak memory over the released loop's.
OVER_ORACLE, DATA_SHARE, MEMORY = 1.15, 3.0, 0.6
#: Products of two layers by kind of derivative: with the word vectors (U×e by e×h, every different word once), between
#: layers (N×h by h×h), and with the states of the time before (M×h by h×h, without the first tokens, which have none).
PRODUCTS = {"gradient": (2, 3, 6), "hvp": (3, 8, 16), "jvp": (2, 3, 6)}
#: Iterations in a row of which the time in data handling is taken.
ROW = 32


@dataclass(frozen=True)
class Scale:
    """What is measured."""

    widths: tuple[int, ...] = (64, 256)
    batch: int = 128
    pairs: int = 2000
    dimension: int = 300
    repetitions: int = 5


def rows(scale: Scale) -> dict[str, Row]:
    """The rows of every width."""
    table: dict[str, Row] = {}
    for width in scale.widths:
        arguments = [width, scale.batch, scale.pairs, scale.dimension, scale.repetitions]
        found = _process("measure", arguments) | _process("released_peak", arguments)
        table[f"agreement/network/{width}"] = network_released.agree(width)
        table |= _rows(f"network/{width}", width, found)
    return table


def _process(what: str, arguments: list[int]) -> dict[str, Any]:
    command = [sys.executable, __file__, what, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    if done.returncode:
        raise RuntimeError(f"network.py {what} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _rows(name: str, width: int, found: dict[str, Any]) -> dict[str, Row]:
    step, bare = f"{name}/iteration", f"{name}/oracle_calls"
    note = "mean over periods of 2: 3 lower steps every other iteration, Q = 3 with fresh samples"
    table = {
        step: Row(found["step"], "s", note=note),
        bare: Row(found["bare"], "s", note="the same calls alone"),
        f"{name}/over_oracle": _below(found["ratio"], "×", OVER_ORACLE, bare),
        f"{name}/data_share": _below(found["data"], "%", DATA_SHARE, step, "draws, gathering, packing"),
        f"{name}/products": Row(
            found["products"], "s", note=f"its matrix products alone: {found['words']} words, {found['tokens']} tokens"
        ),
        f"{name}/over_products": Row(found["step"] / found["products"], "×", None, f"{name}/products"),
        f"{name}/memory": Row(found["peak"], "MB", note=f"peak of the process; {found['before']:.0f} MB before"),
    }
    for kind in ("gradient", "upper gradient", "hvp", "jvp"):
        table[f"{name}/{kind.replace(' ', '_')}"] = Row(found[kind], "s", note="one call, fresh sample")
    said = "the released loop, written anew; its method does less: no term q = 0"
    ratio, wanted = found["speedup"], WANTED.get(width)
    met = None if wanted is None else ratio >= wanted
    table[f"{name}/released"] = Row(found["released"], "s", note=f"an iteration of {said}")
    table[f"{name}/released_memory"] = Row(found["released_peak"], "MB", note="peak of a process with that loop alone")
    table[f"{name}/speedup_over_released"] = Row(ratio, "×", wanted, f"{name}/released", met, found["range"])
    memory = found["peak"] / found["released_peak"]
    table[f"{name}/memory_over_released"] = _below(memory, "×", MEMORY, f"{name}/released_memory")
    return table


def _below(value: float, unit: str, target: float, relative_to: str, note: str = "") -> Row:
    return Row(value, unit, target, relative_to, value <= target, note)


def measure(width: int, batch: int, pairs: int, dimension: int, repetitions: int) -> dict[str, Any]:
    """Measure one width."""
    from methods import STRETCH, Case, Stretch
    from network_data import pairs as random_pairs
    from network_data import problem as on_pairs
    from rivals.released import Released
    from unibio.algorithms.unibio import PlainUniBiO
    from unibio.problems.nli.network import Sentences

    data = random_pairs(pairs, dimension)
    problem = on_pairs(width, data)
    before = _peak()
    watch = _Watch()
    # A sample is drawn when a call asks for it, by the method and in the bare calls alike.
    problem.sample_lower, problem.sample_upper = map(watch.timed, (problem.sample_lower, problem.sample_upper))
    algorithm = PlainUniBiO(lower_iterations=3, period=2, neumann_terms=3, floor=0.5, batch_size=batch)
    stretch = Stretch(Case("network", problem, 1, batch, 0.1), algorithm)

    def rewound(work: Callable[[], object]) -> float:
        stretch.rewind()
        return _timed(work) / STRETCH

    with torch.no_grad():
        rewound(stretch.repeat)
        stretch.rewind()
        with patch.object(Sentences, "pairs", watch.timed(Sentences.pairs, watch.note)):
            watch.reset()
            spent = _timed(lambda: _go_on(algorithm, stretch.oracle, stretch.now))
    found: dict[str, Any] = {"before": before, "peak": _peak(), "data": 100 * watch.seconds / spent}
    sizes = watch.sizes()
    released, times = Released(data, width, batch), []
    for kept in [False] + [True] * repetitions:
        with torch.no_grad():
            step, bare = rewound(stretch.repeat), rewound(stretch.replay)
        theirs = _timed(lambda: [released.step() for _ in range(2)]) / 2
        if kept:
            times.append((step, bare, theirs))
    with torch.no_grad():
        x, y = (part[None] for part in problem.start)
        oracle, v = stretch.oracle, torch.randn_like(y)
        calls: dict[str, Callable[[], object]] = {
            "gradient": lambda: oracle.grad_lower(x, y),
            "upper gradient": lambda: oracle.grad_upper(x, y),
            "hvp": lambda: oracle.hvp(x, y, v),
            "jvp": lambda: oracle.jvp(x, y, v),
        }
        for name, call in calls.items():
            found[name] = statistics.median(_timed(call) for _ in range(repetitions + 1))
    found["step"], found["bare"], found["released"] = map(statistics.median, zip(*times, strict=True))
    found["ratio"] = statistics.median(step / bare for step, bare, _ in times)
    ratios = [theirs / step for step, _, theirs in times]
    found |= {"speedup": statistics.median(ratios), "range": spread(ratios)}
    found["words"], found["tokens"], _ = sizes
    found["products"] = _products(width, dimension, sizes, repetitions)
    return found


def released_peak(width: int, batch: int, pairs: int, dimension: int, _: int) -> dict[str, float]:
    """The peak of memory of a process that runs the released loop."""
    from network_data import pairs as random_pairs
    from rivals.released import Released

    released = Released(random_pairs(pairs, dimension), width, batch)
    for _ in range(2):
        released.step()
    return {"released_peak": _peak()}


def _go_on(algorithm: Algorithm, oracle: Oracle, state: State) -> None:
    """Iterations in a row, as a run makes them: minibatches are prepared several at a time, for calls to come."""
    for _ in range(ROW):
        state = algorithm.step(oracle, state)


class _Watch:
    """Adds up the time in some functions, and notes the sizes of minibatches."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.seconds = 0.0
        self._sizes: list[tuple[int, int, int]] = []

    def timed(self, function: Callable, then: Callable[[Any], None] = lambda _: None) -> Callable:
        """``function``, its time added; ``then`` sees what it gives, and its own time is not."""

        def wrapper(*args: object, **options: object) -> object:
            began = time.process_time()
            found = function(*args, **options)
            self.seconds += time.process_time() - began
            then(found)
            return found

        return wrapper

    def note(self, pairs: Any) -> None:
        """Note the size of a minibatch."""
        self._sizes.append((len(pairs.words.vectors), len(pairs.words.word), len(pairs.packing.previous)))

    def sizes(self) -> list[int]:
        """Mean numbers of different words of a minibatch, of its tokens, and of those that are not the first."""
        return [round(statistics.mean(sizes)) for sizes in zip(*self._sizes, strict=True)]


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _products(width: int, dimension: int, sizes: list[int], repetitions: int) -> float:
    """Seconds of the products of 1½ lower gradients, an upper gradient, two HVPs and a JVP, as large ones."""
    share = {"gradient": 2.5, "hvp": 2.0, "jvp": 1.0}
    seconds = 0.0
    for k, (rows, columns) in enumerate(zip(sizes, (dimension, width, width), strict=True)):
        left, right = torch.randn(rows, columns), torch.randn(columns, width)
        best = min(_timed(lambda left=left, right=right: left @ right) for _ in range(repetitions + 1))
        seconds += best * sum(share[kind] * PRODUCTS[kind][k] for kind in share)
    return seconds


def _peak() -> float:
    """Peak resident memory of this process in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would include what the parent had in memory when it started this process
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"measure": measure, "released_peak": released_peak}[sys.argv[1]](*map(int, sys.argv[2:]))))
