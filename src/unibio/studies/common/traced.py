"""The curves of a figure as numbers, read from what was drawn, for the page's interactive form of it.

A study draws with matplotlib as it likes; nothing else is asked of it. What is kept are points that were drawn, fewer
of them and to four digits: lines with their bands, points with their whiskers, lines that are no function of x, and
lines across a panel. Bars, shaded ranges and texts are in the picture alone, as are maps of colours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

from unibio.studies.common.curves import Array
from unibio.studies.common.legends import Look, colour_of, entries_of, look_of, name_of, name_of_colour, words

#: Most points of a curve, least where there are many, and numbers of a figure: pages with a hundred figures stay small.
MOST, LEAST, NUMBERS = 200, 24, 12000
#: Lines of no more points than these show them, where the figure has markers.
FEW = 12
#: Of more pieces than these a figure is read in its picture.
MOST_CURVES = 400

Found = dict[str, Any]


def traced(figure: Figure) -> Found:
    """The curves of a figure's panels.

    Args:
        figure: drawn, in the order in which its panels are read.

    Returns:
        ``{"panels": [...]}``, or ``{"without": why}`` where there is no curve to show. A panel has ``title``, ``x`` and
        ``y`` (each ``label``, ``log``, ``range`` and, where places are named, ``ticks``) and ``curves``: ``kind``
        (line, points, path, across or upright), ``name`` (of its legend entry, "" without one), ``colour``, ``width``,
        ``dash``, ``dots`` and ``x`` with ``y`` or with ``low`` and ``high``, or ``at``. None stands for what is
        not finite.
    """
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.axison and axes.get_label() != "<colorbar>"]
    if any(isinstance(one, QuadMesh) or axes.images for axes in panels for one in axes.collections):
        return {"without": "a map of colours"}
    entries = [entry for axes in panels for entry in entries_of(axes.get_legend())]
    entries += [entry for legend in figure.legends for entry in entries_of(legend)]
    found = [(axes, list(_curves(axes, entries))) for axes in panels]
    pieces = [curve for _, curves in found for curve in curves]
    if not any(curve["kind"] in ("line", "points", "path") for curve in pieces):
        return {"without": "no curves"}
    if len(pieces) > MOST_CURVES:
        return {"without": f"{len(pieces)} curves"}
    series = sum(len(curve.keys() & {"y", "low", "high"}) for curve in pieces)
    most = max(LEAST, min(MOST, NUMBERS // max(1, series)))
    return {
        "panels": [
            {
                "title": _near(panels, axes, lambda one: one.get_title(loc="left") or one.get_title(), "column"),
                "x": _axis(axes.xaxis, _near(panels, axes, lambda one: one.get_xlabel(), "column")),
                "y": _axis(axes.yaxis, _near(panels, axes, lambda one: one.get_ylabel(), "row")),
                "curves": [_thinned(curve, most, axes.get_xscale() == "log") for curve in curves],
            }
            for axes, curves in found
            if curves
        ]
    }


def curves_json(figure: Figure) -> str:
    """:func:`traced` as a line of JSON."""
    return json.dumps(traced(figure), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


# What is drawn, and how it is called ---------------------------------------------------------------------------------


def _curves(axes: Any, entries: Sequence[tuple[str, Look]]) -> Iterator[Found]:
    bands = [band for one in axes.collections if isinstance(one, PolyCollection) for band in _bands(one)]
    for line in axes.lines:
        data: list[Array] = [
            np.ma.filled(np.ma.asarray(one, dtype=float), np.nan).ravel() for one in line.get_data(False)
        ]
        x, y = data
        if len(x) > 1 and np.all(np.diff(x) <= 0):
            x, y = x[::-1], y[::-1]
        look = look_of(line)
        head: Found = {"name": name_of(line.get_label(), look, entries), "colour": look.colour, "width": look.width}
        head |= {"dash": list(look.dash)} if look.dash else {}
        head |= {"dots": True} if look.marker and len(x) <= FEW else {}
        seen = line.get_visible() and (look.dash is not None or look.marker not in ("", "_", "|"))
        if not seen or not np.isfinite(x).any():  # nothing, or the caps of whiskers
            continue
        if line.get_transform() == axes.get_yaxis_transform(which="grid"):
            yield head | {"kind": "across", "at": numbers(y[:1])[0]}
        elif line.get_transform() == axes.get_xaxis_transform(which="grid"):
            yield head | {"kind": "upright", "at": numbers(x[:1])[0]}
        elif line.get_transform() != axes.transData:
            continue
        elif look.dash is None:
            order = np.argsort(x, kind="stable")
            yield head | {"kind": "points", "x": x[order], "y": y[order]}
        elif np.all(np.diff(x[np.isfinite(x)]) >= 0):
            known = np.isfinite(x)
            band = next((one for one in bands if one["colour"] == look.colour and np.isin(one["x"], x).all()), None)
            if band is not None:
                bands.remove(band)
            yield head | {"kind": "line", "x": x[known], "y": y[known]} | (_along(band, x[known]) if band else {})
        else:
            yield head | {"kind": "path", "x": x, "y": y}
    for one in axes.collections:
        yield from _pieces(one, axes, entries)
    yield from ({"name": name_of_colour(b["colour"], entries), "kind": "line", "width": 0, **b} for b in bands)


def _pieces(one: Any, axes: Any, entries: Sequence[tuple[str, Look]]) -> Iterator[Found]:
    """Segments (whiskers among them) and scattered points."""
    if isinstance(one, LineCollection) and one.get_transform() == axes.transData:
        ends = [np.vstack([segment, [np.nan, np.nan]]) for segment in one.get_segments() if len(segment)]
        colour = colour_of(one.get_color()[0]) if len(one.get_color()) else "#000000"
        if ends:
            x, y = np.concatenate(ends).T
            head = {"name": name_of_colour(colour, entries), "colour": colour, "width": 1}
            yield head | {"kind": "path", "x": x, "y": y}
    elif isinstance(one, PathCollection) and len(one.get_facecolor()):
        x, y = np.ma.filled(np.ma.asarray(one.get_offsets(), dtype=float), np.nan).T
        order, colour = np.argsort(x, kind="stable"), colour_of(one.get_facecolor()[0])
        name = name_of_colour(colour, entries)
        yield {"name": name, "colour": colour, "width": 1, "kind": "points", "x": x[order], "y": y[order]}


def _bands(one: Any) -> Iterator[Found]:
    """What ``fill_between`` has filled: from its first corner along one edge, and back along the other."""
    pieces = []
    for path in one.get_paths():
        corners = path.vertices[:-1]
        half = len(corners) // 2 - 1
        there, back = corners[1 : half + 1], corners[half + 2 :][::-1]
        if half > 0 and len(there) == len(back) and np.array_equal(there[:, 0], back[:, 0]):
            pieces.append((there[:, 0], there[:, 1], back[:, 1]))
    if pieces and len(one.get_facecolor()):
        x, first, second = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        both = {"low": np.minimum(first, second), "high": np.maximum(first, second)}
        yield {"colour": colour_of(one.get_facecolor()[0]), "x": x, **both}


def _along(band: Found, x: Array) -> Found:
    """The edges of a band at a line's x, NaN where it has a gap."""
    where = {value: i for i, value in enumerate(band["x"])}
    at = np.array([where.get(value, -1) for value in x])
    return {edge: np.where(at >= 0, band[edge][at], np.nan) for edge in ("low", "high")}


