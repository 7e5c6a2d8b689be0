"""Hyper-cleaning of sentence pairs: accuracy against what it cost, cleaning against epochs, and the frozen twins."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from unibio.analysis import nli
from unibio.analysis.nli import ACCURACY, AUC, LABELS, OWN, Group
from unibio.analysis.study import Study
from unibio.figures import style
from unibio.figures.drawing import Drawing, Drawn

_AXES = {"epoch": "epoch", "oracle_calls": "oracle calls", "seconds": "seconds"}
_ROWS = {"train_accuracy": "train accuracy\n(true labels)", ACCURACY: "test accuracy"}
_BAND = "Median, and band from the least to the largest of the seeds."


def drawings() -> list[Drawing]:
    """The figures of the experiments; two of them are tables alone."""
    rates = "An epoch is n data points of lower-level gradients."
    return [
        Drawing(
            "fig4",
            f"Figure 4: hyper-cleaning of noisy sentence pairs, accuracy against epochs, oracle calls and seconds. "
            f"{_BAND} {rates}",
            (nli.MAIN,),
            partial(draw_accuracy, experiment=nli.MAIN, name="fig4"),
        ),
        Drawing(
            "fig4_noise",
            f"Figure 4 at other noise rates (Appendix E.2): test accuracy and cleaning AUC against epochs. {_BAND}",
            (nli.NOISE,),
            partial(draw_siblings, experiment=nli.NOISE, name="fig4_noise"),
        ),
        Drawing(
            "fig4_exponents",
            f"Figure 4 with other exponents of the regulariser: test accuracy and cleaning AUC against epochs. {_BAND}",
            (nli.EXPONENTS,),
            partial(draw_siblings, experiment=nli.EXPONENTS, name="fig4_exponents"),
        ),
        Drawing(
            "nli_cleaning",
            "How well the weights tell clean from flipped pairs (AUC; dotted: ½, no separation) and how far they have "
            f"moved (standard deviation of σ(λ)), against epochs. {_BAND}",
            (nli.MAIN,),
            draw_cleaning,
        ),
        Drawing(
            "nli_twins",
            "Final test accuracy with learned weights (filled) and of the frozen twin with the same lower-level steps "
            "(open), and the AUC of the weights with its interval. Lines: range over the seeds; dotted: AUC ½.",
            (nli.MAIN,),
            draw_twins,
        ),
        _table(
            "nli_controls", "Plain training on the noisy and on the clean labels (a table).", nli.CONTROLS, nli.controls
        ),
        _table(
            "nli_tuning",
            "Every pair of steps that was tried, by validation accuracy (a table).",
            nli.TUNING,
            nli.tuning,
        ),
        _table("nli_floor", "What the floor of D does on a network (a table).", nli.FLOOR, nli.floors),
    ]


def _table(name: str, caption: str, experiment: str, make: Any) -> Drawing:
    return Drawing(name, caption, (experiment,), lambda study: Drawn(None, {name: make(study)}))


def _look(group: Group) -> dict[str, Any]:
    """UniBiO black, solid and dashed; the others by their place."""
    if group.method in OWN:
        line: Any = "-" if group.method == OWN[0] else (0, (4, 1.5))
        return {"color": style.BLACK, "linestyle": line, "marker": "*" if line == "-" else "X", "linewidth": 1.8}
    others = [name for name in LABELS if name not in OWN]
    place = others.index(group.method) if group.method in others else len(others)
    looks = style.of_index(place)
    return {**looks, "linewidth": 1.2} if place < 6 else {**looks, "color": style.GREY, "linewidth": 1.2}


def _draw(panel: Any, found: list[Group], metric: str, against: str) -> list[pd.DataFrame]:
    """The curves of some groups on one panel, and their tables."""
    tables = []
    for order, group in reversed(list(enumerate(found))):
        if group.final(metric).isna().all():
            continue
        table, look = group.curve(metric, against), _look(group)
        x = table["x"].to_numpy(dtype=float)
        panel.fill_between(x, table["min"], table["max"], color=look["color"], alpha=0.07, linewidth=0)
        panel.plot(x, table["median"], markevery=style.spread_markers(x, order), **look)
        head = {"p": group.exponent, "noise_rate": group.rate, "method": group.label, "metric": metric}
        tables.append(table.assign(**head, against=against)[[*head, "against", *table.columns]])
    return tables[::-1]


def _legend(figure: Any, found: list[Group]) -> None:
    methods = {group.label: _look(group) for group in found}
    style.legend_above(figure, [style.handle(label, **look) for label, look in methods.items()], 4)


def draw_accuracy(study: Study, experiment: str, name: str) -> Drawn:
    """Train and test accuracy in rows, against epochs, calls and seconds in columns."""
    every = nli.groups(study, experiment)
    found = [group for group in every if group.weights == "learned"]
    figure, axes = style.panels(2, 3, 4.9, sharey="row", sharex="col")
    tables = []
    for row, (metric, title) in enumerate(_ROWS.items()):
        for column, against in enumerate(_AXES):
            tables += _draw(axes[row, column], found, metric, against)
        axes[row, 0].set_ylabel(title)
    for panel, label in zip(axes[-1], _AXES.values(), strict=True):
        panel.set_xlabel(label)
    _legend(figure, found)
    return Drawn(figure, {name: pd.concat(tables, ignore_index=True), f"{name}_summary": nli.summary(every)})


def draw_siblings(study: Study, experiment: str, name: str) -> Drawn:
    """Test accuracy and AUC in columns, a row for each noise rate and exponent."""
    every = nli.groups(study, experiment)
    found = [group for group in every if group.weights == "learned"]
    kinds = list(dict.fromkeys((group.exponent, group.rate) for group in found))
    figure, axes = style.panels(len(kinds), 2, 2.1 * len(kinds) + 0.9, sharex=True, sharey="col")
    tables = []
    for row, (p, rate) in enumerate(kinds):
        here = [group for group in found if (group.exponent, group.rate) == (p, rate)]
        for column, (metric, title) in enumerate(((ACCURACY, "test accuracy"), (AUC, "cleaning AUC"))):
            tables += _draw(axes[row, column], here, metric, "epoch")
            axes[row, column].set_ylabel(title)
            axes[row, column].set_title(f"p = {p}, noise rate {rate:g}", loc="left")
        axes[row, 1].axhline(0.5, color=style.BLACK, linewidth=0.8, linestyle=":")
    for panel in axes[-1]:
        panel.set_xlabel("epoch")
    _legend(figure, found)
    return Drawn(figure, {name: pd.concat(tables, ignore_index=True), f"{name}_summary": nli.summary(every)})


def draw_cleaning(study: Study) -> Drawn:
    """AUC and spread against epochs."""
    found = [group for group in nli.groups(study, nli.MAIN) if group.weights == "learned"]
    figure, axes = style.panels(1, 2, 3.1)
    tables = _draw(axes[0, 0], found, AUC, "epoch") + _draw(axes[0, 1], found, nli.SPREAD, "epoch")
    axes[0, 0].axhline(0.5, color=style.BLACK, linewidth=0.8, linestyle=":")
    axes[0, 0].set_ylabel("cleaning AUC")
    axes[0, 1].set_ylabel("standard deviation of σ(λ)")
    for panel in axes[0]:
        panel.set_xlabel("epoch")
    _legend(figure, found)
    return Drawn(figure, {"nli_cleaning": pd.concat(tables, ignore_index=True)})


def draw_twins(study: Study) -> Drawn:
    """A row per method: accuracy of the group and of its twin, and the AUC."""
    every = nli.groups(study, nli.MAIN)
    found = [group for group in every if group.weights == "learned"][::-1]
    figure, axes = style.panels(1, 2, 0.3 * len(found) + 1.0, sharey=True)
    accuracy, auc = axes[0]
    for y, group in enumerate(found):
        frozen, colour = nli.twin(group, every), _look(group)["color"]
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
    return Drawn(figure, {"nli_twins": nli.summary(every)})
