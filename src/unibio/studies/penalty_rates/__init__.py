"""Rates of the penalty methods, and of the proximal ones where the lower level is not convex."""

from __future__ import annotations

from collections.abc import Iterable

from unibio.errors import InputError
from unibio.store.thinning import Kept
from unibio.studies.common import methods
from unibio.studies.common.claim import Claim
from unibio.studies.common.document import Block, Heading, Table
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import interval_said
from unibio.studies.common.study import Study
from unibio.studies.penalty_rates.figures import DRAWINGS
from unibio.studies.penalty_rates.measures import (
    BESIDE,
    BOUNDS,
    CASES,
    EXPERIMENT_OF,
    FIXED,
    PROXIMAL,
    SCHEDULED,
    SOURCES,
    rates,
)
from unibio.studies.penalty_rates.rules import rate_rule


def _blocks(evidence: Evidence) -> Iterable[Block]:
    rows: list[list[str | float]] = []
    for one in rates(evidence):
        row: list[str | float] = [methods.label(one.method), CASES[one.case], f"{one.bound:.3f}"]
        try:
            slopes = one.slopes()
        except InputError:  # diverged, or too short
            slopes = None
        if slopes is None or slopes.empty:
            rows.append([*row, "none", "none"])
            continue
        last = slopes[slopes["kind"] == "to_end"].iloc[-1]
        said = interval_said(last["interval_low"], last["interval_high"], last["seeds"])
        rows.append(
            [*row, f"{last['slope']:.3f} ({said})", f"{slopes['slope'].min():.3f} to {slopes['slope'].max():.3f}"]
        )
    yield Heading(3, "Rates of the penalty methods")
    yield Table(["method", "noise", "slides' exponent", "slope of the last fit range", "slopes over all ranges"], rows)


def _claim(method: str, case: str) -> Claim:
    exponent_of = f"K^({BOUNDS[method][case]:.3f})".replace("-", "−")
    calls = " in K oracle calls" if EXPERIMENT_OF[method] == PROXIMAL else ""
    return Claim(
        f"rate-{method}-{case}",
        f"{methods.label(method)} with {CASES[case]}: the averaged ‖∇φ‖ falls at least as fast as "
        f"{exponent_of}{calls}.",
        Kind.SLIDES,
        SOURCES[method],
        rate_rule(method, case),
        (EXPERIMENT_OF[method], *BESIDE[EXPERIMENT_OF[method]]),
        figure="proximal_rates" if EXPERIMENT_OF[method] == PROXIMAL else "penalty_rates",
    )


STUDY = Study(
    experiments=(SCHEDULED, FIXED, PROXIMAL),
    # Without noise seeds differ by rounding alone, which is told from equal seeds by every bit.
    kept=Kept(metrics=("hypergradient_norm_mean",), bits=53, end_bits=53),
    drawings=DRAWINGS,
    claims=tuple(_claim(method, case) for method in BOUNDS for case in CASES),
    blocks=_blocks,
    caveats=(
        "The slides' exponents are upper bounds over a class of problems, up to constants. A quadratic is an easy "
        "member of it, and so is what a bijection of y makes of one: a slope below the exponent is consistent with the "
        "bound and does not improve it.",
        "The slides bound the proximal methods' ‖∇𝓛*_{1/σ}‖ at the last σ; measured is ‖∇φ‖, from which that differs "
        "by O(σ) on this problem. They start at σ = 1/16, below μ: a first trial from σ = 1, where the difference is "
        "not O(σ) yet, gave slopes a little above the exponents without noise and with noise on the upper level (−0.29 "
        "to −0.32 for −0.333, −0.17 and −0.21 to −0.23 for −0.2 and −0.25).",
    ),
)
