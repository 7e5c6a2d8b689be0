"""Hyper-cleaning of sentence pairs: figures and tables of where runs ended, beside the frozen twins and around them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from unibio.studies.common import methods, style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.nli.around import VALID, controls, floors, released, tuning
from unibio.studies.nli.groups import (
    AUC,
    CONTROLS,
    FLOOR,
    MAIN,
    NOISE,
    OWN,
    RELEASED,
    SEARCH,
    groups,
    learned,
    summary,
    twin,
)


def draw_twins(evidence: Evidence) -> Drawn:
    """A row per method: accuracy of the group and of its twin, and the AUC."""
    every = groups(evidence, MAIN)
    found = learned(every)[::-1]
    figure, axes = style.panels(1, 2, 0.3 * len(found) + 1.2, sharey=True)
    accuracy, auc = axes[0]
    for y, group in enumerate(found):
        frozen, colour = twin(group, every), methods.look(group.method)["color"]
        for other, shift, face in ((group, 0.13, colour), (frozen, -0.13, "white")):
            if other is not None and not other.final().isna().all():
                values = other.final()
                accuracy.hlines(y + shift, values.min(), values.max(), color=colour, linewidth=1.4)
                accuracy.plot(values.median(), y + shift, "o", color=colour, markerfacecolor=face)
        low, high = group.auc_interval()
        auc.hlines(y, low, high, color=colour, linewidth=1.4)
        auc.plot(group.final(AUC).mean(), y, "o", color=colour)
    auc.axvline(0.5, color=style.BLACK, linewidth=0.8, linestyle=":")
    accuracy.set_ylabel("method")
    accuracy.set_yticks(range(len(found)), labels=[group.label for group in found])
    accuracy.set_xlabel("test accuracy")
    auc.set_xlabel("cleaning AUC")
    kinds = (("learned weights", style.GREY), ("frozen weights", "white"))
    handles = [style.handle(n, color=style.GREY, markerfacecolor=c, marker="o", linestyle="") for n, c in kinds]
    style.legend_above(figure, handles, 2)
    return Drawn(figure, {"nli_twins": summary(every)})


def draw_floor(evidence: Evidence) -> Drawn:
    """Validation accuracy, AUC and λ_max·c against the floor, for both forms of UniBiO."""
    table = floors(evidence)
    figure, axes = style.panels(1, 3, 2.6)
    for order, name in enumerate(OWN):
        here, look = table[table["method"] == methods.label(name)], methods.look(name)
        at = here["floor"].to_numpy(dtype=float) * (1.05 if order else 1 / 1.05)  # beside each other
        for panel, metric in zip(axes[0], (VALID, AUC), strict=False):
            panel.vlines(at, here[f"{metric}_min"], here[f"{metric}_max"], color=look["color"], linewidth=1.4)
            panel.plot(at, here[metric], **look)
        axes[0, 2].plot(at, here["lambda_max_c"], **look)
    for panel, title in zip(axes[0], ("validation accuracy", "cleaning AUC", "λ_max · c"), strict=True):
        panel.set_xscale("log")
        panel.set_xlabel("floor of D")
        panel.set_ylabel(title)
    axes[0, 1].axhline(0.5, color=style.BLACK, linewidth=0.8, linestyle=":")
    axes[0, 2].axhline(2, color=style.BLACK, linewidth=0.8, linestyle=":")
    axes[0, 2].set_ylim(bottom=0)
    handles = [style.handle(methods.label(name), **methods.look(name)) for name in OWN]
    style.legend_above(figure, handles, 2)
    return Drawn(figure, {"nli_floor": table})


def _table(name: str, title: str, caption: str, make: Callable[[Evidence], pd.DataFrame], *experiments: str) -> Drawing:
    return Drawing(name, caption, lambda evidence: Drawn(None, {name: make(evidence)}), experiments, title)


DRAWINGS = (
    Drawing(
        "nli_twins",
        "Final test accuracy with learned weights (filled) and of the frozen twin with the same lower-level steps "
        "(open), and the AUC of the weights with its interval. Lines: range over the seeds; dotted: AUC ½.",
        draw_twins,
        (MAIN,),
        title="What learned weights add to the same lower-level steps",
    ),
    Drawing(
        "nli_floor",
        "What the floor of D does to UniBiO on a network: final validation accuracy and AUC (dotted: ½) with the "
        "range over the seeds, and λ_max(D⁻¹∇²_yy g) at the start times the Neumann step c, which is stable below "
        "2 (dotted). At the largest floor D is 1; the smaller the floor, the more D acts.",
        draw_floor,
        (FLOOR,),
        title="What the floor of D does to UniBiO on a network",
    ),
    _table(
        "nli_controls",
        "What plain training reaches on noisy and on clean labels",
        "Plain training on the noisy and on the clean labels (a table).",
        controls,
        CONTROLS,
    ),
    _table(
        "nli_tuning",
        "Which pairs of steps were tried on the network",
        "Every pair of steps that was tried: least and median validation accuracy over the tuning seeds, and which "
        "pair was chosen (a table).",
        tuning,
        *SEARCH,
    ),
    _table(
        "nli_released",
        "What the released code's noise changes",
        "The released code's noise, redrawn at every access and on validation pairs, too, beside the same rate "
        "drawn once (a table). No pair stays flipped, so that there is no AUC.",
        released,
        RELEASED,
        NOISE,
    ),
)
