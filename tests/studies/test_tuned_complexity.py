"""Tuned oracle calls: what the rules say of exponents that are known."""

from __future__ import annotations

from functools import partial

import pytest

from synthetic import study
from synthetic_complexity import tuned
from unibio.studies import tuned_complexity as tc
from unibio.studies.common.verdicts import CONSISTENT, NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, VIOLATED

PAPER, SHARP = partial(tc.bounded, tc.paper_bound), partial(tc.bounded, tc.sharp_bound)


def test_as_the_sharper_bound_has_it():
    evidence = study(**tuned())
    verdicts = [rule(evidence).verdict for rule in (PAPER, SHARP, tc.grows, tc.same)]
    assert verdicts == [CONSISTENT, CONSISTENT, REPRODUCED, REPRODUCED]


def test_the_table_has_every_problem_and_p_with_its_interval():
    table = tc.draw(study(**tuned())).tables["tuned_complexity"]
    assert list(table)[:7] == ["problem", "shape", "d", "p", "exponent", "low", "high"]
    assert len(table) == 4 * 3
    mixed = table[(table["d"] == 4) & (table["p"] == 4)].iloc[0]
    assert mixed["exponent"] == pytest.approx(9.5, abs=0.1)
    assert mixed["low"] <= mixed["exponent"] <= mixed["high"]
    assert (mixed["inner_budget"], mixed["upper_step"]) == (40, 0.1)


def test_between_the_bounds():
    evidence = study(**tuned(lambda place, p: 2.0 if place == "example3" else 4.0 * p - 3))
    assert (PAPER(evidence).verdict, SHARP(evidence).verdict) == (VIOLATED, VIOLATED), "at p = 2 they are the same"
    evidence = study(**tuned(lambda place, p: 3.9 if p == 2 else 4.0 * p - 3))
    assert (PAPER(evidence).verdict, SHARP(evidence).verdict) == (CONSISTENT, VIOLATED)


def test_one_problem_above_is_above():
    evidence = study(**tuned(lambda place, p: 5.0 * p if place == "symmetric" else 2.0))
    assert PAPER(evidence).verdict == VIOLATED


def test_p_without_effect_and_with_it():
    assert tc.grows(study(**tuned(lambda place, p: 4.0))).verdict != REPRODUCED
    assert tc.grows(study(**tuned(lambda place, p: 10.0 - p))).verdict == NOT_REPRODUCED
    assert tc.same(study(**tuned(lambda place, p: 3.0 * p - 2))).verdict == NOT_REPRODUCED


@pytest.mark.parametrize("broken", [{"lower_error": 9.0}, {"falls": False}, {"seeds": 1}])
def test_what_does_not_work_is_not_judged(broken):
    evidence = study(**tuned(**broken))
    assert {rule(evidence).verdict for rule in (PAPER, SHARP, tc.grows, tc.same)} == {NOT_TESTABLE}


def test_a_missing_problem_is_said():
    found = tuned()["tuned_complexity"]
    given = {"tuned_complexity": [one for one in found if one.config["problem"].get("dimension") != 4]}
    outcome = tc.grows(study(**given))
    assert outcome.verdict == NOT_TESTABLE
    assert "no records on the Hölder problem, asymmetric, d = 4" in outcome.explanation
