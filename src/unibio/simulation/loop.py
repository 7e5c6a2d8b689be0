"""The loop: trajectories of one algorithm on one problem as a batch; history, divergence, checkpoint and resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from unibio.core.algorithm import Algorithm, Diagnosis
from unibio.core.handed import unwritten
from unibio.core.hypergradients import DEFAULT_FLOOR
from unibio.core.iterations import Iterations
from unibio.core.metrics import default_metrics
from unibio.core.oracle import Oracle
from unibio.core.probe import prepare
from unibio.core.problem import Metrics, Problem
from unibio.core.streams import Streams
from unibio.core.vanishing import vanishing_question
from unibio.errors import InputError
from unibio.simulation import checkpoint, remarks
from unibio.simulation.history import Recorder, log_iterations
from unibio.simulation.settings import Settings
from unibio.simulation.trajectories import Interrupted, Trajectories
from unibio.tensorfile import DamagedFile

#: Epochs are given up when no lower gradient was asked for in so many iterations.
NO_LOWER_GRADIENTS = 1000
#: Lower-level data points up to which a look at all of them needs no announcement.
FEW_POINTS = 1000
#: A row whose x or y has a norm above this has diverged.
DIVERGED_NORM = 1e10
#: What is told of every row of history as it is logged: False stops the batch.
OnLog = Callable[[Mapping[str, Any]], Any]
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


class Loop:
    """The state of a simulation between two iterations; everything a checkpoint must hold."""

    def __init__(
        self,
        problem: Problem,
        algorithm: Algorithm,
        x: Tensor,
        y: Tensor,
        seeds: list[int],
        s: Settings,
        metrics: Metrics | None = None,
        on_log: OnLog | None = None,
    ):
        batch_size = getattr(algorithm, "batch_size", None)
        self.findings = prepare(problem, x, y, batch_size=batch_size, check=s.check)
        if problem.restart is not None and not algorithm.restarts:
            raise InputError(
                f"algorithm {algorithm.name!r} carries its lower level from iteration to iteration, and y of problem "
                f"{problem.name!r} begins again in each; use stocbio or bsa, which solve it anew by lower_iterations"
            )
        self.problem, self.algorithm, self.settings = problem, algorithm, s
        self.seeds = [int(seed) for seed in seeds]
        self.streams = Streams(self.seeds, x.device, x.dtype)
        self.oracle = Oracle(problem, self.streams, batch_size)
        if problem.buffers is not None and not algorithm.settles:
            raise InputError(
                f"buffers: algorithm {algorithm.name!r} does not tell of its lower steps, and statistics that are "
                "stored cannot follow them; take unibio_plain, stocbio or soba, or a problem with buffers='batch' or "
                "'frozen'. An algorithm of your own takes its lower steps by self.moves and names \"lower\" in updates"
            )
        self.metrics = problem.metrics or metrics or default_metrics(problem)
        self.length, iterations = self.plan(s)
        self.marks = 0  # parts of the epochs that are logged already
        self.on_log, self.told_to_stop = on_log, False
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
        self.sizes = remarks.sizes(x, y)  # of the start, wherever the run is taken up
        self.final = {"x": x.clone(), "y": y.clone()}
        if self.oracle.held is not None:
            self.final["buffers"] = self.oracle.held.values.clone()
        self.iteration = self.resumed_from = 0
        self.seconds = 0.0
        self.compiled: Iterations | None = None
        self._state: dict[str, Any] | None = {"x": x, "y": y}
        self.watching: tuple[NDArray[np.bool_], NDArray[np.float64]] | None = None
        self.diagnosis = Diagnosis()

    @property
    def state(self) -> dict[str, Any]:
        """The algorithm's; compiled iterations hold it while they go on."""
        if self._state is None:
            assert self.compiled is not None
            self._state = self.compiled.state()
        return self._state

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._state, self.compiled = state, None

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

    def start(self, should_stop: Callable[[], bool] | None, announce: Callable[[str], None] | None = None) -> None:
        """Resume from the checkpoint, or initialise the algorithm (whose warm start belongs to iteration 0's cost).

        Raises:
            DamagedFile: the checkpoint is not what was written, or holds something else.
            Interrupted: ``should_stop`` said so before the end of a start of its own; a checkpoint would hold nothing.
        """
        content = checkpoint.load(self.settings.checkpoint, self.identity())
        if content is not None:
            with checkpoint.reading(self.settings.checkpoint):
                self.take(content)
            return

        def ask() -> None:
            if should_stop is not None and should_stop():
                raise Interrupted("stopped at iteration 0")

        said = self.look() if announce is not None else None

        def begin() -> None:
            nonlocal said
            ask()
            if said is not None and announce is not None:
                announce(said)
                said = None

        ask()
        looking = self.looking()
        self.oracle.before_call, looking.before_call = ask, begin
        began = clock(self.streams.device)
        with torch.no_grad():
            self.state = self.algorithm.init(self.oracle, self.state["x"], self.state["y"])
            self.seconds += clock(self.streams.device) - began
            self.check_state()
            found = self.algorithm.diagnose(looking, self.state)
            self.diagnosis = Diagnosis(found.values, (*self.findings, *found.warnings))
            self.ask_vanishing(looking, self.state["x"], self.state["y"])
        self.oracle.before_call = None
        ask()
        self.observe()

    def looking(self) -> Oracle:
        """An oracle that counts for nobody, on the data points that settings are checked on."""
        return Oracle(self.problem, self.streams, self.problem.looked_at(self.oracle.batch_size))

    def look(self) -> str | None:
        """What the look at settings costs, in a line; None where somebody has said so, or it is cheap."""
        size, batch_size = self.problem.size_lower, self.oracle.batch_size
        points = self.problem.looked_at(batch_size)
        said = f"the settings of {self.algorithm.name} are looked at first, by up to a hundred Hessian–vector products"
        if self.problem.diagnosed == "minibatch" and size is not None and points is not None and points < size:
            return f"{said} on {points} of {size} data points; diagnosed=None of the problem takes all"
        if self.problem.diagnosed is None and batch_size is not None and (size or 0) > max(batch_size, FEW_POINTS):
            return f"{said} on all {size} data points; diagnosed={batch_size} of the problem takes a minibatch"
        return None

    def ask_vanishing(self, oracle: Oracle, x: Tensor, y: Tensor) -> None:
        """Ask, once, whether the problem's ``vanishing_hessian`` is meant as it is."""
        if not any(one.startswith("vanishing_hessian") for one in self.diagnosis.warnings):
            self.remark(vanishing_question(oracle, x, y, getattr(self.algorithm, "floor", DEFAULT_FLOOR)))

    def remark(self, said: str | None) -> None:
        """Add to the warnings."""
        if said is not None:
            self.diagnosis = Diagnosis(self.diagnosis.values, (*self.diagnosis.warnings, said))

    def unfinished(self) -> bool:
        """Whether another iteration is due for some row."""
        return self.iteration < self.length and not self.all_frozen

    def advance(self, most: int = 1) -> None:
        """One iteration, or up to ``most`` where compiled loops do them, and the look at where they led."""
        began = clock(self.streams.device)
        if self.iteration > self.resumed_from or not self.iteration:  # a state that may not be this algorithm's
            self.compiled = self.compiled or self.algorithm.compiled_iterations(self.oracle, self.state)
        if self.compiled is not None:
            self.advance_compiled(self.compiled, most, began)
            return
        before = self.point()
        self.oracle.iteration = self.iteration
        with torch.no_grad():
            if self.problem.restart is not None:
                self.state = self.state | {"y": self.problem.restart(self.state["x"])}
                self.check_state()
            try:
                self.state = self.algorithm.step(self.oracle, self.state)
            except (LookupError, AttributeError, TypeError) as error:
                if self.iteration and self.iteration == self.resumed_from:  # the state is not this algorithm's
                    raise DamagedFile(f"{self.settings.checkpoint} cannot be continued: {error!r}") from error
                raise
        self.iteration += 1
        self.seconds += clock(self.streams.device) - began
        self.check_state()
        self.observe(before)

    def advance_compiled(self, compiled: Iterations, most: int, began: float) -> None:
        """:meth:`advance` by compiled loops, up to an iterate that is to be looked at."""
        averaged, budget = self.problem.averaged[0], self.settings.budget
        if self.watching is None:
            self.watching = (~self.frozen).numpy(), self.recorder.alarms(averaged, self.frozen).numpy()
        running, alarms = self.watching
        due = self.recorder.next_due(self.iteration)
        until = min(self.iteration + (most if budget is None else 1), due)
        look = until == due or (budget is not None and self.oracle.calls + compiled.next_calls() >= budget)
        within = compiled.advance(
            until,
            look=look,
            largest=DIVERGED_NORM / 2,
            running=running,
            alarms=alarms,
            sums=self.recorder.sums(averaged),
        )
        self.iteration, self._state = compiled.t, None
        self.oracle.iteration = self.iteration - 1
        self.seconds += clock(self.streams.device) - began
        if within is None:
            return
        known = {averaged: compiled.metric()}
        if within and budget is None:  # nothing has happened but that a row is due
            here = compiled.point()
            metrics = self.evaluate(here["x"], here["y"], True, known)
            self.recorder.add(self.iteration, metrics, self.oracle, self.seconds, self.frozen)
            self.tell()
        else:
            self.observe(compiled.before(), known)
        self.watching = None if self.settings.targets else self.watching  # an alarm may have been for a hit

    def point(self) -> dict[str, Tensor]:
        """Where the runs are: x, y, and what is stored along with y."""
        if self.compiled is not None:
            return self.compiled.point()
        held = self.oracle.held
        return {"x": self.state["x"], "y": self.state["y"]} | ({} if held is None else {"buffers": held.values})

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

    def tell(self) -> None:
        """Tell whoever watches of the row that has been logged."""
        if self.on_log is not None:
            said = self.on_log(self.recorder.latest(self.frozen))
            self.told_to_stop |= isinstance(said, (bool, np.bool_)) and not said

    def observe(self, before: Mapping[str, Tensor] | None = None, known: Mapping[str, Tensor] | None = None) -> None:
        """Log the current iterate; freeze rows that have diverged at it or have spent their budget on it.

        Each row for itself: where random lengths make rows cost differently, a row's end must not depend on others.

        Args:
            before: the iterate before, which rows that have diverged end at; None at the start.
            known: metrics that have been computed.
        """
        here = self.point()
        x, y = here["x"], here["y"]
        with torch.no_grad():
            ok = None if _surely_within(x) and _surely_within(y) else _within(x) & _within(y)
            if self.passes_mark():
                self.recorder.mark(self.iteration)
            due = self.recorder.due(self.iteration) or not self.unfinished()
            metrics = self.evaluate(x, y, due, known)
            if before is None:
                self.recorder.check(metrics)
        diverged = None if ok is None or bool(ok.all()) else ~ok & ~self.frozen
        limited = self.settings.budget is not None or self.settings.epochs is not None
        spent = (ok if ok is not None else True) & ~self.frozen & self.out_of_budget() if limited else None
        ends = _some(diverged) or _some(spent)
        if diverged is not None and _some(diverged):
            self.diverged |= diverged
            self.freeze(diverged, before if before is not None else self.final)
        last = ends or not self.unfinished()
        if last and not due:
            with torch.no_grad():
                metrics = self.evaluate(x, y, last, known)
        if metrics or due or last:  # a problem may have no metrics at all
            self.recorder.add(self.iteration, metrics, self.oracle, self.seconds, self.frozen, last)
        if due or last:
            self.tell()
        if spent is not None and _some(spent):
            self.freeze(spent, here)

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

    def freeze(self, rows: Tensor, point: Mapping[str, Tensor]) -> None:
        """End rows (bool, (runs,)) here, with their rows of a point as the result."""
        for name, values in self.final.items():
            values[rows] = point[name][rows]
        self.stopped_at[rows.cpu()] = self.iteration
        self.frozen |= rows
        self.all_frozen, self.watching = bool(self.frozen.all()), None
        self.oracle.freeze(rows)

    def evaluate(self, x: Tensor, y: Tensor, due: bool, known: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The metrics that are wanted: all where history is due, averaged ones at every iterate. Without autograd."""
        if not due and not self.recorder.averaged:
            return {}
        trusted = known is not None  # the problem's metrics are known, or they would not be computed elsewhere
        with nullcontext() if trusted else unwritten("metrics", {"x": x, "y": y}, self.iteration == 0):
            held = self.oracle.held
            if held is None or self.problem.metrics is None:
                metrics = self.metrics(x, y)
            else:
                metrics = self.problem.measured(x, y, held.values)
            self.recorder.check_names(metrics)
            found = known or {}
            return {
                name: found[name] if name in found else metrics[name]
                for name in (metrics if due else self.recorder.averaged)
            }

    def history(self) -> pd.DataFrame:
        """The rows so far, as they will stand in the history of the whole."""
        return self.recorder.frame(torch.where(self.stopped_at < 0, self.iteration + 1, self.stopped_at))

    def finish(self, interrupted: bool = False) -> Trajectories:
        """The result so far; unfrozen rows end where they are.

        Args:
            interrupted: rows that have not come to their end are said to be so, and have a row of history there.
        """
        active = ~self.frozen
        if interrupted:
            self.log_here()
        for name, values in self.point().items():
            self.final[name][active] = values[active]
        self.stopped_at[active.cpu()] = self.iteration
        # One that goes on has its row here only if due.
        ends = self.stopped_at + (active.cpu() & (self.unfinished() and not interrupted))
        ended = [interrupted and going_on for going_on in active.tolist()]
        status = [
            "diverged" if diverged else "interrupted" if cut else "completed"
            for diverged, cut in zip(self.diverged.tolist(), ended, strict=True)
        ]
        history = self.recorder.frame(ends)
        with torch.no_grad():
            self.ask_vanishing(self.looking(), self.final["x"], self.final["y"])
        self.remark(remarks.undefined(history, status))
        self.remark(remarks.grown(self.sizes, remarks.sizes(self.final["x"], self.final["y"]), status))
        return Trajectories(
            x=self.final["x"],
            y=self.final["y"],
            buffers=self.final.get("buffers"),
            status=status,
            stopped_at=self.stopped_at.tolist(),
            history=history,
            first_below=self.recorder.first_below(),
            counts=self.oracle.counts(),
            seconds=self.seconds,
            diagnosis=self.diagnosis,
            resumed_from=self.resumed_from,
        )

    def log_here(self) -> None:
        """Log the iterate at which an interrupted batch ends, if it is not logged yet; nothing goes on from this."""
        if self.recorder.logged(self.iteration):
            return
        self.oracle.before_call = None
        with torch.no_grad():
            metrics = self.evaluate(self.state["x"], self.state["y"], due=True)
        if not self.iteration:  # it was interrupted before its start was observed
            self.recorder.check(metrics)
        self.recorder.close(self.iteration, metrics, self.oracle, self.seconds)

    def content(self) -> dict[str, Any]:
        """Everything that :meth:`take` goes on from."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        logged = {"oracle": self.oracle.state(), "recorder": self.recorder.state()}
        return plain | logged | {"diagnosed": self.diagnosis.values, "warnings": list(self.diagnosis.warnings)}

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the runs it continues; hyper-parameters are its owner's business."""
        sizes = [list(t.shape) for t in self.final.values()]
        names = {"problem": self.problem.name, "algorithm": self.algorithm.name, "owner": self.settings.owner}
        return names | {"seeds": self.seeds, "sizes": sizes}

    def take(self, content: dict[str, Any]) -> None:
        """Continue from :meth:`content`, whose tensors may lie on another device.

        Raises:
            Exception: of many kinds, it is not what :meth:`content` gave.
        """
        device = self.streams.device
        checkpoint.check_like(content, self.content())
        for name in _PLAIN:
            value = content[name]
            if name in ("state", "final"):
                value = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in value.items()}
            setattr(self, name, value.to(device) if name in ("frozen", "diverged") else value)
        self.all_frozen, self.watching = bool(self.frozen.all()), None
        self.oracle.restore(content["oracle"])
        self.recorder.restore(content["recorder"])
        self.diagnosis = Diagnosis(content["diagnosed"], tuple(content["warnings"]))
        self.resumed_from = self.iteration


