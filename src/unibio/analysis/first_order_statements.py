"""What is claimed about the first-order family, by the slides or by pilot studies of ours."""

from __future__ import annotations

from collections.abc import Callable

from unibio.analysis import corrupted_labels as labels
from unibio.analysis import global_optimality as optimality
from unibio.analysis import lower_bound, nasty
from unibio.analysis import penalty_accuracy as accuracy
from unibio.analysis.claim import Claim
from unibio.analysis.claims import Outcome
from unibio.analysis.first_order_convexity import (
    EXAMPLE3,
    FIRST_ORDER,
    REGRESSION,
    UNAFFECTED,
    crosses,
    lower_than_second_order,
    unaffected,
)
from unibio.analysis.penalty_rates import BOUNDS, CASES, FIXED, NAMES, SCHEDULED, rate_rule
from unibio.analysis.study import Study


def _crosses(name: str) -> Claim:
    return Claim(
        f"crosses-{name.replace(' ', '-').replace('_', '-')}",
        f"{FIRST_ORDER[name]} crosses the vanishing Hessian of Example 3 with small steps, for p = 4, 6, 8.",
        "pilot study: first-order methods under uniform convexity",
        (EXAMPLE3,),
        "first_order_example3",
        crosses(name),
    )


def _global(id: str, statement: str, rule: Callable[[Study], Outcome], suffix: str = "") -> Claim:  # noqa: A002
    source = "Unlocking Global Optimality in Bilevel Optimization; tested by us"
    figure = f"global_optimality{suffix}"
    return Claim(id, statement, source, (optimality.EXPERIMENT,), figure, rule, exponents=(2,))


def _accuracy(id: str, statement: str, rule: Callable[[Study], Outcome]) -> Claim:  # noqa: A002
    source = "slides, Fully First-Order Methods for Bilevel Optimization"
    return Claim(id, statement, source, (accuracy.EXPERIMENT,), accuracy.EXPERIMENT, rule, exponents=(2,))


def _penalty_rate(method: str, case: str) -> Claim:
    exponent_of = f"K^({BOUNDS[method][case]:.3f})".replace("-", "−")
    return Claim(
        f"rate-{method}-{case}",
        f"{NAMES[method]} with {CASES[case]}: the averaged ‖∇φ‖ falls at least as fast as {exponent_of}.",
        "slides, Fully First-Order Methods for Bilevel Optimization",
        (FIXED, SCHEDULED) if method == "f2ba" else (SCHEDULED, FIXED),
        "penalty_rates",
        rate_rule(method, case),
        exponents=(2,),
    )


FIRST_ORDER_CLAIMS: tuple[Claim, ...] = (
    *(_penalty_rate(method, case) for method in BOUNDS for case in CASES),
    *(_crosses(name) for name in FIRST_ORDER if name != "f3sa"),
    Claim(
        "first-order-unaffected",
        "Without second derivatives, p does not matter on Example 3: with small steps no first-order method needs more "
        f"than {UNAFFECTED:g} times the oracle calls at p = 8 that it needs at p = 2.",
        "pilot study: first-order methods under uniform convexity",
        (EXAMPLE3,),
        "first_order_example3",
        unaffected,
    ),
    Claim(
        "first-order-lp",
        "On ℓ_p-regression some first-order method ends lower than UniBiO, SOBA and StocBiO, for every p.",
        "pilot study: first-order methods under uniform convexity",
        (REGRESSION,),
        "first_order_lp",
        lower_than_second_order,
    ),
    _global(
        "global-every-start",
        "Joint PBGD reaches the global optimum of two-layer linear representation learning "
        "from every random start, where it follows the lower level closely.",
        optimality.from_every_start,
    ),
    _global(
        "global-log-curve",
        "The gap to the global optimum falls linearly on a log scale, as O(log²(1/ε)) iterations allow.",
        optimality.log_curve,
    ),
    _global(
        "global-penalty",
        "Blockwise PBGD on linear hyper-cleaning ends with g − g* = O(γ^(−2)), so that "
        "γ = O(ε^(−1/2)), and |f − f*| = O(1/γ), from every start.",
        optimality.role_of_penalty,
        "_penalty",
    ),
    _global(
        "global-implicit",
        "On linear hyper-cleaning implicit-gradient methods stay farther from the global optimum "
        "than PBGD, from every one of the same starts.",
        optimality.implicit_gradients_fail,
    ),
    _global(
        "global-spurious",
        "Without the Polyak–Łojasiewicz condition there is no guarantee: from part of the starts "
        "every method ends in a spurious local minimum.",
        optimality.spurious,
    ),
    _accuracy(
        "penalty-lambda",
        "|φ − 𝓛*_λ|, ‖∇φ − ∇𝓛*_λ‖ and ‖y* − y*_λ‖ fall like 1/λ, for every condition number.",
        accuracy.falls_like_inverse,
    ),
    _accuracy(
        "penalty-condition",
        "At fixed λ, |φ − 𝓛*_λ| grows at most like κ and ‖∇φ − ∇𝓛*_λ‖ at most like κ³.",
        accuracy.grows_with_condition,
    ),
    _accuracy("penalty-hessian", "The Hessian of 𝓛*_λ is bounded independently of λ.", accuracy.bounded_hessian),
    Claim(
        "nasty-reached",
        "Where φ jumps at its minimiser, joint PBGD still ends at it, from every start and for every γ.",
        "slides, Fully First-Order Methods for Bilevel Optimization; the runs are a pilot study",
        (nasty.EXPERIMENT,),
        "nasty_ends",
        nasty.reached,
        exponents=(2,),
    ),
    Claim(
        "labels-bilevel-helps",
        "With corrupted labels every bilevel method ends at a lower outer loss than training without bilevel "
        "optimisation, at both corruption rates and batch sizes.",
        "slides, Fully First-Order Methods for Bilevel Optimization; on digits, a pilot study",
        (labels.EXPERIMENT,),
        "corrupted_labels",
        labels.bilevel_helps,
        exponents=(2,),
    ),
    Claim(
        "labels-first-order",
        "With corrupted labels the best first-order method ends no higher than the best one with second derivatives.",
        "slides, Fully First-Order Methods for Bilevel Optimization; on digits, a pilot study",
        (labels.EXPERIMENT,),
        "corrupted_labels",
        labels.first_order_keeps_up,
        exponents=(2,),
    ),
    Claim(
        "lower-bound",
        "With noise on both levels the penalty multiplies the noise of its direction by λ, unless both g_x share a "
        "sample: the level where ‖∇φ‖ settles grows like λ.",
        "slides, Fully First-Order Methods for Bilevel Optimization",
        (lower_bound.EXPERIMENT,),
        "lower_bound",
        lower_bound.grows_with_penalty,
        exponents=(2,),
    ),
)
