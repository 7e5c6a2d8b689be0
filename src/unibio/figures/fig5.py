"""Figure 5: averaged hypergradient norm on log–log axes with fitted power laws, and what the fit range does to them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from unibio.analysis.curves import Curves, curves, values_of
from unibio.analysis.rates import (
    bound_exponent,
    fit_power_law,
    slopes_by_range,
    slopes_by_start,
    slopes_by_window,
    standard_ranges,
)
from unibio.analysis.study import Study, exponent, paper_step
from unibio.figures import style
from unibio.figures.drawing import Drawn
from unibio.figures.fig1 import noise_title

#: The step of the equal-η column; the tables hold all of them.
EQUAL_STEP = 0.03
#: Curves shorter than this cannot be fitted over a decade and still leave their start out.
_SHORTEST = 20


def _chosen(study: Study, noise: float) -> tuple[list[Curves], list[Curves], float]:
    """The curves at the paper's η, those at equal η, and that η."""
    found = study.require("fig5")
    steps = values_of(found, "upper_step")
    equal = min(steps, key=lambda step: abs(math.log(step / EQUAL_STEP)))
    metric = "hypergradient_norm_mean"
    own = [c for r in found for c in curves(r, metric, noise=noise, upper_step=paper_step(r) or math.nan)]
    return own, [c for r in found for c in curves(r, metric, noise=noise, upper_step=equal)], equal


