"""Rates of the penalty methods: curves and horizons, and the slope as a function of where the fit begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import NullFormatter

from unibio.analysis.penalty_rates import CASES, FIXED, NAMES, SCHEDULED, Rate, rates
from unibio.analysis.study import Study
from unibio.figures import style
from unibio.figures.drawing import Drawing, Drawn


def drawings() -> list[Drawing]:
    """The figures of the experiment."""
    experiments = (SCHEDULED, FIXED)
    return [
        Drawing(
            "penalty_rates",
            "Rates of F²SA, F³SA and F²BA on a quadratic with exact gradients, noise on the upper level and noise on "
            "both: averaged ‖∇φ‖ against iterations (F²BA: one run a horizon); mean over the seeds. Dotted: the "
            "slides' exponents, from the last point backwards.",
            experiments,
            draw,
        ),
        Drawing(
            "penalty_rates_ranges",
            "The fitted slope as a function of where the fit range [t, T] begins, with 95% bootstrap intervals. "
            "Dotted: the slides' exponents; a slope on or below the line of its colour is consistent with the bound.",
            experiments,
            draw_ranges,
        ),
    ]


def draw(study: Study) -> Drawn:
    """A panel per kind of noise."""
    found = rates(study)
    figure, axes = style.panels(1, len(CASES), 2.9, sharey=True)
    tables = []
    for panel, (case, title) in zip(axes[0], CASES.items(), strict=True):
        panel.set(xscale="log", yscale="log", xlabel="iterations")
        panel.set_title(title, loc="left")
        for one in (one for one in found if one.case == case):
            look = _look(one)
            mean = one.values.mean(axis=0)
            keep = one.t > 0
            t, shown = one.t[keep], np.where(np.isfinite(mean), mean, np.nan)[keep]
            every = None if one.sweep else style.spread_markers(t, list(NAMES).index(one.method), log=True)
            panel.plot(t, shown, markevery=every, **look)
            span = t[t >= t[-1] / 100]
            if len(span) > 1 and np.isfinite(shown[-1]):
                panel.plot(
                    span, shown[-1] * (span / t[-1]) ** one.bound, color=look["color"], linestyle=":", linewidth=1
                )
            tables.append(
                pd.DataFrame(
                    {"method": NAMES[one.method], "case": case, "t": t, "mean": shown, "seeds": len(one.values)}
                )
            )
    axes[0, 0].set_ylabel("mean of ‖∇φ‖ over iterates")
    style.legend_above(figure, _handles(found), 4)
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"method": []})
    return Drawn(figure, {"penalty_rates": table})


def draw_ranges(study: Study) -> Drawn:
    """Slopes of fits to [t, T] against t."""
    found = rates(study)
    figure, axes = style.panels(1, len(CASES), 2.9, sharey=True)
    tables = []
    for panel, (case, title) in zip(axes[0], CASES.items(), strict=True):
        panel.set(xscale="log", xlabel="start t of the fit range")
        panel.set_title(title, loc="left")
        panel.xaxis.set_minor_formatter(NullFormatter())
        for one in (one for one in found if one.case == case):
            look = _look(one)
            panel.axhline(one.bound, color=look["color"], linestyle=":", linewidth=1)
            usable = np.isfinite(one.values).all() and len(one.t) >= 3
            slopes = one.slopes() if usable else pd.DataFrame(columns=["kind"])
            table = slopes[slopes["kind"] == "to_end"]
            if len(table):
                low = table["low"].to_numpy(dtype=float)
                panel.fill_between(
                    low,
                    table["interval_low"].to_numpy(dtype=float),
                    table["interval_high"].to_numpy(dtype=float),
                    color=look["color"],
                    alpha=0.2,
                    linewidth=0,
                )
                panel.plot(low, table["slope"], markevery=None if one.sweep else (0, 4), **look)
            tables.append(slopes.assign(method=NAMES[one.method], case=case, exponent=one.bound))
    axes[0, 0].set_ylabel("slope")
    style.legend_above(figure, _handles(found), 4)
    table = pd.concat([t for t in tables if len(t)], ignore_index=True) if any(map(len, tables)) else _nothing()
    return Drawn(figure, {"penalty_rates_ranges": table})


def _nothing() -> pd.DataFrame:
    return pd.DataFrame({"method": ["none"], "slope": [np.nan]})


def _look(one: Rate) -> dict[str, Any]:
    return style.of_index(list(NAMES).index(one.method)) | ({"linestyle": ""} if one.sweep else {})


def _handles(found: list[Rate]) -> list[Any]:
    looks = {one.method: _look(one) for one in found}
    lines = [style.handle(NAMES[method], **look) for method, look in looks.items()]
    return [*lines, style.handle("slides' exponent", color=style.GREY, linestyle=":", linewidth=1)]
