"""Global optimality from random starts: distances to optima that are known independently.

On every problem two numbers must vanish together: the gap of f to the global optimum and the lower level's own gap
g − g*. On linear hyper-cleaning the penalty undercuts the optimum of f, so that its gap is negative: its size counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unibio.analysis.claims import CONSISTENT, NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, VIOLATED, Outcome
from unibio.analysis.curves import Array
from unibio.analysis.rates import fit_power_law
from unibio.analysis.study import Study
from unibio.errors import InputError
from unibio.records import Record

EXPERIMENT = "global_optimality"
PROBLEMS = {"representation": "representation learning", "linear_cleaning": "linear hyper-cleaning"}
PROBLEMS |= {"double_well": "a spurious local minimum"}
#: Both gaps below this: the global optimum is reached.
REACHED = 1e-4
#: A well counts as the worse one where φ ends this much above its minimum.
WORSE = 0.1
#: Decades of the gap between which iterations are counted for the log curve, and how many times longer the later
#: decades may take than the first: log² for three and then six decades allows 3, one more for the start.
LEVELS, SLOWER = (1e-1, 1e-4, 1e-7), 4.0
#: Least penalty of fits in γ: below it the weights' box is active and the penalty too weak to be in its limit.
LEAST_PENALTY = 30.0
#: Exponents in γ: −1 for f, −2 for g, and how far a fit over little more than a decade may be off.
EXPONENTS, OFF = {"upper": -1.0, "lower": -2.0}, 0.25
NAMES = {"pbgd": "PBGD", "stocbio": "StocBiO", "soba": "SOBA"}


@dataclass(frozen=True)
class Descents:
    """The runs of one method with one penalty on one problem, from all starts.

    Attributes:
        problem, method: names; the method's with its inner steps where they are few.
        penalty: γ; nan for methods without.
        t: (n,) logged iterations.
        upper, lower: (starts, n) the gaps; inf after a run has diverged.
    """

    problem: str
    method: str
    penalty: float
    t: Array
    upper: Array
    lower: Array

    @property
    def label(self) -> str:
        """For legends and tables."""
        return self.method + (f", γ = {self.penalty:.3g}" if math.isfinite(self.penalty) else "")

    @property
    def reached(self) -> Array:
        """(starts,) whether both gaps end below ``REACHED``."""
        return (np.abs(self.upper[:, -1]) <= REACHED) & (self.lower[:, -1] <= REACHED)


def descents(study: Study, problem: str | None = None) -> list[Descents]:
    """Every method and penalty, in the order of ``PROBLEMS``, of the methods and of γ."""
    found: list[Descents] = []
    for record in study.require(EXPERIMENT):
        name = record.config["problem"]["name"]
        if problem in (None, name):
            found += _split(record, name)
    problems = list(PROBLEMS)
    return sorted(found, key=lambda one: (problems.index(one.problem), "few" in one.method, one.method, one.penalty))


def _split(record: Record, problem: str) -> list[Descents]:
    algorithm = record.config["algorithm"]
    method = NAMES[algorithm["name"]]
    if problem == "representation" and algorithm["name"] == "pbgd" and int(algorithm["lower_iterations"]) < 10:
        method += ", few inner steps"
    runs = record.runs.reset_index(drop=True)
    penalties = runs["penalty"] if "penalty" in runs else pd.Series(math.nan, index=runs.index)
    if algorithm["name"] == "pbgd" and "penalty" not in runs:
        penalties = pd.Series(float(algorithm["penalty"]), index=runs.index)
    history = record.history
    t, at = np.unique(history["iteration"].to_numpy(), return_inverse=True)
    values = np.full((2, len(runs), len(t)), np.inf)
    for i, column in enumerate(("upper_gap", "lower_gap")):
        numbers = history[column].to_numpy(dtype=float)
        values[i, history["run"].to_numpy(), at] = np.where(np.isfinite(numbers), numbers, np.inf)
    rows = {penalty: group.index.to_numpy() for penalty, group in penalties.groupby(penalties, dropna=False)}
    return [Descents(problem, method, float(p), t, values[0][at_p], values[1][at_p]) for p, at_p in rows.items()]


def summary(study: Study) -> pd.DataFrame:
    """One row per method and penalty: share of the starts that reach the optimum, and the gaps at the end."""
    rows = []
    for one in descents(study):
        upper, lower = one.upper[:, -1], one.lower[:, -1]
        row = {"problem": one.problem, "method": one.label, "starts": len(upper), "reached": float(one.reached.mean())}
        row |= {"upper_gap": _middle(upper), "upper_gap_min": upper.min(), "upper_gap_max": upper.max()}
        rows.append(row | {"lower_gap": _middle(lower), "lower_gap_max": lower.max()})
    return pd.DataFrame(rows)


def _middle(values: Array) -> float:
    return float(np.quantile(values, 0.5, method="higher"))


def from_every_start(study: Study) -> Outcome:
    """Joint PBGD that follows the lower level closely reaches the optimum of representation learning, at every γ."""
    found = [one for one in descents(study, "representation") if one.method == "PBGD"]
    if not found:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of PBGD on representation learning")
    shares = {one.label: float(one.reached.mean()) for one in found}
    worst = {one.label: float(np.abs(one.upper[:, -1]).max()) for one in found}
    others = [one for one in descents(study, "representation") if one.method != "PBGD"]
    text = f"from {len(found[0].upper)} starts: " + ", ".join(f"{v:.0%} ({name})" for name, v in shares.items())
    text += f"; largest gap of f {max(worst.values()):.2g}; beside it " + ", ".join(
        f"{one.reached.mean():.0%} ({one.label})" for one in others
    )
    ok = all(share == 1 for share in shares.values())
    numbers = {"reached": shares | {o.label: float(o.reached.mean()) for o in others}}
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)


def log_curve(study: Study) -> Outcome:
    """Whether later decades of the gap take at most ``SLOWER`` times the iterations of the first, at every γ."""
    a, b, c = LEVELS
    ratios: dict[str, float] = {}
    lowest: dict[str, float] = {}
    for one in descents(study, "representation"):
        if one.method != "PBGD":
            continue
        total = np.maximum(np.abs(one.upper), one.lower).max(axis=0)  # the slowest start
        lowest[one.label] = float(total.min())
        times = [_first_below(one.t, total, level) for level in (a, b, c)]
        if np.isfinite(times).all():
            ratios[one.label] = (times[2] - times[1]) / max(times[1] - times[0], 1.0)
    if not ratios:
        return Outcome(
            NOT_TESTABLE, f"no run of PBGD on representation learning goes below {c:g}", {"lowest gap": lowest}
        )
    text = f"iterations from a gap of {b:g} to {c:g} over those from {a:g} to {b:g}, slowest start: " + ", ".join(
        f"{v:.2f} ({name})" for name, v in ratios.items()
    )
    return Outcome(
        CONSISTENT if max(ratios.values()) <= SLOWER else VIOLATED, text, {"ratio": ratios, "lowest gap": lowest}
    )


def _first_below(t: Array, values: Array, level: float) -> float:
    below = np.flatnonzero(values <= level)
    return float(t[below[0]]) if len(below) else math.inf


def penalty_exponents(study: Study) -> pd.DataFrame:
    """Gaps of linear hyper-cleaning at the end against γ: penalty, |upper|, lower and their ranges over the starts."""
    rows = []
    for one in descents(study, "linear_cleaning"):
        if one.method == "PBGD":
            upper, lower = np.abs(one.upper[:, -1]), one.lower[:, -1]
            row = {"penalty": one.penalty, "upper": _middle(upper), "upper_min": upper.min(), "upper_max": upper.max()}
            rows.append(row | {"lower": _middle(lower), "lower_min": lower.min(), "lower_max": lower.max()})
    return pd.DataFrame(rows)


def role_of_penalty(study: Study) -> Outcome:
    """g − g* = O(γ^{−2}), that is γ = O(ε^{−1/2}), and the gap of f is O(1/γ), from every start."""
    table = penalty_exponents(study)
    table = table[table["penalty"] >= LEAST_PENALTY] if len(table) else table
    if len(table) < 3:
        return Outcome(
            NOT_TESTABLE, f"{len(table)} penalties of at least {LEAST_PENALTY:g} are too few for an exponent"
        )
    try:
        fits = {name: fit_power_law(table["penalty"], table[name]) for name in EXPONENTS}
    except InputError as error:
        return Outcome(NOT_TESTABLE, str(error))
    last = table.iloc[-1]
    numbers = {name: fit.slope for name, fit in fits.items()} | {"largest_penalty": last.to_dict()}
    text = (
        f"for γ from {table['penalty'].min():.3g} to {last['penalty']:.3g} the gap of f falls like "
        f"γ^{fits['upper'].slope:.2f} and g − g* like γ^{fits['lower'].slope:.2f}; at the largest γ |f − f*| is "
        f"{last['upper_min']:.3g} to {last['upper_max']:.3g} over the starts, g − g* {last['lower']:.2g}"
    )
    steep = all(fits[name].slope <= wanted + OFF for name, wanted in EXPONENTS.items())
    return Outcome(CONSISTENT if steep else VIOLATED, text, numbers)


def implicit_gradients_fail(study: Study) -> Outcome:
    """On linear hyper-cleaning StocBiO and SOBA stay away from the optimum from which PBGD is O(1/γ), from all starts.

    The lower level has many solutions; a method that differentiates through one of them ends wherever it started.
    """
    found = descents(study, "linear_cleaning")
    own = [one for one in found if one.method == "PBGD"]
    others = [one for one in found if one.method != "PBGD"]
    if not own or not others:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs PBGD and another method on linear hyper-cleaning")
    best = float(np.abs(own[-1].upper[:, -1]).max())
    least = {one.label: float(np.abs(one.upper[:, -1]).min()) for one in others}
    text = f"largest |f − f*| of {own[-1].label}: {best:.3g}; least of " + ", ".join(
        f"{name}: {v:.3g}" for name, v in least.items()
    )
    ok = all(v > best for v in least.values())
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, {"pbgd": best, "others": least})


def spurious(study: Study) -> Outcome:
    """Some, not all, of the starts end in the worse well, with PBGD and with exact implicit gradients alike."""
    found = descents(study, "double_well")
    if not found:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of the double well")
    shares = {one.label: float((one.upper[:, -1] > WORSE).mean()) for one in found}
    text = f"share of {len(found[0].upper)} starts that end in the worse well: " + ", ".join(
        f"{v:.0%} ({name})" for name, v in shares.items()
    )
    if len(found[0].upper) < 2:
        return Outcome(NOT_TESTABLE, f"{text}; one start tells nothing", {"share": shares})
    return Outcome(REPRODUCED if all(0 < v < 1 for v in shares.values()) else NOT_REPRODUCED, text, {"share": shares})
