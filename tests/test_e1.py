"""Appendix E.1's analysis: choosing, ranking, splitting seeds, the crossing, and every verdict of every rule."""

from __future__ import annotations

import math

import numpy as np
import pytest

import synthetic_e1 as fake
from synthetic import study
from unibio.analysis import claims as rules
from unibio.analysis import crossing, e1
from unibio.analysis.statements import CLAIMS, judge
from unibio.errors import InputError

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(id, **given):  # noqa: A002
    outcome, _ = judge(BY_ID[id], study(**given))
    assert outcome.explanation
    return outcome.verdict


def still(step, t):
    """Stays where |∇φ| is largest."""
    return np.zeros(len(t))


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
    assert one.chosen_by[at] == pytest.approx(1e-6)
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


@pytest.mark.parametrize("id", ["e1-first", "e1-first-noise"])
def test_first(id):  # noqa: A002
    name = BY_ID[id].experiments[0]
    settings = {"noise": 1.0, "seeds": 2} if "noise" in name else {}

    def of(**given):
        return verdict(id, **{name: fake.study(**settings, **given)})

    assert of(own=quick, others=fake.lengths) == rules.REPRODUCED
    assert of(own=fake.lengths, others=fake.descent) == rules.CONFOUNDED  # ahead at small steps only
    assert of(own=still, others=fake.descent) == rules.NOT_REPRODUCED
    lagging = lambda step, t: fake.descent(step / 10, t)  # noqa: E731
    assert of(own=lagging, others=quick) == rules.NOT_TESTABLE  # its best step is the largest one searched
    assert of(methods=("unibio",)) == rules.NOT_RUN


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


def test_sensitivity():
    assert verdict("e1-sensitivity", e1=fake.study(own=quick, others=fake.descent)) == rules.REPRODUCED
    assert verdict("e1-sensitivity", e1=fake.study(own=still)) == rules.NOT_REPRODUCED
    assert verdict("e1-sensitivity", e1=fake.study(methods=("soba", "ttsa"))) == rules.NOT_RUN


def test_crossing():
    def of(troubled):
        found = [
            fake.record(p, m, fake.held_up if troubled(p, m) else fake.lengths, seeds=1, points=200)
            for p in fake.EXPONENTS
            for m in ("unibio", "stocbio", "soba")
        ]
        return verdict("e1-crossing", e1=found)

    assert of(lambda p, m: p > 2 and m != "unibio") == rules.REPRODUCED
    assert of(lambda p, m: p > 4 and m == "stocbio") == rules.CONFOUNDED
    assert of(lambda p, m: False) == rules.NOT_REPRODUCED
    assert verdict("e1-crossing", e1=fake.study(methods=("unibio",))) == rules.NOT_RUN


def test_lower_level_solved():
    assert verdict("e1-lower-level-solved", e1=fake.study()) == rules.REPRODUCED
    assert verdict("e1-lower-level-solved", e1=fake.study(lower_error=lambda cell: 1.0)) == rules.NOT_REPRODUCED
