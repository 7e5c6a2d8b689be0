"""UniBiO without p beside UniBiO with it, with a wrong one, and the methods for p = 2. Ours: docs/adaptive.md."""

from __future__ import annotations

from unibio.studies.common.claim import Claim
from unibio.studies.common.drawing import Drawing
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.unknown_exponent.figures import blocks, draw
from unibio.studies.unknown_exponent.measures import EXPERIMENTS, MAIN
from unibio.studies.unknown_exponent.rules import goal, held_out, misinformed

#: The commit that fixed the constants of UniBiO without p, which is older than every record on a held-out cell.
FIXED = "82750be"

STUDY = Study(
    experiments=EXPERIMENTS,
    drawings=(
        Drawing(
            "unknown_exponent",
            "Oracle calls to two accuracies: UniBiO without p over others, median and 95 % interval over the judging "
            "seeds; at the right edge it, at the left edge the other does not get there. Grey: at most twice the "
            "calls. Starred cells are held out.",
            draw,
            (MAIN,),
        ),
    ),
    claims=(
        Claim(
            "unknown-goal",
            "UniBiO without p needs at most twice the oracle calls of UniBiO with p, the same rule for η and searched "
            "settings, in 80 % of the cells, and reaches every accuracy.",
            Kind.QUESTION,
            "the paper's limitation, that p must be known",
            goal,
            experiments=(MAIN,),
        ),
        Claim(
            "unknown-held-out",
            "The same holds of the cells that no constant was chosen with.",
            Kind.QUESTION,
            "whether the defaults of UniBiO without p were fitted to the problems they were chosen on",
            held_out,
            experiments=EXPERIMENTS,
        ),
        Claim(
            "unknown-misinformed",
            "Without p UniBiO needs fewer calls than with the worst of the wrong p' = 2, 4, 6, 8, in most cells.",
            Kind.QUESTION,
            "what it costs to believe in a wrong p",
            misinformed,
            experiments=(MAIN,),
        ),
    ),
    blocks=blocks,
    caveats=(
        f"The constants of UniBiO without p were fixed in commit {FIXED}, before there was a record on a held-out "
        "cell: ℓ_p-regression with p = 3 and 6, and corrupted labels. The Hölder problem in four dimensions is counted "
        "among them as it was meant to be, but prototypes had been looked at there (docs/adaptive.md): it is spent.",
        "The budget is 10⁵ calls on problems in closed form, 3·10⁴ on ℓ_p-regression and 5·10³ on corrupted labels.",
        "Accuracies are those of the fair baseline, so that it cannot fail by being asked too much.",
    ),
)
