"""The one class of searches, against what its words say, written out over a table of runs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import synthetic
import synthetic_nli
from unibio.errors import InputError
from unibio.studies import lr_search
from unibio.studies.common.search import TIE, interpolated_median, search, upper_median
from unibio.studies.common.widening import Touched, wider
from unibio.studies.nli import around

NAMES = ("upper_step", "lower_step", "penalty")


@st.composite
def grids(draw):
    """Runs of a grid of one to three axes in any order, criteria with ties and diverged runs, and the axes."""
    axes = NAMES[: draw(st.integers(1, 3))]
    steps = [draw(st.lists(st.sampled_from([0.01, 0.1, 1.0, 10.0]), min_size=1, unique=True)) for _ in axes]
    index = pd.MultiIndex.from_product([*steps, range(draw(st.integers(1, 4)))], names=[*axes, "seed"])
    runs = index.to_frame(index=False)
    levels = st.sampled_from([1.0, 1.02, 1.5, 2.0, 7.0, math.inf])
    values = np.array(draw(st.lists(levels, min_size=len(runs), max_size=len(runs))))
    order = draw(st.permutations(range(len(runs))))
    return runs.iloc[order].reset_index(drop=True), values[order], axes


def half(seeds):
    return max(1, seeds // 2)


def higher(values):
    """The middle of sorted values, or the larger of two."""
    return sorted(values)[len(values) // 2]


@given(grids())
def test_the_choosing_seeds_choose_and_the_others_judge(made):
    runs, values, axes = made
    found = search("name", runs, values, axes, choosing=half)
    chooses = runs["seed"] < half(runs["seed"].nunique())
    judges = ~chooses if found.split else chooses
    table = runs.assign(value=values)
    chosen_by = table[chooses].groupby(list(axes))["value"].agg(higher)
    at = found.best()
    if not np.isfinite(chosen_by).any():
        assert at is None
        assert found.ends(at) == {}
        assert found.edges() == {}
        with pytest.raises(InputError, match="no pair of steps has a finite criterion"):
            found.regions()
        return
    steps = found.at(at)
    cell = np.logical_and.reduce([runs[name] == step for name, step in steps.items()])
    assert chosen_by.loc[tuple(steps.values())] == chosen_by.min() == found.chosen_by[at]
    assert found.criterion[at] == higher(values[cell & judges])
    assert found.runs(at).tolist() == cell.tolist()
    assert found.runs(at, judging=True).tolist() == (cell & judges).tolist()


@given(grids())
def test_ends_and_what_the_last_step_gained(made):
    runs, values, axes = made
    found = search("name", runs, values, axes)
    at = found.best()
    if at is None:
        return
    gains = [0.0]
    for name, end in found.ends(at).items():
        step, tried = found.at(at)[name], sorted(runs[name].unique())
        assert len(tried) > 1
        assert step == (tried[0] if end == "low" else tried[-1])
        inwards = tried[1] if end == "low" else tried[-2]
        beside = found.at(at) | {name: inwards}
        cell = np.logical_and.reduce([runs[axis] == value for axis, value in beside.items()])
        gains.append(higher(values[cell]) - found.chosen_by[at])
    assert found.gain_at_ends(at) == max(gains)
    for name in set(axes) - set(found.ends(at)):
        tried = sorted(runs[name].unique())
        assert len(tried) == 1 or tried[0] < found.at(at)[name] < tried[-1]


@given(grids())
def test_an_edge_is_better_than_the_inside_for_every_seed(made):
    """By seed an edge stays one, or becomes "alike"; it stays one only where every seed says so."""
    runs, values, axes = made
    found = search("name", runs, values, axes)
    if found.best() is None:
        return
    plain, by_seed, edges = found.regions(), found.regions(by_seed=True), found.edges()
    for i, name in enumerate(axes):
        one, strict = plain[name], by_seed[name]
        assert (strict == one) or (one.kind == "edge" and strict.kind in ("edge", "alike"))
        tied = found.chosen_by <= (1 + TIE) * found.chosen_by.min()
        cells = [found.steps[name][k] for k in range(tied.shape[i]) if np.take(tied, k, axis=i).any()]
        assert (one.low, one.high) == (min(cells), max(cells))
        assert (name in edges) == (strict.kind == "edge")
        for end in strict.touched:
            size = tied.shape[i]
            at_end = np.take(found.chosen_by, 0 if end == "low" else size - 1, axis=i)
            inside = [np.take(found.chosen_by, k, axis=i).min() for k in range(1, size - 1)]
            assert at_end.min() < min(inside, default=math.inf)
    assert found.gain_at_edges(edges) >= 0
    assert found.gain_at_edges({}) == 0


def test_cells_that_may_not_be_chosen_and_equals():
    runs = pd.DataFrame({"upper_step": [0.1, 1.0, 10.0], "seed": 0})
    found = search("name", runs, np.array([1.0, 1.0, 2.0]), ["upper_step"])
    assert found.best() == (0,)
    assert found.best(ties=np.array([3.0, 2.0, 1.0])) == (1,)  # the third is no equal
    assert found.best(np.where(found.steps["upper_step"] > 0.5, found.chosen_by, np.inf)) == (1,)
    assert found.best(np.full(3, np.inf)) is None


def test_what_is_no_grid_is_refused():
    runs = pd.DataFrame({"upper_step": [0.1, 0.1, 1.0, 1.0], "seed": [0, 1, 0, 1]})
    values = np.arange(4.0)
    with pytest.raises(InputError, match=r"^soba: the search needs the axes upper_step, lower_step and seed"):
        search("soba", runs, values, ["upper_step", "lower_step"])
    with pytest.raises(InputError, match="every combination of steps for every seed"):
        search("soba", runs.iloc[:3], values[:3], ["upper_step"])
    with pytest.raises(InputError, match="runs that differ neither in upper_step nor in their seed"):
        search("soba", runs.assign(seed=0), values, ["upper_step"])
    part = search("soba", runs.iloc[:3], values[:3], ["upper_step"], whole=False)
    assert part.values.tolist() == [[0.0, 1.0], [2.0, math.inf]]
    assert part.best() == (0,)


@given(st.lists(st.one_of(st.floats(1e-9, 1e9), st.just(math.inf)), min_size=1, max_size=9))
def test_medians_count_what_diverged_as_worst(values):
    ordered = sorted(values)
    low, high = ordered[(len(values) - 1) // 2], ordered[len(values) // 2]
    assert upper_median(np.array([values])).tolist() == [high]
    (middle,) = interpolated_median(np.array([values]))
    assert middle == (low + (high - low) * 0.5 if math.isfinite(high) else math.inf)
    if np.isfinite(values).all():
        assert middle == pd.Series(values).groupby([0] * len(values)).quantile(0.5).item()  # to the bit, as published


def test_the_learning_rate_search_is_widened_where_its_best_step_is_at_an_end():
    def made(best):
        def mean(cell, seed, t):
            return np.full(len(t), 1 + np.log10(cell["upper_step"] / best) ** 2 + 0.01 * seed)

        axes = {"upper_step": np.geomspace(0.01, 1, 9), "lower_step": [0.1, 1.0, 10.0]}
        return synthetic.record(2, axes, mean=mean, seeds=2)

    assert lr_search.STUDY.touched(made(0.1)) == []
    (one,) = lr_search.STUDY.touched(made(10.0))
    assert (one.axis, one.ends) == ("upper_step", ("high",))
    assert wider([one]) == (0.01, 100, 17)


def test_a_range_of_one_step_can_be_widened():
    one = Touched(synthetic.record(2), "upper_step", np.array([0.1]), ("low", "high"))
    assert wider([one]) == (0.001, 10, 9)


def test_a_search_on_separate_records_chooses_once_a_pair_has_every_seed():
    """Two pairs on different seeds are not compared: one of them may have had the easier one."""

    def chosen(*tried):
        found = [synthetic_nli.record("saba", upper=upper, seed=seed) for upper, seed in tried]
        plain = [synthetic_nli.tuning("unibio", seed=seed) for seed in (1000, 1001)]
        table = around.tuning(synthetic.study(nli_tuning=plain, nli_tuning_saba=found))
        return table.loc[table["chosen"] & (table["method"] == "SABA"), "upper_step"].tolist()

    assert chosen((100.0, 1000), (1000.0, 1001)) == []
    assert chosen((100.0, 1000), (1000.0, 1001), (1000.0, 1000)) == [1000.0]
