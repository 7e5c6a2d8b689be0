"""Lower levels beyond strong convexity: when does the penalty function have the hyper-objective's landscape?

The slides ask for solution sets that are Lipschitz in (x, σ), σ = 1/λ, derive that from a proximal error bound, and
then promise the distances of the strongly convex case. All of it is measured at given points, on a lower level that is
not convex and on strictly convex ones; formulas in docs/first-order.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.studies.common import style
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import fit_power_law
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import CONSISTENT, NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, VIOLATED, Outcome

EXPERIMENT = "landscape"
NONCONVEX, STRICT = "pl_nonconvex", "strictly_convex"
CONDITIONS, EXPONENTS = (1.0, 4.0, 16.0, 64.0), (2.0, 4.0, 6.0)

#: Smallest σ are those at most this far above the least; what holds "for small σ" is judged on them.
DECADES = 3.0
#: A quantity is bounded over σ where it varies by at most this factor over ``DECADES``.
BOUNDED = 1.5
#: How far a fitted exponent of σ or of the distance may be from the one that is claimed.
OFF = 0.05
#: How far a fitted exponent of 1/μ may exceed its bound.
SLACK = 0.15
#: Distances up to this are small: the exponent of the residual is fitted there.
NEAR = 0.2
#: A formula and ∇φ are equal up to this part of ∇φ.
EQUAL = 1e-8

ERRORS = {"value_error": "|φ − 𝓛*_λ|", "gradient_error": "‖∇φ − ∇𝓛*_λ‖", "slope_error": "‖∇y* − ∇y*_λ‖"}
#: Exponents in 1/μ at fixed σ that the slides allow, and the power of ‖f_y‖ that theory takes as bounded.
IN_CONDITION = {"value_error": (1.0, 2), "gradient_error": (3.0, 1)}


def table(evidence: Evidence) -> pd.DataFrame:
    """problem, case (κ or p), dimension_y, sigma and the metrics of the start, a row for every run.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record lacks one of the cases.
    """
    parts = []
    for record in evidence.require(EXPERIMENT):
        first = record.history[record.history["iteration"] == 0].copy()
        problem = record.config["problem"]
        name = str(problem["name"])
        first["problem"] = name
        first["case"] = float(problem["condition"] if name == NONCONVEX else problem["exponent"])
        first["dimension_y"] = int(problem.get("dimension_y", 1))
        first["sigma"] = 1 / first["penalty"].astype(float)
        parts.append(first)
    found = pd.concat(parts, ignore_index=True)
    cases = {(name, case) for name, case in zip(found["problem"], found["case"], strict=True)}
    wanted = {*((NONCONVEX, c) for c in CONDITIONS), *((STRICT, p) for p in EXPONENTS)}
    if absent := sorted(wanted - cases):
        raise InputError(f"{EXPERIMENT} lacks records of {', '.join(f'{name} {case:g}' for name, case in absent)}")
    return found.sort_values(["problem", "dimension_y", "case", "sigma"], ignore_index=True)


def error_bounds(evidence: Evidence) -> pd.DataFrame:
    """problem, dimension_y, case, sigma, and μ: the least ratio of proximal residual and distance over the starts."""
    found = table(evidence)
    found["modulus"] = found["proximal_residual"] / found["solution_distance"]
    kept = ["problem", "dimension_y", "case", "sigma"]
    worst = {"modulus": lambda part: part.min(skipna=False), "solution_slope": "max", "penalty_slope": "max"}
    return found.groupby(kept, as_index=False).agg(worst)


def _small(part: pd.DataFrame) -> pd.DataFrame:
    """The rows of the smallest σ."""
    return part[part["sigma"] <= part["sigma"].min() * 10**DECADES * (1 + 1e-9)]


def variation(part: pd.DataFrame, column: str) -> float:
    """Largest over smallest value for small σ; inf where one is not finite or not positive, or there are too few σ."""
    values = _small(part)[column].to_numpy(dtype=float)
    if len(values) < 4 or not (np.isfinite(values) & (values > 0)).all():
        return math.inf
    return float(values.max() / values.min())


def _cases(found: pd.DataFrame, problem: str) -> dict[str, pd.DataFrame]:
    """The parts of one problem, by how they are named in words."""
    parts = {}
    for (size, case), part in found[found["problem"] == problem].groupby(["dimension_y", "case"]):
        letter = "κ" if problem == NONCONVEX else "p"
        where = f"{letter} = {case:g}" + (f", d_y = {size}" if problem == NONCONVEX else "")
        parts[where] = part
    return parts


def bound_holds(problem: str, cases: tuple[float, ...]) -> Callable[[Evidence], Outcome]:
    """Whether the modulus μ of the error bound is bounded away from 0 for small σ, in every one of the cases."""

    def rule(evidence: Evidence) -> Outcome:
        found = error_bounds(evidence)
        parts = _cases(found[found["case"].isin(cases)], problem)
        varied = {where: variation(part, "modulus") for where, part in parts.items()}
        least = {where: float(_small(part)["modulus"].min()) for where, part in parts.items()}
        numbers = {"least_modulus": least, "varies_by": varied}
        if not every(math.isfinite(value) and value > 0 for value in least.values()):
            return Outcome(NOT_TESTABLE, "a residual or a distance is 0 or not defined", numbers)
        failing = [where for where, factor in varied.items() if not factor <= BOUNDED]
        text = "least residual over distance for the three decades of smallest σ: " + ", ".join(
            f"{least[where]:.2g}, varying by a factor of {varied[where]:.3g} ({where})" for where in parts
        )
        return Outcome(NOT_REPRODUCED if failing else REPRODUCED, text, numbers)

    return rule


def continuity(evidence: Evidence) -> Outcome:
    """Wherever the modulus is bounded for small σ, so are ‖∂S/∂x‖ and ‖∂S/∂σ‖; not testable where it is so nowhere.

    Nor is it where the slopes are bounded everywhere: nothing has then been seen to go with the error bound.
    """
    found = error_bounds(evidence)
    parts = {**_cases(found, NONCONVEX), **_cases(found, STRICT)}
    bounded = {where: variation(part, "modulus") <= BOUNDED for where, part in parts.items()}
    smooth = {
        where: every(variation(part, slope) <= BOUNDED for slope in ("solution_slope", "penalty_slope"))
        for where, part in parts.items()
    }
    numbers = {"error_bound": bounded, "lipschitz": smooth}
    broken = [where for where in parts if bounded[where] and not smooth[where]]
    without = [where for where in parts if not bounded[where]]
    text = (
        f"the error bound holds in {sum(bounded.values())} of {len(parts)} cases, and S(x, σ) is Lipschitz in "
        f"{sum(smooth[where] for where in parts if bounded[where])} of these; where it fails "
        f"({', '.join(without) or 'nowhere'}), S is Lipschitz in {sum(smooth[where] for where in without)}"
    )
    if not any(bounded.values()) or all(smooth.values()):
        return Outcome(NOT_TESTABLE, text, numbers)
    return Outcome(VIOLATED if broken else CONSISTENT, text, numbers)


def residual_exponents(evidence: Evidence) -> dict[float, float]:
    """{p: exponent of ‖y − y*‖ in the proximal residual of g, where that is small}; NaN where it cannot be fitted."""
    found, exponents = table(evidence), {}
    for p, part in found[found["problem"] == STRICT].groupby("case"):
        near = part[part["lower_error"] <= NEAR]
        try:
            fit = fit_power_law(near["lower_error"], near["lower_residual"]).slope if len(near) >= 3 else math.nan
        except InputError:  # a residual that is 0 or not defined
            fit = math.nan
        exponents[float(str(p))] = fit
    return exponents


def uniform_convexity(evidence: Evidence) -> Outcome:
    """The proximal residual of g grows like ‖y − y*‖^{p−1}, for every p."""
    found = residual_exponents(evidence)
    numbers = {"exponents": {f"{p:g}": slope for p, slope in found.items()}}
    if not every(map(math.isfinite, found.values())):
        return Outcome(NOT_TESTABLE, "a residual is 0 or not defined, or there are too few near the solution", numbers)
    text = "fitted exponents of the distance: " + ", ".join(f"{slope:.3f} (p = {p:g})" for p, slope in found.items())
    ok = every(abs(slope - (p - 1)) <= OFF * (p - 1) for p, slope in found.items())
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)


def in_sigma(evidence: Evidence) -> pd.DataFrame:
    """dimension_y, case (κ) and the exponent of σ of every error over the smallest σ; NaN where it cannot be fitted."""
    rows = []
    for (size, case), part in (found := table(evidence))[found["problem"] == NONCONVEX].groupby(
        ["dimension_y", "case"]
    ):
        small = _small(part.drop_duplicates("sigma"))
        row = {"dimension_y": size, "case": case}
        for name in ERRORS:
            try:
                row[name] = fit_power_law(small["sigma"], small[name]).slope if len(small) >= 4 else math.nan
            except InputError:  # an error that is 0 or not defined
                row[name] = math.nan
        rows.append(row)
    return pd.DataFrame(rows)


def proportional_to_sigma(*names: str) -> Callable[[Evidence], Outcome]:
    """Whether these errors are proportional to σ for small σ, in every case."""

    def rule(evidence: Evidence) -> Outcome:
        slopes = in_sigma(evidence)
        if not every(slopes[name].notna() for name in names):
            return Outcome(NOT_TESTABLE, "an error is 0 or not defined, or there are too few σ")
        spans = {name: (float(slopes[name].min()), float(slopes[name].max())) for name in names}
        text = "exponents of σ: " + ", ".join(
            f"{ERRORS[n]} {low:.3f} to {high:.3f}" for n, (low, high) in spans.items()
        )
        ok = every(abs(end - 1) <= OFF for span in spans.values() for end in span)
        return Outcome(CONSISTENT if ok else VIOLATED, text, {"exponents": spans})

    return rule


def grows_with_modulus(name: str) -> Callable[[Evidence], Outcome]:
    """Whether an error is proportional to σ and grows with 1/μ at most as the slides say, per power of ‖f_y‖.

    1/μ is κ times a constant of T here, λ_max(BBᵀ) = 1 being the same in all cases.
    """

    def rule(evidence: Evidence) -> Outcome:
        if (falling := proportional_to_sigma(name)(evidence)).verdict != CONSISTENT:
            return falling
        found = table(evidence)
        least = found[(found["problem"] == NONCONVEX) & (found["sigma"] == found["sigma"].min())]
        bound, power = IN_CONDITION[name]
        slopes = {}
        for size, part in least.groupby("dimension_y"):
            part = part.drop_duplicates("case")
            slopes[f"d_y = {size}"] = fit_power_law(part["case"], part[name] / part["upper_slope"] ** power).slope
        text = f"{falling.explanation}; exponents of 1/μ at the least σ: " + ", ".join(
            f"{slope:.2f} ({where})" for where, slope in slopes.items()
        )
        text += f", at most {bound:g}"
        ok = every(slope <= bound + SLACK for slope in slopes.values())
        return Outcome(CONSISTENT if ok else VIOLATED, text, falling.numbers | {"in_modulus": slopes})

    return rule


def formula(evidence: Evidence) -> Outcome:
    """The formula with the pseudoinverse is ∇φ, where the Hessian is regular and where it is singular."""
    found = table(evidence)
    found = found[found["problem"] == NONCONVEX]
    off = (found["pseudoinverse_error"] / found["hypergradient_norm"]).groupby(found["dimension_y"])
    worst = {f"d_y = {size}": float(part.max(skipna=False)) for size, part in off}
    text = "largest distance over ‖∇φ‖: " + ", ".join(f"{value:.2g} ({where})" for where, value in worst.items())
    if len(worst) < 2 or not every(math.isfinite(value) for value in worst.values()):
        return Outcome(NOT_TESTABLE, text, {"off": worst})
    return Outcome(REPRODUCED if max(worst.values()) <= EQUAL else NOT_REPRODUCED, text, {"off": worst})


def draw(evidence: Evidence) -> Drawn:
    """The modulus of the error bound against σ on both problems, and the errors of the penalty."""
    bounds, found = error_bounds(evidence), table(evidence)
    figure, axes = style.panels(1, 3, 3.1)
    left, middle, right = axes[0]
    conditions, exponents = (
        {case: style.of_place(i, len(cases)) for i, case in enumerate(cases)} for cases in (CONDITIONS, EXPONENTS)
    )
    sizes = sorted(bounds["dimension_y"][bounds["problem"] == NONCONVEX].unique())
    for (problem, size, case), part in bounds.groupby(["problem", "dimension_y", "case"]):
        panel, looks = (left, conditions) if problem == NONCONVEX else (middle, exponents)
        manifold = {"linestyle": ":", "marker": ""} if problem == NONCONVEX and size > sizes[0] else {}
        x = part["sigma"].to_numpy()
        panel.plot(x, part["modulus"], markevery=style.spread_markers(x, 0, log=True), **looks[case] | manifold)
    for panel, looks, letter, title in (
        (left, conditions, "κ", "not convex, PL"),
        (middle, exponents, "p", "strictly convex"),
    ):
        handles = [style.handle(f"{letter} = {case:g}", **look) for case, look in looks.items()]
        panel.legend(handles=handles, loc="lower right")
        panel.set_title(title, loc="left")
    left.set_ylabel("least residual / distance")
    left.set_ylim(3e-5, None)
    middle.set_ylim(3e-5, None)
    shown = found[(found["problem"] == NONCONVEX) & (found["dimension_y"] == found["dimension_y"].max())]
    part = shown[shown["case"] == shown["case"].max()].drop_duplicates("sigma")
    for i, (name, label) in enumerate(ERRORS.items()):
        x = part["sigma"].to_numpy()
        markers = style.spread_markers(x, i, log=True)
        right.plot(x, part[name], markevery=markers, label=label.replace("𝓛", "L"), **style.of_place(i, len(ERRORS)))
    right.set_title(f"the penalty's errors, κ = {part['case'].iloc[0]:g}", loc="left")
    right.legend(loc="lower right")
    for panel in axes[0]:
        panel.set(xscale="log", yscale="log", xlabel="σ = 1/λ")
        style.log_labels(panel.yaxis)
    return Drawn(figure, {"landscape": bounds, "landscape_in_sigma": in_sigma(evidence)})


_CONDITIONS = "“Locally Approximated Landscape”"
_MATCHING = "“Matching the Penalty Function to the True Objective”"

STUDY = Study(
    experiments=(EXPERIMENT,),
    drawings=(
        Drawing(
            "landscape",
            "The proximal error bound for small σ: the least ratio of proximal residual and distance to the solution "
            "set, on a lower level that is not convex (left; dotted: a manifold of solutions) and on strictly convex "
            "ones (middle), where it tends to 0 for p > 2. Right: what the penalty function is off by on the former.",
            draw,
            title="When the proximal error bound holds for small σ",
        ),
    ),
    claims=(
        Claim(
            "landscape-error-bound",
            "A lower level that is not convex can satisfy the proximal error bound (PL-σ), with one μ for all small σ.",
            Kind.QUESTION,
            "the slides ask for (PL-σ) and show no such lower level",
            bound_holds(NONCONVEX, CONDITIONS),
        ),
        Claim(
            "landscape-strict",
            "Strict convexity of g(x, ·) implies the proximal error bound (PL-σ) for small σ.",
            Kind.SLIDES,
            _CONDITIONS,
            bound_holds(STRICT, EXPONENTS[1:]),
        ),
        Claim(
            "landscape-uniform",
            "Under uniform convexity with exponent p the proximal residual is of the order of dist^(p − 1).",
            Kind.QUESTION,
            "what the paper's assumption gives in place of the slides' error bound",
            uniform_convexity,
        ),
        Claim(
            "landscape-continuity",
            "The proximal error bound implies that solution sets are Lipschitz in (x, σ).",
            Kind.SLIDES,
            _CONDITIONS,
            continuity,
        ),
        Claim(
            "landscape-value",
            "|𝓛*_{1/σ} − F| = O(σ/μ) beyond convex lower levels.",
            Kind.SLIDES,
            _CONDITIONS,
            grows_with_modulus("value_error"),
        ),
        Claim(
            "landscape-gradient",
            "‖∇𝓛*_{1/σ} − ∇F‖ = O(σ/μ³) beyond convex lower levels.",
            Kind.SLIDES,
            _CONDITIONS,
            grows_with_modulus("gradient_error"),
        ),
        Claim(
            "landscape-jacobian",
            "‖∇y* − ∇y*_λ‖ = O(1/λ), also beyond convex lower levels.",
            Kind.EXTENSION,
            "“[Chen et al., 2025]”, its key observation, for strongly convex lower levels",
            proportional_to_sigma("slope_error"),
        ),
        Claim(
            "landscape-pseudoinverse",
            "∇F is given by the formula with the pseudoinverse of ∇²_yy g at S(x, 0⁺), also where solutions are a "
            "manifold.",
            Kind.SLIDES,
            _MATCHING,
            formula,
        ),
    ),
    caveats=(
        "The lower level that is not convex is a bijection of y away from a least-squares problem. That makes all "
        "closed forms possible, and makes it an easy member of the class that the slides are about.",
    ),
)
