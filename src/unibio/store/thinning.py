"""Thinned records: small enough for version control, and enough for every figure, table and verdict.

A thinned record has the files of a record and its name. What differs:

- ``history.parquet``: a record's columns, but the numbers that are measured (metrics, and ``seconds``) are rounded to
  :data:`BITS` significant bits, a relative error of at most 2^−11, about 5·10^−4, if its study asks for no others;
  in every run's last row to :data:`END_BITS`, since most verdicts compare where runs end, and some of them by very
  little. Axes and counts are exact. Of a history of more than :data:`ROWS` rows every run keeps its last :data:`TAIL`
  rows, and of the others at most as many as its study asks for, :data:`POINTS` if it does not say, spaced by the
  logarithm of their iteration. Runs whose curves a study never shows keep their *ends*, however short the history: the
  first row, the last and those of the last :data:`LATE` of the iterations, and rows that the study names. Metrics that
  it does not read are left out, whole columns; those that it reads at the ends alone, or in the first and the last
  row, are NaN between. Of the counts ``oracle_calls`` and ``samples`` are there, if a study does not ask for others.
  See :class:`Kept`.
- ``runs.parquet``: as it was, with counts and first hits to the last digit.
- ``summary.json``: has a further key ``thinned``: ``{"bits": …, "points": … or null, "ends": […], "of": …}``, the last
  of them the sha256 of the ``done`` of the record that it was made from.

Nothing of it says where the record lay: words of the command that choose a directory of records, a launcher or a
tracker are left out, and of directories only the last part is kept.

Both tables are packed for size (the bytes of numbers apart, differences of counts, zstd); any reader of parquet reads
them. What is published has the records of an experiment in one folder, see :mod:`unibio.store.packs`. Nothing that
computes takes a thinned record for its own: it is not what the configuration gives to the bit.
"""

from __future__ import annotations

import dataclasses
import enum
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.store import records
from unibio.store.packs import packing
from unibio.store.records import Record

#: Significant bits that are kept of what is measured, and of where runs end.
BITS, END_BITS = 10, 24

#: Rows of a history that is left whole, and what is kept of every run of a longer one: its end, and others before.
ROWS, TAIL, POINTS = 20_000, 8, 12

#: The part of the iterations at the end that rules look at.
LATE = 0.2

#: Counts of a history that are kept if a study does not say which it reads.
COUNTS = ("oracle_calls", "samples")

#: Keys that say where and how a record is computed, and nothing about its numbers.
WHERE = ("records", "launcher", "tracker")


class Reach(enum.IntEnum):
    """Where a metric is read, each of which contains those before it."""

    NOWHERE, FINALS, ENDS, ALL_ALONG = range(4)


