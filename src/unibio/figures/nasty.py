"""The nasty example: φ, the penalty functions and their solutions, and where methods end."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from unibio.analysis import nasty
from unibio.analysis.study import Study
from unibio.figures import style
from unibio.figures.drawing import Drawing, Drawn


def drawings() -> list[Drawing]:
    """The figures of the experiment."""
    return [
        Drawing(
            "nasty",
            "The nasty example: φ(x), which jumps to 0 at its minimiser; L_λ(x), with the same minimiser for every "
            "λ and a basin that shrinks like 2/λ; and the lower-level solutions y*_λ(x) and y*(x) = −sign x.",
            (nasty.EXPERIMENT,),
            draw,
        ),
        Drawing(
            "nasty_ends",
            "The nasty example: distance to the solution (0, 0) at the end against the start x (y starts at 0), every "
            "method; several penalties where it has one.",
            (nasty.EXPERIMENT,),
            draw_ends,
        ),
    ]


def draw(study: Study) -> Drawn:
    """Three panels over x in [−1, 1]."""
    penalties = nasty.penalties(study) or [2.0, 10.0, 50.0]
    x = np.linspace(-1, 1, 801)
    figure, axes = style.panels(1, 3, 2.9)
    away = x != 0
    for side in (x < 0, x > 0):
        axes[0, 0].plot(x[side], nasty.value(x[side]), color=style.BLACK)
        axes[0, 2].plot(x[side], -np.sign(x[side]), color=style.BLACK)
    axes[0, 0].plot([0], [0], color=style.BLACK, marker="o", linestyle="")
    axes[0, 0].plot([0], [1], color=style.BLACK, marker="o", linestyle="", markerfacecolor="white")
    columns = {"x": x[away], "phi": nasty.value(x[away])}
    for i, penalty in enumerate(penalties):
        look = style.of_index(i) | {"marker": ""}
        axes[0, 1].plot(x, nasty.penalised_value(x, penalty), **look)
        axes[0, 2].plot(x, nasty.penalised_solution(x, penalty), **look)
        columns[f"L_{penalty:g}"] = nasty.penalised_value(x[away], penalty)
        columns[f"y_{penalty:g}"] = nasty.penalised_solution(x[away], penalty)
    for panel, title in zip(axes[0], ("φ(x)", "L_λ(x)", "y*_λ(x)"), strict=True):
        panel.set_title(title, loc="left")
        panel.set_xlabel("x")
    axes[0, 0].set_ylabel("value")
    handles = [style.handle(f"λ = {p:g}", **style.of_index(i) | {"marker": ""}) for i, p in enumerate(penalties)]
    style.legend_above(figure, [style.handle("φ and y*", color=style.BLACK), *handles], 4)
    return Drawn(figure, {"nasty": pd.DataFrame(columns)})


def draw_ends(study: Study) -> Drawn:
    """A panel per method; a marker per penalty."""
    table = nasty.ends(study)
    penalties = nasty.penalties(study)
    names = list(dict.fromkeys(table["method"]))
    columns = 4
    rows = math.ceil(len(names) / columns)
    figure, axes = style.panels(rows, columns, 1.9 * rows + 0.9, sharex=True, sharey=True)
    for panel, name in zip(axes.flat, names, strict=False):
        for penalty, part in table[table["method"] == name].groupby("penalty", dropna=False):
            look = {"color": style.BLACK, "marker": "x"}
            if math.isfinite(float(penalty)):
                look = style.of_index(penalties.index(float(penalty)))
            panel.plot(part["start_x"], part["distance"], **look | {"linestyle": ""})
        panel.set_title(nasty.NAMES[name], loc="left")
    for panel in list(axes.flat)[len(names) :]:
        panel.remove()
    for panel in list(axes.flat)[(rows - 1) * columns : len(names)]:
        panel.set_xlabel("start x")
    for panel in axes[:, 0]:
        panel.set_ylabel("distance")
    handles = [style.handle(f"λ = {p:g}", **style.of_index(i) | {"linestyle": ""}) for i, p in enumerate(penalties)]
    one = style.handle("no penalty, or a growing one", color=style.BLACK, marker="x", linestyle="")
    style.legend_above(figure, [*handles, one], 4)
    return Drawn(figure, {"nasty_ends": table.assign(method=table["method"].map(nasty.NAMES))})
