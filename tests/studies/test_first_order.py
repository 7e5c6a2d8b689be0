"""First-order methods under uniform convexity: the criterion, and every rule on records that must give each verdict."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from synthetic import study
from synthetic_first_order import convexity, example3, regression
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.first_order import measures as analysis

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(id, **given):  # noqa: A002
    outcome, _ = judge(BY_ID[id], study(**given))
    assert outcome.explanation
    return outcome.verdict


def test_settled_is_for_good():
    """The calls of the first logged row after which φ stays near its minimum; never for a visit, or a diverged run."""
    made = example3(4, "f2sa", lambda step: 1000.0)
    rows = made.history["run"] == 0
    calls = made.history.loc[rows, "oracle_calls"].to_numpy()
    expected = calls[calls >= 1000].min()
    assert list(analysis.settled(made)) == [expected] * 3
    values = made.history["value"].to_numpy().copy()
    values[rows.to_numpy().nonzero()[0][-1]] = 0.0  # gone again at the end
    made.history["value"] = values
    assert list(analysis.settled(made)) == [np.inf, expected, expected]
    made.runs.loc[1, "status"] = "diverged"
    assert list(analysis.settled(made)) == [np.inf, np.inf, expected]
    at_once = example3(4, "f2sa", lambda step: 0.0)
    assert (analysis.settled(at_once) == at_once.history["oracle_calls"].min()).all()


def test_steps_along_the_hypergradient():
    """Methods that move along the penalty's gradient over the penalty have that step over the penalty."""
    for name in ("f2sa", "pbgd", "proximal"):
        made = example3(2, name, lambda step: 1.0, **({"update": "joint"} if name == "pbgd" else {}))
        np.testing.assert_allclose(analysis.steps_along(made), [0.01, 0.1, 1.0])


def test_a_jump_is_no_small_step():
    """From φ > 0.1 to φ < −0.1 in one iteration; in several it may have been small steps."""
    made = example3(4, "f2sa", lambda step: 0.0)
    assert list(analysis.small_steps(made)) == [True, True, False]
    value = np.full(len(made.history), -0.8)
    first = (made.history["run"] == 0).to_numpy().nonzero()[0]
    second = (made.history["run"] == 1).to_numpy().nonzero()[0]
    value[first[:3]] = 0.5  # iterations 0, 1, 2 and then 3
    gaps = np.diff(made.history["iteration"].to_numpy()[second])
    value[second[: int((gaps > 1).argmax()) + 1]] = 0.5
    made.history["value"] = value
    assert list(analysis.small_steps(made)) == [False, True, False]


@pytest.mark.parametrize("name", ["f2sa", "pbgd joint", "proximal_momentum"])
def test_crossing(name):
    """What counts is small steps: a method that gets there by one large step does not cross."""
    id = f"crosses-{name.replace(' ', '-').replace('_', '-')}"  # noqa: A001
    assert verdict(id, first_order_example3=convexity(lambda n, p, step: 10 / step)) == rules.REPRODUCED
    jumping = convexity(lambda n, p, step: 10 / step if step > 0.5 or p == 2 else math.inf)
    assert verdict(id, first_order_example3=jumping) == rules.NOT_REPRODUCED
    nowhere = convexity(lambda n, p, step: math.inf)
    assert verdict(id, first_order_example3=nowhere) == rules.NOT_TESTABLE
    some = [made for made in jumping if made.config["problem"]["exponent"] != 6]
    assert verdict(id, first_order_example3=some) == rules.NOT_RUN
    assert verdict(id) == rules.NOT_RUN


def test_whether_p_matters():
    even = convexity(lambda n, p, step: 10 / step)
    slower = convexity(lambda n, p, step: (10 if n != "f2sa" else 5 * p) / step)
    stuck = convexity(lambda n, p, step: math.inf if n == "bome" and p > 2 else 10 / step)
    assert verdict("first-order-unaffected", first_order_example3=even) == rules.REPRODUCED
    assert verdict("first-order-unaffected", first_order_example3=slower) == rules.NOT_REPRODUCED
    assert verdict("first-order-unaffected", first_order_example3=stuck) == rules.NOT_REPRODUCED


def test_example3_needs_equal_effort():
    found = convexity(lambda n, p, step: 10 / step)
    assert verdict("first-order-unaffected", first_order_example3=found) == rules.REPRODUCED
    found[0].runs = pd.concat([found[0].runs, found[0].runs.tail(1)], ignore_index=True)
    outcome, _ = judge(BY_ID["first-order-unaffected"], study(first_order_example3=found))
    assert outcome.verdict == rules.NOT_TESTABLE
    assert "3 (" in outcome.explanation
    assert "4 (F²SA)" in outcome.explanation


def test_a_range_of_the_regression_that_ends_too_early():
    """The step outwards before the end gained 0.1: more than 0.05 that are missing, less than 0.3."""

    def ends(first, second):
        return lambda name, p: second if name in analysis.SECOND_ORDER else first

    at_end = lambda name: (0.01, 0.1, 1.0)  # noqa: E731
    for first, second, expected in (
        (0.35, 0.3, rules.NOT_TESTABLE),
        (0.6, 0.3, rules.NOT_REPRODUCED),
        (0.3, 0.35, rules.NOT_TESTABLE),
        (0.3, 0.6, rules.REPRODUCED),
    ):
        found = regression(ends(first, second), steps=at_end)
        assert verdict("first-order-lp", first_order_lp=found) == expected
    found[0].config["problem"]["name"] = "lp_regression"
    assert [(one.axis, one.ends) for one in analysis.touched(found[0])] == [("upper_step", ("high",))]


def test_regression():
    def ends(first, second):
        return lambda name, p: second if name in analysis.SECOND_ORDER else first

    lower, higher, even = (regression(ends(a, b)) for a, b in ((0.3, 0.4), (0.4, 0.3), (0.3, 0.3)))
    assert verdict("first-order-lp", first_order_lp=lower) == rules.REPRODUCED
    assert verdict("first-order-lp", first_order_lp=higher) == rules.NOT_REPRODUCED
    assert verdict("first-order-lp", first_order_lp=even) == rules.NOT_TESTABLE
    for seeds in (1, 2, 5):  # too few to judge apart from those that choose
        few = regression(ends(0.3, 0.4), seeds=seeds)
        assert verdict("first-order-lp", first_order_lp=few) == rules.NOT_TESTABLE
    more = regression(ends(0.3, 0.4), steps=lambda name: (0.1, 1.0, 10.0) if name == "soba" else (0.1, 0.3, 1.0, 10.0))
    assert verdict("first-order-lp", first_order_lp=more) == rules.NOT_TESTABLE
    table = analysis.regression(study(first_order_lp=lower))
    assert (table["upper_step"] == 1.0).all()
    assert len(table) == 4 * len(analysis.ORDER)
    assert list(table["method"][:2]) == ["f2sa", "f3sa"]