# Axes, and fewer numbers ---------------------------------------------------------------------------------------------


def _axis(axis: Any, label: str) -> Found:
    found: Found = {"label": label, "log": axis.get_scale() == "log"}
    found["range"] = [float(f"{end:.6g}") for end in sorted(axis.get_view_interval())]
    formatter, locator = axis.get_major_formatter(), axis.get_major_locator()
    if isinstance(formatter, (FixedFormatter, FuncFormatter)) and isinstance(locator, FixedLocator):
        places = [float(place) for place in locator()]
        found["ticks"] = [list(pair) for pair in zip(places, map(words, formatter.format_ticks(places)), strict=True)]
    return found


def _near(panels: Sequence[Axes], axes: Axes, text: Any, along: str) -> str:
    """A panel's text, or that of another in its column or row, where only the outer ones are labelled."""
    own, spec = words(text(axes)), axes.get_subplotspec()
    if own or spec is None:
        return own
    beside = [one for one in panels if (other := one.get_subplotspec()) is not None and _lined_up(other, spec, along)]
    return next((said for one in beside if (said := words(text(one)))), "")


def _lined_up(one: Any, other: Any, along: str) -> bool:
    return bool(one.colspan == other.colspan if along == "column" else one.rowspan == other.rowspan)


def _thinned(curve: Found, most: int, log: bool) -> Found:
    """At most so many of the curve's own points, evenly along x as the axis has it; numbers of a few digits."""
    if "at" in curve:
        return curve
    x, keep = np.asarray(curve["x"], dtype=float), np.arange(len(curve["x"]))
    if len(x) > most and curve["kind"] == "line":
        place = np.log(np.where(x > 0, x, np.nan)) if log else x
        known = np.flatnonzero(np.isfinite(place))
        known = known if len(known) else np.arange(len(x))
        wanted = np.linspace(place[known[0]], place[known[-1]], most)
        keep = known[np.unique(np.searchsorted(place[known], wanted).clip(0, len(known) - 1))]
    elif len(x) > 5 * MOST:  # a cloud, or a path
        keep = np.unique(np.linspace(0, len(x) - 1, 5 * MOST).astype(int))
    found = {name: value for name, value in curve.items() if name not in ("x", "y", "low", "high")}
    found["x"] = numbers(x[keep], 6)
    return found | {name: numbers(np.asarray(curve[name])[keep]) for name in ("y", "low", "high") if name in curve}


def numbers(values: Array, digits: int = 4) -> list[float | None]:
    """For JSON, to so many digits: None where a value is not finite; whole numbers without a point."""
    rounded = (float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values)
    return [int(v) if v is not None and v == int(v) and abs(v) < 1e6 else v for v in rounded]
