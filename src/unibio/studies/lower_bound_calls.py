"""The lower-bound construction: oracle calls until ε-stationarity, with and without a shared sample and a y*-oracle.

Runs of constant step η and penalty λ = 1/ε have reached ε where the mean of ‖∇φ‖² over their iterates, in expectation,
is at most ε²: the theory of stochastic gradients bounds it by about (φ(x_0) − min φ)/(ηT) + η·variance. Means over
blocks of runs stand for expectations. Every kind has the same number of steps to choose from at every ε, a third of the
blocks choose, and the others are judged. The exponent of 1/ε in the calls is fitted to the judging blocks over all ε.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.store.thinning import Kept
from unibio.studies.common import methods, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.curves import Array
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, column
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import Fit, fit_sweep, student
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
#: Runs whose mean stands for an expectation.
BLOCK = 10
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
        """The step that is chosen; None where no step gets to ε for most of the choosing blocks."""
        return self.found.best()

    @property
    def calls(self) -> Array:
        """(judging blocks,) calls at the chosen step; all inf where there is none."""
        judging = self.found.values[..., self.found.choosing_seeds :] if self.found.split else self.found.values
        return judging[self.best] if self.best is not None else np.full(judging.shape[-1], np.inf)


def reached(record: Record, epsilon: float) -> pd.DataFrame:
    """upper_step, seed (which block of them), calls until a block's mean of ‖∇φ‖² is at most ε²; inf if never.

    Interpolated between logged iterations, on logarithmic axes. A block with a run that has diverged never gets there.
    """
    history = record.history[["run", "iteration", "oracle_calls"]].assign(mean=column(record, METRIC))
    runs = record.runs.reset_index(drop=True)
    rows = []
    for (step, block), group in runs.groupby(["upper_step", runs["seed"] // BLOCK]):
        mine = history[history["run"].isin(group.index) & (history["iteration"] > 0)]
        means = mine.groupby("iteration").agg({"mean": "mean", "oracle_calls": "max", "run": "size"})
        sound = (group["status"] == "completed").all() and (means["run"] == len(group)).all()
        calls = _first(means["mean"].to_numpy(), means["oracle_calls"].to_numpy(), epsilon**2) if sound else math.inf
        rows.append({"upper_step": step, "seed": block, "calls": calls})
    return pd.DataFrame(rows)


def _first(means: Array, calls: Array, level: float) -> float:
    """Calls at which means (n,) first are at most a level; inf where they never are, or are not defined before."""
    below = np.flatnonzero(~(means > level))
    if not len(below) or not np.isfinite(means[below[0]]):
        return math.inf
    j = int(below[0])
    if j == 0 or means[j] <= 0:
        return float(calls[j])
    share = math.log(means[j - 1] / level) / math.log(means[j - 1] / means[j])
    return float(calls[j - 1] * (calls[j] / calls[j - 1]) ** share)


def counted(evidence: Evidence) -> list[Counted]:
    """Every kind at every ε, in the order of ``NAMES``, the smallest 1/ε first.

    Raises:
        MissingRecordsError: the experiment was not run.
    """
    found = []
    for record in evidence.require(EXPERIMENT):
        epsilon = float(record.config["paper"]["epsilon"])
        found_calls = reached(record, epsilon)
        values = found_calls["calls"].to_numpy()
        one = search(record.name, found_calls, values, ["upper_step"], choosing=_choosing)
        found.append(Counted(str(record.config["paper"]["kind"]), epsilon, one))
    return sorted(found, key=lambda one: (list(NAMES).index(one.kind), -one.epsilon))


def _choosing(blocks: int) -> int:
    """Of so many blocks those that choose, a third; a single one chooses and is judged."""
    return max(1, blocks // 3)


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
    """With fresh samples a y*-oracle leaves the exponent as it is: the blocks' slopes differ by less than ``OFF``."""
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
    text += f" (95% interval {interval[0]:.3f} to {interval[1]:.3f}, {len(difference)} blocks)"
    numbers = {"difference": float(difference.mean()), "interval": interval}
    if interval[0] >= -OFF and interval[1] <= OFF:
        return Outcome(CONSISTENT, text, numbers)
    return Outcome(VIOLATED if interval[1] < -OFF or interval[0] > OFF else NOT_TESTABLE, text, numbers)


def _slopes(evidence: Evidence, kind: str) -> Array:
    """(judging blocks,) of each its own exponent."""
    mine = [one for one in evidence.once(counted) if one.kind == kind]
    inverse, calls = [1 / one.epsilon for one in mine], np.stack([one.calls for one in mine], axis=1)
    return np.array([fit_sweep(inverse, [np.array([value]) for value in row]).slope for row in calls])


def table(evidence: Evidence) -> pd.DataFrame:
    """kind, epsilon, step, its place in the range, median calls and quartiles over the judging blocks."""
    rows = []
    for one in evidence.once(counted):
        low, middle, high = np.quantile(np.minimum(one.calls, 1e300), [0.25, 0.5, 0.75])
        step = one.found.at(one.best)["upper_step"] if one.best is not None else math.nan
        end = one.found.ends(one.best).get("upper_step", "inside")
        row = {"kind": one.kind, "epsilon": one.epsilon, "upper_step": step, "lies": end}
        rows.append(row | {"calls": middle, "q25": low, "q75": high, "blocks": len(one.calls)})
    return pd.DataFrame(rows)


def draw(evidence: Evidence) -> Drawn:
    """Calls against ε, with the slides' slopes through the last point of each kind."""
    found = table(evidence)
    figure, ((panel,),) = style.panels(1, 1, 3.9, width=4.8)
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
    style.legend_above(figure, handles, 1)
    return Drawn(figure, {"lower_bound_calls": found})


STUDY = Study(
    experiments=(EXPERIMENT,),
    kept=Kept(points=None, metrics=(METRIC,), counts=("oracle_calls",)),  # accuracies are reached at some row
    drawings=(
        Drawing(
            "lower_bound_calls",
            "The lower-bound construction: oracle calls until the mean of ‖∇φ‖² over the iterates is ε², at λ = 1/ε "
            "and the best of seven steps, which a third of the blocks of ten runs choose; median and quartiles over "
            "the others. Dotted: the slides' exponents, from the last point backwards.",
            draw,
            title="The lower-bound construction: how many calls an accuracy takes",
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
