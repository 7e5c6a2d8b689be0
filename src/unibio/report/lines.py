"""The curves of anybody's runs: which runs belong together, what tells curves apart, and their numbers.

A line is a median over runs that differ in their seed alone. Runs come from records or from what ``solve`` and
``compare`` return; whatever else they differ in (an axis of a grid, a parameter that was swept, the method) tells one
line from another, so that nothing is averaged that is not alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unibio.errors import InputError, unknown
from unibio.quantiles import quartiles, worst
from unibio.store.records import Record
from unibio.store.show import flat
from unibio.studies.common.curves import Array, by_cell
from unibio.studies.common.evidence import method

#: What a curve can be drawn against, beside any kind of call that is counted.
PLACES = ("oracle_calls", "iteration", "seconds", "samples")


@dataclass(frozen=True)
class Source:
    """Runs that were computed together.

    Attributes:
        name: of the record, or whose runs they are.
        settings: {"problem", "algorithm", "problem.KEY", "algorithm.KEY", …: value} that all of them share.
        axes: {the same kind of key: column of ``runs``} in which they differ, but for the seed.
        runs: one row per run, with a column for every axis, ``status`` and ``stopped_at``.
        history: one row per run and logged iteration.
        metrics: the columns of ``history`` that are no bookkeeping.
    """

    name: str
    settings: Mapping[str, Any]
    axes: Mapping[str, str]
    runs: pd.DataFrame
    history: pd.DataFrame
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """The runs of one choice of all settings.

    Attributes:
        settings: the choice.
        iterations: (n,) logged ones.
        place: (n,) what it is drawn against, the median over the runs.
        values: (runs, n) the metric, smaller meant to be better; inf from where a run has diverged, and where it is not
            defined. A run that has ended stays where it ended.
        diverged: how many runs have.
        calls, seconds: of a run, medians.
    """

    settings: Mapping[str, Any]
    iterations: Array
    place: Array
    values: Array
    diverged: int
    calls: float
    seconds: float

    @property
    def bands(self) -> tuple[Array, Array, Array]:
        """(n,) lower quartile, median and upper quartile over the runs."""
        return quartiles(self.values)

    @property
    def end(self) -> float:
        """The median of the last values."""
        return float(self.bands[1][-1])


def of_record(record: Record, **more: Any) -> Source:
    """A record's runs.

    Args:
        record: complete.
        more: settings that do not stand in it, such as the sweep that it belongs to.
    """
    config = record.config
    settings: dict[str, Any] = {"problem": config["problem"]["name"], "algorithm": method(record), **more}
    for role in ("problem", "algorithm"):
        own = flat({role: config[role]})
        settings |= {key: value for key, value in own.items() if key != f"{role}.name"}
    settings |= {key: config.get(key) for key in ("steps", "budget", "epochs", "dtype") if config.get(key) is not None}
    axes = {key: key.split(".", 1)[-1] for key in config.get("grid") or {} if key != "seed"}
    runs = record.runs.reset_index(drop=True)
    return Source(record.name, settings, axes, runs, record.history, _metrics(record.history))


def of_result(result: Any, label: str = "") -> Source:
    """The runs that ``solve`` returned: anything with their two tables ``runs`` and ``history``."""
    columns = list(result.runs.columns)
    axes = [name for name in columns[: columns.index("status")] if name != "seed"]
    settings = {"algorithm": label} if label else {}
    return Source(label, settings, {one: one for one in axes}, result.runs, result.history, _metrics(result.history))


def _metrics(history: pd.DataFrame) -> tuple[str, ...]:
    """The columns of a history that measure something: those behind the bookkeeping, which ends with the seconds."""
    names = list(history.columns)
    return tuple(names[names.index("seconds") + 1 :])


def metric_of(sources: Sequence[Source], wanted: str | None) -> str:
    """The metric to show: the one asked for, or the norm of the hypergradient, or the first that all have.

    Raises:
        InputError: some have none of that name, or all have none in common.
    """
    if not sources:
        raise InputError("there are no runs to show")
    shared = [name for name in sources[0].metrics if all(name in one.metrics for one in sources)]
    if wanted is not None and wanted not in shared:
        raise unknown("metric,", wanted, shared)
    if not shared:
        raise InputError("these runs have no metric in common; name records that were measured alike")
    return wanted or next((name for name in shared if name == "hypergradient_norm"), shared[0])


def lines(sources: Sequence[Source], x: str, y: str) -> list[Line]:
    """A line for every choice of settings, in the order in which they come.

    Args:
        sources: runs.
        x: one of :data:`PLACES`, or a kind of call.
        y: a metric of all.

    Raises:
        InputError: some history has no such column.
    """
    together: dict[str, list[tuple[Source, pd.Index, dict[str, Any]]]] = {}
    for source in sources:
        if x not in source.history:
            known = [
                name for name in source.history.columns if name in PLACES or name.startswith(("grad_", "hvp", "jvp"))
            ]
            raise unknown("column to draw against,", x, known)
        for cell, rows in by_cell(source.runs, list(source.axes.values())):
            chosen = dict(source.settings) | {key: cell[column] for key, column in source.axes.items()}
            together.setdefault(repr(sorted(chosen.items(), key=lambda one: one[0])), []).append(
                (source, rows.index, chosen)
            )
    return [_line(parts, x, y) for parts in together.values()]


def _line(parts: Sequence[tuple[Source, pd.Index, dict[str, Any]]], x: str, y: str) -> Line:
    tables, ends = [], []
    for k, (source, rows, _) in enumerate(parts):
        history = source.history[source.history["run"].isin(rows)]
        run = [f"{k} {number}" for number in history["run"]]
        names = ["iteration", x, "oracle_calls", "seconds"]
        tables.append(history[list(dict.fromkeys(names))].assign(run=run, value=worst(history[y])))
        kept = source.runs.loc[rows, ["status", "stopped_at"]]
        ends.append(kept.set_axis([f"{k} {number}" for number in rows]))
    table, ended = pd.concat(tables), pd.concat(ends)
    values = table.pivot(index="run", columns="iteration", values="value").reindex(ended.index).ffill(axis=1)
    iterations = values.columns.to_numpy()
    diverged = (ended["status"] == "diverged").to_numpy()
    gone = diverged[:, None] & (iterations[None, :] >= ended["stopped_at"].to_numpy()[:, None])
    gone[:, -1] |= diverged  # where all have, no row of another tells that they are not finished
    if x == "iteration":
        place = iterations.astype(float)
    else:
        places = table.pivot(index="run", columns="iteration", values=x).reindex(ended.index).ffill(axis=1)
        place = places.median(axis=0).to_numpy(dtype=float)
    last = table.groupby("run").tail(1)
    return Line(
        settings=parts[0][2],
        iterations=iterations,
        place=place,
        values=np.where(gone, np.inf, worst(values)),
        diverged=int(diverged.sum()),
        calls=float(last["oracle_calls"].median()),
        seconds=float(last["seconds"].median()),
    )


def varying(found: Sequence[Line]) -> list[str]:
    """The settings that tell lines apart. A parameter counts where it differs between lines of one method or problem.

    Args:
        found: lines.
    """
    keys = dict.fromkeys(key for line in found for key in line.settings)
    return [key for key in keys if _differs(key, found)]


def _differs(key: str, found: Sequence[Line]) -> bool:
    role = key.partition(".")[0] if "." in key else ""
    seen: dict[Any, set[str]] = {}
    for line in found:
        if key in line.settings or not role:
            seen.setdefault(line.settings.get(role), set()).add(repr(line.settings.get(key)))
    return any(len(values) > 1 for values in seen.values())


def key_of(name: str, found: Sequence[Line]) -> str:
    """A setting by its whole key or its last word.

    Raises:
        InputError: there is none, or several.
    """
    keys = list(dict.fromkeys(key for line in found for key in line.settings))
    fits = [key for key in keys if key == name] or [key for key in keys if key.split(".")[-1] == name]
    if not fits:
        raise unknown("setting,", name, [key.split(".")[-1] for key in keys])
    if len(several := [key for key in fits if key in varying(found)]) > 1:
        raise InputError(f"{name} may be {' or '.join(several)}; write one of them")
    return (several or fits)[0]


def best_of(found: Iterable[Line], keys: Sequence[str]) -> list[Line]:
    """Of the lines that agree in some settings, the one whose last values are lowest, by their median."""
    chosen: dict[tuple[str, ...], Line] = {}
    for line in found:
        at = tuple(repr(line.settings.get(key)) for key in keys)
        if at not in chosen or line.end < chosen[at].end:
            chosen[at] = line
    return list(chosen.values())
