"""Lower levels beyond strong convexity: rules on records that must give each of their verdicts."""

from __future__ import annotations

import dataclasses

import pytest

from synthetic import study
from synthetic_first_order import landscape
from unibio.errors import InputError
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.landscape import error_bounds, in_sigma, residual_exponents, table

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(name, found=None, **changes):
    """The verdict on made-up records whose columns are changed by functions of the history and the problem's name."""

    def changed(one):
        problem = one.config["problem"]["name"]
        new = {name: change(one.history, problem) for name, change in changes.items()}
        return dataclasses.replace(one, history=one.history.assign(**new))

    outcome, _ = judge(BY_ID[name], study(landscape=[changed(one) for one in found or landscape()]))
    assert outcome.explanation
    return outcome.verdict


def test_the_error_bound_and_strict_convexity():
    assert verdict("landscape-error-bound") == rules.REPRODUCED
    assert verdict("landscape-strict") == rules.NOT_REPRODUCED
    bounded = {"proximal_residual": lambda h, problem: h["distance"]}
    assert verdict("landscape-strict", **bounded) == rules.REPRODUCED
    vanishing = {"proximal_residual": lambda h, problem: h["distance"] / h["penalty"] ** 0.1}
    assert verdict("landscape-error-bound", **vanishing) == rules.NOT_REPRODUCED
    assert verdict("landscape-error-bound", proximal_residual=lambda h, problem: 0.0) == rules.NOT_TESTABLE
    # A residual that is missed is not the least one, and must not go unnoticed among those that are there.
    missed = {"proximal_residual": lambda h, problem: h["distance"].where(h["distance"] < 1)}
    assert verdict("landscape-error-bound", **missed) == rules.NOT_TESTABLE


def test_continuity_where_the_bound_holds():
    assert verdict("landscape-continuity") == rules.CONSISTENT
    torn = {"penalty_slope": lambda h, problem: h["penalty"]}
    assert verdict("landscape-continuity", **torn) == rules.VIOLATED
    smooth = {"penalty_slope": lambda h, problem: 1.0, "solution_slope": lambda h, problem: 1.0}
    assert verdict("landscape-continuity", **smooth) == rules.NOT_TESTABLE  # nothing goes with the bound
    nowhere = {"proximal_residual": lambda h, problem: h["distance"] / h["penalty"]}
    assert verdict("landscape-continuity", **nowhere) == rules.NOT_TESTABLE


def test_uniform_convexity():
    assert residual_exponents(study(landscape=landscape())) == pytest.approx({2.0: 1, 4.0: 3, 6.0: 5})
    assert verdict("landscape-uniform") == rules.REPRODUCED
    assert verdict("landscape-uniform", lower_residual=lambda h, problem: h["distance"] ** 2) == rules.NOT_REPRODUCED
    assert verdict("landscape-uniform", lower_residual=lambda h, problem: 0.0) == rules.NOT_TESTABLE


def test_errors_of_the_penalty():
    for name, column, bound in (("value", "value_error", 1.0), ("gradient", "gradient_error", 3.0)):
        assert verdict(f"landscape-{name}") == rules.CONSISTENT
        for power, expected in ((bound, rules.CONSISTENT), (bound + 0.3, rules.VIOLATED)):
            made = landscape()
            for one in made:
                condition = one.config["problem"].get("condition", 1.0)
                one.history[column] = condition**power / one.history["penalty"]
            assert verdict(f"landscape-{name}", made) == expected
        assert verdict(f"landscape-{name}", **{column: lambda h, problem: h["penalty"] ** -0.8}) == rules.VIOLATED
        assert verdict(f"landscape-{name}", **{column: lambda h, problem: 0.0}) == rules.NOT_TESTABLE
    assert verdict("landscape-jacobian") == rules.CONSISTENT
    assert verdict("landscape-jacobian", slope_error=lambda h, problem: 0.1) == rules.VIOLATED
    assert len(in_sigma(study(landscape=landscape()))) == 8


def test_the_formula():
    assert verdict("landscape-pseudoinverse") == rules.REPRODUCED
    assert verdict("landscape-pseudoinverse", pseudoinverse_error=lambda h, problem: 1e-3) == rules.NOT_REPRODUCED
    points = [one for one in landscape() if one.config["problem"].get("dimension_y") != 6]
    assert verdict("landscape-pseudoinverse", points) == rules.NOT_TESTABLE


def test_a_missing_case_is_named():
    with pytest.raises(InputError, match="strictly_convex 6"):
        table(study(landscape=landscape()[:-1]))
    assert len(error_bounds(study(landscape=landscape()))) == 11 * 7
