"""The report's section on Appendix E.1: tuned steps, what happens at x = 0, and the released code's deviations."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from unibio.analysis import crossing, discrepancies, e1
from unibio.analysis.lr_search import TIE
from unibio.analysis.study import Study
from unibio.document import Block, Heading, Paragraph, frame_table
from unibio.errors import InputError
from unibio.figures.e1 import drawings
from unibio.report.section import Section

_WHERE = {
    "e1": "Example 3 without noise",
    "e1_noise": "Example 3 with noise of variance 1",
    "e1_coordinatewise": "the coordinate-wise problem",
}


def blocks(study: Study) -> Iterable[Block]:
    """Heading, text and table for every experiment of the comparison that has records."""
    for experiment, where in _WHERE.items():
        if not study.records(experiment):
            continue
        try:
            found = e1.searches(study, experiment)
            table = e1.summary_of(study, experiment)
        except InputError as error:
            yield from (Heading(3, f"Appendix E.1 on {where}"), Paragraph(str(error)))
            continue
        text = (
            "Every method at its best pair of steps. Criterion: hypergradient norm averaged over the run; ranks count "
            f"the methods that are better by more than {TIE:.0%}. `converging`: part of the searched pairs after which "
            "|∇φ| stays small, and of those that keep ‖y − y*(x)‖ small, too; a best pair that does not was found by "
            "leaving the lower level aside, and `rank, y solved` is that among the pairs that do. The paper's step is "
            "known for UniBiO only. A range that the best region leaves at an edge was not searched far enough. SABA "
            "is left out: without samples it is SOBA."
        )
        if experiment == "e1_noise":
            text += " The pair is chosen on the first half of the seeds, the criterion is that of the second."
        yield from _part(f"Appendix E.1 on {where}", text, table)
        if experiment == "e1":
            kinds = pd.concat([crossing.table(found, cap) for cap in (e1.SMALL_CAP, math.inf)], ignore_index=True)
            kinds["cap"] = kinds["cap"].map(lambda cap: "none" if math.isinf(cap) else f"{cap:g}")
            yield from _part("The crossing of x = 0 at the best pairs", _CROSSING, kinds)
            yield from _part("The crossing of x = 0 over pairs of steps", _SHARES, crossing.shares_of(study))
    if study.records("discrepancies"):
        deviations = discrepancies.summary(discrepancies.by_step(study))
        yield from _part("Deviations of the released code", _DISCREPANCIES, deviations)


def _part(heading: str, text: str, table: pd.DataFrame) -> tuple[Block, ...]:
    return Heading(3, heading), Paragraph(text), frame_table(table)


_DISCREPANCIES = (
    "Full-batch quadratic. `smallest ‖∇φ‖ reached` is over the upper steps: where a method rests, it is the bias of "
    "its hypergradient, of a published one that of its finite Neumann sum. TTSA and SUSTAIN draw the sum's length, "
    "whose variance does not let them rest; UniBiO's normalised steps circle at a distance of about a step, so that "
    "the smallest step decides. A step is stable where no run diverges or ends at "
    f"{discrepancies.GROWN:g} times ‖∇φ‖ of its start. Multiples count nothing below {discrepancies.ROUNDING:g}, which "
    "is rounding. UniBiO's deviation is none at p = 2: there both are told p = 3."
)
_CROSSING = (
    f"Band |x| ≤ {crossing.BAND:g}; a run passes it, slows to less than {crossing.SLOW:g} times its pace before, "
    "stalls, turns back, jumps over it in one iteration, falls short of it or diverges. `pace` is the pace in the band "
    "over that before; exact descent speeds up. A `cap` bounds the upper step."
)
_SHARES = (
    f"The same as parts of the pairs with upper steps {crossing.WINDOW[0][0]:g} to {crossing.WINDOW[0][1]:g} and lower "
    f"steps from {crossing.WINDOW[1]:g} on, where y follows y*(x)."
)

SECTION = Section(
    title="Appendix E.1: every method at tuned steps",
    experiments=(*_WHERE, "discrepancies"),
    figures=tuple(drawing.name for drawing in drawings()),
    blocks=blocks,
)
