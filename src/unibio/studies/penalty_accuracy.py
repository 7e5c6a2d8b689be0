"""How accurate the penalty is: distances of 𝓛*_λ to φ as powers of λ and of the condition number κ."""

from __future__ import annotations

import math

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
from unibio.studies.common.verdicts import CONSISTENT, NOT_TESTABLE, VIOLATED, Outcome

EXPERIMENT = "penalty_accuracy"

ERRORS = {"value_error": "|φ − 𝓛*_λ|", "gradient_error": "‖∇φ − ∇𝓛*_λ‖", "solution_error": "‖y* − y*_λ‖"}
#: Exponents in κ at fixed λ that the slides allow for values and gradients.
IN_CONDITION = {"value_error": 1.0, "gradient_error": 3.0}
#: The powers of ‖f_y(x, y*)‖ that the errors are proportional to. Theory takes it as bounded; on a quadratic it grows
#: with κ, as y* does, and so is divided out.
IN_SLOPE = {"value_error": 2, "gradient_error": 1, "solution_error": 1}

#: Powers of λ are fitted from this many κ on: below, λg does not dominate f.
FROM = 20.0
#: How far a fitted exponent of λ may be from −1.
OFF = 0.05
#: How far a fitted exponent of κ may exceed its bound: the data differ from κ to κ.
SLACK = 0.15
#: What "bounded" means for the Hessian: its largest norm over its least, a decade of λ apart or more.
BOUNDED = 2.0


def table(evidence: Evidence) -> pd.DataFrame:
    """condition, data_seed, penalty, the errors and hessian_norm, at the start of every run."""
    parts = []
    for record in evidence.require(EXPERIMENT):
        first = record.history[record.history["iteration"] == 0]
        problem = record.config["problem"]
        part = first[["penalty", *ERRORS, "hessian_norm", "upper_slope"]].copy()
        part.insert(0, "data_seed", int(problem["data_seed"]))
        part.insert(0, "condition", float(problem["condition"]))
        parts.append(part)
    return pd.concat(parts, ignore_index=True).sort_values(["condition", "data_seed", "penalty"], ignore_index=True)


def in_penalty(evidence: Evidence) -> pd.DataFrame:
    """condition, data_seed, and the exponent of λ of each error over λ ≥ FROM·κ; NaN with fewer than three there."""
    rows = []
    for (condition, seed), part in table(evidence).groupby(["condition", "data_seed"]):
        late = part[part["penalty"] >= FROM * condition]
        slopes = dict.fromkeys(ERRORS, math.nan)
        if len(late) >= 3:
            slopes = {name: fit_power_law(late["penalty"], late[name]).slope for name in ERRORS}
        rows.append({"condition": condition, "data_seed": seed, **slopes})
    return pd.DataFrame(rows, columns=["condition", "data_seed", *ERRORS])


def in_condition(evidence: Evidence) -> pd.DataFrame:
    """data_seed and the exponent of κ of each error, for ‖f_y‖ = 1, at the largest λ; NaN with fewer than three κ."""
    found = table(evidence)
    last = found[found["penalty"] == found["penalty"].max()]
    rows = []
    for seed, part in last.groupby("data_seed"):
        slopes = dict.fromkeys(ERRORS, math.nan)
        if len(part) >= 3:
            scaled = {name: part[name] / part["upper_slope"] ** power for name, power in IN_SLOPE.items()}
            slopes = {name: fit_power_law(part["condition"], values).slope for name, values in scaled.items()}
        rows.append({"data_seed": seed, **slopes})
    return pd.DataFrame(rows, columns=["data_seed", *ERRORS])


def falls_like_inverse(evidence: Evidence) -> Outcome:
    """Every error's exponent in λ is −1 within ``OFF``, for every κ and data set."""
    try:
        slopes = in_penalty(evidence)
    except InputError as error:  # an error that is 0 or not defined
        return Outcome(NOT_TESTABLE, str(error))
    if not every(slopes.notna()):
        return Outcome(NOT_TESTABLE, "fewer than three penalties beyond some condition number")
    spans = {name: (float(slopes[name].min()), float(slopes[name].max())) for name in ERRORS}
    text = "exponents of λ over all κ: " + ", ".join(
        f"{ERRORS[name]} {low:.3f} to {high:.3f}" for name, (low, high) in spans.items()
    )
    ok = every(abs(end + 1) <= OFF for span in spans.values() for end in span)
    return Outcome(CONSISTENT if ok else VIOLATED, text, {"exponents": spans})


def grows_with_condition(evidence: Evidence) -> Outcome:
    """The exponents in κ are at most those of the slides, up to ``SLACK``, on every data set.

    Not testable where the errors do not fall like 1/λ: they are not the penalty's then, and an error that depends on
    nothing grows at most like anything.
    """
    try:
        slopes = in_condition(evidence)
    except InputError as error:
        return Outcome(NOT_TESTABLE, str(error))
    if not every(slopes.notna()):
        return Outcome(NOT_TESTABLE, "fewer than three condition numbers")
    if (falling := falls_like_inverse(evidence)).verdict != CONSISTENT:
        return Outcome(NOT_TESTABLE, f"the errors are not the penalty's, {falling.explanation}")
    spans = {name: (float(slopes[name].min()), float(slopes[name].max())) for name in ERRORS}
    text = "exponents of κ at the largest λ, per ‖f_y(x, y*)‖ as theory scales: " + ", ".join(
        f"{ERRORS[name]} {low:.2f} to {high:.2f}"
        + (f" (at most {IN_CONDITION[name]:g})" if name in IN_CONDITION else "")
        for name, (low, high) in spans.items()
    )
    ok = every(spans[name][1] <= bound + SLACK for name, bound in IN_CONDITION.items())
    return Outcome(CONSISTENT if ok else VIOLATED, text, {"exponents": spans})


