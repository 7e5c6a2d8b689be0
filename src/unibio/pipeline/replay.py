"""Replays: does today's code compute what a record holds? Its first iterations again, compared to the bit.

A record whose code has changed since need not be computed again if the change does not matter: a module has moved, an
error text was mended. The first iterations show it where a step, a draw of random numbers or a metric has changed.
What acts late (a decay, a checkpoint period, tables that fill) they cannot show, which is why publishing replays one
record of every problem and algorithm whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from unibio.pipeline.batch import simulation
from unibio.pipeline.computing import divided
from unibio.pipeline.job import Job
from unibio.pipeline.provenance import commit
from unibio.pipeline.standing import as_recorded
from unibio.simulation.grid import table_of
from unibio.simulation.rows import history_table, runs_table
from unibio.simulation.trajectories import Trajectories
from unibio.store import records
from unibio.store.codehash import code_hash
from unibio.store.records import Record
from unibio.store.replays import Replay


def replay(
    job: Job, record: Record, whole: bool = False, should_stop: Callable[[], bool] | None = None
) -> Replay | None:
    """Compute a record's first iterations with today's code, compare, and note the result beside the record.

    Args:
        job: of which it is the record.
        record: complete.
        whole: to its end, instead of :func:`horizon`.
        should_stop: as in :func:`unibio.simulation.simulate.simulate`.

    Returns:
        The result; None where this machine has no device of the kind that computed the record.

    Raises:
        InputError: the job cannot run here.
        Interrupted: asked to stop; nothing is noted.
    """
    like = as_recorded(job, record)
    if like is None:
        return None
    began = time.monotonic()
    longest, last = int(record.runs["stopped_at"].argmax()), int(record.runs["stopped_at"].max())
    until = last
    if not whole:
        until = horizon(record.part([("run", "==", longest)]), getattr(job.algorithm, "period", 1))
    modules = job.modules
    rows, difference = 0, ""
    for part in divided(like):
        found, compared = _compared(like, record, part, until, until < last, should_stop)
        rows, difference = rows + compared, difference or found
    result = Replay(
        modules=modules,
        code_hash=code_hash(modules),
        seal=record.seal,
        iteration=until,
        last=last,
        rows=rows,
        difference=difference,
        commit=commit(),
        seconds=time.monotonic() - began,
        finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )
    records.write_replay(record, result)
    return result


def _compared(
    like: Job, record: Record, part: range, until: int, cut: bool, should_stop: Callable[[], bool] | None
) -> tuple[str, int]:
    """The first difference of some runs up to an iteration, and how many rows of history were compared.

    ``cut`` ends them there; a whole run ends by itself, and that it ends where it did is among what is compared.
    """
    rows = None if len(part) == like.runs else part
    outcome = simulation(like, until=until if cut else None, should_stop=should_stop, rows=rows)
    table = table_of(like.axes, rows)
    history = history_table(outcome, table)
    history["run"] += part.start
    filters = [("iteration", "<=", until)]
    if rows is not None:
        filters += [("run", ">=", part.start), ("run", "<", part.stop)]
    wanted, recorded = record.part(filters), record.runs.iloc[part.start : part.stop].reset_index(drop=True)
    return _difference(history, wanted) or _difference_of_runs(outcome, table, recorded, until), len(wanted)


def horizon(history: pd.DataFrame, period: int) -> int:
    """The iteration up to which a record is replayed: the first logged one beyond a period; the last where none is.

    What an algorithm does every ``period`` iterations it does for the first time in the step after the first period.

    Args:
        history: of the record, with columns run and iteration.
        period: of the algorithm, at least 1.
    """
    logged = np.unique(history["iteration"].to_numpy())
    beyond = logged[logged > period]
    return int(beyond[0] if len(beyond) else logged[-1])


def _difference_of_runs(outcome: Trajectories, table: pd.DataFrame, recorded: pd.DataFrame, until: int) -> str:
    """The same for the table of runs, as far as it is settled: what was diagnosed, first hits, runs that have ended."""
    found = runs_table(outcome, table)
    if list(found.columns) != list(recorded.columns) or len(found) != len(recorded):
        return _difference(found, recorded)
    ended = recorded["stopped_at"].to_numpy() <= until
    settled = [*table.columns, *outcome.diagnosis.values]
    wanted = recorded.copy()
    for name in wanted.columns:
        if name.startswith("iterations_to "):
            late = wanted[name].to_numpy() > until
            wanted.loc[late, [name, name.replace("iterations_to ", "oracle_calls_to ", 1)]] = np.nan
            settled += [name, name.replace("iterations_to ", "oracle_calls_to ", 1)]
    return _difference(found[settled], wanted[settled]) or _difference(
        found[ended].reset_index(drop=True), wanted[ended].reset_index(drop=True)
    )


def _difference(found: pd.DataFrame, wanted: pd.DataFrame) -> str:
    """The first difference to the bit of two tables, seconds left out, in words; "" where there is none."""
    names, theirs = ([name for name in table.columns if name != "seconds"] for table in (found, wanted))
    if names != theirs:
        only = [f"{name} (now)" for name in names if name not in theirs]
        only += [f"{name} (recorded)" for name in theirs if name not in names]
        return f"columns: {', '.join(only) or 'their order'}"
    if len(found) != len(wanted):
        return f"{len(found)} rows now, {len(wanted)} recorded"
    for name in names:
        unequal = np.flatnonzero(_unequal(found[name].to_numpy(), wanted[name].to_numpy()))
        if len(unequal):
            at = unequal[0]
            where = ", ".join(f"{key} {wanted[key].iloc[at]}" for key in ("run", "iteration") if key in wanted)
            now, then = (table[name].iloc[[at]].tolist()[0] for table in (found, wanted))
            return f"{name}{' of ' * bool(where)}{where}: {now!r} now, {then!r} recorded"
    return ""


def _unequal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two columns differ to the bit; every NaN is the same."""
    if a.dtype != b.dtype:
        return np.ones(len(a), dtype=bool)
    if a.dtype.kind != "f":
        return np.asarray(a != b)
    bits = f"u{a.dtype.itemsize}"
    return (a.view(bits) != b.view(bits)) & ~(np.isnan(a) & np.isnan(b))
