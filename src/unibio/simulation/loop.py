"""The state of a batch of trajectories: its iterations, its history, what has diverged, what a checkpoint holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from unibio.core.algorithm import Algorithm, Diagnosis
from unibio.core.handed import unwritten
from unibio.core.iterations import Iterations
from unibio.core.metrics import default_metrics
from unibio.core.oracle import Oracle
from unibio.core.probe import prepare
from unibio.core.problem import Metrics, Problem
from unibio.core.streams import Streams
from unibio.errors import InputError
from unibio.simulation import checkpoint, looks, remarks
from unibio.simulation.history import Recorder
from unibio.simulation.limits import Limits
from unibio.simulation.settings import Settings
from unibio.simulation.trajectories import Interrupted, Trajectories
from unibio.tensorfile import DamagedFile

#: A row whose x or y has a norm above this has diverged.
DIVERGED_NORM = 1e10
#: What is told of every row of history as it is logged: False stops the batch.
OnLog = Callable[[Mapping[str, Any]], Any]


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
        self.limits = Limits(problem, algorithm.name, self.oracle, s)
        self.marks = 0  # parts of the epochs that are logged already
        self.on_log, self.told_to_stop = on_log, False
        self.recorder = Recorder(len(seeds), self.limits.logged, problem.averaged, s.targets)
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

        said = looks.cost(self.algorithm, self.oracle) if announce is not None else None

        def begin() -> None:
            nonlocal said
            ask()
            if said is not None and announce is not None:
                announce(said)
                said = None

        ask()
        looking = looks.looking(self.oracle)
        self.oracle.before_call, looking.before_call = ask, begin
        began = clock(self.streams.device)
        with torch.no_grad():
            self.state = self.algorithm.init(self.oracle, self.state["x"], self.state["y"])
            self.seconds += clock(self.streams.device) - began
            self.check_state()
            found = self.algorithm.diagnose(looking, self.state)
            self.diagnosis = Diagnosis(found.values, (*self.findings, *found.warnings))
            self.remark(self.vanishing(looking, self.state))
        self.oracle.before_call = None
        ask()
        self.observe()

    def vanishing(self, looking: Oracle, at: Mapping[str, Tensor]) -> str | None:
        """A question about ``vanishing_hessian``, asked once."""
        return looks.vanishing(self.algorithm, looking, at["x"], at["y"], self.diagnosis.warnings)

    def remark(self, said: str | None) -> None:
        """Add to the warnings."""
        if said is not None:
            self.diagnosis = Diagnosis(self.diagnosis.values, (*self.diagnosis.warnings, said))

    def unfinished(self) -> bool:
        """Whether another iteration is due for some row."""
        return self.iteration < self.limits.length and not self.all_frozen

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
        spent = (ok if ok is not None else True) & ~self.frozen & self.out_of_budget() if self.limits.any else None
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
        return self.limits.spent(len(self.seeds), self.iteration).to(self.frozen.device)

    def passes_mark(self) -> bool:
        """Whether another of the epochs' equal parts is over."""
        before, self.marks = self.marks, self.limits.parts(self.iteration)
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
            self.remark(self.vanishing(looks.looking(self.oracle), self.final))
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
