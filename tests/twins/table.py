"""The table of broken twins: which records, whether they are of real runs, and of which claims they are a twin.

A claim that is added to a study needs a line here; ``test_twins.py`` says so by its id.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache, partial
from itertools import groupby
from typing import Any

import numpy as np

import synthetic_complexity as sc
import synthetic_first_order as sn
import synthetic_followed as sf
import synthetic_pilot as sp
import synthetic_without_p as sw
from synthetic import study
from twins import complexity as co
from twins import example3 as ex
from twins import first_order as fo
from twins import made_up as mu
from twins import methods as me
from twins import pilot as pi
from twins import theory as th
from twins import without_p as wp
from twins.made_up import Records, exponent_of, name_of
from unibio.studies import CLAIMS
from unibio.studies.common.claim import judge
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import Outcome
from unibio.studies.landscape import ERRORS
from unibio.studies.pl_conditions.measures import WELL

REAL, MADE_UP = "real", "made up"


@dataclass(frozen=True)
class Twin:
    """Records, and the claims that are judged on them.

    Attributes:
        what: is broken, or nothing.
        made: ``REAL`` runs, or ``MADE_UP``.
        broken: whether the claims must not be confirmed; else they must.
        claims: ids, with * for any part of one.
        records: by experiment.
    """

    what: str
    made: str
    broken: bool
    claims: tuple[str, ...]
    records: Callable[[], Records]

    @property
    def ids(self) -> list[str]:
        """The claims' ids, in the report's order."""
        return [claim.id for claim in CLAIMS if any(fnmatch(claim.id, pattern) for pattern in self.claims)]

    @property
    def evidence(self) -> Evidence:
        """The records, once a session."""
        return _evidence(self)

    @property
    def finite(self) -> bool:
        """Whether all runs of the records that are judged completed, with numbers that are finite."""
        return _finite(self)


@cache
def _finite(twin: Twin) -> bool:
    experiments = {name for claim in CLAIMS if claim.id in twin.ids for name in claim.experiments}
    found = [one for name in experiments for one in twin.evidence.records(name)]
    numbers = (one.history.select_dtypes("number").to_numpy(dtype=float) for one in found)
    return all((one.runs["status"] == "completed").all() for one in found) and all(
        np.isfinite(values[:, ~np.isnan(values).all(axis=0)]).all() for values in numbers
    )


@cache
def _evidence(twin: Twin) -> Evidence:
    return study(**twin.records())


@cache
def outcome(twin: Twin, name: str) -> Outcome:
    """What is said of a claim on a twin's records."""
    (claim,) = [claim for claim in CLAIMS if claim.id == name]
    return judge(claim, twin.evidence)[0]


FIGURE1 = (
    "fig1?",
    "fig1?-lower",
    "slower-iterations",
    "slower-calls",
    "slower-iterations-lower",
    "slower-calls-lower",
    "closed-form-suffices*",
)
FIGURE5 = ("rate-p[0-9]*", "faster-than-bound*", "flatter-with-p*")
TALL = ("slower-*-10d*", "noise-robust-10d*")
SENSITIVITY = ("generalised-estimator-10d*", "budget-and-step-10d*")
SEARCH = ("paper-steps-tied", "lower-step-irrelevant")
SCHEDULES, STEPS = ("schedules-[!s]*", "schedules-sharp*"), ("schedules-step",)
COSTS = ("inner-iterations", "running-time-grows")
INNER = ("inner-iterations-grow", "inner-iterations-elsewhere")
E1 = ("e1-*",)
#: Of E.1, those that compare UniBiO with others.
COMPARED = ("e1-first*", "e1-small-steps*", "e1-sensitivity*")
DEVIATIONS = ("released-*",)
LP, NETWORK = ("lp-*",), ("nli-*",)
ACCURACY = ("penalty-*",)
BOUND, STRICTLY = ("landscape-error-bound",), ("landscape-strict",)
LANDSCAPE = ("landscape-*",)
AROUND = ("nondegenerate-*", "degenerate-*", "network-formula", "network-errors")
TOLD, LICQ = ("nondegenerate-formula", "nondegenerate-said"), ("degenerate-licq",)
FALL, REST = ("nondegenerate-value", "nondegenerate-gradient", "network-errors"), ("degenerate-*",)
ENDS, NETWORK_ENDS, PL = ("constrained-*",), ("network-stationary",), ("network-pl",)
PENALTY = ("landscape-value", "landscape-gradient", "landscape-jacobian")
RATES = ("rate-f2sa-*", "rate-f3sa-*", "rate-f2ba-*", "rate-proximal*")
ACROSS = ("crosses-*", "first-order-unaffected")
LYAPUNOV, V_FALLS = ("lyapunov-*",), ("lyapunov-exact", "lyapunov-noise")
STATIONARY = ("stationarity-*",)
TO_EPSILON = ("lower-bound-calls-*",)
LABELS = ("labels-*",)
OPTIMALITY = ("global-*",)
CONDITIONS, ITERATIONS = ("conditions-[!i]*",), ("conditions-iterations*",)
CLEANING, MOTIVATING = ("cleaning-*",), ("motivating-*",)
ALGORITHM1, REGULARITY = ("algorithm1-*",), ("regularity-*",)
TRACKING, BIASES = ("tracking-[!b]*",), ("tracking-bias-*",)
ABLATION = ("ablation-*",)
HOELDER = ("hoelder-*",)
CALLS = ("calls-p2-*",)
TUNED = ("tuned-calls-*",)
SYSTEMS = ("estimators-*",)
D_OF_SYSTEMS = ("estimators-d-*",)
UNKNOWN = ("unknown-*",)
OTHERS = (*ACROSS, "first-order-lp", *LABELS, *OPTIMALITY)

