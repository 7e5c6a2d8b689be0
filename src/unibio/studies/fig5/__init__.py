"""Figure 5: power laws of the averaged hypergradient norm, and what the fit range does to them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pandas as pd

from unibio.store.thinning import Kept
from unibio.studies.common import soundness
from unibio.studies.common.claim import Claim
from unibio.studies.common.document import Block, Heading, Paragraph, Table
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.readings import READINGS, Reading
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import EXPONENTS
from unibio.studies.fig5.figures import DRAWINGS, fits, slope_said
from unibio.studies.fig5.rules import faster_than_bound, flatter, rate


def _slopes_table(table: pd.DataFrame) -> Table:
    exponents = sorted(table["p"].unique())
    kinds = [("the paper's", table[table["paper_step"]])]
    kinds += [(f"{step:g}", group) for step, group in table.groupby("upper_step", sort=False)]
    rows = []
    for label, chosen in kinds:
        for (low, high), group in chosen.groupby(["low", "high"], sort=False):
            by_p = {row.p: row for row in group.itertuples()}
            cells = [
                slope_said(r.slope, (r.interval_low, r.interval_high)) if r else "–"
                for r in (by_p.get(p) for p in exponents)
            ]
            rows.append([label, f"{low:g} … {high:g}", *cells])
    bounds = [f"{table[table['p'] == p]['bound'].iloc[0]:.3f}" for p in exponents]
    return Table(["η", "t", *(f"p = {p}" for p in exponents)], [*rows, ["bound", "", *bounds]])


def _blocks(evidence: Evidence) -> Iterable[Block]:
    yield Heading(3, "Slopes of Figure 5 by fit range")
    for reading in READINGS:
        table = reading.of(fits(evidence))
        if len(table) and (reading.main or table["noise"].max() > 0):
            yield from _slopes(table[table["noise"] == table["noise"].max()], reading)


def _slopes(table: pd.DataFrame, reading: Reading) -> Iterable[Block]:
    yield Paragraph(
        f"Largest noise level, on {reading.where}; mean of the seeds' slopes [95% Student interval over the distinct "
        "seeds, for a fit range that is fixed beforehand]; no interval where all seeds gave the same."
    )
    yield _slopes_table(table)


def _rate(p: int, reading: Reading) -> Claim:
    text = f"The averaged hypergradient norm at p = {p} falls at least as fast as T^(−1/{3 * p - 2}){_where(reading)}."
    source = "Theorem 5.1, as Appendix E.3 reads it for Figure 5"
    return Claim(f"rate-p{p}{_suffix(reading)}", text, _kind(reading), source, rate(p, reading), exponents=EXPONENTS)


def _faster(reading: Reading) -> Claim:
    return Claim(
        f"faster-than-bound{_suffix(reading)}",
        "The observed rates of the averaged hypergradient norm are strictly faster than the bound, for every p"
        f"{_where(reading)}.",
        _kind(reading),
        "Appendix E.3, Figure 5(a–b); its slopes and their fit range are lost to us",
        partial(faster_than_bound, reading=reading),
        figure=f"fig5_ranges{reading.suffix}",
        exponents=EXPONENTS,
    )


def _flatter(reading: Reading) -> Claim:
    return Claim(
        f"flatter-with-p{_suffix(reading)}",
        f"A larger p gives a flatter power law of the averaged hypergradient norm{_where(reading)}.",
        _kind(reading),
        "Appendix E.3, Figure 5(b)",
        partial(flatter, reading=reading),
        figure=f"fig5_ranges{reading.suffix}",
        exponents=EXPONENTS,
    )


def _kind(reading: Reading) -> Kind:
    return Kind.PAPER if reading.main else Kind.EXTENSION


def _suffix(reading: Reading) -> str:
    return reading.suffix.replace("_", "-")


def _where(reading: Reading) -> str:
    return "" if reading.main else f", with noise on {reading.where}"


STUDY = Study(
    experiments=("fig5",),
    # Slopes are fitted to parts of a curve.
    kept=Kept(points=None, metrics=("hypergradient_norm_mean",), ends=soundness.LATE, finals=soundness.FINAL, bits=16),
    drawings=DRAWINGS,
    claims=tuple(
        claim
        for reading in READINGS
        for claim in (*(_rate(p, reading) for p in EXPONENTS), _faster(reading), _flatter(reading))
    ),
    blocks=_blocks,
    caveats=(
        "Figure 5 keeps η fixed. Its averages first rise (the start is not the steepest point), then fall almost "
        "like 1/t, then level off at a floor proportional to η: not a power law, so that the slope is a choice of "
        "fit range. The bound is about a schedule that depends on T.",
        "Seeds differ little before the iterates circle the minimiser; intervals over seeds are therefore narrow, "
        "much narrower than what the fit range does.",
    ),
)
