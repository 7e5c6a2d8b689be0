"""Figure 5: averaged hypergradient norm on log–log axes with fitted power laws, and what the fit range does to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from unibio.studies.common import style
from unibio.studies.common.curves import Curves, curves, values_of
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, exponent, paper_step
from unibio.studies.common.labels import noise_title
from unibio.studies.common.rates import (
    bound_exponent,
    fit_power_law,
    slopes_by_range,
    slopes_by_start,
    slopes_by_window,
    standard_ranges,
)
from unibio.studies.common.readings import READINGS, Reading

#: The step of the equal-η column; the tables hold all of them.
EQUAL_STEP = 0.03
#: Curves shorter than this cannot be fitted over a decade and still leave their start out.
_SHORTEST = 20


def _chosen(evidence: Evidence, noise: float, reading: Reading) -> tuple[list[Curves], list[Curves], float]:
    """The curves at the paper's η, those at equal η, and that η."""
    found = evidence.require("fig5")
    steps = values_of(found, "upper_step")
    equal = min(steps, key=lambda step: abs(math.log(step / EQUAL_STEP)))
    metric = "hypergradient_norm_mean"
    levels = {"noise": noise, "upper_noise": reading.upper(noise)}
    own = [c for r in found for c in curves(r, metric, **levels, upper_step=paper_step(r) or math.nan)]
    return own, [c for r in found for c in curves(r, metric, **levels, upper_step=equal)], equal


