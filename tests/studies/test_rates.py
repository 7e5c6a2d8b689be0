"""Power-law fits: exact on power laws, honest about spread, independent of where a curve is logged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from unibio.errors import InputError
from unibio.studies.common.rates import (
    COLUMNS,
    Fit,
    against_bound,
    bound_exponent,
    fit_power_law,
    fit_sweep,
    slopes_by_range,
    slopes_by_start,
    slopes_by_window,
)

T = np.unique(np.geomspace(1, 5000, 200).round())


@given(slope=st.floats(-2, 1), constant=st.floats(1e-3, 1e3), low=st.floats(1, 100))
def test_power_laws_are_recovered(slope, constant, low):
    fit = fit_power_law(T, np.tile(constant * T**slope, (4, 1)), low, 5000)
    assert fit.slope == pytest.approx(slope, abs=1e-9)
    assert fit.constant == pytest.approx(constant, rel=1e-8)
    assert fit.of_mean == pytest.approx(slope, abs=1e-9)
    assert (fit.interval, fit.seeds) == (None, 1)
    np.testing.assert_allclose(fit(T), constant * T**slope, rtol=1e-7)


def test_iteration_zero_is_left_out():
    assert fit_power_law(np.arange(50), 3.0 * np.maximum(np.arange(50), 7) ** 0.0).low == 1


def test_fit_does_not_depend_on_where_the_curve_is_logged():
    def curve(t):
        return 1 / t + 0.02  # no power law, so that weights matter

    dense = np.arange(10, 5001, dtype=float)
    sparse = np.geomspace(10, 5000, 60)
    assert fit_power_law(dense, curve(dense)).slope == pytest.approx(
        fit_power_law(sparse, curve(sparse)).slope, abs=0.01
    )
    assert abs(np.polyfit(np.log(dense), np.log(curve(dense)), 1)[0] - fit_power_law(sparse, curve(sparse)).slope) > 0.1


def along_the_curve(rng, seeds, correlation):
    """Errors that are an AR(1) process along each curve, stationary."""
    errors = rng.normal(size=(seeds, len(LOGGED)))
    for i in range(1, len(LOGGED)):
        errors[:, i] = correlation * errors[:, i - 1] + np.sqrt(1 - correlation**2) * errors[:, i]
    return 0.2 * errors


def by_seed(rng, seeds, spread):
    """A slope of its own for every seed."""
    return spread * rng.normal(size=(seeds, 1)) * np.log(LOGGED)


LOGGED = np.geomspace(1, 1000, 30)
KINDS = {
    "errors along the curve": lambda rng, seeds: along_the_curve(rng, seeds, 0.9),
    "nearly a random walk": lambda rng, seeds: along_the_curve(rng, seeds, 0.99),
    "slopes by seed": lambda rng, seeds: by_seed(rng, seeds, 0.1),
    "both": lambda rng, seeds: along_the_curve(rng, seeds, 0.7) + by_seed(rng, seeds, 0.03),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "seeds", [5, pytest.param(10, marks=pytest.mark.slow), pytest.param(30, marks=pytest.mark.slow)]
)
def test_interval_has_the_stated_coverage(kind, seeds):
    """95% by the docstring; what 1000 simulations see of it has a standard deviation of 0.7%."""
    rng, inside, count = np.random.default_rng([seeds, len(kind)]), 0, 1000
    for _ in range(count):
        low, high = fit_power_law(LOGGED, np.exp(-0.4 * np.log(LOGGED) + KINDS[kind](rng, seeds))).interval
        inside += low <= -0.4 <= high
    assert 0.93 <= inside / count <= 0.97


def test_what_the_method_replaced_covers_too_little():
    """The same simulation tells the percentile bootstrap of five seeds from an interval: the test above can fail."""
    rng, inside, count = np.random.default_rng(4), 0, 300
    for _ in range(count):
        slopes = -0.4 + 0.1 * rng.normal(size=5)
        low, high = np.quantile(slopes[rng.integers(5, size=(500, 5))].mean(axis=1), [0.025, 0.975])
        inside += low <= -0.4 <= high
    assert inside / count < 0.9


def test_slope_and_interval_are_those_of_the_seeds_own_fits():
    values = np.exp(-0.4 * np.log(LOGGED) + KINDS["both"](np.random.default_rng(0), 6))
    fit, own = fit_power_law(LOGGED, values), [fit_power_law(LOGGED, one).slope for one in values]
    assert fit.slope == pytest.approx(np.mean(own))
    expected = scipy.stats.t.interval(0.95, 5, loc=np.mean(own), scale=scipy.stats.sem(own))
    assert fit.interval == pytest.approx(expected)
    assert fit.seeds == 6


def test_seeds_that_are_equal_to_the_bit_are_one_seed():
    values = np.exp(-0.4 * np.log(LOGGED) + KINDS["both"](np.random.default_rng(0), 3))
    once, thrice = fit_power_law(LOGGED, values), fit_power_law(LOGGED, np.repeat(values, 3, axis=0))
    assert once == thrice
    assert once.seeds == 3


def test_a_single_run_has_no_interval_and_says_so():
    """Whether it is alone, or the others are the same run again."""
    for copies in (1, 4):
        fit = fit_power_law(LOGGED, np.tile(LOGGED**-0.4 * (1 + 0.1 * np.sin(LOGGED)), (copies, 1)))
        assert (fit.interval, fit.seeds) == (None, 1)
        assert fit.said().endswith("(no interval: a single run)")
        (row,) = slopes_by_range(LOGGED, np.tile(LOGGED**-0.4, (copies, 1)), [(1, 1000)]).to_dict("records")
        assert np.isnan(row["interval_low"])
        assert row["seeds"] == 1


def test_seeds_that_part_late_have_no_interval_before():
    values = np.stack([np.where(LOGGED > 500, LOGGED**-power, LOGGED**-0.4) for power in (0.3, 0.5)])
    early = fit_power_law(LOGGED, values, high=400)
    assert (early.interval, early.seeds) == (None, 2)
    assert "the same for all 2 seeds" in early.said()
    assert fit_power_law(LOGGED, values).interval is not None


def test_nothing_is_called_a_standard_error():
    """Of least squares it would be a tenth of the truth for a running average."""
    assert not {"error", "standard_error", "stderr"} & {*Fit.__dataclass_fields__, *COLUMNS}


def test_a_mean_that_few_seeds_make_up_is_seen():
    """All seeds but one fall like t^−1, one stays: the geometric mean falls, the arithmetic one does not."""
    values = np.concatenate([np.tile(LOGGED**-1.0, (29, 1)) * np.linspace(1, 1.01, 29)[:, None], [LOGGED**0]])
    fit = fit_power_law(LOGGED, values)
    assert fit.slope < -0.9
    assert fit.of_mean > -0.7


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(-0.5, -0.6, -0.4, -0.5)], -1),
        ([(-0.5, -0.6, -0.2, -0.5)], 0),  # the interval reaches above the bound
        ([(-0.5, -0.6, -0.4, -0.1)], 0),  # and so does the slope of the mean
        ([(-0.1, -0.2, 0.0, -0.1)], 1),
        ([(-0.1, -0.2, 0.0, -0.4)], 0),
        ([(-0.5, np.nan, np.nan, -0.5)], -1),  # a deterministic run
        ([(-0.1, np.nan, np.nan, -0.1)], 1),
        ([(-0.5, -0.6, -0.4, -0.5), (-0.1, -0.2, 0.0, -0.1)], 0),  # the range decides
    ],
)
def test_slopes_against_a_bound(rows, expected):
    table = pd.DataFrame([(1.0, 10.0, *row, 5) for row in rows], columns=COLUMNS)
    assert against_bound(table, -0.25) == expected


def test_no_slopes_are_on_no_side_of_a_bound():
    with pytest.raises(InputError, match="no fit"):
        against_bound(pd.DataFrame(columns=COLUMNS), -0.25)


@pytest.mark.parametrize("seeds", [5, 10, 30])
@pytest.mark.slow
def test_more_noise_does_not_make_a_slope_below_the_bound_more_likely(seeds):
    """A slope on the bound is called below it in at most one of 40 cases, whatever the noise."""
    rng, below = np.random.default_rng(seeds), dict.fromkeys((0.01, 0.1, 1.0), 0)
    for noise in below:
        for _ in range(300):
            values = np.exp(-0.25 * np.log(LOGGED) + by_seed(rng, seeds, noise))
            below[noise] += against_bound(slopes_by_range(LOGGED, values, [(1, 1000)]), -0.25) == -1
    assert max(below.values()) <= 0.05 * 300


@pytest.mark.parametrize(
    ("values", "low", "message"),
    [
        (T**-0.5, 4000, "positive finite|at least 3"),
        (T**-0.5, 1e9, "has 0"),
        (0 * T, 1, "positive"),
        (T * np.inf, 1, "finite"),
    ],
)
def test_impossible_fits_say_why(values, low, message):
    with pytest.raises(InputError, match=message):
        fit_power_law(T, values, low, low * 1.01 if low > 1 else None)


def test_slopes_see_a_change_of_regime():
    values = np.where(T < 100, 1.0, (T / 100.0) ** -1)[None]
    windows = slopes_by_window(T, values)
    assert windows["slope"].iloc[0] == pytest.approx(0, abs=1e-6)
    assert windows["slope"].iloc[-1] == pytest.approx(-1, abs=1e-6)
    ends = slopes_by_start(T, values)
    assert ends["high"].unique() == pytest.approx([5000])
    assert (np.diff(ends["slope"]) < 1e-9).all()
    assert ends["low"].iloc[-1] == pytest.approx(5000 / 10**0.5)


def test_curves_too_short_for_a_window_give_none():
    assert slopes_by_window(np.arange(6.0), np.ones((2, 6))).empty
    assert slopes_by_start(np.array([0.0]), np.ones((1, 1))).empty


def test_sweep_over_horizons():
    rng = np.random.default_rng(0)
    horizons = [100.0, 316.0, 1000.0, 3162.0]
    fit = fit_sweep(horizons, [h**-0.25 * (1 + 0.01 * rng.normal(size=50)) for h in horizons])
    assert fit.slope == pytest.approx(-0.25, abs=0.005)
    assert fit.interval[0] < -0.25 < fit.interval[1]
    with pytest.raises(InputError, match="at least 3 horizons"):
        fit_sweep(horizons[:2], [np.ones(3)] * 2)
    with pytest.raises(InputError, match="same seeds"):
        fit_sweep(horizons, [np.ones(3), np.ones(3), np.ones(2), np.ones(3)])


def test_bound():
    assert [bound_exponent(p) for p in (2, 4, 6, 8)] == [-1 / 4, -1 / 10, -1 / 16, -1 / 22]
