"""Names of algorithms and problems. A plain table: what is configurable is what stands here."""

from __future__ import annotations

from unibio.algorithms import variants
from unibio.algorithms.amigo import AmIGO
from unibio.algorithms.base import Algorithm
from unibio.algorithms.bo_rep import BOREP
from unibio.algorithms.bome import BOME
from unibio.algorithms.f2ba import F2BA
from unibio.algorithms.f2sa import F2SA
from unibio.algorithms.f3sa import F3SA
from unibio.algorithms.lower_only import LowerOnly
from unibio.algorithms.ma_soba import MASOBA
from unibio.algorithms.mrbo import MRBO
from unibio.algorithms.pbgd import PBGD
from unibio.algorithms.proximal import Proximal, ProximalMomentum
from unibio.algorithms.released import ReleasedUniBiO
from unibio.algorithms.saba import SABA
from unibio.algorithms.soba import SOBA
from unibio.algorithms.stocbio import BSA, StocBiO
from unibio.algorithms.sustain import SUSTAIN
from unibio.algorithms.ttsa import TTSA
from unibio.algorithms.unibio import PlainUniBiO, UniBiO
from unibio.algorithms.vrbo import VRBO
from unibio.errors import unknown
from unibio.problem import ProblemSpec
from unibio.problems.corrupted_labels import CorruptedLabels
from unibio.problems.double_well import DoubleWell
from unibio.problems.example3 import Coordinatewise, Example3
from unibio.problems.linear_models import LinearCleaning, RepresentationLearning
from unibio.problems.lower_bound import LowerBound
from unibio.problems.lp_regression import LpRegression
from unibio.problems.nasty import Nasty
from unibio.problems.nli_cleaning import NLICleaning
from unibio.problems.noisy_quadratic import NoisyQuadratic
from unibio.problems.penalised_quadratic import PenalisedQuadratic
from unibio.problems.quadratic import Quadratic

ALGORITHMS: dict[str, type[Algorithm]] = {
    cls.name: cls
    for cls in (
        UniBiO,
        PlainUniBiO,
        ReleasedUniBiO,
        StocBiO,
        BSA,
        TTSA,
        SOBA,
        MASOBA,
        SABA,
        AmIGO,
        SUSTAIN,
        MRBO,
        VRBO,
        BOREP,
        F2SA,
        F3SA,
        F2BA,
        Proximal,
        ProximalMomentum,
        BOME,
        PBGD,
        LowerOnly,
    )
}
#: Deviations of the released code from what is published: to be run by the study of them, not listed as methods.
VARIANTS: dict[str, type[Algorithm]] = {cls.name: cls for cls in variants.VARIANTS}
PROBLEMS: dict[str, type[ProblemSpec]] = {
    cls.name: cls
    for cls in (
        Example3,
        Coordinatewise,
        Quadratic,
        NoisyQuadratic,
        PenalisedQuadratic,
        LpRegression,
        NLICleaning,
        CorruptedLabels,
        RepresentationLearning,
        LinearCleaning,
        DoubleWell,
        Nasty,
        LowerBound,
    )
}


def algorithm_class(name: str) -> type[Algorithm]:
    """The algorithm or variant of a name. Raises InputError with the known names."""
    if name not in ALGORITHMS and name not in VARIANTS:
        raise unknown("algorithm", name, ALGORITHMS)
    return {**ALGORITHMS, **VARIANTS}[name]


def problem_class(name: str) -> type[ProblemSpec]:
    """The problem of a name. Raises InputError with the known names."""
    if name not in PROBLEMS:
        raise unknown("problem", name, PROBLEMS)
    return PROBLEMS[name]
