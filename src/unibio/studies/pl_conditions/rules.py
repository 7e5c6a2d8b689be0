"""The rules that judge the pilot study's conditions and what they promise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.rates import Fit, fit_power_law
from unibio.studies.common.verdicts import (
    CONSISTENT,
    NOT_REPRODUCED,
    NOT_RUN,
    NOT_TESTABLE,
    REPRODUCED,
    VIOLATED,
    Outcome,
)
from unibio.studies.pl_conditions.measures import (
    EXPERIMENT,
    PARTS,
    PROBLEMS,
    REACHED,
    REPRESENTATION,
    WELL,
    first_within,
    moduli,
    penalties,
)

#: Least ratio over that at the starts below which the inequality is seen to fail: a run that comes to rest off the
#: minimum falls to rounding errors, 10⁻²⁰ and less.
VANISHING = 1e-9
#: Exponent of the excess in the ratio above which it tends to 0; PL has 0, growth like y⁴ has 1/2.
OFF = 0.1
#: Different starts that a statement about every start needs.
STARTS = 3
#: Accuracies to which iterations are counted at a fixed γ.
LEVELS = np.geomspace(1e-1, 1e-7, 13)
#: log²(1/ε).
POWER = 2.0


def _fails(table: pd.DataFrame) -> pd.Series:
    """Which rows show that the inequality fails; of a fall of the ratio only near the minimum is anything known."""
    return (table["share"] < VANISHING) | ((table["exponent"] > OFF) & (table["left"] <= REACHED))


def _open(table: pd.DataFrame) -> pd.Series:
    """Which rows show neither: runs that diverged, or did not come near the minimum."""
    seen = np.isfinite(table[["least", "share", "exponent"]]).all(axis=1) & (table["left"] <= REACHED)
    return ~_fails(table) & ~seen


def condition(problem: str, parts: tuple[str, ...]) -> Callable[[Evidence], Outcome]:
    """Whether inequalities hold along all trajectories on a problem, at every γ."""

    def rule(evidence: Evidence) -> Outcome:
        table = moduli(evidence)
        table = table[(table["problem"] == problem) & table["part"].isin(parts)]
        if set(table["part"]) != set(parts):
            return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of {PROBLEMS[problem]}")
        text = f"from {table['starts'].min()} starts, least ‖∇‖²/(2 excess): " + _said(table)
        numbers = {"moduli": table.to_dict("records")}
        if _fails(table).any():
            where = table[_fails(table)]
            return Outcome(NOT_REPRODUCED, f"{text}; it tends to 0 ({_places(where)})", numbers)
        if _open(table).any():
            where = _places(table[_open(table)])
            return Outcome(
                NOT_TESTABLE, f"{text}; not all runs came within {REACHED:g} of the minimum ({where})", numbers
            )
        if table["starts"].min() < STARTS:
            return Outcome(NOT_TESTABLE, f"{text}; fewer than {STARTS} different starts", numbers)
        return Outcome(REPRODUCED, text, numbers)

    return rule


def can_fail(evidence: Evidence) -> Outcome:
    """On the double well the joint inequality and the upper block's fail at every γ.

    Runs must come to rest off the minimum for that, so that a measure which is small everywhere does not pass: of the
    same records the inequality in y holds.
    """
    table = moduli(evidence)
    table = table[table["problem"] == WELL]
    if table.empty:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of {PROBLEMS[WELL]}")
    text = "least ‖∇‖²/(2 excess) over that at the starts: " + ", ".join(
        f"{row['share']:.2g} ({PARTS[str(row['part'])]}, γ = {row['penalty']:.3g})" for _, row in table.iterrows()
    )
    numbers = {"moduli": table.to_dict("records")}
    failing = table["part"].isin(("joint", "upper"))
    if not every(np.isfinite(table["share"])) or _open(table[~failing]).any():
        return Outcome(NOT_TESTABLE, f"{text}; runs diverged or did not solve the lower level", numbers)
    ok = _fails(table[failing]).all() and not _fails(table[~failing]).any()
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)


def _said(table: pd.DataFrame) -> str:
    return ", ".join(
        f"{row['least']:.2g} ({PARTS[str(row['part'])]}, γ = {row['penalty']:.3g})" for _, row in table.iterrows()
    )


def _places(table: pd.DataFrame) -> str:
    return ", ".join(f"{PARTS[str(row['part'])]}, γ = {row['penalty']:.3g}" for _, row in table.iterrows())


def iterations(evidence: Evidence) -> Outcome:
    """Whether iterations to ε at a fixed γ grow like a power of log(1/ε) whose interval ends at or below 2."""
    fits = {}
    for penalty in penalties(evidence, REPRESENTATION):
        fits[f"γ = {penalty:.3g}"] = fit_iterations(LEVELS, first_within(evidence, penalty, LEVELS))
    return _no_faster(fits, f"from ε = {LEVELS[0]:g} to {LEVELS[-1]:g}")


def growing(evidence: Evidence) -> tuple[Array, Array]:
    """(γ,) accuracies γ^(−2), descending, and (starts, γ) iterations to them at that γ."""
    several = penalties(evidence, REPRESENTATION)
    levels = np.array([penalty**-2.0 for penalty in several])
    found = [first_within(evidence, penalty, levels[i : i + 1]) for i, penalty in enumerate(several)]
    return levels, np.concatenate(found, axis=1) if found else np.zeros((0, 0))


def growing_penalty(evidence: Evidence) -> Outcome:
    """The same at γ = ε^(−1/2), over the γ of the records."""
    levels, found = growing(evidence)
    fit = fit_iterations(levels, found) if len(levels) >= 3 else None
    return _no_faster({"γ = ε^(−1/2)": fit}, f"at {len(levels)} accuracies")


def fit_iterations(levels: Array, found: Array) -> Fit | None:
    """The exponent of log(1/ε) in the iterations; None where a run does not get there, or fewer than ``STARTS`` differ.

    Args:
        levels: (n,) accuracies, descending, below 1.
        found: (starts, n) iterations.
    """
    if not len(found) or not np.isfinite(found).all() or not (found > 0).all():
        return None
    fit = fit_power_law(np.log(1 / levels), found)
    return fit if fit.seeds >= STARTS else None


def _no_faster(fits: dict[str, Fit | None], where: str) -> Outcome:
    if not fits:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of {PROBLEMS[REPRESENTATION]}")
    if absent := [name for name, fit in fits.items() if fit is None]:
        return Outcome(NOT_TESTABLE, f"not all runs get there, or too few starts or γ: {', '.join(absent)}")
    slopes = {name: fit.slope for name, fit in fits.items() if fit is not None}
    text = f"exponents of log(1/ε) in the iterations {where}: " + ", ".join(
        f"{fit.said()} ({name})" for name, fit in fits.items() if fit is not None
    )
    upper = [_ends(fit)[1] for fit in fits.values() if fit is not None]
    lower = [_ends(fit)[0] for fit in fits.values() if fit is not None]
    if every(value <= POWER for value in upper):
        return Outcome(CONSISTENT, text, {"exponents": slopes})
    return Outcome(VIOLATED if max(lower) > POWER else NOT_TESTABLE, text, {"exponents": slopes})


def _ends(fit: Fit) -> tuple[float, float]:
    """The interval's ends; without one nothing is known of them."""
    return fit.interval or (-math.inf, math.inf)
