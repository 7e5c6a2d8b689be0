"""ℓ_p-regression hyper-cleaning: φ against oracle calls at tuned steps, and what the learned weights are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from unibio.studies.common import methods, style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.lp_regression.tuned import Tuned, curve, lowest, summary, tuned

#: The methods of the left column invert ∇²_ww g by a truncated sum; the others keep a solution of the linear system.
SUMS = ("stocbio", "bsa", "ttsa", "sustain", "mrbo", "vrbo")
_COLUMNS = ("by Neumann sums", "by an auxiliary variable")
#: Nothing happens in fewer oracle calls.
_FIRST = 10
#: What differs by less than this part of φ is drawn as the same.
_FLOOR = 1e-4


def draw(evidence: Evidence) -> Drawn:
    """A row per p, a column per family of methods."""
    found = tuned(evidence)
    exponents, least = sorted({one.exponent for one in found}), lowest(found)
    figure, axes = style.panels(len(exponents), 2, 1.75 * len(exponents) + 1.2, sharex=True, sharey="row")
    looks = {one.method: _look(one, found) for one in found}
    tables = []
    for order, one in reversed(list(enumerate(found))):
        if one.at is None:
            continue
        table = curve(one)
        excess = table["median"].to_numpy() - least[one.exponent]
        head = {"p": one.exponent, "method": one.method, "lowest": least[one.exponent]}
        tables.append(table.assign(**head)[[*head, *table.columns]])
        calls = table["oracle_calls"].to_numpy(dtype=float)
        excess = np.where(np.isfinite(excess), np.maximum(excess, _FLOOR), np.nan)
        row = exponents.index(one.exponent)
        for column in (0, 1) if one.own else (_column(one),):
            later = calls > 0  # the axis is logarithmic
            if later.any():
                every = style.spread_markers(calls[later], order, log=True)
                axes[row, column].plot(calls[later], excess[later], markevery=every, **looks[one.method])
    for row, p in enumerate(exponents):
        axes[row, 0].set_ylabel("φ − lowest φ")
        for panel, title in zip(axes[row], _COLUMNS, strict=True):
            panel.set(xscale="log", yscale="log")
            panel.set_xlim(left=_FIRST)
            style.log_labels(panel.xaxis, panel.yaxis)
            panel.set_title(f"p = {p}: {title}", loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("oracle calls")
    corners: Any = ("outside upper left", "outside upper right")  # matplotlib types them one by one
    for column, where in enumerate(corners):
        names = dict.fromkeys(one.method for one in found if _column(one) == column)  # UniBiO once, on the left
        handles = [style.handle(name, **looks[name]) for name in names]
        figure.legend(handles=handles, loc=where, ncols=2, handlelength=2.6, columnspacing=1.2)
    table = pd.concat(tables[::-1], ignore_index=True) if tables else pd.DataFrame({"p": exponents})
    return Drawn(figure, {"lp_regression": table, "lp_regression_tuned": summary(found)})


def _column(one: Tuned) -> int:
    return 0 if one.own or one.algorithm in SUMS else 1


def _look(one: Tuned, found: list[Tuned]) -> dict[str, Any]:
    """UniBiO's second inner budget is dashed."""
    settings = list(dict.fromkeys(other.method for other in found if other.own))
    return methods.look(one.algorithm, settings.index(one.method) if one.own else 0)


def draw_cleaning(evidence: Evidence) -> Drawn:
    """A row per method, colours and markers by p."""
    table = summary(tuned(evidence))
    names = list(dict.fromkeys(table["method"]))[::-1]
    exponents = sorted(table["p"].unique())
    figure, axes = style.panels(1, 2, 0.29 * len(names) + 1.0, sharey=True)
    kinds = (("test_accuracy", "accuracy on clean test images"), ("cleaning_auc", "AUC of clean against corrupted"))
    for panel, (column, title) in zip(axes[0], kinds, strict=True):
        for k, p in enumerate(exponents):
            here = table[table["p"] == p]
            y = np.array([names.index(name) for name in here["method"]]) + 0.19 * ((len(exponents) - 1) / 2 - k)
            look = style.of_exponent(p) | {"linestyle": ""}
            panel.hlines(y, here[f"{column}_min"], here[f"{column}_max"], color=look["color"], linewidth=1.6)
            panel.plot(here[column], y, **look)
        panel.set_xlabel(title)
        panel.set_yticks(range(len(names)), labels=names)
        panel.set_ylim(-0.6, len(names) - 0.4)
    axes[0, 0].set_ylabel("method")
    if np.nanmin([0.5, *table["cleaning_auc_min"]]) < np.nanmax([0.5, *table["cleaning_auc_max"]]):
        axes[0, 1].axvline(0.5, color=style.BLACK, linewidth=0.8, linestyle=":")
    style.legend_above(figure, style.exponent_points(exponents), len(exponents))
    kept = ["p", "method", "test_accuracy", "test_accuracy_min", "test_accuracy_max", "cleaning_auc"]
    kept += [f"cleaning_auc_{end}" for end in ("min", "max", "low", "high")]
    return Drawn(figure, {"lp_regression_cleaning": table[[*kept, "weight_spread", "value"]]})


DRAWINGS = (
    Drawing(
        "lp_regression",
        "ℓ_p-regression hyper-cleaning: φ above the lowest found at that p, against oracle calls, every method at "
        "its best pair of steps; median over the seeds that did not choose the steps. UniBiO, with two inner "
        f"budgets K, is in both columns. Values below {_FLOOR:.4f} are drawn there.",
        draw,
        title="ℓ_p-regression hyper-cleaning: how fast every method gets down",
    ),
    Drawing(
        "lp_regression_cleaning",
        "ℓ_p-regression hyper-cleaning at the end of the budget: accuracy on clean test images and how well the "
        "learned weights tell clean from corrupted samples; median and range over the seeds that did not choose "
        "the steps. Dotted: AUC ½, no separation.",
        draw_cleaning,
        title="ℓ_p-regression hyper-cleaning: what the learned weights are worth",
    ),
)
