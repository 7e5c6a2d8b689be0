"""Oracle calls to an accuracy on the lower-bound construction: rules on records that must give each verdict."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from synthetic import study
from synthetic_followed import ALIKE, POWERS, calls
from unibio.studies import CLAIMS, DRAWINGS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.lower_bound_calls import counted, exponents, reached

BY_ID = {claim.id: claim for claim in CLAIMS}


@cache
def whole():
    """Not to be written into."""
    return tuple(calls(spread=0.01))


def one_record():
    return calls({"informed_fresh": 6.0}, (0.35,), spread=0.0)


def verdict(name, found):
    outcome, _ = judge(BY_ID[f"lower-bound-calls-{name}"], study(lower_bound_calls=found))
    assert outcome.explanation
    return outcome.verdict


@pytest.mark.slow
def test_verdicts():
    for name in ("fresh", "shared", "oracle"):
        assert verdict(name, whole()) == rules.CONSISTENT
        assert verdict(name, calls(blocks=1)) == rules.NOT_TESTABLE
        assert verdict(name, whole()[:-4]) == rules.NOT_RUN
        assert verdict(name, calls(accuracies=(0.35, 0.3, 0.25))) == rules.NOT_TESTABLE
        assert verdict(name, calls(best=0)) == rules.NOT_TESTABLE  # the best step may lie further out
    assert verdict("fresh", calls(ALIKE)) == verdict("shared", calls(ALIKE)) == rules.VIOLATED
    assert verdict("shared", calls({**POWERS, "informed_shared": 5.5})) == rules.VIOLATED
    assert verdict("oracle", calls({**POWERS, "own_fresh": 4.5})) == rules.VIOLATED
    assert verdict("fresh", calls(spread=0.9)) == rules.NOT_TESTABLE
    assert verdict("fresh", []) == rules.NOT_RUN


def test_exponents_and_the_choice_of_the_step():
    evidence = study(lower_bound_calls=whole())
    for kind, fit in exponents(evidence).items():
        assert fit.slope == pytest.approx(POWERS[kind], abs=0.05)
    assert all(one.best == (1,) for one in counted(evidence))
    assert all(len(one.calls) == 3 for one in counted(evidence))  # those that did not choose


def test_calls_lie_between_logged_iterations_and_never_is_never():
    (made,) = one_record()
    found = reached(made, 0.35)
    assert len(found) == 3 * 4
    np.testing.assert_allclose(found["calls"][found["upper_step"] == 0.02], 0.25 * 0.35**-6, rtol=1e-6)
    assert np.isinf(reached(made, 0.001)["calls"]).all()
    made.runs.loc[0, "status"] = "diverged"
    assert np.isinf(reached(made, 0.35)["calls"]).sum() == 1


def test_the_mean_of_a_block_decides():
    """One run of ten that is far off keeps its block above ε."""
    (made,) = one_record()
    made.history.loc[made.history["run"] == 3, "hypergradient_square_mean"] *= 1e6
    found = reached(made, 0.35)["calls"]
    assert np.isinf(found).sum() == 1


def test_the_figure_says_what_was_chosen():
    table = DRAWINGS["lower_bound_calls"].draw(study(lower_bound_calls=whole())).tables["lower_bound_calls"]
    assert len(table) == 12
    assert set(table["lies"]) == {"inside"}
