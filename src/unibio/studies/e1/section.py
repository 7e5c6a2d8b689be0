"""The report's section on Appendix E.1: tuned steps, and what happens at x = 0."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from unibio.errors import InputError
from unibio.studies.common import methods
from unibio.studies.common.document import KEEP_IN_MIND, Beside, Block, Bullets, Heading, Paragraph, frame_table
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.search import TIE
from unibio.studies.e1 import crossing
from unibio.studies.e1.calls import ranks
from unibio.studies.e1.caveats import caveats, searched, settings
from unibio.studies.e1.search import SMALL_CAP, searches, summary_of

WHERE = {
    "e1": "Example 3 without noise",
    "e1_noise": "Example 3 with noise of variance 1 on the gradients of both levels",
    "e1_noise_lower": "Example 3 with noise of variance 1 on the lower level's gradient only",
    "e1_coordinatewise": "the coordinate-wise problem",
}

_SETTINGS = (
    "As the records say; the steps η and on y are searched. `Q`, `c`: length and step of the Neumann sum; `z-step`: "
    "step on the auxiliary iterate; `K`: budget of a call of Epoch-SGD; `I`: period of what is not done at every "
    "iteration. Decays are listed where they are not 0."
)
_COMPARISON = (
    "Every method at its best pair of steps. Criterion: hypergradient norm averaged over the run; ranks count the "
    f"methods that are better by more than {TIE:.0%}. `converging`: part of the searched pairs after which |∇φ| stays "
    "small, and of those that keep ‖y − y*(x)‖ small, too; a best pair that does not was found by leaving the lower "
    "level aside, and `rank, y solved` is that among the pairs that do. The paper's step is known for UniBiO only; in "
    "d dimensions it is times √d, which is ours. A range whose end is better than its inside was not searched far "
    "enough, among all pairs or among those with y solved. `equal calls`: at the calls of the cheapest run. SABA is "
    "left out: without samples it is SOBA."
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


def blocks(evidence: Evidence) -> Iterable[Block]:
    """Heading, text and table for every experiment of the comparison that has records."""
    compared: list[str] = []
    shown: pd.DataFrame | None = None
    for experiment, where in WHERE.items():
        if not evidence.records(experiment):
            continue
        try:
            found = searches(evidence, experiment)
            table = summary_of(evidence, experiment).merge(ranks(evidence, experiment), on=["d", "p", "method"])
        except InputError as error:
            yield from (Heading(3, f"Appendix E.1 on {where}"), Paragraph(str(error)))
            continue
        given = settings(found)
        if shown is None or not given.equals(shown):
            yield from _part(f"Settings of Appendix E.1 on {where}" + " and below" * (shown is None), _SETTINGS, given)
        shown = given
        compared.append(experiment)
        yield from _part(f"Appendix E.1 on {where}", f"{_COMPARISON} {searched(found)}", table)
        if experiment == "e1":
            kinds = pd.concat([crossing.table(found, cap) for cap in (SMALL_CAP, math.inf)], ignore_index=True)
            kinds["cap"] = kinds["cap"].map(lambda cap: "none" if math.isinf(cap) else f"{cap:g}")
            yield from _part("The crossing of x = 0 at the best pairs", _CROSSING, kinds)
            yield from _part("The crossing of x = 0 over pairs of steps", _SHARES, crossing.shares_of(evidence))
    if compared:
        said = caveats(evidence, compared)
        yield Beside(KEEP_IN_MIND, [Heading(3, f"{KEEP_IN_MIND} about Appendix E.1"), Bullets(said)])


def _part(heading: str, text: str, table: pd.DataFrame) -> tuple[Block, ...]:
    return Heading(3, heading), Paragraph(text), frame_table(methods.labelled(table))
