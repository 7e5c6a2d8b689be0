"""Appendix E.1's analysis: choosing, ranking, splitting seeds, the crossing, and every verdict of every rule."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import synthetic_e1 as fake
from synthetic import study
from unibio.errors import InputError
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.common.document import markdown
from unibio.studies.e1 import calls as e1_calls
from unibio.studies.e1 import caveats as e1_caveats
from unibio.studies.e1 import crossing, figures
from unibio.studies.e1 import search as e1
from unibio.studies.e1 import section as report

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(id, **given):  # noqa: A002
    outcome, _ = judge(BY_ID[id], study(**given))
    assert outcome.explanation
    return outcome.verdict


def still(step, t):
    """Stays where |∇φ| is largest."""
    return np.zeros(len(t))


def lagging(step, t):
    """Best at the largest step searched, and far from levelled off."""
    return fake.descent(step / 10, t)


def crawling(step, t):
    """Best at the largest step searched, where it has hardly moved."""
    return fake.descent(step / 1e5, t)


def quick(step, t):
    """Arrives at once and stays."""
    return np.where(t < 2, 1.0, -np.pi / 2)


# Choosing ------------------------------------------------------------------------------------------------------------


def test_a_cap_limits_the_steps():
    one = e1.search_of(fake.record(2, "soba", seeds=1, points=30))
    assert one.upper[one.best()[0]] == 1.0
    assert one.upper[one.best(0.1)[0]] == 0.08
    assert one.best(0.001) is None
    assert one.score(0.001) == math.inf
    assert one.score() < one.score(0.1)


def test_a_normalised_cap_counts_per_coordinate():
    one = e1.search_of(fake.record(2, "unibio", fake.lengths, seeds=1, dimension=100))
    np.testing.assert_allclose(one.caps, np.array(fake.UPPER) / 10)
    other = e1.search_of(fake.record(2, "soba", seeds=1, dimension=100))
    np.testing.assert_allclose(other.caps, fake.UPPER)


def test_with_noise_one_half_of_the_seeds_chooses_and_the_other_is_reported():
    made = fake.record(2, "soba", seeds=4, noise=1.0)
    history = made.history
    lucky = np.isclose(history["upper_step"], 0.005) & (history["seed"] < 2)
    history.loc[lucky, "hypergradient_norm_mean"] = 1e-6
    one = e1.search_of(made)
    at = one.best()
    assert one.upper[at[0]] == 0.005
    assert one.search.chosen_by[at] == pytest.approx(1e-6)
    assert one.score() > 0.1


def test_diverged_pairs_are_never_chosen():
    made = fake.record(
        2, "soba", seeds=1, status=lambda cell, seed: "diverged" if cell["upper_step"] > 0.1 else "completed"
    )
    one = e1.search_of(made)
    assert one.upper[one.best()[0]] == 0.08
    assert not one.converged[one.upper > 0.1].any()


def test_a_record_without_both_axes_is_refused():
    from synthetic import record

    with pytest.raises(InputError, match="upper_step and lower_step"):
        e1.search_of(record(2, {"noise": [0.0]}))


def test_converging_is_not_solving():
    made = fake.record(2, "soba", seeds=1, lower_error=lambda cell: 1.0 if cell["lower_step"] < 0.05 else 0.0)
    one = e1.search_of(made)
    assert one.converged[-1].tolist() == [True, True, True]
    assert one.solved[-1].tolist() == [False, True, True]


def test_ranks_count_those_better_by_more_than_a_tie():
    table = e1.ranking(e1.searches(study(e1=fake.study()), "e1"), [math.inf]).set_index(["p", "method"])
    assert table.loc[(2, "soba"), "rank"] == table.loc[(2, "stocbio"), "rank"] == 1
    assert table.loc[(2, "unibio"), "rank"] == 5


# The crossing --------------------------------------------------------------------------------------------------------


def test_x_is_recovered_from_phi():
    x = np.linspace(-np.pi / 2, np.pi / 2, 101)
    np.testing.assert_allclose(crossing.iterate(np.sin(np.sin(x))), x, atol=2e-7)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.linspace(1, -1.5, 60), "passes"),
        (np.concatenate([np.linspace(1, 0.2, 10), np.linspace(0.2, -0.2, 40), np.linspace(-0.3, -1, 10)]), "slows"),
        (np.concatenate([np.linspace(1, 0.2, 10), np.full(20, 0.1)]), "stalls"),
        (np.concatenate([np.linspace(1, 0.2, 10), np.linspace(0.2, 1, 10)]), "turns back"),
        (np.array([1.0, 0.9, -0.8, -1.2]), "jumps"),
        (np.linspace(1, 0.5, 20), "falls short"),
    ],
)
def test_every_kind_of_crossing(x, expected):
    kind, pace = crossing.classify(np.arange(len(x)), x)
    assert kind == expected
    assert np.isfinite(pace) == (expected in ("passes", "slows"))
    assert crossing.classify(np.arange(len(x)), x, completed=False)[0] == "diverges"


def test_a_leap_between_distant_logged_iterations_is_no_jump():
    assert crossing.classify(np.array([0, 10, 20]), np.array([1.0, 0.4, -0.4]))[0] == "passes"


# Verdicts ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("id", ["e1-first", "e1-first-noise"])
def test_first(id):  # noqa: A002
    name = BY_ID[id].experiments[0]
    settings = {"noise": 1.0, "upper_noise": 1.0, "seeds": 2} if "noise" in name else {}

    def of(**given):
        return verdict(id, **{name: fake.study(**settings, **given)})

    assert of(own=quick, others=fake.lengths) == rules.REPRODUCED
    assert of(own=fake.lengths, others=fake.descent) == rules.NOT_REPRODUCED  # ahead at small steps only
    assert of(own=still, others=fake.descent) == rules.NOT_REPRODUCED
    assert of(own=lagging, others=quick) == rules.NOT_TESTABLE  # its best step is the largest one searched
    assert of(own=quick, others=lagging) == rules.NOT_TESTABLE  # and where the others' are, they may catch up
    assert of(own=quick, others=crawling) == rules.REPRODUCED  # unless what they last gained is far too little
    assert of(methods=("unibio",)) == rules.NOT_RUN


def test_a_lower_range_that_ends_too_early_leaves_a_lead_open():
    """A rival whose best lower step is the largest searched, where each one gains as much as is missing."""

    def of(gain):
        found = fake.study(own=fake.lengths, others=lagging, methods=("unibio",))
        for p in fake.EXPONENTS:
            rival = fake.record(p, "soba", fake.lengths, seeds=1, points=40)
            place = np.searchsorted(fake.LOWER, rival.history["lower_step"] * 0.999)
            rival.history["hypergradient_norm_mean"] += 0.1 + gain * (len(fake.LOWER) - 1 - place)
            found.append(rival)
        return judge(BY_ID["e1-first-of-all"], study(e1=found))[0]

    near = of(0.5)
    assert near.verdict == rules.NOT_TESTABLE
    assert "SOBA, p = 2: lower step (high)" in near.explanation
    assert of(0.05).verdict == rules.REPRODUCED  # less than the 0.1 that is missing


@pytest.mark.parametrize(("seed", "kind"), [(0, "edge"), (1, "alike")])
def test_an_end_counts_only_where_every_choosing_seed_is_better_there(seed, kind):
    """At the largest lower step all seeds but one, or all, are better; ``seed`` 0 is a choosing, 2 a judging one."""
    made = fake.record(2, "soba", seeds=6, noise=1.0)
    history = made.history
    at_end = np.isclose(history["lower_step"], max(fake.LOWER))
    history.loc[at_end, "hypergradient_norm_mean"] *= 0.8
    history.loc[at_end & (history["seed"] == (4 if seed == 0 else 1)), "hypergradient_norm_mean"] *= 1.4
    one = e1.search_of(made)
    axis = one.axes()["lower_step"]
    assert (axis.kind, axis.where) == (kind, "high")
    assert list(one.edges()) == (["upper_step", "lower_step"] if kind == "edge" else ["upper_step"])
    assert e1.summary([one])["lower range"].item() == axis.describe()


def test_judging_seeds_take_no_part_in_what_counts_as_solved():
    made = fake.record(2, "soba", seeds=4, noise=1.0)
    late_seeds = made.history["seed"] >= 2
    made.history.loc[late_seeds, "lower_error"] = 1.0
    one = e1.search_of(made)
    assert not one.solved.any()
    assert one.eligible[-1].all()
    assert one.best(solved=True) == one.best()


def test_at_a_cap_the_upper_range_is_no_fault():
    assert verdict("e1-small-steps", e1=fake.study(own=fake.lengths, others=fake.descent)) == rules.REPRODUCED
    assert verdict("e1-small-steps", e1=fake.study(own=still, others=fake.descent)) == rules.NOT_REPRODUCED
    assert fake_search("soba").edges(cap=e1.SMALL_CAP) == {}
    assert list(fake_search("soba").edges()) == ["upper_step"]


def fake_search(name):
    return e1.search_of(fake.record(2, name, seeds=1, points=30))


@pytest.mark.slow
def test_who_shares_the_lead_is_said():
    found = fake.study(own=fake.lengths, others=fake.descent)
    found += [fake.record(p, "bo_rep", fake.lengths, seeds=1, points=40) for p in fake.EXPONENTS]
    outcome, _ = judge(BY_ID["e1-small-steps"], study(e1=found))
    assert outcome.verdict == rules.REPRODUCED
    assert "together with it: BO-REP" in outcome.explanation
    three = dict.fromkeys(BY_ID["e1-small-steps-estimator"].experiments, found)
    assert verdict("e1-small-steps-estimator", **three) == rules.NOT_REPRODUCED
    slow = [one for one in found if one.config["algorithm"]["name"] != "bo_rep"]
    nowhere = [fake.record(p, "bo_rep", still, seeds=1, points=40) for p in fake.EXPONENTS]
    assert verdict("e1-small-steps-estimator", **dict.fromkeys(three, slow + nowhere)) == rules.NOT_TESTABLE
    slow += [fake.record(p, "bo_rep", fake.descent, seeds=1, points=40) for p in fake.EXPONENTS]
    assert verdict("e1-small-steps-estimator", **dict.fromkeys(three, slow)) == rules.REPRODUCED
    missing = fake.study(own=fake.lengths, others=fake.descent)
    assert verdict("e1-small-steps-estimator", **dict.fromkeys(three, missing)) == rules.NOT_RUN


def test_equal_calls():
    """A method that makes k times as many calls is judged on the first k-th of its iterations."""
    cheap = fake.record(2, "soba", fake.descent, seeds=1, points=400)
    dear = fake.record(2, "unibio", fake.descent, seeds=1, points=400)
    for one, each in ((cheap, 4), (dear, 40)):
        one.history["oracle_calls"] = each * one.history["iteration"]
    found = e1_calls.searches_by_calls(study(e1=[cheap, dear]), "e1")
    assert [one.method for one in found] == ["unibio", "soba"]
    assert set(e1_calls.budgets(found).values()) == {1600.0}
    own, other = (one.search.criterion for one in found)
    np.testing.assert_allclose(other, e1.search_of(cheap).search.criterion)
    first_iterates = fake.descent(fake.UPPER[2], np.arange(40))
    np.testing.assert_allclose(own[2], np.abs(np.cos(first_iterates) * np.cos(np.sin(first_iterates))).mean())
    ranks = e1.ranking(found, [math.inf]).set_index("method")["rank"]
    assert (ranks["soba"], ranks["unibio"]) == (1, 2)


def test_between_logged_iterations_the_sum_is_interpolated():
    made = fake.record(2, "soba", lambda step, t: np.zeros(len(t)), seeds=1, points=4, steps=400)
    made.history["oracle_calls"] = 4 * made.history["iteration"]
    np.testing.assert_allclose(e1_calls.average_at(made, 4 * 37), 1.0)  # |∇φ| = 1 all along
    assert e1_calls.average_at(made, 10**9) == pytest.approx(1.0)
    made.runs.loc[0, "status"] = "diverged"
    assert e1_calls.average_at(made, 4 * 37)[0] == math.inf


@pytest.mark.slow
def test_first_among_pairs_that_solve_the_lower_level():
    """Others win with lower steps that leave y alone; where y must be solved they have slow pairs only."""

    def of(own, others, error=lambda cell: 0.0):
        found = fake.study(own=own, others=others)
        for p in fake.EXPONENTS:
            found.append(fake.record(p, "amigo", quick, seeds=1, points=40, lower_error=error))
        return study(e1=found)

    def lazy(cell):
        return 1.0

    ahead = of(quick, fake.lengths, lazy)
    assert judge(BY_ID["e1-first-solved"], ahead)[0].verdict == rules.REPRODUCED
    behind = of(fake.lengths, fake.descent)
    assert judge(BY_ID["e1-first-solved"], behind)[0].verdict != rules.REPRODUCED
    table = e1.summary(e1.searches(ahead, "e1")).set_index(["p", "method"])
    assert table.loc[(2, "amigo"), "rank"] == 1
    assert table.loc[(2, "amigo"), "criterion, y solved"] == math.inf
    assert table.loc[(2, "amigo"), "rank, y solved"] > 1


def test_a_method_that_never_solves_the_lower_level_is_not_first():
    found = fake.study(own=quick, others=fake.lengths)
    for one in found:
        if one.config["algorithm"]["name"] == "unibio":
            one.history["lower_error"] = 1.0
    outcome, _ = judge(BY_ID["e1-first-solved"], study(e1=found))
    assert outcome.verdict == rules.NOT_REPRODUCED
    assert set(outcome.numbers["criterion_over_best"].values()) == {None}


def test_the_paper_s_methods_are_all_needed():
    assert verdict("e1-first", e1=fake.study(methods=("unibio", "stocbio", "soba"))) == rules.NOT_RUN


def test_converges():
    assert verdict("e1-converges", e1=fake.study()) == rules.REPRODUCED
    assert verdict("e1-converges", e1=fake.study(own=still)) == rules.NOT_REPRODUCED
    assert verdict("e1-converges", e1=fake.study(methods=("soba",))) == rules.NOT_RUN


@pytest.mark.slow
def test_sensitivity():
    assert verdict("e1-sensitivity", e1=fake.study(own=quick, others=fake.descent)) == rules.REPRODUCED
    assert verdict("e1-sensitivity", e1=fake.study(own=still)) == rules.NOT_REPRODUCED
    assert verdict("e1-sensitivity", e1=fake.study(methods=("soba", "ttsa"))) == rules.NOT_RUN
    for name, noisy in (("noise", {"noise": 1.0, "upper_noise": 1.0}), ("noise_lower", {"noise": 1.0})):
        id_, given = f"e1-sensitivity-{name.replace('_', '-')}", f"e1_{name}"
        assert verdict(id_, **{given: fake.study(own=still, seeds=2, **noisy)}) == rules.NOT_REPRODUCED
        assert verdict(id_, **{given: fake.study(own=quick, seeds=2, **noisy)}) == rules.REPRODUCED


def test_records_of_the_other_reading_are_not_judged():
    """Those of before ``e1_noise`` had noise on the upper level: it has them until it is run again."""
    lower = fake.study(own=quick, seeds=2, noise=1.0)
    assert verdict("e1-sensitivity-noise", e1_noise=lower) == rules.NOT_RUN
    both = fake.study(own=quick, seeds=2, noise=1.0, upper_noise=1.0)
    assert verdict("e1-sensitivity-noise-lower", e1_noise_lower=both) == rules.NOT_RUN


def test_several_seeds_choose_and_judge_apart():
    """Whether noise or a random length makes them differ."""
    for noise in (0.0, 1.0):
        found = e1.search_of(fake.record(2, "ttsa", seeds=5, noise=noise)).search
        assert (found.split, found.choosing_seeds) == (True, 2)
    assert not e1.search_of(fake.record(2, "soba", seeds=1)).search.split


def test_a_lead_in_sensitivity_needs_a_margin():
    """One pair of 15 more than the other's 15 or 14, that is 7%, could be where the grid starts."""

    def of(failing):
        own = fake.study(own=quick, methods=("unibio",))
        other = [fake.record(p, "soba", quick, seeds=1, points=40, lower_error=failing) for p in fake.EXPONENTS]
        return verdict("e1-sensitivity", e1=own + other)

    one_pair = lambda cell: float(cell["upper_step"] == 1.0 and cell["lower_step"] == 1.0)  # noqa: E731
    assert of(one_pair) == rules.NOT_TESTABLE
    assert of(lambda cell: float(cell["lower_step"] == 1.0)) == rules.REPRODUCED
    assert of(lambda cell: 0.0) == rules.NOT_REPRODUCED


