"""Appendix E.1: curves at tuned steps, the ranking as a function of the cap, sensitivity, and the crossing of x = 0."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unibio.analysis import crossing, e1
from unibio.analysis.lp_regression import NAMES
from unibio.analysis.study import Study
from unibio.figures import discrepancies, style
from unibio.figures.drawing import Drawing, Drawn

_OTHERS: dict[str, Any] = {"color": "#aaaaaa", "linestyle": "-", "linewidth": 0.9, "zorder": 1}


def _look(name: str) -> dict[str, Any]:
    """The paper's four methods in colour, all others thin and grey."""
    if name not in e1.PAPER_METHODS:
        return _OTHERS
    return {**style.of_index(e1.PAPER_METHODS.index(name)), "zorder": 3}


def _legend(figure: Any) -> None:
    handles = [style.handle(NAMES[name], **_look(name)) for name in e1.PAPER_METHODS]
    style.legend_above(figure, [*handles, style.handle("the others", **_OTHERS)], 5)


def _order(name: str) -> int:
    return e1.place(name)[0]


def draw_curves(study: Study, experiment: str = "e1") -> Drawn:
    """|∇φ| at each method's best pair of steps, against iterations (above) and oracle calls (below), a column per p and
    two rows per d."""
    found = e1.searches(study, experiment)
    exponents = sorted({one.exponent for one in found})
    dimensions = sorted({one.dimension for one in found})
    figure, axes = style.panels(2 * len(dimensions), len(exponents), 4.6 * len(dimensions), sharey=True)
    tables = []
    for one in reversed(found):
        at = one.best()
        if at is None:
            continue
        curve = e1.tuned_curve(one, at)
        head = {"d": one.dimension, "p": one.exponent, "method": one.method}
        head |= {"upper_step": one.upper[at[0]], "lower_step": one.lower[at[1]]}
        tables.append(curve.assign(**head)[[*head, "iteration", "oracle_calls", "median"]])
        column = exponents.index(one.exponent)
        later = curve[curve["iteration"] > 0]
        for row, cost in enumerate(("iteration", "oracle_calls"), 2 * dimensions.index(one.dimension)):
            x, look = later[cost].to_numpy(dtype=float), _look(one.method)
            every = style.spread_markers(x, _order(one.method), log=True) if "marker" in look else None
            axes[row, column].plot(x, np.maximum(later["median"], _FLOOR), markevery=every, **look)
    for column, p in enumerate(exponents):
        for row, d in enumerate(dimensions):
            title = f"p = {p}" if len(dimensions) == 1 else f"d = {d}, p = {p}"
            axes[2 * row, column].set_title(title, loc="left")
            axes[2 * row, column].set_xlabel("iteration")
            axes[2 * row + 1, column].set_xlabel("oracle calls")
    for panel in axes.flat:
        panel.set(xscale="log", yscale="log", ylim=(_FLOOR, 2 * math.sqrt(dimensions[-1])))
    for panel in axes[:, 0]:
        panel.set_ylabel("|∇φ|")
    _legend(figure)
    table = pd.concat(tables[::-1], ignore_index=True)
    name = f"{experiment}_curves"
    return Drawn(figure, {name: table, f"{name}_tuned": e1.summary_of(study, experiment)})


#: Values below are drawn here: what is smaller has converged for every purpose.
_FLOOR = 1e-8


