"""Appendix E.1: curves at tuned steps, the ranking as a function of the cap, sensitivity, and the crossing of x = 0."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator

from unibio.studies.common import methods, style
from unibio.studies.common.curves import Array
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.e1 import crossing
from unibio.studies.e1.search import (
    NOISY,
    PAPER_METHODS,
    SMALL_CAP,
    caps_of,
    place,
    ranking,
    searches,
    summary_of,
    tuned_curve,
)

#: Values below are drawn here: what is smaller has converged for every purpose.
_FLOOR = 1e-8

#: Kinds of a crossing, from unhindered to held up, and those that say nothing about the Hessian.
_KINDS: dict[str, dict[str, Any]] = {
    **{kind: {"facecolor": style.of_place(i, 4)["color"]} for i, kind in enumerate(crossing.KINDS[:4])},
    "jumps": {"facecolor": "white", "hatch": "//////"},
    "falls short": {"facecolor": "white", "hatch": "......"},
    "diverges": {"facecolor": "white", "hatch": "xxxxxx"},
}


def draw_curves(evidence: Evidence, experiment: str = "e1") -> Drawn:
    """|∇φ| at each method's best pair of steps, against iterations (above) and oracle calls (below), a column per p and
    two rows per d."""
    found = searches(evidence, experiment)
    exponents = sorted({one.exponent for one in found})
    dimensions = sorted({one.dimension for one in found})
    figure, axes = style.panels(2 * len(dimensions), len(exponents), 4.6 * len(dimensions), sharey=True)
    tables = []
    for one in reversed(found):
        at = one.best()
        if at is None:
            continue
        curve = tuned_curve(one, at)
        head = {"d": one.dimension, "p": one.exponent, "method": one.method, **one.steps(at)}
        tables.append(curve.assign(**head)[[*head, "iteration", "oracle_calls", "median"]])
        later = curve[curve["iteration"] > 0]
        values = np.maximum(later["median"].to_numpy(), _FLOOR)
        for row, cost in enumerate(("iteration", "oracle_calls"), 2 * dimensions.index(one.dimension)):
            _line(axes[row, exponents.index(one.exponent)], later[cost].to_numpy(dtype=float), values, one.method)
    for column, p in enumerate(exponents):
        for row, d in enumerate(dimensions):
            axes[2 * row, column].set_title(_title(d, p, dimensions), loc="left")
            axes[2 * row, column].set_xlabel("iteration")
            axes[2 * row + 1, column].set_xlabel("oracle calls")
    for panel in axes.flat:
        panel.set(xscale="log", yscale="log", ylim=(_FLOOR / 3, 3 * math.sqrt(dimensions[-1])))
    for panel in axes[:, 0]:
        panel.set_ylabel("|∇φ|")
    _legend(figure, (one.method for one in found))
    name = f"{experiment}_curves"
    return Drawn(
        figure, {name: pd.concat(tables[::-1], ignore_index=True), f"{name}_tuned": summary_of(evidence, experiment)}
    )


def draw_ranking(evidence: Evidence, experiment: str = "e1") -> Drawn:
    """The criterion of every method's best pair among upper steps up to a cap, against the cap; a row per d."""
    found = searches(evidence, experiment)
    table = ranking(found, caps_of(found))
    problems = sorted({one.problem for one in found})
    rows, columns = sorted({d for d, _ in problems}), sorted({p for _, p in problems})
    figure, axes = style.panels(len(rows), len(columns), 2.0 * len(rows) + 0.7, sharex=True, sharey="row")
    for (d, p), here in table.groupby(["d", "p"]):
        panel = axes[rows.index(d), columns.index(p)]
        for name in sorted(here["method"].unique(), key=place, reverse=True):
            mine = here[(here["method"] == name) & np.isfinite(here["criterion"])]
            _line(panel, mine["cap"].to_numpy(dtype=float), mine["criterion"].to_numpy(), name)
        panel.axvline(SMALL_CAP, color=style.BLACK, linewidth=0.8, linestyle=":")
        panel.set(xscale="log", yscale="log")
        panel.set_title(_title(d, p, rows), loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("largest η allowed")
    for panel in axes[:, 0]:
        panel.set_ylabel("mean of |∇φ|")
    for panel in axes.flat:  # decades only
        panel.xaxis.set_major_locator(LogLocator(numticks=4))
        style.log_labels(panel.xaxis, panel.yaxis)
    _legend(figure, (one.method for one in found))
    name = f"{experiment}_ranking"
    return Drawn(figure, {name: table, f"{name}_tuned": summary_of(evidence, experiment)})


def draw_sensitivity(evidence: Evidence) -> Drawn:
    """The part of each method's pairs of steps that converges, and that also solves the lower level."""
    table = summary_of(evidence, "e1")[["p", "method", "converging", "converging, y solved"]]
    names = sorted(table["method"].unique(), key=place, reverse=True)
    figure, axes = style.panels(1, 2, 3.6, sharex=True, sharey=True)
    titles = ("|∇φ| small at the end", "|∇φ| and the lower error small")
    for panel, column, title in zip(axes[0], ("converging", "converging, y solved"), titles, strict=True):
        for k, (p, here) in enumerate(table.groupby("p")):
            y = [names.index(name) + 0.16 * (1.5 - k) for name in here["method"]]
            panel.plot(here[column], y, **style.of_exponent(float(str(p))) | {"linestyle": ""})
        panel.set_title(title, loc="left")
        panel.set_xlabel("part of the searched pairs")
        panel.set_yticks(range(len(names)), labels=[methods.label(name) for name in names])
    axes[0, 0].set_ylabel("method")
    axes[0, 0].set_xlim(-0.02, max(0.6, 1.05 * float(table["converging"].max())))
    style.legend_above(figure, style.exponent_points(sorted(set(table["p"]))), 4)
    return Drawn(figure, {"e1_sensitivity": table})


def draw_paths(evidence: Evidence) -> Drawn:
    """x against iterations at the best pair of steps: among small ones (above) and all (below), a column per p."""
    found = searches(evidence, "e1")
    exponents = sorted({one.exponent for one in found})
    figure, axes = style.panels(2, len(exponents), 4.6, sharey=True)
    tables = []
    for row, cap in enumerate((SMALL_CAP, math.inf)):
        for one in reversed(found):
            at = one.best(cap)
            if at is None:
                continue
            curve = tuned_curve(one, at, "value")
            x = crossing.iterate(curve["median"].to_numpy())
            head = {"p": one.exponent, "method": one.method, "cap": cap, "upper_step": one.steps(at)["upper_step"]}
            tables.append(pd.DataFrame({**head, "iteration": curve["iteration"], "x": x}))
            panel = axes[row, exponents.index(one.exponent)]
            _line(panel, curve["iteration"].to_numpy(dtype=float) + 1, x, one.method)
    for panel in axes.flat:
        panel.axhspan(-crossing.BAND, crossing.BAND, color="#eeeeee", zorder=0)
        panel.set(xscale="log", ylim=(-1.75, 1.2))
    for column, p in enumerate(exponents):
        axes[0, column].set_title(f"p = {p}, η ≤ {SMALL_CAP:g}", loc="left")
        axes[1, column].set_title(f"p = {p}, any η", loc="left")
        axes[1, column].set_xlabel("iteration + 1")
    for panel in axes[:, 0]:
        panel.set_ylabel("x")
    _legend(figure, (one.method for one in found))
    kinds = pd.concat([crossing.table(found, cap) for cap in (SMALL_CAP, math.inf)], ignore_index=True)
    return Drawn(figure, {"e1_paths": pd.concat(tables[::-1], ignore_index=True), "e1_paths_kinds": kinds})


def draw_crossing(evidence: Evidence) -> Drawn:
    """What each method does at x = 0, as parts of its pairs of steps in ``crossing.WINDOW`` at which y follows."""
    table = crossing.shares_of(evidence)
    names = sorted(table["method"].unique(), key=place, reverse=True)
    exponents = sorted(table["p"].unique())
    figure, axes = style.panels(1, len(exponents), 3.9, sharex=True, sharey=True)
    for panel, p in zip(axes[0], exponents, strict=True):
        here = table[table["p"] == p].set_index("method").reindex(names)
        left = np.zeros(len(names))
        for kind, look in _KINDS.items():
            width = here[kind].to_numpy(dtype=float)
            panel.barh(range(len(names)), width, left=left, height=0.75, edgecolor=style.GREY, linewidth=0.5, **look)
            left += np.nan_to_num(width)
        panel.set_title(f"p = {p}", loc="left")
        panel.set_yticks(range(len(names)), labels=[methods.label(name) for name in names])
        panel.set_xticks([0, 0.5, 1], labels=["0", "½", "1"])
        panel.set_xlim(0, 1)
        panel.grid(False)
        panel.set_xlabel("part of the pairs")
    axes[0, 0].set_ylabel("method")
    patches = [Patch(label=kind, edgecolor=style.GREY, linewidth=0.5, **look) for kind, look in _KINDS.items()]
    style.legend_above(figure, patches, 4)
    return Drawn(figure, {"e1_crossing": table})


def _line(panel: Axes, x: Array, y: Array, name: str) -> None:
    """A method's curve over a logarithmic axis; the paper's four methods stand out from the others."""
    look = _look(name)
    every = style.spread_markers(x, _order(name), log=True) if "marker" in look and len(x) else None
    panel.plot(x, y, markevery=every, **look)


def _order(name: str) -> int:
    """The paper's methods first, so that markers of theirs do not coincide."""
    return sorted(methods.METHODS, key=place).index(name)


def _look(name: str) -> dict[str, Any]:
    """Every method's own, the paper's four in wider lines above the others."""
    look = methods.look(name)
    return look | {"linewidth": 1.8, "zorder": 3} if name in PAPER_METHODS else look | {"linewidth": 0.9, "zorder": 2}


def _legend(figure: Any, found: Iterable[str]) -> None:
    names = sorted(set(found), key=place)
    handles = [style.handle(methods.label(name), **_look(name)) for name in names if name in methods.METHODS]
    if len(handles) < len(names):  # methods of somebody else, which the table does not know
        handles.append(style.handle("others", **methods.OTHERS))
    style.legend_above(figure, handles, 6)


def _title(d: int, p: int, dimensions: list[int]) -> str:
    return f"p = {p}" if len(dimensions) == 1 else f"d = {d}, p = {p}"


def _drawings() -> Iterable[Drawing]:
    best = "at each method's best pair of steps"
    cap = "Best criterion among upper steps up to a cap (dotted: the paper's largest η), against the cap"
    yield Drawing(
        "e1_curves",
        f"|∇φ| {best}, without noise.",
        draw_curves,
        ("e1",),
        title="Appendix E.1: every method at its best steps",
    )
    yield Drawing(
        "e1_ranking",
        f"{cap}, without noise.",
        draw_ranking,
        ("e1",),
        title="Appendix E.1: who leads when larger steps are allowed",
    )
    yield Drawing(
        "e1_sensitivity",
        "The part of the searched pairs of steps that converges, and that solves the lower level, too.",
        draw_sensitivity,
        ("e1",),
        title="Appendix E.1: for how many pairs of steps a method converges",
    )
    yield Drawing(
        "e1_paths",
        f"x {best}, among small and among all upper steps; the band around x = 0.",
        draw_paths,
        ("e1",),
        title="Appendix E.1: where the iterates go",
    )
    yield Drawing(
        "e1_crossing",
        "What happens at x = 0, where the Hessian vanishes for p > 2: pairs with "
        f"{crossing.WINDOW[0][0]:g} ≤ η ≤ {crossing.WINDOW[0][1]:g} and lower steps from {crossing.WINDOW[1]:g} on at "
        "which y follows y*(x) there. Neumann sums are truncated.",
        draw_crossing,
        ("e1",),
        title="Appendix E.1: what happens where the Hessian vanishes",
    )
    for name, curves, ranks in (
        *(
            (
                name,
                f"noise of variance 1 on {reading.where}, median over all seeds",
                f"noise of variance 1 on {reading.where}, chosen and judged on different seeds",
            )
            for name, reading in NOISY.items()
        ),
        (
            "e1_coordinatewise",
            "coordinate-wise problem",
            "coordinate-wise problem; normalised steps per coordinate, η/√d",
        ),
    ):
        where = f"noise on {NOISY[name].levels_named}" if name in NOISY else "coordinate by coordinate"
        variant = name in NOISY and not NOISY[name].main
        yield Drawing(
            f"{name}_curves",
            f"|∇φ| {best}, {curves}.",
            partial(draw_curves, experiment=name),
            (name,),
            title=f"Appendix E.1, {where}: every method at its best steps",
            variant=variant,
        )
        yield Drawing(
            f"{name}_ranking",
            f"{cap}, {ranks}.",
            partial(draw_ranking, experiment=name),
            (name,),
            title=f"Appendix E.1, {where}: who leads when larger steps are allowed",
            variant=variant,
        )


DRAWINGS = tuple(_drawings())
