"""Figures 1 and 5 on the Hölder problem."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from unibio.quantiles import quartiles
from unibio.studies.common import style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.labels import norm_label
from unibio.studies.common.rates import bound_exponent
from unibio.studies.common.verdicts import EXPONENTS
from unibio.studies.hoelder_figures.measures import (
    DECADE,
    FIRST,
    JUDGED,
    STEPS,
    averages,
    groups,
    power,
    shown,
)


def draw_first(evidence: Evidence, d: int) -> Drawn:
    """Rows are equal and tuned η, columns noise levels: median and interquartile band over the judging seeds."""
    found = groups(evidence, d)
    figure, axes = style.panels(2, max(1, len(found)), 4.6, sharex=True, sharey=True)
    tables, medians = [], []
    for column, (noise, by_p) in enumerate(found.items()):
        for row, (kind, step_of) in enumerate(STEPS.items()):
            panel = axes[row, column]
            for order, (p, record) in enumerate(by_p.items()):
                one = shown(record, step_of(record))
                inside = one.iterations <= FIRST * record.config["steps"]
                bands = quartiles(one.values[:, inside])
                style.banded(panel, one.iterations[inside], bands, order, **style.of_exponent(p) | {"linewidth": 1.1})
                medians.append(bands[1])
                tables.append(one.table().assign(dimension=d, eta=kind))
        axes[0, column].set_title("no noise" if noise == 0 else f"variance {noise:g}", loc="left")
        axes[1, column].set_xlabel("iteration t")
    for row, kind in enumerate(STEPS):
        some = next(iter(next(iter(found.values())).values()), None) if found else None
        name = norm_label(some) if some is not None else ""
        axes[row, 0].set_ylabel(f"{kind} η\n{name}")
    style.norm_axis(axes.flat, medians)
    handles = [style.handle(f"p = {p}", **style.of_exponent(p) | {"linestyle": "-"}) for p in EXPONENTS]
    style.legend_above(figure, handles, 4)
    return Drawn(figure, {_name("fig1", d): pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()})


def draw_fifth(evidence: Evidence, d: int) -> Drawn:
    """Rows are the least and the reference noise, columns equal and tuned η: averages, fits and bounds."""
    found = groups(evidence, d)
    noises = [noise for noise in found if noise in (0.0, 1.0)] or list(found)[:1]
    figure, axes = style.panels(max(1, len(noises)), 2, 2.7 * max(1, len(noises)) + 0.5, sharex=True, sharey=True)
    rows = []
    for row, noise in enumerate(noises):
        for column, kind in enumerate(STEPS):
            panel, texts = axes[row, column], ["exponent of t"]
            panel.set(xscale="log", yscale="log")
            panel.set_title(f"{'no noise' if noise == 0 else f'variance {noise:g}'}, {kind} η", loc="left")
            for order, (p, record) in enumerate(found[noise].items()):
                t, average = averages(record, kind)
                look = style.of_exponent(p)
                panel.plot(t, average, markevery=style.spread_markers(t, order, log=True), **look)
                fit, last = power(record, kind), t[-1]
                line = np.array([last / DECADE, last])
                start = float(np.interp(line[0], t, average))
                bound = start * (line / line[0]) ** bound_exponent(p)
                panel.plot(line, bound, color=look["color"], linestyle=":", linewidth=1.2)
                texts.append(f"p = {p}: {fit.slope:.3f}".replace("-", "−"))
                row_of = {"dimension": d, "noise": noise, "eta": kind, "p": p, "slope": fit.slope}
                bounds = {"bound": bound_exponent(p), "sharp": -1 / (p + 2)}
                rows.append(row_of | {"low": fit.low, "high": fit.high} | bounds)
            panel.text(0.03, 0.03, "\n".join(texts), transform=panel.transAxes)
        axes[row, 0].set_ylabel("mean of ‖∇φ‖ over\niterates 0 … t−1")
    for panel in axes[-1]:
        panel.set_xlabel("iteration t")
    low, high = axes[0, 0].get_ylim()
    axes[0, 0].set_ylim(bottom=min(low / 3, high / 20))  # room for the exponents
    for panel in axes.flat:
        style.log_labels(panel.yaxis)
    handles = [style.handle(f"p = {p}", **style.of_exponent(p)) for p in EXPONENTS]
    bound_line = style.handle("bound t^(−1/(3p−2))", color=style.GREY, linestyle=":", linewidth=1.2)
    style.legend_above(figure, [*handles, bound_line], 5)
    return Drawn(figure, {_name("fig5", d): pd.DataFrame(rows)})


def _name(figure: str, d: int) -> str:
    return f"hoelder_{figure}" + ("" if d == JUDGED else f"_{d}d")


def _drawings(d: int) -> tuple[Drawing, ...]:
    where = f"the Hölder problem, d = {d}, asymmetric"
    return (
        Drawing(
            _name("fig1", d),
            f"On {where}: every p at one η, and at its best η. Median and interquartile band over seeds "
            "that did not choose.",
            partial(draw_first, d=d),
            title=f"Figure 1 where p matters, d = {d}",
            variant=d != JUDGED,
        ),
        Drawing(
            _name("fig5", d),
            f"On {where}: averaged norms at one η, and the least over all η for each t; dotted, the bounds.",
            partial(draw_fifth, d=d),
            title=f"Figure 5 where p matters, d = {d}",
            variant=d != JUDGED,
        ),
    )


DRAWINGS = (*_drawings(JUDGED), *_drawings(1))
