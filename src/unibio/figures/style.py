"""How every figure looks: sizes for a printed page, colours that colour-blind readers tell apart, and line styles and
markers that carry the same information in grey."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from unibio.analysis.curves import Array

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
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 160,
}

#: Okabe–Ito.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, ORANGE, GREY, BLACK = "#56B4E9", "#E69F00", "#777777", "#000000"

_STYLES: tuple[tuple[str, Any, str], ...] = (
    (BLUE, "-", "o"),
    (VERMILION, (0, (5, 1.5)), "s"),
    (GREEN, (0, (5, 1.5, 1, 1.5)), "^"),
    (PURPLE, (0, (1.2, 1.2)), "D"),
    (ORANGE, (0, (8, 2)), "v"),
    (SKY, (0, (3, 1, 1, 1, 1, 1)), "P"),
)
_OF_EXPONENT = {2: 0, 4: 1, 6: 2, 8: 3}


def of_exponent(p: float) -> dict[str, Any]:
    """Colour, line style and marker of an exponent, the same in every figure."""
    return of_index(_OF_EXPONENT.get(int(p), 4 + int(p) % 2))


def of_index(i: int) -> dict[str, Any]:
    """Colour, line style and marker of the i-th of several things that are not exponents."""
    colour, line, marker = _STYLES[i % len(_STYLES)]
    return {"color": colour, "linestyle": line, "marker": marker}


def spread_markers(x: Array, i: int, log: bool = False) -> list[int]:
    """``markevery`` for the i-th curve of a panel: evenly along x, shifted so that no two curves' coincide."""
    place = np.log(x) if log else np.asarray(x, dtype=float)
    wanted = place[0] + (place[-1] - place[0]) * (np.arange(_MARKERS) + (i % 6 + 0.5) / 6) / _MARKERS
    return sorted({int(np.argmin(np.abs(place - at))) for at in wanted})


_MARKERS = 6


def panels(rows: int, columns: int, height: float, width: float = WIDTH, **options: Any) -> tuple[Figure, Any]:
    """A figure and its (rows, columns) array of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def banded(axes: Axes, x: Array, bands: tuple[Array, Array, Array], order: int, **style: Any) -> None:
    """A median line with its interquartile band; infinite values (diverged runs) leave a gap.

    The line is solid whatever the style says: dashes cannot be told from a trajectory that circles its minimiser.
    """
    style |= {"linestyle": "-"}
    low, middle, high = (np.where(np.isfinite(band), band, np.nan) for band in bands)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.2, linewidth=0)
    axes.plot(x, middle, markevery=spread_markers(x, order), **style)


def legend_above(figure: Figure, handles: Sequence[Line2D], columns: int) -> None:
    """One legend for all panels, above them."""
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=2.8, columnspacing=1.4)


def handle(label: str, **style: Any) -> Line2D:
    """A legend entry."""
    return Line2D([], [], label=label, **style)


def norm_axis(axes: Iterable[Axes], values: Iterable[Array]) -> None:
    """The same logarithmic range on all axes: from the largest value down to the smallest, 1.3 to 2.5 decades.

    Further down lie only momentary values of trajectories that jump over the minimiser; with less than a decade
    matplotlib writes a label at every minor tick.
    """
    finite = np.concatenate([v[np.isfinite(v) & (v > 0)] for v in map(np.ravel, values)])
    top = finite.max(initial=1e-300)
    for one in axes:
        one.set_yscale("log")
        if len(finite):
            one.set_ylim(min(max(finite.min() / 1.3, top * 3e-3), top / 20), top * 1.5)
        one.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        one.yaxis.set_minor_formatter(NullFormatter())