#: Claims that no records can confirm, because broken algorithms would confirm them, too; their explanations say so.
NEVER = ("running-time-grows", "global-penalty", "global-implicit")


def _real(what: str, claims: tuple[str, ...], make: Callable[..., Records], *how: str) -> Twin:
    return Twin(what, REAL, True, claims, partial(make, *how))


def _made(what: str, claims: tuple[str, ...], make: Callable[[], Records]) -> Twin:
    return Twin(what, MADE_UP, True, claims, make)


def _intact(made: str, claims: tuple[str, ...], make: Callable[[], Records]) -> Twin:
    return Twin("as claimed" if made == MADE_UP else "intact", made, False, claims, make)


def _lost(make: Callable[[], Records], other: Callable[..., bool]) -> Callable[[], Records]:
    return lambda: mu.one_side_diverged(make(), other)


def _all(change: Callable[[Records], Records], make: Callable[[], Records]) -> Callable[[], Records]:
    return lambda: change(make())


def _wild(make: Callable[[], Records], *metrics: str) -> Callable[[], Records]:
    return lambda: mu.heavy_tails(make(), metrics)


def _frozen(one: mu.FakeRecord) -> bool:
    return bool(one.config["problem"]["weights"] == "frozen")


def _v() -> Records:
    return {"lyapunov": sf.lyapunov()}


def _stationary() -> Records:
    return {"stationarity": sf.stationarity()}


def _to_epsilon() -> Records:
    return {"lower_bound_calls": sf.calls()}


#: Of everything that is made up: the claims, the records, and which of them are the other side of the comparison.
AS_CLAIMED: tuple[tuple[tuple[str, ...], Callable[[], Records]], ...] = (
    ((*FIGURE1, *TALL), mu.slower),
    (("rate-p[0-9]*", "faster-than-bound*"), mu.power_laws),
    (("flatter-with-p*",), mu.flatter),
    (SENSITIVITY, mu.sensitivity),
    (SEARCH, mu.search),
    (ALGORITHM1, mu.algorithm1),
    (REGULARITY, mu.regularity),
    ((*SCHEDULES, *STEPS), mu.schedules),
    ((*TRACKING, *BIASES), mu.tracking),
    (ABLATION, mu.ablation),
    (COMPARED, mu.e1),
    (("e1-converges", "e1-lower-level-solved"), mu.e1),
    (("e1-crossing",), mu.crossing),
    (HOELDER, sc.figures),
    (CALLS, sc.rates),
    (TUNED, sc.tuned),
    (INNER, sc.inner),
    (SYSTEMS, lambda: {"estimators": sw.estimators()}),
    (UNKNOWN, sw.unknown_everywhere),
    (DEVIATIONS, mu.deviations),
    (LP, mu.lp),
    (NETWORK, mu.network),
    ((*RATES, "lower-bound", "nasty-reached"), mu.penalties),
    (LYAPUNOV, _v),
    (STATIONARY, _stationary),
    (TO_EPSILON, _to_epsilon),
    ((*ENDS, *NETWORK_ENDS, *PL), mu.nondegeneracy),
    ((*CONDITIONS, *ITERATIONS), lambda: {"pl_conditions": sp.conditions()}),
    (CLEANING, lambda: {"weighted_cleaning": sp.weighted()}),
    (MOTIVATING, lambda: {"motivating": sp.motivating()}),
    ((*ACROSS, "first-order-lp", *LABELS, "global-every-start", "global-log-curve", "global-spurious"), mu.first_order),
)

