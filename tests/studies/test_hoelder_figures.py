"""Figures 1 and 5 on the Hölder problem: what the rules say of curves that are known."""

from __future__ import annotations

import pytest

from synthetic import study
from synthetic_complexity import figures
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED
from unibio.studies.hoelder_figures.figures import draw_fifth, draw_first
from unibio.studies.hoelder_figures.measures import EXPERIMENT
from unibio.studies.hoelder_figures.rules import flatter, slower

KINDS = ("equal", "tuned")


@pytest.mark.parametrize("kind", KINDS)
def test_as_claimed(kind):
    evidence = study(**figures())
    slow, flat = slower(kind)(evidence), flatter(kind)(evidence)
    assert (slow.verdict, flat.verdict) == (REPRODUCED, REPRODUCED)
    steps = {p: slow.numbers["noise 1"][p]["upper_step"] for p in (2, 8)}
    assert steps == ({2: 0.06, 8: 0.06} if kind == "equal" else {2: 0.06, 8: 0.02})
    assert f"{-1 / 4:.2f}".replace("-", "−") in flat.explanation


@pytest.mark.parametrize("kind", KINDS)
def test_p_without_effect(kind):
    evidence = study(**figures(power=lambda p: -0.25, level=lambda p: 1.0, best=lambda p: 0.03))
    assert slower(kind)(evidence).verdict != REPRODUCED
    assert flatter(kind)(evidence).verdict != REPRODUCED


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_way_round(kind):
    evidence = study(**figures(power=lambda p: -p / 16, level=lambda p: 2 / p))
    assert slower(kind)(evidence).verdict == NOT_REPRODUCED
    assert flatter(kind)(evidence).verdict == NOT_REPRODUCED


def test_runs_that_do_not_follow_say_nothing():
    evidence = study(**figures(lower_error=5.0))
    found = slower("tuned")(evidence)
    assert found.verdict == NOT_TESTABLE
    assert "y does not follow" in found.explanation


def test_a_single_seed_says_nothing_where_there_is_noise():
    evidence = study(**figures(seeds=1))
    assert slower("equal")(evidence).verdict == NOT_TESTABLE
    assert flatter("tuned")(evidence).verdict == NOT_TESTABLE


def test_a_missing_exponent_is_said():
    found = figures()
    given = {EXPERIMENT: [one for one in found[EXPERIMENT] if one.config["problem"]["exponent"] < 8]}
    assert slower("equal")(study(**given)).verdict == NOT_TESTABLE


def test_the_figures_show_the_seeds_that_did_not_choose():
    evidence = study(**figures())
    table = draw_first(evidence, 4).tables["hoelder_fig1"]
    assert set(table["eta"]) == {"equal", "tuned"}
    assert set(table["p"]) == {2, 4, 6, 8}
    fits = draw_fifth(evidence, 1).tables["hoelder_fig5_1d"].set_index(["noise", "eta", "p"])
    assert fits.loc[(1.0, "tuned", 2), "slope"] == pytest.approx(-0.25, abs=0.01)
    assert fits.loc[(1.0, "equal", 8), "bound"] == pytest.approx(-1 / 22)
