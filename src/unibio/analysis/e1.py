"""Appendix E.1: several methods, each with its own search of both steps, compared as a function of what was allowed.

Criterion: the hypergradient norm averaged over the iterates 0 … T−1, median over the seeds; the best pair of steps
wins, and methods within ``TIE`` of the best are tied. With noise the pair is chosen on the first half of the seeds and
judged on the second, so that no method is rewarded for the luck of its best cell.

A range of steps ends too early only where the criterion is better at its end than anywhere inside, and for every single
choosing seed: two cells that are alike pass for that at one end with probability 2^−n for n seeds. A run without noise
is one seed, and its end has to be the best of all.

A method's best pair among upper steps up to a *cap* is looked at for every cap: a ranking that holds for small caps
only is a statement about the caps. A normalised method moves x by η in norm; on d coordinates its cap counts per
coordinate, η/√d, since the other methods' steps multiply a gradient of norm √d.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.analysis.claims import MOST_SEEDS, SMALL_GRADIENT, TAIL
from unibio.analysis.curves import Array, final, steps_and_seeds
from unibio.analysis.lr_search import TIE, Axis, judge
from unibio.analysis.study import Study, dimension, exponent, paper_step_in_dimensions
from unibio.errors import InputError
from unibio.records import Record

#: The methods that the paper's Appendix E.1 compares.
PAPER_METHODS = ("unibio", "stocbio", "ttsa", "ma_soba")
#: Methods whose upper step is a length, whatever the gradient.
NORMALISED = ("unibio", "bo_rep")
#: The largest of the paper's upper steps on Example 3: what "small steps" means.
SMALL_CAP = 0.05
METRIC = "hypergradient_norm"
AXES = ("upper_step", "lower_step")


@dataclass(frozen=True)
class MethodSearch:
    """One method on one problem: the criterion of every pair of steps.

    Attributes:
        record: it comes from.
        method, exponent, dimension: what was run.
        upper, lower: (a,), (b,) steps, ascending.
        choosing: (a, b, n) criterion by choosing seed; inf where a run diverged.
        chosen_by: (a, b) its median, which chooses the pair.
        criterion: (a, b) criterion that is reported; the same without a split of the seeds.
        converged: (a, b) whether |∇φ| is small over the last part of the run, for most seeds.
        solved: (a, b) the same and ‖y − y*(x)‖ is small, too: the lower level was not ignored.
        eligible: (a, b) ``solved`` as far as the choosing seeds tell: the judging ones take no part in a choice.
    """

    record: Record
    method: str
    exponent: int
    dimension: int
    upper: Array
    lower: Array
    choosing: Array
    chosen_by: Array
    criterion: Array
    converged: NDArray[np.bool_]
    solved: NDArray[np.bool_]
    eligible: NDArray[np.bool_]

    @property
    def problem(self) -> tuple[int, int]:
        """(d, p): what methods are compared on."""
        return self.dimension, self.exponent

    @property
    def caps(self) -> Array:
        """(a,) the upper steps as caps see them, per coordinate where the method is normalised."""
        return self.upper / math.sqrt(self.dimension) if self.method in NORMALISED else self.upper

    def allowed(self, cap: float = math.inf, solved: bool = False) -> Array:
        """(a, b) the choosing criterion, inf beyond a cap on the upper step, and where the lower level is not solved if
        it must be."""
        inside = np.where((self.caps <= cap * (1 + 1e-9))[:, None], self.chosen_by, np.inf)
        return np.where(self.eligible, inside, np.inf) if solved else inside

    def best(self, cap: float = math.inf, solved: bool = False) -> tuple[int, int] | None:
        """Indices of the chosen pair among those allowed; None where none of them is finite."""
        allowed = self.allowed(cap, solved)
        if not np.isfinite(allowed).any():
            return None
        i, j = np.unravel_index(int(allowed.argmin()), allowed.shape)
        return int(i), int(j)

    def score(self, cap: float = math.inf, solved: bool = False) -> float:
        """The reported criterion of the chosen pair; inf where there is none."""
        at = self.best(cap, solved)
        return math.inf if at is None else float(self.criterion[at])

    def axes(self, solved: bool = False, cap: float = math.inf) -> dict[str, Axis]:
        """What the region tied with the best does along both axes, by the rule of the learning-rate search; ends that
        are tied with the best but no better than the inside, seed by seed, are ``alike``. Below a cap only along the
        lower axis: the upper range ends there on purpose.

        Raises:
            InputError: no allowed pair has a finite criterion.
        """
        allowed = self.allowed(cap, solved)
        if not np.isfinite(allowed).any():
            raise InputError(f"{self.record.name}: no pair of steps has a finite criterion")
        tied = allowed <= (1 + TIE) * allowed.min()
        found = {"upper_step": judge(self.upper, tied.any(axis=1)), "lower_step": judge(self.lower, tied.any(axis=0))}
        if math.isfinite(cap):
            del found["upper_step"]
        for name, axis in found.items():
            if axis.kind == "edge":
                ends = axis.where.split(" and ")
                better = [end for end in ends if (self._gains(allowed, name, end, inside=True) > 0).all()]
                kind = "edge" if better else "alike"
                found[name] = replace(axis, kind=kind, where=" and ".join(better or ends))
        return found

    def edges(self, solved: bool = False, cap: float = math.inf) -> dict[str, Axis]:
        """The axes whose range ends too early; none where no pair is allowed."""
        if self.best(cap, solved) is None:
            return {}
        return {name: axis for name, axis in self.axes(solved, cap).items() if axis.kind == "edge"}

    def last_gain(self, solved: bool = False, cap: float = math.inf) -> float:
        """What the last grid step towards the ends that are too early lowers the criterion by, median over the choosing
        seeds; 0 where there is no such end. A gap larger than this is unlikely to close by one more step outwards."""
        allowed, gains = self.allowed(cap, solved), [0.0]
        for name, axis in self.edges(solved, cap).items():
            gains += [float(np.median(self._gains(allowed, name, end))) for end in axis.where.split(" and ")]
        return max(gains)

    def _gains(self, allowed: Array, name: str, end: str, inside: bool = False) -> Array:
        """(n,) by choosing seed, how much lower the criterion is at the best pair at an end of an axis than at the best
        beside it, or with ``inside`` at neither end; inf where nothing there is allowed, −inf where a run at the end
        diverged."""
        axis = AXES.index(name)
        size = allowed.shape[axis]
        others = range(1, size - 1) if inside else [1 if end == "low" else size - 2]
        at_end = self._best_of(allowed, axis, [0 if end == "low" else size - 1])
        away = self._best_of(allowed, axis, [place for place in others if 0 <= place < size])
        return np.where(np.isfinite(at_end), away - np.where(np.isfinite(at_end), at_end, 0.0), -np.inf)

    def _best_of(self, allowed: Array, axis: int, places: Sequence[int]) -> Array:
        """(n,) criterion by choosing seed at the best allowed pair with one of some places on an axis."""
        part = np.full(allowed.shape, np.inf)
        kept = (list(places), slice(None)) if axis == 0 else (slice(None), list(places))
        part[kept] = allowed[kept]
        if not np.isfinite(part).any():
            return np.full(self.choosing.shape[-1], np.inf)
        return np.asarray(self.choosing[np.unravel_index(int(part.argmin()), part.shape)])

    def runs(self, at: tuple[int, int]) -> NDArray[np.bool_]:
        """(runs,) which of the record's runs belong to a pair."""
        table = self.record.runs
        same = np.isclose(table["upper_step"].to_numpy(dtype=float), self.upper[at[0]], rtol=1e-9)
        return same & np.isclose(table["lower_step"].to_numpy(dtype=float), self.lower[at[1]], rtol=1e-9)


