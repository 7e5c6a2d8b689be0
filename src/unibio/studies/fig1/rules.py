"""The rules that judge claims about Figure 1: convergence, and what separates the exponents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common.comparisons import every, finals, first_hits
from unibio.studies.common.curves import Array, by_cell, cell_names, cells, late
from unibio.studies.common.evidence import Evidence, dimension, exponent, scale
from unibio.studies.common.readings import BOTH, LOWER, Reading
from unibio.studies.common.soundness import sound, unsound
from unibio.studies.common.verdicts import (
    CONFOUNDED,
    EXPONENTS,
    MOST_SEEDS,
    NOT_REPRODUCED,
    NOT_RUN,
    NOT_TESTABLE,
    REPRODUCED,
    SAME,
    SMALL_GRADIENT,
    TAIL,
    Outcome,
)
from unibio.studies.common.words import by_p, listed, span

#: Two pictures agree when first hits and final averages do within this: less than the eye tells apart on a log axis.
SAME_PICTURE = 0.10
#: Noise does no harm when it costs at most this fraction of the noise-free average.
ROBUST = 0.10

#: Algorithm 2 and the released script.
RELEASED_PAIR = ("fig1", "fig1_released")


def converges(experiment: str, noise: float, reading: Reading = BOTH) -> Callable[[Evidence], Outcome]:
    """|∇φ| stays below ``SMALL_GRADIENT`` per coordinate over the last part of the run, for most seeds and every p.

    And φ has fallen and y gone along: see :mod:`unibio.studies.common.soundness`.
    """
    upper = reading.upper(noise)

    def rule(evidence: Evidence) -> Outcome:
        fractions, tails, unsound_runs = {}, {}, {}
        for record in evidence.require(experiment):
            level = SMALL_GRADIENT * math.sqrt(dimension(record))
            for cell, tail, runs in _tails(record):
                if not (np.isclose(cell["noise"], noise) and reading.holds(cell)):
                    continue
                if (p := exponent(record)) in fractions:
                    raise InputError(f"{experiment} has several cells at noise {noise:g} for p = {p}: which is meant?")
                fractions[p], tails[p] = float(np.mean((tail < level) & runs)), float(np.median(tail))
                unsound_runs[p] = float(np.mean(~runs))
        if missing := [p for p in EXPONENTS if p not in fractions]:
            where = f"noise {noise:g}, upper-level noise {upper:g}, for p = {listed(missing)}"
            return Outcome(NOT_RUN, f"no runs of {experiment} at {where}; run: {evidence.command(experiment)}")
        ok = every(fraction >= MOST_SEEDS for fraction in fractions.values())
        text = "; ".join(f"p = {p}: {tails[p]:.3g}, {fractions[p]:.0%} of the seeds converge" for p in fractions)
        if bad := {p: share for p, share in unsound_runs.items() if share > 1 - MOST_SEEDS}:
            text += "; φ does not fall, or y does not follow y*(x), with " + ", ".join(
                f"{share:.0%} of the seeds (p = {p})" for p, share in bad.items()
            )
        return Outcome(
            REPRODUCED if ok else NOT_REPRODUCED,
            f"median |∇φ| over the last {TAIL:.0%} of the iterations, against {level:.3g}: {text}",
            {"level": level, "tail_median": tails, "fraction_converged": fractions},
        )

    return rule


def _tails(record: Record) -> Iterator[tuple[dict[str, Any], Array, NDArray[np.bool_]]]:
    """Of every cell: what it is, and by seed |∇φ| over the last part of the run and whether the run is sound."""
    tail, runs, table = late(record, "hypergradient_norm"), sound(record), cells(record)
    for cell, group in by_cell(table, cell_names(record)):
        yield cell, tail[group.index], runs[group.index]


def converging(evidence: Evidence, experiment: str) -> pd.DataFrame:
    """p, noise, upper_noise and the part of the seeds that converges, for all combinations of both noises."""
    rows = []
    for record in evidence.require(experiment):
        for cell, tail, runs in _tails(record):
            share = float(np.mean((tail < SMALL_GRADIENT * math.sqrt(dimension(record))) & runs))
            levels = {name: cell.get(name, 0.0) for name in ("noise", "upper_noise")}
            rows.append({"p": exponent(record), **levels, "converging": share})
    return pd.DataFrame(rows)


def slower(published: str, equal: str, cost: str, reading: Reading = BOTH) -> Callable[[Evidence], Outcome]:
    """Larger p needs more ``cost`` to a small gradient at the paper's steps; and at equal steps?

    Not testable where some p gets there and another does not: it may be slower, stuck or broken. Nor where runs do not
    descend with y in tow, which is not for p to explain.
    """

    def rule(evidence: Evidence) -> Outcome:
        unit = cost.replace("_", " ")
        for name in (published, equal):
            reading.levels(evidence, name)
        own, control = (reading.of(first_hits(evidence.require(name))) for name in (published, equal))
        own = own.pivot(index="noise", columns="p", values=cost)
        control = control.pivot(index=["noise", "upper_step"], columns="p", values=cost)
        target = str(first_hits(evidence.require(published))["target"].iloc[0])
        goal = target.replace("hypergradient_norm<", "|∇φ| < ")
        numbers: dict[str, Any] = {"target": target}
        numbers["paper_steps"] = {f"noise {v:g}": by_p(row) for v, row in own.iterrows()}
        numbers["equal_steps"] = {f"noise {v:g}, step {s:g}": by_p(row) for (v, s), row in control.iterrows()}
        if not np.isfinite(own.to_numpy()).any():
            too_short = scale(evidence.require(published)) != "paper"
            text = f"no p reaches {goal} within T = {evidence.require(published)[0].config['steps']}"
            return Outcome(NOT_RUN if too_short else NOT_REPRODUCED, text, numbers)
        numbers["equal_cells_where_slower"] = sum(_rises(row) for _, row in control.iterrows())
        numbers["equal_cells"] = len(control)
        if absent := sorted({*EXPONENTS} - {*own} | {*EXPONENTS} - {*control}):
            return Outcome(NOT_RUN, f"no first hits in {published} or {equal} for p = {listed(absent)}")
        ratio = (control[max(EXPONENTS)] / control[min(EXPONENTS)]).replace([np.inf], np.nan)
        first = ", ".join(f"{v:.0f}" if np.isfinite(v) else "never" for v in own.iloc[0])
        slower_in = numbers["equal_cells_where_slower"]
        text = (
            f"{unit} to {goal} at the paper's steps, noise {own.index[0]:g}: {first} for p = {listed(own.columns)}; "
            f"at equal steps larger p is slower in {slower_in} of {len(control)} cells, and p = {max(EXPONENTS)} needs "
            f"{span(ratio.min(), ratio.max(), '.2f')} times the {unit} of p = {min(EXPONENTS)}"
        )
        if broken := unsound([*evidence.require(published), *evidence.require(equal)], kept=reading.holds):
            return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
        if not every(np.isfinite(own)):
            return Outcome(NOT_TESTABLE, f"{text}; never to get there is not to be slower", numbers)
        if not every(_rises(row) for _, row in own.iterrows()):
            return Outcome(NOT_REPRODUCED, text, numbers)
        everywhere = numbers["equal_cells_where_slower"] == len(control)
        return Outcome(REPRODUCED if everywhere else CONFOUNDED, text, numbers)

    return rule


def same_picture(evidence: Evidence, reading: Reading = BOTH) -> Outcome:
    """First hits and final averages of Algorithm 2, in one reading, and of the released script agree in every panel.

    The script knows no upper-level noise but its own of standard deviation 0.01.
    Every panel of one must be there of the other, and both must get there in all of them: two pictures of runs that get
    nowhere agree in nothing that counts.
    """
    metric, kept = "hypergradient_norm", dict(zip(RELEASED_PAIR, (reading, LOWER), strict=True))
    hits, ends = [], []
    for name, which in kept.items():
        found = evidence.require(name)
        hits.append(which.of(first_hits(found)).set_index(["p", "noise"])["iterations"])
        ends.append(which.of(finals(found, f"{metric}_mean")).set_index(["p", "noise"])["median"])
    if set(hits[0].index) != set(hits[1].index):
        where = f"the same p and noise levels, with noise on {reading.where}"
        return Outcome(NOT_RUN, f"{' and '.join(RELEASED_PAIR)} do not have {where}")
    numbers = {}
    for what, (own, released) in (("first_hit", hits), ("average", ends)):
        both = pd.concat([own, released], axis=1, keys=["own", "released"], join="inner")
        both = both[np.isfinite(both).all(axis=1)]
        numbers[f"{what}_largest_difference"] = float((both["released"] / both["own"] - 1).abs().max())
    arrives = [np.isfinite(hit) for hit in hits]
    one_sided = int((arrives[0] != arrives[1].reindex(hits[0].index)).sum())
    said = {key: "none to compare" if math.isnan(v) else f"{v:.1%}" for key, v in numbers.items()}
    text = (
        "largest relative difference of the medians over p and noise: first hits "
        f"{said['first_hit_largest_difference']}, final averages {said['average_largest_difference']}"
    )
    numbers |= {"panels_only_one_reaches": one_sided}
    if one_sided or max(numbers[f"{what}_largest_difference"] for what in ("first_hit", "average")) > SAME_PICTURE:
        return Outcome(NOT_REPRODUCED, text, numbers)
    if not every(arrives[0]):
        return Outcome(NOT_TESTABLE, f"{text}; neither gets there in {int((~arrives[0]).sum())} panels", numbers)
    own_records, released_records = (evidence.require(name) for name in RELEASED_PAIR)
    if broken := unsound(own_records, kept=reading.holds) or unsound(released_records, lower=False):
        return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
    return Outcome(REPRODUCED, text, numbers)


def robust(evidence: Evidence, reading: Reading = BOTH) -> Outcome:
    """Coordinate-wise: noise neither prevents convergence nor raises the final average by more than ``ROBUST``."""
    found = evidence.require("fig1_coordinatewise")
    ends = reading.of(finals(found, "hypergradient_norm_mean")).pivot(index="p", columns="noise", values="median")
    if 0.0 not in ends or len(ends.columns) < 2 or ends.isna().any(axis=None):
        levels = f"noise 0 and another level on {reading.where}, the same for every p"
        return Outcome(NOT_RUN, f"fig1_coordinatewise needs {levels}")
    ratio = ends.div(ends[0.0], axis=0)
    judged = {v: converges("fig1_coordinatewise", v, reading)(evidence).verdict for v in ends}
    numbers = {"average_over_noise_free": {f"noise {v:g}": by_p(ratio[v]) for v in ratio}, "converges": judged}
    ok = every(ratio <= 1 + ROBUST) and set(judged.values()) == {REPRODUCED}
    text = (
        f"final averaged norm over that without noise: at most {ratio.max(axis=None):.3f}, over all p and noise "
        f"variances up to {max(ends.columns):g}; converges at "
        f"{sum(v == REPRODUCED for v in judged.values())} of {len(judged)} noise levels"
    )
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)


def _rises(row: pd.Series) -> bool:
    """Whether values rise strictly with p, and from first to last by more than a tie."""
    values = row.sort_index().to_numpy(dtype=float)
    if not np.isfinite(values[:-1]).all() or not {*EXPONENTS} <= set(row.index):
        return False  # more than one p that never gets there cannot be ordered
    return bool(np.all(np.diff(values) > 0) and values[-1] > (1 + SAME) * values[0])
