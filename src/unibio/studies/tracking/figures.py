"""Figure, tables and section of how y follows y*(x)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.studies.common import style
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.drawing import Drawn
from unibio.studies.common.evidence import Evidence, dimension, exponent
from unibio.studies.tracking.measures import (
    DIMENSIONS,
    FOLLOWED,
    JUDGED,
    NAMES,
    SERIES,
    Found,
    Tracked,
    fit,
    growth,
    levels,
    series,
)
from unibio.studies.tracking.rules import FACTOR, SHARE


def quantile(one: Tracked) -> float:
    """The level within which ``SHARE`` of the runs stay for all t; inf beyond all levels."""
    return float(np.quantile(one.most, SHARE, method="higher"))


#: {axis: what it shows of runs, over ε}.
ROWS: dict[str, Callable[[Tracked], float]] = {
    "90% of runs: max ‖y − y*‖ / ε": quantile,
    "mean bias / ε": lambda one: float(one.bias.mean()) / one.epsilon,
}


def places(evidence: Evidence, experiment: str) -> tuple[list[int], list[int]]:
    """d and p of an experiment's records."""
    found = evidence.require(experiment)
    here = {dimension(record) for record in found}
    return [d for d in DIMENSIONS if d in here], sorted({exponent(record) for record in found})


def table(evidence: Evidence, experiment: str) -> pd.DataFrame:
    """d, p, runs, epsilon, T, the oracle calls and what was measured; inf for what is beyond every level."""
    rows = []
    for d, p, name, points in _each(evidence, experiment):
        for one in points:
            row: dict[str, Any] = {"d": d, "p": p, "runs": name, "epsilon": one.epsilon, "iterations": one.iterations}
            row |= {"oracle_calls": one.calls, "seeds": len(one.most), "within": one.within(FACTOR)}
            row |= {"most_over_epsilon": quantile(one), "error": float(one.error.mean())}
            rows.append(row | {"bias": float(one.bias.mean())})
    return pd.DataFrame(rows)


def slopes(evidence: Evidence, experiment: str) -> pd.DataFrame:
    """d, p, runs, the slope of log bias on log ε, its interval, and the power of T in the sum; NaN without a fit."""
    rows = []
    for d, p, name, points in _each(evidence, experiment):
        row: dict[str, Any] = {"d": d, "p": p, "runs": name}
        try:
            one = fit(points)
            row |= {"slope": one.slope, "of_mean": one.of_mean, "power_of_T": growth(points).slope}
            row |= dict(zip(("low", "high"), one.interval or (math.nan, math.nan), strict=True))
        except InputError:
            row |= dict.fromkeys(("slope", "of_mean", "power_of_T", "low", "high"), math.nan)
        rows.append(row)
    return pd.DataFrame(rows)


def _each(evidence: Evidence, experiment: str) -> Iterable[tuple[int, int, str, list[Tracked]]]:
    dimensions, exponents = places(evidence, experiment)
    for d in dimensions:
        for p in exponents:
            for name, points in series(evidence, experiment, d, p).items():
                yield d, p, name, points


def draw(evidence: Evidence, experiment: str) -> Drawn:
    """Two rows a d, columns p: the largest error and the mean bias over ε, flat where they fall like ε."""
    dimensions, columns = places(evidence, experiment)
    rows = [(d, label) for d in dimensions for label in ROWS]
    figure, axes = style.panels(len(rows), len(columns), 1.9 * len(rows) + 0.7, sharex="col", sharey="row")
    for line, (d, label) in zip(axes, rows, strict=True):
        for panel, p in zip(line, columns, strict=True):
            panel.set(xscale="log", yscale="log")
            panel.set_title(f"p = {p}, d = {d}", loc="left")
            _lines(panel, series(evidence, experiment, d, p), label)
            style.log_labels(panel.xaxis, panel.yaxis)
        line[0].set_ylabel(label)
    for panel in axes[-1]:
        panel.set_xlabel("ε")
        panel.invert_xaxis()
    handles = [style.handle(name, **_look(name)) for name in SERIES]
    handles.append(style.handle(f"{FACTOR:g}ε", color=style.GREY, linestyle=":"))
    style.legend_above(figure, handles, len(handles))
    return Drawn(figure, {experiment: table(evidence, experiment), f"{experiment}_bias": slopes(evidence, experiment)})


def _lines(panel: Any, found: Found, label: str) -> None:
    for name, points in found.items():
        values = np.array([ROWS[label](one) for one in points])
        if ROWS[label] is quantile:  # what is beyond every level stands above the last
            top = max(levels(points[0].record.runs))
            values = np.where(np.isfinite(values), values, 1.2 * top)
        panel.plot([one.epsilon for one in points], np.where(np.isfinite(values), values, np.nan), **_look(name))
    if ROWS[label] is quantile:
        panel.axhline(FACTOR, color=style.GREY, linestyle=":", linewidth=1)


def _look(name: str) -> dict[str, Any]:
    look = style.of_place(SERIES.index(name), len(SERIES))
    return look | {"color": style.BLACK} if name == FOLLOWED else look


def section(evidence: Evidence) -> Iterable[Block]:
    """What is judged, as tables."""
    for experiment, name in NAMES.items():
        found, fitted = table(evidence, experiment), slopes(evidence, experiment)
        yield Heading(3, f"How y follows y*(x) under {name}")
        yield Paragraph(
            f"d = {JUDGED}. Of the runs at each ε those that stay within {FACTOR:g}ε of y*(x) for all t; the level "
            f"that {SHARE:.0%} of them keep to, over ε; means over all iterates."
        )
        yield frame_table(found[found["d"] == JUDGED].drop(columns="d"))
        yield Paragraph(
            "Slopes of log mean bias on log ε, 95% intervals over the seeds, and the power of T in the sum."
        )
        yield frame_table(fitted[fitted["d"] == JUDGED].drop(columns="d"))
