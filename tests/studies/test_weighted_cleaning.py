"""Hyper-cleaning whose weights matter: every rule on records that must give each of its verdicts."""

from __future__ import annotations

import pytest

from synthetic import study
from synthetic_pilot import weighted
from unibio.studies import CLAIMS, weighted_cleaning
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(name, found=None, **settings):
    outcome, _ = judge(BY_ID[name], study(weighted_cleaning=weighted(**settings) if found is None else found))
    assert outcome.explanation
    return outcome.verdict


def only(*names):
    return [one for one in weighted() if one.config["algorithm"]["name"] in names]


def test_who_reaches_the_optimum():
    assert verdict("cleaning-global") == rules.REPRODUCED
    assert verdict("cleaning-implicit") == rules.REPRODUCED

    def one_fails(of):
        return lambda name, penalty, start: 0.01 if name == of and start == 5 else 1e-6 * (1 + start)

    assert verdict("cleaning-global", value=one_fails("pbgd")) == rules.NOT_REPRODUCED
    assert verdict("cleaning-global", value=one_fails("soba")) == rules.REPRODUCED
    assert verdict("cleaning-implicit", value=one_fails("soba")) == rules.NOT_REPRODUCED
    assert verdict("cleaning-global", starts=3) == rules.NOT_TESTABLE
    assert verdict("cleaning-global", lower=-1.0) == rules.NOT_REPRODUCED  # the lower level is not solved
    assert verdict("cleaning-global", only("soba")) == rules.NOT_RUN
    assert verdict("cleaning-implicit", only("pbgd")) == rules.NOT_RUN


def test_the_role_of_the_penalty():
    assert verdict("cleaning-penalty") == rules.CONSISTENT
    assert verdict("cleaning-penalty", lower=-1.8) == rules.VIOLATED
    assert verdict("cleaning-penalty", upper=-0.8) == rules.VIOLATED
    assert verdict("cleaning-penalty", only("soba")) == rules.NOT_TESTABLE
    assert verdict("cleaning-penalty", starts=3) == rules.NOT_TESTABLE


def test_what_the_weights_tell():
    assert verdict("cleaning-weights") == rules.REPRODUCED
    assert verdict("cleaning-weights", auc=0.8) == rules.NOT_REPRODUCED
    assert verdict("cleaning-weights", only("soba")) == rules.NOT_RUN


def test_ends_are_of_the_best_steps_and_of_judging_starts():
    found = weighted_cleaning.ends(study(weighted_cleaning=weighted()))
    assert [one.name for one in found] == ["pbgd blockwise"] * 5 + ["soba", "stocbio"]
    assert {one.steps["upper_step"] for one in found} == {1.0}
    assert {len(one.reached) for one in found} == {5}
    assert found[4].label == "PBGD, blockwise, γ = 1000"
    table = weighted_cleaning.summary(study(weighted_cleaning=weighted()))
    assert table["reached"].tolist() == pytest.approx([0, 0, 0, 1, 1, 1, 1])  # by g − g* = γ^(−2)
    outside = weighted(steps=(1.0, 10.0, 100.0))
    assert {(one.axis, one.ends) for record in outside for one in weighted_cleaning.touched(record)} == {
        ("upper_step", ("low",))
    }
