"""The learning-rate search: a heat map per p with what is tied with the best, and the paper's point."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm

from unibio.analysis.curves import Array
from unibio.analysis.lr_search import TIE, search
from unibio.analysis.study import Study
from unibio.figures import style
from unibio.figures.drawing import Drawn


def draw(study: Study) -> Drawn:
    """Colour is the hypergradient norm averaged over the run, median over the seeds; both steps on log axes."""
    found = [search(record) for record in study.require("lr_search")]
    rows = (len(found) + 1) // 2
    figure, axes = style.panels(rows, min(2, len(found)), 2.6 * rows + 0.5, sharex=True, sharey=True)
    finite = np.concatenate([one.criterion[np.isfinite(one.criterion)] for one in found])
    low, high = float(finite.min()), max(float(finite.max()), 1.01 * float(finite.min()))
    norm = LogNorm(low, high)
    for panel, one in zip(axes.flat, found, strict=False):
        image = panel.pcolormesh(
            _edges(one.upper), _edges(one.lower), one.criterion.T, norm=norm, cmap="cividis", rasterized=True
        )
        tied = np.argwhere(one.tied)
        panel.plot(one.upper[tied[:, 0]], one.lower[tied[:, 1]], **_TIED)
        panel.plot(*one.best, **_BEST)
        if one.paper is not None:
            panel.plot(*one.paper, **_PAPER)
        panel.set(xscale="log", yscale="log")
        panel.grid(False)
        words = " · ".join(f"{symbol} {one.axes[name].describe().split(':')[0]}" for name, symbol in _SYMBOLS.items())
        panel.set_title(f"p = {one.exponent}: {words}", loc="left", fontsize=9)
    for panel in axes[-1]:
        panel.set_xlabel("upper-level step η")
    for panel in axes[:, 0]:
        panel.set_ylabel("lower-level step γ₁")
    bar = figure.colorbar(image, ax=axes, label="mean of |∇φ| over the run, median over seeds", shrink=0.9)
    ticks = [v for v in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5) if low <= v <= high]
    bar.set_ticks(ticks, labels=[f"{v:g}" for v in ticks])
    bar.minorticks_off()
    handles = [style.handle("best", **_BEST), style.handle(f"within {TIE:.0%} of it", **_TIED)]
    style.legend_above(figure, [*handles, style.handle("the paper's", **_PAPER)], 3)
    tables = {"lr_search": pd.concat([one.table() for one in found], ignore_index=True)}
    return Drawn(figure, tables | {"lr_search_summary": pd.DataFrame([one.row() for one in found])})


_SYMBOLS = {"upper_step": "η", "lower_step": "γ₁"}
_TIED = {"marker": "o", "linestyle": "", "markersize": 3.5, "color": "white", "markeredgecolor": "black"}
_BEST = {"marker": "*", "linestyle": "", "markersize": 11, "color": style.SKY, "markeredgecolor": "black"}
_PAPER = {
    "marker": "s",
    "linestyle": "",
    "markersize": 9,
    "fillstyle": "none",
    "markeredgewidth": 1.8,
    "color": style.VERMILION,
}


def _edges(centres: Array) -> Array:
    """Cell edges half-way between log-spaced centres."""
    if len(centres) == 1:
        return centres[0] * np.array([0.7, 1.4])
    middle = np.sqrt(centres[1:] * centres[:-1])
    return np.concatenate([[centres[0] ** 2 / middle[0]], middle, [centres[-1] ** 2 / middle[-1]]])
