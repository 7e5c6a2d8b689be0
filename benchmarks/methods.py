"""What a method adds to its oracle: the time of its iterations over the time of the same oracle calls alone.

A stretch of iterations is run once and its oracle calls are noted, samples and arguments included. Then the stretch is
repeated from the same state, in turns with a bare loop that makes the noted calls through the same oracle.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from measure import Contestant, Row, interleaved
from unibio.core.algorithm import Algorithm, State
from unibio.core.oracle import Oracle
from unibio.core.problem import Problem
from unibio.core.saga import Blocks
from unibio.core.streams import Streams
from unibio.problems.lp_regression import LpRegression
from unibio.problems.quadratic import Quadratic
from unibio.registry import ALGORITHMS

#: An iteration may take this many times as long as its oracle calls.
TARGET = 1.3
#: Iterations of a stretch: whole periods of every method's default period of 2.
STRETCH = 4
Note = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
#: Calls that are the oracle's work. A draw for the algorithm's own use (a random length, a block) is not.
CALLS = (
    "sample_upper",
    "sample_lower",
    "grad_upper",
    "grad_upper_x",
    "grad_upper_y",
    "grad_lower",
    "grad_lower_x",
    "values",
    "value_lower",
    "hvp",
    "hvp_at",
    "jvp",
    "lower_at_once",
)
#: Not a method: it steps along a closed form.
LEFT_OUT = ("unibio_released",)


class Case(NamedTuple):
    """A problem as the methods meet it.

    Attributes:
        what: for the note.
        problem: of which to call the oracle.
        runs: rows of the batch.
        batch_size: of all samples.
        step: of every parameter that is a step of the lower level or of its linear system.
    """

    what: str
    problem: Problem
    runs: int
    batch_size: int
    step: float


def quadratic(dimension: int, points: int) -> Case:
    """The stochastic quadratic in one dimension for both levels."""
    spec = Quadratic(dimension_x=dimension, dimension_y=dimension, size_lower=points, size_upper=points)
    return Case(f"d_x = d_y = {dimension}, n = {points}, batch 64, one run", spec.build(), 1, 64, 0.1)


def lp_regression(runs: int) -> Case:
    """ℓ_p-regression for p = 4 as its experiment runs it: batches of 50, all pairs of steps and seeds side by side."""
    return Case(f"p = 4, n = 500, batch 50, {runs} runs", LpRegression(exponent=4).build(), runs, 50, 0.01)


@dataclass(frozen=True)
class Scale:
    """Which cases, and how many rounds are kept."""

    dimension: int = 1000
    points: int = 1024
    runs: tuple[int, ...] = (210, 1)
    repetitions: int = 9


def rows(scale: Scale) -> dict[str, Row]:
    """Three rows per case and method: seconds an iteration, of its bare calls, and their ratio."""
    cases = {"quadratic": quadratic(scale.dimension, scale.points)}
    cases |= {f"lp_regression_{runs}": lp_regression(runs) for runs in scale.runs}
    table: dict[str, Row] = {}
    for name, case in cases.items():
        for method, algorithm in ALGORITHMS.items():
            if method not in LEFT_OUT:
                table |= compare(f"{name}/{method}", case, configured(algorithm, case), scale.repetitions)
    return table


def configured(algorithm: type[Algorithm], case: Case) -> Algorithm:
    """A method with its default lengths, the case's batches, and steps at which nothing diverges."""
    names = {field.name for field in fields(algorithm)}
    small = dict.fromkeys(("lower_step", "auxiliary_step", "neumann_step", "warm_step"), case.step)
    # A step on f + λg meets the curvature of both.
    wanted: dict[str, Any] = {"batch_size": case.batch_size, "upper_step": 1e-3, "penalised_step": case.step / 10}
    wanted |= small
    return algorithm(**{key: value for key, value in wanted.items() if key in names})


def compare(name: str, case: Case, algorithm: Algorithm, repetitions: int) -> dict[str, Row]:
    """Time a method on a case."""
    stretch = Stretch(case, algorithm)
    pair = {"method": Contestant(stretch.repeat, STRETCH), "bare": Contestant(stretch.replay, STRETCH)}
    with torch.no_grad():
        seconds = interleaved(pair, repetitions, stretch.rewind)
    ratio = statistics.median(a / b for a, b in zip(seconds["method"], seconds["bare"], strict=True))
    calls = stretch.calls / STRETCH
    bare = Row(statistics.median(seconds["bare"]), "s", note=f"{calls:g} calls an iteration")
    return {
        f"iteration/{name}": Row(statistics.median(seconds["method"]), "s", note=case.what),
        f"bare/{name}": bare,
        f"overhead/{name}": Row(ratio, "×", TARGET, f"bare/{name}", ratio <= TARGET),
    }


class Stretch:
    """A few iterations from a state, as often as wanted, and their oracle calls.

    Attributes:
        calls: gradients, HVPs and JVPs that were made in the stretch.
    """

    def __init__(self, case: Case, algorithm: Algorithm):
        start = case.problem.start
        assert start is not None
        x, y = (part.expand(case.runs, -1).clone() for part in start)
        case.problem.prepare(x, y)
        self.algorithm = algorithm
        self.oracle = Oracle(case.problem, Streams(range(case.runs)), case.batch_size)
        with torch.no_grad():
            state = algorithm.init(self.oracle, x, y)
            for _ in range(STRETCH):  # the first iterations of some methods are cheaper
                state = algorithm.step(self.oracle, state)
            self.state, self.drawn = _copy(state), self.oracle.state()
            self.rewind()
            before = self.oracle.calls
            with noting(self.oracle) as self.notes:
                self.repeat()
        self.calls = self.oracle.calls - before
        if not all(bool(torch.isfinite(end).all()) for end in (self.end["x"], self.end["y"])):
            raise ArithmeticError(f"{algorithm.name} diverges in its benchmark: its times would mean nothing")

    def rewind(self) -> None:
        """Back to the state in which the stretch begins."""
        self.oracle.restore(self.drawn)
        self.now = _copy(self.state)

    def repeat(self) -> None:
        """The stretch by the method."""
        state = self.now
        for _ in range(STRETCH):
            state = self.algorithm.step(self.oracle, state)
        self.end = state

    def replay(self) -> None:
        """The calls of the stretch alone."""
        for call, args, options in self.notes:
            call(*args, **options)


@contextmanager
def noting(oracle: Oracle) -> Iterator[list[Note]]:
    """Notes the calls made to an oracle from outside; what a call itself calls belongs to it."""
    notes: list[Note] = []
    inside = False

    def noted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            nonlocal inside
            if inside:
                return call(*args, **options)
            notes.append((call, args, options))
            inside = True
            try:
                result = call(*args, **options)
            finally:
                inside = False
            return noted(result) if call.__name__ == "hvp_at" else result

        return wrapper

    for name in CALLS:
        setattr(oracle, name, noted(getattr(oracle, name)))
    block = Blocks.sample  # SABA's way to a sample; it costs what sample_lower costs
    try:
        with patch.object(Blocks, "sample", noted(block)):
            yield notes
    finally:
        for name in CALLS:
            delattr(oracle, name)


def _copy(state: State) -> State:
    """A state that a step may write into."""
    return {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}
