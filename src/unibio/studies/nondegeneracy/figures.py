"""The figures of nondegeneracy."""

from __future__ import annotations

from collections.abc import Callable

from unibio.studies.common import methods, style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, column, method
from unibio.studies.nondegeneracy.measures import (
    CORNER,
    ERRORS,
    JUMP,
    KINK,
    METHODS,
    NETWORK,
    NETWORK_RUNS,
    PL,
    POINTS,
    RUNS,
    in_sigma,
    pl_constants,
    reached,
    worst,
)

#: What the curves of places are called.
_CURVES = {
    "cut": "nondegenerate (on the cut)",
    NETWORK: "network",
    CORNER: "LICQ fails",
    KINK: "strict complementarity fails",
    JUMP: "solutions tear",
}


def draw(evidence: Evidence) -> Drawn:
    """The largest errors of the penalty function around five places, against σ."""
    table = worst(evidence)
    strongest = table["modulus"].max()
    figure, axes = style.panels(1, 2, 3.6)
    looks = {place: style.of_place(i, len(_CURVES)) for i, place in enumerate(_CURVES)}
    for panel, (name, label) in zip(axes[0], ERRORS.items(), strict=True):
        for i, (place, look) in enumerate(looks.items()):
            part = table[(table["place"] == place) & ((table["modulus"] == strongest) | (place == NETWORK))]
            x = part["sigma"].to_numpy()
            panel.plot(x, part[name], markevery=style.spread_markers(x, i, log=True), **look)
        panel.set(xscale="log", yscale="log", xlabel="σ = 1/λ")
        panel.set_title(f"largest {label.replace('𝓛', 'L')}", loc="left")
        style.log_labels(panel.yaxis)
    axes[0, 0].set_ylabel("error")
    handles = [style.handle(label, **looks[place]) for place, label in _CURVES.items()]
    style.legend_above(figure, handles, 3)
    return Drawn(figure, {"nondegeneracy": table, "nondegeneracy_in_sigma": in_sigma(evidence)})


def draw_runs(experiment: str) -> Callable[[Evidence], Drawn]:
    """Of the records of an experiment the median ε of the iterates against oracle calls at the smallest σ, by place."""

    def drawn(evidence: Evidence) -> Drawn:
        table, records = reached(evidence, experiment, METHODS), evidence.require(experiment)
        places = [place for place in ("cut", KINK, CORNER, NETWORK) if place in set(table["place"])]
        figure, axes = style.panels(1, len(places), 3.0, width=style.WIDTH if len(places) > 1 else 4.8, sharey=True)
        for panel, place in zip(axes[0], places, strict=True):
            own = [one for one in records if one.config["problem"].get("place", NETWORK) == place]
            largest = max(float(one.config["problem"]["penalty"]) for one in own)
            for one in own:
                if float(one.config["problem"]["penalty"]) != largest:
                    continue
                history = one.history.assign(stationarity=column(one, "stationarity"))
                middle = history.groupby("iteration")[["oracle_calls", "stationarity"]].median()
                middle = middle[middle["oracle_calls"] > 0]
                x, i = middle["oracle_calls"].to_numpy(), METHODS.index(method(one))
                marks = style.spread_markers(x, i, log=True)
                panel.plot(x, middle["stationarity"], markevery=marks, **methods.look(method(one)))
            panel.axhline(1 / largest, color=style.GREY, linestyle=":", linewidth=1)
            panel.set(xscale="log", yscale="log", xlabel="oracle calls")
            panel.set_title("LICQ fails" if place == CORNER else place, loc="left")
        axes[0, 0].set_ylabel("ε of the iterate")
        style.log_labels(axes[0, 0].yaxis)
        handles = [style.handle(methods.label(name), **methods.look(name)) for name in METHODS]
        handles.append(style.handle("ε = σ", color=style.GREY, linestyle=":"))
        style.legend_above(figure, handles, 4 if len(places) > 1 else 2)
        return Drawn(figure, {experiment: methods.labelled(table)})

    return drawn


def draw_pl(evidence: Evidence) -> Drawn:
    """The PL constant of every run against the iteration, a look a width."""
    table = pl_constants(evidence)
    widths = sorted({int(width) for width in table["width"]})
    figure, ((panel,),) = style.panels(1, 1, 3.2, width=4.8)
    for one in evidence.require(PL):
        look = style.of_place(widths.index(int(one.config["problem"]["width"])), len(widths)) | {"marker": ""}
        for _, part in one.history.groupby("run"):
            panel.plot(part["iteration"] + 1, part["pl_constant"], **look | {"linewidth": 0.9})
    panel.set(xscale="log", yscale="log", xlabel="iteration + 1", ylabel="‖∇g‖² / 2(g − g*)")
    style.log_labels(panel.yaxis)
    fits = dict(zip(table["width"], table["fits"], strict=True))
    handles = [
        style.handle(
            f"m = {width}{'' if fits[width] else ', too few'}", **style.of_place(i, len(widths)) | {"marker": ""}
        )
        for i, width in enumerate(widths)
    ]
    style.legend_above(figure, handles, min(4, len(handles)))
    worst_of = table.groupby(["width", "fits"], as_index=False).agg(
        runs=("run", "size"), least=("least", lambda part: part.min(skipna=False)), fell=("fell", "max")
    )
    return Drawn(figure, {"shallow_network_pl": worst_of})


DRAWINGS = (
    Drawing(
        "nondegeneracy",
        "What the penalty function is off by, the largest over points near a place and not on it, against σ: around a "
        "nondegenerate place and with a network as lower level ∝ σ; where LICQ alone fails too; where strict "
        "complementarity fails the value still is and the gradient is not; where solutions tear, neither.",
        draw,
        (POINTS,),
        title="What the penalty function is off by where conditions fail",
    ),
    Drawing(
        "nondegeneracy_runs",
        "The least ε for which the iterate is ε-stationary as the slides define it, against oracle calls: the median "
        "over the starts, at the smallest σ, whose ε = σ is dotted. Around a nondegenerate minimiser, at a kink of φ, "
        "and where LICQ fails.",
        draw_runs(RUNS),
        (RUNS,),
        title="How stationary iterates become, around three kinds of places",
    ),
    Drawing(
        "shallow_network_runs",
        "The same with a small network as lower level.",
        draw_runs(NETWORK_RUNS),
        (NETWORK_RUNS,),
        title="How stationary iterates become with a small network below",
    ),
    Drawing(
        "shallow_network_pl",
        "The PL constant of a small network's training loss along gradient descent, every run a line, for several "
        "numbers m of hidden units: with units enough to fit the targets it stays, with too few it vanishes.",
        draw_pl,
        (PL,),
        title="When a small network keeps its PL constant along gradient descent",
    ),
)
