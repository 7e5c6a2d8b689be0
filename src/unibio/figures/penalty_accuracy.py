"""How accurate the penalty is: errors of values, gradients and solutions against λ, one curve a condition number."""

from __future__ import annotations

from matplotlib.ticker import NullFormatter

from unibio.analysis import penalty_accuracy as accuracy
from unibio.analysis.study import Study
from unibio.figures import style
from unibio.figures.drawing import Drawing, Drawn


def drawings() -> list[Drawing]:
    """The figure of the experiment."""
    return [
        Drawing(
            "penalty_accuracy",
            "How accurate the penalty is on quadratics: distances between φ and 𝓛*_λ against λ for several condition "
            "numbers κ, and the norm of the penalty's Hessian, which stays bounded; first data set. Dotted: slope −1.",
            (accuracy.EXPERIMENT,),
            draw,
        )
    ]


def draw(study: Study) -> Drawn:
    """Four panels: the three errors and the Hessian."""
    table = accuracy.table(study)
    shown = table[table["data_seed"] == table["data_seed"].min()]
    conditions = sorted(shown["condition"].unique())
    figure, axes = style.panels(2, 2, 5.4)
    titles = accuracy.ERRORS | {"hessian_norm": "‖∇²𝓛*_λ‖"}
    titles = {name: title.replace("𝓛", "L") for name, title in titles.items()}  # plain fonts have no script L
    for panel, (name, title) in zip(axes.flat, titles.items(), strict=True):
        for i, condition in enumerate(conditions):
            part = shown[shown["condition"] == condition]
            x = part["penalty"].to_numpy()
            look = style.of_index(i) | ({"color": style.BLACK} if i >= 6 else {})
            panel.plot(x, part[name], markevery=style.spread_markers(x, i, log=True), **look)
        if name != "hessian_norm":
            part = shown[shown["condition"] == conditions[-1]]
            x, last = part["penalty"].to_numpy(), float(part[name].iloc[-1])
            panel.plot(x, last * x[-1] / x, color=style.GREY, linestyle=":", linewidth=1)
        panel.set(xscale="log", yscale="log")
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.set_title(title, loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("λ")
    axes[0, 0].set_ylabel("distance")
    handles = [
        style.handle(f"κ = {c:g}", **style.of_index(i) | ({"color": style.BLACK} if i >= 6 else {}))
        for i, c in enumerate(conditions)
    ]
    style.legend_above(figure, handles, 4)
    tables = {"penalty_accuracy": table, "penalty_accuracy_in_penalty": accuracy.in_penalty(study)}
    return Drawn(figure, tables | {"penalty_accuracy_in_condition": accuracy.in_condition(study)})
