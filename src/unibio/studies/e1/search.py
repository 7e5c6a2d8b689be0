"""Appendix E.1: several methods, each with its own search of both steps, compared as a function of what was allowed.

Criterion: the hypergradient norm averaged over the iterates 0 … T−1, median over the seeds; the best pair of steps
wins, and methods within ``TIE`` of the best are tied. It is infinite for a run that diverged or ended no lower in φ
than it began: at a maximum, which a wrong sign leads to, the hypergradient vanishes, too. Where there are several
seeds, the pair is chosen on the first half of them and judged on the second. A range of steps ends too early only where
the criterion is better at its end than anywhere inside for every single choosing seed; a run of which nothing is random
is one seed, and its end has to be the best of all.

A method's best pair among upper steps up to a *cap* is looked at for every cap: a ranking that holds for small caps
only is a statement about the caps. A normalised method moves x by η in norm; on d coordinates its cap counts per
coordinate, η/√d, since the other methods' steps multiply a gradient of norm √d.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.studies.common import widening
from unibio.studies.common.curves import Array, final, late
from unibio.studies.common.effort import Effort
from unibio.studies.common.evidence import (
    Evidence,
    MissingRecordsError,
    dimension,
    exponent,
    method,
    noisy,
    paper_step_in_dimensions,
)
from unibio.studies.common.readings import BOTH, LOWER
from unibio.studies.common.search import TIE, Search, search
from unibio.studies.common.soundness import descended
from unibio.studies.common.verdicts import MOST_SEEDS, SMALL_GRADIENT
from unibio.studies.common.widening import Axis, Touched

METRIC = "hypergradient_norm"
AXES = ("upper_step", "lower_step")

#: Experiments with noise, and where it is.
NOISY = {"e1_noise": BOTH, "e1_noise_lower": LOWER}

#: The methods that the paper's Appendix E.1 compares.
PAPER_METHODS = ("unibio", "stocbio", "ttsa", "ma_soba")
#: Methods that draw the length of their Neumann product, without noise, too.
RANDOM = ("bsa", "ttsa", "sustain")
#: Methods whose upper step is a length, whatever the gradient.
NORMALISED = ("unibio", "bo_rep")
#: The largest of the paper's upper steps on Example 3: what "small steps" means.
SMALL_CAP = 0.05

#: Places of an upper and a lower step.
Pair = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class MethodSearch:
    """One method on one problem: the criterion of every pair of steps.

    Attributes:
        record: it comes from.
        method, exponent, dimension: what was run.
        search: over (a, b) pairs of upper and lower steps.
        converged: (a, b) whether |∇φ| is small over the last part of the run, and φ has fallen, for most seeds.
        solved: (a, b) the same and ‖y − y*(x)‖ is small, too: the lower level was not ignored.
        eligible: (a, b) ``solved`` as far as the choosing seeds tell: the judging ones take no part in a choice.
    """

    record: Record
    method: str
    exponent: int
    dimension: int
    search: Search
    converged: NDArray[np.bool_]
    solved: NDArray[np.bool_]
    eligible: NDArray[np.bool_]

    @property
    def problem(self) -> tuple[int, int]:
        """(d, p): what methods are compared on."""
        return self.dimension, self.exponent

    @property
    def effort(self) -> Effort:
        """Configurations tried and seeds; without noise and random lengths seeds make no difference."""
        return self.search.effort(noisy(self.record) or self.method in RANDOM)

    @property
    def upper(self) -> Array:
        """(a,) upper steps, ascending."""
        return self.search.steps["upper_step"]

    @property
    def lower(self) -> Array:
        """(b,) lower steps, ascending."""
        return self.search.steps["lower_step"]

    @property
    def caps(self) -> Array:
        """(a,) the upper steps as caps see them, per coordinate where the method is normalised."""
        return self.upper / math.sqrt(self.dimension) if self.method in NORMALISED else self.upper

    def allowed(self, cap: float = math.inf, solved: bool = False) -> Array:
        """(a, b) the choosing criterion, inf beyond a cap on the upper step, and where the lower level is not solved if
        it must be."""
        inside = np.where((self.caps <= cap * (1 + 1e-9))[:, None], self.search.chosen_by, np.inf)
        return np.where(self.eligible, inside, np.inf) if solved else inside

    def best(self, cap: float = math.inf, solved: bool = False) -> Pair | None:
        """The chosen pair among those allowed; None where none of them is finite."""
        return self.search.best(self.allowed(cap, solved))

    def score(self, cap: float = math.inf, solved: bool = False) -> float:
        """The reported criterion of the chosen pair; inf where there is none."""
        at = self.best(cap, solved)
        return math.inf if at is None else float(self.search.criterion[at])

    def steps(self, at: Pair | None) -> dict[str, float]:
        """Both steps of a pair; NaN for none."""
        return dict.fromkeys(AXES, math.nan) if at is None else self.search.at(at)

    def axes(self, solved: bool = False) -> dict[str, Axis]:
        """What the region tied with the best does along both axes.

        Raises:
            InputError: no allowed pair has a finite criterion.
        """
        return self.search.regions(self.allowed(solved=solved), by_seed=True)

    def edges(self, solved: bool = False, cap: float = math.inf) -> dict[str, Axis]:
        """The axes whose range ends too early; none where no pair is allowed. Below a cap the lower axis alone counts:
        the upper range ends there on purpose."""
        found = self.search.edges(self.allowed(cap, solved))
        return {name: axis for name, axis in found.items() if name != "upper_step" or math.isinf(cap)}

    def last_gain(self, solved: bool = False, cap: float = math.inf) -> float:
        """What the last grid step towards the ends of :meth:`edges` lowers the criterion by; 0 without such an end."""
        return self.search.gain_at_edges(self.edges(solved, cap), self.allowed(cap, solved))


def searches(evidence: Evidence, experiment: str, methods: Iterable[str] | None = None) -> list[MethodSearch]:
    """Every method's search, by problem, the paper's methods first.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record that is not a full grid of both steps.
    """
    wanted = None if methods is None else set(methods)
    return [one for one in evidence.once(_all_searches, experiment) if wanted is None or one.method in wanted]


def _all_searches(evidence: Evidence, experiment: str) -> list[MethodSearch]:
    records = evidence.require(experiment)
    reading = NOISY.get(experiment)
    if reading and not all(reading.holds(record.config["problem"]) for record in records):
        what = f"{experiment}, noise on {reading.where}"  # records from before the experiment meant this
        raise MissingRecordsError(what, evidence.command(experiment), evidence.root)
    found = [search_of(record) for record in records]
    return sorted(found, key=lambda one: (*one.problem, place(one.method)))


def place(name: str) -> tuple[int, str]:
    """Sorting key of a method: the paper's in its order, then the others by name."""
    return (PAPER_METHODS.index(name), "") if name in PAPER_METHODS else (len(PAPER_METHODS), name)


