"""Global optimality from random starts, on problems whose optimum is known."""

from __future__ import annotations

from collections.abc import Iterable

from unibio.store.thinning import Kept
from unibio.studies.common.claim import Claim
from unibio.studies.common.document import Block, Heading, Table
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.global_optimality.figures import DRAWINGS
from unibio.studies.global_optimality.measures import EXPERIMENT, PROBLEMS, summary, touched
from unibio.studies.global_optimality.rules import (
    from_every_start,
    implicit_gradients_fail,
    log_curve,
    role_of_penalty,
    spurious,
)


def _blocks(evidence: Evidence) -> Iterable[Block]:
    yield Heading(3, "Global optimality")
    yield Table(
        [
            "problem",
            "method",
            "tried",
            "starts that reach the optimum",
            "f − f* at the end",
            "least",
            "largest",
            "g − g*",
        ],
        [
            [PROBLEMS[row["problem"]], row["method"], f"{row['tried']}", f"{row['reached']:.0%} of {row['starts']}"]
            + [f"{row[name]:.2g}" for name in ("upper_gap", "upper_gap_min", "upper_gap_max", "lower_gap")]
            for _, row in summary(evidence).iterrows()
        ],
    )


STUDY = Study(
    experiments=(EXPERIMENT,),
    kept=Kept(points=None, end_bits=53, metrics=("upper_gap", "lower_gap")),
    drawings=DRAWINGS,
    claims=(
        Claim(
            "global-every-start",
            "Joint PBGD reaches the global optimum of two-layer linear representation learning from every random "
            "start, where it follows the lower level closely.",
            Kind.PILOT,
            "abstract: convergence to the global minimum in representation learning",
            from_every_start,
        ),
        Claim(
            "global-log-curve",
            "The gap to the global optimum falls linearly on a log scale, as O(log²(1/ε)) iterations allow.",
            Kind.PILOT,
            "its theorem on joint PL (the abstract, all that we have of its text, names no rate)",
            log_curve,
        ),
        Claim(
            "global-penalty",
            "Blockwise PBGD on linear hyper-cleaning ends with g − g* = O(γ^(−2)), so that γ = O(ε^(−1/2)), and "
            "|f − f*| = O(1/γ), from every start.",
            Kind.PILOT,
            "its theorem on blockwise PL, and the abstract: convergence to the global minimum in hyper-cleaning",
            role_of_penalty,
            figure="global_optimality_penalty",
        ),
        Claim(
            "global-implicit",
            "On linear hyper-cleaning implicit-gradient methods stay farther from the global optimum than PBGD, from "
            "every one of the same starts.",
            Kind.QUESTION,
            "whether PBGD is needed where the lower level has more than one solution",
            implicit_gradients_fail,
        ),
        Claim(
            "global-spurious",
            "Without the Polyak–Łojasiewicz condition there is no guarantee: from part of the starts every method "
            "ends in a spurious local minimum.",
            Kind.PILOT,
            "abstract: bilevel problems may have multiple spurious local solutions",
            spurious,
        ),
    ),
    blocks=_blocks,
    touched=touched,
)