def draw(study: Study) -> Drawn:
    """Rows are noise levels, columns the paper's η and equal η. Black: fits to the last decade; dotted: bounds."""
    found = study.require("fig5")
    noises = values_of(found, "noise")
    figure, axes = style.panels(len(noises), 2, 2.9 * len(noises) + 0.5, sharex=True, sharey=True)
    for row, noise in zip(axes, noises, strict=True):
        own, equal, step = _chosen(study, noise)
        for panel, shown, title in ((row[0], own, "the paper's η"), (row[1], equal, f"η = {step:g} for every p")):
            _panel(panel, shown)
            panel.set_title(f"{noise_title(found[0], noise)}, {title}", loc="left")
        row[0].set_ylabel("mean of |∇φ| over iterates 0 … t−1")
    for letter, panel in zip("abcdefgh", axes.flat, strict=False):
        panel.set_title(f"({letter}) {panel.get_title('left')}", loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("iteration t")
    low, high = axes[0, 0].get_ylim()
    axes[0, 0].set_ylim(bottom=min(low / 6, high / 40))  # room for the slopes
    for panel in axes.flat:
        panel.yaxis.set_minor_formatter(NullFormatter())
    lines = [style.handle("fit, last decade", color="black", linewidth=0.9)]
    lines += [style.handle("bound T^(−1/(3p−2))", color=style.GREY, linestyle=":", linewidth=1.2)]
    exponents = [style.handle(f"p = {p}", **style.of_exponent(p)) for p in sorted({*map(exponent, found)})]
    style.legend_above(figure, [*exponents, *lines], 3)
    return Drawn(figure, {"fig5": _curve_table(study), "fig5_fits": fits(study)})


def _panel(panel: Axes, shown: list[Curves]) -> None:
    panel.set(xscale="log", yscale="log")
    texts = []
    for order, curve in enumerate(shown):
        look = style.of_exponent(curve.exponent) | {"linewidth": 3.4 - 0.7 * order}
        t, mean = curve.iterations[1:], curve.values.mean(axis=0)[1:]
        panel.plot(t, mean, markevery=style.spread_markers(t, order, log=True), **look)
        if t[-1] < _SHORTEST or not np.isfinite(curve.values).all():
            continue
        fit = fit_power_law(curve.iterations, curve.values, t[-1] / 10)
        span = np.array([fit.low, fit.high])
        panel.plot(span, fit(span), color="black", linewidth=0.9, zorder=4)
        start = np.interp(span[0], t, mean)
        bound = start * (span / span[0]) ** bound_exponent(curve.exponent)
        panel.plot(span, bound, color=look["color"], linestyle=":", linewidth=1.2)
        texts.append(f"p = {curve.exponent}: {_slope(fit.slope, fit.interval)}")
    panel.text(0.03, 0.03, "\n".join(["slope of the fit", *texts]) if texts else "", transform=panel.transAxes)


def _slope(slope: float, interval: tuple[float, float]) -> str:
    text = f"{slope:.3f}"
    if interval[1] - interval[0] > 5e-4:  # without noise all seeds are the same
        text += f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return text.replace("-", "−")


def fits(study: Study) -> pd.DataFrame:
    """Fits of every curve over several ranges.

    Returns:
        p, noise, upper_step, paper_step (is it the paper's), low, high, slope, error, interval_low, interval_high,
        bound.
    """
    return study.once(_fits).copy()


def _fits(study: Study) -> pd.DataFrame:
    tables = []
    for record in study.require("fig5"):
        for curve in curves(record, "hypergradient_norm_mean"):
            ranges = standard_ranges(float(curve.iterations[-1])) if np.isfinite(curve.values).all() else []
            table = slopes_by_range(curve.iterations, curve.values, ranges)
            own = bool(np.isclose(curve.cell["upper_step"], paper_step(record) or math.nan))
            head = {"p": curve.exponent, "noise": curve.cell["noise"], "upper_step": curve.cell["upper_step"]}
            for i, (name, value) in enumerate((head | {"paper_step": own}).items()):
                table.insert(i, name, value)
            tables.append(table.assign(bound=bound_exponent(curve.exponent)))
    return pd.concat(tables, ignore_index=True)


def _curve_table(study: Study) -> pd.DataFrame:
    tables = []
    for record in study.require("fig5"):
        for curve in curves(record, "hypergradient_norm_mean"):
            tables.append(curve.table().assign(mean=curve.values.mean(axis=0)))
    return pd.concat(tables, ignore_index=True)


def draw_ranges(study: Study) -> Drawn:
    """The slope as a function of the fit range, at the largest noise level: an exponent would be a flat line."""
    noise = max(values_of(study.require("fig5"), "noise"))
    own, equal, step = _chosen(study, noise)
    figure, axes = style.panels(2, 2, 5.3, sharex="row", sharey=True)
    kinds: tuple[tuple[str, Callable[..., pd.DataFrame], str], ...] = (
        ("to_end", slopes_by_start, "start t of the fit range [t, T]"),
        ("decade", slopes_by_window, "start t of the fit range [t, 10 t]"),
    )
    tables = []
    for row, (kind, slopes, label) in zip(axes, kinds, strict=True):
        for panel, shown, title in ((row[0], own, "the paper's η"), (row[1], equal, f"η = {step:g} for every p")):
            for order, curve in enumerate(shown):
                look = style.of_exponent(curve.exponent) | {"linewidth": 3.0 - 0.6 * order}
                found = slopes(curve.iterations, curve.values)
                panel.axhline(bound_exponent(curve.exponent), color=look["color"], linestyle=":", linewidth=1.0)
                if len(found) == 0 or not np.isfinite(curve.values).all():
                    continue
                panel.plot(found["low"], found["slope"], markevery=(order, 6), **look)
                panel.fill_between(
                    found["low"], found["interval_low"], found["interval_high"], color=look["color"], alpha=0.25
                )
                head = {"p": curve.exponent, "noise": noise, "upper_step": curve.cell["upper_step"], "range": kind}
                tables.append(found.assign(**head))
            panel.set_xscale("log")
            panel.set_xlabel(label)
            panel.set_title(title, loc="left")
        row[0].set_ylabel("slope of the fit")
    for letter, panel in zip("abcd", axes.flat, strict=True):
        panel.set_title(f"({letter}) {panel.get_title('left')}", loc="left")
    exponents = [style.handle(f"p = {c.exponent}", **style.of_exponent(c.exponent)) for c in own]
    bound = style.handle("bound −1/(3p−2)", color=style.GREY, linestyle=":", linewidth=1.2)
    style.legend_above(figure, [*exponents, bound], 5)
    return Drawn(figure, {"fig5_ranges": pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()})
