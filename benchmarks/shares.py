"""Where a batched run's time goes: its functions are wrapped by a stopwatch that stops while another one runs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from batched import Batch
from measure import Row
from unibio.algorithms import unibio
from unibio.core import epoch_sgd, powers
from unibio.core.oracle import Oracle
from unibio.core.streams import Streams
from unibio.simulation.history import Recorder
from unibio.simulation.loop import Loop


class Stopwatch:
    """Seconds by part; time inside a nested part counts for that part only."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = time.process_time()

    def _turn(self) -> None:
        now = time.process_time()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time counted for ``part``."""

        def wrapper(*args: Any, **options: Any) -> Any:
            self._turn()
            self._open.append(part)
            try:
                return function(*args, **options)
            finally:
                self._turn()
                self._open.pop()

        return wrapper


def rows(batch: Batch, name: str) -> dict[str, Row]:
    """Percent of the time of Algorithm 2 by part, the largest first."""
    watch = Stopwatch()
    ball = epoch_sgd.ball
    places: list[tuple[Any, str, str]] = [
        (Streams, "block", "random numbers"),
        (powers, "_integer_power", "powers of y"),
        (epoch_sgd, "descend", "gradient step"),
        (Oracle, "_sample", "samples: scaling the noise, Draw and Sample objects"),
        (Oracle, "grad_lower", "oracle: counting and dispatch"),
        (unibio, "epoch_sgd", "averaging and loop of Epoch-SGD"),
        (unibio, "generalised_neumann", "hypergradient"),
        (unibio.UniBiO, "step", "momentum and upper step"),
        (Loop, "observe", "metrics and divergence check"),
        (Recorder, "add", "history: rows"),
        (Recorder, "frame", "history: table"),
    ]
    derivatives = dict(batch.problem.derivatives)
    derivatives["grad_lower"] = watch.timed("lower gradient without its power", derivatives["grad_lower"])
    batch = replace(batch, problem=replace(batch.problem, derivatives=derivatives))
    with ExitStack() as stack:
        for owner, attribute, part in places:
            stack.enter_context(patch.object(owner, attribute, watch.timed(part, getattr(owner, attribute))))
        project = patch.object(
            epoch_sgd, "ball", lambda centre, radius: watch.timed("projection onto the ball", ball(centre, radius))
        )
        stack.enter_context(project)
        watch.timed("everything else", batch.simulate)()
    total = sum(watch.seconds.values())
    order = sorted(watch.seconds, key=lambda part: -watch.seconds[part])
    return {f"shares/{name}/{part}": Row(100 * watch.seconds[part] / total, "%") for part in order}