SUMS = {"stocbio": {"neumann_terms": 3}, "ttsa": {"neumann_terms": 3}, "soba": {}}


def crossings(troubled, error=lambda cell: 0.01):
    """Three methods, two of them with a truncated sum; ``troubled`` says which are held up at which p."""
    return [
        fake.record(
            p, m, fake.held_up if troubled(p, m) else fake.lengths, seeds=1, points=200, lower_error=error, **own
        )
        for p in fake.EXPONENTS
        for m, own in SUMS.items()
    ]


@pytest.mark.slow
def test_crossing():
    def of(troubled, **given):
        return BY_ID["e1-crossing"].rule(study(e1=crossings(troubled, **given)))

    every = of(lambda p, m: p > 2 and m in ("stocbio", "ttsa"))
    assert every.verdict == rules.REPRODUCED
    assert "held up of these: none" in every.explanation
    assert "Q = 3" in every.explanation
    assert of(lambda p, m: p > 4 and m in ("stocbio", "ttsa")).verdict == rules.NOT_REPRODUCED
    unibio = e1.search_of(fake.record(2, "unibio", seeds=1, points=20, neumann_terms=3))
    assert crossing.terms(unibio) is None  # its sum is not of the classical Hessian
    assert of(lambda p, m: p > 2 and m == "stocbio").verdict == rules.NOT_REPRODUCED
    assert of(lambda p, m: m in ("stocbio", "ttsa")).verdict == rules.NOT_TESTABLE  # at p = 2, too
    assert of(lambda p, m: False).verdict == rules.NOT_REPRODUCED
    exact = of(lambda p, m: m == "soba")
    assert exact.verdict == rules.NOT_REPRODUCED
    assert "held up of these: SOBA" in exact.explanation
    assert of(lambda p, m: True, error=lambda cell: 1.0).verdict == rules.NOT_RUN  # y follows nowhere
    assert verdict("e1-crossing", e1=fake.study(methods=("unibio",))) == rules.NOT_RUN


