"""The lower-bound construction: why the penalty pays for noise."""

from __future__ import annotations

import math

from unibio.analysis import lower_bound
from unibio.analysis.study import Study
from unibio.figures import style
from unibio.figures.drawing import Drawing, Drawn


def drawings() -> list[Drawing]:
    """The figure of the experiment."""
    return [
        Drawing(
            "lower_bound",
            "The lower-bound construction with noise: the level where ‖∇φ‖ settles at one fixed step against λ; mean "
            "and quartiles over the seeds. Fresh samples: ∝ λ, so that accuracy ε at λ = 1/ε needs a step ∝ ε⁴ and ε⁻⁶ "
            "iterations. One sample for both g_x, or second derivatives: independent of λ, ε⁻⁴.",
            (lower_bound.EXPERIMENT,),
            draw,
        )
    ]


def draw(study: Study) -> Drawn:
    """Levels against λ; a method without one is a line across."""
    table = lower_bound.levels(study)
    figure, ((panel,),) = style.panels(1, 1, 3.3, width=4.8)
    panel.set(xscale="log", yscale="log", xlabel="λ", ylabel="level of ‖∇φ‖")
    for i, (kind, part) in enumerate(table.groupby("kind", sort=False)):
        look, label = style.of_index(i), lower_bound.NAMES[str(kind)]
        if math.isnan(float(part["penalty"].iloc[0])):
            panel.axhline(float(part["level"].iloc[0]), label=label, **look | {"marker": ""})
            continue
        panel.fill_between(part["penalty"], part["low"], part["high"], color=look["color"], alpha=0.2, linewidth=0)
        panel.plot(part["penalty"], part["level"], label=label, **look)
        if kind == "fresh":
            last = part.iloc[-1]
            line = last["level"] * part["penalty"] / last["penalty"]
            panel.plot(part["penalty"], line, color=style.GREY, linestyle=":", linewidth=1, label="slope 1")
    ticks = sorted(table["penalty"].dropna().unique())
    panel.set_xticks(ticks, labels=[f"{v:g}" for v in ticks])
    panel.minorticks_off()
    style.legend_above(figure, panel.get_legend_handles_labels()[0], 2)
    return Drawn(figure, {"lower_bound": table})
