"""The coordinate-wise problem: what the inner budget K and the Neumann step do to the final averaged norm."""

from __future__ import annotations

import numpy as np

from unibio.analysis.comparisons import finals
from unibio.analysis.curves import values_of
from unibio.analysis.study import Study, exponent
from unibio.figures import style
from unibio.figures.drawing import Drawn
from unibio.figures.fig1 import noise_title


def draw(study: Study) -> Drawn:
    """One column an exponent, one row a noise level; median and interquartile bars over the seeds."""
    found = study.require("coordinatewise_sensitivity")
    table = finals(found, "hypergradient_norm_mean")
    noises, steps = values_of(found, "noise"), values_of(found, "neumann_step")
    exponents = sorted({*map(exponent, found)})
    figure, axes = style.panels(len(noises), len(exponents), 2.2 * len(noises) + 0.4, sharex=True, sharey=True)
    for row, noise in zip(axes, noises, strict=True):
        for panel, p in zip(row, exponents, strict=True):
            for order, step in enumerate(steps):
                cell = table[(table["p"] == p) & np.isclose(table["noise"], noise)]
                cell = cell[np.isclose(cell["neumann_step"], step)].sort_values("inner_budget")
                shifted = cell["inner_budget"] * 1.09 ** (order - (len(steps) - 1) / 2)  # or the bars would coincide
                bars = np.abs(cell[["q25", "q75"]].to_numpy().T - cell["median"].to_numpy())
                look = style.of_index(order + 1) | {"color": _COLOURS[order % len(_COLOURS)], "linewidth": 1.1}
                panel.errorbar(shifted, cell["median"], yerr=bars, capsize=2, **look)
            panel.set_xscale("log")
            panel.set_xticks(sorted(table["inner_budget"].unique()))
            panel.set_xticklabels([f"{v:g}" for v in sorted(table["inner_budget"].unique())])
            panel.minorticks_off()
        row[0].set_ylabel(f"{noise_title(found[0], noise)}\nmean of ‖∇φ‖ over the run")
    for panel, p in zip(axes[0], exponents, strict=True):
        panel.set_title(f"p = {p}", loc="left")
    finite = table["median"][np.isfinite(table["median"])]
    if len(finite):
        axes[0, 0].set_ylim(0.9 * finite.min(), 1.1 * finite.max())  # closer up, a few per cent look like a lot
    for panel in axes[-1]:
        panel.set_xlabel("inner budget K")
    handles = [
        style.handle(f"Neumann step c = {step:g}", **style.of_index(i + 1) | {"color": _COLOURS[i % len(_COLOURS)]})
        for i, step in enumerate(steps)
    ]
    style.legend_above(figure, handles, len(steps))
    return Drawn(figure, {"coordinatewise_sensitivity": table})


# Not those of the exponents: here colour means a Neumann step.
_COLOURS = (style.BLACK, style.ORANGE, style.SKY, style.GREY)
