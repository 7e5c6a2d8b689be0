"""Records in the terminal: which one is meant, its curves, a picture of them, two compared. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unibio import records
from unibio.errors import InputError, unknown
from unibio.records import Record
from unibio.status import state_of

#: Columns of a history that are no metrics.
BOOKKEEPING = ("run", "iteration", "oracle_calls", "samples", "seconds", "seed")


def find_record(root: Path, name: str) -> Record:
    """A record by its name, the start of it, or its digest.

    Raises:
        InputError: none or several fit; the one that fits is not complete.
    """
    directories = [p for p in sorted(root.iterdir()) if p.is_dir()] if root.is_dir() else []
    names = [p.name for p in directories if not p.name.startswith(".") and p.name != "wandb"]
    wanted = Path(name).name  # a path is accepted, too
    fits = [n for n in names if n == wanted]
    fits = fits or [n for n in names if n.startswith(wanted) or n.rpartition("-")[2].startswith(wanted)]
    if not fits:
        raise unknown(f"record in {root},", wanted, names[:20])
    if len(fits) > 1:
        raise InputError(
            f"{wanted!r} fits {len(fits)} records in {root}: {', '.join(fits[:5])}…; give more of the name"
        )
    found = records.find(root / fits[0])
    if found is None:
        state = state_of(root / fits[0])
        if state.state == "done":
            raise InputError(f"{fits[0]}: its files are not what was written; the sweep's command computes it again")
        raise InputError(f"{fits[0]} is not complete: {' '.join((state.state, state.reason)).strip()}")
    return found


def axes_of(record: Record) -> list[str]:
    """The columns that tell a record's curves apart: its grid's axes but the seeds."""
    return [key.split(".")[-1] for key in record.config.get("grid", {}) if key != "seed"]


def metrics_of(record: Record) -> list[str]:
    """The metrics of a record's history."""
    return list(record.summary["metrics"])


def curves(record: Record) -> pd.DataFrame:
    """A record's curves: one row per combination of axes and iteration, the median over seeds of every number."""
    keys = [*axes_of(record), "iteration"]
    numbers = [name for name in record.history.columns if name not in (*keys, "run", "seed")]
    return record.history.groupby(keys, sort=True)[numbers].median().reset_index()


def series(record: Record, metric: str, most: int = 6) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{label: (iterations, medians)} of at most ``most`` curves, evenly chosen from a large grid.

    Raises:
        InputError: a metric that the record has not.
    """
    if metric not in metrics_of(record):
        raise unknown("metric", metric, metrics_of(record))
    table, axes = curves(record), axes_of(record)
    groups = list(table.groupby(axes, sort=True)) if axes else [((), table)]
    chosen = sorted(set(np.linspace(0, len(groups) - 1, min(most, len(groups))).round().astype(int).tolist()))
    found = {}
    for index in chosen:
        values, part = groups[index]
        label = ", ".join(f"{axis}={value:g}" for axis, value in zip(axes, values, strict=True)) or metric
        found[label] = (part["iteration"].to_numpy(dtype=float), part[metric].to_numpy(dtype=float))
    return found


_MARKS = "•×+o*#"


def picture(lines: Mapping[str, tuple[np.ndarray, np.ndarray]], width: int = 72, height: int = 16) -> str:
    """Curves as text: x is log(1 + iteration); y is logarithmic where all values are positive.

    Args:
        lines: {label: (x, y)}; values that are not finite are left out.
        width, height: of the drawing area in characters.
    """
    points = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in lines.values()]
    every_y = np.concatenate([y for _, y in points]) if points else np.array([])
    if not len(every_y):
        return "(no finite values)"
    logarithmic = bool((every_y > 0).all())

    def scale(y: np.ndarray) -> np.ndarray:
        return np.log10(y) if logarithmic else y

    low, high = float(scale(every_y).min()), float(scale(every_y).max())
    right = max(float(np.log1p(x).max()) for x, _ in points if len(x)) or 1.0
    field = [[" "] * width for _ in range(height)]
    for mark, (x, y) in zip(_MARKS * len(points), points, strict=False):
        columns = (np.log1p(x) / right * (width - 1)).round().astype(int)
        rows = ((high - scale(y)) / ((high - low) or 1.0) * (height - 1)).round().astype(int)
        for row, column in zip(rows, columns, strict=True):
            field[row][column] = mark
    top, bottom = ((10**value if logarithmic else value) for value in (high, low))
    labels = [f"{top:.3g}"] + [""] * (height - 2) + [f"{bottom:.3g}"]
    margin = max(map(len, labels))
    drawn = [f"{label:>{margin}} │{''.join(line).rstrip()}" for label, line in zip(labels, field, strict=True)]
    last = f"{math.expm1(right):.0f}"
    drawn += [f"{'':>{margin}} └{'─' * width}", f"{'':>{margin}}  0{'iteration':^{width - 1 - len(last)}}{last}"]
    if len(lines) > 1:
        drawn += [f"{'':>{margin}}  {mark} {label}" for mark, label in zip(_MARKS * len(lines), lines, strict=False)]
    return "\n".join(drawn)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"algorithm.upper_step": …} of the keys that decide a record's numbers."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if not prefix and key not in records.SCIENTIFIC:
            continue
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def differences(first: Record, second: Record) -> list[tuple[str, Any, Any]]:
    """(key, value, value) of the scientific keys in which two records differ; None where a key is missing."""
    a, b = flat(first.config), flat(second.config)
    return [(key, a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)]


def export(found: Sequence[Record], path: Path) -> int:
    """Write curves of records as one CSV file with the record's name in front; returns the number of rows.

    Raises:
        InputError: the file cannot be written.
    """
    table = pd.concat([curves(record).assign(record=record.name) for record in found], ignore_index=True)
    table = table[["record", *(name for name in table.columns if name != "record")]]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        records.write_bytes(path, table.to_csv(index=False).encode())
    except OSError as error:
        raise InputError(f"--csv {path} cannot be written: {error.strerror}") from None
    return len(table)