def search_of(record: Record) -> MethodSearch:
    """Evaluate a record with axes ``upper_step`` and ``lower_step``.

    Raises:
        InputError: the record does not hold both axes as a full grid, or no φ.
    """
    found = search(
        record.name,
        record.runs,
        np.where(fallen := descended(record), final(record, f"{METRIC}_mean"), np.inf),
        AXES,
        choosing=lambda seeds: max(1, seeds // 2),
    )
    level = SMALL_GRADIENT * math.sqrt(dimension(record))
    small = found.on_grid(np.where(fallen, late(record, METRIC), np.inf)) < level
    exact = found.on_grid(late(record, "lower_error")) < level
    return MethodSearch(
        record=record,
        method=method(record),
        exponent=exponent(record),
        dimension=dimension(record),
        search=found,
        converged=small.mean(axis=-1) >= MOST_SEEDS,
        solved=(small & exact).mean(axis=-1) >= MOST_SEEDS,
        eligible=(small & exact)[..., : found.choosing_seeds].mean(axis=-1) >= MOST_SEEDS,
    )


def caps_of(found: Sequence[MethodSearch]) -> list[float]:
    """Every upper step that some method was given, as a cap, ascending, from where every method has a step."""
    least = max(one.caps.min() for one in found) * (1 - 1e-6)
    return sorted({float(f"{cap:.6g}") for one in found for cap in one.caps if cap >= least})


def ranking(found: Sequence[MethodSearch], caps: Sequence[float], solved: bool = False) -> pd.DataFrame:
    """One row per problem, cap and method: criterion of its best pair up to the cap (of those that solve the lower
    level if they must), rank (1 + how many are better by more than a tie), and whether it is within ``TIE`` of the
    best."""
    rows = []
    for problem in sorted({one.problem for one in found}):
        here = [one for one in found if one.problem == problem]
        for cap in caps:
            scores = np.array([one.score(cap, solved) for one in here])
            for one, score in zip(here, scores, strict=True):
                rank = 1 + int((scores * (1 + TIE) < score).sum())
                first = bool(np.isfinite(score)) and bool(score <= (1 + TIE) * scores.min())
                row = {"d": problem[0], "p": problem[1], "cap": cap, "method": one.method}
                rows.append(row | {"criterion": float(score), "rank": rank, "first": first})
    return pd.DataFrame(rows)


def summary(found: Sequence[MethodSearch]) -> pd.DataFrame:
    """One row per method and problem: the best pair, its criterion, ranks with and without a cap, sensitivity."""
    ranked = {cap: ranking(found, [cap]).set_index(["d", "p", "method"]) for cap in (SMALL_CAP, math.inf)}
    solving = ranking(found, [math.inf], solved=True).set_index(["d", "p", "method"])
    rows = []
    for one in found:
        at, key = one.best(), (one.dimension, one.exponent, one.method)
        eta = paper_step_in_dimensions(one.record) if one.method == "unibio" else None
        steps = one.steps(at)
        row = {"d": one.dimension, "p": one.exponent, "method": one.method, "upper_step": steps["upper_step"]}
        row |= {"paper's step (× √d, ours)": math.nan if eta is None else eta, "lower_step": steps["lower_step"]}
        row |= {"criterion": one.score(), "rank": int(ranked[math.inf].loc[key, "rank"])}
        row |= {f"criterion, η ≤ {SMALL_CAP:g}": one.score(SMALL_CAP)}
        row |= {f"rank, η ≤ {SMALL_CAP:g}": int(ranked[SMALL_CAP].loc[key, "rank"])}
        row |= {"converging": float(one.converged.mean()), "converging, y solved": float(one.solved.mean())}
        row |= {"y solved at best": at is not None and bool(one.solved[at])}
        row |= {"criterion, y solved": one.score(solved=True), "rank, y solved": int(solving.loc[key, "rank"])}
        row |= _ranges(one)
        row |= {f"{name}, y solved": said for name, said in _ranges(one, solved=True).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def _ranges(one: MethodSearch, solved: bool = False) -> dict[str, str]:
    """What a table says about both ranges."""
    if one.best(solved=solved) is None:
        return dict.fromkeys(("upper range", "lower range"), "no such pair" if solved else "diverged")
    return {f"{name.split('_')[0]} range": axis.describe() for name, axis in one.axes(solved).items()}


def summary_of(evidence: Evidence, experiment: str) -> pd.DataFrame:
    """:func:`summary` of all methods of an experiment; raises as :func:`searches` does."""
    return evidence.once(_summary_of, experiment).copy()


def _summary_of(evidence: Evidence, experiment: str) -> pd.DataFrame:
    return summary(searches(evidence, experiment))


def history_at(one: MethodSearch, at: Pair) -> pd.DataFrame:
    """The history of one pair's runs."""
    history = one.record.history
    return history[one.search.runs(at)[history["run"].to_numpy()]]


def tuned_curve(one: MethodSearch, at: Pair, column: str = METRIC) -> pd.DataFrame:
    """Median over the seeds of a column along the iterations of one pair: iteration, oracle_calls, median."""
    grouped = history_at(one, at).groupby("iteration")
    table = grouped.agg(oracle_calls=("oracle_calls", "median"), median=(column, "median")).reset_index()
    return table.assign(median=table["median"].astype(float))


def touched(record: Record) -> list[Touched]:
    """The ranges of one search that were too narrow, both among all pairs of steps and among those that solve the lower
    level.

    Raises:
        InputError: a record that is not a full grid of both steps, or without a finite criterion.
    """
    found = search_of(record)
    found.axes()  # refuses a record without a finite criterion
    ends: dict[str, list[str]] = {}
    for solved in (False, True):
        for name, axis in found.edges(solved).items():
            ends.setdefault(name, []).extend(axis.touched)
    return widening.touched(record, found.search.steps, ends)
