"""Hyper-cleaning of sentence pairs: how far UniBiO ends from every other method, seed by seed."""

from __future__ import annotations

from typing import Any

import pandas as pd

from unibio.studies.common import methods, style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.nli.efficiency import at_cost, common_budget
from unibio.studies.nli.groups import ACCURACY, AUC, FURTHER, MAIN, OWN, groups, learned
from unibio.studies.nli.pairing import paired

#: What is compared, and how panels name it.
_METRICS = {
    ACCURACY: "test accuracy",
    "equal calls": "test accuracy,\nequal calls",
    "train_accuracy": "train accuracy\n(true labels)",
    AUC: "cleaning AUC",
}
#: Panels reach at least as far, so that differences of nothing look like nothing.
_NARROWEST = 0.005


def differences(evidence: Evidence) -> pd.DataFrame:
    """One row a metric, UniBiO and other method: mean difference over the seeds with its interval.

    Columns: metric, unibio, other, difference, low, high, detectable, seeds, lost (see
    :class:`~unibio.studies.nli.pairing.Paired`). Both are keys of the table of methods. Of UniBiO the better of the
    released code's forms in validation, and the further ones that were run. "equal calls" is the test accuracy at the
    least number of oracle calls that any method took. The intervals of one UniBiO's differences in a metric hold
    together (Bonferroni).
    """
    found = learned(groups(evidence, MAIN))
    forms = [group for group in found if group.method in OWN]
    mine = [max(forms, key=lambda group: group.middle("valid_accuracy"))] if forms else []
    mine += [group for group in found if group.method in FURTHER]
    others = [group for group in found if group.method not in (*OWN, *FURTHER)]
    budget = common_budget(found, "oracle_calls")
    rows: list[dict[str, Any]] = []
    for metric in _METRICS:
        values = {
            g.method: at_cost(g, "oracle_calls", budget) if metric == "equal calls" else g.final(metric) for g in found
        }
        for one in mine:
            for other in others:
                gap = paired(values[one.method], values[other.method], len(others))
                row = {"metric": metric, "unibio": one.method, "other": other.method, "difference": gap.mean}
                row |= {"low": gap.low, "high": gap.high, "detectable": gap.detectable}
                rows.append(row | {"seeds": gap.seeds, "lost": gap.lost})
    columns = ["metric", "unibio", "other", "difference", "low", "high", "detectable", "seeds", "lost"]
    return pd.DataFrame(rows, columns=columns)


def draw_differences(evidence: Evidence) -> Drawn:
    """A panel a metric, a row a method, in it a bar for every UniBiO."""
    table = differences(evidence)
    others, mine = list(dict.fromkeys(table["other"]))[::-1], list(dict.fromkeys(table["unibio"]))
    figure, axes = style.panels(1, len(_METRICS), 0.34 * len(others) + 1.6, sharey=True)
    for panel, (metric, title) in zip(axes[0], _METRICS.items(), strict=True):
        for place, name in enumerate(mine):
            here = table[(table["metric"] == metric) & (table["unibio"] == name)].set_index("other").reindex(others)
            look = methods.look(name)
            y = [k + 0.2 * ((len(mine) - 1) / 2 - place) for k in range(len(others))]
            panel.hlines(y, here["low"], here["high"], color=look["color"], linewidth=1.2)
            panel.plot(here["difference"], y, color=look["color"], marker=look["marker"], linestyle="")
        panel.axvline(0, color=style.BLACK, linewidth=0.8, linestyle=":")
        low, high = panel.get_xlim()
        panel.set_xlim(min(low, -_NARROWEST), max(high, _NARROWEST))
        panel.set_xlabel(title)
        panel.locator_params(axis="x", nbins=3)
    axes[0, 0].set_yticks(range(len(others)), labels=[methods.label(name) for name in others])
    axes[0, 0].set_ylabel("UniBiO minus")
    handles = [
        style.handle(methods.label(name), color=methods.look(name)["color"], marker=methods.look(name)["marker"], ls="")
        for name in mine
    ]
    style.legend_above(figure, handles, 3)
    readable = table.assign(unibio=table["unibio"].map(methods.label), other=table["other"].map(methods.label))
    return Drawn(figure, {"nli_differences": readable})


DRAWING = Drawing(
    "nli_differences",
    "How far UniBiO ends above other methods, seed by seed: the mean difference and its interval, which holds for all "
    "methods of a panel together. Equal calls: at the least number of oracle calls that any method took. UniBiO is "
    "the better of the released code's forms in validation, UniBiO with two epochs of Epoch-SGD, and that without p.",
    draw_differences,
    (MAIN,),
    title="How far UniBiO ends above other methods, seed by seed",
)
