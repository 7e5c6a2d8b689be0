"""Records in the terminal: which one is meant, its curves, a picture of them, two compared. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unibio.errors import InputError, unknown
from unibio.quantiles import worst
from unibio.store import packs, records
from unibio.store.records import Record
from unibio.store.status import state_of
from unibio.store.writing import write_bytes

#: Columns of a history that are no metrics.
BOOKKEEPING = ("run", "iteration", "oracle_calls", "samples", "seconds", "seed")


def find_record(root: Path, name: str) -> Record:
    """A record by its name, the start of it, or its digest.

    Raises:
        InputError: none or several fit; the one that fits is not complete.
    """
    names = packs.names(root) if root.is_dir() else []
    wanted = Path(name).name  # a path is accepted, too
    fits = [n for n in names if n == wanted]
    fits = fits or [n for n in names if n.startswith(wanted) or n.rpartition("-")[2].startswith(wanted)]
    if not fits:
        raise unknown(f"record in {root},", wanted, names[:20])
    if len(fits) > 1:
        raise InputError(
            f"{wanted!r} fits {len(fits)} records in {root}: {', '.join(fits[:5])}…; give more of the name"
        )
    found = packs.at(root, fits[0])
    if (why := found.fault) is not None:
        state = state_of(found.path)
        if state.state == "done":
            raise InputError(f"{fits[0]} is {why}; the sweep's command computes it again")
        raise InputError(f"{fits[0]} is not complete: {' '.join((state.state, state.reason)).strip()}")
    return found


def axes_of(record: Record) -> list[str]:
    """The columns that tell a record's curves apart: its grid's axes but the seeds."""
    return [key.split(".", 1)[-1] for key in record.config.get("grid", {}) if key != "seed"]


def metrics_of(record: Record) -> list[str]:
    """The metrics of a record's history, as far as they are numbers."""
    numbers = record.history.select_dtypes("number")
    return [name for name in record.summary.get("metrics", {}) if name in numbers]


def curves(record: Record) -> pd.DataFrame:
    """A record's curves: one row per combination of axes and iteration, the median over seeds of every number.

    A metric that is not defined counts as larger than any other; a median that is one of these is NaN.
    """
    keys = [*axes_of(record), "iteration"]
    columns = record.history.select_dtypes("number").columns
    numbers = [name for name in columns if name not in (*keys, "run", "seed")]
    history = record.history.assign(**{name: worst(record.history[name]) for name in metrics_of(record)})
    return history.groupby(keys, sort=True)[numbers].median().replace(np.inf, np.nan).reset_index()


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


@dataclass(frozen=True)
class Paired:
    """Two records' runs side by side, those with the same values of the axes that both have.

    Attributes:
        axes: by which runs are paired; none pairs them in their order.
        table: a row per pair: the axes, then for A and for B status, stopped_at, oracle_calls and every metric that
            both have at the run's last row, in columns ``(name, "A")`` and ``(name, "B")``.
        alone: how many runs of A, and of B, have no partner.
        equal: how many pairs have the same history to the bit, but for seconds.
    """

    axes: list[str]
    table: pd.DataFrame
    alone: tuple[int, int]
    equal: int


def paired(first: Record, second: Record) -> Paired:
    """Two records compared run by run, each run with the one of the same seed, noise, step, … in the other."""
    columns = [[*axes_of(record), *(["seed"] if "seed" in record.runs else [])] for record in (first, second)]
    axes = [name for name in columns[0] if name in columns[1]]
    metrics = [name for name in metrics_of(first) if name in metrics_of(second)]
    sides = [_ends(record, axes, metrics) for record in (first, second)]
    # Where an axis is in one of them only, several runs share the values of the others: the k-th goes with the k-th.
    keys = [*axes, "nth"]
    both = sides[0].merge(sides[1], on=keys, suffixes=(" A", " B"), sort=False)
    prints = [
        _fingerprints(record).reindex(both[f"run {side}"]).to_numpy() for record, side in ((first, "A"), (second, "B"))
    ]
    equal = int((prints[0] == prints[1]).sum())
    names = ["status", "stopped_at", "oracle_calls", *metrics]
    columns_of: dict[Any, Any] = {axis: both[axis] for axis in axes}
    columns_of |= {(name, side): both[f"{name} {side}"] for name in names for side in "AB"}
    table = pd.DataFrame(columns_of)
    return Paired(axes, table, (len(sides[0]) - len(both), len(sides[1]) - len(both)), equal)


def _ends(record: Record, axes: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """One row per run: the axes, its place among runs of the same, how it ended, and its last values."""
    last = record.history.groupby("run").tail(1).set_index("run")
    table = record.runs[[*axes, "status", "stopped_at"]].copy()
    table["run"] = table.index
    table["nth"] = table.groupby(axes).cumcount() if axes else table.index
    return table.join(last[["oracle_calls", *metrics]])


def _fingerprints(record: Record) -> pd.Series:
    """Per run a hash of its history's bits, of all that is neither an axis nor a clock's; sixty-four bits do here."""
    kept = record.history.drop(columns=["run", "seconds", "seed", *axes_of(record)], errors="ignore")
    rows = pd.util.hash_pandas_object(kept.reindex(columns=sorted(kept.columns)), index=False)
    names = int(pd.util.hash_array(np.array([" ".join(sorted(kept.columns))], dtype=object))[0])
    return (rows ^ np.uint64(names)).groupby(record.history["run"]).sum()


def export(found: Sequence[Record], path: Path) -> int:
    """Write curves of records as one CSV file with the record's name in front; returns the number of rows.

    Raises:
        InputError: the file cannot be written.
    """
    table = pd.concat([curves(record).assign(record=record.name) for record in found], ignore_index=True)
    table = table[["record", *(name for name in table.columns if name != "record")]]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, table.to_csv(index=False).encode())
    except OSError as error:
        raise InputError(f"--csv {path} cannot be written: {error.strerror}") from None
    return len(table)
