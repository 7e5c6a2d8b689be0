"""Figure 1 (a–d), its repetition in ten dimensions, the released script's, and the control at equal η."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from unibio.quantiles import quartiles
from unibio.studies.common import style
from unibio.studies.common.comparisons import first_hits
from unibio.studies.common.curves import Curves, curves, values_of
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, MissingRecordsError, exponent
from unibio.studies.common.labels import exponent_handles, noise_title, norm_label
from unibio.studies.common.readings import BOTH, LOWER, Reading
from unibio.studies.fig1.rules import RELEASED_PAIR


def draw(evidence: Evidence, experiment: str, reading: Reading, name: str) -> Drawn:
    """The experiment's curves at the paper's steps: median and interquartile band over the seeds.

    Raises:
        MissingRecordsError: no records, or none of this reading.
    """
    found = evidence.require(experiment)
    noises = reading.levels(evidence, experiment)
    rows = (len(noises) + 1) // 2
    figure, axes = style.panels(rows, min(2, len(noises)), 2.35 * rows + 0.45, sharex=True, sharey=True)
    shown: list[Curves] = []
    for panel, noise, letter in zip(axes.flat, noises, "abcdefgh", strict=False):
        for order, record in enumerate(found):
            for curve in curves(record, noise=noise, upper_noise=reading.upper(noise)):
                look = style.of_exponent(curve.exponent) | {"linewidth": 1.1}
                style.banded(panel, curve.iterations, quartiles(curve.values), order, **look)
                shown.append(curve)
        panel.set_title(f"({letter}) {noise_title(found[0], noise, reading.upper(noise))}", loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("iteration t")
    for panel in axes[:, 0]:
        panel.set_ylabel(norm_label(found[0]))
    style.norm_axis(axes.flat, [quartiles(curve.values)[1] for curve in shown])
    style.legend_above(figure, exponent_handles(found), 4)
    tables = {name: pd.concat([curve.table() for curve in shown], ignore_index=True)}
    return Drawn(figure, tables | {f"{name}_first_hits": reading.of(first_hits(found))})


def draw_equal(evidence: Evidence, experiment: str, noise: float, reading: Reading, suffix: str = "") -> Drawn:
    """One column a step η, one row a cost; at one noise level. Wider lines lie below narrower ones where p coincide.

    Each panel ends at twice the slowest first hit, where the comparison is over; the table holds the whole curves.

    Raises:
        MissingRecordsError: no records, or none at this noise level.
    """
    found, upper = evidence.require(experiment), reading.upper(noise)
    if noise not in reading.levels(evidence, experiment):
        raise MissingRecordsError(f"{experiment}, noise {noise:g}", evidence.command(experiment), evidence.root)
    steps = sorted(values_of(found, "upper_step"), reverse=True)
    figure, axes = style.panels(2, len(steps), 4.6, sharey=True)
    hits = first_hits(found)
    shown: list[Curves] = []
    for column, step in enumerate(steps):
        for order, record in enumerate(found):
            for curve in curves(record, noise=noise, upper_noise=upper, upper_step=step):
                look = style.of_exponent(curve.exponent) | {"linewidth": max(0.8, 4.0 - 1.05 * order), "markersize": 5}
                bands = quartiles(curve.values)
                style.banded(axes[0, column], curve.iterations, bands, order, **look)
                style.banded(axes[1, column], curve.calls / 1000, bands, order, **look)
                shown.append(curve)
        axes[0, column].set_title(f"η = {step:.3g}", loc="left")
        if not hits.empty:
            at = {"noise": noise, "upper_noise": upper, "upper_step": step}
            here = hits[np.logical_and.reduce([np.isclose(hits[name], value) for name, value in at.items()])]
            for panel, cost, unit in ((axes[0, column], "iterations", 1), (axes[1, column], "oracle_calls", 1000)):
                if np.isfinite(last := here[cost].max()):
                    panel.set_xlim(0, min(panel.get_xlim()[1], 2 * last / unit))
    for panel in axes.flat:
        panel.xaxis.set_major_locator(MaxNLocator(3, prune="upper"))
        panel.xaxis.set_major_formatter("{x:g}")
    for panel in axes[0]:
        panel.set_xlabel("iteration t")
    for panel in axes[1]:
        panel.set_xlabel("oracle calls / 1000")
    for panel in axes[:, 0]:
        panel.set_ylabel(norm_label(found[0]))
    style.norm_axis(axes.flat, [quartiles(curve.values)[1] for curve in shown])
    style.legend_above(figure, exponent_handles(found, with_step=False), 4)
    tables = {experiment + suffix: pd.concat([curve.table() for curve in shown], ignore_index=True)}
    return Drawn(figure, tables | {f"{experiment}_first_hits": hits})


def draw_released(evidence: Evidence, reading: Reading) -> Drawn:
    """One panel a noise level; Algorithm 2 wide and pale, the released script thin and dark on top of it."""
    own, released = (evidence.require(name) for name in RELEASED_PAIR)
    noises = [v for v in reading.levels(evidence, RELEASED_PAIR[0]) if v in values_of(released, "noise")]
    rows = (len(noises) + 1) // 2
    figure, axes = style.panels(rows, min(2, len(noises)), 2.35 * rows + 0.6, sharex=True, sharey=True)
    tables, medians = [], []
    for panel, noise, letter in zip(axes.flat, noises, "abcdefgh", strict=False):
        for found, source in ((own, "algorithm_2"), (released, "released")):
            upper = reading.upper(noise) if source == "algorithm_2" else 0.0
            for order, record in enumerate(found):
                for curve in curves(record, noise=noise, upper_noise=upper):
                    tables.append(curve.table().assign(source=source))
                    medians.append(quartiles(curve.values)[1])
                    look = style.of_exponent(curve.exponent) | (_WIDE if source == "algorithm_2" else _THIN)
                    every = style.spread_markers(curve.iterations, order)
                    panel.plot(curve.iterations, medians[-1], markevery=every, **look)
        title = "no noise" if noise == 0 else f"noise level {noise:g}"
        panel.set_title(f"({letter}) {title}", loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("iteration t")
    for panel in axes[:, 0]:
        panel.set_ylabel(norm_label(own[0]))
    style.norm_axis(axes.flat, medians)
    exponents = [style.handle(f"p = {p}", **style.of_exponent(p) | _THIN) for p in sorted({*map(exponent, own)})]
    sources = [
        style.handle("Algorithm 2 (variance)", color=style.GREY, **_WIDE),
        style.handle("released (standard deviation)", color=style.BLACK, **_THIN),
    ]
    style.legend_above(figure, [*exponents, *sources], 3)
    return Drawn(figure, {f"fig1_released_comparison{reading.suffix}": pd.concat(tables, ignore_index=True)})


_WIDE = {"linewidth": 4.0, "alpha": 0.4, "linestyle": "-", "marker": ""}
_THIN = {"linewidth": 1.1, "linestyle": (0, (4, 1.5))}
_BAND = "Median and interquartile band over the seeds."


def _at_paper_steps(experiment: str, reading: Reading, title: str, caption: str) -> Drawing:
    text = f"{caption} Noise on {reading.where}. {_BAND}"
    name = experiment + reading.suffix
    what = partial(draw, experiment=experiment, reading=reading, name=name)
    title = f"{title}, noise on {reading.levels_named}"
    return Drawing(name, text, what, (experiment,), title=title, variant=not reading.main)


def _at_equal_steps(experiment: str, noise: float, where: str, reading: Reading = BOTH) -> Drawing:
    level = "without noise" if noise == 0 else f"noise of variance {noise:g} on {reading.where}"
    caption = f"The equal-η control{where}, {level}: against iterations and oracle calls."
    title = f"Every p at the same η{' in ten dimensions' if where else ''}, " + (
        f"noise on {reading.levels_named}" if noise else "without noise"
    )
    suffix = f"_noise{noise:g}{reading.suffix}" if noise else ""
    draw = partial(draw_equal, experiment=experiment, noise=noise, reading=reading, suffix=suffix)
    return Drawing(experiment + suffix, caption, draw, (experiment,), title=title, variant=not reading.main)


def _beside_released(reading: Reading) -> Drawing:
    return Drawing(
        f"fig1_released_comparison{reading.suffix}",
        "The released script, which steps along the closed-form hypergradient, over Algorithm 2 with noise on "
        f"{reading.where}; medians.",
        partial(draw_released, reading=reading),
        RELEASED_PAIR,
        title=f"The released script beside Algorithm 2, noise on {reading.levels_named}",
        variant=not reading.main,
    )


_FIG1 = ("Figure 1 by Algorithm 2", "Panels (a–d), the paper's η for each p.")
_TEN = ("Figure 1 in ten dimensions", "The coordinate-wise problem, d = 10, η the paper's times √10.")
_THERE = " on the coordinate-wise problem"

DRAWINGS = (
    _at_paper_steps("fig1", BOTH, *_FIG1),
    _at_paper_steps("fig1", LOWER, *_FIG1),
    Drawing(
        "fig1_released",
        f"Panels (a–d). {_BAND}",
        partial(draw, experiment="fig1_released", reading=LOWER, name="fig1_released"),
        ("fig1_released",),
        title="Figure 1 as the released script computes it",
    ),
    _beside_released(BOTH),
    _beside_released(LOWER),
    _at_equal_steps("fig1_equal", 0.0, ""),
    _at_equal_steps("fig1_equal", 1.0, ""),
    _at_equal_steps("fig1_equal", 1.0, "", LOWER),
    _at_paper_steps("fig1_coordinatewise", BOTH, *_TEN),
    _at_paper_steps("fig1_coordinatewise", LOWER, *_TEN),
    _at_equal_steps("fig1_coordinatewise_equal", 0.0, _THERE),
    _at_equal_steps("fig1_coordinatewise_equal", 1.0, _THERE),
    _at_equal_steps("fig1_coordinatewise_equal", 1.0, _THERE, LOWER),
)
