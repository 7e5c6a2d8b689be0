"""Example 2, ℓ_p-regression hyper-cleaning: every second-order method at its best pair of steps."""

from __future__ import annotations

from unibio.store.thinning import BITS, Kept
from unibio.studies.common.claim import Claim
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.lp_regression.figures import DRAWINGS
from unibio.studies.lp_regression.rules import (
    better_classifier,
    less_inner_work,
    lowest_value,
    ranking_changes,
    separates,
)
from unibio.studies.lp_regression.section import blocks
from unibio.studies.lp_regression.tuned import EXPERIMENT, EXPONENTS, reported, touched


def _lowest(p: int) -> Claim:
    return Claim(
        f"lp-lowest-p{p}",
        "At an equal oracle budget UniBiO, with K = 100 and I = 2 as in the synthetic experiments, reaches the lowest "
        f"φ of all methods that draw as many data points on ℓ_p-regression, p = {p}.",
        Kind.EXTENSION,
        "Section 6, taken to Example 2, on which the paper runs nothing",
        lowest_value(p),
        exponents=(p,),
    )


STUDY = Study(
    experiments=(EXPERIMENT,),
    shown=reported,
    kept=Kept(
        metrics=("value", "test_accuracy", "cleaning_auc"),
        ends=("lower_error", "hypergradient_norm", "weight_spread"),
        finer={"value": (BITS, 53)},  # by which steps are chosen, some of which end alike
    ),
    drawings=DRAWINGS,
    claims=(
        *(_lowest(p) for p in EXPONENTS),
        Claim(
            "lp-separates",
            "The learned weights tell clean from corrupted samples: the AUC is above ½ beyond its interval, for every "
            "method and p.",
            Kind.EXTENSION,
            "Example 2, on which the paper runs nothing",
            separates,
            figure="lp_regression_cleaning",
            exponents=EXPONENTS,
        ),
        Claim(
            "lp-ranking-changes",
            "A larger p changes the ranking of the methods by φ, between p = 2 and p = 6.",
            Kind.QUESTION,
            "uniform convexity is what p changes",
            ranking_changes,
            exponents=EXPONENTS,
        ),
        Claim(
            "lp-better-classifier",
            "The method with the lowest φ has the highest accuracy on clean test images, for every p.",
            Kind.QUESTION,
            "what φ is worth",
            better_classifier,
            figure="lp_regression_cleaning",
            exponents=EXPONENTS,
        ),
        Claim(
            "lp-less-inner-work",
            "At an equal oracle budget UniBiO ends lower with K = 30, I = 4 than with K = 100, I = 2, for every p.",
            Kind.QUESTION,
            "what the lower-level work is worth",
            less_inner_work,
            exponents=EXPONENTS,
        ),
    ),
    blocks=blocks,
    touched=touched,
)
