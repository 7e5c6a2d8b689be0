"""A comparison of searched methods stands only where all of them were given the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unibio.studies.common.effort import Effort, fairly, uneven
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome

SAME = Effort(72, choosing=2, judging=5)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (SAME, ""),
        (Effort(71, 2, 5), "different numbers of configurations were tried: 71 (b), 72 (a)"),
        (Effort(72, 3, 5), "different numbers of choosing seeds: 2 (a), 3 (b)"),
        (Effort(72, 2, 6), "different numbers of judging seeds: 5 (a), 6 (b)"),
        (Effort(72, 7, 0), "the seeds that judge are none but those that chose"),
        (Effort(72, 1, 0, random=False), ""),  # one run is what all seeds give
        (Effort(9, 1, 0, random=False), "different numbers of configurations were tried: 9 (b), 72 (a)"),
    ],
)
def test_what_is_not_the_same_is_said(other: Effort, said: str) -> None:
    found = uneven({"a": SAME, "b": other})
    assert (found == "") == (said == "")
    assert said in found


def test_enough_seeds_judge() -> None:
    assert uneven({"a": Effort(9, 2, 4), "b": Effort(9, 2, 4)}, judging=5) == (
        "the seeds that judge are 4 of the 5 that it takes"
    )


@pytest.mark.parametrize("verdict", [REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE])
def test_no_verdict_stands_on_uneven_sides(verdict: str) -> None:
    """Neither for a method nor against it; and on one problem of several is enough."""
    outcome = Outcome(verdict, "words", {"a": 1})
    fair = fairly(outcome, {"p = 2": {"F²SA": SAME, "SOBA": SAME}})
    assert (fair.verdict, fair.explanation) == (verdict, "words")
    assert fair.numbers["a"] == 1
    assert fair.numbers["effort"]["p = 2"]["SOBA"]["configurations"] == 72
    twin = {"p = 2": {"F²SA": SAME, "SOBA": SAME}, "p = 4": {"F²SA": Effort(4, 2, 5), "SOBA": SAME}}
    unfair = fairly(outcome, twin)
    assert unfair.verdict == NOT_TESTABLE
    assert "4 (F²SA), 72 (SOBA) (p = 4)" in unfair.explanation
    assert fairly(Outcome(NOT_RUN, "nothing there"), twin).verdict == NOT_RUN


def test_searches_of_one_method_add_up() -> None:
    assert Effort(36, 2, 5) + Effort(36, 2, 5) == SAME
    with pytest.raises(ValueError, match="different seeds"):
        _ = Effort(36, 2, 5) + Effort(36, 3, 5)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=3),
        st.builds(Effort, st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.booleans()),
        min_size=1,
    )
)
def test_fair_means_the_same_configurations_and_seeds(sides: dict[str, Effort]) -> None:
    fair = uneven(sides) == ""
    random = [effort for effort in sides.values() if effort.random]
    alike = len({effort.configurations for effort in sides.values()}) == 1
    alike = alike and len({(effort.choosing, effort.judging) for effort in random}) <= 1
    assert fair == (alike and all(effort.judging for effort in random))
