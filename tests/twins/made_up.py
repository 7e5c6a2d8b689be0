"""Made-up records on which every claim must be confirmed, and what is broken of them without running anything.

Where real runs are dear (the network, the long searches) or need many iterations to confirm a claim.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import pandas as pd

import synthetic_e1
import synthetic_first_order
import synthetic_lp
import synthetic_nli
import synthetic_parts
import synthetic_theory
from synthetic import EXPONENTS, PAPER, FakeRecord, descent, record
from unibio.studies import discrepancies
from unibio.studies.common.rates import bound_exponent
from unibio.studies.corrupted_labels import measures as corrupted_labels
from unibio.studies.first_order.measures import SECOND_ORDER
from unibio.studies.lp_regression.tuned import EXPONENTS as LP_EXPONENTS
from unibio.studies.penalty_rates.measures import BOUNDS

Records = dict[str, list[FakeRecord]]
NOISES = [0.0, 0.01, 1.0, 10.0]
BOTH_NOISES = {"noise": [0.0, 1.0], "upper_noise": [0.0, 1.0]}


# As claimed ----------------------------------------------------------------------------------------------------------


def _slower(dimension: int) -> tuple[list[FakeRecord], list[FakeRecord]]:
    def later(cell, seed, t):
        return descent({**cell, "upper_step": cell["upper_step"] / dimension**0.5 / (1 + cell["p"] / 4)}, seed, t)

    shape = {"dimension": dimension, "steps": 1600} if dimension > 1 else {"steps": 1600}
    steps = [eta * dimension**0.5 for eta in PAPER.values()]
    own = [record(p, {"noise": NOISES, "upper_noise": NOISES}, later, **shape) for p in EXPONENTS]
    return own, [record(p, BOTH_NOISES | {"upper_step": steps}, later, **shape) for p in EXPONENTS]


@cache
def slower() -> Records:
    own, equal = _slower(1)
    tall, tall_equal = _slower(10)
    found = {"fig1": own, "fig1_equal": equal, "fig1_coordinatewise_equal": tall_equal}
    return {**found, "fig1_coordinatewise": tall, "fig1_released": own}


@cache
def power_laws(power: float = -0.5) -> Records:
    """Averages that fall like t^power; no two seeds alike."""

    def falls(cell, seed, t):
        return np.maximum(t, 1.0) ** (power + 0.001 * seed)

    axes = BOTH_NOISES | {"upper_step": list(PAPER.values())}
    return {"fig5": [record(p, axes, mean=falls, steps=5000) for p in EXPONENTS]}


@cache
def flatter() -> Records:
    def by_p(cell, seed, t):
        return np.maximum(t, 1.0) ** (-1 / cell["p"] + 0.001 * seed)

    axes = BOTH_NOISES | {"upper_step": list(PAPER.values())}
    return {"fig5": [record(p, axes, mean=by_p, steps=5000) for p in EXPONENTS]}


@cache
def sensitivity(generalised: float = 1.0) -> Records:
    def job(p: int, budget: int, estimator: str) -> FakeRecord:
        level = generalised if estimator == "generalised" else 1 + 0.1 * (p > 2)
        axes = BOTH_NOISES | {"hessian_noise": [0.0, 0.25], "cross_noise": [0.0, 0.25], "neumann_step": [0.1, 1.0]}

        def mean(cell, seed, t):
            return np.full(len(t), level * (1 + 0.2 * (budget == 10)))

        return record(p, axes, mean=mean, dimension=10, inner_budget=budget, estimator=estimator)

    kinds = ("generalised", "classical")
    return {"coordinatewise_sensitivity": [job(p, k, e) for p in EXPONENTS for k in (10, 100) for e in kinds]}


@cache
def search() -> Records:
    steps = {"upper_step": [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3], "lower_step": [0.1, 1.0, 10.0]}

    def mean(cell, seed, t):
        return np.full(len(t), 1 + np.log(cell["upper_step"] / PAPER[int(cell["p"])]) ** 2)

    return {"lr_search": [record(p, steps, mean=mean) for p in EXPONENTS]}


@cache
def algorithm1(of_the_exponent: float = 1.6) -> Records:
    """Errors that fall with that multiple of the bound's exponent, but −1/2 where the level is strongly convex."""

    def power(p: int, star: float, step: float) -> float:
        least = 1 / (2 * (p - 1))
        return of_the_exponent * least if star == 0 or of_the_exponent < 1 else max(0.5, of_the_exponent * least)

    return {"algorithm1": synthetic_theory.algorithm1(power)}


