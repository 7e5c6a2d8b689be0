"""Figures and tables of what schedules reach."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.studies.common import style
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.drawing import Drawn
from unibio.studies.common.evidence import Evidence, exponent
from unibio.studies.schedules.measures import (
    DIMENSIONS,
    FOLLOWED,
    JUDGED,
    NAMES,
    SERIES,
    STEP,
    fit,
    norms_by_step,
    series,
)
from unibio.studies.schedules.rules import ENOUGH, MARGIN


def slopes(evidence: Evidence, experiment: str) -> pd.DataFrame:
    """d, p, runs, slope with its interval, of_mean, the range of ε and the most calls; NaN without a fit."""
    rows = []
    for d in DIMENSIONS:
        for p in exponents(evidence, experiment):
            for name, points in series(evidence, experiment, d, p).items():
                row: dict[str, Any] = {"d": d, "p": p, "runs": name}
                try:
                    one = fit(points)
                    row |= {"slope": one.slope, "of_mean": one.of_mean}
                    row |= dict(zip(("low", "high"), one.interval or (math.nan, math.nan), strict=True))
                except InputError:
                    row |= dict.fromkeys(("slope", "of_mean", "low", "high"), math.nan)
                ends = {"from": points[-1].epsilon, "to": points[0].epsilon}
                rows.append(row | ends | {"oracle_calls": points[0].calls})
    return pd.DataFrame(rows)


def exponents(evidence: Evidence, experiment: str) -> list[int]:
    """p that were run, ascending."""
    return sorted({exponent(record) for record in evidence.require(experiment)})


def draw(evidence: Evidence, experiment: str) -> Drawn:
    """Rows are d, columns p: what is reached over ε against ε, flat where it falls like ε."""
    columns = exponents(evidence, experiment)
    figure, axes = style.panels(len(DIMENSIONS), len(columns), 4.4, sharex="col", sharey="row")
    rows = []
    for line, d in zip(axes, DIMENSIONS, strict=True):
        for panel, p in zip(line, columns, strict=True):
            panel.set(xscale="log", yscale="log")
            panel.set_title(f"p = {p}, d = {d}", loc="left")
            for name, points in series(evidence, experiment, d, p).items():
                epsilon, reached = np.array([(one.epsilon, one.norms.mean()) for one in points]).T
                panel.plot(epsilon, np.where(np.isfinite(reached), reached / epsilon, np.nan), **_look(name))
                for one, mean in zip(points, reached, strict=True):
                    row = {"d": d, "p": p, "runs": name, "epsilon": one.epsilon}
                    rows.append(row | {"oracle_calls": one.calls, "reached": mean})
            style.log_labels(panel.xaxis, panel.yaxis)
        line[0].set_ylabel("mean of ‖∇φ‖ / ε")
    for panel in axes[-1]:
        panel.set_xlabel("ε")
        panel.invert_xaxis()
    style.legend_above(figure, [style.handle(name, **_look(name)) for name in SERIES], len(SERIES))
    return Drawn(figure, {experiment: slopes(evidence, experiment), f"{experiment}_reached": pd.DataFrame(rows)})


def _look(name: str) -> dict[str, Any]:
    look = style.of_place(SERIES.index(name), len(SERIES))
    return look | {"color": style.BLACK} if name == FOLLOWED else look


def draw_step(evidence: Evidence) -> Drawn:
    """What is reached over ε against q, with the margin around the range that is claimed."""
    found, p = norms_by_step(evidence), exponent(evidence.require(STEP)[0])
    figure, ((panel,),) = style.panels(1, 1, 3.0, width=4.6)
    panel.set(yscale="log", xlabel="q of η ∝ ε^q, I = ε^(p−1)/η", ylabel="mean of ‖∇φ‖ / ε")
    powers = np.array(list(found))
    means = np.array([one.norms.mean() / one.epsilon for one in found.values()])
    panel.plot(
        powers,
        np.where(np.isfinite(means), means, np.nan),
        label=f"p = {p}, one total of calls",
        **style.of_exponent(p),
    )
    claimed = (powers >= p + 1) & (powers <= 3 * p - 3)
    if claimed.any() and np.isfinite(means[claimed]).all():
        ends, least = [p + 1, 3 * p - 3], means[claimed].min()
        panel.fill_between(
            ends, least, MARGIN * least, color=style.GREY, alpha=0.2, linewidth=0, label="claimed, with margin"
        )
    style.log_labels(panel.yaxis)
    panel.legend()
    rows = [
        {"p": p, "power": q, "epsilon": one.epsilon, "oracle_calls": one.calls, "reached": one.norms.mean()}
        for q, one in found.items()
    ]
    return Drawn(figure, {"schedules_step": pd.DataFrame(rows)})


def section(evidence: Evidence) -> Iterable[Block]:
    """The tables of the slopes where they are judged."""
    for experiment, name in NAMES.items():
        found = slopes(evidence, experiment)
        yield Heading(3, f"What {name} reaches")
        yield Paragraph(
            "Slopes of log reached on log ε, with 95% intervals over the seeds: 1 is what a schedule promises, below "
            f"{ENOUGH:g} it is not kept. d = {JUDGED}."
        )
        yield frame_table(found[found["d"] == JUDGED].drop(columns="d"))
