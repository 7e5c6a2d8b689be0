"""Corrupted labels: the choice of steps, and every rule on records that must give each of its verdicts."""

from __future__ import annotations

import pytest

from synthetic import study
from synthetic_first_order import corrupted
from unibio.analysis import claims as rules
from unibio.analysis import corrupted_labels as labels
from unibio.analysis.statements import CLAIMS, judge

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(id, found):  # noqa: A002
    outcome, _ = judge(BY_ID[id], study(corrupted_labels=found))
    assert outcome.explanation
    return outcome.verdict


def ends(first, second, without=1.0):
    def end(name, rate):
        kind = first if name in labels.FIRST_ORDER else second
        return without if name == labels.WITHOUT else kind

    return end


def test_steps_are_the_best_on_the_outer_loss():
    found = labels.best(study(corrupted_labels=corrupted(ends(0.4, 0.5))))
    assert len(found) == 4 * len(labels.NAMES)
    assert {one.step for one in found} == {1.0}
    assert [one.method for one in found[:3]] == ["lower_only", "f2sa", "f3sa"]
    table = labels.summary(study(corrupted_labels=corrupted(ends(0.4, 0.5))))
    row = table[(table["method"] == "F²SA") & (table["rate"] == 0.1) & (table["batch"] == 50)].iloc[0]
    assert row["upper_loss"] == pytest.approx(0.4005)
    assert row["oracle_calls"] > 0


def test_whether_bilevel_optimisation_helps():
    assert verdict("labels-bilevel-helps", corrupted(ends(0.4, 0.5))) == rules.REPRODUCED
    assert verdict("labels-bilevel-helps", corrupted(ends(0.4, 1.1))) == rules.NOT_REPRODUCED
    without = [made for made in corrupted(ends(0.4, 0.5)) if made.config["algorithm"]["name"] != labels.WITHOUT]
    assert verdict("labels-bilevel-helps", without) == rules.NOT_RUN


def test_a_method_that_leaves_the_lower_level_is_not_judged():
    """It has the lowest outer loss, or the highest: neither verdict changes, and the text says so."""
    lucky = corrupted(lambda name, rate: 0.1 if name == "bome" else ends(0.5, 0.4)(name, rate), unsolved="bome")
    assert verdict("labels-first-order", lucky) == rules.NOT_REPRODUCED
    unlucky = corrupted(lambda name, rate: 2.0 if name == "bome" else ends(0.4, 0.5)(name, rate), unsolved="bome")
    assert verdict("labels-bilevel-helps", unlucky) == rules.REPRODUCED
    outcome, _ = judge(BY_ID["labels-bilevel-helps"], study(corrupted_labels=unlucky))
    assert "not judged" in outcome.explanation
    assert "BOME" in outcome.explanation


def test_whether_first_order_methods_keep_up():
    assert verdict("labels-first-order", corrupted(ends(0.4, 0.5))) == rules.REPRODUCED
    assert verdict("labels-first-order", corrupted(ends(0.4, 0.4))) == rules.REPRODUCED
    assert verdict("labels-first-order", corrupted(ends(0.5, 0.4))) == rules.NOT_REPRODUCED
    assert verdict("labels-first-order", corrupted(ends(0.4, 0.5), seeds=1)) == rules.NOT_TESTABLE
    some = [made for made in corrupted(ends(0.4, 0.5)) if made.config["algorithm"]["name"] in labels.FIRST_ORDER]
    assert verdict("labels-first-order", some) == rules.NOT_RUN
