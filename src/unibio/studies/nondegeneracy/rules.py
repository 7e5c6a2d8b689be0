"""The rules of nondegeneracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from unibio.errors import InputError
from unibio.studies.common import methods
from unibio.studies.common.comparisons import every
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.rates import fit_power_law
from unibio.studies.common.verdicts import CONSISTENT, NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, VIOLATED, Outcome
from unibio.studies.nondegeneracy.measures import (
    ERRORS,
    JUMP,
    KINK,
    NETWORK,
    NONDEGENERATE,
    PLACES,
    in_modulus,
    in_sigma,
    network_points,
    pl_constants,
    points,
    reached,
)

#: A formula and ∇φ are equal up to this part of ‖f_y‖; so are a formula and difference quotients up to that.
EQUAL, DIFFERENCES = 1e-8, 1e-5
#: How far a fitted exponent of σ may be from the one that is claimed.
OFF = 0.05
#: How far a fitted exponent of 1/μ, or of 1/ε, may exceed its bound.
SLACK = 0.15
#: Exponents in 1/μ that the slides allow.
IN_MODULUS = {"value_error": 1.0, "gradient_error": 3.0}
#: Calls grow at most with this power of 1/ε for exact gradients.
CALLS = 3.0
#: A PL constant is bounded along a run if the least is at least this part of the first, while the gap falls to that.
KEPT, FELL = 0.01, 1e-6


def formula(evidence: Evidence) -> Outcome:
    """At nondegenerate places the formula with the KKT matrix is ∇φ, and what difference quotients of φ give."""
    found = points(evidence)
    found = found[found["place"].isin(NONDEGENERATE)]
    names = {"closed form": ("kkt_error", EQUAL), "difference quotients": ("difference_error", DIFFERENCES)}
    off = {
        what: {place: _share(part, name) for place, part in found.groupby("place")} for what, (name, _) in names.items()
    }
    without = {str(place): _share(part, "pseudoinverse_error") for place, part in found.groupby("place")}
    numbers = {"off": off, "without_constraints": without}
    text = "largest distance over ‖∇_y f‖ at nondegenerate places: " + ", ".join(
        f"{max(by.values()):.2g} to the {what}" for what, by in off.items()
    )
    text += "; the formula that knows no constraints is off by " + ", ".join(
        f"{value:.2g} ({place})" for place, value in without.items()
    )
    if not every(math.isfinite(value) for by in off.values() for value in by.values()):
        return Outcome(NOT_TESTABLE, text, numbers)
    ok = every(value <= names[what][1] for what, by in off.items() for value in by.values())
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)


def _share(part, name: str) -> float:  # type: ignore[no-untyped-def]
    return float((part[name] / part["upper_slope"]).max(skipna=False))


def said(evidence: Evidence) -> Outcome:
    """The estimator gives no number on degenerate places, and one wherever the conditions hold.

    Of each place that is degenerate the points on it count, and of the corner, in front of which LICQ fails everywhere,
    all; of nondegenerate ones all.
    """
    found = points(evidence)
    on = found[(found["distance"] == 0) | ~found["place"].isin([KINK, JUMP])]
    shares = {place: float(on.loc[on["place"] == place, "said"].mean(skipna=False)) for place in PLACES}
    text = "share of the points where it says that a condition fails: " + ", ".join(
        f"{share:.0%} ({place})" for place, share in shares.items()
    )
    if not every(math.isfinite(share) for share in shares.values()):
        return Outcome(NOT_TESTABLE, text, {"said": shares})
    ok = every(share == (0.0 if place in NONDEGENERATE else 1.0) for place, share in shares.items())
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, {"said": shares})


def _exponents(evidence: Evidence, name: str, places: Sequence[str]) -> dict[str, tuple[float, float]]:
    """{place: least and largest exponent of σ over the moduli}; NaN where one cannot be fitted.

    Raises:
        InputError: a place is missing.
    """
    found = in_sigma(evidence)
    spans = {}
    for place in places:
        own = found.loc[found["place"] == place, name]
        if own.empty:
            raise InputError(f"there are no points at {place}")
        spans[place] = (float(own.min(skipna=False)), float(own.max(skipna=False)))
    return spans


def _said(name: str, spans: dict[str, tuple[float, float]]) -> str:
    parts = [
        f"{low:.3f}{'' if high - low < 5e-4 else f' to {high:.3f}'} ({place})" for place, (low, high) in spans.items()
    ]
    return f"exponents of σ of {ERRORS[name]}: {', '.join(parts)}"


def _within(spans: dict[str, tuple[float, float]], exponent: float) -> bool:
    return every(abs(end - exponent) <= OFF for span in spans.values() for end in span)


def _known(*spans: dict[str, tuple[float, float]]) -> bool:
    return every(math.isfinite(end) for one in spans for span in one.values() for end in span)


def proportional(name: str) -> Callable[[Evidence], Outcome]:
    """Whether an error is ∝ σ around nondegenerate places, and grows with 1/μ at most as the slides say."""

    def rule(evidence: Evidence) -> Outcome:
        spans, slopes = _exponents(evidence, name, NONDEGENERATE), in_modulus(evidence, name)
        numbers = {"exponents": spans, "in_modulus": slopes}
        text = f"{_said(name, spans)}; of 1/μ at the least σ: " + ", ".join(
            f"{slope:.2f} ({place})" for place, slope in slopes.items()
        )
        text += f", at most {IN_MODULUS[name]:g}"
        if not _known(spans) or not every(math.isfinite(slope) for slope in slopes.values()):
            return Outcome(NOT_TESTABLE, text, numbers)
        ok = _within(spans, 1.0) and every(slope <= IN_MODULUS[name] + SLACK for slope in slopes.values())
        return Outcome(CONSISTENT if ok else VIOLATED, text, numbers)

    return rule


def fails(place: str, *names: str, kept: Sequence[str] = ()) -> Callable[[Evidence], Outcome]:
    """Whether errors do not fall with σ around a degenerate place, while others (``kept``) still are ∝ σ.

    Not testable unless the same errors are proportional to σ around nondegenerate places: nothing would be told apart.
    """

    def rule(evidence: Evidence) -> Outcome:
        lost = {name: _exponents(evidence, name, (place,)) for name in names}
        held = {name: _exponents(evidence, name, (place,)) for name in kept}
        beside = {name: _exponents(evidence, name, NONDEGENERATE) for name in names}
        text = "; ".join(_said(name, spans) for name, spans in (*lost.items(), *held.items()))
        numbers = {"degenerate": lost | held, "nondegenerate": beside}
        if not _known(*lost.values(), *held.values(), *beside.values()):
            return Outcome(NOT_TESTABLE, text, numbers)
        if not every(_within(spans, 1.0) for spans in beside.values()):
            return Outcome(NOT_TESTABLE, f"{text}; they are not 1 around nondegenerate places either", numbers)
        ok = every(high <= OFF for spans in lost.values() for _, high in spans.values())
        ok = ok and all(_within(spans, 1.0) for spans in held.values())
        return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)

    return rule


def network_formula(evidence: Evidence) -> Outcome:
    """With the network the formula with the pseudoinverse is ∇φ of the exact solve, and of difference quotients."""
    found = network_points(evidence).drop_duplicates("start_x")
    off = {
        what: float((found[name] / found["hypergradient_norm"]).max(skipna=False))
        for what, name in (("exact solve", "pseudoinverse_error"), ("difference quotients", "difference_error"))
    }
    text = f"largest distance over ‖∇φ‖ at {len(found)} points: " + ", ".join(
        f"{value:.2g} to the {what}" for what, value in off.items()
    )
    if not every(math.isfinite(value) for value in off.values()) or len(found) < 2:
        return Outcome(NOT_TESTABLE, text, {"off": off})
    ok = off["exact solve"] <= EQUAL and off["difference quotients"] <= DIFFERENCES
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, {"off": off})


def network_errors(evidence: Evidence) -> Outcome:
    """Both errors of the penalty function are proportional to σ with the network as lower level."""
    spans = {name: _exponents(evidence, name, (NETWORK,)) for name in ERRORS}
    text = "; ".join(_said(name, span) for name, span in spans.items())
    if not _known(*spans.values()):
        return Outcome(NOT_TESTABLE, text, {"exponents": spans})
    ok = every(_within(span, 1.0) for span in spans.values())
    return Outcome(CONSISTENT if ok else VIOLATED, text, {"exponents": spans})


def stationary(experiment: str, *names: str) -> Callable[[Evidence], Outcome]:
    """Whether every run ends ε-stationary for σ = ε, in calls that grow at most with ε^(−3)."""

    def rule(evidence: Evidence) -> Outcome:
        found = reached(evidence, experiment, names)
        shares, slopes = {}, {}
        for (name, place), part in found.groupby(["method", "place"]):
            where = f"{methods.label(str(name))}, {place}"
            shares[where] = float((part["share"] * part["runs"]).sum() / part["runs"].sum())
            part = part.sort_values("epsilon", ascending=False)
            try:
                slopes[where] = fit_power_law(1 / part["epsilon"], part["calls"]).slope
            except InputError:  # too few ε, or a run that does not get there
                slopes[where] = math.nan
        text = f"share of the runs that end ε-stationary, for {found['epsilon'].nunique()} ε: " + ", ".join(
            f"{share:.0%} ({where})" for where, share in shares.items()
        )
        known = {where: slope for where, slope in slopes.items() if math.isfinite(slope)}
        text += "; calls grow with 1/ε to the power " + (
            ", ".join(f"{slope:.2f} ({where})" for where, slope in known.items()) or "of nothing that can be fitted"
        )
        numbers = {"share": shares, "exponents": slopes}
        if not every(share == 1.0 for share in shares.values()):
            return Outcome(NOT_REPRODUCED, text, numbers)
        if len(known) < len(slopes):
            return Outcome(NOT_TESTABLE, text, numbers)
        ok = every(slope <= CALLS + SLACK for slope in known.values())
        return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)

    return rule


def pl_holds(evidence: Evidence) -> Outcome:
    """Along gradient descent the PL constant of networks that can fit is bounded while the gap falls.

    Not testable where it is so of networks too narrow to fit, too: the measure would tell nothing apart.
    """
    found = pl_constants(evidence)
    share = found["least"] / found["first"]
    holds = (share >= KEPT) & (found["fell"] <= FELL)
    by_width = {int(str(width)): float(part.mean()) for width, part in holds.groupby(found["width"])}
    least = {int(str(width)): float(part.min(skipna=False)) for width, part in share.groupby(found["width"])}
    wide = sorted({int(width) for width in found.loc[found["fits"], "width"]})
    narrow = sorted(set(by_width) - set(wide))
    numbers = {"bounded": by_width, "least_over_first": least}
    text = "share of the runs along which the PL constant is bounded while the gap falls: " + ", ".join(
        f"{by_width[width]:.0%} with {width} units (least over first {least[width]:.2g})" for width in (*wide, *narrow)
    )
    if not wide or not narrow or not bool(found["least"].notna().all()):
        return Outcome(NOT_TESTABLE, text, numbers)
    if not every(by_width[width] == 1.0 for width in wide):
        return Outcome(NOT_REPRODUCED, text, numbers)
    if every(by_width[width] == 1.0 for width in narrow):
        return Outcome(NOT_TESTABLE, f"{text}: also with too few to fit", numbers)
    return Outcome(REPRODUCED, text, numbers)
