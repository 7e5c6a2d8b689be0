"""Corrupted labels: the choice of steps, and every rule on records that must give each of its verdicts."""

from __future__ import annotations

from functools import cache

import pytest

from synthetic import study
from synthetic_first_order import corrupted
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.common.effort import Effort
from unibio.studies.common.evidence import Evidence
from unibio.studies.corrupted_labels import measures as labels

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(id, evidence):  # noqa: A002
    outcome, _ = judge(BY_ID[id], evidence)
    assert outcome.explanation
    return outcome.verdict


def ends(first, second, without=1.0):
    def end(name, rate):
        kind = first if name in labels.FIRST_ORDER else second
        return without if name == labels.WITHOUT else kind

    return end


@cache
def ended(first, second) -> Evidence:
    """Records with these ends; what one test computes of them is there for the others."""
    return study(corrupted_labels=corrupted(ends(first, second)))


def test_the_configuration_is_the_best_on_the_outer_loss():
    """Of all variants together, chosen by two seeds and reported by the five others."""
    given = ended(0.4, 0.5)
    found = labels.best(given)
    assert len(found) == 4 * len(labels.ORDER)
    assert {one.chosen["lower_iterations"] for one in found} == {2}
    assert {one.chosen.get("upper_step", one.chosen.get("lower_step")) for one in found} == {1.0}
    assert [one.method for one in found[:3]] == ["lower_only", "f2sa", "f3sa"]
    assert {one.effort for one in found} == {Effort(6, choosing=2, judging=5)}
    assert not any(one.edges for one in found)
    table = labels.summary(given)
    row = table[(table["method"] == "F²SA") & (table["rate"] == 0.1) & (table["batch"] == 50)].iloc[0]
    assert row["upper_loss"] == pytest.approx(0.404)  # the median of seeds 2 … 6
    assert (row["tried"], row["configuration"]) == (6, "upper step 1, lower iterations 2")
    assert row["oracle_calls"] > 0


def test_seeds_that_choose_do_not_judge():
    """A configuration that is lucky on the choosing seeds is reported without its luck."""
    found = corrupted(ends(0.4, 0.5))
    for made in found:
        lucky = (made.history["seed"] < 2) & (made.history.filter(regex="_step").iloc[:, 0] == 2.0)
        made.history.loc[lucky, "upper_loss"] -= 5
    for one in labels.best(study(corrupted_labels=found)):
        assert one.chosen.get("upper_step", one.chosen.get("lower_step")) == 2.0
        assert one.loss.min() > 0.4


def test_only_configurations_that_solve_the_lower_level_are_chosen():
    found = corrupted(ends(0.4, 0.5))
    for made in found:
        if made.config["algorithm"]["lower_iterations"] == 2:
            made.history["lower_gradient_norm"] = 1.0
    best = labels.best(study(corrupted_labels=found))
    assert {one.chosen["lower_iterations"] for one in best} == {1}
    assert all(one.solved for one in best)


def test_no_verdict_without_equal_effort():
    """Whoever wins: by one configuration more, or on seeds that chose."""
    both = ("labels-bilevel-helps", "labels-first-order")
    for claim in both:
        assert verdict(claim, ended(0.4, 0.5)) == rules.REPRODUCED
    more = corrupted(ends(0.4, 0.5), steps=lambda name: (0.5, 1.0, 2.0) if name == "f2sa" else (0.5, 1.0, 2.0, 4.0))
    uneven = study(corrupted_labels=more)
    for claim in both:
        outcome, _ = judge(BY_ID[claim], uneven)
        assert outcome.verdict == rules.NOT_TESTABLE
        assert "6 (F²SA), 8 (" in outcome.explanation
    for first, second, seeds in ((0.4, 0.5, 1), (0.4, 0.5, 2), (0.4, 0.5, 5), (0.5, 0.4, 5)):
        few = study(corrupted_labels=corrupted(ends(first, second), seeds=seeds))
        assert [verdict(claim, few) for claim in both] == [rules.NOT_TESTABLE] * 2


def test_a_range_that_ends_too_early_leaves_the_verdict_open():
    """The best lies at an end, and the last step outwards gained more than is missing."""
    at_end = lambda name: (0.25, 0.5, 1.0) if name in labels.FIRST_ORDER else (0.5, 1.0, 2.0)  # noqa: E731
    found = {pair: corrupted(ends(*pair), steps=at_end) for pair in ((0.5, 0.4), (2.0, 0.4), (1.1, 0.5))}
    assert verdict("labels-first-order", study(corrupted_labels=found[0.5, 0.4])) == rules.NOT_TESTABLE
    assert verdict("labels-first-order", study(corrupted_labels=found[2.0, 0.4])) == rules.NOT_REPRODUCED
    assert verdict("labels-bilevel-helps", study(corrupted_labels=found[1.1, 0.5])) == rules.NOT_TESTABLE
    touched = labels.touched(found[0.5, 0.4][8])
    assert [(one.axis, one.ends) for one in touched] == [("upper_step", ("high",))]


def test_whether_bilevel_optimisation_helps():
    assert verdict("labels-bilevel-helps", ended(0.4, 0.5)) == rules.REPRODUCED
    assert verdict("labels-bilevel-helps", ended(0.4, 1.1)) == rules.NOT_REPRODUCED
    found = ended(0.4, 0.5).records(labels.EXPERIMENT)
    without = [made for made in found if made.config["algorithm"]["name"] != labels.WITHOUT]
    assert verdict("labels-bilevel-helps", study(corrupted_labels=without)) == rules.NOT_RUN


def test_a_method_that_leaves_the_lower_level_is_not_judged():
    """It has the lowest outer loss, or the highest: it changes no verdict for the others, and the text says so."""
    lucky = corrupted(lambda name, rate: 0.1 if name == "bome" else ends(0.5, 0.4)(name, rate), unsolved="bome")
    assert verdict("labels-first-order", study(corrupted_labels=lucky)) == rules.NOT_REPRODUCED
    unlucky = corrupted(lambda name, rate: 2.0 if name == "bome" else ends(0.4, 0.5)(name, rate), unsolved="bome")
    outcome, _ = judge(BY_ID["labels-bilevel-helps"], study(corrupted_labels=unlucky))
    assert outcome.verdict == rules.NOT_TESTABLE  # "every" method is one too many
    assert "not judged" in outcome.explanation
    assert "BOME" in outcome.explanation


def test_whether_first_order_methods_keep_up():
    assert verdict("labels-first-order", ended(0.4, 0.5)) == rules.REPRODUCED
    assert verdict("labels-first-order", ended(0.4, 0.4)) == rules.REPRODUCED
    assert verdict("labels-first-order", ended(0.5, 0.4)) == rules.NOT_REPRODUCED
    found = ended(0.4, 0.5).records(labels.EXPERIMENT)
    some = [made for made in found if made.config["algorithm"]["name"] in labels.FIRST_ORDER]
    assert verdict("labels-first-order", study(corrupted_labels=some)) == rules.NOT_RUN