@cache
def schedules(none: float = 1.0, one_epoch: float = 0.7, step: float = 0.5) -> Records:
    """Norms reached under the schedules and off them; by how long a step at ε^p and beyond it."""
    powers = synthetic_theory.AS_CLAIMED | {"none": none, "one epoch": one_epoch}

    def power(p: int, twin: str) -> float:
        return powers[twin]

    return {
        "schedules": synthetic_theory.schedules(power, dimensions=(4,)),
        "schedules_paper": synthetic_theory.schedules(power, exponents=(4, 6), dimensions=(4,)),
        "schedules_step": synthetic_theory.schedules_step(lambda q: 0.25 if q >= 4 else step),
    }


@cache
def tracking(late: float = 2.5, epoch: float = 0.2, share: float = 1.0) -> Records:
    """Errors and biases along runs: the largest error over ε at the least ε, one epoch's power of the bias and its
    error's share of what it must be to be seen to fail."""

    def most(p: int, twin: str, fallen: float) -> float:
        if twin == "none":
            return 2.5 + (late - 2.5) * math.log(fallen) / math.log(1e4 ** (-1 / (3 * p - 2)))
        return (share if twin == "one epoch" else 1) * synthetic_parts.largest(p, twin, fallen)

    def power(p: int, twin: str) -> float:
        return {"none": 1.0, "one epoch": epoch}.get(twin, 0.2)

    return {
        "tracking": synthetic_parts.tracking(most, power, dimensions=(4,)),
        "tracking_paper": synthetic_parts.tracking(most, power, exponents=(4, 6), dimensions=(4,)),
    }


@cache
def biased(power: float) -> Records:
    """Errors that are as claimed, and a bias of that power of ε under the schedule."""
    made = synthetic_parts.tracking(power=lambda p, twin: power if twin == "none" else 0.2, dimensions=(4,))
    return {"tracking": made, "tracking_paper": [one for one in made if exponent_of(one) > 2]}


@cache
def ablation(without: float = 1.3, somewhere: float | None = None) -> Records:
    """Parts without which the criterion is that many times as large; on the Hölder problem at p = 2 another."""

    def factor(experiment: str, part: str, p: int) -> float:
        if part == "nothing":
            return 1.0
        return somewhere if somewhere is not None and (experiment, p) == ("ablation", 2) else without

    return synthetic_parts.ablation(factor)


@cache
def regularity(claimed: bool = True) -> Records:
    """Changes are the powers that are claimed; or the same small ones everywhere, with a Hessian that is singular."""
    if claimed:
        return {"regularity": synthetic_theory.regularity()}
    half = synthetic_theory.regularity(
        lambda of, p: 0.5 / (p - 1), lambda of, p: 0.5 / (p - 1), bias=0.5, remainder=2.0, singular=1e-5
    )
    return {"regularity": half}


def _quick(step, t):
    return np.where(t < 2, 1.0, -np.pi / 2)


@cache
def e1(lower_error: float = 0.01) -> Records:
    """UniBiO arrives at once, the others do not, BO-REP among them; ``lower_error`` is UniBiO's."""
    shape = {"seeds": 2, "points": 40}
    own = [
        synthetic_e1.record(p, "unibio", _quick, lower_error=lambda cell: lower_error, **shape)
        for p in synthetic_e1.EXPONENTS
    ]
    names = ("stocbio", "ttsa", "ma_soba", "bo_rep")
    others = [
        synthetic_e1.record(p, name, synthetic_e1.lengths, **shape) for p in synthetic_e1.EXPONENTS for name in names
    ]
    return dict.fromkeys(("e1", "e1_noise", "e1_noise_lower", "e1_coordinatewise"), own + others)


@cache
def crossing() -> Records:
    sums = {"neumann_terms": 3}
    methods = {"unibio": {}, "stocbio": sums, "ttsa": sums, "ma_soba": {}}
    return {
        "e1": [
            synthetic_e1.record(
                p, name, synthetic_e1.held_up if p > 2 and own else synthetic_e1.lengths, seeds=1, points=200, **own
            )
            for p in synthetic_e1.EXPONENTS
            for name, own in methods.items()
        ]
    }


