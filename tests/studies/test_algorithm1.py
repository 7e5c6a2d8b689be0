"""Algorithm 1 at a fixed x: every rule on records that must give each of its verdicts, and what is read of a record."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from synthetic import study
from synthetic_theory import algorithm1
from unibio.studies import CLAIMS
from unibio.studies.algorithm1 import ERROR, bound, falls, slopes, tuned
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge

BY_ID = {claim.id: claim for claim in CLAIMS}
EXACT: Callable[[int, float, float], float] = lambda p, star, step: 1 / (2 * (p - 1))  # noqa: E731


def verdict(name: str, **options: object) -> str:
    outcome, _ = judge(BY_ID[name], study(algorithm1=algorithm1(**options)))  # type: ignore[arg-type]
    assert outcome.explanation
    return outcome.verdict


def test_bounds_are_the_theorem_s() -> None:
    assert [bound(p, ERROR) for p in (2, 4, 8)] == [-1 / 2, -1 / 6, -1 / 14]
    assert [bound(p, "lower_gap") for p in (2, 4, 8)] == [-1, -2 / 3, -4 / 7]


def test_the_error() -> None:
    assert verdict("algorithm1-error") == rules.CONSISTENT
    assert verdict("algorithm1-error", power=EXACT) in (rules.CONSISTENT, rules.NOT_TESTABLE)
    assert verdict("algorithm1-error", power=lambda *at: 0.6 * EXACT(*at)) == rules.VIOLATED
    assert verdict("algorithm1-error", power=lambda *at: 0.0) == rules.VIOLATED, "the balls shrink all the same"
    slow = lambda p, star, step: EXACT(p, star, step) * (0.5 if p == 8 and star == 0.5 else 1.6)  # noqa: E731
    assert verdict("algorithm1-error", power=slow) == rules.VIOLATED, "one p and y* is enough"
    assert verdict("algorithm1-error", seeds=1) == rules.NOT_TESTABLE


@pytest.mark.slow
def test_the_gap_is_judged_by_its_own_bound() -> None:
    assert verdict("algorithm1-gap") == rules.CONSISTENT
    assert verdict("algorithm1-gap", gap=0.5) == rules.VIOLATED
    assert verdict("algorithm1-error", gap=0.5) == rules.CONSISTENT


@pytest.mark.slow
def test_the_paper_s_step() -> None:
    only_tuned = lambda p, star, step: 1.6 * EXACT(p, star, step) if step < 1 else 0.0  # noqa: E731
    assert verdict("algorithm1-first-step") == rules.CONSISTENT
    assert verdict("algorithm1-first-step", power=only_tuned) == rules.VIOLATED
    assert verdict("algorithm1-error", power=only_tuned) == rules.CONSISTENT


@pytest.mark.slow
def test_where_the_exponent_is_seen() -> None:
    assert verdict("algorithm1-where") == rules.REPRODUCED
    assert verdict("algorithm1-where", power=lambda *at: 0.5) == rules.NOT_REPRODUCED, "the same at y* = 0"
    everywhere = lambda *at: 1.6 * EXACT(*at)  # noqa: E731
    assert verdict("algorithm1-where", power=everywhere) == rules.NOT_REPRODUCED, "no −1/2 at y* = 1"
    assert verdict("algorithm1-where", power=lambda *at: 0.0) == rules.NOT_TESTABLE


def test_the_step_is_chosen_among_those_that_move() -> None:
    better = lambda p, star, step: 0.6 if step == 0.3 else 0.1  # noqa: E731
    evidence = study(algorithm1=algorithm1(better))
    chosen = tuned(evidence, ERROR)
    assert {(one.p, one.star) for one in chosen} == {(p, star) for p in (2, 4, 6, 8) for star in (0.0, 0.5, 1.0)}
    assert {one.step for one in chosen} == {0.3}
    assert len(falls(evidence)) == 2 * 4 * 3 * 3
    table = slopes(evidence)
    standing = table[table["lower_step"] < 1e-6]
    assert standing["slope"].abs().max() == pytest.approx(0, abs=1e-9)
    assert standing["interval_low"].isna().all()
