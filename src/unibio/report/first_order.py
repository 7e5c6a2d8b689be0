"""The report's section on the first-order family: fitted rates, and what to keep in mind."""

from __future__ import annotations

from collections.abc import Iterable

from unibio.analysis import penalty_rates
from unibio.analysis.study import MissingRecordsError, Study
from unibio.document import Block, Heading, Table
from unibio.errors import InputError
from unibio.figures.penalty_rates import drawings as rate_drawings
from unibio.report.section import Section


def blocks(study: Study) -> Iterable[Block]:
    """A table for every experiment that has records."""
    yield from _rates(study)


def _rates(study: Study) -> Iterable[Block]:
    try:
        found = penalty_rates.rates(study)
    except MissingRecordsError:
        return
    rows: list[list[str | float]] = []
    for one in found:
        row: list[str | float] = [penalty_rates.NAMES[one.method], penalty_rates.CASES[one.case], f"{one.bound:.3f}"]
        try:
            slopes = one.slopes()
        except InputError:  # diverged, or too short
            slopes = None
        if slopes is None or slopes.empty:
            rows.append([*row, "none", "none"])
            continue
        last = slopes[slopes["kind"] == "to_end"].iloc[-1]
        interval = f"{last['slope']:.3f} [{last['interval_low']:.3f}, {last['interval_high']:.3f}]"
        rows.append([*row, interval, f"{slopes['slope'].min():.3f} to {slopes['slope'].max():.3f}"])
    yield Heading(3, "Rates of the penalty methods")
    yield Table(["method", "noise", "slides' exponent", "slope of the last fit range", "slopes over all ranges"], rows)


SECTION = Section(
    title="The first-order family",
    experiments=(penalty_rates.SCHEDULED, penalty_rates.FIXED),
    figures=tuple(drawing.name for drawing in rate_drawings()),
    blocks=blocks,
    caveats=(
        "The slides' exponents are upper bounds over a class of problems, up to constants. A quadratic is an easy "
        "member of that class: a slope below the exponent is consistent with the bound and does not improve it.",
    ),
)
