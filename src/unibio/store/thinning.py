"""Thinned records: small enough for version control, and enough for every figure, table and verdict.

A thinned record has the files of a record and its name. What differs:

- ``history.parquet``: all columns, but the numbers that are measured (metrics, and ``seconds``) are rounded to
  :data:`BITS` significant bits, a relative error of at most 2^−13, about 10^−4. Axes and counts are exact, and so is
  every run's last row: most verdicts compare where runs end, and some of them by very little. Of a history of more than
  :data:`ROWS` rows every run keeps at most :data:`POINTS`, spaced by the logarithm of their place, the first and the
  last among them, unless its study asks for all of them.
- ``runs.parquet``: as it was, with counts and first hits to the last digit.
- ``summary.json``: has a further key ``thinned``: ``{"bits": …, "points": … or null, "of": …}``, the last of them the
  sha256 of the ``done`` of the record that it was made from.

Both tables are packed for size (the bytes of numbers apart, differences of counts, zstd); any reader of parquet reads
them. Nothing that computes takes a thinned record for its own: it is not what the configuration gives to the bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.store import records, replays
from unibio.store.records import Record

#: Significant bits that are kept of what is measured.
BITS = 12

#: Rows of a history that is left whole, and what is kept of every run of a longer one.
ROWS, POINTS = 20_000, 16


def thin(record: Record, root: Path, whole: bool = False) -> Record:
    """Write a record's thinned copy into ``root``, with how the record stands to today's code; returns it.

    Args:
        record: complete. A thinned one is copied as it is.
        root: directory of records.
        whole: keep all rows.
    """
    history, summary = record.history, dict(record.summary)
    if not record.thinned:
        points = POINTS if len(history) > ROWS and not whole else None
        summary["thinned"] = {"bits": BITS, "points": points, "of": replays.seal_of(record.path)}
        history = (spaced(history, points) if points else history).copy()
        ends = ~history["run"].duplicated(keep="last").to_numpy()
        for name in measured(record):
            values = history[name].to_numpy()
            history[name] = np.where(ends, values, rounded(values, BITS))
    made = records.write(root / record.name, record.config, summary, history, record.runs, packing=_packing)
    noted = replays.read(record.path)
    if noted is not None:
        records.write_replay(made, dataclasses.replace(noted, seal=replays.seal_of(made.path)))
    return made


def measured(record: Record) -> list[str]:
    """The columns of a record's history that are neither axes nor counts."""
    axes = {str(key).rpartition(".")[-1] for key in record.config.get("grid") or {}}
    return [str(name) for name, kind in record.history.dtypes.items() if kind.kind == "f" and name not in axes]


def spaced(history: pd.DataFrame, points: int) -> pd.DataFrame:
    """At most so many rows of every run, spaced by the logarithm of their place, the first and the last among them."""
    places = history.groupby("run", sort=False).cumcount().to_numpy()
    lengths = history.groupby("run", sort=False)["run"].transform("size").to_numpy()
    kept = np.zeros(len(history), dtype=bool)
    for length in np.unique(lengths):
        chosen = np.unique(np.geomspace(1, length, points).round().astype(int)) - 1
        kept |= (lengths == length) & np.isin(places, chosen)
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
