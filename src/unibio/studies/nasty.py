"""The nasty example: its penalty functions, and where methods end from several starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.studies.common import methods, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.curves import Array, axes, final, last_rows
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.effort import Effort, fairly
from unibio.studies.common.evidence import Evidence, method
from unibio.studies.common.kinds import Kind
from unibio.studies.common.search import Search, touched_by_any
from unibio.studies.common.starts import over_starts, worst_start
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.common.widening import Touched

EXPERIMENT = "nasty"
ORDER = ("f2sa", "f2ba", "proximal", "bome", "pbgd joint", "stocbio", "soba")
#: Distance to (0, 0) that counts as having arrived.
ARRIVED = 0.01


def value(x: Array) -> Array:
    """φ(x)."""
    return np.where(x == 0, 0.0, x**2 + 1)


def penalised_value(x: Array, penalty: float) -> Array:
    """𝓛*_λ(x)."""
    inside = x**2 + penalty * np.abs(x) - (penalty * x) ** 2 / 4
    return np.where(np.abs(x) <= 2 / penalty, inside, x**2 + 1)


def penalised_solution(x: Array, penalty: float) -> Array:
    """y*_λ(x)."""
    return np.clip(-penalty * x / 2, -1.0, 1.0)


@dataclass(frozen=True, eq=False)
class AtBest:
    """One method, at one penalty where it has several, at the best of its pairs of steps.

    Attributes:
        method: key of ``ORDER``.
        penalty: NaN without, or where it grows.
        steps: the chosen pair; the pair whose worst end over the choosing starts is nearest to the solution.
        edges: {axis: "low" or "high"} where a chosen step is an end of its range.
        last_gain: what the last grid step towards these ends brought the worst end nearer by.
        effort: what the method was given.
        ends: one row a start: start_x, judges, and at the end x_abs, y_abs, upper_loss, lower_gap and distance.
    """

    method: str
    penalty: float
    steps: dict[str, float]
    edges: dict[str, str]
    last_gain: float
    effort: Effort
    ends: pd.DataFrame

    @property
    def label(self) -> str:
        """For sentences."""
        return methods.label(self.method) + (f", λ = {self.penalty:g}" if math.isfinite(self.penalty) else "")

    @property
    def judged(self) -> Array:
        """(judging starts,) distance to the solution at the end."""
        return self.ends.loc[self.ends["judges"], "distance"].to_numpy(dtype=float)


def best(evidence: Evidence) -> list[AtBest]:
    """Every method and penalty, in the order of ``ORDER``; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record that does not hold every pair of steps for every start.
    """
    return evidence.once(_all_at_best)


def _all_at_best(evidence: Evidence) -> list[AtBest]:
    found = [one for record in evidence.require(EXPERIMENT) for one in _at_best(record)]
    return sorted(found, key=lambda one: (ORDER.index(one.method), one.penalty))


def _searches(record: Record) -> Iterator[tuple[float, NDArray[np.intp], Search]]:
    """By penalty: its runs, and their search over steps."""
    runs, distance = record.runs.reset_index(drop=True), final(record, "distance")
    penalties = runs["penalty"] if "penalty" in runs else pd.Series(math.nan, index=runs.index)
    searched = [name for name in axes(record) if name not in ("start_x", "penalty")]
    for penalty, group in runs.groupby(penalties, dropna=False):
        at = group.index.to_numpy()
        found = over_starts(
            record.name, group, distance[at], searched, "start_x", choosing=lambda n: max(1, n // 2), middle=worst_start
        )
        yield float(str(penalty)), at, found


_ENDS = ("x_abs", "y_abs", "upper_loss", "lower_gap", "distance")


def _at_best(record: Record) -> Iterator[AtBest]:
    last = last_rows(record.history).copy()
    completed = (record.runs["status"] == "completed").to_numpy()[last.index]
    last.loc[~completed, list(_ENDS)] = math.inf  # wherever it was when it diverged, it has not ended there
    for penalty, at, found in _searches(record):
        cell = found.best() or (0,) * len(found.steps)
        chosen, judging = found.runs(cell), found.runs(cell, judging=True)
        table = last.reindex(at[chosen])[["start_x", *_ENDS]]
        yield AtBest(
            method=method(record),
            penalty=penalty,
            steps={name: step for name, step in found.at(cell).items() if name != "setting"},
            edges=found.ends(cell),
            last_gain=found.gain_at_ends(cell),
            effort=found.effort(),
            ends=table.assign(judges=judging[chosen]).reset_index(drop=True),
        )


def ends(evidence: Evidence) -> pd.DataFrame:
    """method, penalty (nan without), the chosen steps, start_x, judges, and at the end x_abs, y_abs, upper_loss,
    lower_gap and distance."""
    parts = []
    for one in best(evidence):
        part = one.ends.sort_values("start_x")
        head = {"method": one.method, "penalty": one.penalty, **one.steps}
        parts.append(part.assign(**head)[[*head, *part.columns]])
    return pd.concat(parts, ignore_index=True)


def penalties(evidence: Evidence) -> list[float]:
    """The fixed penalties of the records, ascending."""
    return sorted(float(v) for v in ends(evidence)["penalty"].dropna().unique())


def reached(evidence: Evidence) -> Outcome:
    """Whether joint PBGD ends at (0, 0) from every start and at every γ; the other methods' shares beside it.

    Of starts on both sides of 0 and of several γ: from 0 itself there is no way to go.
    """
    found = best(evidence)
    own = [one for one in found if one.method == "pbgd joint"]
    if not own:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of PBGD")
    shares: dict[str, float] = {}
    for name in dict.fromkeys(one.method for one in found):
        together = np.concatenate([one.judged for one in found if one.method == name])
        shares[methods.label(name)] = float((together <= ARRIVED).mean())
    text = f"share of the judging runs that end within {ARRIVED:g} of (0, 0): " + ", ".join(
        f"{name} {share:.0%}" for name, share in shares.items()
    )
    text += "; each at the pair of steps that other starts chose"
    failing = [one for one in own if not (one.judged <= ARRIVED).all()]
    open_ = [one for one in failing if one.edges and one.judged.max() - ARRIVED <= one.last_gain]
    verdict = REPRODUCED if not failing else NOT_TESTABLE if len(open_) == len(failing) else NOT_REPRODUCED
    if open_:
        text += f"; wider ranges of steps may turn this round: {', '.join(one.label for one in open_)}"
    starts = np.concatenate([one.ends.loc[one.ends["judges"], "start_x"] for one in own])
    if verdict == REPRODUCED and not (starts.min() < 0 < starts.max() and len(own) > 1):
        verdict, text = NOT_TESTABLE, f"{text}; of too few starts or penalties"
    sides = {one.label: one.effort for one in found}
    return fairly(Outcome(verdict, text, {"share": shares}), {"all starts": sides})


def touched(record: Record) -> list[Touched]:
    """The ranges of one record whose chosen step is one of their ends, at some penalty.

    Raises:
        InputError: a record that does not hold every pair of steps for every start.
    """
    return touched_by_any(record, [found for _, _, found in _searches(record)])


def draw(evidence: Evidence) -> Drawn:
    """Three panels over x in [−1, 1]."""
    fixed = penalties(evidence) or [2.0, 10.0, 50.0]
    x = np.linspace(-1, 1, 801)
    figure, axes = style.panels(1, 3, 2.9)
    away = x != 0
    for side in (x < 0, x > 0):
        axes[0, 0].plot(x[side], value(x[side]), color=style.BLACK)
        axes[0, 2].plot(x[side], -np.sign(x[side]), color=style.BLACK)
    axes[0, 0].plot([0], [0], color=style.BLACK, marker="o", linestyle="")
    axes[0, 0].plot([0], [1], color=style.BLACK, marker="o", linestyle="", markerfacecolor="white")
    columns = {"x": x[away], "phi": value(x[away])}
    for i, penalty in enumerate(fixed):
        look = style.of_place(i, len(fixed)) | {"marker": ""}
        axes[0, 1].plot(x, penalised_value(x, penalty), **look)
        axes[0, 2].plot(x, penalised_solution(x, penalty), **look)
        columns[f"L_{penalty:g}"] = penalised_value(x[away], penalty)
        columns[f"y_{penalty:g}"] = penalised_solution(x[away], penalty)
    for panel, title in zip(axes[0], ("φ(x)", "L_λ(x)", "y*_λ(x)"), strict=True):
        panel.set_title(title, loc="left")
        panel.set_xlabel("x")
    axes[0, 0].set_ylabel("value")
    style.legend_above(figure, [style.handle("φ and y*", color=style.BLACK), *_handles(fixed, marker="")], 4)
    return Drawn(figure, {"nasty": pd.DataFrame(columns)})


def draw_ends(evidence: Evidence) -> Drawn:
    """A panel per method; a marker per penalty."""
    table = ends(evidence)
    fixed = penalties(evidence)
    names = list(dict.fromkeys(table["method"]))
    columns = 4
    rows = math.ceil(len(names) / columns)
    figure, axes = style.panels(rows, columns, 1.9 * rows + 0.9, sharex=True, sharey=True)
    for panel, name in zip(axes.flat, names, strict=False):
        for penalty, part in table[table["method"] == name].groupby("penalty", dropna=False):
            look = {"color": style.BLACK, "marker": "x"}
            if math.isfinite(float(penalty)):
                look = style.of_place(fixed.index(float(penalty)), len(fixed))
            for judges, own in part.groupby("judges"):
                face: dict[str, Any] = {} if judges else {"markerfacecolor": "white", "alpha": 0.5}
                panel.plot(own["start_x"], own["distance"], **look | {"linestyle": ""} | face)
        panel.set_title(methods.label(name), loc="left")
    for panel in list(axes.flat)[len(names) :]:
        panel.remove()
    for panel in list(axes.flat)[(rows - 1) * columns : len(names)]:
        panel.set_xlabel("start x")
    for panel in axes[:, 0]:
        panel.set_ylabel("distance")
    one = style.handle("no penalty, or a growing one", color=style.BLACK, marker="x", linestyle="")
    style.legend_above(figure, [*_handles(fixed, linestyle=""), one], 4)
    return Drawn(figure, {"nasty_ends": methods.labelled(table)})


def _handles(penalties: Sequence[float], **style_of_all: Any) -> list[Line2D]:
    looks = [style.of_place(i, len(penalties)) | style_of_all for i in range(len(penalties))]
    return [style.handle(f"λ = {penalty:g}", **look) for penalty, look in zip(penalties, looks, strict=True)]


STUDY = Study(
    experiments=(EXPERIMENT,),
    drawings=(
        Drawing(
            "nasty",
            "The nasty example: φ(x), which jumps to 0 at its minimiser; L_λ(x), with the same minimiser for every "
            "λ and a basin that shrinks like 2/λ; and the lower-level solutions y*_λ(x) and y*(x) = −sign x.",
            draw,
            title="The nasty example: what the methods are given",
        ),
        Drawing(
            "nasty_ends",
            "The nasty example: distance to the solution (0, 0) at the end against the start x (y starts at 0), every "
            "method at its best pair of steps; several penalties where it has one. Open and pale: the starts that "
            "chose the pair.",
            draw_ends,
            title="The nasty example: where every method ends",
        ),
    ),
    claims=(
        Claim(
            "nasty-reached",
            "Where φ jumps at its minimiser, joint PBGD still ends at it, from every start and for every γ.",
            Kind.QUESTION,
            "what methods do on the slides' “Elementary (Nasty) Example”, of which they say only what φ is",
            reached,
            figure="nasty_ends",
        ),
    ),
    touched=touched,
)
