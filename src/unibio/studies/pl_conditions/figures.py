"""PL ratios against the excess, and iterations against the accuracy."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import pandas as pd

from unibio.studies.common import style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.pl_conditions.measures import (
    PARTS,
    PROBLEMS,
    REPRESENTATION,
    along,
    first_within,
    moduli,
    penalties,
)
from unibio.studies.pl_conditions.rules import LEVELS, fit_iterations, growing

#: Least and largest ratios that are drawn.
_LOW, _HIGH = 1e-9, 1e4


def draw(evidence: Evidence) -> Drawn:
    """A column per problem: the ratios of every iterate at the largest γ, by inequality."""
    found = along(evidence)
    names = [name for name in PROBLEMS if any(one.problem == name for one in found)]
    figure, axes = style.panels(1, len(names), 2.9, sharey=True)
    looks = {part: style.of_place(i, len(PARTS)) for i, part in enumerate(PARTS)}
    for panel, name in zip(axes[0], names, strict=True):
        largest = max(one.penalty for one in found if one.problem == name)
        for one in found:
            if (one.problem, one.penalty) == (name, largest):
                seen = np.isfinite(one.ratio)
                look = looks[one.part] | {"linestyle": "", "markersize": 2, "alpha": 0.5, "rasterized": True}
                panel.plot(one.excess[seen], np.clip(one.ratio[seen], _LOW, _HIGH), **look)
        panel.set(xscale="log", yscale="log", xlabel="excess")
        panel.set_title(fill(PROBLEMS[name], 16), loc="left")
        panel.set_ylim(_LOW / 2, _HIGH)
        low, high = np.log10(panel.get_xlim())
        panel.set_xticks(10 ** np.round(low + (high - low) * np.array([0.2, 0.75])))  # where no neighbour's are
        panel.minorticks_off()
        style.log_labels(panel.yaxis)
    axes[0, 0].set_ylabel("‖∇‖² / (2 excess)")
    handles = [style.handle(PARTS[part], **look | {"linestyle": ""}) for part, look in looks.items()]
    style.legend_above(figure, handles, 3)
    return Drawn(figure, {"pl_conditions": moduli(evidence)})


def draw_iterations(evidence: Evidence) -> Drawn:
    """Iterations to ε on representation learning, at every γ and along γ = ε^(−1/2)."""
    several = penalties(evidence, REPRESENTATION)
    figure, ((panel,),) = style.panels(1, 1, 3.2, width=4.6)
    rows = []
    for i, penalty in enumerate(several):
        look = style.of_place(i, len(several))
        rows += _curve(panel, f"γ = {penalty:.3g}", LEVELS, first_within(evidence, penalty, LEVELS), look)
    levels, found = growing(evidence)
    if len(levels):
        look = {"color": style.BLACK, "linestyle": ":", "marker": "*"}
        rows += _curve(panel, "γ = ε^(−1/2)", levels, found, look)
    panel.set(xscale="log", yscale="log", xlabel="ln(1/ε)", ylabel="iterations to ε")
    style.log_labels(panel.xaxis, panel.yaxis)
    if rows:  # of short runs none gets to any accuracy
        panel.legend(loc="lower right")
    columns = ["gamma", "epsilon", "iterations", "least", "largest", "exponent", "exponent_low", "exponent_high"]
    return Drawn(figure, {"pl_conditions_iterations": pd.DataFrame(rows, columns=columns)})


def _curve(panel, name: str, levels, found, look) -> list[list[object]]:  # type: ignore[no-untyped-def]
    """One curve with the range over the starts, and its rows of the table."""
    reached = np.isfinite(found).all(axis=0)
    if not reached.any():
        return []
    at, inside = levels[reached], found[:, reached]
    low, middle, high = np.quantile(inside, [0.0, 0.5, 1.0], axis=0)
    x = np.log(1 / at)
    panel.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
    panel.plot(x, middle, label=name, **look)
    fit = fit_iterations(at, inside) if len(at) >= 3 else None
    ends = (fit.interval if fit and fit.interval else None) or (np.nan, np.nan)
    slope = fit.slope if fit else np.nan
    return [[name, e, m, lo, hi, slope, *ends] for e, m, lo, hi in zip(at, middle, low, high, strict=True)]


DRAWINGS = (
    Drawing(
        "pl_conditions",
        "The pilot study's inequalities along PBGD's trajectories from 20 starts: ‖∇‖²/(2 excess) against the excess, "
        "at the largest γ. An inequality holds with the least of its values, if these do not fall to the left. On the "
        "double well runs rest at a spurious minimum, where it falls to 0 (drawn at 10⁻⁹).",
        draw,
        title="Whether the pilot study's two conditions hold along runs",
    ),
    Drawing(
        "pl_conditions_iterations",
        "Iterations until both gaps of representation learning are at most ε: median and range over 20 starts, at a "
        "fixed γ, and along γ = ε^(−1/2) (dotted). A power of log(1/ε) is a straight line, its exponent in the table.",
        draw_iterations,
        title="How iterations to the global optimum grow with accuracy",
    ),
)