def method(record: Record) -> str:
    """Name of the record's algorithm."""
    return str(record.config["algorithm"]["name"])


def searches(study: Study, experiment: str, methods: Iterable[str] | None = None) -> list[MethodSearch]:
    """Every method's search, by problem, the paper's methods first.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record that is not a full grid of both steps.
    """
    wanted = None if methods is None else set(methods)
    return [one for one in study.once(_all_searches, experiment) if wanted is None or one.method in wanted]


def _all_searches(study: Study, experiment: str) -> list[MethodSearch]:
    found = [search_of(record) for record in study.require(experiment)]
    return sorted(found, key=lambda one: (*one.problem, place(one.method)))


def place(name: str) -> tuple[int, str]:
    """Sorting key of a method: the paper's in its order, then the others by name."""
    return (PAPER_METHODS.index(name), "") if name in PAPER_METHODS else (len(PAPER_METHODS), name)


def search_of(record: Record) -> MethodSearch:
    """Evaluate a record with axes ``upper_step`` and ``lower_step``.

    Raises:
        InputError: the record does not hold both axes as a full grid.
    """
    upper, lower, seeds, (i, j, s) = steps_and_seeds(record)
    averages = np.empty((len(upper), len(lower), len(seeds)))
    averages[i, j, s] = final(record, f"{METRIC}_mean")
    level = SMALL_GRADIENT * math.sqrt(dimension(record))
    small, exact = np.empty(averages.shape), np.empty(averages.shape)
    small[i, j, s] = late(record, METRIC) < level
    exact[i, j, s] = late(record, "lower_error") < level
    noisy = float(record.config["problem"].get("noise", 0.0)) > 0
    half = len(seeds) // 2 if noisy and len(seeds) > 1 else len(seeds)
    return MethodSearch(
        record=record,
        method=method(record),
        exponent=exponent(record),
        dimension=dimension(record),
        upper=upper,
        lower=lower,
        choosing=averages[..., :half],
        chosen_by=median(averages[..., :half]),
        criterion=median(averages[..., half:] if half < len(seeds) else averages),
        converged=small.mean(axis=-1) >= MOST_SEEDS,
        solved=(small * exact).mean(axis=-1) >= MOST_SEEDS,
        eligible=(small * exact)[..., :half].mean(axis=-1) >= MOST_SEEDS,
    )


