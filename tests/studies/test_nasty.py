"""The nasty example: formulas without torch, and the rule on records that must give each of its verdicts."""

from __future__ import annotations

import numpy as np
import torch

from synthetic import study
from synthetic_first_order import nasty as records
from unibio.problems import nasty as problem
from unibio.studies import CLAIMS, nasty
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge

CLAIM = {claim.id: claim for claim in CLAIMS}["nasty-reached"]


def test_formulas_are_the_problems():
    x = np.linspace(-1, 1, 41)
    t = torch.from_numpy(x)
    np.testing.assert_allclose(nasty.value(x), problem.value(t[:, None]))
    for penalty in (0.5, 2.0, 30.0):
        np.testing.assert_allclose(nasty.penalised_value(x, penalty), problem.penalised_value(t, penalty))
        np.testing.assert_allclose(nasty.penalised_solution(x, penalty), problem.penalised_solution(t, penalty))


def test_whether_the_solution_is_reached():
    def verdict(distance):
        return judge(CLAIM, study(nasty=records(distance)))[0].verdict

    assert verdict(lambda name, start: 0.0 if name == "pbgd joint" else 1.0) == rules.REPRODUCED
    assert verdict(lambda name, start: 0.5 * (name == "pbgd joint" and start > 0)) == rules.NOT_REPRODUCED
    others = [made for made in records() if made.config["algorithm"]["name"] != "pbgd"]
    assert judge(CLAIM, study(nasty=others))[0].verdict == rules.NOT_RUN
    assert verdict(lambda name, start: 0.5 * (name == "pbgd joint" and start > 0.45)) == rules.REPRODUCED  # it chose
    table = nasty.ends(study(nasty=records()))
    assert set(table["upper_step"]) == {1.0}
    assert table.loc[table["judges"], "start_x"].unique().tolist() == [-0.5, 0.0, 0.4]
    assert list(dict.fromkeys(table["method"])) == list(nasty.ORDER)
    assert nasty.penalties(study(nasty=records())) == [2.0, 10.0]


def test_no_verdict_without_equal_effort():
    found = records(steps=lambda name: (0.1, 1.0, 10.0) if name == "f2sa" else (0.1, 1.0, 3.0, 10.0))
    outcome, _ = judge(CLAIM, study(nasty=found))
    assert outcome.verdict == rules.NOT_TESTABLE
    assert "3 (F²SA), 4 (" in outcome.explanation


def test_a_range_that_ends_too_early():
    """The step outwards before the end brought the worst end nearer by 0.1, and 0.04 or 0.5 are missing."""
    for missing, expected in ((0.05, rules.NOT_TESTABLE), (0.5, rules.NOT_REPRODUCED)):
        found = records(lambda name, start, missing=missing: missing, steps=lambda name: (0.01, 0.1, 1.0))
        assert judge(CLAIM, study(nasty=found))[0].verdict == expected
    assert [(one.axis, one.ends) for one in nasty.touched(found[0])] == [("upper_step", ("high",))]