def test_pairs_at_which_y_does_not_follow_are_left_out():
    found = crossings(lambda p, m: True, error=lambda cell: 0.5 if cell["lower_step"] > 0.5 else 0.01)
    table = crossing.shares(e1.searches(study(e1=found), "e1")).set_index(["p", "method"])
    assert (table[["pairs", "y behind"]] == 2).all(axis=None)  # two upper and two lower steps in the window
    assert table["Q"].unstack().notna().all().to_dict() == {"soba": False, "stocbio": True, "ttsa": True}
    assert (table["slows"] == 1).all()
    assert table["pace"].between(0.01, crossing.SLOW).all()


def test_lower_level_solved():
    assert verdict("e1-lower-level-solved", e1=fake.study()) == rules.REPRODUCED
    assert verdict("e1-lower-level-solved", e1=fake.study(lower_error=lambda cell: 1.0)) == rules.NOT_REPRODUCED


# The report ----------------------------------------------------------------------------------------------------------


def test_the_paper_s_step_grows_with_the_root_of_the_dimension():
    table = e1.summary([e1.search_of(fake.record(4, "unibio", seeds=1, dimension=d)) for d in (1, 10, 100)])
    np.testing.assert_allclose(table["paper's step (× √d, ours)"], 0.03 * np.sqrt([1, 10, 100]))


