"""The lower-bound construction: the rule on records that must give each of its verdicts."""

from __future__ import annotations

import numpy as np

from synthetic import study
from synthetic_first_order import bounded
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.lower_bound import levels

CLAIM = {claim.id: claim for claim in CLAIMS}["lower-bound"]


def verdict(found):
    outcome, _ = judge(CLAIM, study(lower_bound=found))
    assert outcome.explanation
    return outcome.verdict


def test_the_level_against_the_penalty():
    assert verdict(bounded()) == rules.CONSISTENT
    assert verdict(bounded(power=0.5)) == rules.VIOLATED
    assert verdict(bounded(power=1.5)) == rules.VIOLATED
    assert verdict(bounded(others=0.3)) == rules.VIOLATED  # sharing the sample does not help
    assert verdict(bounded(penalties=(1.0, 8.0))) == rules.NOT_TESTABLE
    assert verdict(bounded()[1:]) == rules.NOT_RUN
    assert verdict([]) == rules.NOT_RUN


def test_levels_are_those_of_the_tail():
    table = levels(study(lower_bound=bounded()))
    fresh = table[table["kind"] == "fresh"]
    np.testing.assert_allclose(fresh["level"], 0.05 * 1.01 * fresh["penalty"], rtol=1e-6)
    assert list(table["kind"].unique()) == ["fresh", "shared", "stocbio"]
