"""The penalty's accuracy: every rule on records that must give each of its verdicts."""

from __future__ import annotations

from synthetic import study
from synthetic_first_order import accuracy
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.penalty_accuracy import in_condition, in_penalty

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(id, **options):  # noqa: A002
    outcome, _ = judge(BY_ID[id], study(penalty_accuracy=accuracy(**options)))
    assert outcome.explanation
    return outcome.verdict


def test_in_the_penalty():
    assert verdict("penalty-lambda") == rules.CONSISTENT
    assert verdict("penalty-lambda", in_penalty=-0.9) == rules.VIOLATED
    assert verdict("penalty-lambda", in_penalty=-1.1) == rules.VIOLATED
    assert verdict("penalty-lambda", penalties=[1.0, 10.0, 30.0]) == rules.NOT_TESTABLE
    table = in_penalty(study(penalty_accuracy=accuracy()))
    assert len(table) == 6
    assert abs(table["value_error"] + 1).max() < 1e-9


def test_in_the_condition_number():
    assert verdict("penalty-condition", in_condition={"gradient_error": 2.9, "value_error": 0.9}) == rules.CONSISTENT
    assert verdict("penalty-condition", in_condition={"gradient_error": 3.3}) == rules.VIOLATED
    assert verdict("penalty-condition", in_condition={"value_error": 1.3}) == rules.VIOLATED
    grown = accuracy(in_condition={"value_error": 3.0})  # by f_y alone, which grows like κ
    for made in grown:
        made.history["upper_slope"] = float(made.config["problem"]["condition"])
    assert judge(BY_ID["penalty-condition"], study(penalty_accuracy=grown))[0].verdict == rules.CONSISTENT
    found = accuracy()[:4]  # two condition numbers
    assert judge(BY_ID["penalty-condition"], study(penalty_accuracy=found))[0].verdict == rules.NOT_TESTABLE
    assert abs(in_condition(study(penalty_accuracy=accuracy()))["solution_error"] - 1).max() < 1e-9


def test_the_hessian():
    assert verdict("penalty-hessian") == rules.CONSISTENT
    assert verdict("penalty-hessian", hessian=lambda penalty: 1 + 3 * (penalty < 10)) == rules.CONSISTENT  # below 20 κ
    assert verdict("penalty-hessian", hessian=lambda penalty: 1 + 3 * (penalty < 1e4)) == rules.VIOLATED
    assert verdict("penalty-hessian", hessian=lambda penalty: penalty**0.5) == rules.VIOLATED
    assert verdict("penalty-hessian", hessian=lambda penalty: 0.0) == rules.NOT_TESTABLE
    assert verdict("penalty-hessian", penalties=[1.0, 3.0, 10.0]) == rules.NOT_TESTABLE
    assert judge(BY_ID["penalty-hessian"], study())[0].verdict == rules.NOT_RUN
