"""Rates of the penalty methods: every rule on records that must give each of its verdicts; the figures."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import synthetic
from synthetic import study
from synthetic_first_order import PROXIMAL, as_bounded, fixed, scheduled
from unibio.studies import CLAIMS, DRAWINGS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.penalty_rates.measures import BOUNDS, CASES, EARLIEST, rates

BY_ID = {claim.id: claim for claim in CLAIMS}
EVERY = [(method, case) for method in BOUNDS for case in CASES]


def judged(method, case, **given):
    """The outcome from records of both experiments, as their figure shows both; ``given`` replaces some."""
    every = sloping(as_bounded) | given
    outcome, _ = judge(BY_ID[f"rate-{method}-{case}"], study(**every))
    assert outcome.explanation
    return outcome


def verdict(method, case, **given):
    return judged(method, case, **given).verdict


def flat(method, case):
    return BOUNDS[method][case] + 0.1


@cache
def sloping(slope):
    """Records of all methods; the rules only read them."""
    given = {"penalty_rates": scheduled(slope), "penalty_rates_fixed": fixed(slope)}
    return given | {"proximal_rates": scheduled(slope, names=PROXIMAL)}


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("method", "case"), EVERY)
def test_steeper_is_consistent_and_flatter_violates(method, case):
    for slope, expected in ((as_bounded, rules.CONSISTENT), (flat, rules.VIOLATED)):
        assert verdict(method, case, **sloping(slope)) == expected


def test_the_fit_range_may_decide():
    found = scheduled(lambda method, case: BOUNDS[method][case], wobble=0.05)
    assert verdict("f2sa", "both", penalty_rates=found) == rules.NOT_TESTABLE
    assert "the fit range decides" in judged("f2sa", "both", penalty_rates=found).explanation


def test_no_verdict_without_records_or_from_too_little():
    assert verdict("f2sa", "exact", penalty_rates=[]) == rules.NOT_RUN
    assert verdict("f2ba", "exact", penalty_rates_fixed=[]) == rules.NOT_RUN
    assert verdict("f2sa", "both", penalty_rates=scheduled()[:1]) == rules.NOT_RUN
    assert verdict("f2ba", "both", penalty_rates_fixed=fixed(horizons=(300, 1000, 3000))) == rules.NOT_TESTABLE
    assert verdict("f2sa", "exact", penalty_rates=scheduled(steps=2)) == rules.NOT_TESTABLE
    diverged = scheduled(status=lambda cell, seed: "diverged" if seed == 1 else "completed")
    assert verdict("f3sa", "both", penalty_rates=diverged) == rules.NOT_TESTABLE


def test_slopes_start_after_the_way_from_the_start():
    """The fit ranges leave out the first part of the run; a curve with a plateau there keeps its later slope."""

    def plateau(cell, seed, t):
        return np.maximum(t / 30, 1.0) ** -0.5

    made = synthetic.record(2, {}, mean=plateau, name="f2sa", schedule="exact", steps=4000)
    (one,) = rates(study(penalty_rates=[made]))
    slopes = one.slopes()
    assert slopes["low"].min() >= EARLIEST * 4000
    np.testing.assert_allclose(slopes["slope"], -0.5, atol=1e-6)
    assert set(slopes["kind"]) == {"to_end", "decade"}


def test_the_figures_show_what_there_is():
    """One experiment alone is drawn, and tables hold every slope."""
    for given in ({"penalty_rates": scheduled()}, {"penalty_rates_fixed": fixed()}):
        for name in ("penalty_rates", "penalty_rates_ranges"):
            drawn = DRAWINGS[name].draw(study(**given))
            assert len(drawn.tables[name]) > 0
    table = DRAWINGS["penalty_rates_ranges"].draw(study(penalty_rates=scheduled())).tables["penalty_rates_ranges"]
    assert set(table["method"]) == {"F²SA", "F³SA"}
    assert set(table["case"]) == set(CASES)
    for name in ("proximal_rates", "proximal_rates_ranges"):
        drawn = DRAWINGS[name].draw(study(proximal_rates=scheduled(names=PROXIMAL)))
        assert set(drawn.tables[name]["method"]) == {"proximal, two loops", "proximal, one loop"}


def test_proximal_methods_are_judged_by_oracle_calls():
    """An iteration of the one with two loops grows longer: what is a power of k is another of calls."""
    (made,) = (one for one in scheduled(names=("proximal",)) if one.config["algorithm"]["schedule"] == "exact")
    made.history["oracle_calls"] = (made.history["oracle_calls"].astype(float) ** 2).astype(int)
    (one,) = rates(study(proximal_rates=[made]))
    assert one.unit == "oracle calls"
    (in_iterations,) = rates(study(penalty_rates=[*scheduled(lambda *_: BOUNDS["proximal"]["exact"] - 0.1)][:1]))
    assert in_iterations.unit == "iterations"
    assert one.slopes()["slope"].mean() == pytest.approx(in_iterations.slopes()["slope"].mean() / 2, abs=1e-3)
