"""ℓ_p-regression: the choice of steps, and every rule on records that must give each of its verdicts."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from synthetic import study
from synthetic_lp import OTHERS, around, record, unibio, whole
from unibio.errors import InputError
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.common.document import markdown
from unibio.studies.lp_regression import rules as lp_claims
from unibio.studies.lp_regression import section as report_lp_regression
from unibio.studies.lp_regression import tuned as lp

BY_ID = {claim.id: claim for claim in CLAIMS}


def outcome(id, found):  # noqa: A002
    result, _ = judge(BY_ID[id], study(lp_regression=found))
    assert result.explanation
    return result


def verdict(id, found):  # noqa: A002
    return outcome(id, found).verdict


def everywhere(make):
    return [one for p in lp.EXPONENTS for one in make(p)]


# The choice of steps -------------------------------------------------------------------------------------------------


def test_steps_are_chosen_on_one_half_of_the_seeds_and_reported_on_the_other():
    """A cell that is lucky on a choosing seed only is chosen, and reported with what the other seeds say."""

    def lucky(upper, lower, seed):
        return 0.1 if (upper, lower) == (3.0, 1.0) and seed < 2 else 0.4 + 0.01 * seed

    one = lp.tune(record("soba", 2, lucky))
    assert one.steps == {"upper_step": 3.0, "lower_step": 1.0}
    assert one.search.split
    assert list(one.runs["seed"]) == [2, 3]
    assert one.search.chosen_by[one.at] == pytest.approx(0.1)
    assert one.middle() == pytest.approx(0.43)


def test_with_one_seed_the_same_seed_is_reported_and_said_so():
    one = lp.tune(record("soba", 2, seeds=1))
    assert not one.search.split
    assert list(one.runs["seed"]) == [0]


def test_a_pair_that_diverges_on_a_choosing_seed_is_not_chosen_unless_nothing_else_is_left():
    one = lp.tune(record("soba", 2, diverges=lambda u, lo, s: (u, lo) == (1.0, 0.1) and s == 0))
    assert one.steps != {"upper_step": 1.0, "lower_step": 0.1}
    assert one.diverged == 1
    none = lp.tune(record("soba", 2, diverges=lambda u, lo, s: True))
    assert none.at is None
    assert none.middle() == np.inf
    assert none.edges() == {}
    row = lp.summary([none]).iloc[0]
    assert row["diverged"] == row["runs"]
    assert np.isnan(row["cleaning_auc_low"])


def test_a_reported_run_that_diverges_counts_as_infinite():
    one = lp.tune(record("soba", 2, diverges=lambda u, lo, s: s >= 2))
    assert one.at is not None
    assert np.isinf(one.values).all()
    assert np.isnan(one.middle("test_accuracy"))
    assert np.isinf(lp.curve(one)["median"].iloc[-1])
    assert lp.lowest([one])[2] < 0.34


@pytest.mark.parametrize(
    ("best", "edges"),
    [
        ((1.0, 0.1), {}),
        ((0.1, 0.1), {"upper_step": "low"}),
        ((10.0, 1.0), {"upper_step": "high", "lower_step": "high"}),
        ((1.0, 0.01), {"lower_step": "low"}),
    ],
)
def test_edges_of_the_range(best, edges):
    one = lp.tune(record("soba", 2, around(0.3, best)))
    assert one.edges() == edges
    gain = 0.01 * np.log(10) if "lower_step" in edges else (0.012 if edges else 0)
    assert one.last_gain() == pytest.approx(gain, abs=2e-3)


def test_a_range_of_one_value_has_no_edge():
    assert lp.tune(record("soba", 2, lower_steps=(0.1,))).edges() == {}


def test_records_that_are_no_grid_are_refused():
    broken = record("soba", 2)
    broken.runs = broken.runs.iloc[:-1]
    with pytest.raises(InputError, match="every combination of steps for every seed"):
        lp.tune(broken)
    broken.runs = broken.runs.drop(columns="lower_step")
    with pytest.raises(InputError, match="axes upper_step, lower_step"):
        lp.tune(broken)


def test_runs_that_end_early_keep_their_value():
    """Random lengths of Neumann sums: the last iterations hold some of the runs only."""
    ragged = record("ttsa", 2)
    last = ragged.history["iteration"].max()
    ragged.history = ragged.history[(ragged.history["seed"] != 2) | (ragged.history["iteration"] < last)]
    curve = lp.curve(lp.tune(ragged))
    assert curve["iteration"].iloc[-1] == last
    assert np.isfinite(curve["max"]).all()
    assert (curve["max"].iloc[-1] - curve["min"].iloc[-1]) > 0


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 200), st.integers(5, 200), st.integers(0, 2**32 - 1))
def test_error_of_the_auc_against_the_formula_for_no_separation(right, wrong, seed):
    """At ½ the variance must be close to the exact (m + n + 1)/(12 m n); 0 where the samples are apart."""
    exact = np.sqrt((right + wrong + 1) / (12 * right * wrong))
    assert lp.auc_error(np.array([0.5]), right, wrong)[0] == pytest.approx(exact, rel=0.01)
    assert lp.auc_error(np.array([1.0]), right, wrong)[0] == 0


def test_order_of_methods_needs_two_seeds_each():
    low, high = lp.tune(record("soba", 2, 0.3)), lp.tune(record("saba", 2, 0.4))
    assert (lp.separated(low, high), lp.separated(high, low), lp.separated(low, low)) == (-1, 1, 0)
    alone = lp.tune(record("soba", 2, 0.3, seeds=1))
    assert lp.separated(alone, high) == 0


@pytest.mark.parametrize("seeds", [4, 6])
def test_false_alarm_of_the_order_counted_over_all_orders(seeds):
    """Of all ways to deal the ranks of n + n runs that are alike to two methods, those with all of one first."""
    one, other = (lp.tune(record(name, 2, 0.3, seeds=seeds)) for name in ("soba", "saba"))
    n = seeds // 2
    deals = list(itertools.combinations(range(2 * n), n))
    apart = sum(set(deal) in ({*range(n)}, {*range(n, 2 * n)}) for deal in deals)
    assert lp.false_alarm(one, other) == pytest.approx(apart / len(deals))
    assert lp.false_alarm(one, lp.tune(record("saba", 2, 0.3, seeds=1))) == 0


# Verdicts ------------------------------------------------------------------------------------------------------------


def field(own=0.33, other=0.32, p=4, **of_own):
    return [unibio(p, own, 100, **of_own), unibio(p, 0.36, 30), record("soba", p, other), record("ttsa", p, 0.35)]


def test_lowest_value():
    assert verdict("lp-lowest-p4", field(0.31)) == rules.REPRODUCED
    assert verdict("lp-lowest-p4", field(0.33)) == rules.NOT_REPRODUCED
    assert verdict("lp-lowest-p4", field(around(0.318, noise=1e-3))) == rules.NOT_TESTABLE  # seeds overlap
    assert verdict("lp-lowest-p4", field(0.33)[:2]) == rules.NOT_RUN  # no rival
    assert verdict("lp-lowest-p4", field(0.33)[2:]) == rules.NOT_RUN  # no UniBiO
    assert verdict("lp-lowest-p4", field(0.33, seeds=1)) == rules.NOT_TESTABLE


def test_lowest_value_is_judged_with_the_larger_inner_budget():
    """With the better of two budgets UniBiO would have had twice the configurations of the others."""
    found = [unibio(4, 0.31, 100), unibio(4, 0.36, 30), record("soba", 4, 0.32)]
    result = outcome("lp-lowest-p4", found)
    assert result.verdict == rules.REPRODUCED
    assert result.numbers["own"] == "UniBiO, K = 100"
    assert verdict("lp-lowest-p4", [unibio(4, 0.36, 100), unibio(4, 0.31, 30), *found[2:]]) == rules.NOT_REPRODUCED


def test_lowest_value_is_no_fair_comparison_where_one_was_searched_more():
    found = [unibio(4, 0.31, 100), record("soba", 4, 0.32, lower_steps=(0.01, 0.1, 1.0, 10.0))]
    result = outcome("lp-lowest-p4", found)
    assert result.verdict == rules.NOT_TESTABLE
    assert "different numbers of configurations" in result.explanation


def test_lowest_value_waits_for_a_range_that_may_be_too_narrow():
    """Behind by less than what the last step outwards gained, on either side."""
    close, edge = 0.325, (10.0, 0.1)
    own_at_edge = field(around(close, edge))
    assert verdict("lp-lowest-p4", own_at_edge) == rules.NOT_TESTABLE
    assert "widened" in outcome("lp-lowest-p4", own_at_edge).explanation
    assert verdict("lp-lowest-p4", field(around(0.345, edge))) == rules.NOT_REPRODUCED
    assert verdict("lp-lowest-p4", field(0.315, around(0.32, edge))) == rules.NOT_TESTABLE
    assert verdict("lp-lowest-p4", field(0.30, around(0.32, edge))) == rules.REPRODUCED


def test_a_method_with_more_data_points_is_not_the_rival():
    """It is named with its φ, and the statement leaves it out; without its data points it decides."""
    result = outcome("lp-lowest-p4", [*field(0.31), record("vrbo", 4, 0.2)])
    assert result.verdict == rules.REPRODUCED
    assert "0 of 2 other methods that draw as many data points end lower" in result.explanation
    assert "not judged: VRBO, φ 0.2003, which draws 2 times the data points" in result.explanation
    assert "as two methods that are alike are in 33% of cases" in result.explanation
    assert "of all methods that draw as many data points" in BY_ID["lp-lowest-p4"].statement
    assert verdict("lp-lowest-p4", [*field(0.31), record("bsa", 4, 0.2)]) == rules.NOT_REPRODUCED


@pytest.mark.slow
def test_separates():
    assert verdict("lp-separates", whole()["lp_regression"]()) == rules.REPRODUCED
    assert verdict("lp-separates", everywhere(lambda p: [record("soba", p, auc=0.52)])) == rules.NOT_REPRODUCED
    one_bad = everywhere(lambda p: [record("soba", p), record("saba", p, auc=0.51 if p == 6 else 0.9)])
    assert "SABA, p = 6" in outcome("lp-separates", one_bad).explanation
    close = everywhere(lambda p: [record("soba", p, auc=0.57), record("saba", p)])
    assert all(lp.tune(one).auc_interval()[0] > 0.5 for one in close)  # each alone, not all together
    assert verdict("lp-separates", close) == rules.NOT_REPRODUCED
    gone = everywhere(lambda p: [record("soba", p, diverges=lambda u, lo, s: True)])
    assert verdict("lp-separates", gone) == rules.NOT_TESTABLE


@pytest.mark.parametrize("n", [1, 55, 78])
@pytest.mark.parametrize("chance", [0.005, 0.055, 0.5])
def test_quantile_against_scipy(n, chance):
    assert lp_claims._quantile(0.99, n, chance) == binom.ppf(0.99, n, chance)


def ranked(p, names):
    return [record(name, p, 0.3 + 0.01 * k) for k, name in enumerate(names)]


@pytest.mark.slow
def test_ranking_changes():
    same = everywhere(lambda p: ranked(p, OTHERS))
    turned = everywhere(lambda p: ranked(p, OTHERS[::-1] if p == 6 else OTHERS))
    alike = everywhere(lambda p: [record(name, p, 0.3) for name in OTHERS])
    assert verdict("lp-ranking-changes", turned) == rules.REPRODUCED
    assert verdict("lp-ranking-changes", same) == rules.NOT_REPRODUCED
    assert verdict("lp-ranking-changes", alike) == rules.NOT_TESTABLE
    few = everywhere(lambda p: [record(name, p, 0.3 if k else 0.4) for k, name in enumerate(OTHERS)])
    assert verdict("lp-ranking-changes", few) == rules.NOT_TESTABLE
    assert verdict("lp-ranking-changes", whole("smoke")["lp_regression"]()) == rules.NOT_TESTABLE


def test_better_classifier():
    def pair(best, other):
        return everywhere(lambda p: [record("soba", p, 0.3, accuracy=best), record("saba", p, 0.4, accuracy=other)])

    assert verdict("lp-better-classifier", pair(0.92, 0.8)) == rules.REPRODUCED
    assert verdict("lp-better-classifier", pair(0.8, 0.92)) == rules.NOT_REPRODUCED
    assert verdict("lp-better-classifier", pair(0.88, 0.87)) == rules.NOT_TESTABLE
    assert verdict("lp-better-classifier", everywhere(lambda p: [record("soba", p)])) == rules.NOT_RUN


def test_less_inner_work():
    def pair(many, few, **settings):
        return everywhere(lambda p: [unibio(p, many, 100, **settings), unibio(p, few, 30, **settings)])

    assert verdict("lp-less-inner-work", pair(0.35, 0.33)) == rules.REPRODUCED
    assert verdict("lp-less-inner-work", pair(0.33, 0.35)) == rules.NOT_REPRODUCED
    against = outcome("lp-less-inner-work", pair(0.33, 0.35)).numbers["false_alarm_against"]
    assert against == pytest.approx(1 - (1 - 1 / 6) ** len(lp.EXPONENTS))  # two seeds each: 1 of 6 either way
    assert verdict("lp-less-inner-work", pair(0.33, 0.33)) == rules.NOT_TESTABLE
    assert verdict("lp-less-inner-work", pair(0.35, 0.33, seeds=1)) == rules.NOT_TESTABLE
    assert verdict("lp-less-inner-work", everywhere(lambda p: [unibio(p, 0.3)])) == rules.NOT_RUN


# The report's section ------------------------------------------------------------------------------------------------


def section(found):
    return markdown(report_lp_regression.blocks(study(lp_regression=found)))


@pytest.mark.slow
def test_section_of_the_report():
    text = section(whole()["lp_regression"]())
    assert text.count("| UniBiO, K = 30 |") == text.count("| UniBiO, K = 100 |") == len(lp.EXPONENTS)
    assert "VRBO draws 100 data points a call" in text
    assert "No chosen step is at an end" in text
    assert "the other half" in text
    assert "upper-level iterations" in text
    assert "Why the seeds are split" in text
    assert "pass for different in 33% of cases (2 seeds each)" in text
    edge = section(everywhere(lambda p: [record("soba", p, around(0.3, (10.0, 0.1)))]))
    assert "↑" in edge
    assert "SOBA (p = 6: upper step at the high end)" in edge
    gone = section(everywhere(lambda p: [record("soba", p, diverges=lambda u, lo, s: True), record("saba", p)]))
    assert "| diverged |" in gone
    assert "there is only one" in section(whole("smoke")["lp_regression"]())


def test_differences_that_are_rounding_are_shown_as_0():
    """Every seed ends at the same φ, up to rounding."""
    flat = everywhere(lambda p: [record("soba", p, lambda u, lo, s: 0.3 + (0 if (u, lo) == (1.0, 0.1) else 0.1))])
    for one in flat:
        rounding = 1 + 1e-12 * (one.history["seed"] >= 2)
        one.history["value"] = one.history["value"] * rounding
    text = section(flat)
    assert re.search(r"in the median by 0\.$", text, re.M)
