"""Errors against Hessian–vector products, and the products that are needed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from unibio.studies.common import style
from unibio.studies.common.drawing import Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.estimators.measures import ESTIMATORS, PROBLEMS, Cell, Measured, measured, table

#: What figures show of errors.
FLOOR, CEILING = 1e-6, 3.0
SHOWN = 6


def draw(evidence: Evidence) -> Drawn:
    """A column a problem at one p, without noise above and with it below; a line an estimator."""
    found = measured(evidence)
    problems = [name for name in PROBLEMS if any(cell.problem == name for cell in found)]
    figure, axes = style.panels(2, len(problems), 4.8, sharex=True, sharey="row")
    for place, name in enumerate(problems):
        exponents = [cell.p for cell in found if cell.problem == name]
        p = SHOWN if SHOWN in exponents else max(exponents)
        for noise, panel in zip((False, True), axes[:, place], strict=True):
            _panel(panel, found.get(Cell(name, p, noise), {}))
        axes[0, place].set_title(f"{PROBLEMS[name]},\np = {p}", loc="left")
        axes[1, place].set_xlabel("products")
    for label, panel in zip(("exact", "noisy"), axes[:, 0], strict=True):
        panel.set_ylabel(f"error, {label} products")
    axes[0, 0].set_ylim(FLOOR / 2, CEILING)
    axes[1, 0].set_ylim(None, CEILING)
    largest = max(float(one.products[-1]) for by_name in found.values() for one in by_name.values())
    ticks = [count for count in (1, 4, 16, 64, 256) if count <= largest]
    axes[0, 0].set_xticks(ticks, [f"{count}" for count in ticks], minor=False)
    axes[0, 0].minorticks_off()
    handles = [style.handle(text, **_look(name)) for name, text in ESTIMATORS.items()]
    style.legend_above(figure, handles, 2)
    return Drawn(figure, {"estimators": table(evidence), "estimators_needed": needs(evidence)})


def _look(name: str) -> dict[str, object]:
    return style.of_place(list(ESTIMATORS).index(name), len(ESTIMATORS))


def _panel(panel: object, by_name: Mapping[str, Measured]) -> None:
    axes: style.Axes = panel  # type: ignore[assignment]
    axes.set(xscale="log", yscale="log")
    for name, one in by_name.items():
        shown = np.where(one.judged > CEILING, np.nan, np.maximum(one.judged, FLOOR))
        axes.plot(one.products, shown, **_look(name))  # type: ignore[arg-type]


def needs(evidence: Evidence) -> pd.DataFrame:
    """problem, p, noise, convex and for every estimator the products it needs; inf for never."""
    rows = []
    for cell, by_name in measured(evidence).items():
        row: dict[str, object] = {"problem": cell.problem, "p": cell.p, "noise": cell.noise}
        row["convex"] = min(one.convex for one in by_name.values())
        rows.append(row | {name: by_name[name].needed if name in by_name else math.nan for name in ESTIMATORS})
    return pd.DataFrame(rows)
