"""The coordinate-wise problem: what the estimator, the inner budget K and the Neumann step do."""

from __future__ import annotations

from typing import Any

import numpy as np

from unibio.analysis.comparisons import finals
from unibio.analysis.curves import values_of
from unibio.analysis.study import Study, exponent
from unibio.figures import style
from unibio.figures.drawing import Drawn
from unibio.figures.fig1 import noise_title


def draw(study: Study) -> Drawn:
    """Final averaged norm against K: one column an exponent, one row a noise level, one line an estimator and step c.

    Median and interquartile bars over the seeds.
    """
    found = study.require("coordinatewise_sensitivity")
    table = finals(found, "hypergradient_norm_mean")
    if "estimator" not in table:
        table["estimator"] = "generalised"
    noises, exponents = values_of(found, "noise"), sorted({*map(exponent, found)})
    kinds = [(e, c) for e in ("generalised", "classical") for c in values_of(found, "neumann_step")]
    kinds = [(e, c) for e, c in kinds if (table["estimator"] == e).any()]
    looks = {kind: _look(kind[0], i) for i, kind in enumerate(kinds)}
    figure, axes = style.panels(len(noises), len(exponents), 2.2 * len(noises) + 0.6, sharex=True, sharey=True)
    for row, noise in zip(axes, noises, strict=True):
        for panel, p in zip(row, exponents, strict=True):
            here = table[(table["p"] == p) & np.isclose(table["noise"], noise)]
            for order, (estimator, step) in enumerate(kinds):
                cell = here[(here["estimator"] == estimator) & np.isclose(here["neumann_step"], step)]
                cell = cell.sort_values("inner_budget")
                shifted = cell["inner_budget"] * 1.08 ** (order - (len(kinds) - 1) / 2)  # or the bars would coincide
                bars = np.abs(cell[["q25", "q75"]].to_numpy().T - cell["median"].to_numpy())
                panel.errorbar(shifted, cell["median"], yerr=bars, capsize=2, **looks[estimator, step])
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
    handles = [style.handle(f"{estimator}, c = {step:g}", **looks[estimator, step]) for estimator, step in kinds]
    style.legend_above(figure, handles, min(len(kinds), 3) if len(kinds) != 4 else 4)
    return Drawn(figure, {"coordinatewise_sensitivity": table})


def _look(estimator: str, i: int) -> dict[str, Any]:
    """Colour for the estimator (not one of the exponents' colours), line and marker for the step."""
    return style.of_index(i) | {"color": style.BLACK if estimator == "generalised" else style.ORANGE, "linewidth": 1.1}
