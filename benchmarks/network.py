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
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch

from measure import Row

if TYPE_CHECKING:
    from unibio.algorithms.base import Algorithm, State
    from unibio.oracle import Oracle

#: Seconds an iteration and peak MB of the authors' released loop, measured on a machine of this kind with SNLI, batch
#: 128, 300-d vectors, for a UniBiO step with the same Q = 3; and the ratios that are wanted.
RELEASED = {64: (0.59, 693.0, 3.0), 256: (1.71, 1489.0, 2.0)}
#: An iteration over its oracle calls; percent of it spent on handling data; peak memory over the released loop's.
OVER_ORACLE, DATA_SHARE, MEMORY = 1.15, 3.0, 0.6
#: Products of two layers by kind of derivative: with the word vectors (U×e by e×h, every different word once), between
#: layers (N×h by h×h), and with the states of the time before (M×h by h×h, without the first tokens, which have none).
PRODUCTS = {"gradient": (2, 3, 6), "hvp": (3, 8, 16), "jvp": (2, 3, 6)}
#: Words, the first of them padding, and the exponent of the law by which they are drawn.
WORDS, EXPONENT = 5000, 1.13
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
        command = [sys.executable, __file__, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
        found = json.loads(done.stdout.splitlines()[-1])
        table |= _rows(f"network/{width}", width, found)
    return table


def _rows(name: str, width: int, found: dict[str, float]) -> dict[str, Row]:
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
    if width in RELEASED:
        seconds, memory, wanted = RELEASED[width]
        ratio = seconds / found["step"]
        said = f"reference {seconds:g} s and {memory:g} MB, measured elsewhere on such a machine"
        table[f"{name}/speedup_over_released"] = Row(ratio, "×", wanted, step, ratio >= wanted, said)
        table[f"{name}/memory_over_released"] = _below(found["peak"] / memory, "×", MEMORY, f"{name}/memory", said)
    return table


def _below(value: float, unit: str, target: float, relative_to: str, note: str = "") -> Row:
    return Row(value, unit, target, relative_to, value <= target, note)


def main(width: int, batch: int, pairs: int, dimension: int, repetitions: int) -> None:
    """Measure one width, and print the numbers as JSON."""
    torch.set_num_threads(1)
    from methods import Case, Stretch
    from unibio.algorithms.unibio import PlainUniBiO
    from unibio.problems.nli_network import Sentences

    problem = _problem(width, pairs, dimension)
    before = _peak()
    watch = _Watch()
    # A sample is drawn when a call asks for it, by the method and in the bare calls alike.
    problem.sample_lower, problem.sample_upper = map(watch.timed, (problem.sample_lower, problem.sample_upper))
    algorithm = PlainUniBiO(lower_iterations=3, period=2, neumann_terms=3, floor=0.5, batch_size=batch)
    stretch = Stretch(Case("network", problem, 1, batch, 0.1), algorithm)
    step, bare = [], []
    with torch.no_grad():
        for kept in [False] + [True] * repetitions:
            stretch.rewind()
            spent = _timed(stretch.repeat)
            stretch.rewind()
            alone = _timed(stretch.replay)
            if kept:
                step.append(spent / 4)
                bare.append(alone / 4)
        stretch.rewind()
        with patch.object(Sentences, "pairs", watch.timed(Sentences.pairs, watch.note)):
            watch.reset()
            spent = _timed(lambda: _go_on(algorithm, stretch.oracle, stretch.now))
        peak = _peak()
        found = {"step": statistics.median(step), "bare": statistics.median(bare), "peak": peak, "before": before}
        found["ratio"] = statistics.median(a / b for a, b in zip(step, bare, strict=True))
        found["data"] = 100 * watch.seconds / spent
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
    sizes = watch.sizes()
    found["words"], found["tokens"], _ = sizes
    found["products"] = _products(width, dimension, sizes, repetitions)
    print(json.dumps(found))


def _go_on(algorithm: Algorithm, oracle: Oracle, state: State) -> None:
    """Iterations in a row, as a run makes them: minibatches are prepared several at a time, for calls to come."""
    for _ in range(ROW):
        state = algorithm.step(oracle, state)


def _problem(width: int, pairs: int, dimension: int):
    """The problem on random words; lengths have the means and the longest sentences of SNLI's."""
    from unibio.data import DataSettings, PairData, Split
    from unibio.problems.nli_cleaning import NLICleaning

    rng = np.random.default_rng(0)
    share = np.arange(1, WORDS) ** -EXPONENT
    share /= share.sum()

    def side(mean: float) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = np.clip(rng.gamma(5.0, mean / 5.0, pairs).round(), 2, 80).astype(np.int32)
        ids = rng.choice(WORDS - 1, (pairs, lengths.max()), p=share).astype(np.int32) + 1
        ids[np.arange(lengths.max()) >= lengths[:, None]] = 0
        return torch.from_numpy(ids), torch.from_numpy(lengths)

    def split() -> Split:
        label = torch.from_numpy(rng.integers(0, 3, pairs))
        return Split(*side(14.1), *side(8.3), label)

    vectors = torch.from_numpy(rng.standard_normal((WORDS, dimension)).astype(np.float32))
    vectors[0] = 0
    data = PairData(split(), split(), split(), vectors, ("",) * WORDS, "random words", "", 1.0, ())

    class Random(NLICleaning):
        def data(self) -> PairData:
            return data

    with tempfile.TemporaryDirectory() as cache:  # building keeps the flipped labels there
        problem = Random(width=width, pairs=DataSettings(cache=cache)).build()
    assert problem.start is not None
    problem.start = tuple(part.float() for part in problem.start)  # type: ignore[assignment]
    return problem


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
    main(*map(int, sys.argv[1:]))
