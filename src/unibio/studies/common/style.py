"""How every figure looks: sizes for a printed page, colours that colour-blind readers tell apart, and line styles and
markers that carry the same information in grey.

A colour means one thing. Exponents have Okabe and Ito's colours; methods those of
:data:`unibio.studies.common.methods.METHODS`, of which none is near them; whatever else has several values (λ, κ, …)
goes from dark to light along a third scale. Bounds, references and limits are black or grey.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from unibio.studies.common.curves import Array

#: Width of a page's text in inches; figures are drawn at print size, so that 9 pt is 9 pt.
WIDTH = 6.9

RC: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.75,  # two whole pixels, none of which is part grid, part page
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,
    "savefig.dpi": 192,  # two pixels for one of a page
}

BLACK, GREY, PALE = "#000000", "#777777", "#aaaaaa"

#: Dash patterns, from the plainest on.
LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (1.2, 1.2)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
_MARKERS = "os^DvPX<"

#: The exponents of the studies, and one look for any other: Okabe and Ito's colours.
EXPONENTS: dict[int | None, tuple[str, Any, str]] = {
    2: ("#0072B2", LINES[0], "o"),
    4: ("#D55E00", LINES[1], "s"),
    6: ("#009E73", LINES[2], "^"),
    8: ("#CC79A7", LINES[3], "D"),
    3: ("#56B4E9", LINES[5], "P"),
    None: ("#E69F00", LINES[4], "v"),
}


def of_exponent(p: float) -> dict[str, Any]:
    """Colour, line style and marker of an exponent, the same in every figure."""
    colour, line, marker = EXPONENTS.get(int(p), EXPONENTS[None])
    return {"color": colour, "linestyle": line, "marker": marker}


def of_place(i: int, count: int) -> dict[str, Any]:
    """Colour, line style and marker of the i-th of several things that are neither exponents nor methods.

    Colours run along cividis from dark to light, which suits what is ordered and is told apart in grey.
    """
    scale = matplotlib.colormaps["cividis"]
    colour = to_hex(scale(0.8 * i / max(1, count - 1)))  # what is lighter fades on white
    return {"color": colour, "linestyle": LINES[i % len(LINES)], "marker": _MARKERS[i % len(_MARKERS)]}


def panels(
    rows: int, columns: int, height: float, width: float = WIDTH, kind: type[Figure] = Figure, **options: Any
) -> tuple[Figure, Any]:
    """A figure, of some kind, and its (rows, columns) array of axes."""
    figure = kind(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def banded(axes: Axes, x: Array, bands: tuple[Array, Array, Array], order: int, **style: Any) -> None:
    """A median line with its interquartile band; infinite values (diverged runs) leave a gap.

    The line is solid whatever the style says: dashes cannot be told from a trajectory that circles its minimiser.
    """
    style |= {"linestyle": "-"}
    low, middle, high = (np.where(np.isfinite(band), band, np.nan) for band in bands)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.2, linewidth=0)
    axes.plot(x, middle, markevery=spread_markers(x, order), **style)


def spread_markers(x: Array, i: int, log: bool = False) -> list[int]:
    """``markevery`` for the i-th curve of a panel: six, evenly along x, shifted so that no two curves' coincide."""
    place, count = np.log(x) if log else np.asarray(x, dtype=float), 6
    wanted = place[0] + (place[-1] - place[0]) * (np.arange(count) + (i % 6 + 0.5) / 6) / count
    return sorted({int(np.argmin(np.abs(place - at))) for at in wanted})


def legend_above(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """One legend for all panels, above them."""
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=2.8, columnspacing=1.4)


def handle(label: str, **style: Any) -> Line2D:
    """A legend entry."""
    return Line2D([], [], label=label, **style)


def exponent_points(exponents: Iterable[float]) -> list[Line2D]:
    """Legend entries p = … of points without lines."""
    return [handle(f"p = {p:g}", **of_exponent(p) | {"linestyle": ""}) for p in exponents]


def log_labels(*axes: Axis) -> None:
    """Label the decades of logarithmic axes, and a few places between where there are hardly any.

    With less than a decade matplotlib writes a label at every minor tick.
    """
    for axis in axes:
        axis.set_minor_formatter(FuncFormatter(partial(_between_decades, axis)))


def _between_decades(axis: Axis, value: float, position: int | None) -> str:
    low, high = sorted(axis.get_view_interval())
    mantissa = round(value / 10 ** math.floor(math.log10(value)), 6)
    if high < 1.5 * low:
        labelled = mantissa == round(mantissa, 1)
    elif high < 4 * low:
        labelled = mantissa in (1.4, 2, 3, 5, 7)
    else:
        labelled = high < 30 * low and mantissa in (2, 5)
    return f"{value:g}" if labelled else ""


def norm_axis(axes: Iterable[Axes], values: Iterable[Array]) -> None:
    """The same logarithmic range on all axes: from the largest value down to the smallest, 1.3 to 5 decades.

    Nothing of a curve is cut but what is 0 to every purpose: a momentary value of a run that jumps over the minimiser.
    """
    finite = np.concatenate([v[np.isfinite(v) & (v > 0)] for v in map(np.ravel, values)])
    top = finite.max(initial=1e-300)
    for one in axes:
        one.set_yscale("log")
        if len(finite):
            one.set_ylim(min(max(finite.min() / 1.6, top * 1e-5), top / 20), top * 1.5)
        one.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        one.yaxis.set_minor_formatter(NullFormatter())