@dataclass(frozen=True)
class Kept:
    """What figures, tables and rules read of records, so that nothing else need be published.

    Attributes:
        points: rows of every run of a long history, besides its last ones; None for all.
        since: part of the iterations, in [0, 1), before which nothing but the first row of a run is read.
        metrics: those that are read all along, ``ends`` apart; None for every one that a record has.
        ends: metrics that are read where runs begin and over their last iterations, and nowhere between.
        finals: metrics that are read where runs begin and in their last row alone.
        placed: those of them that are also read in rows which the study names, where nothing else is.
        late: keep the rows of the last part of the iterations, however few points.
        bits: significant ones of what is measured.
        end_bits: the same where runs end; 53 are all of them, where settings are chosen that end alike.
        finer: {metric: (bits, end_bits)} of those that need others, more than these or fewer.
        counts: those that are read along the way; where runs end all of them are kept.
    """

    points: int | None = POINTS
    since: float = 0.0
    metrics: tuple[str, ...] | None = None
    ends: tuple[str, ...] = ()
    finals: tuple[str, ...] = ()
    placed: tuple[str, ...] = ()
    late: bool = False
    bits: int = BITS
    end_bits: int = END_BITS
    finer: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    counts: tuple[str, ...] = COUNTS

    def __or__(self, other: Kept) -> Kept:
        """What suffices for both."""
        both = (self, other)
        everything = self.metrics is None or other.metrics is None
        named = dict.fromkeys(name for one in both for name in (*(one.metrics or ()), *one.ends, *one.finals))
        by_reach: dict[Reach, list[str]] = {reach: [] for reach in Reach}
        for name in named:
            by_reach[max(one.reach(name) for one in both)].append(name)
        points = None if self.points is None or other.points is None else max(self.points, other.points)
        finer = {}
        for name in {**self.finer, **other.finer}:
            bits = [one.bits_of(name) for one in both if one.reads(name)] or [one.bits_of(name) for one in both]
            finer[name] = max(along for along, _ in bits), max(at_end for _, at_end in bits)
        return Kept(
            points,
            min(self.since, other.since),
            None if everything else tuple(by_reach[Reach.ALL_ALONG]),
            tuple(by_reach[Reach.ENDS]),
            tuple(by_reach[Reach.FINALS]),
            tuple(dict.fromkeys([*self.placed, *other.placed])),
            self.late or other.late,
            max(self.bits, other.bits),
            max(self.end_bits, other.end_bits),
            finer,
            tuple(dict.fromkeys([*self.counts, *other.counts])),
        )

    def reach(self, metric: str) -> Reach:
        """Where a metric is read."""
        if metric in self.ends:
            return Reach.ENDS
        if metric in self.finals:
            return Reach.FINALS
        return Reach.ALL_ALONG if self.metrics is None or metric in self.metrics else Reach.NOWHERE

    def all_along(self, metric: str) -> bool:
        """Whether a metric is read between the ends of runs."""
        return self.reach(metric) is Reach.ALL_ALONG

    def reads(self, metric: str) -> bool:
        """Whether a metric is read at all."""
        return self.reach(metric) is not Reach.NOWHERE

    def bits_of(self, metric: str) -> tuple[int, int]:
        """Significant bits of a metric, and where runs end."""
        return self.finer.get(metric, (self.bits, self.end_bits))


#: What is published of a study that does not say what it reads.
USUAL = Kept()


def thin(
    record: Record,
    root: Path,
    kept: Kept = USUAL,
    shown: NDArray[np.bool_] | None = None,
    places: NDArray[np.bool_] | None = None,
) -> Record:
    """Write a record's thinned copy into ``root``, with how the record stands to today's code; returns it.

    Args:
        record: complete. A thinned one keeps of the numbers it has those that are read.
        root: directory of records.
        kept: what is read of it.
        shown: (runs,) whose curves are shown; of others less is kept. None for all.
        places: (rows,) of the history that are read besides, of the metrics that are ``placed``. None for no others.
    """
    history, summary, config = record.history, dict(record.summary), placeless(record.config)
    if summary.get("command"):
        summary["command"] = placeless_words(summary["command"])
    before = summary.get("thinned") or {"bits": kept.bits, "points": None, "of": record.seal}
    points = kept.points if len(history) > ROWS and not record.thinned else None
    read = [name for name in measured(record) if kept.reads(name)]
    partly = [name for name in read if not kept.all_along(name)]
    summary["thinned"] = before | {"points": before["points"] or points, "ends": partly}
    places = np.zeros(len(history), dtype=bool) if places is None else places
    # Few rows of a thinned record are left, and what is read between two of them needs both.
    chosen = spaced(history, points, shown, 0.0 if record.thinned else kept.since, kept.late)
    here = {Reach.ENDS: at_ends(history), Reach.FINALS: _first(history) | _last(history), Reach.ALL_ALONG: chosen}
    unread = [name for name in measured(record) if not kept.reads(name)]
    history = history.drop(columns=[*unread, *(name for name in counted(record) if name not in kept.counts)])
    for name in read:
        history.loc[~(here[kept.reach(name)] | (places & (name in kept.placed))), name] = np.nan
    history = history[chosen | places].reset_index(drop=True)
    last = _last(history)
    for name in read:
        along, at_end = kept.bits_of(name)
        values = history[name].to_numpy()
        history[name] = np.where(last, rounded(values, at_end), rounded(values, along))
    made = records.write(root / record.name, config, summary, history, record.runs, packing=packing)
    if (noted := record.replay) is not None:
        records.write_replay(made, dataclasses.replace(noted, seal=made.seal))
    return made