@cache
def deviations() -> Records:
    axes, found = {"upper_step": [0.1, 0.3, 1.0]}, {}

    def rests(end):
        return lambda cell, seed, t: np.where(t < 10 / cell["upper_step"], 1.0, end)

    for name, of in discrepancies.PUBLISHED.items():
        biased = name in discrepancies.BIASED
        found[of] = record(2, axes, rests(0.01), name=of)
        found[name] = record(
            2,
            axes,
            rests(0.05 if biased else 0.01),
            name=name,
            status=lambda cell, seed, biased=biased: "completed" if biased or cell["upper_step"] < 0.5 else "diverged",
        )
    return {"discrepancies": list(found.values())}


@cache
def lp() -> Records:
    """Two budgets of UniBiO, the smaller the best; the others turned round at the largest p."""
    found = []
    for p in LP_EXPONENTS:
        names = synthetic_lp.OTHERS[::-1] if p == max(LP_EXPONENTS) else synthetic_lp.OTHERS
        found += [
            synthetic_lp.unibio(p, 0.29, 100, accuracy=0.85),
            synthetic_lp.unibio(p, 0.27, 30, accuracy=0.95),
        ]
        found += [synthetic_lp.record(name, p, 0.3 + 0.01 * k, accuracy=0.8) for k, name in enumerate(names)]
    return {"lp_regression": found}


def _network(own: float, other: float, **settings) -> list[FakeRecord]:
    found = synthetic_nli.pair("unibio", own - 0.05, **settings, auc=0.7)
    found += synthetic_nli.pair("unibio_plain", own, **settings, auc=0.7)
    for name in synthetic_nli.METHODS[2:]:
        found += synthetic_nli.pair(name, other - 0.1 * (name != "saba"), **settings)
    for name in synthetic_nli.FURTHER:
        found += synthetic_nli.pair(name, own, **settings, auc=0.7)
    for one in found:
        history, seed = one.history, one.config["seed"]
        history["noisy_accuracy"] = history["test_accuracy"] - 0.02
        history["train_accuracy"] += 0.001 * seed
        if not one.config["algorithm"]["name"].startswith("unibio"):
            history[["oracle_calls", "seconds"]] *= 2
    return found


def widths(steps: tuple[float, ...] = (0.02, -0.02, 0.02), **settings) -> Records:
    """Methods in an order at 16, 64 and 256 units, or in the other; the widest with two seeds and fewer methods."""
    narrow, middle, wide = steps
    names, ranked = synthetic_nli.METHODS, synthetic_nli.ranked
    return {
        "nli_width": ranked(names, 16, narrow, **settings) + ranked(names, 64, middle, **settings),
        "nli_width_256": ranked(names[1:5], 256, wide, seeds=2, **settings),
    }


@cache
def network() -> Records:
    floors = [
        synthetic_nli.floor(delta, name, valid=0.5 + 0.01 * seed + 0.05 * (delta < 0.1), seed=seed)
        for name in ("unibio", "unibio_plain")
        for delta in (0.001, 0.5)
        for seed in range(3)
    ]
    anew = ("unibio_plain", "stocbio", "ma_soba")
    return {
        "nli": _network(0.7, 0.5),
        "nli_noise": [one for rate in (0.2, 0.4) for one in _network(0.7, 0.5, rate=rate)],
        "nli_exponents": _network(0.56, 0.55, p=2) + _network(0.7, 0.5, p=4),
        "nli_controls": synthetic_nli.controls(0.5, 0.55),
        "nli_floor": floors,
        "nli_released": [one for name in anew for one in synthetic_nli.pair(name, 0.8, rate=0.2, noise="released")],
        **widths(),
    }


def two_epochs_with_d_constant() -> Records:
    """A floor above the weights, which takes D away from UniBiO as the paper means it."""
    found = _network(0.7, 0.5)
    for one in found:
        if "inner_budget" in one.config["algorithm"]:
            one.config["algorithm"]["floor"] = 0.5
    return {"nli": found}


@cache
def penalties() -> Records:
    fo = synthetic_first_order
    return {
        "penalty_rates": fo.scheduled(),
        "penalty_rates_fixed": fo.fixed(),
        "proximal_rates": fo.scheduled(names=fo.PROXIMAL),
        "penalty_accuracy": fo.accuracy(),
        "lower_bound": fo.bounded(),
        "nasty": fo.nasty(),
    }


