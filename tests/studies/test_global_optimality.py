"""Global optimality: every rule on records that must give each of its verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import study
from synthetic_first_order import descent, optimality
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.global_optimality import measures as analysis

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
    assert verdict("global-penalty") == rules.NOT_TESTABLE  # steep enough, as it is for broken algorithms
    penalties = (31.6, 100.0, 1000.0)
    shape = {"update": "blockwise", "lower_iterations": 5, "steps": 2000}
    weak = descent("linear_cleaning", "pbgd", lambda p, s: -90 / p, penalties, lambda p, s: 1 / p, **shape)
    assert verdict("global-penalty", cleaning=weak) == rules.VIOLATED
    few = descent("linear_cleaning", "pbgd", lambda p, s: -90 / p, penalties[:2], lambda p, s: 1 / p**2, **shape)
    assert verdict("global-penalty", cleaning=few) == rules.NOT_TESTABLE


def test_implicit_gradients():
    assert verdict("global-implicit") == rules.NOT_TESTABLE
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
    assert list(one.reached) == [False, True, True]  # the first start chooses the steps
    table = analysis.summary(study(global_optimality=optimality()))
    assert table["reached"].iloc[0] == pytest.approx(1.0)


def searched(problem: str, name: str, best: float, steps: tuple[float, ...] = (0.1, 1.0, 10.0), **settings):
    """A record with upper steps; the nearer to 1, the smaller the gap at the end: ``best`` there, from every start."""
    made = descent(problem, name, lambda p, s: best, lower=lambda p, s: 0.0, **settings)
    wide = descent(problem, name, lambda p, s: best, lower=lambda p, s: 0.0, upper=steps, **settings)
    wide.history["upper_gap"] += 0.1 * np.abs(np.log10(wide.history["upper_step"]))
    assert len(wide.runs) == len(steps) * len(made.runs)
    return wide


def test_steps_are_chosen_by_some_starts_and_judged_by_others():
    made = searched("linear_cleaning", "soba", 3.0, steps=(0.1, 1.0, 10.0))
    lucky = (made.history["seed"] == 0) & (made.history["upper_step"] == 10.0)
    made.history.loc[lucky, "upper_gap"] = 0.0
    (one,) = analysis.descents(study(global_optimality=[made]))
    assert one.steps == {"upper_step": 10.0}
    assert len(one.upper) == 3
    assert (one.upper[:, -1] > 3).all()
    assert one.edges == {"upper_step": "high"}
    assert (one.effort.configurations, one.effort.choosing, one.effort.judging) == (3, 1, 3)
    assert [(one.axis, one.ends) for one in analysis.touched(made)] == [("upper_step", ("high",))]


def test_no_verdict_without_equal_effort():
    outcome, _ = judge(BY_ID["global-implicit"], study(global_optimality=optimality()))
    assert outcome.verdict == rules.NOT_TESTABLE
    assert "no fair comparison" not in outcome.explanation  # but for another reason
    found = optimality(stocbio=searched("linear_cleaning", "stocbio", 3.0))
    outcome, _ = judge(BY_ID["global-implicit"], study(global_optimality=found))
    assert outcome.verdict == rules.NOT_TESTABLE
    assert "1 (PBGD, γ = 1e+03), 3 (StocBiO)" in outcome.explanation
