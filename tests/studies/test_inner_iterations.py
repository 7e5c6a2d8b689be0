"""Inner iterations for one accuracy: what the rules say of errors whose powers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthetic import study
from synthetic_complexity import flat_at_zero, inner
from unibio.studies import inner_iterations as ii
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED


def test_errors_that_fall_the_slower_the_larger_p():
    evidence = study(**inner())
    outcome = ii.grow(evidence)
    assert outcome.verdict == REPRODUCED
    assert ii.only_where_flat(evidence).verdict == REPRODUCED
    needs = outcome.numbers["y* = 0"]["ε = 0.1"]
    for p, steps in needs.items():  # within the distance of two logged rows
        assert steps == pytest.approx(0.1 ** -(1 + p / 2), rel=0.3)


def test_p_without_effect_and_with_it_everywhere():
    assert ii.grow(study(**inner(lambda p, place: -0.5))).verdict == NOT_REPRODUCED
    everywhere = study(**inner(lambda p, place: flat_at_zero(p, 0.0) if place == 0 or p < 8 else -0.2))
    assert ii.only_where_flat(everywhere).verdict == NOT_REPRODUCED
    some = study(**inner(lambda p, place: -0.5 if p < 6 else -0.3))
    assert ii.only_where_flat(some).verdict == NOT_REPRODUCED


def test_what_never_gets_there_is_not_slower():
    assert ii.grow(study(**inner(lambda p, place: -1e-3))).verdict == NOT_TESTABLE
    outcome = ii.grow(study(**inner(lambda p, place: -0.5 if p < 8 else -1e-3)))
    assert outcome.verdict == NOT_TESTABLE
    assert "never to get there" in outcome.explanation


def test_a_single_seed_does_not_choose_and_judge():
    evidence = study(**inner(seeds=1))
    assert {ii.grow(evidence).verdict, ii.only_where_flat(evidence).verdict} == {NOT_TESTABLE}


def test_an_error_that_rises_again_was_not_reached():
    spent = np.array([0, 5, 20, 60])
    assert ii._when(spent, np.array([[1.0, 0.4, 0.6, 0.3]]), 0.5) == 60
    assert ii._when(spent, np.array([[1.0, 0.4, 0.3, 0.3]]), 0.5) == 5
    assert ii._when(spent, np.array([[1.0, 0.4, 0.3, math.inf]]), 0.5) == math.inf


def test_the_figure_s_table_has_every_p_at_both_places():
    table = ii.draw(study(**inner())).tables["inner_iterations"]
    assert set(zip(table["p"], table["y_star"], strict=True)) == {(p, y) for p in (2, 4, 6, 8) for y in (0.0, 1.0)}
