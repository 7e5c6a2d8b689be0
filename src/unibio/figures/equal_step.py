"""The equal-η control: every p at the same step, on iterations and on oracle calls."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from unibio.analysis.comparisons import first_hits
from unibio.analysis.curves import Curves, curves, quartiles, values_of
from unibio.analysis.study import MissingRecordsError, Study
from unibio.figures import style
from unibio.figures.drawing import Drawn
from unibio.figures.fig1 import exponent_handles, norm_label


def draw(study: Study, experiment: str, noise: float, suffix: str = "") -> Drawn:
    """One column a step η, one row a cost; at one noise level. Wider lines lie below narrower ones where p coincide.

    Each panel ends at twice the slowest first hit, where the comparison is over; the table holds the whole curves.

    Raises:
        MissingRecordsError: no records, or none at this noise level.
    """
    found = study.require(experiment)
    if not any(abs(v - noise) < 1e-12 for v in values_of(found, "noise")):
        raise MissingRecordsError(f"{experiment}, noise {noise:g}", study.command(experiment), study.root)
    steps = sorted(values_of(found, "upper_step"), reverse=True)
    figure, axes = style.panels(2, len(steps), 4.6, sharey=True)
    hits = first_hits(found)
    shown: list[Curves] = []
    for column, step in enumerate(steps):
        for order, record in enumerate(found):
            for curve in curves(record, noise=noise, upper_step=step):
                look = style.of_exponent(curve.exponent) | {"linewidth": max(0.8, 4.0 - 1.05 * order), "markersize": 5}
                bands = quartiles(curve.values)
                style.banded(axes[0, column], curve.iterations, bands, order, **look)
                style.banded(axes[1, column], curve.calls / 1000, bands, order, **look)
                shown.append(curve)
        axes[0, column].set_title(f"η = {step:.3g}", loc="left")
        if not hits.empty:
            here = hits[np.isclose(hits["noise"], noise) & np.isclose(hits["upper_step"], step)]
            for panel, cost, unit in ((axes[0, column], "iterations", 1), (axes[1, column], "oracle_calls", 1000)):
                if np.isfinite(last := here[cost].max()):
                    panel.set_xlim(0, min(panel.get_xlim()[1], 2 * last / unit))
    for panel in axes.flat:
        panel.xaxis.set_major_locator(MaxNLocator(3, prune="upper"))
        panel.xaxis.set_major_formatter("{x:g}")
    for panel in axes[0]:
        panel.set_xlabel("iteration t")
    for panel in axes[1]:
        panel.set_xlabel("oracle calls / 1000")
    for panel in axes[:, 0]:
        panel.set_ylabel(norm_label(found[0]))
    style.norm_axis(axes.flat, [quartiles(curve.values)[1] for curve in shown])
    style.legend_above(figure, exponent_handles(found, with_step=False), 4)
    tables = {experiment + suffix: pd.concat([curve.table() for curve in shown], ignore_index=True)}
    return Drawn(figure, tables | {f"{experiment}_first_hits": hits})
