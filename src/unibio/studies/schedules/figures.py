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
    EXPONENTS,
    FOLLOWED,
    JUDGED,
    NAMES,
    PAPER,
    SERIES,
    SHARP,
    STEP,
    Found,
    fit,
    norms_by_step,
    series,
)
from unibio.studies.schedules.rules import ENOUGH, MARGIN


def shown(evidence: Evidence, d: int) -> Iterable[tuple[str, int, Found]]:
    """(experiment, p, its series): the sharp schedule's, then the paper's, which at p = 2 is the same."""
    for experiment in (SHARP, PAPER):
        for p in EXPONENTS:
            yield experiment, p, series(evidence, SHARP if p == EXPONENTS[0] else experiment, d, p)


def slopes(evidence: Evidence, d: int) -> pd.DataFrame:
    """schedule, d, p, runs, slope with its interval, of_mean, least and largest ε, and calls; NaN without a fit."""
    rows = []
    for experiment, p, found in shown(evidence, d):
        for name, points in found.items():
            row: dict[str, Any] = {"schedule": NAMES[experiment], "d": d, "p": p, "runs": name}
            try:
                one = fit(points)
                row |= {"slope": one.slope, "of_mean": one.of_mean}
                row |= dict(zip(("low", "high"), one.interval or (math.nan, math.nan), strict=True))
            except InputError:
                row |= dict.fromkeys(("slope", "of_mean", "low", "high"), math.nan)
            rows.append(row | {"from": points[-1].epsilon, "to": points[0].epsilon, "oracle_calls": points[0].calls})
    return pd.DataFrame(rows)


def draw(evidence: Evidence, d: int) -> Drawn:
    """Rows are schedules, columns p: what is reached over ε against ε, flat where it falls like ε."""
    figure, axes = style.panels(2, len(EXPONENTS), 4.4, sharex="col", sharey=True)
    rows = []
    for place, (experiment, p, found) in enumerate(shown(evidence, d)):
        panel = axes.flat[place]
        panel.set(xscale="log", yscale="log")
        panel.set_title(f"p = {p}", loc="left")
        for name, points in found.items():
            look = style.of_place(SERIES.index(name), len(SERIES)) | (
                {"color": style.BLACK} if name == FOLLOWED else {}
            )
            epsilon, reached = np.array([(one.epsilon, one.norms.mean()) for one in points]).T
            panel.plot(epsilon, np.where(np.isfinite(reached), reached / epsilon, np.nan), **look)
            head = {"schedule": NAMES[experiment], "d": d, "p": p, "runs": name}
            rows += [
                head | {"epsilon": one.epsilon, "oracle_calls": one.calls, "reached": one.norms.mean()}
                for one in points
            ]
    for panel, name in zip(axes[:, 0], ("sharp", "Theorem 5.1"), strict=True):
        panel.set_ylabel(f"{name}:\nmean of ‖∇φ‖ / ε")
    for panel in axes[-1]:
        panel.set_xlabel("ε")
        panel.invert_xaxis()
    for panel in axes.flat:
        style.log_labels(panel.xaxis, panel.yaxis)
    handles = [style.handle(name, **_look(name)) for name in SERIES]
    style.legend_above(figure, handles, len(SERIES))
    name = "schedules" if d == JUDGED else f"schedules_{d}d"
    return Drawn(figure, {name: slopes(evidence, d), f"{name}_reached": pd.DataFrame(rows)})


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
    """The table of the slopes."""
    yield Heading(3, "What schedules reach")
    yield Paragraph(
        "Slopes of log reached on log ε, with 95% intervals over the seeds: 1 is what a schedule promises. Below "
        f"{ENOUGH:g} it is not kept. d = {JUDGED}."
    )
    yield frame_table(slopes(evidence, JUDGED))