@cache
def first_order() -> Records:
    fo = synthetic_first_order
    ends = {corrupted_labels.WITHOUT: 1.0} | dict.fromkeys(corrupted_labels.FIRST_ORDER, 0.4)
    return {
        "first_order_example3": fo.convexity(lambda name, p, step: 10 / step),
        "first_order_lp": fo.regression(lambda name, p: 0.4 if name in SECOND_ORDER else 0.3),
        "corrupted_labels": fo.corrupted(lambda name, rate: ends.get(name, 0.5)),
        "global_optimality": fo.optimality(),
    }


@cache
def nondegeneracy() -> Records:
    """What is claimed of constrained lower levels and of the network, LICQ among what is needed."""
    fo = synthetic_first_order
    return {"nondegeneracy": fo.nondegeneracy(), "shallow_network_pl": fo.pl_constants(), **stationary()}


def stationary(end: Callable[[str, str, float], float] = lambda *of: 0.0, power: float = 1.0) -> Records:
    """Records of the methods' runs, which end at some ε."""
    fo = synthetic_first_order
    return {name: fo.stationary(name, end, power) for name in ("nondegeneracy_runs", "shallow_network_runs")}


# Broken --------------------------------------------------------------------------------------------------------------


@cache
def just_flatter() -> Records:
    """Averages that fall a little less fast than every bound: by 0.004 and more in the exponent."""

    def falls(cell, seed, t):
        return np.maximum(t, 1.0) ** (bound_exponent(cell["p"]) + 0.004 + 0.001 * seed)

    def slope(method: str, case: str) -> float:
        return BOUNDS[method][case] + 0.004

    fo = synthetic_first_order
    axes = BOTH_NOISES | {"upper_step": list(PAPER.values())}
    own = [record(p, axes, mean=falls, steps=5000) for p in EXPONENTS]
    proximal = fo.scheduled(slope, names=fo.PROXIMAL)
    fixed = fo.fixed(slope)
    return {"fig5": own, "penalty_rates": fo.scheduled(slope), "penalty_rates_fixed": fixed, "proximal_rates": proximal}


@cache
def accuracy_without_effect() -> Records:
    """The penalty changes nothing: its errors are the same at every λ."""
    return {"penalty_accuracy": synthetic_first_order.accuracy(in_penalty=0.0, hessian=lambda penalty: penalty**0.5)}


def landscape_with(records: Records, **changes: Callable[[pd.DataFrame], pd.Series]) -> Records:
    """What nothing optimises, with columns of the histories replaced by functions of them, where they are there."""

    def changed(one: FakeRecord) -> FakeRecord:
        kept = {name: change(one.history) for name, change in changes.items() if name in one.history}
        return dataclasses.replace(one, history=one.history.assign(**kept))

    return _changed(records, changed)


@cache
def lp_without_effect() -> Records:
    """Weights that never move: every method ends at the same φ and accuracy, and tells no sample from another."""
    found = []
    for p in LP_EXPONENTS:
        found += [synthetic_lp.unibio(p, 0.3, k, auc=0.5, accuracy=0.8) for k in (100, 30)]
        found += [synthetic_lp.record(name, p, 0.3, auc=0.5, accuracy=0.8) for name in synthetic_lp.OTHERS]
    return {"lp_regression": found}


@cache
def network_without_effect() -> Records:
    """Weights that never move, labels that are never flipped, a floor that is never read."""

    def everyone(**settings) -> list[FakeRecord]:
        names = (*synthetic_nli.METHODS, *synthetic_nli.FURTHER)
        return [one for name in names for one in synthetic_nli.pair(name, 0.5, 0.0, auc=0.5, **settings)]

    floors = [
        synthetic_nli.floor(delta, name, valid=0.5 + 0.01 * seed, seed=seed)
        for name in ("unibio", "unibio_plain")
        for delta in (0.001, 0.5)
        for seed in range(3)
    ]
    anew = ("unibio_plain", "stocbio", "ma_soba")
    return {
        "nli": everyone(),
        "nli_noise": [one for rate in (0.2, 0.4) for one in everyone(rate=rate)],
        "nli_exponents": everyone(p=2) + everyone(p=4),
        "nli_controls": synthetic_nli.controls(0.5, 0.5),
        "nli_floor": floors,
        "nli_released": [one for name in anew for one in synthetic_nli.pair(name, 0.5, rate=0.2, noise="released")],
        **widths((0.0, 0.0, 0.0)),
    }


