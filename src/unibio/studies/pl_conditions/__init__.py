"""The pilot study's two conditions, joint and blockwise PL, measured along trajectories; and what they promise."""

from __future__ import annotations

from collections.abc import Iterable

from unibio.studies.common.claim import Claim
from unibio.studies.common.document import Block, Heading, Table
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.pl_conditions.figures import DRAWINGS
from unibio.studies.pl_conditions.measures import EXPERIMENT, LINEAR, PARTS, PROBLEMS, REPRESENTATION, WEIGHTED, moduli
from unibio.studies.pl_conditions.rules import can_fail, condition, growing_penalty, iterations


def _blocks(evidence: Evidence) -> Iterable[Block]:
    yield Heading(3, "The two conditions along trajectories")
    yield Table(
        [
            "problem",
            "γ",
            "inequality",
            "starts",
            "least μ",
            "least over that at the starts",
            "exponent of the excess",
            "excess left",
        ],
        [
            [
                *(PROBLEMS[row["problem"]], row["penalty"], PARTS[row["part"]], f"{row['starts']}"),
                *(f"{row['least']:.2g}", f"{row['share']:.2g}", f"{row['exponent']:.2f}", f"{row['left']:.2g}"),
            ]
            for _, row in moduli(evidence).iterrows()
        ],
    )


_JOINT = "its theorem on joint PL"
_BLOCKWISE = "its theorem on blockwise PL"
_RATE = f"{_JOINT} (the abstract, all that we have of its text, names no rate)"

STUDY = Study(
    experiments=(EXPERIMENT,),
    drawings=DRAWINGS,
    claims=(
        Claim(
            "conditions-joint",
            "The penalised objective of two-layer linear representation learning satisfies joint PL along PBGD's "
            "trajectories, from every start.",
            Kind.PILOT,
            _JOINT,
            condition(REPRESENTATION, ("joint",)),
        ),
        Claim(
            "conditions-blockwise",
            "The penalised objective of linear hyper-cleaning satisfies blockwise PL along PBGD's trajectories, from "
            "every start.",
            Kind.PILOT,
            _BLOCKWISE,
            condition(LINEAR, ("lower", "upper")),
        ),
        Claim(
            "conditions-blockwise-weights",
            "It still does where there are more training points than features, so that the solution depends on the "
            "weights.",
            Kind.EXTENSION,
            "theorem on blockwise PL, for hyper-cleaning whose training data can be fitted whatever the weights",
            condition(WEIGHTED, ("lower", "upper")),
        ),
        Claim(
            "conditions-fail",
            "On the double well, where methods end in a spurious minimum, both inequalities are seen to fail: the "
            "joint one, and of the blockwise ones that of the upper level.",
            Kind.QUESTION,
            "whether what measures the conditions can tell that they fail",
            can_fail,
        ),
        Claim(
            "conditions-iterations",
            "At a fixed γ the iterations to within ε of the global optimum grow no faster than log²(1/ε).",
            Kind.PILOT,
            _RATE,
            iterations,
            figure="pl_conditions_iterations",
        ),
        Claim(
            "conditions-iterations-penalty",
            "With γ = ε^(−1/2) the iterations to within ε of the global optimum grow no faster than log²(1/ε).",
            Kind.PILOT,
            _RATE,
            growing_penalty,
            figure="pl_conditions_iterations",
        ),
    ),
    blocks=_blocks,
    caveats=(
        "Numbers along trajectories refute a condition, or find the constant that these trajectories saw; they prove "
        "none. The pilot study's theorems are known to us by their statements alone, not by their constants: where the "
        "last claim fails, it is its reading with a constant that does not depend on γ that fails.",
    ),
)
