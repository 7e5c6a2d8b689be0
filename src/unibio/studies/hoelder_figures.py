"""Figures 1 and 5 on the Hölder problem, on which p matters, at equal and at tuned η: the figures the paper wanted.

On Example 3 φ is the same function for every p, so that its curves differ by their η alone. Here ∇φ is Hölder with
exponent 1/(p − 1) and no better. Half of the seeds choose η, for every p and noise; the others are shown and judged.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unibio.quantiles import quartiles
from unibio.store.records import Record
from unibio.store.thinning import END_BITS, Kept
from unibio.studies.common import soundness, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.curves import Array, Curves, curves, values_of
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.envelopes import Family, Power, costs, family
from unibio.studies.common.evidence import Evidence, dimension, exponent
from unibio.studies.common.kinds import Kind
from unibio.studies.common.labels import norm_label
from unibio.studies.common.rates import bound_exponent, fit_power_law
from unibio.studies.common.soundness import unsound
from unibio.studies.common.statistics import no_higher
from unibio.studies.common.study import Study
from unibio.studies.common.trials import Steps
from unibio.studies.common.verdicts import (
    EXPONENTS,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    SAME,
    Outcome,
)
from unibio.studies.common.words import listed

EXPERIMENT = "hoelder_figures"
#: The dimension that is judged; the other stands beside it.
JUDGED = 4
#: The η at which every p is compared: the searched one that is nearest. The paper's 0.03 times √4.
EQUAL_STEP = 0.06
#: Figure 1 shows the first quarter of the iterations, 500; Figure 5 all of them, and fits the last decade.
FIRST, DECADE = 0.25, 10.0


def groups(evidence: Evidence, d: int) -> dict[float, dict[int, Record]]:
    """{noise: {p: record}} in one dimension, both ascending.

    Raises:
        MissingRecordsError: the experiment was not run.
    """
    found: dict[float, dict[int, Record]] = {}
    for record in evidence.require(EXPERIMENT):
        if dimension(record) == d:
            found.setdefault(float(record.config["problem"]["noise"]), {})[exponent(record)] = record
    return dict(sorted(found.items()))


def searched(record: Record) -> Family:
    """Every η of a record against iterations, over the last decade and from there back to Figure 1's end and before."""
    last = int(record.config["steps"])
    return family([record], costs(min(last / DECADE, FIRST * last), last), iterations=True)


def equal_step(record: Record) -> float:
    """The searched η nearest to ``EQUAL_STEP``."""
    return min(values_of([record], "upper_step"), key=lambda step: abs(math.log(step / EQUAL_STEP)))


def tuned_step(record: Record) -> float:
    """The η that half of the seeds choose for Figure 1: of the least average over its iterations."""
    return float(searched(record).at(FIRST * record.config["steps"])["upper_step"])


STEPS: dict[str, Callable[[Record], float]] = {"equal": equal_step, "tuned": tuned_step}