@cache
def first_order_without_effect() -> Records:
    """An upper level that is never updated: all methods end where they began, alike."""
    fo = synthetic_first_order
    return {
        "first_order_example3": fo.convexity(lambda name, p, step: math.inf),
        "first_order_lp": fo.regression(lambda name, p: 0.4),
        "corrupted_labels": fo.corrupted(lambda name, rate: 1.0),
    }


@cache
def search_without_effect() -> Records:
    """Every pair of steps gives the same."""
    steps = {"upper_step": [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3], "lower_step": [0.1, 1.0, 10.0]}
    return {"lr_search": [record(p, steps, mean=lambda cell, seed, t: np.ones(len(t))) for p in EXPONENTS]}


def _changed(records: Records, change: Callable[[FakeRecord], FakeRecord]) -> Records:
    done: dict[int, FakeRecord] = {}
    for found in records.values():
        for one in found:
            done.setdefault(id(one), change(one))
    return {name: [done[id(one)] for one in found] for name, found in records.items()}


def _diverged(one: FakeRecord) -> FakeRecord:
    """The run was given up half-way, with numbers that are still finite."""
    history = one.history
    half = history[history["iteration"] <= history["iteration"].max() / 2]
    return dataclasses.replace(one, history=half.reset_index(drop=True), runs=one.runs.assign(status="diverged"))


def diverged(records: Records) -> Records:
    """All runs of all records."""
    return _changed(records, _diverged)


def undefined(records: Records) -> Records:
    """Every metric is NaN from the second row on, or at all where nothing is run; the runs are completed."""
    return _changed(records, _undefined)


#: Columns that tell a row's place and not what was measured there.
_PLACES = ("run", "seed", "iteration", "oracle_calls", "samples", "lower_samples", "seconds", "penalty", "noise")
_COUNTS = ("grad_upper", "grad_lower", "grad_lower_x", "hvp", "jvp", "value_calls")


def _undefined(one: FakeRecord) -> FakeRecord:
    history = one.history.copy()
    swept = ("distance",) if one.config["problem"]["name"] == "regularity" else ()  # elsewhere a metric
    metrics = [
        name
        for name in history.columns
        if name not in (*_PLACES, *_COUNTS, *swept) and not name.endswith("_step") and not name.startswith("start_")
    ]
    later = (history["iteration"] > 0) | ("hessian_norm" in history)  # of which the start is all there is
    history.loc[later, metrics] = math.nan
    hits = {name: math.nan for name in one.runs.columns if name.startswith(("iterations_to", "oracle_calls_to"))}
    hits |= {name: math.nan for name in one.runs.columns if name.startswith(("error_", "excess_"))}
    return dataclasses.replace(one, history=history, runs=one.runs.assign(**hits))


def one_side_diverged(records: Records, other: Callable[[FakeRecord], bool]) -> Records:
    """The runs of the records that a predicate picks."""
    return _changed(records, lambda one: _diverged(one) if other(one) else one)


def heavy_tails(records: Records, metrics: Iterable[str]) -> Records:
    """Some metrics of every run times a factor of its own, of the size of e^±10, that changes along the run."""
    rng = np.random.default_rng(0)

    def change(one: FakeRecord) -> FakeRecord:
        history, wild = one.history.copy(), {}
        for run in history["run"].unique():
            rows = history["run"] == run
            # A walk in the logarithm whose steps have no variance, from one row to the next.
            walk = np.cumsum(rng.standard_t(1.5, size=int(rows.sum())))
            wild[run] = np.exp(np.clip(walk, -10, 10))
        factor = np.concatenate([wild[run] for run in history["run"].unique()])
        for name in metrics:
            history[name] = history[name] * factor
        return dataclasses.replace(one, history=history)

    return _changed(records, change)


def name_of(one: FakeRecord) -> str:
    return str(one.config["algorithm"]["name"])


def exponent_of(one: FakeRecord) -> int:
    return int(one.config["problem"].get("exponent", 2))
