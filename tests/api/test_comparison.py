"""``compare``: the same starts, seeds and budget for everyone, fair tuning, and what it says when it cannot work."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import matplotlib
import numpy as np
import pytest
import torch
from torch import Tensor

from unibio import Algorithm, Coordinatewise, Example3, InputError, Oracle, PerRun, Problem, compare, solve
from unibio.algorithms.soba import SOBA
from unibio.algorithms.unibio import UniBiO
from unibio.api.solving import Result
from unibio.api.tuning import TUNING_SEED
from unibio.core.hypergradients import conjugate_gradient
from unibio.core.oracle import KINDS
from unibio.core.parameters import hyper

matplotlib.use("Agg")

NOISY = Coordinatewise(exponent=4, dimension=3, noise=0.1)


@dataclass(frozen=True)
class Plain(Algorithm):
    """A reader's own method: lower steps, then a step along an exactly solved hypergradient."""

    name: ClassVar[str] = "plain"

    upper_step: PerRun = hyper(0.1, "upper-level step", above=0)
    lower_step: PerRun = hyper(0.2, "lower-level step", above=0)
    lower_iterations: int = hyper(5, "lower steps per iteration", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> dict[str, Any]:
        return {"x": x, "y": y}

    def step(self, oracle: Oracle, state: dict[str, Any]) -> dict[str, Any]:
        x, y = state["x"], state["y"]
        for _ in range(self.lower_iterations):
            y = y - self.lower_step * oracle.grad_lower(x, y)
        return {"x": x - self.upper_step * conjugate_gradient(oracle, x, y), "y": y}


@dataclass(frozen=True)
class Bounded(Plain):
    """Diverges for every odd seed, where the metric of the last iterate is as small as anyone's."""

    name: ClassVar[str] = "bounded"

    def step(self, oracle: Oracle, state: dict[str, Any]) -> dict[str, Any]:
        odd = torch.tensor([s % 2 == 1 for s in oracle.streams.seeds])[:, None]
        return {"x": torch.where(odd, state["x"] + 1e11, state["x"] - 0.1), "y": state["y"] - 0}


def largest_iteration(result: Result) -> int:
    """The most calls that one iteration of any run took."""
    history = result.history.sort_values(["run", "iteration"])
    steps = history.groupby("run")["iteration"].diff()
    assert steps.dropna().eq(1).all(), "every iteration must be logged"
    return int(history.groupby("run")["oracle_calls"].diff().max())


# The same for everyone ------------------------------------------------------------------------------------------


def test_everyone_gets_the_same_starts_seeds_and_budget() -> None:
    budget = 400
    x0, y0 = [0.3, -0.2, 0.9], [0.5, 0.5, -0.5]
    result = compare(NOISY, ["unibio", "soba", "stocbio", Plain()], x0, y0, budget=budget, seed=[4, 9], log_points=1000)
    assert list(result.results) == ["unibio", "soba", "stocbio", "plain"]
    for label, one in result.results.items():
        assert one.runs["seed"].tolist() == [4, 9], label
        first = one.history[one.history["iteration"] == 0]
        assert len(set(first["hypergradient_norm"])) == 1
        calls = one.runs[list(KINDS)].sum(axis=1)
        assert (calls >= budget).all(), label
        assert (calls < budget + largest_iteration(one)).all(), label
    at_start = [r.history["hypergradient_norm"].iloc[0] for r in result.results.values()]
    assert len(set(at_start)) == 1
    assert (result.summary["oracle_calls"] >= budget).all()


def test_methods_of_random_length_stay_within_one_iteration_of_the_budget_too() -> None:
    one = compare(NOISY, ["ttsa"], budget=300, seed=range(4), log_points=1000).results["ttsa"]
    calls = one.runs[list(KINDS)].sum(axis=1)
    assert calls.max() >= 300
    assert calls.max() < 300 + largest_iteration(one)


def test_a_comparison_is_the_single_runs_side_by_side() -> None:
    result = compare(NOISY, ["unibio", "soba"], budget=300, seed=range(2), upper_step=0.05)
    for label in ("unibio", "soba"):
        alone = solve(NOISY, label, budget=300, seed=range(2), upper_step=0.05)
        assert torch.equal(result.results[label].x, alone.x)
        shown = result.history[result.history["algorithm"] == label].reset_index(drop=True)
        assert shown.columns[0] == "algorithm"
        left = [c for c in alone.history.columns if c != "seconds"]
        assert shown[left].equals(alone.history[left])


def test_steps_may_end_the_runs_instead_of_or_besides_a_budget() -> None:
    result = compare(Example3(), ["unibio", "soba"], steps=7)
    assert {r.runs["stopped_at"].item() for r in result.results.values()} == {7}
    both = compare(Example3(), ["unibio", "soba"], steps=7, budget=20)
    assert both.results["soba"].runs["stopped_at"].item() == 5  # four calls an iteration
    assert both.results["unibio"].runs["stopped_at"].item() == 0  # its warm start is beyond the budget


def test_several_starts_are_an_axis_for_everyone() -> None:
    result = compare(Example3(), ["unibio", "soba"], [[1.0], [0.5]], budget=200, seed=range(3))
    for one in result.results.values():
        assert len(one.runs) == 6
        assert set(one.runs["start"]) == {0, 1}


def test_shared_parameters_reach_those_who_have_them() -> None:
    result = compare(Example3(), [UniBiO(period=1), "soba", Plain()], steps=4, period=4, upper_step=0.01)
    unibio, soba, plain = result.results.values()
    assert unibio.runs["grad_lower"].item() == solve(Example3(), "unibio", steps=4, period=4).runs["grad_lower"].item()
    start = torch.ones(1, 1, dtype=torch.float64)
    assert torch.allclose(unibio.x, start - 4 * 0.01)  # normalised steps
    assert not torch.equal(soba.x, start)
    assert not torch.equal(plain.x, start)


def test_dtype_reaches_the_runs() -> None:
    assert compare(Example3(), ["soba"], steps=2, dtype=torch.float32).results["soba"].x.dtype == torch.float32


# Labels ---------------------------------------------------------------------------------------------------------


def test_equal_names_are_told_apart() -> None:
    result = compare(Example3(), ["soba", SOBA(upper_step=0.01), SOBA(upper_step=0.02)], steps=2)
    assert list(result.results) == ["soba", "soba #2", "soba #3"]
    assert set(result.summary["algorithm"]) == set(result.results) == set(result.history["algorithm"])


def test_a_mapping_gives_the_labels() -> None:
    result = compare(Example3(), {"slow": UniBiO(upper_step=0.001), "fast": UniBiO(upper_step=0.05)}, steps=200)
    assert list(result.results) == ["slow", "fast"]
    assert result.summary["algorithm"].tolist() == ["fast", "slow"]  # best first


def test_an_algorithm_without_a_name_is_called_by_its_class() -> None:
    @dataclass(frozen=True)
    class Nameless(SOBA):
        name: ClassVar[str] = ""

    assert list(compare(Example3(), [Nameless()], steps=1).results) == ["Nameless"]


# Tuning ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What ``compare`` asks ``solve`` for."""
    asked: list[dict[str, Any]] = []

    def spy(problem: Problem, **arguments: Any) -> Result:
        asked.append(arguments | {"seed": list(arguments["seed"])})
        return solve(problem, **arguments)

    monkeypatch.setattr("unibio.api.comparison.solve", spy)
    return asked


def test_tuning_uses_the_same_budget_and_seeds_of_its_own(solved: list[dict[str, Any]]) -> None:
    seeds = [TUNING_SEED + 1, 0, 1]  # a reader's seeds may even be where tuning's begin
    compare(NOISY, ["soba", "unibio"], budget=200, seed=seeds, tune={"upper_step": [0.01, 0.1]}, tuning_seeds=4)
    long = [asked for asked in solved if asked["steps"] is None]
    tuning, final = [a for a in long if "upper_step" in a and isinstance(a["upper_step"], list)], long[1::2]
    assert [len(a["seed"]) for a in tuning] == [4, 4]
    assert tuning[0]["seed"] == tuning[1]["seed"]
    assert not set(tuning[0]["seed"]) & set(seeds)
    assert [a["seed"] for a in final] == [seeds, seeds]
    assert {a["budget"] for a in long} == {200}


@pytest.mark.slow
def test_tuning_picks_the_best_and_says_what_it_tried() -> None:
    steps = [0.0001, 0.05, 0.001]
    result = compare(NOISY, ["soba", "unibio"], budget=600, tune={"upper_step": steps})
    for label in ("soba", "unibio"):
        table = result.tuning[label]
        assert sorted(table["upper_step"]) == sorted(steps)
        assert table["criterion"].is_monotonic_increasing
        by_hand = {
            step: solve(
                NOISY, label, budget=600, seed=range(TUNING_SEED, TUNING_SEED + 3), upper_step=step
            ).history.groupby("run")["hypergradient_norm_mean"].last().median()
            for step in steps
        }  # fmt: skip
        assert dict(zip(table["upper_step"], table["criterion"], strict=True)) == pytest.approx(by_hand)
        best = min(by_hand, key=by_hand.__getitem__)
        assert table["upper_step"][0] == best
        assert result.summary.set_index("algorithm").loc[label, "upper_step"] == best
        again = solve(NOISY, label, budget=600, seed=[0], upper_step=best)
        assert torch.equal(result.results[label].x, again.x)


@pytest.mark.slow
def test_parameters_that_change_the_program_can_be_tuned_as_well() -> None:
    result = compare(
        NOISY,
        {"mine": Plain(), "soba": "soba"},
        budget=600,
        tune={"mine": {"lower_iterations": [1, 8], "upper_step": np.array([0.01, 0.1]), "lower_step": [0.2]}},
    )
    assert list(result.tuning) == ["mine"]
    table = result.tuning["mine"]
    assert list(table.columns) == ["lower_iterations", "upper_step", "lower_step", "criterion"]
    assert len(table) == 4
    best = table.iloc[0]
    tried = {
        (k, step): solve(
            NOISY, Plain(lower_iterations=k), budget=600, seed=range(TUNING_SEED, TUNING_SEED + 3), upper_step=step
        ).history.groupby("run")["hypergradient_norm_mean"].last().median()
        for k in (1, 8)
        for step in (0.01, 0.1)
    }  # fmt: skip
    assert (best["lower_iterations"], best["upper_step"]) == min(tried, key=tried.__getitem__)
    assert best["criterion"] == pytest.approx(min(tried.values()))
    assert np.isnan(result.summary.set_index("algorithm").loc["soba", "upper_step"])


def test_values_under_a_label_count_before_those_for_all() -> None:
    result = compare(
        NOISY, ["soba", "unibio"], steps=3, tune={"soba": {"upper_step": [0.02]}, "upper_step": [0.01, 0.03]}
    )
    assert result.tuning["soba"]["upper_step"].tolist() == [0.02]
    assert sorted(result.tuning["unibio"]["upper_step"]) == [0.01, 0.03]


def test_without_a_running_mean_the_metric_is_averaged_over_iterations_not_over_logged_rows() -> None:
    result = compare(Example3(), ["soba"], steps=400, metric="lower_error", log_points=20)
    dense = solve(Example3(), "soba", steps=400, log_points=1000).history["lower_error"]
    by_hand = (dense.sum() - (dense.iloc[0] + dense.iloc[-1]) / 2) / 400
    assert result.summary["mean lower_error"].item() == pytest.approx(by_hand, rel=0.05)


# Divergence -----------------------------------------------------------------------------------------------------


def test_diverged_runs_are_infinitely_bad_and_the_others_go_on() -> None:
    result = compare(Example3(), {"bad": Bounded(), "soba": "soba"}, steps=30, seed=range(5))
    table = result.summary.set_index("algorithm")
    assert table.loc["bad", "diverged"] == 2
    assert table.loc["soba", "diverged"] == 0
    assert np.isfinite(table.loc["bad", "final hypergradient_norm"])  # 3 of 5 are well
    assert np.isinf(table.loc["bad", "upper quartile"])
    mostly = compare(Example3(), {"bad": Bounded(), "soba": "soba"}, steps=30, seed=[1, 3, 4])
    table = mostly.summary.set_index("algorithm")
    assert np.isinf(table.loc["bad", "mean hypergradient_norm"])
    assert np.isinf(table.loc["bad", "final hypergradient_norm"])
    assert mostly.summary["algorithm"].tolist() == ["soba", "bad"]
    assert not table.isna().any(axis=None)


def test_tuning_prefers_anything_to_a_setting_that_diverges() -> None:
    problem = Problem(upper=lambda x, y: (y**2).sum(), lower=lambda x, y: ((y - x) ** 2).sum() / 2, exponent=2)
    result = compare(
        problem, [Plain()], 1.0, 1.0, steps=60, tune={"upper_step": [50.0, 1e-6]}, metric="upper_value"
    )  # fmt: skip
    assert result.tuning["plain"]["upper_step"].tolist() == [1e-6, 50.0]
    assert result.tuning["plain"]["criterion"].tolist()[1] == np.inf
    assert result.summary["diverged"].item() == 0


def test_tuning_says_when_everything_diverges() -> None:
    problem = Problem(upper=lambda x, y: (y**2).sum(), lower=lambda x, y: ((y - x) ** 2).sum() / 2, exponent=2)
    with pytest.warns(UserWarning, match="plain: every setting in tune diverged"):
        result = compare(problem, [Plain()], 1.0, 1.0, steps=60, tune={"upper_step": [50.0, 70.0]})
    assert result.summary["diverged"].item() == 1
    assert result.plot().get_lines()


def lossy(level: float) -> Problem:
    """φ = ½(x − 1)², whose metric is not defined for x beyond a level."""
    return Problem(
        lambda x, y: ((y - 1) ** 2).sum(-1) / 2,
        lambda x, y: ((y - x) ** 2).sum(-1) / 2,
        metrics=lambda x, y: {"distance": torch.where(x[:, 0] > level, torch.nan, (x[:, 0] - 1).abs())},
        averaged=("distance",),
        batched=True,
    )


def test_an_undefined_metric_is_infinitely_bad_and_no_divergence() -> None:
    """The faster method gets where the metric is not defined: it is ranked last, whatever it had before."""
    contenders = {"fast": Plain(upper_step=0.5, lower_step=1.0), "slow": Plain(upper_step=0.01, lower_step=1.0)}
    with pytest.warns(UserWarning, match="fast: metrics that are not defined .*distance in"):
        result = compare(lossy(0.9), contenders, 0.0, 0.0, steps=20, metric="distance")
    table = result.summary.set_index("algorithm")
    assert list(table.index) == ["slow", "fast"]
    assert np.isinf(table.loc["fast", ["mean distance", "final distance", "upper quartile"]].astype(float)).all()
    assert table["diverged"].tolist() == [0, 0]
    assert np.isfinite(table.loc["slow", ["mean distance", "final distance"]].astype(float)).all()
    (line,) = (line for line in result.plot("iteration").get_lines() if line.get_label() == "fast")
    assert np.isnan(np.asarray(line.get_ydata())[-1])


@pytest.mark.parametrize("averaged", [True, False])
def test_tuning_prefers_anything_to_an_undefined_metric(averaged: bool) -> None:
    problem = lossy(0.9) if averaged else replace(lossy(0.9), averaged=())
    result = compare(problem, [Plain(lower_step=1.0)], 0.0, 0.0, steps=20, metric="distance",
                     tune={"upper_step": [0.5, 0.01]})  # fmt: skip
    assert result.tuning["plain"]["upper_step"].tolist() == [0.01, 0.5]
    assert result.tuning["plain"]["criterion"].tolist()[1] == np.inf


def test_tuning_says_when_the_metric_is_nowhere_defined() -> None:
    with pytest.warns(UserWarning, match="plain: every setting in tune diverged, or left distance undefined"):
        compare(lossy(-1.0), [Plain()], 0.0, 0.0, steps=5, metric="distance", tune={"upper_step": [0.1, 0.2]})


# Errors and warnings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithms", "arguments", "said"),
    [
        (["soba"], {}, "compare needs budget"),
        ("soba", {"steps": 2}, "algorithms must be a list"),
        (SOBA(), {"steps": 2}, "algorithms must be a list"),
        ([], {"steps": 2}, "algorithms is empty"),
        (["sobba"], {"steps": 2}, "Did you mean 'soba'"),
        ([SOBA], {"steps": 2}, r"call it: SOBA\(\)"),
        ([3], {"steps": 2}, "names or Algorithm objects, got int"),
        (["soba"], {"steps": 2, "uper_step": 0.1}, "Did you mean 'upper_step'"),
        (["soba"], {"steps": 2, "period": 2}, "unknown parameter of the compared algorithms, 'period'"),
        (["soba"], {"steps": 2, "upper_step": [0.1, 0.2]}, r"tune=\{'upper_step': \[...\]\}"),
        (["soba"], {"steps": 2, "upper_step": -1}, "algorithm.upper_step = -1 is not accepted"),
        (["soba"], {"steps": 2, "tune": {"uper_step": [1]}}, "Did you mean 'upper_step'"),
        (["soba"], {"steps": 2, "tune": {"sobba": {"upper_step": [1]}}}, "Did you mean 'soba'"),
        (["soba"], {"steps": 2, "tune": {"soba": {"uper_step": [1]}}}, "Did you mean 'upper_step'"),
        (["soba"], {"steps": 2, "tune": {"upper_step": 0.1}}, "must be a list of values to try, got 0.1"),
        (["soba"], {"steps": 2, "tune": {"upper_step": []}}, "upper_step is an empty list"),
        (["soba"], {"steps": 2, "tune": {"upper_step": [0.1, 0.1]}}, "tune: upper_step has 0.1 twice"),
        (["soba"], {"steps": 2, "seed": [0, 0]}, "seed has 0 twice"),
        (["soba"], {"steps": 2, "seed": [0.5]}, "seed must be an integer"),
        (["soba"], {"steps": 2, "tune": {"upper_step": [0.1, -0.1]}}, "algorithm.upper_step = -0.1 is not accepted"),
        (["soba"], {"steps": 2, "tune": {"upper_step": [0.1]}, "tuning_seeds": 0}, "tuning_seeds must be"),
        (["soba"], {"steps": 2, "metric": "hypergradient"}, "Did you mean 'hypergradient_norm'"),
        (["soba"], {"steps": 2, "seed": "7"}, "seed must be an integer"),
        (["soba"], {"steps": 2, "seed": []}, "seed is an empty list"),
        (["soba"], {"steps": 0}, "steps must be a positive integer"),
    ],
)
def test_clear_errors(algorithms: Any, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        compare(Example3(), algorithms, **arguments)


def test_what_is_wrong_with_one_is_found_before_another_runs(solved: list[dict[str, Any]]) -> None:
    @dataclass(frozen=True)
    class Broken(Plain):
        def step(self, oracle: Oracle, state: dict[str, Any]) -> dict[str, Any]:
            return state | {"x": state["x"].sum()}

    with pytest.raises(InputError, match="turned x from"):
        compare(Example3(), ["soba", Broken()], steps=1_000_000)
    assert [asked["steps"] for asked in solved] == [1, 1]


def test_warnings_about_settings_name_the_algorithm_once_and_tuning_is_silent() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compare(
            Example3(),
            {"long": UniBiO(neumann_step=2.5), "well": "unibio"},
            steps=2,
            tune={"well": {"neumann_step": [1.0, 3.0]}},
        )
    said = [str(one.message) for one in caught]
    assert len(said) == 1
    assert said[0].startswith("long: neumann_step is not below 2/λ_max")
    assert caught[0].filename == __file__


# The plot -------------------------------------------------------------------------------------------------------


def test_plot_has_one_line_per_algorithm_best_first() -> None:
    result = compare(NOISY, ["soba", "unibio", Plain()], budget=300, seed=range(3))
    axes = result.plot()
    assert [line.get_label() for line in axes.get_lines()] == result.summary["algorithm"].tolist()
    assert len(axes.collections) == 3  # the bands
    assert axes.get_xlabel() == "oracle calls"
    assert axes.get_ylabel() == "hypergradient norm"
    assert axes.get_yscale() == "log"
    for line in axes.get_lines():
        history = result.results[line.get_label()].history
        wide = history.pivot(index="run", columns="iteration", values="hypergradient_norm")
        assert np.allclose(line.get_ydata(), wide.median())
        assert np.allclose(line.get_xdata(), history[history["run"] == 0]["oracle_calls"])
    assert result.plot("iteration", ax=axes) is axes
    assert len(axes.get_lines()) == 6
    with pytest.raises(InputError, match="Did you mean 'oracle_calls'"):
        result.plot("oracle_call")


def test_plot_ends_a_line_where_most_runs_have_diverged() -> None:
    result = compare(Example3(), [Bounded()], steps=20, seed=[1, 3, 4])
    (line,) = result.plot("iteration").get_lines()
    shown = np.asarray(line.get_ydata())
    assert np.isfinite(shown[0])
    assert np.isnan(shown[1:]).all()


def test_plot_of_a_metric_below_zero_has_a_linear_axis() -> None:
    result = compare(Example3(), ["unibio"], steps=60, metric="value")
    assert result.history["value"].min() < 0
    assert result.plot().get_yscale() == "linear"


@pytest.fixture(autouse=True)
def _close_figures() -> Any:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