def median(values: Array) -> Array:
    """Along the last axis, with inf as larger than everything."""
    return np.quantile(values, 0.5, axis=-1, method="higher")


def late(record: Record, column: str) -> Array:
    """(runs,) median of a column over the last part of each run; inf for diverged runs."""
    history = record.history
    tail = history[history["iteration"] >= (1 - TAIL) * record.config["steps"]]
    found = tail.groupby("run")[column].median().reindex(range(len(record.runs))).to_numpy(dtype=float).copy()
    found[(record.runs["status"] != "completed").to_numpy() | np.isnan(found)] = np.inf
    return found


def summary(found: Sequence[MethodSearch]) -> pd.DataFrame:
    """One row per method and problem: the best pair, its criterion, ranks with and without a cap, sensitivity."""
    ranked = {cap: ranking(found, [cap]).set_index(["d", "p", "method"]) for cap in (SMALL_CAP, math.inf)}
    solving = ranking(found, [math.inf], solved=True).set_index(["d", "p", "method"])
    rows = []
    for one in found:
        at, key = one.best(), (one.dimension, one.exponent, one.method)
        eta = paper_step_in_dimensions(one.record) if one.method == "unibio" else None
        row = {"d": one.dimension, "p": one.exponent, "method": one.method}
        row |= {"upper_step": math.nan if at is None else float(one.upper[at[0]])}
        row |= {"paper's step (× √d, ours)": math.nan if eta is None else eta}
        row |= {"lower_step": math.nan if at is None else float(one.lower[at[1]])}
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


def summary_of(study: Study, experiment: str) -> pd.DataFrame:
    """:func:`summary` of all methods of an experiment; raises as :func:`searches` does."""
    return study.once(_summary_of, experiment).copy()


def _summary_of(study: Study, experiment: str) -> pd.DataFrame:
    return summary(searches(study, experiment))


def _ranges(one: MethodSearch, solved: bool = False) -> dict[str, str]:
    """What a table says about both ranges."""
    if one.best(solved=solved) is None:
        return dict.fromkeys(("upper range", "lower range"), "no such pair" if solved else "diverged")
    return {f"{name.split('_')[0]} range": axis.describe() for name, axis in one.axes(solved).items()}


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


def tuned_curve(one: MethodSearch, at: tuple[int, int], column: str = METRIC) -> pd.DataFrame:
    """Median over the seeds of a column along the iterations of one pair: iteration, oracle_calls, median."""
    history = record_rows(one, at)
    grouped = history.groupby("iteration")
    table = grouped.agg(oracle_calls=("oracle_calls", "median"), median=(column, "median")).reset_index()
    return table.assign(median=table["median"].astype(float))


def record_rows(one: MethodSearch, at: tuple[int, int]) -> pd.DataFrame:
    """The history of one pair's runs."""
    history = one.record.history
    return history[one.runs(at)[history["run"].to_numpy()]]
