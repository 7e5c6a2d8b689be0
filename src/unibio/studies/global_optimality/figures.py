"""Global optimality: gaps to the known optimum from many starts, and the role of the penalty γ."""

from __future__ import annotations

from typing import Any

import numpy as np

from unibio.studies.common import methods, style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.global_optimality.measures import PROBLEMS, Descents, descents, penalty_exponents, summary

#: Gaps below this are rounding errors.
_FLOOR = 1e-12
#: Runs on their way to divergence leave the panel.
_TOP = 100.0


def draw(evidence: Evidence) -> Drawn:
    """A column per problem."""
    found = descents(evidence)
    names = [name for name in PROBLEMS if any(one.problem == name for one in found)]
    figure, axes = style.panels(2, len(names), 5.8, sharey=True)
    looks: dict[str, dict[str, Any]] = {}
    for column, name in enumerate(names):
        shown = _shown([one for one in found if one.problem == name])
        for one in shown:
            look = looks.setdefault(one.method, methods.look(one.algorithm, int(one.few)))
            for panel, values in ((axes[0, column], np.abs(one.upper)), (axes[1, column], np.abs(one.lower))):
                later = one.t > 0
                clipped = np.maximum(np.where(np.isfinite(values), values, np.nan), _FLOOR)[:, later]
                kept = clipped[:, np.isfinite(clipped).any(axis=0)]
                t = one.t[later][np.isfinite(clipped).any(axis=0)]
                low, middle, high = np.nanquantile(kept, [0.0, 0.5, 1.0], axis=0)
                panel.fill_between(t, low, high, color=look["color"], alpha=0.15, linewidth=0)
                panel.plot(t, middle, markevery=style.spread_markers(t, column, log=True) if len(t) else None, **look)
        axes[0, column].set_title(PROBLEMS[name], loc="left")
        axes[1, column].set_xlabel("iterations")
    for panel in axes.flat:
        panel.set(xscale="log", yscale="log")
        panel.set_ylim(_FLOOR / 10, _TOP)
        style.log_labels(panel.yaxis)
    axes[0, 0].set_ylabel("|f − f*|")
    axes[1, 0].set_ylabel("g − g*")
    style.legend_above(figure, [style.handle(method, **look) for method, look in looks.items()], 4)
    return Drawn(figure, {"global_optimality": summary(evidence)})


def _shown(found: list[Descents]) -> list[Descents]:
    """Of every method the largest penalty."""
    return list({one.method: one for one in found}.values())


def draw_penalty(evidence: Evidence) -> Drawn:
    """Both gaps of linear hyper-cleaning against γ."""
    table = penalty_exponents(evidence)
    figure, ((panel,),) = style.panels(1, 1, 3.2, width=4.6)
    panel.set(xscale="log", yscale="log", xlabel="γ", ylabel="gap at the end")
    for i, (name, label, slope) in enumerate((("upper", "|f − f*|", -1), ("lower", "g − g*", -2))):
        look = style.of_place(i, 2)
        if len(table):
            gamma, values = table["penalty"].to_numpy(), np.maximum(table[name].to_numpy(), _FLOOR)
            low, high = (np.maximum(table[f"{name}_{end}"].to_numpy(), _FLOOR) for end in ("min", "max"))
            panel.fill_between(gamma, low, high, color=look["color"], alpha=0.2, linewidth=0)
            panel.plot(gamma, values, label=f"{label}; dotted: slope −{-slope}", **look)
            reference = values[-1] * (gamma / gamma[-1]) ** slope
            panel.plot(gamma, reference, color=look["color"], linestyle=":", linewidth=1)
    style.log_labels(panel.yaxis)
    if len(table):
        panel.legend(loc="lower left")
    return Drawn(figure, {"global_optimality_penalty": table})


DRAWINGS = (
    Drawing(
        "global_optimality",
        "Distance of f to the global optimum (above) and g − g* (below) from random starts, at every method's best "
        "steps: median, least and largest over the starts that judge. Linear hyper-cleaning: γ = 1000 undercuts the "
        "optimum by O(1/γ). Double well: the worse minimum keeps some starts. What is below 10⁻¹² is drawn there.",
        draw,
        title="Who reaches the global optimum from random starts",
    ),
    Drawing(
        "global_optimality_penalty",
        "The role of γ on linear hyper-cleaning: |f − f*| and g − g* at the end against γ, range over the starts, "
        "and the slopes −1 and −2: γ = O(ε^(−1/2)) makes g − g* at most ε.",
        draw_penalty,
        title="What the penalty γ decides on linear hyper-cleaning",
    ),
)
