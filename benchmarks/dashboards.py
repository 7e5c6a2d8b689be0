"""What a dashboard costs a run of a minute: the same run with tracker=none and with tracker=offline, in turn.

Start-up is excluded: a short run before has imported wandb and started its service. What counts is a whole job, from
the first iteration to the record and, with wandb, until it has been told the last row, the summary and the artifacts.
Two runs of a minute differ by more than 2 % on most machines, and by twenty on some. The goal is therefore set for what
a run loses at most: the time in which it waits while wandb is told something, and the processor time of all threads
beside its own, which can hold up one that is Python's (wandb's service is a process of its own).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import pandas as pd

from measure import Row, spread
from unibio.pipeline import local
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.job import Job
from unibio.pipeline.local import finish_job
from unibio.pipeline.schema import mode_of

#: The percentage of a run's time that a dashboard may take.
TARGET = 2.0
#: As many curves as are shown of a grid, each of a hundred seeds.
WORDS = (
    "problem.noise=1",
    "+grid.seed={count:100}",
    "+grid.algorithm.upper_step={log:[1e-3,1e-1,8]}",
    "tracker.max_curves=8",
    "progress=false",
)
CURVES = 8


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        seconds: that a run is to take, of the processor: on a busy machine it takes longer, and is as long a run.
        rounds: runs of either kind.
        checkpoint_seconds: the first checkpoint, after which rows are shown, comes after so long.
    """

    seconds: float = 60.0
    rounds: int = 3
    checkpoint_seconds: float = 30.0


@dataclass(frozen=True)
class _Time:
    """Of a job: seconds on the clock, processor seconds of this process and of those that it started, processor seconds
    of this process's threads other than the job's, and seconds on the clock in which wandb was told something.
    """

    clock: float
    processor: float
    beside: float
    waited: float


def rows(scale: Scale) -> dict[str, Row]:
    """What wandb takes of a run at most, and the ratio of the times with and without it, on the clock and of the
    processor.

    Raises:
        RuntimeError: wandb has not shown what it was to show, or a run's numbers depend on it; the times mean nothing.
    """
    if mode_of({"mode": "offline"}) != "offline":
        return {"dashboards/clock": Row(None, "×", note="skipped: the environment has wandb left out, or online")}
    found: dict[str, list[_Time]] = {"none": [], "offline": []}
    with tempfile.TemporaryDirectory() as folder:
        steps = _steps(Path(folder), scale)
        for n in range(scale.rounds):
            histories = []
            for mode in ("none", "offline") if n % 2 == 0 else ("offline", "none"):
                spent, history = _timed(Path(folder, f"{mode}-{n}"), mode, steps, scale)
                found[mode].append(spent)
                histories.append(history.drop(columns="seconds"))
            if not histories[0].equals(histories[1]):
                raise RuntimeError("a run's numbers depend on its dashboard")
    note = f"{steps} iterations of {100 * CURVES} runs, {CURVES} curves shown; start-up excluded"
    table = {
        f"dashboards/{mode}": Row(median(one.clock for one in times), "s", note=f"a run with tracker={mode}; {note}")
        for mode, times in found.items()
    }
    for name, said in (("clock", "on the clock"), ("processor", "processor time, that of wandb's service included")):
        ratios = [getattr(a, name) / getattr(b, name) for a, b in zip(found["offline"], found["none"], strict=True)]
        ratio = median(ratios)
        about = f"{spread(ratios)}; tracker=offline over none, {said}"
        own = spread([getattr(one, name) / getattr(found["none"][0], name) for one in found["none"]])
        table[f"dashboards/{name}"] = Row(
            ratio, "×", None, "dashboards/none", None, f"{about}; runs without it, over the first: {own}"
        )
    waited = [100 * one.waited / one.clock for one in found["offline"]]
    about = f"{spread(waited)}; of the time on the clock a run waits while wandb is told something"
    table["dashboards/waited"] = Row(median(waited), "%", note=about)
    usual = median(one.beside for one in found["none"])
    taken = [100 * (one.waited + max(0.0, one.beside - usual)) / one.clock for one in found["offline"]]
    about = f"{spread(taken)}; waiting, and what threads beside the run's own compute, of the time on the clock"
    share = median(taken)
    table["dashboards/taken"] = Row(share, "%", TARGET, "a limit we set ourselves", share <= TARGET, about)
    return table


def _steps(folder: Path, scale: Scale) -> int:
    """The iterations that take so long, after a run with wandb that has started all there is to start."""
    few = 20
    _timed(folder / "first", "offline", few, Scale(scale.seconds, 1, 0.0))
    while True:  # the first iterations take longer than those that follow
        spent, _ = _timed(folder / f"try-{few}", "none", few, scale)
        if spent.processor > scale.seconds / 6:
            return max(few, round(few * scale.seconds / spent.processor))
        few *= 4


def _timed(root: Path, mode: str, steps: int, scale: Scale) -> tuple[_Time, pd.DataFrame]:
    job = _job(root, mode, steps, scale)
    waited: list[float] = []
    with _noting(waited):
        began, worked, others = time.perf_counter(), _processor(), _other_threads()
        record = finish_job(job).record
        clock, processor, beside = time.perf_counter() - began, _processor() - worked, _other_threads() - others
        spent = _Time(clock, processor, beside, sum(waited))
    shown = len(list(root.glob("wandb/offline-run-*")))
    if shown != (CURVES if mode == "offline" else 0):
        raise RuntimeError(f"wandb has shown {shown} curves of a run with tracker={mode}; its time means nothing")
    return spent, record.history


@contextmanager
def _noting(waited: list[float]) -> Iterator[None]:
    """Note how long each call takes in which a job tells wandb something."""

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                waited.append(time.perf_counter() - began)

        return noted

    with (
        patch.multiple(local.Live, saved=timed(local.Live.saved), finish=timed(local.Live.finish)),
        patch.object(local, "track", timed(local.track)),
    ):
        yield


def _job(root: Path, mode: str, steps: int, scale: Scale) -> Job:
    words = [f"records={root}", f"tracker={mode}", f"steps={steps}", f"checkpoint_seconds={scale.checkpoint_seconds}"]
    with composer() as compose_one:
        (job,) = expand([word for word in (*words, *WORDS) if mode != "none" or "max_curves" not in word], compose_one)
    return job


def _other_threads() -> float:
    """Processor seconds so far of this process's threads, those that have ended among them, but for this one."""
    return time.process_time() - time.thread_time()


def _processor() -> float:
    """Processor seconds so far of this process and, where the system says it, of those that it has started."""
    return time.process_time() + sum(_of(own) for own in _descendants(os.getpid()))


def _descendants(process: int) -> Iterator[int]:
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            started = thread.read_text(encoding="ascii").split()
        except OSError:  # it is gone
            continue
        for child in map(int, started):
            yield child
            yield from _descendants(child)


def _of(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
