"""The loop: trajectories of one algorithm on one problem as a batch, from their start or a checkpoint to their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pandas as pd
import torch
from torch import Tensor

from unibio.core.algorithm import Algorithm
from unibio.core.problem import Metrics, Problem
from unibio.errors import InputError
from unibio.simulation import checkpoint
from unibio.simulation.loop import Loop, OnLog
from unibio.simulation.settings import Settings
from unibio.simulation.trajectories import Interrupted, Trajectories

#: Iterations that nobody is told of one by one, at most, where compiled loops do several at once.
TOGETHER = 1000
#: Between two checkpoints passes at least this many times what the earlier one took to write.
SAVE_PAUSE = 10


def simulate(
    problem: Problem,
    algorithm: Algorithm,
    x: Tensor,
    y: Tensor,
    *,
    seeds: Sequence[int],
    settings: Settings,
    progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    until: int | None = None,
    metrics: Metrics | None = None,
    on_log: OnLog | None = None,
    returning: bool = False,
    announce: Callable[[str], None] | None = None,
    on_save: Callable[[Callable[[], pd.DataFrame]], None] | None = None,
) -> Trajectories:
    """Run one batch to its end, or its first iterations.

    Args:
        problem: the problem.
        algorithm: hyper-parameters as numbers or (runs, 1) tensors.
        x, y: the starts, (runs, d_x), (runs, d_y), finite.
        seeds: one per row.
        settings: length, logging, checkpoint.
        progress: called with the number of finished iterations.
        should_stop: asked before every iteration; True saves a checkpoint and raises :class:`Interrupted`. During the
            start, which may be as long as many iterations, it is asked before every oracle call; nothing is saved then.
        until: the iteration to end after, if the batch has not ended by itself. What is computed and logged up to
            there is what the whole run computes and logs; there is no row for it unless its turn has come.
        metrics: in the place of default ones, where the problem brings none of its own.
        on_log: called with every row of history as it is logged, as :meth:`Recorder.latest` gives it; where it returns
            False the batch stops, as if ``should_stop`` had said so.
        returning: whoever stops the batch gets what there is, with the status "interrupted", and no exception; the
            checkpoint is written at the end, too, so that the same call gives the same result at once.
        announce: called, in a line, before settings are looked at on more than somebody has asked for.
        on_save: called after every checkpoint with what makes the history that it holds, in a table.

    Raises:
        InputError: settings that cannot work, found before the first step.
        Interrupted: see ``should_stop``.
        DamagedFile: the checkpoint is not what was written, or holds something else.
    """
    _check_rows(problem, algorithm, x, y, len(seeds))
    loop = Loop(problem, algorithm, x, y, list(seeds), settings, metrics, on_log)

    def save() -> None:
        checkpoint.save(settings.checkpoint, loop.content(), loop.identity())
        if on_save is not None:
            on_save(loop.history)

    try:
        loop.start(should_stop, announce)
    except Interrupted:
        if returning:
            return loop.finish(interrupted=True)
        raise
    saved, pause = time.monotonic(), settings.checkpoint_seconds
    watched = progress is not None or should_stop is not None
    while loop.unfinished() and (until is None or loop.iteration < until):
        if loop.told_to_stop or (should_stop is not None and should_stop()):
            save()
            if returning:
                return loop.finish(interrupted=True)
            raise Interrupted(f"stopped at iteration {loop.iteration}")
        loop.advance(1 if watched else TOGETHER if until is None else min(TOGETHER, until - loop.iteration))
        if progress is not None:
            progress(loop.iteration)
        if settings.checkpoint is not None and (began := time.monotonic()) - saved > pause:
            save()
            saved = time.monotonic()
            pause = max(settings.checkpoint_seconds, SAVE_PAUSE * (saved - began))
    if returning and loop.iteration > loop.resumed_from:
        save()
    return loop.finish()


def _check_rows(problem: Problem, algorithm: Algorithm, x: Tensor, y: Tensor, runs: int) -> None:
    for name, start in (("x", x), ("y", y)):
        if start.ndim != 2 or len(start) != runs or not bool(torch.isfinite(start).all()):
            raise InputError(f"{name} must be ({runs}, d) and finite, one row per seed, got {tuple(start.shape)}")
    for name in algorithm.per_run():
        value = getattr(algorithm, name)
        if isinstance(value, Tensor) and len(value) != runs:
            raise InputError(f"algorithm.{name} has {len(value)} rows, but there are {runs} runs")
