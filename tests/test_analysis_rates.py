"""Power-law fits: exact on power laws, honest about spread, independent of where a curve is logged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unibio.analysis.rates import bound_exponent, fit_power_law, fit_sweep, slopes_by_start, slopes_by_window
from unibio.errors import InputError

T = np.unique(np.geomspace(1, 5000, 200).round())


@given(slope=st.floats(-2, 1), constant=st.floats(1e-3, 1e3), low=st.floats(1, 100))
def test_power_laws_are_recovered(slope, constant, low):
    fit = fit_power_law(T, np.tile(constant * T**slope, (4, 1)), low, 5000)
    assert fit.slope == pytest.approx(slope, abs=1e-9)
    assert fit.constant == pytest.approx(constant, rel=1e-8)
    assert fit.error == pytest.approx(0, abs=1e-9)
    assert fit.interval == pytest.approx((slope, slope), abs=1e-9)
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


def test_bootstrap_interval_covers_and_shrinks():
    rng = np.random.default_rng(1)
    truth, covered, widths = -0.5, 0, []
    for _ in range(200):
        values = T**truth * np.exp(0.5 * np.log(T / T[-1]) * rng.normal(size=(40, 1)) * 0.2)  # slopes differ by seed
        low, high = fit_power_law(T, values).interval
        covered += low <= np.log(np.mean(values[:, 0]) / np.mean(values[:, -1])) / np.log(T[0] / T[-1]) <= high
        widths.append(high - low)
    assert covered == 200  # the sample's own slope lies inside
    few = fit_power_law(T, T**truth * np.exp(0.1 * np.log(T / T[-1]) * rng.normal(size=(5, 1)))).interval
    assert few[1] - few[0] > 1.5 * np.median(widths)


def test_interval_has_the_stated_coverage():
    rng = np.random.default_rng(2)
    t = np.geomspace(1, 1000, 30)
    inside = 0
    for _ in range(300):
        fit = fit_power_law(t, t**-0.4 * (1 + 0.3 * rng.normal(size=(50, 30)).clip(-2.5, 2.5)))
        inside += fit.interval[0] <= -0.4 <= fit.interval[1]
    assert 0.88 < inside / 300 < 0.99  # 95 %, less the bootstrap's bias at 50 seeds


def test_standard_error_is_that_of_least_squares():
    rng = np.random.default_rng(3)
    t = np.geomspace(1, 1000, 80)  # equal weights but for the ends
    noisy = t**-0.3 * np.exp(0.05 * rng.normal(size=80))
    expected = np.sqrt(np.polyfit(np.log(t), np.log(noisy), 1, cov=True)[1][0, 0])
    assert fit_power_law(t, noisy).error == pytest.approx(expected, rel=0.05)


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


def test_bound():
    assert [bound_exponent(p) for p in (2, 4, 6, 8)] == [-1 / 4, -1 / 10, -1 / 16, -1 / 22]
