"""Exponents of oracle calls at p = 2: what the rules say of power laws that are known."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import study
from synthetic_complexity import AS_CLAIMED, rates
from unibio.studies import rates_strongly_convex as rsc
from unibio.studies.common.verdicts import CONSISTENT, NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, VIOLATED


def test_as_claimed():
    evidence = study(**rates())
    for name in rsc.CLAIMED:
        outcome = rsc.bounded(evidence, name)
        assert outcome.verdict == CONSISTENT, outcome.explanation
        assert outcome.numbers["two decades"]["exponent"] == pytest.approx(AS_CLAIMED[name], abs=0.05)
    assert rsc.ordered(evidence).verdict == REPRODUCED


def test_calls_that_grow_faster_violate_the_bound():
    evidence = study(**rates(AS_CLAIMED | {"sustain": 3.3, "unibio": 4.5}))
    assert rsc.bounded(evidence, "sustain").verdict == VIOLATED
    assert rsc.bounded(evidence, "unibio").verdict == VIOLATED
    assert rsc.bounded(evidence, "ttsa").verdict == CONSISTENT


def test_what_falls_at_first_and_levels_off_is_not_consistent():
    """Over two decades the average of such runs may fall fast enough."""
    evidence = study(**rates(level=8.0, exponents=dict.fromkeys(AS_CLAIMED, 1.5)))
    for name in rsc.CLAIMED:
        outcome = rsc.bounded(evidence, name)
        assert outcome.numbers["two decades"]["exponent"] < 4
        assert outcome.verdict == VIOLATED
    assert rsc.ordered(evidence).verdict == NOT_TESTABLE


def test_ttsa_before_the_others_is_another_order():
    outcome = rsc.ordered(study(**rates(AS_CLAIMED | {"ttsa": 2.5})))
    assert outcome.verdict == NOT_REPRODUCED
    assert "TTSA grows less than SUSTAIN" in outcome.explanation


def test_exponents_alike_are_no_order():
    assert rsc.ordered(study(**rates(dict.fromkeys(AS_CLAIMED, 2.9)))).verdict == NOT_TESTABLE


@pytest.mark.parametrize("broken", [{"falls": False}, {"seeds": 1}])
def test_what_does_not_work_is_not_judged(broken):
    evidence = study(**rates(**broken))
    assert rsc.bounded(evidence, "unibio").verdict == NOT_TESTABLE
    assert rsc.ordered(evidence).verdict == NOT_TESTABLE


def test_methods_with_more_settings_are_not_compared():
    found = rates()[rsc.EXPERIMENT]
    one = found[0]
    kept = (one.runs["upper_step"] < 0.2).to_numpy()
    one.runs = one.runs[kept].reset_index(drop=True)
    renumbered = dict(zip(np.flatnonzero(kept), range(kept.sum()), strict=True))
    one.history = one.history[one.history["run"].isin(renumbered)].assign(run=lambda h: h["run"].map(renumbered))
    outcome = rsc.ordered(study(**{rsc.EXPERIMENT: found}))
    assert outcome.verdict == NOT_TESTABLE
    assert "different numbers of configurations" in outcome.explanation


def test_the_table_marks_what_is_remembered():
    table = rsc.draw(study(**rates())).tables["rates_strongly_convex"].set_index("method")
    assert table["claimed"].to_dict() == {
        "unibio": "4",
        "stocbio": "4†",
        "ttsa": "5†",
        "ma_soba": "4†",
        "sustain": "3†",
    }
