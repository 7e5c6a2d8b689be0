"""The released script's curves over Algorithm 2's: how much of the published picture is the method's doing."""

from __future__ import annotations

import pandas as pd

from unibio.analysis.curves import curves, quartiles, values_of
from unibio.analysis.study import Study, exponent
from unibio.figures import style
from unibio.figures.drawing import Drawn
from unibio.figures.fig1 import norm_label


def draw(study: Study) -> Drawn:
    """One panel a noise level; Algorithm 2 wide and pale, the released script thin and dark on top of it."""
    own, released = study.require("fig1"), study.require("fig1_released")
    noises = [v for v in values_of(own, "noise") if v in values_of(released, "noise")]
    rows = (len(noises) + 1) // 2
    figure, axes = style.panels(rows, min(2, len(noises)), 2.35 * rows + 0.6, sharex=True, sharey=True)
    tables, medians = [], []
    for panel, noise, letter in zip(axes.flat, noises, "abcdefgh", strict=False):
        for found, source in ((own, "algorithm_2"), (released, "released")):
            for record in found:
                for curve in curves(record, noise=noise):
                    tables.append(curve.table().assign(source=source))
                    medians.append(quartiles(curve.values)[1])
                    look = {"color": style.of_exponent(curve.exponent)["color"]}
                    look |= _WIDE if source == "algorithm_2" else _THIN
                    panel.plot(curve.iterations, medians[-1], **look)
        title = "no noise" if noise == 0 else f"noise level {noise:g}"
        panel.set_title(f"({letter}) {title}", loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("iteration t")
    for panel in axes[:, 0]:
        panel.set_ylabel(norm_label(own[0]))
    style.norm_axis(axes.flat, medians)
    colours = [style.handle(f"p = {p}", color=style.of_exponent(p)["color"]) for p in sorted({*map(exponent, own)})]
    sources = [
        style.handle("Algorithm 2 (variance)", color=style.GREY, **_WIDE),
        style.handle("released (standard deviation)", color=style.BLACK, **_THIN),
    ]
    style.legend_above(figure, [*colours, *sources], 3)
    return Drawn(figure, {"fig1_released_comparison": pd.concat(tables, ignore_index=True)})


_WIDE = {"linewidth": 4.0, "alpha": 0.4, "linestyle": "-"}
_THIN = {"linewidth": 1.1, "linestyle": (0, (4, 1.5))}