def placeless(value: Any) -> Any:
    """A configuration, or a part of one, without the directories of a machine: of an absolute path the last part."""
    if isinstance(value, Mapping):
        return {key: placeless(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [placeless(one) for one in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def first_key(word: str) -> str:
    """What a word of a command sets: "algorithm" of ``+algorithm.lower_step=1``."""
    return word.lstrip("+~").partition("=")[0].partition(".")[0]


def placeless_words(words: Sequence[str]) -> list[str]:
    """The words of a command without those about :data:`WHERE`, and without the directories of a machine."""
    kept = [word for word in words if first_key(word) not in WHERE or "=" not in word]
    return ["=".join(map(str, placeless(word.split("=", 1)))) for word in kept]


def placeless_command(command: str) -> str:
    """The same of a line; one that cannot be read as words stays as it is."""
    try:
        return shlex.join(placeless_words(shlex.split(command)))
    except ValueError:
        return command


def measured(record: Record) -> list[str]:
    """The columns of a record's history that are neither axes nor counts."""
    return _columns(record, "f")


def counted(record: Record) -> list[str]:
    """The columns of a record's history that count calls and samples."""
    return _columns(record, "iu")


def _columns(record: Record, kinds: str) -> list[str]:
    """The columns of a history of these NumPy kinds that are none of its axes, searched ones among them."""
    axes = {"run", "iteration", *(str(key).rpartition(".")[-1] for key in record.config.get("grid") or {})}
    return [str(name) for name, kind in record.history.dtypes.items() if kind.kind in kinds and name not in axes]


def at_ends(history: pd.DataFrame) -> NDArray[np.bool_]:
    """(rows,) the first row of every run, its last, and those of the last ``LATE`` of the iterations."""
    iterations = history["iteration"].to_numpy()
    found: NDArray[np.bool_] = (iterations >= (1 - LATE) * iterations.max(initial=0)) | _first(history) | _last(history)
    return found


def _first(history: pd.DataFrame) -> NDArray[np.bool_]:
    """(rows,) the first row of every run."""
    return np.asarray(~history["run"].duplicated())


def _last(history: pd.DataFrame) -> NDArray[np.bool_]:
    """(rows,) the last row of every run."""
    return np.asarray(~history["run"].duplicated(keep="last"))


def spaced(
    history: pd.DataFrame,
    points: int | None,
    shown: NDArray[np.bool_] | None = None,
    since: float = 0.0,
    late: bool = False,
) -> NDArray[np.bool_]:
    """(rows,) the last ``TAIL`` of every run, and at most so many others, spaced by the logarithm of their iteration.

    The first is among them; None for ``points`` keeps all. Of a run that is not shown: its ends.

    Args:
        history: of a record.
        points: as :class:`Kept` has them.
        shown: (runs,) None for all.
        since: part of the iterations; of those before it the first row of a run is kept.
        late: whether all rows of the last part of the iterations are among them.
    """
    kept, iterations = np.ones(len(history), dtype=bool), history["iteration"].to_numpy()
    if points is None and shown is None and not since:
        return kept
    read = iterations >= since * iterations.max(initial=0)
    if points is not None:
        places = history.groupby("run", sort=False).cumcount().to_numpy()
        lengths = history.groupby("run", sort=False)["run"].transform("size").to_numpy()
        kept = places >= lengths - TAIL
        for length in np.unique(lengths):
            here = lengths == length
            logged = iterations[here][:length].clip(min=1)  # of the first of these runs
            wanted = np.log(np.geomspace(logged[0], logged[-1], points))
            nearest = np.abs(np.log(logged)[:, None] - wanted).argmin(axis=0)
            kept |= here & np.isin(places, nearest)
    ends = at_ends(history)
    kept |= ends & late
    kept = (kept & read) | _first(history)
    if shown is not None:
        kept &= shown[history["run"].to_numpy()] | ends
    return kept


def rounded(values: NDArray[np.floating[Any]], bits: int) -> NDArray[np.floating[Any]]:
    """To the nearest number of so many significant bits, ties away from zero; what is not finite stays as it is.

    Args:
        values: float32 or float64, any shape.
        bits: at least 1; the implicit one counts. 53 and more change nothing.
    """
    if bits >= 53:
        return values
    mantissa, exponent = np.frexp(values)
    with np.errstate(invalid="ignore", over="ignore"):
        nearest = np.ldexp(np.trunc(np.ldexp(mantissa, bits) + np.copysign(0.5, mantissa)), exponent - bits)
    return np.where(np.isfinite(nearest), nearest, values).astype(values.dtype)
