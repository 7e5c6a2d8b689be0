"""The lower-bound construction: oracle calls until ε-stationarity, with and without a shared sample and a y*-oracle.

A run of constant step η and penalty λ = 1/ε has reached ε where the mean of ‖∇φ‖² over its iterates is at most ε²: that
is what the theory of stochastic gradients bounds: about (φ(x_0) − min φ)/(ηT) + η·variance. Every kind of run has the
same number of steps to choose from at every ε, half of the seeds choose, and the others are judged. The exponent of 1/ε
in the calls is fitted to the judging seeds over all ε.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common import methods, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, column
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import Fit, distinct, fit_sweep, student
from unibio.studies.common.search import Search, search
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import CONSISTENT, NOT_RUN, NOT_TESTABLE, VIOLATED, Outcome

EXPERIMENT = "lower_bound_calls"
METRIC = "hypergradient_square_mean"

NAMES = {
    "informed_fresh": "y*-oracle, fresh samples",
    "informed_shared": "y*-oracle, one sample for both g_x",
    "own_fresh": "no oracle, fresh samples",
}
#: The slides' exponents of 1/ε.
POWERS = {"informed_fresh": 6.0, "informed_shared": 4.0, "own_fresh": 6.0}
_LOOKS = {
    "informed_fresh": methods.look("f2ba"),
    "informed_shared": methods.look("f2ba", setting=1),
    "own_fresh": methods.look("f2sa"),
}

#: How far a fitted exponent, or the difference of two, may be from what is claimed.
OFF = 0.5
#: Accuracies a fit needs.
LEAST = 4


@dataclass(frozen=True)
class Counted:
    """One kind of run at one accuracy.

    Attributes:
        kind: key of ``NAMES``.
        epsilon: ε.
        found: the search over steps, by calls.
    """

    kind: str
    epsilon: float
    found: Search

    @property
    def best(self) -> tuple[int, ...] | None:
        """The step that is chosen; None where no step gets to ε for most of the choosing seeds."""
        return self.found.best()

    @property
    def calls(self) -> Array:
        """(judging seeds,) calls at the chosen step; all inf where there is none."""
        judging = self.found.values[..., self.found.choosing_seeds :] if self.found.split else self.found.values
        return judging[self.best] if self.best is not None else np.full(judging.shape[-1], np.inf)


def reached(record: Record, epsilon: float) -> Array:
    """(runs,) oracle calls until the mean of ‖∇φ‖² is at most ε², interpolated between logged iterations; inf if never.

    Both axes are logarithmic for that; a diverged run never gets there.
    """
    means, calls = column(record, METRIC).to_numpy(dtype=float), record.history["oracle_calls"].to_numpy(dtype=float)
    run, first = record.history["run"].to_numpy(), np.full(len(record.runs), np.inf)
    for i in np.flatnonzero((record.runs["status"] == "completed").to_numpy()):
        mine = (run == i) & (calls > 0)
        mean, at = means[mine], calls[mine]
        below = np.flatnonzero(mean <= epsilon**2)
        if not len(below) or not every(np.isfinite(mean[: below[0] + 1])):
            continue
        j = below[0]
        if j == 0 or mean[j] <= 0:
            first[i] = at[j]
            continue
        share = math.log(mean[j - 1] / epsilon**2) / math.log(mean[j - 1] / mean[j])
        first[i] = at[j - 1] * (at[j] / at[j - 1]) ** share
    return first


def counted(evidence: Evidence) -> list[Counted]:
    """Every kind at every ε, in the order of ``NAMES``, the smallest 1/ε first.

    Raises:
        MissingRecordsError: the experiment was not run.
    """
    found = []
    for record in evidence.require(EXPERIMENT):
        epsilon = float(record.config["paper"]["epsilon"])
        runs = record.runs.reset_index(drop=True)
        one = search(record.name, runs, reached(record, epsilon), ["upper_step"], choosing=_half)
        found.append(Counted(str(record.config["paper"]["kind"]), epsilon, one))
    return sorted(found, key=lambda one: (list(NAMES).index(one.kind), -one.epsilon))


def _half(seeds: int) -> int:
    """Of so many seeds those that choose; a single one chooses and is judged."""
    return max(1, seeds // 2)


def exponents(evidence: Evidence) -> dict[str, Fit]:
    """{kind: fit of calls against 1/ε}.

    Raises:
        InputError: there are too few ε, a step was chosen at an end of its range, or some run does not get to ε.
    """
    fits = {}
    for kind, name in NAMES.items():
        mine = [one for one in evidence.once(counted) if one.kind == kind]
        if len(mine) < LEAST:
            raise InputError(f"{len(mine)} accuracies with {name} are too few for an exponent")
        if lost := [one for one in mine if not np.isfinite(one.calls).all()]:
            raise InputError(f"not all runs with {name} get to ε = {lost[0].epsilon:.3g}")
        if ends := [one for one in mine if one.found.ends(one.best)]:
            raise InputError(
                f"the best step with {name} at ε = {ends[0].epsilon:.3g} lies at an end of what was searched"
            )
        fits[kind] = fit_sweep([1 / one.epsilon for one in mine], [one.calls for one in mine])
    return fits


def _missing(evidence: Evidence) -> Outcome | None:
    absent = [name for kind, name in NAMES.items() if kind not in {one.kind for one in evidence.once(counted)}]
    return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of {', '.join(absent)}") if absent else None


def _range(evidence: Evidence) -> str:
    every_one = [one.epsilon for one in evidence.once(counted)]
    return f"ε from {max(every_one):.3g} to {min(every_one):.3g}"


def _side(fit: Fit, power: float) -> int:
    """1 where the whole interval is within ``OFF`` of an exponent, −1 where all of it is outside, 0 otherwise."""
    if fit.interval is None:
        return 0
    low, high = fit.interval
    if low >= power - OFF and high <= power + OFF:
        return 1
    return -1 if high < power - OFF or low > power + OFF else 0


def grows_like(kind: str) -> Callable[[Evidence], Outcome]:
    """Whether calls grow like 1/ε to the slides' power, and more slowly than with fresh samples where that is less."""

    def rule(evidence: Evidence) -> Outcome:
        return _missing(evidence) or _judged(evidence, kind)

    return rule