def draw_ranking(study: Study, experiment: str = "e1", name: str = "e1_ranking") -> Drawn:
    """The criterion of every method's best pair among upper steps up to a cap, against the cap; a row per d."""
    found = e1.searches(study, experiment)
    table = e1.ranking(found, e1.caps_of(found))
    problems = sorted({one.problem for one in found})
    rows, columns = sorted({d for d, _ in problems}), sorted({p for _, p in problems})
    figure, axes = style.panels(len(rows), len(columns), 2.0 * len(rows) + 0.7, sharex=True, sharey="row")
    for (d, p), here in table.groupby(["d", "p"]):
        panel = axes[rows.index(d), columns.index(p)]
        for one in sorted(here["method"].unique(), key=e1.place, reverse=True):
            mine = here[(here["method"] == one) & np.isfinite(here["criterion"])]
            cap, look = mine["cap"].to_numpy(dtype=float), _look(one)
            every = style.spread_markers(cap, _order(one), log=True) if "marker" in look and len(cap) else None
            panel.plot(cap, mine["criterion"], markevery=every, **look)
        panel.axvline(e1.SMALL_CAP, color=style.BLACK, linewidth=0.8, linestyle=":")
        panel.set(xscale="log", yscale="log")
        panel.set_title(f"p = {p}" if len(rows) == 1 else f"d = {d}, p = {p}", loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("largest η allowed")
    for panel in axes[:, 0]:
        panel.set_ylabel("mean of |∇φ|")
    _tidy(axes)
    _legend(figure)
    return Drawn(figure, {name: table, f"{name}_tuned": e1.summary_of(study, experiment)})


def _tidy(axes: Any) -> None:
    """Decades only on the logarithmic axes."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for panel in axes.flat:
        panel.xaxis.set_major_locator(LogLocator(numticks=4))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_minor_formatter(NullFormatter())


def draw_sensitivity(study: Study) -> Drawn:
    """The part of each method's pairs of steps that converges (filled), and that also solves the lower level (open)."""
    table = e1.summary_of(study, "e1")[["p", "method", "converging", "converging, y solved"]]
    names = sorted(table["method"].unique(), key=e1.place, reverse=True)
    figure, axes = style.panels(1, 2, 3.6, sharex=True, sharey=True)
    titles = ("|∇φ| small at the end", "|∇φ| and the lower error small")
    for panel, column, title in zip(axes[0], ("converging", "converging, y solved"), titles, strict=True):
        for k, (p, here) in enumerate(table.groupby("p")):
            y = [names.index(name) + 0.16 * (1.5 - k) for name in here["method"]]
            panel.plot(here[column], y, **{**style.of_exponent(float(str(p))), "linestyle": ""})
        panel.set_title(title, loc="left")
        panel.set_xlabel("part of the searched pairs")
        panel.set_yticks(range(len(names)), labels=[NAMES[name] for name in names])
    axes[0, 0].set_ylabel("method")
    axes[0, 0].set_xlim(-0.02, max(0.6, 1.05 * float(table["converging"].max())))
    handles = [style.handle(f"p = {p}", **{**style.of_exponent(p), "linestyle": ""}) for p in sorted(set(table["p"]))]
    style.legend_above(figure, handles, 4)
    return Drawn(figure, {"e1_sensitivity": table})


def draw_paths(study: Study) -> Drawn:
    """x against iterations at the best pair of steps: among small ones (above) and all (below), a column per p."""
    found = e1.searches(study, "e1")
    exponents = sorted({one.exponent for one in found})
    figure, axes = style.panels(2, len(exponents), 4.6, sharey=True)
    tables = []
    for row, cap in enumerate((e1.SMALL_CAP, math.inf)):
        for one in reversed(found):
            at = one.best(cap)
            if at is None:
                continue
            curve = e1.tuned_curve(one, at, "value")
            x, look = crossing.iterate(curve["median"].to_numpy()), _look(one.method)
            head = {"p": one.exponent, "method": one.method, "cap": cap, "upper_step": one.upper[at[0]]}
            tables.append(pd.DataFrame({**head, "iteration": curve["iteration"], "x": x}))
            t = curve["iteration"].to_numpy(dtype=float) + 1
            every = style.spread_markers(t, _order(one.method), log=True) if "marker" in look else None
            axes[row, exponents.index(one.exponent)].plot(t, x, markevery=every, **look)
    for panel in axes.flat:
        panel.axhspan(-crossing.BAND, crossing.BAND, color="#eeeeee", zorder=0)
        panel.set(xscale="log", ylim=(-1.75, 1.2))
    for column, p in enumerate(exponents):
        axes[0, column].set_title(f"p = {p}, η ≤ {e1.SMALL_CAP:g}", loc="left")
        axes[1, column].set_title(f"p = {p}, any η", loc="left")
        axes[1, column].set_xlabel("iteration + 1")
    for panel in axes[:, 0]:
        panel.set_ylabel("x")
    _legend(figure)
    kinds = pd.concat([crossing.table(found, cap) for cap in (e1.SMALL_CAP, math.inf)], ignore_index=True)
    return Drawn(figure, {"e1_paths": pd.concat(tables[::-1], ignore_index=True), "e1_paths_kinds": kinds})


_KINDS = dict(
    zip(
        crossing.KINDS,
        (style.BLUE, style.SKY, style.ORANGE, style.PURPLE, style.GREEN, "#dddddd", style.BLACK),
        strict=True,
    )
)


def draw_crossing(study: Study) -> Drawn:
    """What each method does at x = 0, as parts of its pairs of steps in ``crossing.WINDOW`` at which y follows."""
    table = crossing.shares_of(study)
    names = sorted(table["method"].unique(), key=e1.place, reverse=True)
    exponents = sorted(table["p"].unique())
    figure, axes = style.panels(1, len(exponents), 3.9, sharex=True, sharey=True)
    for panel, p in zip(axes[0], exponents, strict=True):
        here = table[table["p"] == p].set_index("method").reindex(names)
        left = np.zeros(len(names))
        for kind, colour in _KINDS.items():
            width = here[kind].to_numpy(dtype=float)
            panel.barh(range(len(names)), width, left=left, color=colour, height=0.75, edgecolor="white", linewidth=0.5)
            left += np.nan_to_num(width)
        panel.set_title(f"p = {p}", loc="left")
        panel.set_yticks(range(len(names)), labels=[NAMES[name] for name in names])
        panel.set_xticks([0, 0.5, 1], labels=["0", "½", "1"])
        panel.set_xlim(0, 1)
        panel.grid(False)
        panel.set_xlabel("part of the pairs")
    axes[0, 0].set_ylabel("method")
    marks = [style.handle(kind, color=colour, marker="s", linestyle="") for kind, colour in _KINDS.items()]
    style.legend_above(figure, marks, 4)
    return Drawn(figure, {"e1_crossing": table})


def drawings() -> list[Drawing]:
    """The figures of the comparison, and of what the released code makes of its methods."""
    best = "at each method's best pair of steps"
    cap = "Best criterion among upper steps up to a cap (dotted: the paper's largest η), against the cap"
    return [
        Drawing("e1_curves", f"Appendix E.1 without noise: |∇φ| {best}.", ("e1",), draw_curves),
        Drawing("e1_ranking", f"{cap}, without noise.", ("e1",), draw_ranking),
        Drawing(
            "e1_sensitivity",
            "The part of the searched pairs of steps that converges, and that solves the lower level, too.",
            ("e1",),
            draw_sensitivity,
        ),
        Drawing(
            "e1_paths", f"x {best}, among small and among all upper steps; the band around x = 0.", ("e1",), draw_paths
        ),
        Drawing(
            "e1_crossing",
            "What happens at x = 0, where the Hessian vanishes for p > 2: pairs with "
            f"{crossing.WINDOW[0][0]:g} ≤ η ≤ {crossing.WINDOW[0][1]:g} and lower steps from {crossing.WINDOW[1]:g} on "
            "at which y follows y*(x) there. Neumann sums are truncated.",
            ("e1",),
            draw_crossing,
        ),
        *(
            drawing
            for name, curves, where in (
                (
                    "e1_noise",
                    "noise variance 1, median over all seeds",
                    "noise variance 1, chosen and judged on different seeds",
                ),
                (
                    "e1_coordinatewise",
                    "coordinate-wise problem",
                    "coordinate-wise problem; normalised steps per coordinate, η/√d",
                ),
            )
            for drawing in (
                Drawing(f"{name}_curves", f"|∇φ| {best}, {curves}.", (name,), partial(draw_curves, experiment=name)),
                Drawing(f"{name}_ranking", f"{cap}, {where}.", (name,), partial(_ranking_of, experiment=name)),
            )
        ),
        discrepancies.DRAWING,
    ]


def _ranking_of(study: Study, experiment: str) -> Drawn:
    return draw_ranking(study, experiment, f"{experiment}_ranking")