def shown(record: Record, step: float, metric: str = "hypergradient_norm") -> Curves:
    """The judging seeds' curves at one η."""
    (one,) = curves(record, metric, upper_step=step)
    seeds = len(one.values)
    return Curves(one.exponent, one.cell, one.iterations, one.calls, one.values[max(1, seeds // 2) % seeds :])


def _averages(record: Record, step: float) -> Array:
    """(judging seeds,) the average of the norm over Figure 1's iterations."""
    one = shown(record, step, "hypergradient_norm_mean")
    return one.values[:, int(np.searchsorted(one.iterations, FIRST * record.config["steps"]))]


def power(record: Record, kind: str) -> Power:
    """The power law over the last decade: of the envelope over all η, or of the judging seeds at the equal one.

    Without noise seeds are alike, and at one η there is no interval.
    """
    last = int(record.config["steps"])
    if kind == "tuned":
        return family([record], costs(last / DECADE, last), iterations=True).power
    one = shown(record, equal_step(record), "hypergradient_norm_mean")
    if not np.isfinite(one.values).all():
        return Power(math.nan, math.nan, math.nan)
    fit = fit_power_law(one.iterations, one.values, last / DECADE)
    return Power(fit.slope, *(fit.interval or (math.nan, math.nan)))


# Rules ---------------------------------------------------------------------------------------------------------------


def _ready(evidence: Evidence, kind: str) -> tuple[dict[float, dict[int, Record]], str]:
    """The groups that are judged, and why they cannot be; "" where they can."""
    found = groups(evidence, JUDGED)
    if absent := [noise for noise, by_p in found.items() if not {*EXPONENTS} <= set(by_p)]:
        return found, f"not every p was run at noise {listed(absent)}"
    for by_p in found.values():
        for record in by_p.values():
            step = STEPS[kind](record)
            if broken := unsound([record], kept=partial(_at, step)):
                return found, f"{broken} (noise {record.config['problem']['noise']:g}, η = {step:.3g})"
    return found, "" if found else "no records of the judged dimension"


def _at(step: float, cell: Mapping[str, Any]) -> bool:
    return bool(np.isclose(cell["upper_step"], step))


def slower(kind: str) -> Callable[[Evidence], Outcome]:
    """Whether a larger p has the larger average over Figure 1's iterations, at equal or at tuned η, whatever the noise.

    From p to p by Welch's interval over the judging seeds, without noise by the numbers; and from the least p to the
    largest by more than ``SAME``.
    """

    def rule(evidence: Evidence) -> Outcome:
        found, why = _ready(evidence, kind)
        said, rising, numbers = [], [], {}
        for noise, by_p in found.items():
            samples = {p: _averages(record, STEPS[kind](record)) for p, record in by_p.items()}
            means = {p: float(sample.mean()) for p, sample in samples.items()}
            numbers[f"noise {noise:g}"] = {p: {"average": means[p], "upper_step": STEPS[kind](by_p[p])} for p in by_p}
            said.append(f"{', '.join(f'{mean:.3g}' for mean in means.values())} (noise {noise:g})")
            pairs = itertools.pairwise(samples.values())
            ordered = [_below(a, b, noise > 0) for a, b in pairs]
            values = list(means.values())
            apart = values[-1] > (1 + SAME) * values[0]
            rising.append(-1 if values[-1] <= values[0] or -1 in ordered else int(apart and all(ordered)))
        text = (
            f"average of ‖∇φ‖ over the first {FIRST:.0%} of the iterations at {kind} η for p = {listed(EXPONENTS)}: "
            + "; ".join(said)
        )
        return _judged(Outcome(REPRODUCED, text, numbers), rising, why, "the seeds do not tell every p from the next")

    return rule


def _judged(confirmed: Outcome, rising: list[int], why: str, unclear: str) -> Outcome:
    """The outcome, unless the records tell nothing, or some noise says otherwise (−1) or leaves it open (0)."""
    if why:
        return replace(confirmed, verdict=NOT_TESTABLE, explanation=f"{confirmed.explanation}; {why}")
    if -1 in rising:
        return replace(confirmed, verdict=NOT_REPRODUCED)
    if 0 in rising:
        return replace(confirmed, verdict=NOT_TESTABLE, explanation=f"{confirmed.explanation}; {unclear}")
    return confirmed


def _below(a: Array, b: Array, random: bool) -> int:
    """1 where the first sample is lower, −1 where the second is, 0 where they are not told apart."""
    if not random:
        return int(np.sign(b.mean() - a.mean())) if np.isfinite([a.mean(), b.mean()]).all() else 0
    return 1 if no_higher(a, b, 0.0) == 1 else -int(no_higher(b, a, 0.0) == 1)


def flatter(kind: str) -> Callable[[Evidence], Outcome]:
    """Whether a larger p has the flatter power law over the last decade, at equal or at tuned η, whatever the noise.

    Slopes rise from p to p, and the intervals of the least and the largest p do not overlap.
    """

    def rule(evidence: Evidence) -> Outcome:
        found, why = _ready(evidence, kind)
        said, rising, numbers = [], [], {}
        for noise, by_p in found.items():
            fits = {p: power(record, kind) for p, record in by_p.items()}
            numbers[f"noise {noise:g}"] = {p: [fit.slope, fit.low, fit.high] for p, fit in fits.items()}
            said.append(f"{', '.join(f'{fit.slope:.3f}' for fit in fits.values())} (noise {noise:g})")
            rising.append(_rising(list(fits.values()), noise > 0))
        text = f"slopes over the last decade at {kind} η for p = {listed(EXPONENTS)}: {'; '.join(said)}"
        text = text.replace("-", "−")
        unclear = "intervals overlap, or slopes are not in the order of p"
        return _judged(Outcome(REPRODUCED, text, numbers), rising, why, unclear)

    return rule


def _rising(fits: list[Power], random: bool) -> int:
    """1 where slopes rise with p, −1 where the largest p's is no flatter than the least's, 0 where it is not told."""
    first, last = fits[0], fits[-1]
    if not all(math.isfinite(fit.slope) for fit in fits) or (random and not (first.known and last.known)):
        return 0
    exact = not (first.known and last.known)
    low, high = (last.slope, first.slope) if exact else (last.low, first.high)
    if last.slope <= first.slope:
        return -1
    ordered = all(b.slope > a.slope for a, b in itertools.pairwise(fits))
    return int(ordered and low > high and last.slope - first.slope > SAME * abs(first.slope))


# Figures -------------------------------------------------------------------------------------------------------------


def draw_first(evidence: Evidence, d: int) -> Drawn:
    """Rows are equal and tuned η, columns noise levels: median and interquartile band over the judging seeds."""
    found = groups(evidence, d)
    figure, axes = style.panels(2, max(1, len(found)), 4.6, sharex=True, sharey=True)
    tables, medians = [], []
    for column, (noise, by_p) in enumerate(found.items()):
        for row, (kind, step_of) in enumerate(STEPS.items()):
            panel = axes[row, column]
            for order, (p, record) in enumerate(by_p.items()):
                one = shown(record, step_of(record))
                inside = one.iterations <= FIRST * record.config["steps"]
                bands = quartiles(one.values[:, inside])
                style.banded(panel, one.iterations[inside], bands, order, **style.of_exponent(p) | {"linewidth": 1.1})
                medians.append(bands[1])
                tables.append(one.table().assign(dimension=d, eta=kind))
        axes[0, column].set_title("no noise" if noise == 0 else f"variance {noise:g}", loc="left")
        axes[1, column].set_xlabel("iteration t")
    for row, kind in enumerate(STEPS):
        some = next(iter(next(iter(found.values())).values()), None) if found else None
        name = norm_label(some) if some is not None else ""
        axes[row, 0].set_ylabel(f"{kind} η\n{name}")
    style.norm_axis(axes.flat, medians)
    handles = [style.handle(f"p = {p}", **style.of_exponent(p) | {"linestyle": "-"}) for p in EXPONENTS]
    style.legend_above(figure, handles, 4)
    return Drawn(figure, {_name("fig1", d): pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()})


def draw_fifth(evidence: Evidence, d: int) -> Drawn:
    """Rows are the least and the reference noise, columns equal and tuned η: averages, fits and bounds."""
    found = groups(evidence, d)
    noises = [noise for noise in found if noise in (0.0, 1.0)] or list(found)[:1]
    figure, axes = style.panels(max(1, len(noises)), 2, 2.7 * max(1, len(noises)) + 0.5, sharex=True, sharey=True)
    rows = []
    for row, noise in enumerate(noises):
        for column, kind in enumerate(STEPS):
            panel, texts = axes[row, column], ["exponent of t"]
            panel.set(xscale="log", yscale="log")
            panel.set_title(f"{'no noise' if noise == 0 else f'variance {noise:g}'}, {kind} η", loc="left")
            for order, (p, record) in enumerate(found[noise].items()):
                t, average = averages(record, kind)
                look = style.of_exponent(p)
                panel.plot(t, average, markevery=style.spread_markers(t, order, log=True), **look)
                fit, last = power(record, kind), t[-1]
                line = np.array([last / DECADE, last])
                start = float(np.interp(line[0], t, average))
                bound = start * (line / line[0]) ** bound_exponent(p)
                panel.plot(line, bound, color=look["color"], linestyle=":", linewidth=1.2)
                texts.append(f"p = {p}: {fit.slope:.3f}".replace("-", "−"))
                row_of = {"dimension": d, "noise": noise, "eta": kind, "p": p, "slope": fit.slope}
                bounds = {"bound": bound_exponent(p), "sharp": -1 / (p + 2)}
                rows.append(row_of | {"low": fit.low, "high": fit.high} | bounds)
            panel.text(0.03, 0.03, "\n".join(texts), transform=panel.transAxes)
        axes[row, 0].set_ylabel("mean of ‖∇φ‖ over\niterates 0 … t−1")
    for panel in axes[-1]:
        panel.set_xlabel("iteration t")
    low, high = axes[0, 0].get_ylim()
    axes[0, 0].set_ylim(bottom=min(low / 3, high / 20))  # room for the exponents
    for panel in axes.flat:
        style.log_labels(panel.yaxis)
    handles = [style.handle(f"p = {p}", **style.of_exponent(p)) for p in EXPONENTS]
    bound_line = style.handle("bound t^(−1/(3p−2))", color=style.GREY, linestyle=":", linewidth=1.2)
    style.legend_above(figure, [*handles, bound_line], 5)
    return Drawn(figure, {_name("fig5", d): pd.DataFrame(rows)})


def averages(record: Record, kind: str) -> tuple[Array, Array]:
    """(n,) iterations and the average so far, mean over the judging seeds; "tuned": at the best η for each t."""
    last = int(record.config["steps"])
    if kind == "tuned":
        every = family([record], costs(max(1.0, last / 200), last), iterations=True)
        return every.cost, every.envelope
    one = shown(record, equal_step(record), "hypergradient_norm_mean")
    inside = one.iterations >= max(1.0, last / 200)
    return one.iterations[inside], one.values[:, inside].mean(axis=0)


def _name(figure: str, d: int) -> str:
    return f"hoelder_{figure}" + ("" if d == JUDGED else f"_{d}d")


# Section -------------------------------------------------------------------------------------------------------------


def _blocks(evidence: Evidence) -> Iterable[Block]:
    rows = []
    for d in sorted({dimension(record) for record in evidence.require(EXPERIMENT)}, reverse=True):
        for noise, by_p in groups(evidence, d).items():
            for kind, step_of in STEPS.items():
                row = {"d": d, "noise": noise, "η": kind}
                for p, record in by_p.items():
                    step = step_of(record)
                    row[f"p = {p}"] = f"{_averages(record, step).mean():.3g} (η = {step:.3g})"
                rows.append(row)
    yield Heading(3, "Figure 1 on the Hölder problem")
    yield Paragraph(
        f"Average of ‖∇φ‖ over the first {FIRST:.0%} of the iterations, mean over the judging seeds, and its η. The "
        "noise is a variance, the same on g_y and on df/dz."
    )
    yield frame_table(pd.DataFrame(rows))


def _claim(name: str, statement: str, source: str, rule: Callable[[Evidence], Outcome], figure: str) -> Claim:
    return Claim(name, statement, Kind.EXTENSION, source, rule, exponents=EXPONENTS, figure=figure)


_FIG1 = "Figure 1(a–d), on a problem on which p matters"
_FIG5 = "Appendix E.3, Figure 5(b), on a problem on which p matters"
_AT = {"equal": "at equal η", "tuned": "at an η tuned for every p"}


def _drawings(d: int) -> tuple[Drawing, ...]:
    where = f"the Hölder problem, d = {d}, asymmetric"
    return (
        Drawing(
            _name("fig1", d),
            f"On {where}: every p at one η, and at its best η. Median and interquartile band over seeds "
            "that did not choose.",
            partial(draw_first, d=d),
            title=f"Figure 1 where p matters, d = {d}",
            variant=d != JUDGED,
        ),
        Drawing(
            _name("fig5", d),
            f"On {where}: averaged norms at one η, and the least over all η for each t; dotted, the bounds.",
            partial(draw_fifth, d=d),
            title=f"Figure 5 where p matters, d = {d}",
            variant=d != JUDGED,
        ),
    )


def _tried(evidence: Evidence) -> Steps:
    return Steps(
        f"The Hölder problem, d = {JUDGED}",
        "The Hölder problem is one on which p matters.",
        groups(evidence, JUDGED),
        lambda record, _, step, metric: shown(record, step, metric),
        "η tuned for each p",
        tuned_step,
        part=FIRST,
        equal=EQUAL_STEP,
    )


STUDY = Study(
    experiments=(EXPERIMENT,),
    kept=Kept(
        points=None,
        metrics=("hypergradient_norm", "hypergradient_norm_mean"),
        ends=soundness.LATE,
        finals=soundness.FINAL,
        finer={"hypergradient_norm_mean": (14, END_BITS)},
    ),
    drawings=(*_drawings(JUDGED), *_drawings(1)),
    claims=tuple(
        claim
        for kind, at in _AT.items()
        for claim in (
            _claim(
                f"hoelder-slower-{kind}",
                f"On the Hölder problem a larger p is slower {at}: its average of ‖∇φ‖ is larger.",
                _FIG1,
                slower(kind),
                "hoelder_fig1",
            ),
            _claim(
                f"hoelder-flatter-{kind}",
                f"On the Hölder problem a larger p gives a flatter power law of the averaged norm {at}.",
                _FIG5,
                flatter(kind),
                "hoelder_fig5",
            ),
        )
    ),
    blocks=_blocks,
    tried=_tried,
    caveats=(
        "The Hölder problem is ours. ‖∇φ‖ at one and the same x is larger for a larger p there, as it has to be where "
        "∇φ is Hölder with exponent 1/(p − 1); on Example 3 it is the same, and so are the curves at equal η.",
        "K = 100 and I = 2 for every p, as on Example 3: with noise a part of what a larger p loses is that 100 lower "
        "steps bring it less close to y*(x).",
        "In one dimension a normalised step sees a sign only; d = 4 is judged, d = 1 stands beside it.",
    ),
)