_PLAIN = ("state", "final", "frozen", "diverged", "stopped_at", "iteration", "seconds", "marks")


def _check_rows(problem: Problem, algorithm: Algorithm, x: Tensor, y: Tensor, runs: int) -> None:
    for name, start in (("x", x), ("y", y)):
        if start.ndim != 2 or len(start) != runs or not bool(torch.isfinite(start).all()):
            raise InputError(f"{name} must be ({runs}, d) and finite, one row per seed, got {tuple(start.shape)}")
    for name in algorithm.per_run():
        value = getattr(algorithm, name)
        if isinstance(value, Tensor) and len(value) != runs:
            raise InputError(f"algorithm.{name} has {len(value)} rows, but there are {runs} runs")


def clock(device: torch.device) -> float:
    """Seconds, once the device has done what it was asked for: CUDA answers before it has computed."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _some(rows: Tensor | None) -> bool:
    """Whether there are any such rows; None for a set that cannot have any."""
    return rows is not None and bool(rows.any())


def _surely_within(t: Tensor) -> bool:
    """Whether no row can have diverged, found out by one number for all of them."""
    return t.is_cpu and float(torch.linalg.vector_norm(t)) <= DIVERGED_NORM / 2


def _within(t: Tensor) -> Tensor:
    """Rows that are finite and not huge; a comparison with NaN is False."""
    return torch.linalg.vector_norm(t, dim=-1) <= DIVERGED_NORM
