"""The pilot study's conditions: every rule on records that must give each of its verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthetic import study
from synthetic_pilot import conditions
from unibio.errors import InputError
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.pl_conditions.measures import LINEAR, REPRESENTATION, WELL, first_within, moduli, penalties
from unibio.studies.pl_conditions.rules import fit_iterations

BY_ID = {claim.id: claim for claim in CLAIMS}
FEW = {"problems": (REPRESENTATION,), "penalties": (3.0,)}
HOME = {"conditions-joint": (REPRESENTATION, "joint"), "conditions-blockwise": (LINEAR, "upper")}


def verdict(name, found=None, **settings):
    outcome, _ = judge(BY_ID[name], study(pl_conditions=conditions(**settings) if found is None else found))
    assert outcome.explanation
    return outcome.verdict


@pytest.mark.parametrize("name", HOME)
def test_a_condition(name):
    """Holds; fails where the ratio falls like a root of the excess, or a run rests off the minimum; or is not seen."""
    problem, part = HOME[name]

    def here(value):
        return lambda of, which, *start: value if (of, which) == (problem, part) else 0.0

    few = {"problems": (problem,), "penalties": (3.0,)}
    assert verdict(name, **few) == rules.REPRODUCED
    assert verdict(name, power=here(0.5), **few) == rules.NOT_REPRODUCED
    assert verdict(name, left=here(0.5), **few) == rules.NOT_REPRODUCED
    assert verdict(name, steps=200, **few) == rules.NOT_TESTABLE  # too short to come near
    assert verdict(name, starts=2, **few) == rules.NOT_TESTABLE
    assert verdict(name, problems=(WELL,), penalties=(3.0,)) == rules.NOT_RUN


def test_a_value_below_the_minimum_is_no_condition_that_holds():
    found = conditions(**FEW)
    for one in found:
        one.history["joint_excess"] -= 1e-3
    assert verdict("conditions-joint", found) == rules.NOT_TESTABLE


def test_a_run_that_diverged_confirms_nothing():
    found = conditions()
    for one in found:
        one.runs.loc[0, "status"] = "diverged"
    for name in (*HOME, "conditions-fail", "conditions-iterations", "conditions-iterations-penalty"):
        assert verdict(name, found) == rules.NOT_TESTABLE, name


def test_that_the_measure_can_fail():
    few = {"problems": (WELL,), "penalties": (3.0,)}
    assert verdict("conditions-fail", **few) == rules.REPRODUCED
    assert verdict("conditions-fail", left=lambda problem, part, start: 0.0, **few) == rules.NOT_REPRODUCED
    assert (
        verdict("conditions-fail", left=lambda problem, part, start: 0.6, **few) == rules.NOT_REPRODUCED
    )  # the lower block fails as well


def test_iterations():
    of = {"problems": (REPRESENTATION,)}
    found, slower = conditions(**of), conditions(rate=lambda penalty: 0.6 / penalty, **of)
    assert verdict("conditions-iterations", found) == rules.CONSISTENT
    assert verdict("conditions-iterations-penalty", found) == rules.CONSISTENT
    assert verdict("conditions-iterations", slower) == rules.CONSISTENT
    assert verdict("conditions-iterations-penalty", slower) == rules.VIOLATED
    (one,) = conditions(steps=20000, **FEW)
    gap = (10 + one.history["seed"]) / (1 + one.history["iteration"]) ** 2  # a power law
    one.history["upper_gap"] = one.history["lower_gap"] = gap
    assert verdict("conditions-iterations", [one]) == rules.VIOLATED
    assert verdict("conditions-iterations", steps=200, **FEW) == rules.NOT_TESTABLE
    assert verdict("conditions-iterations-penalty", found[:2]) == rules.NOT_TESTABLE


def test_first_within_is_interpolated():
    """N(ε) = ln(10(1 + 0.1 s)/ε)/rate of the made-up gap; a gap that comes back above counts where it stays below."""
    evidence = study(pl_conditions=conditions(**FEW))
    found = first_within(evidence, 3.0, np.array([1e-2, 1e-4]))
    wanted = np.log(10 * (1 + 0.1 * np.arange(4))[:, None] / np.array([1e-2, 1e-4])) / 0.02
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert np.isnan(first_within(evidence, 3.0, np.array([1e3]))).all()
    assert fit_iterations(np.array([1e-1, 1e-2, 1e-3]), np.full((4, 3), math.nan)) is None


def test_moduli_and_penalties():
    table = moduli(study(pl_conditions=conditions(**FEW)))
    row = table[(table["problem"] == REPRESENTATION) & (table["part"] == "joint") & (table["penalty"] == 3.0)].iloc[0]
    assert (row["least"], row["share"]) == pytest.approx((0.5, 1.0))
    assert row["exponent"] == pytest.approx(0, abs=1e-9)
    half = moduli(study(pl_conditions=conditions(power=lambda problem, part: 0.5, **FEW)))
    assert half["exponent"].to_numpy() == pytest.approx(0.5, abs=0.1)
    with pytest.raises(InputError, match="several records"):
        penalties(study(pl_conditions=2 * conditions(**FEW)), REPRESENTATION)
