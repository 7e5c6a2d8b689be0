"""Averages against iterations or oracle calls, and their slopes against where the fit begins."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unibio.studies.common import methods, style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.penalty_rates.measures import BOUNDS, CASES, EXPERIMENT_OF, FIXED, PROXIMAL, SCHEDULED, Rate, rates


def draw(evidence: Evidence, experiments: tuple[str, ...], name: str) -> Drawn:
    """A panel per kind of noise."""
    found = _of(evidence, experiments)
    figure, axes = style.panels(1, len(CASES), 2.9, sharey=True)
    tables = []
    for panel, (case, title) in zip(axes[0], CASES.items(), strict=True):
        panel.set(xscale="log", yscale="log", xlabel=found[0].unit if found else "iterations")
        panel.set_title(title, loc="left")
        for one in (one for one in found if one.case == case):
            look = _look(one)
            mean = one.values.mean(axis=0)
            keep = one.t > 0
            t, shown = one.t[keep], np.where(np.isfinite(mean), mean, np.nan)[keep]
            every = None if one.sweep else style.spread_markers(t, list(BOUNDS).index(one.method), log=True)
            panel.plot(t, shown, markevery=every, **look)
            span = t[t >= t[-1] / 100]
            if len(span) > 1 and np.isfinite(shown[-1]):
                bound = shown[-1] * (span / t[-1]) ** one.bound
                panel.plot(span, bound, color=look["color"], linestyle=":", linewidth=1)
            head = {"method": methods.label(one.method), "case": case}
            tables.append(pd.DataFrame({**head, "t": t, "mean": shown, "seeds": len(one.values)}))
    axes[0, 0].set_ylabel("mean of ‖∇φ‖ over iterates")
    style.legend_above(figure, _handles(found), 4)
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"method": []})
    return Drawn(figure, {name: table})


def draw_ranges(evidence: Evidence, experiments: tuple[str, ...], name: str) -> Drawn:
    """Slopes of fits to [t, T] against t."""
    found = _of(evidence, experiments)
    figure, axes = style.panels(1, len(CASES), 2.9, sharey=True)
    tables = []
    for panel, (case, title) in zip(axes[0], CASES.items(), strict=True):
        panel.set(xscale="log", xlabel="start t of the fit range")
        panel.set_title(title, loc="left")
        style.log_labels(panel.xaxis)
        for one in (one for one in found if one.case == case):
            look = _look(one)
            panel.axhline(one.bound, color=look["color"], linestyle=":", linewidth=1)
            usable = np.isfinite(one.values).all() and len(one.t) >= 3
            slopes = one.slopes() if usable else pd.DataFrame(columns=["kind"])
            table = slopes[slopes["kind"] == "to_end"]
            if len(table):
                ends = (table[name].to_numpy(dtype=float) for name in ("low", "interval_low", "interval_high"))
                low, *interval = ends
                panel.fill_between(low, *interval, color=look["color"], alpha=0.2, linewidth=0)
                panel.plot(low, table["slope"], markevery=None if one.sweep else (0, 4), **look)
            tables.append(slopes.assign(method=methods.label(one.method), case=case, exponent=one.bound))
    axes[0, 0].set_ylabel("slope")
    style.legend_above(figure, _handles(found), 4)
    kept = [table for table in tables if len(table)] or [pd.DataFrame({"method": ["none"], "slope": [np.nan]})]
    return Drawn(figure, {name: pd.concat(kept, ignore_index=True)})


def _of(evidence: Evidence, experiments: tuple[str, ...]) -> list[Rate]:
    """The rates that some of the experiments show.

    Raises:
        MissingRecordsError: none of them was run.
    """
    if not any(evidence.records(name) for name in experiments):
        evidence.require(experiments[0])
    return [one for one in rates(evidence) if EXPERIMENT_OF[one.method] in experiments]


def _look(one: Rate) -> dict[str, Any]:
    return methods.look(one.method) | ({"linestyle": ""} if one.sweep else {})


def _handles(found: list[Rate]) -> list[Any]:
    looks = {one.method: _look(one) for one in found}
    lines = [style.handle(methods.label(method), **look) for method, look in looks.items()]
    return [*lines, style.handle("slides' exponent", color=style.GREY, linestyle=":", linewidth=1)]


def _drawings(suffix: str, experiments: tuple[str, ...], whose: str, shown: str) -> tuple[Drawing, Drawing]:
    """The curves of some experiments and their slopes."""
    return (
        Drawing(
            f"{suffix}_rates",
            f"{shown}: averaged ‖∇φ‖; mean over the seeds. Dotted: the slides' exponents, from the last point "
            "backwards.",
            partial(draw, experiments=experiments, name=f"{suffix}_rates"),
            experiments,
            title=f"How fast ‖∇φ‖ falls along {whose}",
        ),
        Drawing(
            f"{suffix}_rates_ranges",
            f"{shown}: the fitted slope as a function of where the fit range [t, T] begins, with 95% Student intervals "
            "over the seeds. Dotted: the slides' exponents; a slope on or below the line of its colour is consistent "
            "with the bound.",
            partial(draw_ranges, experiments=experiments, name=f"{suffix}_rates_ranges"),
            experiments,
            title=f"The slopes of {whose} by fit range",
        ),
    )


DRAWINGS = (
    *_drawings(
        "penalty",
        (SCHEDULED, FIXED),
        "F²SA, F³SA and F²BA",
        "Rates of F²SA, F³SA and F²BA (one run a horizon) on a quadratic with exact gradients, noise on the upper "
        "level and noise on both, against iterations",
    ),
    *_drawings(
        "proximal",
        (PROXIMAL,),
        "the proximal methods",
        "Rates of the proximal methods on a lower level that is not convex, with the same kinds of noise, against "
        "oracle calls",
    ),
)
