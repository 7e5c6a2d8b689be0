"""The nasty example: formulas without torch, and the rule on records that must give each of its verdicts."""

from __future__ import annotations

import numpy as np
import torch

from synthetic import study
from synthetic_first_order import nasty as records
from unibio.analysis import claims as rules
from unibio.analysis import nasty
from unibio.analysis.statements import CLAIMS, judge
from unibio.problems import nasty as problem

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

    assert verdict(lambda name, start: 0.0 if name == "pbgd" else 1.0) == rules.REPRODUCED
    assert verdict(lambda name, start: 0.5 * (name == "pbgd" and start > 0)) == rules.NOT_REPRODUCED
    others = [made for made in records() if made.config["algorithm"]["name"] != "pbgd"]
    assert judge(CLAIM, study(nasty=others))[0].verdict == rules.NOT_RUN
    table = nasty.ends(study(nasty=records()))
    assert list(dict.fromkeys(table["method"])) == list(nasty.NAMES)
    assert nasty.penalties(study(nasty=records())) == [2.0, 10.0]