def draw(evidence: Evidence) -> Drawn:
    """Rows are noise levels, columns the paper's η and equal η. Black: fits to the last decade; dotted: bounds."""
    found = evidence.require("fig5")
    rows = [(noise, reading) for reading in READINGS for noise in reading.levels(evidence, "fig5")]
    rows = [(noise, reading) for noise, reading in rows if noise or reading.main]  # no noise is the same in both
    figure, axes = style.panels(len(rows), 2, 2.9 * len(rows) + 0.5, sharex=True, sharey=True)
    for row, (noise, reading) in zip(axes, rows, strict=True):
        own, equal, step = _chosen(evidence, noise, reading)
        for panel, shown, title in ((row[0], own, "the paper's η"), (row[1], equal, f"η = {step:g} for every p")):
            _panel(panel, shown)
            panel.set_title(f"{noise_title(found[0], noise, reading.upper(noise))},\n{title}", loc="left")
        row[0].set_ylabel("mean of |∇φ| over iterates 0 … t−1")
    for letter, panel in zip("abcdefgh", axes.flat, strict=False):
        panel.set_title(f"({letter}) {panel.get_title('left')}", loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("iteration t")
    low, high = axes[0, 0].get_ylim()
    axes[0, 0].set_ylim(bottom=min(low / 6, high / 40))  # room for the slopes
    for panel in axes.flat:
        style.log_labels(panel.yaxis)
    lines = [style.handle("fit, last decade", color=style.BLACK, linewidth=0.9)]
    lines += [style.handle("bound T^(−1/(3p−2))", color=style.GREY, linestyle=":", linewidth=1.2)]
    exponents = [style.handle(f"p = {p}", **style.of_exponent(p)) for p in sorted({*map(exponent, found)})]
    style.legend_above(figure, [*exponents, *lines], 3)
    return Drawn(figure, {"fig5": _curve_table(evidence), "fig5_fits": fits(evidence)})


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
        panel.plot(span, fit(span), color=style.BLACK, linewidth=0.9, zorder=4)
        start = np.interp(span[0], t, mean)
        bound = start * (span / span[0]) ** bound_exponent(curve.exponent)
        panel.plot(span, bound, color=look["color"], linestyle=":", linewidth=1.2)
        texts.append(f"p = {curve.exponent}: {slope_said(fit.slope, fit.interval)}")
    panel.text(0.03, 0.03, "\n".join(["slope of the fit", *texts]) if texts else "", transform=panel.transAxes)


def slope_said(slope: float, interval: tuple[float, float] | None) -> str:
    """A slope and its interval, if it has one: without noise all seeds are the same."""
    text = f"{slope:.3f}"
    if interval is not None and math.isfinite(interval[0]):
        text += f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return text.replace("-", "−")


def fits(evidence: Evidence) -> pd.DataFrame:
    """Fits of every curve over several ranges.

    Returns:
        p, noise, upper_noise, upper_step, paper_step (is it the paper's),
        :data:`~unibio.studies.common.rates.COLUMNS`, bound.
    """
    return evidence.once(_fits).copy()


def _fits(evidence: Evidence) -> pd.DataFrame:
    tables = []
    for record in evidence.require("fig5"):
        for curve in curves(record, "hypergradient_norm_mean"):
            ranges = standard_ranges(float(curve.iterations[-1])) if np.isfinite(curve.values).all() else []
            table = slopes_by_range(curve.iterations, curve.values, ranges)
            own = bool(np.isclose(curve.cell["upper_step"], paper_step(record) or math.nan))
            head = {name: curve.cell.get(name, 0.0) for name in ("noise", "upper_noise", "upper_step")}
            head = {"p": curve.exponent, **head}
            for i, (name, value) in enumerate((head | {"paper_step": own}).items()):
                table.insert(i, name, value)
            tables.append(table.assign(bound=bound_exponent(curve.exponent)))
    return pd.concat(tables, ignore_index=True)


def _curve_table(evidence: Evidence) -> pd.DataFrame:
    tables = []
    for record in evidence.require("fig5"):
        for curve in curves(record, "hypergradient_norm_mean"):
            tables.append(curve.table().assign(mean=curve.values.mean(axis=0)))
    return pd.concat(tables, ignore_index=True)


def draw_ranges(evidence: Evidence, reading: Reading) -> Drawn:
    """The slope as a function of the fit range, at the largest noise level: an exponent would be a flat line."""
    noise = max(reading.levels(evidence, "fig5"))
    own, equal, step = _chosen(evidence, noise, reading)
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
                panel.axhline(bound_exponent(curve.exponent), color=look["color"], linestyle=":", linewidth=1.0)
                if not np.isfinite(curve.values).all():  # a power law of the survivors would say nothing of the method
                    continue
                found = slopes(curve.iterations, curve.values)
                if len(found) == 0:
                    continue
                panel.plot(found["low"], found["slope"], markevery=(order, 6), **look)
                panel.fill_between(
                    found["low"], found["interval_low"], found["interval_high"], color=look["color"], alpha=0.25
                )
                head = {"p": curve.exponent, "noise": noise, "upper_noise": reading.upper(noise)}
                tables.append(found.assign(**head, upper_step=curve.cell["upper_step"], range=kind))
            panel.set_xscale("log")
            panel.set_xlabel(label)
            panel.set_title(title, loc="left")
        row[0].set_ylabel("slope of the fit")
    for letter, panel in zip("abcd", axes.flat, strict=True):
        panel.set_title(f"({letter}) {panel.get_title('left')}", loc="left")
    exponents = [style.handle(f"p = {c.exponent}", **style.of_exponent(c.exponent)) for c in own]
    bound = style.handle("bound −1/(3p−2)", color=style.GREY, linestyle=":", linewidth=1.2)
    style.legend_above(figure, [*exponents, bound], 5)
    return Drawn(
        figure, {f"fig5_ranges{reading.suffix}": pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()}
    )


DRAWINGS = (
    Drawing(
        "fig5",
        "Averaged hypergradient norm with power laws fitted to the last decade; mean over the "
        "seeds; slopes with 95% Student intervals over the seeds.",
        draw,
        title="Figure 5: how fast the averaged hypergradient falls",
    ),
    *(
        Drawing(
            f"fig5_ranges{reading.suffix}",
            f"The fitted slope as a function of the fit range, largest noise level, on {reading.where}.",
            partial(draw_ranges, reading=reading),
            title=f"Figure 5: what the fit range decides, noise on {reading.levels_named}",
            variant=not reading.main,
        )
        for reading in READINGS
    ),
)
