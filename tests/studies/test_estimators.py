"""Estimators: every rule on records that must give each of its verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest

import synthetic_without_p as sw
from synthetic import study
from synthetic_without_p import VANISHING, estimators, left, too_long
from unibio.errors import InputError
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.common.evidence import Evidence
from unibio.studies.estimators.figures import needs
from unibio.studies.estimators.measures import Cell, measured, table
from unibio.studies.estimators.rules import effect

BY_ID = {claim.id: claim for claim in CLAIMS}
CLAIMED = [name for name in BY_ID if name.startswith("estimators-")]


def verdict(name: str, **options: object) -> str:
    outcome, _ = judge(BY_ID[f"estimators-{name}"], evidence(**options))
    assert outcome.explanation
    return outcome.verdict


def evidence(**options: object) -> Evidence:
    return study(estimators=estimators(**options))  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_numbers_of_a_table() -> None:
    found = needs(evidence()).set_index(["problem", "p", "noise"])
    assert len(found) == 24
    assert found.loc[("hoelder", 8, False), "generalised"] == 1
    assert found.loc[("hoelder", 8, False), "pcg"] == 2
    assert found.loc[("lp_regression", 6, False), "generalised"] == math.inf
    assert found.loc[("lp_regression", 6, True), "pcg"] == math.inf
    assert (table(evidence()).query("estimator == 'generalised' and not noise")["neumann_step"] == 1).all()


def test_other_points_judge_than_those_that_choose() -> None:
    """A step at which the choosing points happen to be exact is chosen, and judged by the others."""
    found = estimators()
    (one,) = [
        r
        for r in found
        if r.config["problem"]["name"] == "hoelder"
        and r.config["problem"]["exponent"] == 4
        and r.config["algorithm"]["estimator"] == "classical"
        and r.config["problem"]["hessian_noise"] == 0
    ]
    lucky = (one.runs["neumann_step"] == 0.1) & (one.runs["seed"] < 5)
    one.runs.loc[lucky, "error_16"] = 1e-12
    one.runs.loc[(one.runs["neumann_step"] == 0.1) & (one.runs["seed"] >= 5), "error_16"] = 0.7
    classical = measured(study(estimators=found))[Cell("hoelder", 4, False)]["classical"]
    assert classical.steps[classical.chosen[-1]] == 0.1
    assert classical.judged[-1] == 0.7


def test_two_records_of_the_same_are_refused() -> None:
    found = estimators(problems=("hoelder",))
    with pytest.raises(InputError, match="measure the same: pcg on Hölder problem, p = 8"):
        measured(study(estimators=[*found, found[-1]]))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", CLAIMED)
def test_as_claimed_and_from_a_single_point(name: str) -> None:
    assert verdict(name.removeprefix("estimators-")) == rules.REPRODUCED
    assert verdict(name.removeprefix("estimators-"), points=1) == rules.NOT_TESTABLE


@pytest.mark.parametrize(
    ("name", "first", "second"), [("d-sum", "generalised", "classical"), ("d-solve", "cg_scaled", "cg")]
)
def test_d_must_help_there_and_hurt_here(name: str, first: str, second: str) -> None:
    def alike(where: tuple[str, ...]) -> object:
        return lambda problem, p, of: left(problem, p, second if of == first and problem in where else of)

    assert verdict(name, left=alike(VANISHING)) == rules.NOT_REPRODUCED
    assert verdict(name, left=alike(("lp_regression",))) == rules.NOT_REPRODUCED
    assert verdict(name, problems=VANISHING) == rules.NOT_TESTABLE
    assert verdict(name, problems=("lp_regression",)) == rules.NOT_TESTABLE


def test_where_neither_gets_there_the_error_decides() -> None:
    found = measured(evidence(left=lambda problem, p, of: {"cg": 0.99, "classical": 0.999, "pcg": 0.9}.get(of, 1.0)))
    one = found[Cell("hoelder", 4, False)]
    assert effect(one["pcg"], one["cg"]) == 1
    assert effect(one["cg"], one["pcg"]) == -1
    assert effect(one["cg"], one["classical"]) == 0


def test_the_diagonal() -> None:
    assert verdict("diagonal", left=lambda problem, p, of: 0.6 if of == "pcg" else left(problem, p, of)) == (
        rules.NOT_REPRODUCED
    )
    assert verdict("diagonal", left=lambda problem, p, of: 1.0) == rules.NOT_TESTABLE


@pytest.mark.slow
def test_the_bias() -> None:
    assert verdict("bias", excess=lambda name: 0.0) == rules.NOT_REPRODUCED
    assert verdict("bias", excess=lambda name: sw.VARIANCE) == rules.NOT_REPRODUCED
    assert verdict("bias", excess=lambda name: 4 * too_long(name)) == rules.NOT_REPRODUCED
    assert verdict("bias", spread=0.1) == rules.NOT_TESTABLE


def test_a_run_that_diverged_has_no_error() -> None:
    found = estimators()
    for one in found:
        one.runs["status"] = np.where(one.runs["seed"] >= 2, "diverged", "completed")
    for name in CLAIMED:
        assert judge(BY_ID[name], study(estimators=found))[0].verdict not in rules.PASSED
