"""How accurate the penalty is: distances of 𝓛*_λ to φ as powers of λ and of the condition number κ."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unibio.analysis.claims import CONSISTENT, NOT_TESTABLE, VIOLATED, Outcome
from unibio.analysis.rates import fit_power_law
from unibio.analysis.study import Study

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
#: What "bounded" means for the Hessian: its largest norm over the one at the largest λ.
BOUNDED = 2.0


def table(study: Study) -> pd.DataFrame:
    """condition, data_seed, penalty, the errors and hessian_norm, at the start of every run."""
    parts = []
    for record in study.require(EXPERIMENT):
        first = record.history[record.history["iteration"] == 0]
        problem = record.config["problem"]
        part = first[["penalty", *ERRORS, "hessian_norm", "upper_slope"]].copy()
        part.insert(0, "data_seed", int(problem["data_seed"]))
        part.insert(0, "condition", float(problem["condition"]))
        parts.append(part)
    return pd.concat(parts, ignore_index=True).sort_values(["condition", "data_seed", "penalty"], ignore_index=True)


def in_penalty(study: Study) -> pd.DataFrame:
    """condition, data_seed, and the exponent of λ of each error over λ ≥ FROM·κ; needs three penalties there."""
    rows = []
    for (condition, seed), part in table(study).groupby(["condition", "data_seed"]):
        late = part[part["penalty"] >= FROM * condition]
        if len(late) >= 3:
            slopes = {name: fit_power_law(late["penalty"], late[name]).slope for name in ERRORS}
            rows.append({"condition": condition, "data_seed": seed, **slopes})
    return pd.DataFrame(rows, columns=["condition", "data_seed", *ERRORS])


def in_condition(study: Study) -> pd.DataFrame:
    """data_seed and the exponent of κ of each error, for ‖f_y‖ = 1, at the largest λ; needs three condition numbers."""
    found = table(study)
    last = found[found["penalty"] == found["penalty"].max()]
    rows = []
    for seed, part in last.groupby("data_seed"):
        if len(part) >= 3:
            scaled = {name: part[name] / part["upper_slope"] ** power for name, power in IN_SLOPE.items()}
            slopes = {name: fit_power_law(part["condition"], values).slope for name, values in scaled.items()}
            rows.append({"data_seed": seed, **slopes})
    return pd.DataFrame(rows, columns=["data_seed", *ERRORS])


def falls_like_inverse(study: Study) -> Outcome:
    """Every error's exponent in λ is −1 within ``OFF``, for every κ and data set."""
    slopes = in_penalty(study)
    if slopes.empty:
        return Outcome(NOT_TESTABLE, "fewer than three penalties beyond the condition number")
    spans = {name: (float(slopes[name].min()), float(slopes[name].max())) for name in ERRORS}
    text = "exponents of λ over all κ: " + ", ".join(
        f"{ERRORS[name]} {low:.3f} to {high:.3f}" for name, (low, high) in spans.items()
    )
    ok = all(abs(end + 1) <= OFF for span in spans.values() for end in span)
    return Outcome(CONSISTENT if ok else VIOLATED, text, {"exponents": spans})


def grows_with_condition(study: Study) -> Outcome:
    """The exponents in κ are at most those of the slides, up to ``SLACK``, on every data set."""
    slopes = in_condition(study)
    if slopes.empty:
        return Outcome(NOT_TESTABLE, "fewer than three condition numbers")
    spans = {name: (float(slopes[name].min()), float(slopes[name].max())) for name in ERRORS}
    text = "exponents of κ at the largest λ, per ‖f_y(x, y*)‖ as theory scales: " + ", ".join(
        f"{ERRORS[name]} {low:.2f} to {high:.2f}"
        + (f" (at most {IN_CONDITION[name]:g})" if name in IN_CONDITION else "")
        for name, (low, high) in spans.items()
    )
    ok = all(spans[name][1] <= bound + SLACK for name, bound in IN_CONDITION.items())
    return Outcome(CONSISTENT if ok else VIOLATED, text, {"exponents": spans})


def bounded_hessian(study: Study) -> Outcome:
    """‖∇²𝓛*_λ‖ never exceeds ``BOUNDED`` times its value at the largest λ, while λ grows over decades."""
    ratios = []
    found = table(study)
    for _, part in found.groupby(["condition", "data_seed"]):
        ratios.append(float(part["hessian_norm"].max() / part["hessian_norm"].to_numpy()[-1]))
    text = (
        f"largest ‖∇²𝓛*_λ‖ over the one at the largest λ: {min(ratios):.3f} to {max(ratios):.3f} over "
        f"{len(ratios)} problems, λ from {found['penalty'].min():g} to {found['penalty'].max():g}"
    )
    if found["penalty"].max() < 100 * found["penalty"].min():
        return Outcome(NOT_TESTABLE, text)
    return Outcome(CONSISTENT if max(ratios) <= BOUNDED else VIOLATED, text, {"ratio": float(np.max(ratios))})
