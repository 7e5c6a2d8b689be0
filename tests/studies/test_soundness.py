"""Whether runs descended with y in tow; what refuses to speak of nothing; what a rule has asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from synthetic import EXPONENTS, FakeRecord, record, study, whole_study
from thinned import some
from unibio.core.oracle import KINDS
from unibio.errors import InputError
from unibio.studies import CLAIMS
from unibio.studies.common.claim import Claim, judge
from unibio.studies.common.comparisons import every, finals, first_hits
from unibio.studies.common.curves import curves, final, late
from unibio.studies.common.evidence import CALLS, Evidence, column, noisy
from unibio.studies.common.kinds import Kind
from unibio.studies.common.soundness import descended, followed, sound, unsound
from unibio.studies.common.verdicts import NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome


def constant(value: float) -> Callable[..., np.ndarray]:
    return lambda cell, seed, t: np.full(len(t), value)


# Soundness -----------------------------------------------------------------------------------------------------------


def test_descending_is_to_end_below_the_start() -> None:
    assert descended(record(2)).all()
    assert not descended(record(2, value=constant(0.5))).any()
    assert not descended(record(2, value=lambda cell, seed, t: t / t[-1])).any()
    assert not descended(record(2, status=lambda cell, seed: "diverged")).any()
    assert descended(record(2, value=lambda cell, seed, t: (seed == 0) - t / t[-1] * (seed < 2))).tolist() == [
        True,
        True,
        False,
    ]


def test_following_is_per_coordinate() -> None:
    assert followed(record(2, lower_error=constant(0.5))).all()
    assert not followed(record(2, lower_error=constant(1.0))).any()
    assert followed(record(2, lower_error=constant(1.0), dimension=10)).all()
    assert not followed(record(2, lower_error=constant(np.nan))).any()


def test_what_is_unsound_is_named_by_its_exponent() -> None:
    good, stuck, behind = record(2), record(4, value=constant(0.5)), record(8, lower_error=constant(2.0))
    assert unsound([good]) == ""
    assert "p = 4, 8" in unsound([good, stuck, behind])
    assert unsound([good, behind], lower=False) == ""
    assert "p = 4" in unsound([good, stuck, behind], lower=False)


def test_a_single_unsound_run_condemns_no_cell() -> None:
    one = record(2, lower_error=lambda cell, seed, t: np.full(len(t), 2.0 * (seed == 0)))
    assert sound(one).tolist() == [False, True, True]
    assert unsound([one]) == ""
    worse = record(2, {"noise": [0.0, 1.0]}, lower_error=lambda cell, seed, t: np.full(len(t), 2.0 * cell["noise"]))
    assert unsound([worse])  # one cell of two


# Nothing to compare --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [[], (), {}, np.empty(0), np.empty((0, 3)), pd.DataFrame({"a": []})])
def test_all_of_nothing_is_no_answer(nothing: object) -> None:
    with pytest.raises(InputError, match="nothing"):
        every(nothing)  # type: ignore[arg-type]


def test_every_is_all_of_something() -> None:
    assert every([True, 1])
    assert every(x > 0 for x in (1, 2))
    assert not every([True, False])
    assert every(pd.DataFrame({"a": [True], "b": [True]}))
    assert not every(np.array([[True], [False]]))


@pytest.mark.parametrize(
    "ask",
    [
        lambda one: curves(one, "norm"),
        lambda one: final(one, "norm"),
        lambda one: late(one, "norm"),
        lambda one: finals([one], "norm"),
        lambda one: column(one, "norm"),
        lambda one: column(one, "value", "runs"),
        descended,
        followed,
    ],
)
def test_a_column_that_is_not_there_is_told(ask: Callable[[FakeRecord], object]) -> None:
    made = record(2)
    made.history = made.history.drop(columns=["value", "lower_error"])
    with pytest.raises(InputError, match="has no column"):
        ask(made)


def test_the_oracle_calls_of_a_record_are_those_that_it_counts() -> None:
    assert CALLS == KINDS


def test_first_hits_need_one_target() -> None:
    without = record(2)
    without.runs = without.runs.drop(columns=[name for name in without.runs if name.startswith("iterations_to")])
    with pytest.raises(InputError, match="no first hits"):
        first_hits([record(2), without])
    other = record(4)
    other.runs = other.runs.rename(columns=lambda name: name.replace("<0.1", "<0.01"))
    with pytest.raises(InputError, match="different targets"):
        first_hits([record(2), other])


def test_noise_is_told_by_the_parameters() -> None:
    assert not noisy(record(2))
    assert noisy(record(2, noise=1.0))
    assert noisy(record(2), {"upper_noise": 0.5})
    assert not noisy(record(2, noise=1.0), {"noise": 0.0})


# What a rule has asked for -------------------------------------------------------------------------------------------


def _computed(evidence: Evidence) -> int:
    return len(evidence.require("other"))


def test_what_was_computed_earlier_counts_as_asked_for() -> None:
    evidence = study(one=[record(2)], other=[record(4)])
    with evidence.noting() as first:
        evidence.once(_computed)
    with evidence.noting() as again:
        evidence.once(_computed)
        evidence.known("one")
    assert first == again == {"other"}


def test_a_rule_that_reads_less_than_it_names_is_not_believed() -> None:
    def reads(*names: str) -> Callable[[Evidence], Outcome]:
        def rule(evidence: Evidence) -> Outcome:
            return Outcome(REPRODUCED, f"of {len([evidence.require(name) for name in names])} experiments")

        return rule

    def verdict(rule: Callable[[Evidence], Outcome]) -> Outcome:
        claim = Claim("a", "It is so.", Kind.QUESTION, "ours", rule, ("one", "other"))
        return judge(claim, study(one=[record(2)], other=[record(4)]))[0]

    assert verdict(reads("one", "other")).verdict == REPRODUCED
    less = verdict(reads("one"))
    assert less.verdict == NOT_TESTABLE
    assert "not looked at the records of other" in less.explanation


class Watched(FakeRecord):
    """Takes note of whether anyone looks at what was measured."""

    touched: set[int]

    def __getattribute__(self, name: str) -> object:
        if name in ("history", "runs"):
            object.__getattribute__(self, "touched").add(id(self))
        return object.__getattribute__(self, name)


#: Experiments that a rule reads in part, and which: the others are another claim's.
IN_PART = {
    "rate-p": "one exponent",
    "lp-lowest": "one exponent",
    "lp-ranking-changes": "the smallest exponent and the largest",
    "lp-less-inner-work": "UniBiO",
    "nli-": "one noise rate, exponent or kind of weights",
    "rate-f": "one method and case",
    "crosses-": "one method",
    "global-": "one problem",
    "schedules-": "one p, d = 4",
    "network-": "the network, not the polytope",
    "nondegenerate-": "the polytope, not the network",
    "constrained-stationary": "two methods, or one",
    "lyapunov-": "with noise, or without",
    "stationarity-": "one method and case",
    "lower-bound-calls-": "one oracle, or two",
    "conditions-": "one problem",
    "motivating-": "one problem",
    "e1-converges": "UniBiO",
    "hoelder-": "d = 4",
    "e1-first": "the methods that the paper compares",
}


WHOLE = [claim for claim in CLAIMS if not any(claim.id.startswith(known) for known in IN_PART)]
#: In make test the first claim about each choice of experiments and word before the first hyphen.
FIRST = {(claim.id.split("-")[0], claim.experiments): claim.id for claim in reversed(WHOLE)}


@pytest.mark.one_in(45)
@pytest.mark.parametrize("claim", some(WHOLE, lambda claim: claim.id in FIRST.values()), ids=lambda claim: claim.id)
def test_every_record_of_the_named_experiments_is_looked_at(claim: Claim) -> None:
    """Unless the claim is about part of them, or nothing can be said: what is named is touched, record by record."""
    touched: set[int] = set()
    given = {}
    for name in claim.experiments:
        given[name] = [Watched(*(getattr(one, f) for f in FIELDS)) for one in whole_study()[name]]
        for one in given[name]:
            one.touched = touched
    outcome, _ = judge(claim, study(**given))
    if outcome.verdict in (NOT_TESTABLE, NOT_RUN):  # the first record may be enough to say so
        return
    missed = [one.name for found in given.values() for one in found if id(one) not in touched]
    assert missed == []


FIELDS = ("name", "config", "summary", "history", "runs", "path")
assert EXPONENTS  # whole_study has records of all of them