#: What is broken of landscape, which claims that concerns, and the columns that show it.
NO_LANDSCAPE: tuple[tuple[str, tuple[str, ...], dict[str, Callable[..., Any]]], ...] = (
    (
        "a residual that vanishes with σ",
        (*BOUND, *STRICTLY),
        {"proximal_residual": lambda h: h["proximal_residual"] / h["penalty"]},
    ),
    (
        "solutions that tear where the bound holds",
        ("landscape-continuity",),
        {"solution_slope": lambda h: h["penalty"]},
    ),
    (
        "a residual like that of strong convexity",
        ("landscape-uniform",),
        {"lower_residual": lambda h: h["lower_error"]},
    ),
    ("errors that depend on nothing", PENALTY, {name: lambda h: 0 * h["penalty"] + 0.1 for name in ERRORS}),
    (
        "the formula without its second term",
        ("landscape-pseudoinverse",),
        {"pseudoinverse_error": lambda h: h["hypergradient_norm"]},
    ),
)


#: The same of nondegeneracy.
NO_CONDITIONS: tuple[tuple[str, tuple[str, ...], dict[str, Callable[..., Any]]], ...] = (
    (
        "the formula without the constraints",
        ("nondegenerate-formula",),
        {"kkt_error": lambda h: h["pseudoinverse_error"]},
    ),
    (
        "the network's formula without its second term",
        ("network-formula",),
        {"pseudoinverse_error": lambda h: h["hypergradient_norm"]},
    ),
    ("degenerate places are not said", ("nondegenerate-said",), {"said": lambda h: 0.0 * h["penalty"]}),
    ("every place is said to be degenerate", ("nondegenerate-said",), {"said": lambda h: 0 * h["penalty"] + 1}),
    (
        "errors that depend on nothing",
        (*FALL, *REST),
        {name: lambda h: 0 * h["penalty"] + 0.1 for name in ("value_error", "gradient_error")},
    ),
    (
        "errors ∝ σ everywhere",
        REST,
        {name: lambda h: 1 / h["penalty"] for name in ("value_error", "gradient_error")},
    ),
)


#: What its claims rest on.
LANDSCAPE_METRICS = (
    *("proximal_residual", "solution_slope", "penalty_slope", "lower_residual", "pseudoinverse_error"),
    *ERRORS,
)


NONDEGENERACY_METRICS = (
    *("value_error", "gradient_error", "kkt_error", "difference_error", "pseudoinverse_error", "said"),
)


def _nan(history: Any) -> Any:
    return math.nan * history["penalty"]


def _landscape(what: str, claims: tuple[str, ...], changes: dict[str, Callable[..., Any]]) -> Twin:
    return _real(what, claims, lambda: mu.landscape_with(me.landscape(), **changes))


def _nondegeneracy(what: str, claims: tuple[str, ...], changes: dict[str, Callable[..., Any]]) -> tuple[Twin, Twin]:
    """Real records, where kinks have no gradient, and made-up ones without a NaN."""
    return (
        _real(what, claims, lambda: mu.landscape_with(me.nondegeneracy(), **changes)),
        _made(what, claims, lambda: mu.landscape_with(mu.nondegeneracy(), **changes)),
    )


def _stuck(method: str, place: str, epsilon: float) -> float:
    return 2 * epsilon