def _judged(evidence: Evidence, kind: str) -> Outcome:
    try:
        fits = exponents(evidence)
    except InputError as error:
        return Outcome(NOT_TESTABLE, str(error))
    fit, fresh = fits[kind], fits["informed_fresh"]
    text = f"exponent of 1/ε in oracle calls: {fit.said()}, over {_range(evidence)}; the slides' is {POWERS[kind]:g}"
    numbers = {name: {"exponent": one.slope, "interval": one.interval} for name, one in fits.items()}
    sides = [_side(fit, POWERS[kind])]
    if POWERS[kind] < POWERS["informed_fresh"]:
        text += f"; with fresh samples {fresh.said()}"
        sides.append(0 if fit.interval is None or fresh.interval is None else _above(fresh.interval, fit.interval))
    if min(sides) < 0:
        return Outcome(VIOLATED, text, numbers)
    return Outcome(CONSISTENT if min(sides) > 0 else NOT_TESTABLE, text, numbers)


def _above(one: tuple[float, float], other: tuple[float, float]) -> int:
    """Whether an interval lies above another (1), below (−1), or neither (0)."""
    return 1 if one[0] > other[1] else -1 if one[1] < other[0] else 0


def oracle_is_idle(evidence: Evidence) -> Outcome:
    """With fresh samples a y*-oracle leaves the exponent as it is: the seeds' slopes differ by less than ``OFF``."""
    if missing := _missing(evidence):
        return missing
    try:
        exponents(evidence)
    except InputError as error:
        return Outcome(NOT_TESTABLE, str(error))
    slopes = {kind: _slopes(evidence, kind) for kind in ("informed_fresh", "own_fresh")}
    difference = slopes["own_fresh"] - slopes["informed_fresh"]
    interval = student(difference)
    text = f"exponent of 1/ε without the oracle minus that with it: {difference.mean():.3f} over {_range(evidence)}"
    if interval is None:
        return Outcome(NOT_TESTABLE, f"{text}, no interval")
    text += f" (95% interval {interval[0]:.3f} to {interval[1]:.3f}, {len(difference)} seeds)"
    numbers = {"difference": float(difference.mean()), "interval": interval}
    if interval[0] >= -OFF and interval[1] <= OFF:
        return Outcome(CONSISTENT, text, numbers)
    return Outcome(VIOLATED if interval[1] < -OFF or interval[0] > OFF else NOT_TESTABLE, text, numbers)


