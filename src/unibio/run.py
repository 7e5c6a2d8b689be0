"""The loop: trajectories of one algorithm on one problem as a batch; history, divergence, checkpoint and resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from unibio import checkpoint as checkpoints
from unibio.algorithms.base import Algorithm, Diagnosis
from unibio.draw import Streams
from unibio.errors import InputError
from unibio.history import Recorder, log_iterations
from unibio.metrics import default_metrics
from unibio.oracle import Oracle
from unibio.problem import Problem
from unibio.settings import Settings as Settings

#: Epochs are given up when no lower gradient was asked for in so many iterations.
NO_LOWER_GRADIENTS = 1000
#: A row whose x or y has a norm above this has diverged.
DIVERGED_NORM = 1e10
#: Between two checkpoints passes at least this many times what the earlier one took to write.
SAVE_PAUSE = 10


class Interrupted(Exception):
    """The run was asked to stop before its end; a checkpoint was written where a path was given."""


@dataclass(frozen=True)
class Trajectories:
    """A finished batch. Rows are runs; ``stopped_at`` is the iteration each ended at."""

    x: Tensor
    y: Tensor
    status: list[str]
    stopped_at: list[int]
    history: pd.DataFrame
    first_below: dict[str, Tensor]
    counts: dict[str, Tensor]
    seconds: float
    diagnosis: Diagnosis
    resumed_from: int


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
) -> Trajectories:
    """Run one batch to its end.

    Args:
        problem: the problem.
        algorithm: hyper-parameters as numbers or (runs, 1) tensors.
        x, y: the starts, (runs, d_x), (runs, d_y), finite.
        seeds: one per row.
        settings: length, logging, checkpoint.
        progress: called with the number of finished iterations.
        should_stop: asked before every iteration; True saves a checkpoint and raises :class:`Interrupted`. During the
            start, which may be as long as many iterations, it is asked before every oracle call; nothing is saved then.

    Raises:
        InputError: settings that cannot work, found before the first step.
        Interrupted: see ``should_stop``.
    """
    _check_rows(problem, algorithm, x, y, len(seeds))
    loop = _Loop(problem, algorithm, x, y, list(seeds), settings)
    loop.start(should_stop)
    saved, pause = time.monotonic(), settings.checkpoint_seconds
    while loop.unfinished():
        if should_stop is not None and should_stop():
            loop.save()
            raise Interrupted(f"stopped at iteration {loop.iteration}")
        loop.advance()
        if progress is not None:
            progress(loop.iteration)
        if settings.checkpoint is not None and (began := time.monotonic()) - saved > pause:
            loop.save()
            saved = time.monotonic()
            pause = max(settings.checkpoint_seconds, SAVE_PAUSE * (saved - began))
    return loop.finish()


class _Loop:
    """The state of a simulation between two iterations; everything a checkpoint must hold."""

    def __init__(self, problem: Problem, algorithm: Algorithm, x: Tensor, y: Tensor, seeds: list[int], s: Settings):
        problem.prepare(x, y)
        self.problem, self.algorithm, self.settings = problem, algorithm, s
        self.seeds = [int(seed) for seed in seeds]
        self.streams = Streams(self.seeds, x.device, x.dtype)
        self.oracle = Oracle(problem, self.streams, getattr(algorithm, "batch_size", None))
        self.metrics = problem.metrics or default_metrics(problem)
        self.length, iterations = self.plan(s)
        self.marks = 0  # parts of the epochs that are logged already
        self.recorder = Recorder(len(seeds), iterations, problem.averaged, s.targets)
        for name in s.targets or {}:
            if name not in problem.averaged:
                raise InputError(
                    f"targets.{name}: first hits need a metric evaluated at every iteration; problem {problem.name!r} "
                    f"offers {', '.join(problem.averaged) or 'none'}"
                )
        self.diverged = torch.zeros(len(seeds), dtype=torch.bool, device=x.device)
        self.frozen = self.diverged.clone()  # diverged, or out of budget
        self.all_frozen = not seeds  # asked several times an iteration, changed by a freeze only
        self.stopped_at = torch.full((len(seeds),), -1, dtype=torch.int64)
        self.final = {"x": x.clone(), "y": y.clone()}
        self.iteration = self.resumed_from = 0
        self.seconds = 0.0
        self.state: dict[str, Any] = {"x": x, "y": y}
        self.diagnosis = Diagnosis()

    def plan(self, s: Settings) -> tuple[float, list[int]]:
        """The most iterations there can be, and those to be logged; with epochs, the latter only turn out."""
        if s.epochs is None:
            length = s.steps if s.steps is not None else s.budget
            assert length is not None  # Settings has checked
            return length, log_iterations(length, s.log_points)
        if self.problem.size_lower is None:
            raise InputError(
                f"epochs = {s.epochs:g} passes over the lower level's data, of which problem {self.problem.name!r} has "
                "none; use steps or budget"
            )
        return (math.inf if s.steps is None else s.steps), [0]

    def start(self, should_stop: Callable[[], bool] | None) -> None:
        """Resume from the checkpoint, or initialise the algorithm (whose warm start belongs to iteration 0's cost).

        Raises:
            Interrupted: ``should_stop`` said so before the end of a start of its own; a checkpoint would hold nothing.
        """
        if self.restore():
            return

        def ask() -> None:
            if should_stop is not None and should_stop():
                raise Interrupted("stopped at iteration 0")

        ask()
        looking = Oracle(self.problem, self.streams, self.problem.diagnosed)  # counts for nobody
        self.oracle.before_call = looking.before_call = ask
        began = clock(self.streams.device)
        with torch.no_grad():
            self.state = self.algorithm.init(self.oracle, self.state["x"], self.state["y"])
            self.seconds += clock(self.streams.device) - began
            self.check_state()
            self.diagnosis = self.algorithm.diagnose(looking, self.state)
        self.oracle.before_call = None
        ask()
        self.observe()

    def unfinished(self) -> bool:
        """Whether another iteration is due for some row."""
        return self.iteration < self.length and not self.all_frozen

    def advance(self) -> None:
        """One iteration, and the look at where it led."""
        began = clock(self.streams.device)
        before = self.state["x"], self.state["y"]
        with torch.no_grad():
            self.state = self.algorithm.step(self.oracle, self.state)
        self.iteration += 1
        self.seconds += clock(self.streams.device) - began
        self.check_state()
        self.observe(before)

    def check_state(self) -> None:
        """Refuse iterates of another shape or type than the start's, which broadcasting makes of a wrong derivative."""
        for name in ("x", "y"):
            got, wanted = self.state[name], self.final[name]
            if got.shape != wanted.shape or got.dtype != wanted.dtype:
                raise InputError(
                    f"algorithm {self.algorithm.name!r} turned {name} from {tuple(wanted.shape)} {wanted.dtype} into "
                    f"{tuple(got.shape)} {got.dtype} on problem {self.problem.name!r}: losses, derivatives, samples "
                    "and per-run parameters must keep to (runs, d), (runs,) and (runs, 1), and to the start's dtype"
                )

    def observe(self, before: tuple[Tensor, Tensor] | None = None) -> None:
        """Log the current iterate; freeze rows that have diverged at it or have spent their budget on it.

        Each row for itself: where random lengths make rows cost differently, a row's end must not depend on others.
        """
        x, y = self.state["x"], self.state["y"]
        with torch.no_grad():
            ok = _within(x) & _within(y)
            if self.passes_mark():
                self.recorder.mark(self.iteration)
            due = self.recorder.due(self.iteration) or not self.unfinished()
            metrics = self.evaluate(x, y, due)
            if before is None:
                self.recorder.check(metrics)
            for value in metrics.values():
                finite = value.abs() < torch.inf  # half the time of isfinite; false for NaN too
                ok &= finite.to(ok.device)  # what a metric counts may be on the CPU
        diverged = None if bool(ok.all()) else ~ok & ~self.frozen
        limited = self.settings.budget is not None or self.settings.epochs is not None
        spent = ok & ~self.frozen & self.out_of_budget() if limited else None
        ends = _some(diverged) or _some(spent)
        if diverged is not None and _some(diverged):
            self.diverged |= diverged
            self.freeze(diverged, *(before if before is not None else (self.final["x"], self.final["y"])))
        last = ends or not self.unfinished()
        if last and not due:
            metrics = self.evaluate(x, y, last)
        if metrics or due or last:  # a problem may have no metrics at all
            self.recorder.add(self.iteration, metrics, self.oracle, self.seconds, self.frozen, last)
        if spent is not None and _some(spent):
            self.freeze(spent, x, y)

    def out_of_budget(self) -> Tensor:
        """Rows (bool, (runs,)) that may not start another iteration."""
        out = torch.zeros(len(self.seeds), dtype=torch.bool)
        if self.settings.budget is not None:
            out |= self.oracle.calls_per_run() >= self.settings.budget
        if self.settings.epochs is not None:
            out |= self.epochs_done() >= self.settings.epochs
        return out.to(self.frozen.device)

    def epochs_done(self) -> float:
        """Passes over the lower level's data so far.

        Raises:
            InputError: there is no end in sight.
        """
        assert self.problem.size_lower is not None  # plan has checked
        if self.iteration == NO_LOWER_GRADIENTS and not self.oracle.lower_samples:
            raise InputError(
                f"epochs: algorithm {self.algorithm.name!r} asked for no lower gradient in {self.iteration} "
                "iterations, so that epochs never end; use steps or budget"
            )
        return self.oracle.lower_samples / self.problem.size_lower

    def passes_mark(self) -> bool:
        """Whether another of the epochs' equal parts is over."""
        s = self.settings
        if s.epochs is None:
            return False
        before, self.marks = self.marks, int(self.epochs_done() / s.epochs * (s.log_points - 1))
        return self.marks > before

    def freeze(self, rows: Tensor, x: Tensor, y: Tensor) -> None:
        """End rows (bool, (runs,)) here, with their rows of x and y as the result."""
        self.final["x"][rows], self.final["y"][rows] = x[rows], y[rows]
        self.stopped_at[rows.cpu()] = self.iteration
        self.frozen |= rows
        self.all_frozen = bool(self.frozen.all())
        self.oracle.freeze(rows)

    def evaluate(self, x: Tensor, y: Tensor, due: bool) -> dict[str, Tensor]:
        """The metrics that are wanted now: all where history is due, averaged ones at every iterate."""
        if not due and not self.recorder.averaged:
            return {}
        with torch.no_grad():
            metrics = self.metrics(x, y)
            return {name: metrics[name] for name in (metrics if due else self.recorder.averaged)}

    def finish(self) -> Trajectories:
        """The result; unfrozen rows end where they are."""
        active = ~self.frozen
        for name in ("x", "y"):
            self.final[name][active] = self.state[name][active]
        self.stopped_at[active.cpu()] = self.iteration
        return Trajectories(
            x=self.final["x"],
            y=self.final["y"],
            status=["diverged" if diverged else "completed" for diverged in self.diverged.tolist()],
            stopped_at=self.stopped_at.tolist(),
            history=self.recorder.frame(self.stopped_at),
            first_below=self.recorder.first_below(),
            counts=self.oracle.counts(),
            seconds=self.seconds,
            diagnosis=self.diagnosis,
            resumed_from=self.resumed_from,
        )

    def save(self) -> None:
        """Write the checkpoint, if one is wanted."""
        if self.settings.checkpoint is None:
            return
        content = {name: getattr(self, name) for name in _PLAIN}
        content |= {"oracle": self.oracle.state(), "recorder": self.recorder.state(), "identity": self.identity()}
        content |= {"diagnosed": self.diagnosis.values, "warnings": list(self.diagnosis.warnings)}
        checkpoints.save(self.settings.checkpoint, content)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the runs it continues; hyper-parameters are its owner's business."""
        sizes = [list(t.shape) for t in self.final.values()]
        return {"problem": self.problem.name, "algorithm": self.algorithm.name, "seeds": self.seeds, "sizes": sizes}

    def restore(self) -> bool:
        """Continue from the checkpoint; False where there is none to use."""
        if self.settings.checkpoint is None:
            return False
        content = checkpoints.load(self.settings.checkpoint)
        if content is None:
            return False
        if content["identity"] != self.identity():
            raise InputError(
                f"the checkpoint {self.settings.checkpoint} belongs to other runs (problem, algorithm, seeds or sizes "
                "differ); delete it, or name another file"
            )
        device = self.streams.device
        for name in _PLAIN:
            value = content[name]
            if name in ("state", "final"):
                value = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in value.items()}
            setattr(self, name, value.to(device) if name in ("frozen", "diverged") else value)
        self.all_frozen = bool(self.frozen.all())
        self.oracle.restore(content["oracle"])
        self.recorder.restore(content["recorder"])
        self.diagnosis = Diagnosis(content["diagnosed"], tuple(content["warnings"]))
        self.resumed_from = self.iteration
        return True


def _check_rows(problem: Problem, algorithm: Algorithm, x: Tensor, y: Tensor, runs: int) -> None:
    for name, start in (("x", x), ("y", y)):
        if start.ndim != 2 or len(start) != runs or not bool(torch.isfinite(start).all()):
            raise InputError(f"{name} must be ({runs}, d) and finite, one row per seed, got {tuple(start.shape)}")
    for name in algorithm.per_run():
        value = getattr(algorithm, name)
        if isinstance(value, Tensor) and len(value) != runs:
            raise InputError(f"algorithm.{name} has {len(value)} rows, but there are {runs} runs")


_PLAIN = ("state", "final", "frozen", "diverged", "stopped_at", "iteration", "seconds", "marks")


def clock(device: torch.device) -> float:
    """Seconds, once the device has done what it was asked for: CUDA answers before it has computed."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _some(rows: Tensor | None) -> bool:
    """Whether there are any such rows; None for a set that cannot have any."""
    return rows is not None and bool(rows.any())


def _within(t: Tensor) -> Tensor:
    """Rows that are finite and not huge; a comparison with NaN is False."""
    return torch.linalg.vector_norm(t, dim=-1) <= DIVERGED_NORM