def test_settings_come_from_the_records_by_p_where_they_differ():
    found = [
        e1.search_of(fake.record(p, "soba", seeds=1, neumann_terms=3, neumann_step=1 / (p - 1), upper_decay=0.0))
        for p in (2, 4)
    ]
    row = e1_caveats.settings(found).iloc[0]
    assert (row["method"], row["Q"], row["c"]) == ("SOBA", "3", "1 (p = 2), 0.333 (p = 4)")
    assert "decay" not in row["further"]
    decaying = [e1.search_of(fake.record(2, "soba", seeds=1, upper_decay=0.5))]
    assert "upper decay 0.5" in e1_caveats.settings(decaying).iloc[0]["further"]
    assert "5 upper steps 0.005 to 1 and 3 lower steps 0.01 to 1" in e1_caveats.searched(found)
    noisy = [e1.search_of(fake.record(2, "soba", seeds=4, noise=1.0))]
    assert "2 to choose the pair and 2 to judge it" in e1_caveats.searched(noisy)


@pytest.mark.slow
def test_caveats_say_what_the_records_say():
    found = fake.study(own=fake.lengths, others=fake.descent)
    found += [fake.record(p, "bo_rep", fake.lengths, seeds=1, points=40, lower_iterations=10) for p in fake.EXPONENTS]
    for one in found:
        if one.config["algorithm"]["name"] == "unibio":
            one.history["oracle_calls"] *= 10
    noisy = fake.study(own=fake.lengths, noise=1.0, upper_noise=1.0, seeds=4)
    said = " ".join(e1_caveats.caveats(study(e1=found, e1_noise=noisy), ["e1", "e1_noise"]))
    lead, tied = re.search(r"first or tied at (\d+) of .* at (\d+) of these BO-REP is", said).groups()
    assert 0 < int(lead) == int(tied)
    assert "10 steps by BO-REP" in said
    assert "n = 1 to 2 seeds" in said
    assert "2 choose the steps, and which pairs solve the lower level, and 2 judge" in said
    calls = e1_calls.ranks(study(e1=found), "e1")
    assert set(calls.loc[calls["method"] == "unibio", "rank, equal calls"]) == {6}
    assert "UniBiO's rank is 6 at its best" in said


