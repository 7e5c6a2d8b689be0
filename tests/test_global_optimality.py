"""Global optimality: every rule on records that must give each of its verdicts."""

from __future__ import annotations

import pytest

from synthetic import study
from synthetic_first_order import descent, optimality
from unibio.analysis import claims as rules
from unibio.analysis import global_optimality as analysis
from unibio.analysis.statements import CLAIMS, judge

BY_ID = {claim.id: claim for claim in CLAIMS}
JOINT = {"update": "joint", "lower_iterations": 20, "steps": 2000}


def verdict(id, found=None, **change):  # noqa: A002
    records = optimality(**change) if found is None else found
    outcome, _ = judge(BY_ID[id], study(global_optimality=records))
    assert outcome.explanation
    return outcome.verdict


def test_from_every_start():
    assert verdict("global-every-start") == rules.REPRODUCED
    one_fails = descent("representation", "pbgd", lambda p, s: 0.01 * (s == 3), (1.0, 10.0), **JOINT)
    assert verdict("global-every-start", representation=one_fails) == rules.NOT_REPRODUCED
    lower_fails = descent("representation", "pbgd", lambda p, s: 0.0, (1.0,), lambda p, s: 0.5, **JOINT)
    assert verdict("global-every-start", representation=lower_fails) == rules.NOT_REPRODUCED
    assert verdict("global-every-start", optimality()[2:]) == rules.NOT_RUN
    assert verdict("global-every-start", []) == rules.NOT_RUN


def test_log_curve():
    assert verdict("global-log-curve") == rules.CONSISTENT
    made = descent("representation", "pbgd", lambda p, s: 0.0, (1.0,), points=400, **JOINT)
    for column in ("upper_gap", "lower_gap"):
        made.history[column] = 10 / (1 + made.history["iteration"]) ** 3  # a power law slows down on this scale
    assert verdict("global-log-curve", representation=made) == rules.VIOLATED
    stuck = descent("representation", "pbgd", lambda p, s: 0.1, (1.0,), **JOINT)
    assert verdict("global-log-curve", representation=stuck) == rules.NOT_TESTABLE


def test_the_role_of_the_penalty():
    assert verdict("global-penalty") == rules.CONSISTENT
    penalties = (31.6, 100.0, 1000.0)
    shape = {"update": "blockwise", "lower_iterations": 5, "steps": 2000}
    weak = descent("linear_cleaning", "pbgd", lambda p, s: -90 / p, penalties, lambda p, s: 1 / p, **shape)
    assert verdict("global-penalty", cleaning=weak) == rules.VIOLATED
    few = descent("linear_cleaning", "pbgd", lambda p, s: -90 / p, penalties[:2], lambda p, s: 1 / p**2, **shape)
    assert verdict("global-penalty", cleaning=few) == rules.NOT_TESTABLE


def test_implicit_gradients():
    assert verdict("global-implicit") == rules.REPRODUCED
    better = descent("linear_cleaning", "stocbio", lambda p, s: 0.01, lower=lambda p, s: 0.0, steps=2000)
    assert verdict("global-implicit", stocbio=better) == rules.NOT_REPRODUCED
    assert verdict("global-implicit", optimality()[:3]) == rules.NOT_RUN


def test_the_spurious_minimum():
    assert verdict("global-spurious") == rules.REPRODUCED
    shape = {"penalties": (10.0,), "lower_iterations": 10, "steps": 2000}
    nobody = descent("double_well", "pbgd", lambda p, s: 0.0, **shape)
    everybody = descent("double_well", "pbgd", lambda p, s: 0.6, **shape)
    assert verdict("global-spurious", well=nobody) == rules.NOT_REPRODUCED
    assert verdict("global-spurious", well=everybody) == rules.NOT_REPRODUCED
    alone = descent("double_well", "pbgd", lambda p, s: 0.6, starts=1, **shape)
    assert verdict("global-spurious", well=alone) == rules.NOT_TESTABLE


def test_methods_are_told_apart():
    """Few inner steps make another method; penalties of one record are split; diverged runs have not arrived."""
    found = analysis.descents(study(global_optimality=optimality()), "representation")
    assert [one.label for one in found] == ["PBGD, γ = 1", "PBGD, γ = 10", "PBGD, few inner steps, γ = 10"]
    made = descent(
        "representation",
        "pbgd",
        lambda p, s: 0.0,
        (1.0,),
        status=lambda c, s: "diverged" if s == 1 else "completed",
        **JOINT,
    )
    (one,) = analysis.descents(study(global_optimality=[made]))
    assert list(one.reached) == [True, False, True, True]
    table = analysis.summary(study(global_optimality=optimality()))
    assert table["reached"].iloc[0] == pytest.approx(1.0)
