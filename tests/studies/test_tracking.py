"""How y follows y*(x): every rule on records that must give each of its verdicts, and what is read of a record."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.stats import binom

from synthetic import study
from synthetic_parts import LEVELS, largest, tracking
from unibio.errors import InputError
from unibio.studies import CLAIMS
from unibio.studies.common.claim import judge
from unibio.studies.common.verdicts import CONSISTENT, NOT_TESTABLE, VIOLATED, Outcome
from unibio.studies.tracking.figures import draw
from unibio.studies.tracking.measures import FOLLOWED, SERIES, fit, growth, levels, series
from unibio.studies.tracking.rules import FACTOR, share

BY_ID = {claim.id: claim for claim in CLAIMS}
FOUR = partial(tracking, dimensions=(4,))


def judged(name: str = "tracking-sharp", **options: object) -> Outcome:
    outcome, _ = judge(BY_ID[name], study(tracking=FOUR(**options)))  # type: ignore[arg-type]
    assert outcome.explanation
    return outcome


def at_one_p(p: int, twin: str, level: float):
    """The largest error as claimed but for one p and twin."""
    return lambda q, name, fallen: level if (q, name) == (p, twin) else largest(q, name, fallen)


@pytest.mark.slow
def test_as_claimed_and_what_is_said_of_it() -> None:
    outcome = judged()
    assert outcome.verdict == CONSISTENT
    assert set(outcome.numbers) == {"p = 2", "p = 4", "p = 6"}
    assert all(within == seeds for within, seeds in outcome.numbers["p = 4"][FOLLOWED].values())
    outcome = judged("tracking-bias-sharp")
    assert outcome.verdict == CONSISTENT
    assert outcome.numbers["p = 4"][FOLLOWED]["slope"] == pytest.approx(1.0, abs=0.1)
    assert outcome.numbers["p = 4"]["power of T"] == pytest.approx(1 - 1 / 6, abs=0.03)


@pytest.mark.slow
def test_one_error_beyond_at_one_p_and_twins_that_keep_to_it() -> None:
    assert judged(most=at_one_p(6, "none", 5.0)).verdict == VIOLATED
    assert judged(most=at_one_p(4, "none", FACTOR * 0.93), spread=0.05).verdict == NOT_TESTABLE, "a few runs are beyond"
    outcome = judged(most=at_one_p(4, "one epoch", 2.0))
    assert outcome.verdict == NOT_TESTABLE
    assert outcome.explanation.endswith(f"not seen to leave {FACTOR:g}ε: one epoch (p = 4)")


@pytest.mark.slow
def test_a_bias_that_falls_less_and_twins_whose_bias_falls() -> None:
    def power(p: int, twin: str, own: float = 1.0, epoch: float = 0.2) -> float:
        return {"none": own, "one epoch": epoch}.get(twin, 0.2) if p == 4 else (1.0 if twin == "none" else 0.2)

    bias = partial(judged, "tracking-bias-sharp")
    assert bias(power=partial(power, own=0.6)).verdict == VIOLATED
    assert bias(power=partial(power, own=2.0)).verdict == CONSISTENT, "faster is enough"
    assert bias(power=partial(power, epoch=1.0)).verdict == NOT_TESTABLE
    assert bias(spread=2.0).verdict == NOT_TESTABLE


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tracking-sharp", "tracking-bias-sharp"])
@pytest.mark.parametrize(
    "broken", [{"seeds": 1}, {"places": 3}, {"calls": 20.0}, {"lower_error": 9.0}, {"falls": False}]
)
def test_too_little_and_what_does_not_work_are_not_judged(name: str, broken: dict[str, object]) -> None:
    assert judged(name, **broken).verdict == NOT_TESTABLE


@pytest.mark.slow
def test_the_paper_s_schedule_has_records_of_its_own_but_at_p_2() -> None:
    found = {"tracking": FOUR(), "tracking_paper": FOUR(exponents=(4, 6), most=at_one_p(6, "none", 6.0))}
    verdicts = {name: judge(BY_ID[name], study(**found))[0].verdict for name in ("tracking-sharp", "tracking-paper")}
    assert verdicts == {"tracking-sharp": CONSISTENT, "tracking-paper": VIOLATED}
    half = {"tracking": FOUR(exponents=(4, 6)), "tracking_paper": FOUR(exponents=(4, 6))}
    assert judge(BY_ID["tracking-paper"], study(**half))[0].verdict == NOT_TESTABLE


@pytest.mark.one_in(4)
@pytest.mark.parametrize("which", ["none", "stale"])
@pytest.mark.parametrize("name", ["tracking-sharp", "tracking-bias-sharp"])
def test_a_run_that_diverged_is_no_evidence(name: str, which: str) -> None:
    found = FOUR()
    next(one for one in found if one.config["paper"]["twin"] == which).runs.loc[0, "status"] = "diverged"
    assert judge(BY_ID[name], study(tracking=found))[0].verdict == NOT_TESTABLE


def test_what_is_read_of_a_record() -> None:
    found = series(study(tracking=FOUR(spread=0.0, seeds=3)), "tracking", 4, 4)
    assert tuple(found) == SERIES
    own = found[FOLLOWED]
    assert [one.epsilon for one in own] == sorted(one.epsilon for one in own)
    np.testing.assert_allclose(own[0].most, min(level for level in LEVELS if level >= 2.5), rtol=1e-5)
    np.testing.assert_allclose(own[0].error, 0.9 * own[0].epsilon)
    assert np.isinf(found["y never refreshed"][0].most).all(), "beyond every level"
    assert fit(own).of_mean == pytest.approx(1.0)
    assert growth(own).of_mean == pytest.approx(1 - 1 / 6, abs=0.01)
    with pytest.raises(InputError, match="lower_margin"):
        levels({"iterations_to hypergradient_norm<0.1": None})


@pytest.mark.parametrize(("within", "runs"), [(0, 10), (7, 10), (10, 10), (47, 48)])
def test_the_ends_of_a_share(within: int, runs: int) -> None:
    """Clopper and Pearson's: beyond them so many successes, or so few, have a probability of 5%."""
    low, high = share(within, runs)
    if within:
        assert binom.sf(within - 1, runs, low) == pytest.approx(0.05)
    if within < runs:
        assert binom.cdf(within, runs, high) == pytest.approx(0.05)
    assert 0 <= low < high <= 1


@pytest.mark.slow
def test_tables_of_the_figures() -> None:
    evidence = study(tracking=tracking(seeds=2), tracking_paper=FOUR(exponents=(4, 6), seeds=2))
    for experiment, cases in (("tracking", 6), ("tracking_paper", 2)):
        tables = draw(evidence, experiment).tables
        assert set(tables) == {experiment, f"{experiment}_bias"}
        assert len(tables[experiment]) == cases * len(SERIES) * 5
        assert len(tables[f"{experiment}_bias"]) == cases * len(SERIES)
