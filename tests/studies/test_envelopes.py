"""Tuned complexities: envelopes over searched settings, and the intervals of their exponents."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthetic_complexity import made
from unibio.errors import InputError
from unibio.studies.common.envelopes import LEVEL, Family, Power, costs, family


def ladder(exponent: float, settings: int = 8, seeds: int = 8, noise: float = 0.05, seed: int = 0) -> Family:
    """Settings that each level off, the lower the later, so that the least of them is cost^(−1/exponent)."""
    rng, cost = np.random.default_rng(seed), costs(1e3, 1e5)
    floors = np.geomspace(1e2, 1e6, settings) ** (-1 / exponent)
    rows = np.stack([np.maximum(floor, floor ** (1 - exponent) / cost) for floor in floors])
    factors = np.exp(noise * rng.standard_normal((settings, seeds, 1)))
    return Family(pd.DataFrame({"floor": floors}), cost, rows[:, None, :] * factors, seeds // 2)


@pytest.mark.parametrize("exponent", [2.0, 4.0, 7.0])
def test_the_exponent_of_the_least_over_all_settings(exponent):
    found = ladder(exponent, settings=40, noise=0.01)
    assert found.power.exponent == pytest.approx(exponent, rel=0.05)
    low, high = found.power.interval
    assert low < found.power.exponent < high


def test_settings_are_chosen_by_some_seeds_and_judged_by_the_others():
    cost = costs(10, 1000)
    values = np.ones((2, 4, len(cost)))
    values[0, :2] = 0.5  # lucky with those that choose, and bad with the others
    values[0, 2:] = 3.0
    one = Family(pd.DataFrame({"name": ["lucky", "steady"]}), cost, values, 2)
    assert one.at(500)["name"] == "lucky"
    np.testing.assert_allclose(one.envelope, 3.0)
    assert one.split
    alone = Family(one.settings, cost, values[:, :1], 1)
    assert not alone.split
    np.testing.assert_allclose(alone.envelope, 0.5)
    assert not alone.power.known, "one seed has no interval"


def test_the_interval_covers_the_exponent_of_seeds_that_differ():
    """A slope known but for the noise of its seeds: missed by no more of 40 than the binomial law has in 1 of 1000."""
    rng, cost, covered = np.random.default_rng(1), costs(1e3, 1e5), 0
    for _ in range(40):
        slopes = -0.25 + 0.02 * rng.standard_normal((1, 12, 1))
        values = cost ** np.broadcast_to(slopes, (1, 12, len(cost)))
        found = Family(pd.DataFrame({"one": [0]}), cost, values, 6).power
        covered += found.low <= -0.25 <= found.high
    assert covered >= 28  # percentile intervals of six seeds cover 0.88; P(≤ 27 of 40) < 0.001
    assert LEVEL == 0.95


@given(slope=st.floats(-2, -0.01))
def test_exponent_and_slope_say_the_same(slope):
    assert Power(slope, slope, slope).exponent == pytest.approx(-1 / slope)


def test_what_does_not_fall_has_no_exponent():
    assert Power(0.1, 0.0, 0.2).exponent == math.inf
    assert Power(-1e-15, -1e-15, -1e-15).exponent == math.inf
    assert not Power(math.nan, math.nan, math.nan).known


def record(budget=1000, calls=2.0, law=lambda cell, seed, t: t**-0.5):
    return made({"name": "hoelder", "exponent": 4}, {"name": "unibio", "period": 3}, {"upper_step": [0.1, 0.2]}, law,
                steps=int(budget / calls), calls=calls, seeds=2)  # fmt: skip


def test_costs_are_read_between_logged_rows_and_not_beyond_them():
    one = family([record()], [100.0, 1000.0, 2000.0])
    np.testing.assert_allclose(one.values[:, :, 0], 50**-0.5, rtol=1e-3)
    np.testing.assert_allclose(one.values[:, :, 1], 500**-0.5, rtol=1e-12)
    assert np.isinf(one.values[:, :, 2]).all()
    assert list(one.settings["period"]) == [3, 3]
    by_iterations = family([record()], [100.0], iterations=True)
    np.testing.assert_allclose(by_iterations.values, 100**-0.5, rtol=1e-3)


def test_runs_of_one_job_may_spend_differently():
    """Random lengths: the third of the runs pays one and a half times as much for the same."""
    one = record(law=lambda cell, seed, t: t**-0.5)
    one.history["oracle_calls"] = one.history["oracle_calls"].where(
        one.history["seed"] == 0, 1.5 * one.history["oracle_calls"]
    )
    found = family([one], [100.0, 1000.0]).values[0]
    np.testing.assert_allclose(found[0], [50**-0.5, 500**-0.5], rtol=2e-2)
    np.testing.assert_allclose(found[1], [33.3**-0.5, 333**-0.5], rtol=2e-2)


def test_a_diverged_run_is_never_chosen():
    bad = record()
    bad.runs.loc[bad.runs["upper_step"] == 0.1, "status"] = "diverged"
    bad.history.loc[(bad.history["upper_step"] == 0.1) & (bad.history["iteration"] > 10), "hypergradient_norm_mean"] = (
        math.inf
    )
    assert family([bad], [500.0]).at(500.0)["upper_step"] == 0.2


def test_nothing_to_choose_among_is_an_error():
    with pytest.raises(InputError, match="no runs"):
        family([record()], [10.0], kept=lambda cell: False)
