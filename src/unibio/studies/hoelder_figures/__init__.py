"""Figures 1 and 5 on the Hölder problem, on which p matters, at equal and at tuned η: the figures the paper wanted.

On Example 3 φ is the same function for every p, so that its curves differ by their η alone. Here ∇φ is Hölder with
exponent 1/(p − 1) and no better. Half of the seeds choose η, for every p and noise; the others are shown and judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from unibio.store.thinning import END_BITS, Kept
from unibio.studies.common import soundness
from unibio.studies.common.claim import Claim
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.evidence import Evidence, dimension
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.common.trials import Steps
from unibio.studies.common.verdicts import EXPONENTS, Outcome
from unibio.studies.hoelder_figures.figures import DRAWINGS
from unibio.studies.hoelder_figures.measures import (
    EQUAL_STEP,
    EXPERIMENT,
    FIRST,
    JUDGED,
    STEPS,
    first_averages,
    groups,
    shown,
    tuned_step,
)
from unibio.studies.hoelder_figures.rules import flatter, slower


def _blocks(evidence: Evidence) -> Iterable[Block]:
    rows = []
    for d in sorted({dimension(record) for record in evidence.require(EXPERIMENT)}, reverse=True):
        for noise, by_p in groups(evidence, d).items():
            for kind, step_of in STEPS.items():
                row = {"d": d, "noise": noise, "η": kind}
                for p, record in by_p.items():
                    step = step_of(record)
                    row[f"p = {p}"] = f"{first_averages(record, step).mean():.3g} (η = {step:.3g})"
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
    drawings=DRAWINGS,
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
