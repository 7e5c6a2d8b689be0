"""Curves of anybody's runs, as the project's figures look: ``unibio.plot`` and ``unibio plot``. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unibio.errors import InputError, unknown
from unibio.report.lines import Line, Source, best_of, key_of, lines, metric_of, of_record, of_result, varying
from unibio.report.loading import sweep
from unibio.store.records import Record
from unibio.studies.common import methods, style
from unibio.studies.common.drawing import Drawn

#: Panels beside each other.
COLUMNS = 3

#: A method that is not in the project's table: the reader's own, before all others.
_OWN = {"color": "#d1001f", "linestyle": "-", "marker": "o", "linewidth": 1.8, "zorder": 3}

_LABELS = {
    "oracle_calls": "oracle calls",
    "iteration": "iterations",
    "hypergradient_norm": "hypergradient norm ‖∇φ(xₜ)‖",
    "hypergradient_norm_mean": "mean of ‖∇φ‖ so far",
    "value": "φ(xₜ)",
    "exponent": "p",
    "upper_step": "η",
}


@dataclass(frozen=True)
class Wanted:
    """What is to be drawn of runs.

    Attributes:
        x: what against: oracle_calls, iteration, seconds, samples, or a kind of call.
        y: the metric; None for the norm of the hypergradient, or the first there is.
        by: the setting that decides colours; None for the method where there are several, else the first that varies.
        panel: the setting that decides panels; None for one panel.
        log: axes that are logarithmic: "xy", "x", "y" or ""; None for those whose numbers are all positive.
        bands: whether to show quartiles over the seeds.
        best: whether to show, of several lines of one colour in a panel, only the one that ends lowest.
    """

    x: str = "oracle_calls"
    y: str | None = None
    by: str | None = None
    panel: str | None = None
    log: str | None = None
    bands: bool = False
    best: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without runs.

        Raises:
            InputError: an axis that there is not.
        """
        if self.log is not None and (set(self.log) - {"x", "y"} or len(set(self.log)) != len(self.log)):
            raise InputError(f"log must be x, y, xy or empty, got {self.log!r}")


class Curves(Figure):
    """A figure that a notebook shows where it is the last line of a cell, whether or not pyplot is used there."""

    def _repr_png_(self) -> bytes:
        picture = BytesIO()
        self.savefig(picture, format="png", dpi=80)
        return picture.getvalue()


def plot(runs: Any, *, records: str | Path = "runs", **wanted: Any) -> Figure:
    """Draw curves of runs: medians over seeds, a line for every other choice of settings.

    Args:
        runs: what ``solve`` or ``compare`` returned, {label: what ``solve`` returned}, a record or several, or the name
            of a sweep or experiment.
        records: directory of the records of a name.
        wanted: x, y, by, panel, log, bands, best, see :class:`Wanted`.

    Returns:
        A matplotlib figure; ``figure.savefig("curves.pdf")`` writes it.

    Raises:
        InputError: runs, columns or settings that are not there.
    """
    known = list(Wanted.__dataclass_fields__)
    for name in wanted:
        if name not in known:
            raise unknown("argument of plot,", name, known)
    look: Any = style.RC
    with matplotlib.rc_context(look):
        figure = drawn(sources_of(runs, Path(records)), Wanted(**wanted), "curves").figure
    assert figure is not None
    return figure


def sources_of(runs: Any, root: Path) -> list[Source]:
    """Runs of any kind that :func:`plot` takes.

    Raises:
        InputError: something else.
    """
    if isinstance(runs, str):
        return [of_record(record) for record in sweep(root, runs)]
    if isinstance(runs, Record):
        return [of_record(runs)]
    if isinstance(results := getattr(runs, "results", runs), Mapping):
        return [of_result(result, str(label)) for label, result in results.items()]
    if hasattr(runs, "history") and hasattr(runs, "runs"):
        return [of_result(runs)]
    if isinstance(runs, Sequence) and runs and all(isinstance(one, Record) for one in runs):
        return [of_record(record) for record in runs]
    raise InputError(
        f"plot takes what solve or compare returned, records, or the name of a sweep, got {type(runs).__name__}"
    )


