"""UniBiO without one of its parts: periods, momentum, shrinking balls, averaging, warm starts, each switched off.

What a popular summary praises (periodic updates, momentum, shrinking balls) and what it does not name. Every variant
has the same budget of oracle calls and the same settings to choose from; some seeds choose, others judge.
"""

from __future__ import annotations

from functools import partial

from unibio.store.thinning import Kept
from unibio.studies.ablation.figures import draw, section
from unibio.studies.ablation.measures import EXPONENTS, PROBLEMS
from unibio.studies.ablation.rules import helps
from unibio.studies.common import soundness
from unibio.studies.common.claim import Claim
from unibio.studies.common.drawing import Drawing
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study, no_curves

_STRATEGY = (
    "“The Breakthrough: A New Map and a New Strategy”; measured at one budget of oracle calls, settings searched"
)


def _claim(name: str, statement: str, part: str, kind: Kind = Kind.SUMMARY, source: str = _STRATEGY) -> Claim:
    return Claim(f"ablation-{name}", statement, kind, source, partial(helps, part=part), exponents=EXPONENTS)


STUDY = Study(
    experiments=tuple(PROBLEMS),
    shown=no_curves,
    kept=Kept(metrics=("hypergradient_norm_mean", *soundness.LATE, *soundness.FINAL)),
    drawings=(
        Drawing(
            "ablation",
            "Without one of its parts: the mean of ‖∇φ‖ over the iterates (ℓ_p-regression: φ) at "
            "the end of the budget by that with all parts, with 95% intervals over the judging "
            "seeds; above 1 the part helps. Grey: alike.",
            draw,
            title="What each part of UniBiO is worth",
        ),
    ),
    claims=(
        _claim(
            "periods",
            "Checking the lower level every few iterations, not at every one, gets further for the same cost.",
            "periods",
        ),
        _claim("momentum", "Momentum between the checks gets further for the same cost.", "momentum"),
        _claim("balls", "Shrinking balls around the lower level's search get further for the same cost.", "balls"),
        _claim(
            "averaging",
            "Averaging over an epoch of Algorithm 1 gets further than its last iterate.",
            "averaging",
            Kind.QUESTION,
            "whether averages, which no source praises, matter more than what is praised",
        ),
        _claim(
            "warm-starts",
            "Solving the lower level from its last solution gets further than from the start.",
            "warm starts",
            Kind.QUESTION,
            "whether it is the warm start that makes a short solve enough",
        ),
        _claim(
            "first-solve",
            "The solve before the first iteration is worth its calls.",
            "the first solve",
            Kind.QUESTION,
            "whether the warm start of Algorithm 2's first line matters once y is solved for again and again",
        ),
    ),
    blocks=section,
    caveats=(
        "Settings are η × γ₁ × K with K = 5 or 40 and I = 8, for every variant; β = 0.9. At other periods or budgets "
        "parts may be worth something else. Without balls means balls that no step leaves; steps halve and epochs grow "
        "as ever.",
        "Values within 5% (φ: 2%) are alike; that and the numbers of seeds were settled after a look at p = 4.",
        "A part that helps is worth its calls on most of these nine problems and p; a few seeds do not see less than "
        "some per cent.",
    ),
)