TWINS: tuple[Twin, ...] = (
    _intact(REAL, ("fig1a", "fig1b-lower", "fig1c-lower", "slower-iterations-lower"), ex.figure1),
    *(
        _real(how, (*FIGURE1, *FIGURE5), ex.figure1, how)
        for how in ("y never refreshed", "wrong sign of the Jacobian", "lower step 0", "all diverged", "p = 8 diverged")
    ),
    _real("β = 0, noise on both levels", ("fig1d",), ex.noisy_upper, "β = 0"),
    _real("NaN", ("fig1?",), lambda: {"fig1": ex.figure1("NaN")["fig1"]}),
    _real("the script diverged", ("closed-form-suffices*",), ex.figure1, "intact", "all diverged"),
    _real("x never moves in either", ("closed-form-suffices*",), ex.figure1, "x never moves", "x never moves"),
    _real("y never refreshed", TALL, ex.coordinates, "y never refreshed"),
    _real("y never refreshed", SENSITIVITY, ex.sensitivity, "y never refreshed"),
    _real("the classical estimator diverged", SENSITIVITY[:1], ex.sensitivity, "intact", "all diverged"),
    *(_real(how, SEARCH, ex.search, how) for how in ("y never refreshed", "x never moves", "all diverged")),
    _intact(REAL, ("inner-iterations",), ex.runtime),
    *(_real(how, COSTS, ex.runtime, how) for how in ("y never refreshed", "all diverged")),
    *(_real(how, SCHEDULES, th.schedules, how) for how in th.SCHEDULES),
    *(_real(how, STEPS, th.steps, how) for how in th.SCHEDULES),
    *(_real(how, (*TRACKING, *BIASES), th.tracking, how) for how in th.TRACKING),
    *(_real(how, ABLATION, th.ablation, how) for how in ("y never refreshed", "x never moves", "diverged")),
    *(_real(how, ALGORITHM1, th.algorithm1, how) for how in th.ALGORITHM1),
    _intact(REAL, SYSTEMS, wp.estimators),
    _real("wrong sign", SYSTEMS, wp.estimators, "wrong sign"),
    _real("D left out", D_OF_SYSTEMS, wp.estimators, "D left out"),
    _real("the diagonal inverted", ("estimators-diagonal",), wp.estimators, "the diagonal inverted"),
    _real("one sample for a sum", ("estimators-bias",), wp.estimators, "one sample for a sum"),
    _intact(REAL, ("e1-converges",), me.e1),
    *(_real(f"UniBiO: {how}", E1, me.e1, how) for how in ("y never refreshed", "wrong sign", "diverged")),
    _real("all but UniBiO diverged", COMPARED, me.e1, "intact", "diverged"),
    _real("BO-REP diverged", ("e1-small-steps-estimator",), me.e1, "intact", "intact", "diverged"),
    _intact(REAL, ("released-bias",), me.deviations),
    _real("no deviation", DEVIATIONS, me.deviations, "as published"),
    _real("the deviations diverged", DEVIATIONS, me.deviations, "diverged"),
    _real("the published methods diverged", DEVIATIONS, me.deviations, "intact", "diverged"),
    _intact(REAL, ACCURACY, me.accuracy),
    _intact(
        REAL, (*BOUND, "landscape-uniform", "landscape-continuity", *PENALTY, "landscape-pseudoinverse"), me.landscape
    ),
    _real("a lower level whose solutions tear", STRICTLY, me.landscape),
    *(_landscape(*broken) for broken in NO_LANDSCAPE),
    _intact(
        REAL,
        (*TOLD, *FALL, "degenerate-strict", "network-formula"),
        me.nondegeneracy,
    ),
    _real("constraints that do not depend on x", LICQ, me.nondegeneracy),
    _made("constraints that do not depend on x", LICQ, lambda: {"nondegeneracy": sn.nondegeneracy(corner=None)}),
    _intact(MADE_UP, AROUND, mu.nondegeneracy),
    *(twin for broken in NO_CONDITIONS for twin in _nondegeneracy(*broken)),
    _intact(REAL, ENDS, me.constrained),
    *(_real(how, ENDS, me.constrained, how) for how in ("x never moves", "wrong sign", "diverged")),
    *(_real(how, RATES, me.rates, how) for how in ("y never refreshed", "x never moves", "diverged")),
    *(_real(how, ("lower-bound",), me.lower_bound, how) for how in ("x never moves", "diverged")),
    _intact(REAL, ("lyapunov-exact", "lyapunov-terms"), fo.lyapunov),
    *(
        _real(how, LYAPUNOV, fo.lyapunov, how)
        for how in ("y never refreshed", "wrong sign", "x never moves", "diverged")
    ),
    _real("steps of x ten times as long", LYAPUNOV, lambda: fo.lyapunov("intact", 10.0)),
    _real("y and z start at y*", ("lyapunov-terms",), lambda: fo.lyapunov("intact", 1.0, 0.0)),
    *(_real(how, STATIONARY, fo.stationarity, how) for how in ("y never refreshed", "diverged")),
    _real("x never moves", ("stationarity-[!d]*",), fo.stationarity, "x never moves"),
    _real("a residual that vanishes with σ", ("stationarity-distance",), fo.vanishing),
    *(_real(how, TO_EPSILON, fo.lower_calls, how) for how in ("x never moves", "diverged")),
    *(_real(how, ("nasty-reached",), me.nasty, how) for how in ("x never moves", "wrong sign", "diverged")),
    _real("a single start, at the solution", ("nasty-reached",), lambda: me.nasty("intact", (0.0,))),
    *(_real(how, ACROSS, me.across, how) for how in ("y never refreshed", "diverged")),
    _intact(REAL, ("global-spurious",), me.optimality),
    *(_real(how, OPTIMALITY, me.optimality, how) for how in ("x never moves", "wrong sign", "y never refreshed")),
    _intact(REAL, ("conditions-fail", "conditions-blockwise-weights"), pi.conditions),
    *(_real(how, (*CONDITIONS, *ITERATIONS), pi.conditions, how) for how in pi.BREAKINGS),
    _intact(REAL, CLEANING, pi.weighted),
    *(_real(how, CLEANING, pi.weighted, how) for how in pi.BREAKINGS),
    _intact(REAL, ("motivating-ridge",), pi.motivating),
    *(_real(how, MOTIVATING, pi.motivating, how) for how in pi.BREAKINGS),
    *(_intact(MADE_UP, claims, make) for claims, make in AS_CLAIMED),
    *(_made("all diverged", claims, _all(mu.diverged, make)) for claims, make in AS_CLAIMED),
    *(_made("NaN", claims, _all(mu.undefined, make)) for claims, make in AS_CLAIMED),
    _made("NaN", LANDSCAPE, lambda: mu.landscape_with(me.landscape(), **dict.fromkeys(LANDSCAPE_METRICS, _nan))),
    _made("NaN", AROUND, lambda: mu.landscape_with(me.nondegeneracy(), **dict.fromkeys(NONDEGENERACY_METRICS, _nan))),
    _made("ends at twice ε", (*ENDS, *NETWORK_ENDS), lambda: mu.stationary(_stuck)),
    _made("calls that grow with ε^(−4)", (*ENDS, *NETWORK_ENDS), lambda: mu.stationary(power=4.0)),
    _made("a PL constant that vanishes", PL, lambda: {"shallow_network_pl": sn.pl_constants(wide=-1.0)}),
    _made("PL with too few units, too", PL, lambda: {"shallow_network_pl": sn.pl_constants(narrow=0.0, falls=True)}),
    _intact(
        MADE_UP,
        STRICTLY,
        lambda: mu.landscape_with(me.landscape(), proximal_residual=lambda h: h["solution_distance"] / 2),
    ),
    *(_real(how, HOELDER, co.figures, how) for how in ("y never refreshed", "wrong sign", "x never moves")),
    *(_real(how, CALLS, co.rates, how) for how in ("y never refreshed", "x never moves")),
    *(_real(how, TUNED, co.tuned, how) for how in ("y never refreshed", "x never moves")),
    _real("steps of zero", INNER, co.inner, "intact", 1e-12),
    _made("without p nothing gets far", UNKNOWN, lambda: sw.unknown_everywhere(lambda of, method: 100.0)),
    _made("nothing gets beyond the start", UNKNOWN, lambda: sw.unknown_everywhere(flat=True)),
    _made("a wrong p costs nothing", ("unknown-misinformed",), lambda: sw.unknown_everywhere(sw.wrong_but_cheap)),
    _made(
        "held-out cells take five times the calls",
        ("unknown-held-out",),
        lambda: sw.unknown_everywhere(sw.slow_held_out),
    ),
    _made("p has no effect", INNER[:1], lambda: sc.inner(lambda p, place: -0.5)),
    _made("p costs as much everywhere", INNER[1:], lambda: sc.inner(lambda p, place: sc.flat_at_zero(p, 0.0))),
    _made("p has no effect", HOELDER, lambda: sc.figures(lambda p: -0.25, lambda p: 1.0, lambda p: 0.03)),
    _made(
        "exponents just above the claimed ones",
        ("calls-p2-[!o]*",),
        lambda: sc.rates({m: a + 0.4 for m, a in sc.AS_CLAIMED.items()}),
    ),
    _made(
        "ratios that fall like the root of the excess",
        ("conditions-joint", "conditions-blockwise*"),
        lambda: {"pl_conditions": sp.conditions(power=lambda problem, part: 0.5)},
    ),
    _made(
        "runs that rest off the minimum",
        ("conditions-joint", "conditions-blockwise*"),
        lambda: {"pl_conditions": sp.conditions(left=lambda problem, part, start: 0.1 * (start == 2))},
    ),
    _made(
        "a measure that cannot fail",
        ("conditions-fail",),
        lambda: {"pl_conditions": sp.conditions(left=lambda problem, part, start: 0.0)},
    ),
    _made(
        "a measure that always fails",
        ("conditions-fail",),
        lambda: {"pl_conditions": sp.conditions(left=lambda problem, part, start: 0.6 * (problem == WELL))},
    ),
    _made("iterations that grow like a root of 1/ε", ITERATIONS, pi.power_law),
    _made(
        "γ that is twice as dear as it buys",
        ("cleaning-penalty",),
        lambda: {"weighted_cleaning": sp.weighted(lower=-1.0)},
    ),
    _made("weights that tell nothing", ("cleaning-weights",), lambda: {"weighted_cleaning": sp.weighted(auc=0.6)}),
    _made(
        "one start that ends elsewhere",
        (*MOTIVATING,),
        lambda: {"motivating": sp.motivating(lambda problem, name, start: 0.1 * (start == 7))},
    ),
    _made("exponents all alike", ("tuned-calls-grow",), lambda: sc.tuned(lambda place, p: 4.0)),
    _made("exponents above every bound", ("tuned-calls-*-bound",), lambda: sc.tuned(lambda place, p: 5.0 * p - 5)),
    _made("exponents that grow with p", ("tuned-calls-example3",), lambda: sc.tuned(lambda place, p: 3.0 * p - 2)),
    _made("exponents all alike", ("calls-p2-ordered",), lambda: sc.rates(dict.fromkeys(sc.AS_CLAIMED, 2.9))),
    _made("UniBiO: y never refreshed", E1, lambda: mu.e1(lower_error=2.0)),
    _made("p = 8 diverged", ("slower-*",), _lost(mu.slower, lambda one: exponent_of(one) == 8)),
    _made("a slope just above the bound", ("rate-*", "faster-than-bound*"), mu.just_flatter),
    _made("no pair of steps is better", SEARCH[:1], mu.search_without_effect),
    _made("half the exponent", ALGORITHM1, lambda: mu.algorithm1(0.5)),
    _made("a slope just below what is enough", SCHEDULES, lambda: mu.schedules(none=0.8)),
    _made("one epoch is enough", SCHEDULES, lambda: mu.schedules(one_epoch=1.0)),
    _made("a largest error that falls less than ε", TRACKING, lambda: mu.tracking(late=6.0)),
    _made("one epoch keeps to ε", TRACKING, lambda: mu.tracking(share=0.1)),
    _made("a bias that falls less than ε", BIASES, lambda: mu.biased(0.8)),
    _made("a bias that is the same for every ε", BIASES, lambda: mu.biased(0.0)),
    _made("one epoch has a bias like ε", BIASES, lambda: mu.tracking(epoch=1.0)),
    _made("no part has an effect", ABLATION, lambda: mu.ablation(1.0)),
    _made("every part harms", ABLATION, lambda: mu.ablation(0.8)),
    _made("every part helps, and harms on one problem", ABLATION, lambda: mu.ablation(1.3, 0.8)),
    _made("every step reaches the same", STEPS, lambda: mu.schedules(step=0.25)),
    _made("half of every exponent, a singular generalised Hessian", REGULARITY, lambda: mu.regularity(claimed=False)),
    _made("three seeds of heavy tails", FIGURE5, _wild(mu.power_laws, "hypergradient_norm_mean")),
    _made("three seeds of heavy tails", RATES, _wild(mu.penalties, "hypergradient_norm_mean")),
    _made("three seeds of heavy tails", ("lower-bound",), _wild(mu.penalties, "hypergradient_norm")),
    _made("errors that depend on nothing, a Hessian that grows", ACCURACY, mu.accuracy_without_effect),
    _made("NaN", ACCURACY, _all(mu.undefined, mu.penalties)),
    _made("V rises once", V_FALLS[:1], lambda: {"lyapunov": sf.lyapunov(sf.rising_once)}),
    _made("V stays where it is", V_FALLS, lambda: {"lyapunov": sf.lyapunov(sf.level)}),
    _made("φ falls as V does", ("lyapunov-terms",), lambda: {"lyapunov": sf.lyapunov(gap=sf.falling)}),
    _made(
        "slopes just above the exponents",
        ("stationarity-[!d]*",),
        lambda: {"stationarity": sf.stationarity(sf.above, sf.above)},
    ),
    _made(
        "a residual that vanishes with σ",
        ("stationarity-distance",),
        lambda: {"stationarity": sf.stationarity(modulus={"point": 0.5, "wells": 0.5, "manifold": 0.0})},
    ),
    _made(
        "as many calls with one sample",
        ("lower-bound-calls-fresh", "lower-bound-calls-shared"),
        lambda: {"lower_bound_calls": sf.calls(sf.ALIKE)},
    ),
    _made(
        "an oracle that costs a power and a half of ε",
        ("lower-bound-calls-oracle",),
        lambda: {"lower_bound_calls": sf.calls({**sf.POWERS, "own_fresh": 4.5})},
    ),
    _made("weights that never move", LP, mu.lp_without_effect),
    _made("K = 100 diverged", ("lp-less-inner-work",), _lost(mu.lp, lambda one: _budget(one) == 100)),
    _made("all but UniBiO diverged", ("lp-lowest-*", "lp-ranking-changes"), _lost(mu.lp, lambda one: not _own(one))),
    _made("what the claim is about has no effect", NETWORK, mu.network_without_effect),
    _made(
        "all but UniBiO diverged",
        ("nli-highest*", "nli-e*", "nli-cleans*"),
        _lost(mu.network, lambda one: not _own(one)),
    ),
    _made("the frozen twins diverged", ("nli-weighting-helps",), _lost(mu.network, _frozen)),
    _made("all but two epochs diverged", ("nli-two-epochs*",), _lost(mu.network, lambda one: not _two_epochs(one))),
    _made("all but UniBiO without p diverged", ("nli-without-p",), _lost(mu.network, lambda one: not _adaptive(one))),
    _made("a floor at which D is constant", ("nli-two-epochs*",), mu.two_epochs_with_d_constant),
    _made("a width that is never read", ("nli-ranking-width",), partial(mu.widths, (0.02, 0.02, 0.02))),
    _made(
        "orders that change by less than seeds do",
        ("nli-ranking-width",),
        partial(mu.widths, (0.002, -0.002, 0.002), apart=0.02),
    ),
    _made("an upper level that is never updated", (*ACROSS, "first-order-lp", *LABELS), mu.first_order_without_effect),
    _made(
        "training without, or the methods with the Hessian, diverged",
        ("first-order-lp", *LABELS),
        _lost(mu.first_order, lambda one: name_of(one) in ("lower_only", "unibio", "soba", "stocbio")),
    ),
)