def drawn(sources: Sequence[Source], wanted: Wanted, name: str) -> Drawn:
    """The figure, and the table of what it shows, called ``name``.

    Raises:
        InputError: a column or a setting that is not there.
    """
    y = metric_of(sources, wanted.y)
    found = lines(sources, wanted.x, y)
    differ = varying(found)
    panel = key_of(wanted.panel, found) if wanted.panel is not None else None
    by = key_of(wanted.by, found) if wanted.by is not None else _first(differ, panel)
    keys = [key for key in (panel, by) if key is not None]
    if wanted.best:
        found = best_of(found, keys)
    places = _values(found, panel) if panel is not None else [None]
    rows = -(-len(places) // COLUMNS)
    columns = min(COLUMNS, len(places))
    figure, axes = style.panels(rows, columns, 2.7 * rows + 0.5, kind=Curves, sharey=True)
    values = _values(found, by) if by is not None else [None]
    looks = _looks(by, values)
    logarithmic = _logarithmic(found, wanted.log)
    for one, place in zip(axes.flat, places, strict=False):
        here = [line for line in found if panel is None or line.settings.get(panel) == place]
        for line in here:
            value = line.settings.get(by) if by is not None else None
            _draw(one, line, values.index(value), looks[values.index(value)], wanted.bands, logarithmic)
        if place is not None:
            one.set_title(f"{label_of(panel)} = {_said(panel, place)}", loc="left")
        one.set_xlabel(label_of(wanted.x))
        if "x" in logarithmic:
            one.set_xscale("log")
        if "y" in logarithmic:
            one.set_yscale("log")
    for unused in axes.flat[len(places) :]:
        unused.set_visible(False)
    for first in axes[:, 0]:
        first.set_ylabel(label_of(y))
    if by is not None:
        handles = [style.handle(_entry(by, value), **look) for value, look in zip(values, looks, strict=True)]
        style.legend_above(figure, handles, min(4, len(handles)))
    return Drawn(figure, {name: _table(found, differ, wanted.x, y)})


def label_of(key: str | None) -> str:
    """A setting's or a column's name as figures have it."""
    last = (key or "").split(".")[-1]
    return _LABELS.get(last, last.replace("_", " "))


def _first(differ: Sequence[str], panel: str | None) -> str | None:
    rest = [key for key in differ if key != panel]
    return "algorithm" if "algorithm" in rest else next(iter(rest), None)


def _values(found: Sequence[Line], key: str) -> list[Any]:
    """The values of a setting: numbers in their order, others as they come."""
    values = list({repr(line.settings.get(key)): line.settings.get(key) for line in found}.values())
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    return sorted(values) if numbers else values


def _looks(by: str | None, values: Sequence[Any]) -> list[dict[str, Any]]:
    if by == "algorithm":
        own = [value for value in values if value not in methods.METHODS]
        places = {value: style.of_place(i, len(own) - 1) for i, value in enumerate(own[1:])}
        return [places.get(value, _OWN) if value in own else methods.look(value) for value in values]
    if by is not None and by.split(".")[-1] == "exponent" and all(isinstance(value, (int, float)) for value in values):
        return [style.of_exponent(value) for value in values]
    return [style.of_place(i, len(values)) for i in range(len(values))]


def _draw(axes: Axes, line: Line, order: int, look: dict[str, Any], bands: bool, logarithmic: str) -> None:
    low, middle, high = line.bands
    kept = np.isfinite(middle) & (line.place > 0 if "x" in logarithmic else True)
    kept &= (middle > 0) if "y" in logarithmic else True
    if not kept.any():
        return
    x = line.place[kept]
    if bands:
        style.banded(axes, x, (low[kept], middle[kept], high[kept]), order, **look)
        return
    axes.plot(x, middle[kept], markevery=style.spread_markers(x, order, "x" in logarithmic), **look)


def _logarithmic(found: Sequence[Line], asked: str | None) -> str:
    if asked is not None:
        return asked
    shown = [line.bands[1][np.isfinite(line.bands[1])] for line in found]
    positive = all((one > 0).all() for one in shown)
    wide = any(len(line.place) > 1 and line.place[-1] > 10 for line in found)
    return ("x" if wide else "") + ("y" if positive else "")


def _entry(by: str, value: Any) -> str:
    return methods.label(str(value)) if by == "algorithm" else f"{label_of(by)} = {_said(by, value)}"


def _said(key: str | None, value: Any) -> str:
    if key == "algorithm":
        return methods.label(str(value))
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return "none" if value is None else str(value)


def _table(found: Sequence[Line], differ: Sequence[str], x: str, y: str) -> pd.DataFrame:
    tables = []
    for line in found:
        low, middle, high = line.bands
        head = {key: line.settings.get(key) for key in differ}
        columns = {"iteration": line.iterations, x: line.place, f"{y} median": middle, "q25": low, "q75": high}
        tables.append(pd.DataFrame({**head, **columns}))
    return pd.concat(tables, ignore_index=True)
