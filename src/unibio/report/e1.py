"""The report's section on Appendix E.1: tuned steps, what happens at x = 0, and the released code's deviations."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from unibio.analysis import crossing, discrepancies, e1, e1_calls
from unibio.analysis.lr_search import TIE
from unibio.analysis.study import Study
from unibio.document import Block, Bullets, Heading, Paragraph, frame_table
from unibio.errors import InputError
from unibio.figures.e1 import drawings
from unibio.report import e1_caveats
from unibio.report.section import Section

_WHERE = {
    "e1": "Example 3 without noise",
    "e1_noise": "Example 3 with noise of variance 1",
    "e1_coordinatewise": "the coordinate-wise problem",
}


def blocks(study: Study) -> Iterable[Block]:
    """Heading, text and table for every experiment of the comparison that has records."""
    compared: list[str] = []
    shown: pd.DataFrame | None = None
    for experiment, where in _WHERE.items():
        if not study.records(experiment):
            continue
        try:
            found = e1.searches(study, experiment)
            table = e1.summary_of(study, experiment).merge(e1_calls.ranks(study, experiment), on=["d", "p", "method"])
        except InputError as error:
            yield from (Heading(3, f"Appendix E.1 on {where}"), Paragraph(str(error)))
            continue
        given = e1_caveats.settings(found)
        if shown is None or not given.equals(shown):
            yield from _part(f"Settings of Appendix E.1 on {where}" + " and below" * (shown is None), _SETTINGS, given)
        shown = given
        compared.append(experiment)
        text = (
            "Every method at its best pair of steps. Criterion: hypergradient norm averaged over the run; ranks count "
            f"the methods that are better by more than {TIE:.0%}. `converging`: part of the searched pairs after which "
            "|∇φ| stays small, and of those that keep ‖y − y*(x)‖ small, too; a best pair that does not was found by "
            "leaving the lower level aside, and `rank, y solved` is that among the pairs that do. The paper's step is "
            "known for UniBiO only; in d dimensions it is times √d, which is ours. A range whose end is better than "
            "its inside was not searched far enough, among all pairs or among those with y solved. `equal calls`: at "
            "the calls of the cheapest run. SABA is left out: without samples it is SOBA. "
        )
        text += e1_caveats.searched(found)
        yield from _part(f"Appendix E.1 on {where}", text, table)
        if experiment == "e1":
            kinds = pd.concat([crossing.table(found, cap) for cap in (e1.SMALL_CAP, math.inf)], ignore_index=True)
            kinds["cap"] = kinds["cap"].map(lambda cap: "none" if math.isinf(cap) else f"{cap:g}")
            yield from _part("The crossing of x = 0 at the best pairs", _CROSSING, kinds)
            yield from _part("The crossing of x = 0 over pairs of steps", _SHARES, crossing.shares_of(study))
    if compared:
        yield Heading(3, "What to keep in mind about Appendix E.1")
        yield Bullets(e1_caveats.caveats(study, compared))
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
    f"The same as parts of those pairs with upper steps {crossing.WINDOW[0][0]:g} to {crossing.WINDOW[0][1]:g} and "
    f"lower steps from {crossing.WINDOW[1]:g} on at which y follows y*(x): in the median over the band |y − y*(x)| is "
    f"at most {crossing.FOLLOWS:g} times |y*| at the edge of the band. `y behind` counts the others. `Q`: length of a "
    "truncated Neumann sum of the classical Hessian; methods without one solve its linear system step by step."
)
_SETTINGS = (
    "As the records say; the steps η and on y are searched. `Q`, `c`: length and step of the Neumann sum; `z-step`: "
    "step on the auxiliary iterate; `K`: budget of a call of Epoch-SGD; `I`: period of what is not done at every "
    "iteration. Decays are listed where they are not 0."
)

SECTION = Section(
    title="Appendix E.1: every method at tuned steps",
    experiments=(*_WHERE, "discrepancies"),
    figures=tuple(drawing.name for drawing in drawings()),
    blocks=blocks,
)
