"""Regularity: every rule on records that must give each of its verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import study
from synthetic_theory import regularity
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.regularity import exponents

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(name: str, **options: object) -> str:
    outcome, _ = judge(BY_ID[f"regularity-{name}"], study(regularity=regularity(**options)))  # type: ignore[arg-type]
    assert outcome.explanation
    return outcome.verdict


def test_exponents_are_those_of_small_distances() -> None:
    found = exponents(study(regularity=regularity()))
    assert np.allclose(found["solution_change"], found["holder"])
    assert np.allclose(found.loc[found["of"] == "example3", "gradient_change"], 1)


@pytest.mark.parametrize("name", ["solution", "gradient", "descent", "bias", "hessian"])
def test_what_the_paper_bounds(name: str) -> None:
    assert verdict(name) == rules.CONSISTENT
    assert verdict(name, distances=[1e-3, 2e-3, 4e-3]) == (
        rules.CONSISTENT if name in ("descent", "hessian") else rules.NOT_RUN
    )


def test_a_smaller_exponent_violates_and_a_larger_one_does_not() -> None:
    for power, expected in ((0.9, rules.VIOLATED), (1.2, rules.CONSISTENT)):
        assert verdict("solution", solution=lambda of, p, power=power: power / (p - 1)) == expected
        assert verdict("gradient", gradient=lambda of, p, power=power: power / (p - 1)) == expected
        assert verdict("bias", bias=power) == expected


def test_a_value_that_does_not_belong_to_the_gradient() -> None:
    assert verdict("descent", remainder=1.1) == rules.VIOLATED
    assert verdict("descent", remainder=0.01) == rules.NOT_TESTABLE, "0 would satisfy any inequality"


def test_a_singular_generalised_hessian() -> None:
    assert verdict("hessian", singular=1e-3) == rules.VIOLATED
    assert verdict("hessian", plain=0.5) == rules.NOT_TESTABLE


def test_where_p_shows() -> None:
    assert verdict("only-there") == rules.REPRODUCED
    assert verdict("only-there", gradient=lambda of, p: 1 / (p - 1)) == rules.NOT_REPRODUCED
    assert verdict("only-there", gradient=lambda of, p: 1.0) == rules.NOT_REPRODUCED
    assert verdict("only-there", solution=lambda of, p: 1.0) == rules.NOT_TESTABLE
