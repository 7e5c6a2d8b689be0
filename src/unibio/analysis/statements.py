"""What is claimed: by the paper about its synthetic problem, and by us where the reading of the paper depends on it.

An experiment without records makes every claim that needs it "not yet run".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unibio.analysis.claim import Claim as Claim
from unibio.analysis.claims import (
    EXPONENTS,
    NOT_RUN,
    RELEASED_PAIR,
    Outcome,
    budget_matters,
    converges,
    estimator_matters,
    flatter,
    inner_iterations,
    lower_step_irrelevant,
    paper_steps_tied,
    rate,
    robust,
    same_picture,
    slower,
    theorem,
)
from unibio.analysis.discrepancy_claims import costs_without_bias, moves_the_rest
from unibio.analysis.e1 import PAPER_METHODS, SMALL_CAP
from unibio.analysis.e1_claims import (
    first,
    lead_of_estimator,
    lower_level_matters,
    robust_to_steps,
    trouble_at_zero,
    tuned_converges,
)
from unibio.analysis.first_order_statements import FIRST_ORDER_CLAIMS
from unibio.analysis.lp_claims import better_classifier, less_inner_work, lowest_value, ranking_changes, separates
from unibio.analysis.lp_regression import EXPONENTS as LP_EXPONENTS
from unibio.analysis.nli_setting import departures
from unibio.analysis.nli_statements import NLI_CLAIMS
from unibio.analysis.study import MissingRecordsError, Study, exponent, scale
from unibio.errors import InputError
from unibio.records import Record


def judge(claim: Claim, study: Study) -> tuple[Outcome, str]:
    """The outcome of a claim and the scale of the records it comes from ("paper" is the full one, unchanged)."""
    found = [record for name in claim.experiments for record in study.records(name)]
    try:
        for name in claim.experiments:
            absent = sorted(set(claim.exponents) - {exponent(record) for record in study.require(name)})
            if absent:
                text = f"no records of {name} for p = {', '.join(map(str, absent))}; run: {study.command(name)}"
                return Outcome(NOT_RUN, text), _scale(found)
        return claim.rule(study), _scale(found)
    except (MissingRecordsError, InputError) as missing:
        return Outcome(NOT_RUN, str(missing)), _scale(found)


def _scale(found: Sequence[Record]) -> str:
    """The scale's name; a network that is not the paper's is none of it, whatever its scale is called."""
    name = scale(found)
    return "paper with changes" if name == "paper" and departures(found) else name


def _fig1(letter: str, noise: float) -> Claim:
    what = "without noise" if noise == 0 else f"with noise of variance {noise:g} on the lower-level gradient"
    statement = f"UniBiO converges on Example 3 for p = 2, 4, 6, 8 {what}."
    return Claim(f"fig1{letter}", statement, f"Figure 1({letter})", ("fig1",), "fig1", converges("fig1", noise))


def _slower(id: str, where: str, published: str, equal: str, cost: str, figure: str) -> Claim:  # noqa: A002
    statement = f"Larger p is slower: more {cost.replace('_', ' ')} to a small hypergradient{where}."
    source = "Figure 1(a–d)" if published == "fig1" else "Figure 1, repeated by us in 10 dimensions"
    return Claim(id, statement, source, (published, equal), figure, slower(published, equal, cost))


def _rate(p: int) -> Claim:
    text = f"The averaged hypergradient norm at p = {p} falls at least as fast as T^(−1/{3 * p - 2})."
    return Claim(f"rate-p{p}", text, "Figure 5, Theorem 5.1", ("fig5",), "fig5", rate(p))


def _lowest(p: int) -> Claim:
    text = (
        "At an equal oracle budget UniBiO reaches the lowest φ of all methods that draw as many data points on "
        f"ℓ_p-regression, p = {p}."
    )
    return _lp(f"lp-lowest-p{p}", text, "Example 2, compared by us", lowest_value(p), exponents=(p,))


def _lp(
    id: str,  # noqa: A002
    statement: str,
    source: str,
    rule: Callable[[Study], Outcome],
    figure: str = "lp_regression",
    exponents: Sequence[int] = LP_EXPONENTS,
) -> Claim:
    return Claim(id, statement, source, ("lp_regression",), figure, rule, exponents)


def _small_steps(id: str, experiment: str, where: str, per_call: bool) -> Claim:  # noqa: A002
    unit = "oracle call" if per_call else "iteration"
    text = (
        f"With upper steps up to {SMALL_CAP:g}, the largest of the paper's, UniBiO is the fastest of all methods per "
    )
    text += f"{unit}, or tied with it, for every p, {where}."
    source = "Appendix E.1, with the paper's range of upper steps"
    rule = first(experiment, None, cap=SMALL_CAP, per_call=per_call)
    return Claim(id, text, source, (experiment,), f"{experiment}_ranking", rule)


_SMALL_STEPS = (
    ("e1-small-steps", "e1", "on Example 3 without noise", False),
    ("e1-small-steps-noise", "e1_noise", "with noise of variance 1", False),
    ("e1-small-steps-coordinatewise", "e1_coordinatewise", "on the coordinate-wise problem, d = 10 and 100", False),
    ("e1-small-steps-calls", "e1", "on Example 3 without noise", True),
)
_COORDINATES = ("fig1_coordinatewise", "fig1_coordinatewise_equal")

CLAIMS: tuple[Claim, ...] = (
    *(_fig1(letter, noise) for letter, noise in zip("abcd", (0.0, 0.01, 1.0, 10.0), strict=True)),
    _slower("slower-iterations", "", "fig1", "fig1_equal", "iterations", "fig1_equal"),
    _slower("slower-calls", "", "fig1", "fig1_equal", "oracle_calls", "fig1_equal"),
    _slower("slower-iterations-10d", " on the coordinate-wise problem", *_COORDINATES, "iterations", _COORDINATES[1]),
    _slower("slower-calls-10d", " on the coordinate-wise problem", *_COORDINATES, "oracle_calls", _COORDINATES[1]),
    Claim(
        "closed-form-suffices",
        "The published picture needs only the closed form: the released script, which steps along it, and Algorithm 2 "
        "give the same curves.",
        "Figure 1 and the released synthetic script; the check is ours",
        RELEASED_PAIR,
        "fig1_released_comparison",
        same_picture,
    ),
    *(_rate(p) for p in EXPONENTS),
    Claim(
        "flatter-with-p",
        "A larger p gives a flatter power law of the averaged hypergradient norm.",
        "Figure 5, as −1/(3p−2) suggests",
        ("fig5",),
        "fig5_ranges",
        flatter,
    ),
    Claim(
        "theorem-schedule",
        "With the theorem's η(T), β(T), I and K at p = 2 the averaged norm falls at least as fast as T^(−1/4).",
        "Theorem 5.1",
        ("theorem_schedule",),
        "theorem_schedule",
        theorem,
        exponents=(2,),
    ),
    Claim(
        "paper-steps-tied",
        "The paper's learning rates for Example 3 are the best of a grid search, or tied with it within 5%.",
        "Section 6, settings of Example 3",
        ("lr_search",),
        "lr_search",
        paper_steps_tied,
    ),
    Claim(
        "lower-step-irrelevant",
        "In one dimension the lower-level step does not matter at the paper's upper steps.",
        "ours: a normalised step in one dimension sees only a sign",
        ("lr_search",),
        "lr_search",
        lower_step_irrelevant,
    ),
    Claim(
        "inner-iterations",
        "Epoch-SGD takes 75, 59, 70, 77 lower-level steps a call for p = 2, 4, 6, 8 (K = 100, T₁ = 5).",
        "Algorithm 1; table of Figure 5",
        ("runtime",),
        "runtime",
        inner_iterations,
    ),
    Claim(
        "noise-robust-10d",
        "UniBiO converges on the coordinate-wise problem whatever the noise, for every p.",
        "Figure 1(b–d), repeated by us in 10 dimensions",
        ("fig1_coordinatewise",),
        "fig1_coordinatewise",
        robust,
    ),
    Claim(
        "generalised-estimator-10d",
        "For p > 2 the generalised hypergradient estimator is needed: with the classical Neumann sum of the same "
        "length UniBiO does worse.",
        "Theorem 4.1; tested by us in 10 dimensions",
        ("coordinatewise_sensitivity",),
        "coordinatewise_sensitivity",
        estimator_matters,
    ),
    Claim(
        "budget-and-step-10d",
        "On the coordinate-wise problem the inner budget K and the Neumann step change how well UniBiO does.",
        "ours: a reason to repeat Figure 1 in 10 dimensions",
        ("coordinatewise_sensitivity",),
        "coordinatewise_sensitivity",
        budget_matters,
    ),
    Claim(
        "e1-first",
        "Of UniBiO, StocBiO, TTSA and MA-SOBA, each at its best pair of steps, UniBiO is the fastest per iteration for "
        "every p.",
        "Appendix E.1",
        ("e1",),
        "e1_ranking",
        first("e1", PAPER_METHODS),
    ),
    Claim(
        "e1-first-of-all",
        "The same against every second-order method.",
        "Appendix E.1, methods added by us",
        ("e1",),
        "e1_ranking",
        first("e1", None),
    ),
    *(_small_steps(*row) for row in _SMALL_STEPS),
    Claim(
        "e1-small-steps-estimator",
        "UniBiO's lead at small steps is that of the generalised estimator: BO-REP, which is normalised alike but uses "
        "the classical Hessian, does not share it.",
        "ours: what the lead comes from",
        ("e1", "e1_noise", "e1_coordinatewise"),
        "e1_ranking",
        lead_of_estimator(("e1", "e1_noise", "e1_coordinatewise")),
    ),
    Claim(
        "e1-converges",
        "UniBiO at its best pair of steps converges on Example 3 without noise for every p.",
        "Appendix E.1",
        ("e1",),
        "e1_curves",
        tuned_converges,
    ),
    *(
        Claim(
            id,
            "UniBiO converges, and solves the lower level, at a larger part of the searched steps than any other "
            f"method, for every p, {where}.",
            "ours: what a search leaves out",
            (name,),
            figure,
            robust_to_steps(name),
        )
        for id, name, where, figure in (  # noqa: A001
            ("e1-sensitivity", "e1", "on Example 3 without noise", "e1_sensitivity"),
            ("e1-sensitivity-noise", "e1_noise", "with noise of variance 1", "e1_noise_ranking"),
            (
                "e1-sensitivity-coordinatewise",
                "e1_coordinatewise",
                "on the coordinate-wise problem, d = 10 and 100",
                "e1_coordinatewise_ranking",
            ),
        )
    ),
    Claim(
        "e1-crossing",
        "Where y follows y*(x), methods with a truncated Neumann sum of the classical Hessian are held up at x = 0 for "
        "p > 2, not for p = 2.",
        "ours: y* and the classical Hessian vanish at x = 0, where a few terms come nowhere near its inverse",
        ("e1",),
        "e1_crossing",
        trouble_at_zero,
    ),
    Claim(
        "e1-lower-level-solved",
        "The best pair of steps of every method solves the lower level.",
        "ours: otherwise the search does not compare bilevel methods",
        ("e1",),
        "e1_sensitivity",
        lower_level_matters,
    ),
    Claim(
        "e1-first-solved",
        "Among the pairs of steps that solve the lower level UniBiO at its best is the fastest of all per iteration "
        "for every p.",
        "Appendix E.1, without the pairs that put the lower level aside",
        ("e1",),
        "e1_ranking",
        first("e1", None, solved=True),
    ),
    Claim(
        "e1-first-noise",
        "With noise of variance 1 UniBiO at its best pair of steps is the fastest of all methods per iteration for "
        "every p.",
        "Appendix E.1, repeated by us with noise",
        ("e1_noise",),
        "e1_noise_ranking",
        first("e1_noise", None),
    ),
    Claim(
        "e1-first-coordinatewise",
        "On the coordinate-wise problem, d = 10 and 100, UniBiO at its best pair of steps is the fastest per iteration "
        "for every p.",
        "Appendix E.1, repeated by us in more dimensions",
        ("e1_coordinatewise",),
        "e1_coordinatewise_ranking",
        first("e1_coordinatewise", None),
    ),
    Claim(
        "released-bias",
        "The released code's Neumann sums without their first term, TTSA without its factor, SABA's sign and UniBiO's "
        "D H⁻¹ D⁻¹ bias the hypergradient: on a quadratic they rest where ∇φ is not 0.",
        "ours: what local deviations of the released code do",
        ("discrepancies",),
        "discrepancies",
        moves_the_rest,
        exponents=(2,),
    ),
    Claim(
        "released-speed",
        "Its other local deviations (accumulating lower gradients, SABA's history, SUSTAIN's lag and two lengths, "
        "VRBO's zero first correction) come as close to ∇φ = 0 on a quadratic, to a factor of 2, but cost stability, "
        "iterations or accuracy.",
        "ours: what local deviations of the released code do",
        ("discrepancies",),
        "discrepancies",
        costs_without_bias,
        exponents=(2,),
    ),
    *(_lowest(p) for p in LP_EXPONENTS),
    _lp(
        "lp-separates",
        "The learned weights tell clean from corrupted samples: the AUC is above ½ beyond its interval, for every "
        "method and p.",
        "Example 2, hyper-cleaning; tested by us",
        separates,
        "lp_regression_cleaning",
    ),
    _lp(
        "lp-ranking-changes",
        "A larger p changes the ranking of the methods by φ, between p = 2 and p = 6.",
        "ours: uniform convexity is what p changes",
        ranking_changes,
    ),
    _lp(
        "lp-better-classifier",
        "The method with the lowest φ has the highest accuracy on clean test images, for every p.",
        "ours: what φ is worth",
        better_classifier,
        "lp_regression_cleaning",
    ),
    _lp(
        "lp-less-inner-work",
        "At an equal oracle budget UniBiO ends lower with K = 30, I = 4 than with K = 100, I = 2, for every p.",
        "ours: what the lower-level work is worth",
        less_inner_work,
    ),
    *NLI_CLAIMS,
    *FIRST_ORDER_CLAIMS,
)
