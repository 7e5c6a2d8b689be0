"""Deviations of the released code: where each variant comes to rest, against the upper step."""

from __future__ import annotations

import math

import numpy as np

from unibio.analysis import discrepancies
from unibio.analysis.lp_regression import NAMES
from unibio.analysis.study import Study
from unibio.figures import style
from unibio.figures.drawing import Drawing, Drawn

_FLOOR = 1e-12


def draw(study: Study) -> Drawn:
    """Final ‖∇φ‖, median over the seeds; a panel per published method. Missing points diverged."""
    table = discrepancies.by_step(study)
    names = list(table["published"].unique())
    columns = min(3, len(names))
    figure, axes = style.panels(-(-len(names) // columns), columns, 5.2, sharex=True)
    for panel, name in zip(axes.flat, names, strict=False):
        here, low, high = table[table["published"] == name], math.inf, _FLOOR
        for i, method in enumerate(here["method"].unique()):
            mine = here[here["method"] == method]
            end = np.clip(mine["final"].to_numpy(dtype=float), _FLOOR, None)
            end = np.where(mine["stable"] == 1, end, np.nan)
            label = "as published" if method == name else str(method).removeprefix(f"{name}_").replace("_", " ")
            panel.plot(mine["upper_step"], end, label=label, **style.of_index(i))
            low, high = min(low, *end[np.isfinite(end)], 1.0), max(high, *end[np.isfinite(end)])
        panel.set(xscale="log", yscale="log", ylim=(low / 10, 10 * high * (high / low) ** 0.75))  # and the legend
        panel.set_title(NAMES[name], loc="left")
        panel.legend(loc="upper left", handlelength=2.5)
    for panel in axes.flat[len(names) :]:
        panel.set_visible(False)
    for panel in axes.flat[max(0, len(names) - columns) : len(names)]:  # the lowest of each column
        panel.set_xlabel("upper step η")
        panel.tick_params(labelbottom=True)
    for panel in axes[:, 0]:
        panel.set_ylabel("final ‖∇φ‖")
    return Drawn(figure, {"discrepancies": table, "discrepancies_summary": discrepancies.summary(table)})


DRAWING = Drawing(
    "discrepancies",
    "Deviations of the released code on the full-batch quadratic: ‖∇φ‖ at the end of the run; missing points diverged.",
    ("discrepancies",),
    draw,
)