def _own(one: mu.FakeRecord) -> bool:
    return name_of(one).startswith("unibio")


def _two_epochs(one: mu.FakeRecord) -> bool:
    return "inner_budget" in one.config["algorithm"]


def _adaptive(one: mu.FakeRecord) -> bool:
    return name_of(one) == "unibio_adaptive"


def _budget(one: mu.FakeRecord) -> int | None:
    found = one.config["algorithm"].get("inner_budget")
    return None if found is None else int(found)


# The page ------------------------------------------------------------------------------------------------------------

BEGIN, END = "<!-- twins: begin -->", "<!-- twins: end -->"


def rows() -> list[str]:
    """The table in Markdown, a line for every twin and verdict."""
    lines = ["| claims | records | runs | verdict |", "|---|---|---|---|"]
    found = []
    for twin in TWINS:
        by_verdict: dict[str, list[str]] = {}
        for name in twin.ids:
            by_verdict.setdefault(outcome(twin, name).verdict, []).append(name)
        found += [(_short(ids), twin.what, twin.made, verdict) for verdict, ids in by_verdict.items()]
    for _, same in groupby(sorted(found, key=lambda row: (row[0], found.index(row))), key=lambda row: row[0]):
        lines += [f"| {' | '.join(row)} |" for row in same]
    return lines


def _short(ids: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in ids)
