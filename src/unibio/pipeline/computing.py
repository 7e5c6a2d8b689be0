"""A job's numbers: its batch at once, or where that would not fit into a few gigabytes, part after part of its runs.

No run depends on another, so that a part's numbers are those that the whole has. How a job is divided follows from its
configuration alone and never from the machine. A finished part waits beside the record on the disk (see
:mod:`unibio.store.parts`), which keeps it where the job is interrupted or killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from unibio.core.ambient import clean
from unibio.core.metrics import default_metrics
from unibio.core.oracle import KINDS, POINTS
from unibio.pipeline.batch import Saved, prepared, simulation
from unibio.pipeline.job import Job
from unibio.simulation.checkpoint import ForeignCheckpoint
from unibio.simulation.footprint import per_run
from unibio.simulation.grid import table_of
from unibio.simulation.rows import history_table, runs_table
from unibio.simulation.sameness import fingerprints, same_by_fingerprints, same_for_all_seeds
from unibio.simulation.settings import Settings
from unibio.simulation.trajectories import Trajectories
from unibio.store import parts
from unibio.tensorfile import DamagedFile

#: Bytes that a part may need, and the most runs of one. Beyond some 10⁵ runs a step takes several times as long for
#: each: PyTorch's temporary tensors are then so large that the system takes their memory back after every operation and
#: gives it out anew, page by page.
PART_BYTES, PART_RUNS = 2**30, 2**15
#: Metrics that are assumed where a batch is so small that it need not be built to count them.
SOME_METRICS = 16

Progress = Callable[[int], None] | None
Question = Callable[[], bool]


@dataclass(frozen=True)
class Computed:
    """What a record is made of.

    Attributes:
        history: of all runs, or the files that hold it part by part.
        runs: one row per run.
        ends: the last row of every run's history, its metrics only.
        oracle_calls: of all runs.
        seconds: of each of the repetitions.
        resumed_from: the iteration that it was taken up at after an interruption; 0 where it was not.
        warnings: for readers.
    """

    history: pd.DataFrame | Sequence[Path]
    runs: pd.DataFrame
    ends: pd.DataFrame
    oracle_calls: int
    seconds: list[float]
    resumed_from: int
    warnings: list[str]


def divided(job: Job) -> list[range]:
    """The parts of a job's runs that are computed one after the other; one part where all fit.

    Epochs count what a batch has drawn, so that such a job stays whole, as does one of a single run: a network.
    """
    runs, settings = job.runs, Settings.of(job.config)
    whole = [range(runs)]
    if runs == 1 or settings.epochs is not None:
        return whole
    if runs <= PART_RUNS and runs * per_run(settings, len(job.axes), SOME_METRICS, (0, 0), 8) <= PART_BYTES // 8:
        return whole  # not built twice for so little
    device = torch.device("cpu")
    with clean(job.dtype, device), torch.no_grad():
        problem, _, x, y, _ = prepared(job, device, range(1))
        metrics = default_metrics(problem) if problem.metrics is None else problem.measured
        count = len(metrics(x, y)) + len(problem.averaged)
    needed = per_run(settings, len(job.axes), count, (x.shape[1], y.shape[1]), x.element_size())
    number = min(runs, -(-runs // max(1, min(PART_RUNS, PART_BYTES // needed))))
    bounds = [runs * k // number for k in range(number + 1)]
    return [range(begin, end) for begin, end in pairwise(bounds)]


def compute_whole(
    job: Job, checkpoint: Path, progress: Progress, should_stop: Question, saved: Saved = None
) -> Computed:
    """All runs as one batch; ``saved`` is told of every checkpoint.

    Raises:
        Interrupted: asked to stop; a checkpoint was written.
    """
    outcome = _resumed(job, checkpoint, progress, should_stop, None, saved)
    seconds = [outcome.seconds, *_repeated(job, progress, should_stop, None)]
    table = job.table
    runs, history = runs_table(outcome, table), history_table(outcome, table)
    same = same_for_all_seeds(table, outcome.x, outcome.y, history)
    return Computed(
        history=history,
        runs=runs,
        ends=_ends(history, table),
        oracle_calls=_calls(runs),
        seconds=seconds,
        resumed_from=outcome.resumed_from,
        warnings=[*outcome.diagnosis.warnings, *([same] if same else [])],
    )


def compute_parts(
    job: Job, divided_into: Sequence[range], checkpoint: Path, tag: str, progress: Progress, should_stop: Question
) -> Computed:
    """Part after part, of which those that are finished already are taken as they are.

    Args:
        job: what to compute.
        divided_into: its parts.
        checkpoint: file of the part that is being computed.
        tag: what parts must share with the job, its code.
        progress, should_stop: as ever; iterations are those of all parts, divided by their number.

    Raises:
        Interrupted: asked to stop; a checkpoint was written.
    """
    directory = checkpoint.parent
    found = []
    for number, rows in enumerate(divided_into):
        name = parts.name_of(tag, rows.start)
        part = parts.find(directory, name)
        if part is None:
            tick = _share(progress, number, len(divided_into), job.config["steps"])
            part = _compute_part(job, rows, checkpoint, name, tick, should_stop)
        found.append(part)
    table = job.table
    runs, ends = (pd.concat([part.table(kind) for part in found], ignore_index=True) for kind in ("runs", "ends"))
    same = same_by_fingerprints(table, ends.pop(_FINGERPRINT).to_numpy())
    return Computed(
        history=[part.history for part in found],
        runs=runs,
        ends=ends,
        oracle_calls=_calls(runs),
        seconds=np.sum([part.noted["seconds"] for part in found], axis=0).tolist(),
        resumed_from=max(part.noted["resumed_from"] for part in found),
        warnings=[
            *_gathered([part.noted["warnings"] for part in found], divided_into),
            *([same] if same else []),
        ],
    )


#: A column of a part's "ends", which is no metric's name.
_FINGERPRINT = "run"


def _compute_part(
    job: Job, rows: range, checkpoint: Path, name: str, progress: Progress, should_stop: Question
) -> parts.Part:
    outcome = _resumed(job, checkpoint, progress, should_stop, rows)
    seconds = [outcome.seconds, *_repeated(job, progress, should_stop, rows)]
    table = table_of(job.axes, rows)
    runs, history = runs_table(outcome, table), history_table(outcome, table)
    ends = _ends(history, table).assign(**{_FINGERPRINT: fingerprints(outcome.x, outcome.y, history)})
    history["run"] += rows.start
    noted = {
        "seconds": seconds,
        "resumed_from": outcome.resumed_from,
        "warnings": list(outcome.diagnosis.warnings),
    }
    part = parts.write(checkpoint.parent, name, noted, history, runs, ends)
    checkpoint.unlink(missing_ok=True)
    return part


def _resumed(
    job: Job, checkpoint: Path, progress: Progress, should_stop: Question, rows: range | None, saved: Saved = None
) -> Trajectories:
    """A batch from its checkpoint, or from the beginning where there is none that is whole and its own."""
    try:
        return simulation(job, checkpoint, progress, should_stop, rows=rows, saved=saved)
    except (DamagedFile, ForeignCheckpoint):
        checkpoint.unlink()
    # Begun again outside of there, where the error no longer holds what it had in memory.
    return simulation(job, checkpoint, progress, should_stop, rows=rows, saved=saved)


def _repeated(job: Job, progress: Progress, should_stop: Question, rows: range | None) -> list[float]:
    """Seconds of the repetitions beyond the first, which are there to measure them."""
    again = range(job.config["repeats"] - 1)
    return [simulation(job, None, progress, should_stop, rows=rows).seconds for _ in again]


def _ends(history: pd.DataFrame, grid: pd.DataFrame) -> pd.DataFrame:
    """The last row of every run's history, its metrics only."""
    skip = {"run", "iteration", "oracle_calls", "seconds", *KINDS, *POINTS, *grid.columns}
    last = history.groupby("run").tail(1)
    return last[[name for name in last.columns if name not in skip]].reset_index(drop=True)


def _calls(runs: pd.DataFrame) -> int:
    return int(runs[list(KINDS)].to_numpy().sum())


def _share(progress: Progress, number: int, of: int, steps: int | None) -> Progress:
    """Tells how far the whole is, where a part tells how far it is."""
    if progress is None:
        return None
    return lambda done: progress(((steps or 0) * number + done) // of if steps is not None else done)


def _gathered(said: Sequence[Sequence[str]], divided_into: Sequence[range]) -> list[str]:
    """Warnings of parts: those of all of them as they are, others with the runs that they are about."""
    found: dict[str, list[range]] = {}
    for warnings, rows in zip(said, divided_into, strict=True):
        for text in warnings:
            found.setdefault(text, []).append(rows)
    return [
        text
        if len(rows) == len(divided_into)
        else f"of runs {', '.join(f'{one.start} to {one.stop - 1}' for one in rows)}: {text}"
        for text, rows in found.items()
    ]
