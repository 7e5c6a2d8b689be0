"""Appendix E.1: UniBiO and the second-order methods, each at its best pair of steps."""

from __future__ import annotations

from collections.abc import Callable

from unibio.studies.common.claim import Claim
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import EXPONENTS, Outcome
from unibio.studies.e1.figures import DRAWINGS
from unibio.studies.e1.published import KEPT, places, shown
from unibio.studies.e1.rules import (
    first,
    lead_of_estimator,
    lower_level_matters,
    robust_to_steps,
    trouble_at_zero,
    tuned_converges,
)
from unibio.studies.e1.search import NOISY, PAPER_METHODS, SMALL_CAP, touched
from unibio.studies.e1.section import WHERE, blocks
from unibio.studies.e1.tried import tried

_ALL = tuple(WHERE)
_NOISE = {experiment: f"noise of variance 1 on {reading.where}" for experiment, reading in NOISY.items()}


def _claim(
    name: str,
    statement: str,
    kind: Kind,
    source: str,
    rule: Callable[[Evidence], Outcome],
    *experiments: str,
    figure: str = "ranking",
) -> Claim:
    """A claim about e1 or other experiments, shown by a figure of the first of them."""
    read = experiments or ("e1",)
    return Claim(name, statement, kind, source, rule, read, f"{read[0]}_{figure}", exponents=EXPONENTS)


def _small_steps(suffix: str, experiment: str, where: str, per_call: bool = False) -> Claim:
    unit = "oracle call" if per_call else "iteration"
    return _claim(
        f"e1-small-steps{suffix}",
        f"With upper steps up to {SMALL_CAP:g}, the largest of the paper's, UniBiO is the fastest of all methods per "
        f"{unit}, or tied with it, for every p, {where}.",
        Kind.EXTENSION,
        "Appendix E.1, against methods added by us, with upper steps no larger than those of Section 6",
        first(experiment, None, cap=SMALL_CAP, per_call=per_call),
        experiment,
    )


def _sensitivity(suffix: str, experiment: str, where: str, figure: str = "ranking") -> Claim:
    return _claim(
        f"e1-sensitivity{suffix}",
        "UniBiO converges, and solves the lower level, at a larger part of the searched steps than any other method, "
        f"for every p, {where}.",
        Kind.QUESTION,
        "what a search for the best steps leaves out",
        robust_to_steps(experiment),
        experiment,
        figure=figure,
    )


STUDY = Study(
    experiments=_ALL,
    drawings=DRAWINGS,
    claims=(
        _claim(
            "e1-first",
            "Of UniBiO, StocBiO, TTSA and MA-SOBA, each at its best pair of steps, UniBiO is the fastest per "
            "iteration for every p.",
            Kind.PAPER,
            "Appendix E.1, whose figures are lost to us, with Section 7 (superiority on a synthetic task); iterations "
            "are our reading",
            first("e1", PAPER_METHODS),
        ),
        _claim(
            "e1-first-of-all",
            "The same against every second-order method.",
            Kind.EXTENSION,
            "Appendix E.1, against methods added by us",
            first("e1", None),
        ),
        _small_steps("", "e1", "on Example 3 without noise"),
        _small_steps("-noise", "e1_noise", f"with {_NOISE['e1_noise']}"),
        _small_steps("-noise-lower", "e1_noise_lower", f"with {_NOISE['e1_noise_lower']}"),
        _small_steps("-coordinatewise", "e1_coordinatewise", "on the coordinate-wise problem, d = 10 and 100"),
        _small_steps("-calls", "e1", "on Example 3 without noise", per_call=True),
        _claim(
            "e1-small-steps-estimator",
            "UniBiO's lead at small steps is that of the generalised estimator: BO-REP, which is normalised alike "
            "but uses the classical Hessian, does not share it.",
            Kind.QUESTION,
            "what UniBiO's lead comes from",
            lead_of_estimator(_ALL),
            *_ALL,
        ),
        _claim(
            "e1-converges",
            "UniBiO at its best pair of steps converges on Example 3 without noise for every p.",
            Kind.PAPER,
            "Appendix E.1, UniBiO at its tuned steps",
            tuned_converges,
            figure="curves",
        ),
        _sensitivity("", "e1", "on Example 3 without noise", figure="sensitivity"),
        _sensitivity("-noise", "e1_noise", f"with {_NOISE['e1_noise']}"),
        _sensitivity("-noise-lower", "e1_noise_lower", f"with {_NOISE['e1_noise_lower']}"),
        _sensitivity("-coordinatewise", "e1_coordinatewise", "on the coordinate-wise problem, d = 10 and 100"),
        _claim(
            "e1-crossing",
            "Where y follows y*(x), methods with a truncated Neumann sum of the classical Hessian are held up at x = "
            "0 for p > 2, not for p = 2.",
            Kind.QUESTION,
            "y* and the classical Hessian vanish at x = 0, where a few terms come nowhere near its inverse",
            trouble_at_zero,
            figure="crossing",
        ),
        _claim(
            "e1-lower-level-solved",
            "The best pair of steps of every method solves the lower level.",
            Kind.QUESTION,
            "otherwise the search does not compare bilevel methods",
            lower_level_matters,
            figure="sensitivity",
        ),
        _claim(
            "e1-first-solved",
            "Among the pairs of steps that solve the lower level UniBiO at its best is the fastest of all per "
            "iteration for every p.",
            Kind.EXTENSION,
            "Appendix E.1, against methods added by us, without the pairs that put the lower level aside",
            first("e1", None, solved=True),
        ),
        *(
            _claim(
                f"e1-first-{experiment[3:].replace('_', '-')}",
                f"With {noise} UniBiO at its best pair of steps is the fastest of all methods per iteration "
                "for every p.",
                Kind.EXTENSION,
                "Appendix E.1, against methods added by us, with noise",
                first(experiment, None),
                experiment,
            )
            for experiment, noise in _NOISE.items()
        ),
        _claim(
            "e1-first-coordinatewise",
            "On the coordinate-wise problem, d = 10 and 100, UniBiO at its best pair of steps is the fastest per "
            "iteration for every p.",
            Kind.EXTENSION,
            "Appendix E.1, against methods added by us, in more dimensions",
            first("e1_coordinatewise", None),
            "e1_coordinatewise",
        ),
    ),
    blocks=blocks,
    kept=KEPT,
    shown=shown,
    places=places,
    tried=tried,
    touched=touched,
)
