"""Corrupted labels: outer loss and clean test accuracy against oracle calls and against time."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.ticker import NullFormatter

from unibio.analysis import corrupted_labels as labels
from unibio.analysis.corrupted_labels import NAMES, SECOND_ORDER, WITHOUT
from unibio.analysis.study import Study
from unibio.figures import style
from unibio.figures.drawing import Drawing, Drawn

_TITLES = {"oracle_calls": "oracle calls", "seconds": "seconds"}


def drawings() -> list[Drawing]:
    """The figures of the experiment."""
    what = "Multiclass logistic regression with corrupted labels: outer loss on clean validation images (above) and "
    what += "accuracy on clean test images (below) against "
    rest = ", every method at its best step; medians over the seeds."
    return [
        Drawing(name, f"{what}{_TITLES[x]}{rest}", (labels.EXPERIMENT,), partial(draw, name=name, x=x))
        for name, x in (("corrupted_labels", "oracle_calls"), ("corrupted_labels_seconds", "seconds"))
    ]


def draw(study: Study, name: str, x: str) -> Drawn:
    """A column per corruption rate and batch size."""
    found = labels.best(study)
    settings = list(dict.fromkeys(one.setting for one in found))
    figure, axes = style.panels(2, len(settings), 4.6, sharex=True, sharey="row")
    tables = []
    for one in found:
        column = settings.index(one.setting)
        for row, metric in enumerate(("upper_loss", "test_accuracy")):
            table = labels.curve(one, metric)
            table = table[table[x] > 0]
            axes[row, column].plot(table[x], table[metric], **_look(one.method))
            head = {"setting": one.setting, "method": NAMES[one.method], "metric": metric}
            tables.append(table.rename(columns={metric: "median"}).assign(**head))
    for column, setting in enumerate(settings):
        axes[0, column].set_title(setting.replace(", ", ",\n"), loc="left")
        axes[1, column].set_xlabel(_TITLES[x])
        axes[0, column].set(xscale="log", yscale="log")
    for panel in axes.flat:
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_minor_formatter(NullFormatter())
    axes[0, 0].set_ylabel("outer loss")
    axes[1, 0].set_ylabel("test accuracy")
    shown = [method for method in NAMES if any(one.method == method for one in found)]
    style.legend_above(figure, [style.handle(NAMES[method], **_look(method)) for method in shown], 4)
    curves = pd.concat(tables, ignore_index=True)
    return Drawn(figure, {name: curves} | ({"corrupted_labels_ends": labels.summary(study)} if x != "seconds" else {}))


def _look(method: str) -> dict[str, Any]:
    if method == WITHOUT:
        return {"color": style.BLACK, "linestyle": ":", "marker": ""}
    own = [key for key in NAMES if key != WITHOUT]
    look = style.of_index(own.index(method)) | {"marker": "", "linewidth": 1.3}
    return (
        look
        | ({"linestyle": (0, (2, 1))} if method in SECOND_ORDER else {"linestyle": "-"})
        | ({"color": style.GREY} if own.index(method) >= 6 else {})
    )
