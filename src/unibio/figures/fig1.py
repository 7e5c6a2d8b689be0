"""Figure 1 (a–d) and its variants: hypergradient norm against iteration, one panel a noise level."""

from __future__ import annotations

import pandas as pd
from matplotlib.lines import Line2D

from unibio.analysis.comparisons import first_hits
from unibio.analysis.curves import Curves, curves, quartiles, values_of
from unibio.analysis.study import Study, dimension, paper_step, setting
from unibio.figures import style
from unibio.figures.drawing import Drawn
from unibio.records import Record


def norm_label(record: Record) -> str:
    """The metric as the axis names it: an absolute value in one dimension, a norm in several."""
    return "hypergradient norm |∇φ(xₜ)|" if dimension(record) == 1 else "hypergradient norm ‖∇φ(xₜ)‖"


def noise_title(record: Record, noise: float) -> str:
    """A panel's title: the noise level in the record's reading."""
    if noise == 0:
        return "no noise"
    reading = {"variance": "variance", "std": "standard deviation"}[setting(record, "noise_reading") or "variance"]
    return f"noise of {reading} {noise:g}"


def draw(study: Study, experiment: str) -> Drawn:
    """The experiment's curves at the paper's steps: median and interquartile band over the seeds."""
    found = study.require(experiment)
    noises = values_of(found, "noise")
    rows = (len(noises) + 1) // 2
    figure, axes = style.panels(rows, min(2, len(noises)), 2.35 * rows + 0.45, sharex=True, sharey=True)
    shown: list[Curves] = []
    for panel, noise, letter in zip(axes.flat, noises, "abcdefgh", strict=False):
        for order, record in enumerate(found):
            for curve in curves(record, noise=noise):
                look = style.of_exponent(curve.exponent) | {"linewidth": 1.1}
                style.banded(panel, curve.iterations, quartiles(curve.values), order, **look)
                shown.append(curve)
        panel.set_title(f"({letter}) {noise_title(found[0], noise)}", loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("iteration t")
    for panel in axes[:, 0]:
        panel.set_ylabel(norm_label(found[0]))
    style.norm_axis(axes.flat, [quartiles(curve.values)[1] for curve in shown])
    style.legend_above(figure, exponent_handles(found), 4)
    tables = {experiment: pd.concat([curve.table() for curve in shown], ignore_index=True)}
    return Drawn(figure, tables | {f"{experiment}_first_hits": first_hits(found)})


def exponent_handles(found: list[Record], with_step: bool = True) -> list[Line2D]:
    """Legend entries p = …, with the paper's η."""
    handles = {}
    for record in found:
        p, step = int(record.config["problem"]["exponent"]), paper_step(record)
        label = f"p = {p}, η = {step:.3g}" if with_step and step is not None else f"p = {p}"
        handles[p] = style.handle(label, **style.of_exponent(p) | {"linestyle": "-"})
    return list(handles.values())
