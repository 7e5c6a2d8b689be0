"""Constrained and over-parametrised lower levels: where the slides' conditions hold, and what follows where they fail.

The slides ask constrained lower levels for nondegeneracy, LICQ and strict complementarity, and state a formula with the
KKT matrix, the distances of the penalty function, and methods that reach ε-stationarity. All of it is measured on a
polytope with both kinds of places, and on a small network; formulas in docs/first-order.md.
"""

from __future__ import annotations

from unibio.studies.common.claim import Claim
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.nondegeneracy.figures import DRAWINGS
from unibio.studies.nondegeneracy.measures import CORNER, JUMP, KINK, NETWORK_RUNS, PL, POINTS, RUNS
from unibio.studies.nondegeneracy.rules import (
    fails,
    formula,
    network_errors,
    network_formula,
    pl_holds,
    proportional,
    said,
    stationary,
)

_CONDITIONS = "“Sufficient Conditions for a Well-Defined Landscape”"
_MATCHING = "“Matching the Penalty Function to the True Objective”"
_APPROXIMATED = "“Locally Approximated Landscape”"
_PROXIMAL = ("proximal", "proximal_momentum")

STUDY = Study(
    experiments=(POINTS, RUNS, NETWORK_RUNS, PL),
    drawings=DRAWINGS,
    claims=(
        Claim(
            "nondegenerate-formula",
            "Where LICQ and strict complementarity hold, ∇F is given by the pseudoinverse of the KKT matrix.",
            Kind.SLIDES,
            _MATCHING,
            formula,
            (POINTS,),
        ),
        Claim(
            "nondegenerate-said",
            "Our estimator gives no number for ∇φ where LICQ or strict complementarity fails, and one where both hold.",
            Kind.QUESTION,
            "whether the conditions of the slides' formula can be seen at a solution",
            said,
            (POINTS,),
        ),
        Claim(
            "nondegenerate-value",
            "|𝓛*_{1/σ} − F| = O(σ/μ) with a constrained lower level where it is nondegenerate.",
            Kind.SLIDES,
            _APPROXIMATED,
            proportional("value_error"),
            (POINTS,),
        ),
        Claim(
            "nondegenerate-gradient",
            "‖∇𝓛*_{1/σ} − ∇F‖ = O(σ/μ³) with a constrained lower level where it is nondegenerate.",
            Kind.SLIDES,
            _APPROXIMATED,
            proportional("gradient_error"),
            (POINTS,),
        ),
        Claim(
            "degenerate-strict",
            "Where strict complementarity fails the penalty function still is O(σ) away from φ, and its gradient is "
            "not, in any neighbourhood.",
            Kind.QUESTION,
            f"whether the condition of {_CONDITIONS} is needed: y* is Lipschitz there",
            fails(KINK, "gradient_error", kept=("value_error",)),
            (POINTS,),
        ),
        Claim(
            "degenerate-licq",
            "Where LICQ alone fails the penalty function's gradient is not O(σ) away from ∇φ either.",
            Kind.QUESTION,
            f"whether the condition of {_CONDITIONS} is needed where constraints do not depend on x",
            fails(CORNER, "gradient_error"),
            (POINTS,),
        ),
        Claim(
            "degenerate-jump",
            "Where the solutions of a constrained lower level tear, neither the penalty function nor its gradient is "
            "O(σ) away from φ and ∇φ in any neighbourhood.",
            Kind.QUESTION,
            f"whether the Lipschitz solutions of {_CONDITIONS} are needed",
            fails(JUMP, "value_error", "gradient_error"),
            (POINTS,),
        ),
        Claim(
            "constrained-stationary",
            "The proximal methods reach ε-stationarity with σ = ε on a constrained lower level, degenerate or not, in "
            "O(ε^(−3)) calls of exact gradients.",
            Kind.SLIDES,
            "“Two-Loop Algorithm” and “Single-Loop Algorithm with Momentum”, “Convergence and Complexity”",
            stationary(RUNS, *_PROXIMAL),
            (RUNS,),
            "nondegeneracy_runs",
        ),
        Claim(
            "constrained-stationary-f2sa",
            "So does F²SA, with projected steps.",
            Kind.EXTENSION,
            "“Complexity of F²SA”, for strongly convex lower levels without constraints",
            stationary(RUNS, "f2sa"),
            (RUNS,),
            "nondegeneracy_runs",
        ),
        Claim(
            "network-stationary",
            "The proximal methods reach ε-stationarity with σ = ε with an over-parametrised network as lower level, in "
            "O(ε^(−3)) calls of exact gradients.",
            Kind.SLIDES,
            "“Two-Loop Algorithm” and “Single-Loop Algorithm with Momentum”, “Convergence and Complexity”",
            stationary(NETWORK_RUNS, *_PROXIMAL),
            (NETWORK_RUNS,),
            "shallow_network_runs",
        ),
        Claim(
            "network-pl",
            "The training loss of a network with units enough to fit satisfies the PL inequality along gradient "
            "descent, with one constant; with too few units it does not.",
            Kind.SLIDES,
            f"{_APPROXIMATED}: the error bound “holds for some neural network architectures”",
            pl_holds,
            (PL,),
            "shallow_network_pl",
        ),
        Claim(
            "network-formula",
            "With an over-parametrised network as lower level ∇F is given by the formula with the pseudoinverse.",
            Kind.SLIDES,
            _MATCHING,
            network_formula,
            (POINTS,),
        ),
        Claim(
            "network-errors",
            "|𝓛*_{1/σ} − F| and ‖∇𝓛*_{1/σ} − ∇F‖ are O(σ) with an over-parametrised network as lower level.",
            Kind.SLIDES,
            _APPROXIMATED,
            network_errors,
            (POINTS,),
        ),
    ),
    caveats=(
        "The polytope does not depend on x, so that its solutions are Lipschitz wherever g is strongly convex in what "
        "moves; LICQ then is a condition on the multipliers alone. With a network S(x, σ) is followed from one point: "
        "whether f has a lower minimum elsewhere on the manifold is not known.",
    ),
)
