"""Thinned records: small enough for version control, and enough for every figure, table and verdict.

A thinned record has the files of a record and its name. What differs:

- ``history.parquet``: a record's columns, but the numbers that are measured (metrics, and ``seconds``) are rounded to
  :data:`BITS` significant bits, a relative error of at most 2^−11, about 5·10^−4; in every run's last row to
  :data:`END_BITS`, since most verdicts compare where runs end, and some of them by very little. Axes and counts are
  exact. Of a history of more than :data:`ROWS` rows every run keeps its last :data:`TAIL` rows, and of the others at
  most as many as its study asks for, :data:`POINTS` if it does not say, spaced by the logarithm of their iteration.
  Runs whose curves a study never shows keep the first row, the last and those of the last :data:`LATE` of the
  iterations, however short the history. Metrics that a study says it does not read are left out, whole columns.
- ``runs.parquet``: as it was, with counts and first hits to the last digit.
- ``summary.json``: has a further key ``thinned``: ``{"bits": …, "points": … or null, "of": …}``, the last of them the
  sha256 of the ``done`` of the record that it was made from.

Nothing of it says where the record lay: words of the command that choose a directory of records, a launcher or a
tracker are left out, and of directories only the last part is kept.

Both tables are packed for size (the bytes of numbers apart, differences of counts, zstd); any reader of parquet reads
them. Nothing that computes takes a thinned record for its own: it is not what the configuration gives to the bit.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.store import records, replays
from unibio.store.records import Record

#: Significant bits that are kept of what is measured, and of where runs end.
BITS, END_BITS = 10, 24

#: Rows of a history that is left whole, and what is kept of every run of a longer one: its end, and others before.
ROWS, TAIL, POINTS = 20_000, 8, 12

#: The part of the iterations at the end that rules look at.
LATE = 0.2

#: Keys that say where and how a record is computed, and nothing about its numbers.
WHERE = ("records", "launcher", "tracker")


def thin(
    record: Record,
    root: Path,
    points: int = POINTS,
    shown: NDArray[np.bool_] | None = None,
    metrics: Collection[str] | None = None,
) -> Record:
    """Write a record's thinned copy into ``root``, with how the record stands to today's code; returns it.

    Args:
        record: complete. A thinned one is copied with the numbers it has.
        root: directory of records.
        points: rows of every run that are kept of a long history, besides its last ones.
        shown: (runs,) whose curves are shown; of others less is kept. None for all.
        metrics: those that are kept; None for all.
    """
    history, summary, config = record.history, dict(record.summary), placeless(record.config)
    if summary.get("command"):
        summary["command"] = placeless_words(summary["command"])
    if not record.thinned:
        kept = points if len(history) > ROWS else None
        summary["thinned"] = {"bits": BITS, "points": kept, "of": replays.seal_of(record.path)}
        read = [name for name in measured(record) if metrics is None or name in {"seconds", *metrics}]
        unread = set(measured(record)).difference(read)
        history = spaced(history.drop(columns=list(unread)), kept, shown).copy()
        ends = ~history["run"].duplicated(keep="last").to_numpy()
        for name in read:
            values = history[name].to_numpy()
            history[name] = np.where(ends, rounded(values, END_BITS), rounded(values, BITS))
    made = records.write(root / record.name, config, summary, history, record.runs, packing=_packing)
    noted = replays.read(record.path)
    if noted is not None:
        records.write_replay(made, dataclasses.replace(noted, seal=replays.seal_of(made.path)))
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
    axes = {str(key).rpartition(".")[-1] for key in record.config.get("grid") or {}}
    return [str(name) for name, kind in record.history.dtypes.items() if kind.kind == "f" and name not in axes]


def spaced(history: pd.DataFrame, points: int | None, shown: NDArray[np.bool_] | None = None) -> pd.DataFrame:
    """The last ``TAIL`` rows of every run, and at most so many others, spaced by the logarithm of their iteration.

    The first is among them; None for ``points`` keeps all. Of a run that is not shown: the first, the last, and those
    of the last ``LATE`` of the iterations.
    """
    if points is None and shown is None:
        return history
    places = history.groupby("run", sort=False).cumcount().to_numpy()
    lengths = history.groupby("run", sort=False)["run"].transform("size").to_numpy()
    kept = np.ones(len(history), dtype=bool)
    if points is not None:
        kept = places >= lengths - TAIL
        for length in np.unique(lengths):
            here = lengths == length
            iterations = history["iteration"].to_numpy()[here][:length].clip(min=1)  # of the first of these runs
            wanted = np.log(np.geomspace(iterations[0], iterations[-1], points))
            nearest = np.abs(np.log(iterations)[:, None] - wanted).argmin(axis=0)
            kept |= here & np.isin(places, np.append(nearest, 0))
    if shown is not None:
        iterations = history["iteration"].to_numpy()
        late = iterations >= (1 - LATE) * iterations.max()
        kept &= shown[history["run"].to_numpy()] | late | (places == 0) | (places == lengths - 1)
    return history[kept].reset_index(drop=True)


def rounded(values: NDArray[np.floating[Any]], bits: int) -> NDArray[np.floating[Any]]:
    """To the nearest number of so many significant bits, ties away from zero; what is not finite stays as it is.

    Args:
        values: float32 or float64, any shape.
        bits: at least 1; the implicit one counts.
    """
    mantissa, exponent = np.frexp(values)
    with np.errstate(invalid="ignore", over="ignore"):
        nearest = np.ldexp(np.trunc(np.ldexp(mantissa, bits) + np.copysign(0.5, mantissa)), exponent - bits)
    return np.where(np.isfinite(nearest), nearest, values).astype(values.dtype)


def _packing(table: pd.DataFrame) -> Mapping[str, Any]:
    """Options of the parquet writer: a number's bytes apart, so that those that rounding emptied cost nothing."""
    floats = [str(name) for name, kind in table.dtypes.items() if kind.kind == "f"]
    counts = [str(name) for name, kind in table.dtypes.items() if kind.kind in "iu"]
    return {
        "compression": "zstd",
        "compression_level": 12,
        "write_statistics": False,
        "store_schema": False,  # what pandas wrote would be read back by pandas alone, and is most of a small file
        "use_dictionary": [str(name) for name in table if name not in {*floats, *counts}],
        "column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT") | dict.fromkeys(counts, "DELTA_BINARY_PACKED"),
    }
