"""What the schedules reach: every rule on records that must give each of its verdicts, and what is read of a record."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from synthetic import study
from synthetic_theory import AS_CLAIMED, schedules, schedules_step
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.common.verdicts import Outcome
from unibio.studies.schedules.figures import draw, draw_step
from unibio.studies.schedules.measures import SERIES, fit, series

BY_ID = {claim.id: claim for claim in CLAIMS}
FOUR = partial(schedules, exponents=(4,), dimensions=(4,))


def judged(**options: object) -> Outcome:
    outcome, _ = judge(BY_ID["schedules-sharp-p4"], study(schedules=FOUR(**options)))  # type: ignore[arg-type]
    assert outcome.explanation
    return outcome


def but(**changed: float) -> Callable[[int, str], float]:
    powers = AS_CLAIMED | {name.replace("_", " "): power for name, power in changed.items()}
    return lambda p, twin: powers[twin]


def test_as_claimed_and_what_is_said_of_it() -> None:
    outcome = judged()
    assert outcome.verdict == rules.CONSISTENT
    assert set(outcome.numbers) == set(SERIES)
    assert outcome.numbers["the schedule"]["slope"] == pytest.approx(1.0, abs=0.05)
    assert outcome.numbers["y never refreshed"]["slope"] == pytest.approx(-0.3, abs=0.05)


@pytest.mark.slow
def test_every_p_of_both_schedules_is_judged_on_its_own_records() -> None:
    found = {"schedules": schedules(dimensions=(4,)), "schedules_paper": schedules(exponents=(4, 6), dimensions=(4,))}
    whole = study(**found)
    names = [name for name in BY_ID if name.startswith(("schedules-sharp", "schedules-paper"))]
    assert len(names) == 6
    assert {judge(BY_ID[name], whole)[0].verdict for name in names} == {rules.CONSISTENT}
    half = study(**found | {"schedules_paper": schedules(but(none=0.5), exponents=(4, 6), dimensions=(4,))})
    verdicts = {name: judge(BY_ID[name], half)[0].verdict for name in names}
    assert {name for name, verdict in verdicts.items() if verdict == rules.VIOLATED} == {
        "schedules-paper-p4",
        "schedules-paper-p6",
    }


def test_a_schedule_that_falls_short_of_epsilon() -> None:
    assert judged(power=but(none=0.7)).verdict == rules.VIOLATED
    assert judged(power=but(none=0.0)).verdict == rules.VIOLATED
    assert judged(power=but(none=1.5)).verdict == rules.CONSISTENT, "faster is enough"


@pytest.mark.parametrize("twin", [name for name in AS_CLAIMED if name != "none"])
def test_a_twin_that_passes_leaves_nothing_to_test(twin: str) -> None:
    powers = AS_CLAIMED | {twin: 1.0}
    outcome = judged(power=lambda p, name: powers[name])
    assert outcome.verdict == rules.NOT_TESTABLE
    said = {"stale": "y never refreshed", "long step": "η = 1 − β"}.get(twin, twin)
    assert outcome.explanation.endswith(f"not seen to fail off the schedule: {said}")


def test_seeds_decide_and_one_of_them_says_nothing() -> None:
    assert judged(spread=0.6).verdict == rules.NOT_TESTABLE
    assert judged(seeds=1).verdict == rules.NOT_TESTABLE


def test_a_short_range_says_nothing() -> None:
    outcome = judged(calls=20.0)
    assert outcome.verdict == rules.NOT_TESTABLE
    assert "are no range" in outcome.explanation


@pytest.mark.parametrize("broken", [{"lower_error": 9.0}, {"falls": False}])
def test_what_does_not_work_is_not_judged(broken: dict[str, object]) -> None:
    assert judged(**broken).verdict == rules.NOT_TESTABLE


def test_a_missing_twin_is_said() -> None:
    found = [one for one in FOUR() if one.config["paper"]["twin"] != "stale"]
    outcome, _ = judge(BY_ID["schedules-sharp-p4"], study(schedules=found))
    assert outcome.verdict == rules.NOT_TESTABLE
    assert "y never refreshed" in outcome.explanation


def test_a_diverged_twin_is_no_twin_that_fails() -> None:
    found = FOUR()
    worst = next(one for one in found if one.config["paper"]["twin"] == "long step")
    worst.runs.loc[0, "status"] = "diverged"
    assert judge(BY_ID["schedules-sharp-p4"], study(schedules=found))[0].verdict == rules.NOT_TESTABLE


def test_what_is_read_of_a_record() -> None:
    found = series(study(schedules=FOUR(spread=0.0)), "schedules", 4, 4)
    assert tuple(found) == SERIES
    for points in found.values():
        epsilons, calls = zip(*((one.epsilon, one.calls) for one in points), strict=True)
        assert len(epsilons) == 5
        assert list(epsilons) == sorted(epsilons)
        assert list(calls) == sorted(calls, reverse=True)
    assert fit(found["the schedule"]).of_mean == pytest.approx(1.0)
    assert fit(found["β = 0"]).of_mean == pytest.approx(0.5)
    own = found["the schedule"][0]
    assert own.norms == pytest.approx(np.full(6, 1.5 * own.epsilon))


# One total of calls --------------------------------------------------------------------------------------------------


def of_step(**options: object) -> str:
    found = schedules_step(**options)  # type: ignore[arg-type]
    return judge(BY_ID["schedules-step"], study(schedules_step=found))[0].verdict


def test_the_step_is_free_in_its_range_and_not_below() -> None:
    assert of_step() == rules.CONSISTENT
    assert of_step(reached=lambda q: 0.25 * 1.05**q if q >= 4 else 0.9) == rules.CONSISTENT, "within the margin"
    assert of_step(reached=lambda q: {4: 0.25, 5: 0.5}.get(q, 0.25 if q > 4 else 1.0)) == rules.VIOLATED
    assert of_step(reached=lambda q: 0.25) == rules.NOT_TESTABLE, "ε^p is no worse"
    assert of_step(reached=lambda q: 0.25 if q >= 3 else 1.0) == rules.NOT_TESTABLE, "only what is beyond ε^p is worse"


def test_of_the_step_seeds_decide_and_what_does_not_work_is_not_judged() -> None:
    assert of_step(seeds=1) == rules.NOT_TESTABLE
    assert of_step(spread=1.0) == rules.NOT_TESTABLE
    assert of_step(lower_error=9.0) == rules.NOT_TESTABLE
    assert of_step(powers=(2, 4, 5, 6)) == rules.NOT_TESTABLE, "ε^p was not run"


# Figures -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_tables_of_the_figures() -> None:
    evidence = study(
        schedules=schedules(seeds=2),
        schedules_paper=schedules(exponents=(4, 6), seeds=2),
        schedules_step=schedules_step(),
    )
    for experiment, exponents in (("schedules", [2, 4, 6]), ("schedules_paper", [4, 6])):
        tables = draw(evidence, experiment).tables
        assert set(tables) == {experiment, f"{experiment}_reached"}
        table = tables[experiment]
        assert len(table) == 2 * len(exponents) * len(SERIES)
        assert sorted(table["p"].unique()) == exponents
        assert len(tables[f"{experiment}_reached"]) == 5 * len(table)
        own = table[table["runs"] == "the schedule"]
        assert own["slope"].tolist() == pytest.approx([1.0] * len(own), abs=0.15)
    assert list(draw_step(evidence).tables["schedules_step"]["power"]) == [2, 3, 4, 5, 6]


def test_a_figure_shows_what_has_not_diverged() -> None:
    found = FOUR()
    found[0].runs.loc[0, "status"] = "diverged"
    table = draw(study(schedules=found), "schedules").tables["schedules"]
    assert table["slope"].isna().any()
    assert table["slope"].notna().any()
