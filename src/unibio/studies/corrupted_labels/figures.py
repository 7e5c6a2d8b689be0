"""The figures of the study of corrupted labels."""

from __future__ import annotations

from functools import partial

import pandas as pd

from unibio.studies.common import methods, style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.corrupted_labels.measures import ORDER, best, curve, summary

_TITLES = {"oracle_calls": "oracle calls", "seconds": "seconds"}


def draw(evidence: Evidence, name: str, x: str) -> Drawn:
    """A column per corruption rate and batch size."""
    found = best(evidence)
    settings = list(dict.fromkeys(one.setting for one in found))
    figure, axes = style.panels(2, len(settings), 4.6, sharex=True, sharey="row")
    tables = []
    for one in found:
        column = settings.index(one.setting)
        for row, metric in enumerate(("upper_loss", "test_accuracy")):
            table = curve(one, metric)
            table = table[table[x] > 0]
            at = table[x].to_numpy(dtype=float)
            every = style.spread_markers(at, ORDER.index(one.method), log=True) if len(at) else None
            axes[row, column].plot(at, table[metric], markevery=every, **methods.look(one.method))
            head = {"setting": one.setting, "method": methods.label(one.method), "metric": metric}
            tables.append(table.rename(columns={metric: "median"}).assign(**head))
    for column, setting in enumerate(settings):
        axes[0, column].set_title(setting.replace(", ", ",\n"), loc="left")
        axes[1, column].set_xlabel(_TITLES[x])
        axes[0, column].set(xscale="log", yscale="log")
    for panel in axes.flat:
        style.log_labels(panel.xaxis, panel.yaxis)
    axes[0, 0].set_ylabel("outer loss")
    axes[1, 0].set_ylabel("test accuracy")
    shown = [method for method in ORDER if any(one.method == method for one in found)]
    style.legend_above(figure, [style.handle(methods.label(method), **methods.look(method)) for method in shown], 4)
    curves = pd.concat(tables, ignore_index=True)
    return Drawn(figure, {name: curves} | ({"corrupted_labels_ends": summary(evidence)} if x != "seconds" else {}))


def _drawing(name: str, x: str) -> Drawing:
    caption = (
        "Multiclass logistic regression: outer loss on clean validation images (above) and "
        f"accuracy on clean test images (below) against {_TITLES[x]}, every method at the best of its "
        "configurations; medians over the judging seeds."
    )
    title = f"What every method makes of corrupted labels, against {_TITLES[x]}"
    return Drawing(name, caption, partial(draw, name=name, x=x), title=title, variant=x == "seconds")


DRAWINGS = (_drawing("corrupted_labels", "oracle_calls"), _drawing("corrupted_labels_seconds", "seconds"))
