"""First-order methods under uniform convexity: on Example 3 and on ℓ_p-regression."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.store.thinning import Kept
from unibio.studies.common import methods
from unibio.studies.common.claim import Claim
from unibio.studies.common.document import Block, Heading, Table
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study, no_curves
from unibio.studies.common.verdicts import EXPONENTS
from unibio.studies.common.words import calls
from unibio.studies.first_order.figures import DRAWINGS
from unibio.studies.first_order.measures import EXAMPLE3, FIRST_ORDER, REGRESSION, SMALL, UNAFFECTED, example3, touched
from unibio.studies.first_order.rules import crosses, lower_than_second_order, unaffected

#: No source takes these methods to uniformly convex lower levels.
_SOURCE = "what methods without second derivatives do where the Hessian vanishes"


def _crosses(name: str) -> Claim:
    return Claim(
        f"crosses-{name.replace(' ', '-').replace('_', '-')}",
        f"{methods.label(name)} crosses the vanishing Hessian of Example 3 with small steps, for p = 4, 6, 8.",
        Kind.QUESTION,
        _SOURCE,
        crosses(name),
        (EXAMPLE3,),
        exponents=EXPONENTS,
    )


def _blocks(evidence: Evidence) -> Iterable[Block]:
    if not evidence.records(EXAMPLE3):
        return
    yield Heading(3, "Example 3 without second derivatives")
    yield Table(
        ["p", "method", "calls, any step", "calls, small steps", "runs that settle", "of those with small steps"],
        [
            [
                f"{row['p']}",
                methods.label(row["method"]),
                *(calls(row[column]) for column in ("calls", "calls_small")),
                *(f"{row[column]:.0%}" for column in ("share", "share_small")),
            ]
            for _, row in example3(evidence).iterrows()
        ],
    )


def _on_example3(evidence: Evidence, experiment: str, record: Record) -> NDArray[np.bool_] | None:
    """(runs,) of ℓ_p-regression only the ends are read."""
    return no_curves(evidence, experiment, record) if experiment == REGRESSION else None


STUDY = Study(
    experiments=(EXAMPLE3, REGRESSION),
    shown=_on_example3,
    kept={
        EXAMPLE3: Kept(points=None, metrics=("value",), counts=("oracle_calls",)),
        REGRESSION: Kept(metrics=("value", "test_accuracy")),
    },
    drawings=DRAWINGS,
    claims=(
        *(_crosses(name) for name in FIRST_ORDER if name != "f3sa"),
        Claim(
            "first-order-unaffected",
            "Without second derivatives, p does not matter on Example 3: with small steps no first-order method "
            f"needs more than {UNAFFECTED:g} times the oracle calls at p = 8 that it needs at p = 2.",
            Kind.QUESTION,
            _SOURCE,
            unaffected,
            (EXAMPLE3,),
            exponents=EXPONENTS,
        ),
        Claim(
            "first-order-lp",
            "On ℓ_p-regression some first-order method ends lower than UniBiO, SOBA and StocBiO, for every p.",
            Kind.QUESTION,
            _SOURCE,
            lower_than_second_order,
            (REGRESSION,),
            figure="first_order_lp",
            exponents=EXPONENTS,
        ),
    ),
    blocks=_blocks,
    caveats=(
        "Example 3 is one-dimensional: a large enough step jumps over the singular point, which no theory covers. "
        f"Small steps are those where the parameters imply at most {SMALL:g} along ∇φ (upper step over penalty for "
        "methods whose direction is the penalty's gradient over the penalty) and where no jump was seen.",
        "Every method has the same number of configurations, on Example 3 and on ℓ_p-regression; which of its "
        "parameters are searched, and their ranges, are ours.",
    ),
    touched=touched,
)