@pytest.mark.slow
def test_the_section_shows_settings_once_where_they_are_the_same():
    everything = {
        "e1_noise": fake.study(noise=1.0, upper_noise=1.0, seeds=2, points=10),
        "e1_coordinatewise": fake.study(dimension=10, points=10),
    }
    text = markdown(report.blocks(study(**everything)))
    assert text.count("### Settings of Appendix E.1") == 1
    assert text.count("rank, equal calls, η ≤ 0.05") == 2
    for one in everything["e1_coordinatewise"]:
        one.config["algorithm"]["momentum"] = 0.5
    assert markdown(report.blocks(study(**everything))).count("### Settings of Appendix E.1") == 2


def test_curves_have_two_rows_of_panels_for_every_dimension():
    found = [
        fake.record(p, m, seeds=1, points=10, dimension=d)
        for p in (2, 4)
        for m in ("soba", "unibio")
        for d in (10, 100)
    ]
    drawn = figures.draw_curves(study(e1_coordinatewise=found), "e1_coordinatewise")
    panels = [axes for axes in drawn.figure.axes if axes.get_xlabel()]
    assert [axes.get_xlabel() for axes in panels] == 2 * (2 * ["iteration"] + 2 * ["oracle calls"])
    assert panels[4].get_title(loc="left") == "d = 100, p = 2"
    assert all(len(axes.lines) == 2 for axes in panels)
    table = drawn.tables["e1_coordinatewise_curves"]
    assert set(zip(table["d"], table["p"], strict=True)) == {(d, p) for d in (10, 100) for p in (2, 4)}
    assert {f"{name}_curves" for name in ("e1", "e1_noise", "e1_noise_lower", "e1_coordinatewise")} <= {
        drawing.name for drawing in figures.DRAWINGS
    }
