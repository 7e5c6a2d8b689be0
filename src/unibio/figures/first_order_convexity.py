"""First-order methods under uniform convexity: calls to the minimum of Example 3, and φ of ℓ_p-regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import NullFormatter

from unibio.analysis import first_order_convexity as convexity
from unibio.analysis.first_order_convexity import NAMES, SECOND_ORDER, SMALL
from unibio.analysis.study import Study
from unibio.figures import style
from unibio.figures.drawing import Drawing, Drawn


def drawings() -> list[Drawing]:
    """The figures of both experiments."""
    return [
        Drawing(
            "first_order_example3",
            "First-order methods on Example 3: oracle calls until φ stays near its minimum, at the best of all steps "
            f"and at the best small one: at most {SMALL:g} along ∇φ and without a jump over the vanishing Hessian. "
            "Grey: methods with second derivatives.",
            (convexity.EXAMPLE3,),
            draw,
        ),
        Drawing(
            "first_order_lp",
            "First-order methods on ℓ_p-regression hyper-cleaning: the lowest φ at the end of one budget of oracle "
            "calls, above the lowest of all at that p; median and range over the seeds.",
            (convexity.REGRESSION,),
            draw_regression,
        ),
    ]


def draw(study: Study) -> Drawn:
    """Left: all steps; right: small ones. A method that never settles stands at the top."""
    table = convexity.example3(study)
    figure, axes = style.panels(1, 2, 3.6, sharey=True)
    finite = table[["calls", "calls_small"]].to_numpy(dtype=float)
    finite = finite[np.isfinite(finite)]
    never = 3 * finite.max(initial=10.0)
    names = [name for name in NAMES if name in set(table["method"])]
    for panel, column, title in zip(axes[0], ("calls", "calls_small"), ("any step", "small steps"), strict=True):
        for i, name in enumerate(names):
            own = table[table["method"] == name]
            shift = 0.12 * (i - (len(names) - 1) / 2)
            shown = np.where(np.isfinite(own[column]), own[column], never)
            panel.plot(own["p"] + shift, shown, **_look(name))
        panel.axhline(never / 1.7, color=style.BLACK, linewidth=0.8, linestyle=":")
        panel.set(yscale="log", xlabel="p")
        panel.set_xticks(sorted(table["p"].unique()))
        panel.set_title(title, loc="left")
        panel.yaxis.set_minor_formatter(NullFormatter())
    axes[0, 0].set_ylabel("oracle calls (above the line: never)")
    style.legend_above(figure, [style.handle(NAMES[name], **_look(name)) for name in names], 3)
    return Drawn(figure, {"first_order_example3": table.assign(method=table["method"].map(NAMES))})


def draw_regression(study: Study) -> Drawn:
    """A row per method, colours and markers by p."""
    table = convexity.regression(study)
    lowest = table.groupby("p")["value_min"].min()
    names = [name for name in NAMES if name in set(table["method"])][::-1]
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
    panel.set_yticks(range(len(names)), labels=[NAMES[name] for name in names])
    panel.set_ylim(-0.6, len(names) - 0.4)
    handles = [style.handle(f"p = {p}", **style.of_exponent(p) | {"linestyle": ""}) for p in exponents]
    style.legend_above(figure, handles, len(exponents))
    return Drawn(figure, {"first_order_lp": pd.DataFrame(table).assign(method=table["method"].map(NAMES))})


def _look(name: str) -> dict[str, Any]:
    if name in SECOND_ORDER:
        marker = {"unibio": "*", "soba": "x", "stocbio": "+"}[name]
        return {"color": style.GREY, "linestyle": (0, (1, 1)), "marker": marker, "markersize": 6}
    index = [key for key in NAMES if key not in SECOND_ORDER and key != "f3sa"].index(name) if name != "f3sa" else 5
    look = style.of_index(index)
    return look | ({"color": style.BLACK, "marker": "X"} if index >= 6 else {})
