"""First-order methods under uniform convexity: calls to the minimum of Example 3, and φ of ℓ_p-regression."""

from __future__ import annotations

import numpy as np

from unibio.studies.common import methods, style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.first_order.measures import EXAMPLE3, ORDER, REGRESSION, SMALL, example3, regression


def draw(evidence: Evidence) -> Drawn:
    """Left: all steps; right: small ones. A method that never settles stands at the top."""
    table = example3(evidence)
    figure, axes = style.panels(1, 2, 3.6, sharey=True)
    finite = table[["calls", "calls_small"]].to_numpy(dtype=float)
    finite = finite[np.isfinite(finite)]
    never = 3 * finite.max(initial=10.0)
    names = [name for name in ORDER if name in set(table["method"])]
    for panel, column, title in zip(axes[0], ("calls", "calls_small"), ("any step", "small steps"), strict=True):
        for i, name in enumerate(names):
            own = table[table["method"] == name]
            shift = 0.12 * (i - (len(names) - 1) / 2)
            shown = np.where(np.isfinite(own[column]), own[column], never)
            panel.plot(own["p"] + shift, shown, **methods.look(name))
        panel.axhline(never / 1.7, color=style.BLACK, linewidth=0.8, linestyle=":")
        panel.set(yscale="log", xlabel="p")
        panel.set_xticks(sorted(table["p"].unique()))
        panel.set_title(title, loc="left")
        style.log_labels(panel.yaxis)
    axes[0, 0].set_ylabel("oracle calls (above the line: never)")
    style.legend_above(figure, [style.handle(methods.label(name), **methods.look(name)) for name in names], 3)
    return Drawn(figure, {"first_order_example3": methods.labelled(table)})


def draw_regression(evidence: Evidence) -> Drawn:
    """A row per method, colours and markers by p."""
    table = regression(evidence)
    lowest = table.groupby("p")["value_min"].min()
    names = [name for name in ORDER if name in set(table["method"])][::-1]
    exponents = sorted(table["p"].unique())
    figure, ((panel,),) = style.panels(1, 1, 0.33 * len(names) + 1.1, width=5.6)
    excess = table.assign(**{c: table[c] - table["p"].map(lowest) for c in ("value", "value_min", "value_max")})
    for k, p in enumerate(exponents):
        here = excess[(excess["p"] == p) & np.isfinite(excess["value"])]
        y = np.array([names.index(name) for name in here["method"]]) + 0.19 * ((len(exponents) - 1) / 2 - k)
        look = style.of_exponent(p) | {"linestyle": ""}
        panel.hlines(y, here["value_min"], here["value_max"], color=look["color"], linewidth=1.6)
        panel.plot(here["value"], y, **look)
    panel.set_xlabel("φ − lowest φ at that p")
    panel.set_ylabel("method")
    panel.set_yticks(range(len(names)), labels=[methods.label(name) for name in names])
    panel.set_ylim(-0.6, len(names) - 0.4)
    style.legend_above(figure, style.exponent_points(exponents), len(exponents))
    return Drawn(figure, {"first_order_lp": methods.labelled(table)})


DRAWINGS = (
    Drawing(
        "first_order_example3",
        "First-order methods on Example 3: oracle calls until φ stays near its minimum, at the best of all steps "
        f"and at the best small one: at most {SMALL:g} along ∇φ and without a jump over the vanishing Hessian. "
        "Beside them UniBiO, SOBA and StocBiO, which have second derivatives.",
        draw,
        (EXAMPLE3,),
        title="First-order methods on Example 3",
    ),
    Drawing(
        "first_order_lp",
        "First-order methods on ℓ_p-regression hyper-cleaning: the lowest φ at the end of one budget of oracle "
        "calls, above the lowest of all at that p; median and range over the judging seeds.",
        draw_regression,
        (REGRESSION,),
        title="First-order methods on ℓ_p-regression hyper-cleaning",
    ),
)
