"""Motivating problems in few variables: the rule on records that must give each of its verdicts."""

from __future__ import annotations

import pytest

from synthetic import study
from synthetic_pilot import METHODS, motivating
from unibio.studies import CLAIMS
from unibio.studies import motivating as analysis
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(name, found=None, **settings):
    outcome, _ = judge(BY_ID[name], study(motivating=motivating(**settings) if found is None else found))
    assert outcome.explanation
    return outcome.verdict


def test_the_global_answer():
    found = motivating()
    for name, problem in (("motivating-ridge", analysis.RIDGE), ("motivating-attack", analysis.ATTACK)):
        assert verdict(name, found) == rules.REPRODUCED
        of = {"problems": (problem,)}
        one = motivating(end=lambda where, method, start: 0.1 * (method == "soba" and start == 7), **of)
        assert verdict(name, one) == rules.NOT_REPRODUCED
        assert verdict(name, found[:1] if problem == analysis.RIDGE else found[-1:]) == rules.NOT_RUN
    of = {"problems": (analysis.ATTACK,)}
    assert verdict("motivating-attack", starts=3, **of) == rules.NOT_TESTABLE
    below = motivating(end=lambda where, method, start: -0.1, **of)
    assert verdict("motivating-attack", below) == rules.NOT_TESTABLE  # below the enumeration
    one[0].runs["status"] = "diverged"
    assert verdict("motivating-attack", one) == rules.NOT_TESTABLE


def test_no_fair_comparison_of_unequal_searches():
    found = motivating()[:3] + motivating(steps=(0.1, 1.0))[3:]
    assert verdict("motivating-ridge", found) == rules.NOT_TESTABLE


def test_ends_are_of_the_best_steps_and_of_judging_starts():
    evidence = study(motivating=motivating())
    found = analysis.ends(evidence)
    assert [one.problem for one in found] == [analysis.RIDGE] * 4 + [analysis.ATTACK] * 4
    assert {one.name.split()[0] for one in found} == set(METHODS)
    assert {len(one.gap) for one in found} == {6}
    assert {one.steps["upper_step"] for one in found} == {1.0}
    table = analysis.summary(evidence)
    assert table["found"].tolist() == [1.0] * 8
    assert table["at_start"].to_numpy() == pytest.approx(1.07, abs=1e-5)
    outside = motivating(steps=(1.0, 10.0))[0]
    assert [(one.axis, one.ends) for one in analysis.touched(outside)] == [("upper_step", ("low",))]
