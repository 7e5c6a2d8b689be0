"""Hyper-cleaning of sentence pairs: accuracy against what it cost, cleaning against epochs, and the frozen twins."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from unibio.analysis import nli
from unibio.analysis import nli_studies as studies
from unibio.analysis.nli import ACCURACY, AUC, LABELS, OWN, Group
from unibio.analysis.study import Study
from unibio.figures import style
from unibio.figures.drawing import Drawing, Drawn

_AXES = {"epoch": "epoch", "oracle_calls": "oracle calls", "seconds": "seconds"}
_ROWS = {"train_accuracy": "train accuracy\n(true labels)", ACCURACY: "test accuracy"}
_BAND = "Median, and band from the least to the largest of the seeds."
_BARS = "Median, and at the markers bars from the least to the largest of the seeds."


def drawings() -> list[Drawing]:
    """The figures of the experiments; some of them are tables alone."""
    epochs = "An epoch is n data points of lower-level gradients."
    noise = (
        "Figure 4 at other noise rates: 0.2, the released code's default, as we do not have Appendix E.2's own, and "
        "0.4, of our choice"
    )
    exponents = "Figure 4 with other exponents p of the regulariser"
    constant = (
        "UniBiO's floor lies above nearly every weight and makes D = 1 at every p here, so that its estimator is the "
        "classical Neumann sum, not the generalised one of Theorem 4.1, and p changes the regulariser alone."
    )
    return [
        Drawing(
            "fig4",
            f"Figure 4: hyper-cleaning of noisy sentence pairs at the main text's noise rate, accuracy against epochs, "
            f"oracle calls and seconds. {_BARS} {epochs}",
            (nli.MAIN,),
            partial(draw_accuracy, experiment=nli.MAIN, name="fig4"),
        ),
        Drawing(
            "fig4_seeds",
            f"Figure 4's test accuracy, a panel for each method: with learned weights (coloured) and with weights that "
            f"stay frozen (dashed grey), over the other methods' medians (thin lines). {_BAND}",
            (nli.MAIN,),
            draw_seeds,
        ),
        *_siblings("fig4_noise", nli.NOISE, noise, ""),
        *_siblings("fig4_exponents", nli.EXPONENTS, exponents, f" {constant}"),
        Drawing(
            "nli_cleaning",
            "How well the weights tell clean from flipped pairs (AUC; dotted: ½, no separation) and how far they have "
            f"moved (standard deviation of σ(λ)), against epochs. {_BARS}",
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
        Drawing(
            "nli_floor",
            "What the floor of D does to UniBiO on a network: final validation accuracy and AUC (dotted: ½) with the "
            "range over the seeds, and λ_max(D⁻¹∇²_yy g) at the start times the Neumann step c, which is stable below "
            "2 (dotted). At the largest floor D is 1; the smaller the floor, the more D acts.",
            (nli.FLOOR,),
            draw_floor,
        ),
        _table(
            "nli_controls",
            "Plain training on the noisy and on the clean labels (a table).",
            studies.controls,
            nli.CONTROLS,
        ),
        _table(
            "nli_tuning",
            "Every pair of steps that was tried: least and median validation accuracy over the tuning seeds, and which "
            "pair was chosen (a table).",
            studies.tuning,
            nli.TUNING,
            nli.TUNING_SABA,
        ),
        _table(
            "nli_released",
            "The released code's noise, redrawn at every access and on validation pairs, too, beside the same rate "
            "drawn once (a table). No pair stays flipped, so that there is no AUC.",
            studies.released,
            nli.RELEASED,
            nli.NOISE,
        ),
    ]


def _siblings(name: str, experiment: str, what: str, remark: str) -> list[Drawing]:
    return [
        Drawing(
            name,
            f"{what}: train and test accuracy and cleaning AUC against epochs. {_BARS}{remark}",
            (experiment,),
            partial(draw_siblings, experiment=experiment, name=name),
        ),
        Drawing(
            f"{name}_costs",
            f"{what}: test accuracy against oracle calls and seconds. {_BARS}{remark}",
            (experiment,),
            partial(draw_costs, experiment=experiment, name=f"{name}_costs"),
        ),
    ]


def _table(name: str, caption: str, make: Any, *experiments: str) -> Drawing:
    return Drawing(name, caption, experiments, lambda study: Drawn(None, {name: make(study)}))


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
    """The curves of some groups on one panel, and their tables.

    The seeds' range is a bar at every marker: nine bands on top of each other could not be told apart.
    """
    curves = {group.label: group.curve(metric, against) for group in found if not group.final(metric).isna().all()}
    longest = max((float(curve["x"].iloc[-1]) for curve in curves.values()), default=0.0)
    tables = []
    for order, group in reversed(list(enumerate(found))):
        if group.label not in curves:
            continue
        table, look = curves[group.label], _look(group)
        x = table["x"].to_numpy(dtype=float)
        marked = style.spread_markers(x, order)
        panel.plot(x, table["median"], markevery=marked, **look)
        at = x[marked] + (order - (len(found) - 1) / 2) * 0.004 * longest  # beside each other
        low, high = (table[end].to_numpy(dtype=float)[marked] for end in ("min", "max"))
        panel.vlines(at, low, high, color=look["color"], linewidth=1.0)
        head = {"p": group.exponent, "noise_rate": group.rate, "method": group.label, "metric": metric}
        tables.append(table.assign(**head, against=against)[[*head, "against", *table.columns]])
    return tables[::-1]


def _band(panel: Any, table: pd.DataFrame, colour: str, alpha: float) -> None:
    """From the least to the largest seed; its edges show where it lies below another."""
    x = table["x"].to_numpy(dtype=float)
    panel.fill_between(x, table["min"], table["max"], color=colour, alpha=alpha, linewidth=0)
    for end in ("min", "max"):
        panel.plot(x, table[end], color=colour, linewidth=0.5, alpha=0.6)


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


def draw_seeds(study: Study) -> Drawn:
    """Test accuracy against epochs, a panel a method."""
    every = nli.groups(study, nli.MAIN)
    found = [group for group in every if group.weights == "learned"]
    rows = -(-len(found) // 3)
    figure, axes = style.panels(rows, 3, 1.7 * rows + 0.6, sharex=True, sharey=True)
    curves = {group.label: group.curve(ACCURACY, "epoch") for group in found}
    tables = []
    for panel, group in zip(axes.flat, found, strict=False):
        for label, curve in curves.items():
            if label != group.label:
                panel.plot(curve["x"], curve["median"], color="#c8c8c8", linewidth=0.6)
        frozen, look = nli.twin(group, every), _look(group)
        if frozen is not None:
            curve = frozen.curve(ACCURACY, "epoch")
            _band(panel, curve, style.GREY, 0.2)
            panel.plot(curve["x"], curve["median"], color=style.GREY, linestyle="--", linewidth=1.2)
            tables.append(curve.assign(method=group.label, weights="frozen"))
        _band(panel, curves[group.label], look["color"], 0.25)
        panel.plot(curves[group.label]["x"], curves[group.label]["median"], color=look["color"])
        tables.append(curves[group.label].assign(method=group.label, weights="learned"))
        panel.set_title(group.label, loc="left")
    for panel in axes.flat[len(found) :]:
        panel.set_visible(False)
    for column, panel in enumerate(axes[-1]):
        (panel if panel.get_visible() else axes[-2, column]).set_xlabel("epoch")
    for panel in axes[:, 0]:
        panel.set_ylabel("test accuracy")
    table = pd.concat(tables, ignore_index=True)
    return Drawn(figure, {"fig4_seeds": table[["method", "weights", "x", "median", "min", "max"]]})


def draw_siblings(study: Study, experiment: str, name: str) -> Drawn:
    """Train accuracy, test accuracy and AUC in columns, a row for each noise rate and exponent."""
    found, kinds = _kinds(study, experiment)
    figure, axes = style.panels(len(kinds), 3, 2.1 * len(kinds) + 0.9, sharex=True, sharey="col")
    tables = []
    for row, (kind, here) in enumerate(kinds.items()):
        for column, (metric, title) in enumerate({**_ROWS, AUC: "cleaning AUC"}.items()):
            tables += _draw(axes[row, column], here, metric, "epoch")
            axes[row, column].set_ylabel(title.replace("\n", " "))
        axes[row, 0].set_title(kind, loc="left")
        axes[row, 2].axhline(0.5, color=style.BLACK, linewidth=0.8, linestyle=":")
    for panel in axes[-1]:
        panel.set_xlabel("epoch")
    _legend(figure, found)
    summary = nli.summary(nli.groups(study, experiment))
    return Drawn(figure, {name: pd.concat(tables, ignore_index=True), f"{name}_summary": summary})


def draw_costs(study: Study, experiment: str, name: str) -> Drawn:
    """Test accuracy against oracle calls and seconds in columns, a row for each noise rate and exponent."""
    found, kinds = _kinds(study, experiment)
    figure, axes = style.panels(len(kinds), 2, 2.1 * len(kinds) + 0.9, sharex="col", sharey=True)
    tables = []
    for row, (kind, here) in enumerate(kinds.items()):
        for column, against in enumerate(("oracle_calls", "seconds")):
            tables += _draw(axes[row, column], here, ACCURACY, against)
        axes[row, 0].set_title(kind, loc="left")
        axes[row, 0].set_ylabel("test accuracy")
    for panel, against in zip(axes[-1], ("oracle_calls", "seconds"), strict=True):
        panel.set_xlabel(_AXES[against])
    _legend(figure, found)
    return Drawn(figure, {name: pd.concat(tables, ignore_index=True)})


def _kinds(study: Study, experiment: str) -> tuple[list[Group], dict[str, list[Group]]]:
    """The groups with learned weights, and the same by exponent and noise rate, in words."""
    found = [group for group in nli.groups(study, experiment) if group.weights == "learned"]
    kinds: dict[str, list[Group]] = {}
    for group in found:
        kinds.setdefault(f"p = {group.exponent}, noise rate {group.rate:g}", []).append(group)
    return found, kinds


def draw_floor(study: Study) -> Drawn:
    """Validation accuracy, AUC and λ_max·c against the floor, for both forms of UniBiO."""
    table = studies.floors(study)
    figure, axes = style.panels(1, 3, 2.6)
    for order, (method, here) in enumerate(table.groupby("method")):
        look = style.of_index(order)
        at = here["floor"].to_numpy(dtype=float) * (1.05 if order else 1 / 1.05)  # beside each other
        for panel, name in zip(axes[0], (studies.VALID, AUC), strict=False):
            panel.vlines(at, here[f"{name}_min"], here[f"{name}_max"], color=look["color"], linewidth=1.4)
            panel.plot(at, here[name], **look)
        axes[0, 2].plot(at, here["lambda_max_c"], label=method, **look)
    for panel, title in zip(axes[0], ("validation accuracy", "cleaning AUC", "λ_max · c"), strict=True):
        panel.set_xscale("log")
        panel.set_xlabel("floor of D")
        panel.set_ylabel(title)
    axes[0, 1].axhline(0.5, color=style.BLACK, linewidth=0.8, linestyle=":")
    axes[0, 2].axhline(2, color=style.BLACK, linewidth=0.8, linestyle=":")
    axes[0, 2].set_ylim(bottom=0)
    handles = [style.handle(str(name), **style.of_index(i)) for i, name in enumerate(sorted(set(table["method"])))]
    style.legend_above(figure, handles, 2)
    return Drawn(figure, {"nli_floor": table})


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