def bounded_hessian(evidence: Evidence) -> Outcome:
    """‖∇²𝓛*_λ‖ stays within a factor of ``BOUNDED`` over all λ ≥ FROM·κ, on every problem.

    Below that λ it may grow: λg does not dominate f there. Not testable over less than a decade of such λ on some
    problem, or where the Hessian is 0 or not defined.
    """
    ratios, spans = [], []
    found = table(evidence)
    for (condition, _), part in found.groupby(["condition", "data_seed"]):
        late = part[part["penalty"] >= FROM * float(str(condition))]
        norms = late["hessian_norm"].to_numpy(dtype=float)
        if len(late) < 3:
            return Outcome(NOT_TESTABLE, f"fewer than three λ ≥ {FROM:g}κ at κ = {condition:g}")
        if not (np.isfinite(norms) & (norms > 0)).all():
            return Outcome(NOT_TESTABLE, "the penalty's Hessian is 0 or not defined on some problem")
        ratios.append(float(norms.max() / norms.min()))
        spans.append(float(late["penalty"].max() / late["penalty"].min()))
    text = (
        f"largest ‖∇²𝓛*_λ‖ over the least, λ ≥ {FROM:g}κ: {min(ratios):.3f} to {max(ratios):.3f} over {len(ratios)} "
        f"problems, λ up to {found['penalty'].max():g}"
    )
    if min(spans) < 10:
        return Outcome(NOT_TESTABLE, text)
    return Outcome(CONSISTENT if max(ratios) <= BOUNDED else VIOLATED, text, {"ratio": max(ratios)})


def draw(evidence: Evidence) -> Drawn:
    """Four panels: the three errors and the Hessian."""
    found = table(evidence)
    shown = found[found["data_seed"] == found["data_seed"].min()]
    conditions = sorted(shown["condition"].unique())
    figure, axes = style.panels(2, 2, 5.4)
    titles = ERRORS | {"hessian_norm": "‖∇²𝓛*_λ‖"}
    titles = {name: title.replace("𝓛", "L") for name, title in titles.items()}  # plain fonts have no script L
    for panel, (name, title) in zip(axes.flat, titles.items(), strict=True):
        for i, condition in enumerate(conditions):
            part = shown[shown["condition"] == condition]
            x = part["penalty"].to_numpy()
            look = style.of_place(i, len(conditions))
            panel.plot(x, part[name], markevery=style.spread_markers(x, i, log=True), **look)
        if name != "hessian_norm":
            part = shown[shown["condition"] == conditions[-1]]
            x, last = part["penalty"].to_numpy(), float(part[name].iloc[-1])
            panel.plot(x, last * x[-1] / x, color=style.GREY, linestyle=":", linewidth=1)
        panel.set(xscale="log", yscale="log")
        style.log_labels(panel.yaxis)
        panel.set_title(title, loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("λ")
    axes[0, 0].set_ylabel("distance")
    looks = [style.of_place(i, len(conditions)) for i in range(len(conditions))]
    handles = [style.handle(f"κ = {c:g}", **look) for c, look in zip(conditions, looks, strict=True)]
    style.legend_above(figure, handles, 4)
    tables = {"penalty_accuracy": found, "penalty_accuracy_in_penalty": in_penalty(evidence)}
    return Drawn(figure, tables | {"penalty_accuracy_in_condition": in_condition(evidence)})


_KEY, _CLOSER = "“A Key Result”", "“[Chen et al., 2025]”, its key observation"

STUDY = Study(
    experiments=(EXPERIMENT,),
    drawings=(
        Drawing(
            "penalty_accuracy",
            "Distances between φ and 𝓛*_λ against λ for several condition numbers κ, and the norm "
            "of the penalty's Hessian, which stays bounded; first data set. Dotted: slope −1.",
            draw,
            title="How accurate the penalty is on quadratics",
        ),
    ),
    claims=(
        Claim(
            "penalty-lambda",
            "|φ − 𝓛*_λ|, ‖∇φ − ∇𝓛*_λ‖ and ‖y* − y*_λ‖ fall like 1/λ, for every condition number.",
            Kind.SLIDES,
            f"{_KEY}; {_CLOSER}",
            falls_like_inverse,
        ),
        Claim(
            "penalty-condition",
            "At fixed λ, |φ − 𝓛*_λ| grows at most like κ and ‖∇φ − ∇𝓛*_λ‖ at most like κ³.",
            Kind.SLIDES,
            _KEY,
            grows_with_condition,
        ),
        Claim(
            "penalty-hessian",
            "The Hessian of 𝓛*_λ is bounded independently of λ.",
            Kind.SLIDES,
            _CLOSER,
            bounded_hessian,
        ),
    ),
)