def _slopes(evidence: Evidence, kind: str) -> Array:
    """(judging seeds,) of each its own exponent."""
    mine = [one for one in evidence.once(counted) if one.kind == kind]
    inverse, calls = [1 / one.epsilon for one in mine], np.stack([one.calls for one in mine], axis=1)
    return np.array([fit_sweep(inverse, [np.array([value]) for value in row]).slope for row in calls])


def table(evidence: Evidence) -> pd.DataFrame:
    """kind, epsilon, step, its place in the range, median calls and quartiles over the judging seeds."""
    rows = []
    for one in evidence.once(counted):
        low, middle, high = np.quantile(np.minimum(one.calls, 1e300), [0.25, 0.5, 0.75])
        step = one.found.at(one.best)["upper_step"] if one.best is not None else math.nan
        end = one.found.ends(one.best).get("upper_step", "inside")
        row = {"kind": one.kind, "epsilon": one.epsilon, "upper_step": step, "lies": end}
        rows.append(row | {"calls": middle, "q25": low, "q75": high, "seeds": len(distinct(one.calls[:, None]))})
    return pd.DataFrame(rows)


def draw(evidence: Evidence) -> Drawn:
    """Calls against ε, with the slides' slopes through the last point of each kind."""
    found = table(evidence)
    figure, ((panel,),) = style.panels(1, 1, 3.3, width=4.8)
    panel.set(xscale="log", yscale="log", xlabel="accuracy ε of ‖∇φ‖, λ = 1/ε", ylabel="oracle calls to ε")
    for kind, part in found.groupby("kind", sort=False):
        part = part[part["calls"] < 1e299]
        if part.empty:
            continue
        look = _LOOKS[str(kind)]
        panel.fill_between(part["epsilon"], part["q25"], part["q75"], color=look["color"], alpha=0.2, linewidth=0)
        panel.plot(part["epsilon"], part["calls"], label=NAMES[str(kind)], **look)
        last = part.iloc[-1]
        line = last["calls"] * (part["epsilon"] / last["epsilon"]) ** -POWERS[str(kind)]
        panel.plot(part["epsilon"], line, color=look["color"], linestyle=":", linewidth=1)
    panel.invert_xaxis()
    style.log_labels(panel.xaxis)
    handles = [*panel.get_legend_handles_labels()[0], style.handle("slides' exponent", color=style.GREY, linestyle=":")]
    style.legend_above(figure, handles, 2)
    return Drawn(figure, {"lower_bound_calls": found})


STUDY = Study(
    experiments=(EXPERIMENT,),
    drawings=(
        Drawing(
            "lower_bound_calls",
            "The lower-bound construction: oracle calls until the mean of ‖∇φ‖² over the iterates is ε², at λ = 1/ε "
            "and the best of seven steps, which half of the seeds choose; median and quartiles over the others. "
            "Dotted: the slides' exponents, from the last point backwards.",
            draw,
        ),
    ),
    claims=(
        Claim(
            "lower-bound-calls-fresh",
            "With a y*-oracle and a sample of its own for each g_x, calls to ε grow like ε⁻⁶ where λ = 1/ε.",
            Kind.SLIDES,
            "“Can we get better complexity”, “Lower Bounds”",
            grows_like("informed_fresh"),
        ),
        Claim(
            "lower-bound-calls-shared",
            "With a y*-oracle and one sample for both g_x (stochastic smoothness), they grow like ε⁻⁴.",
            Kind.SLIDES,
            "“Stochastic Smoothness”",
            grows_like("informed_shared"),
        ),
        Claim(
            "lower-bound-calls-oracle",
            "With fresh samples a y*-oracle does not change the exponent.",
            Kind.QUESTION,
            "the slides give the y*-oracle's exponent and, for F²BA without it, the same",
            oracle_is_idle,
        ),
    ),
    caveats=(
        "A lower bound is about the worst function for all methods. F is convex here, and measured is one method, "
        "constant steps with the best length; what is seen is that the noise of its direction, which the construction "
        "is about, costs it the power of ε that the slides say.",
        "φ = 𝓛*_λ − const whatever λ in this construction: λ = 1/ε is not needed for accuracy, but is what keeps y "
        "within ε of y*, outside of which the slides' oracle says nothing.",
    ),
)
