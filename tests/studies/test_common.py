"""Curves, comparisons and the learning-rate search on records with known numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthetic import record, study
from unibio.core import epoch_sgd
from unibio.errors import InputError
from unibio.quantiles import quartiles
from unibio.store import lists
from unibio.studies.common.claim import Claim, Kind
from unibio.studies.common.claim import judge as judge_claim
from unibio.studies.common.comparisons import finals, first_hits
from unibio.studies.common.curves import curves, final, last_rows
from unibio.studies.common.evidence import Evidence, MissingRecordsError, scale
from unibio.studies.common.verdicts import NOT_RUN, Outcome
from unibio.studies.common.widening import judge_axis as judge
from unibio.studies.lr_search import search_of
from unibio.studies.runtime import costs, epoch_sgd_steps, inner_iterations


def level(cell, seed, t):
    """A metric that says which cell and seed it belongs to."""
    return 100 * cell["noise"] + 10 * cell["upper_step"] + seed + 0.001 * t


AXES = {"noise": [0.0, 1.0], "upper_step": [0.1, 0.2]}


def test_curves_are_cut_along_the_axes():
    found = curves(record(4, AXES, level))
    assert [(c.cell["noise"], c.cell["upper_step"]) for c in found] == [(0, 0.1), (0, 0.2), (1, 0.1), (1, 0.2)]
    for curve in found:
        expected = 100 * curve.cell["noise"] + 10 * curve.cell["upper_step"] + 0.001 * curve.iterations
        np.testing.assert_allclose(curve.values, expected + np.arange(3)[:, None])
        assert curve.exponent == 4
        assert curve.cell["lower_step"] == 1.0  # a setting that is no axis is there too


@pytest.mark.parametrize("axis", ["momentum", "a_parameter_of_a_plugin"])
def test_runs_that_differ_in_any_axis_are_not_one_curve(axis):
    """An axis that no study of ours has tells curves apart like those that are known."""
    made = record(2, {"upper_step": [0.1, 0.2], axis: [0.5, 0.9]}, lambda cell, seed, t: cell[axis] + 0 * t)
    found = curves(made)
    assert [(c.cell["upper_step"], c.cell[axis]) for c in found] == [(0.1, 0.5), (0.1, 0.9), (0.2, 0.5), (0.2, 0.9)]
    assert all((c.values == c.cell[axis]).all() for c in found)
    for table in (first_hits([made]), finals([made], "hypergradient_norm")):
        assert len(table) == 4
        assert set(table[axis]) == {0.5, 0.9}


def test_curves_can_be_chosen():
    (only,) = curves(record(2, AXES, level), noise=1.0, upper_step=0.2)
    assert only.cell["noise"] == 1.0
    assert only.values[0, 0] == 102.0
    table = only.table()
    np.testing.assert_allclose(table["median"], only.values[1])
    np.testing.assert_allclose(table["q25"], only.values[0] + 0.5)


def test_diverged_runs_count_as_worst():
    found = record(2, {"noise": [0.0]}, level, status=lambda cell, seed: "diverged" if seed == 2 else "completed")
    (curve,) = curves(found)
    late = curve.iterations > 200
    assert np.isinf(curve.values[2, late]).all()
    assert np.isfinite(curve.values[:2]).all()
    _, middle, high = quartiles(curve.values[:, late])
    assert np.isfinite(middle).all()
    assert np.isinf(high).all()
    assert np.isinf(final(found, "hypergradient_norm")[2])
    assert finals([found], "hypergradient_norm")["median"].iloc[0] == pytest.approx(
        final(found, "hypergradient_norm")[1]
    )


def test_undefined_metrics_count_as_worst():
    """A run is completed and its last value NaN: it is not taken for the last value it had."""

    def lost(cell, seed, t):
        return np.where((t > 200) & (seed == 2), np.nan, level(cell, seed, t))

    found = record(2, {"noise": [0.0]}, lost)
    assert np.isinf(final(found, "hypergradient_norm")).tolist() == [False, False, True]
    assert last_rows(found.history)["hypergradient_norm"].isna().tolist() == [False, False, True]
    low, middle, high = quartiles(np.array([1.0, np.nan, 3.0, np.inf, 2.0]))
    assert (low, middle, high) == (2.0, 3.0, np.inf)


def test_first_hits_count_runs_that_never_arrive():
    def norm(cell, seed, t):
        return np.where(t >= 10 * (seed + 1), 0.01, 1.0) if seed < 2 else np.ones(len(t))

    (row,) = first_hits([record(2, {"noise": [0.0]}, norm)]).to_dict("records")
    assert row["iterations"] == 20
    assert row["iterations_q75"] == math.inf
    assert row["reached"] == pytest.approx(2 / 3)
    assert row["oracle_calls"] == 4 * 20 + 75 * 10  # nine periods after the warm start


@pytest.mark.parametrize(("p", "steps"), [(2, 75), (4, 59), (6, 70), (8, 77)])
def test_inner_iterations_of_the_paper(p, steps):
    assert epoch_sgd_steps(p, 100, 5) == steps
    found = record(p, noise=1.0, seeds=1)
    assert inner_iterations(found) == steps
    (row,) = costs([found]).to_dict("records")
    assert row["inner_expected"] == row["inner_iterations"] == steps
    assert row["seconds"] == 1.5 + p
    assert row["repeats"] == 3


@given(p=st.integers(2, 12), budget=st.integers(0, 5000), first=st.integers(1, 40))
def test_inner_iterations_agree_with_the_algorithm(p, budget, first):
    assert epoch_sgd_steps(p, budget, first) == epoch_sgd.steps_taken(budget, first, p)


GRID = np.geomspace(1e-3, 10, 9)


@pytest.mark.parametrize(
    ("tied", "kind", "where"),
    [
        ([3, 4, 5], "interior", ""),
        ([3, 6], "interior", ""),
        (range(9), "flat", "both"),
        ([0], "edge", "low"),
        ([7, 8], "edge", "high"),
        ([0, 8], "edge", "low and high"),
        ([0, 1, 2, 3, 4], "flat", "low"),  # two decades of ties: it has levelled off
        ([4, 5, 6, 7, 8], "flat", "high"),
        ([0, 2, 3, 4], "edge", "low"),  # but only unbroken ones
        ([0, 1, 2, 3, 4, 8], "edge", "high"),
    ],
)
def test_axes_of_a_search(tied, kind, where):
    axis = judge(GRID, np.isin(np.arange(9), list(tied)))
    assert (axis.kind, axis.where) == (kind, where)
    assert ("widen" in axis.describe()) == (kind == "edge")


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0]])
def test_one_or_two_values_are_no_search(values):
    assert judge(np.array(values), np.ones(len(values), dtype=bool)).kind == "edge"


def test_search_finds_the_best_and_the_papers_point():
    def mean(cell, seed, t):
        return np.full(len(t), 1 + np.log10(cell["upper_step"] / 0.1) ** 2 + 0.01 * seed)

    axes = {"upper_step": [0.01, 0.05, 0.1, 0.12, 1.0], "lower_step": [0.1, 1.0, 10.0]}
    found = search_of(record(2, axes, mean=mean))
    assert found.search.at(found.best)["upper_step"] == 0.1
    assert found.axes["upper_step"].kind == "interior"
    assert (found.axes["upper_step"].low, found.axes["upper_step"].high) == (0.1, 0.12)
    assert found.axes["lower_step"].kind == "flat"
    assert found.criterion[1, 0] == pytest.approx(1.01 + np.log10(0.5) ** 2)  # the median seed
    row = found.row()
    assert row["paper_over_best"] == pytest.approx(found.criterion[1, 1] / found.criterion.min())
    assert not row["paper_tied"]
    assert len(found.table()) == 15


def test_paper_point_outside_the_grid_is_not_invented():
    found = search_of(record(2, {"upper_step": [0.1, 0.2, 0.4], "lower_step": [0.5, 1.0, 2.0]}))
    assert found.paper_cell() is None
    assert math.isnan(found.row()["paper_over_best"])


def test_search_without_a_finite_cell_says_so():
    broken = record(2, {"upper_step": [0.1, 0.2], "lower_step": [1.0, 2.0]}, status=lambda c, s: "diverged")
    with pytest.raises(InputError, match="no pair of steps"):
        search_of(broken)


def test_missing_records_say_what_to_run(tmp_path):
    with pytest.raises(MissingRecordsError, match=r"python -m unibio experiment=fig5"):
        Evidence(tmp_path).require("fig5")


def test_scale_of_records():
    assert scale([]) == "paper"
    assert scale([record(2)]) == "paper"
    assert scale([record(2, scale="smoke"), record(4, scale="smoke")]) == "smoke"
    assert scale([record(2, scale="smoke"), record(4)]) == "mixed"


@pytest.mark.parametrize("factor", ["steps", "seeds"])
def test_a_scale_is_not_judged_by_its_name(factor):
    """scale=paper scale.seeds=0.1 is called paper, and is not the paper's."""
    whole, short = (record(2) for _ in range(2))
    whole.config["scale"] |= {"steps": 1.0, "seeds": 1.0, "curves": 2}
    short.config["scale"] |= {"steps": 1.0, "seeds": 1.0} | {factor: 0.1}
    assert scale([whole]) == "paper"
    assert scale([short]) == "paper with changes"
    assert scale([whole, short]) == "mixed"
    short.config["scale"]["name"] = "smoke"
    assert scale([short]) == "smoke"


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("scale=paper records=runs tracker=offline launcher.workers=2 device=cpu scale.curves=2", []),
        ("steps=50", ["steps=50"]),
        ("'++algorithm.momentum=0.5' ~targets", ["++algorithm.momentum=0.5", "~targets"]),
        ("-m 'grid.seed={count: 3}' epochs=2", ["grid.seed={count: 3}", "epochs=2"]),
        ("'no command of ours", []),
    ],
)
def test_overrides_of_what_an_experiment_computes_are_seen_in_its_command(words, changed, tmp_path):
    lists.write_manifest(tmp_path, "fig1", [], f"python -m unibio experiment=fig1 {words}")
    evidence = Evidence(tmp_path)
    assert evidence.overridden("fig1") == changed
    assert evidence.overridden("fig5") == []
    claim = Claim("c", "s", Kind.PAPER, "ours", lambda evidence: Outcome(NOT_RUN, ""), ("fig1",))
    assert judge_claim(claim, evidence)[1] == ("paper with changes" if changed else "paper")


def test_records_come_by_exponent_and_length():
    found = study(fig1=[record(8), record(2, steps=900), record(2, steps=90)]).records("fig1")
    assert [(r.config["problem"]["exponent"], r.config["steps"]) for r in found] == [(2, 90), (2, 900), (8, 400)]


def test_a_study_computes_once_what_does_not_raise():
    calls = []

    def counted(study, factor):
        calls.append(factor)
        if factor < 0:
            raise InputError("negative")
        return [factor]

    mine, other = Evidence(None, {}), Evidence(None, {})
    assert mine.once(counted, 2) is mine.once(counted, 2)
    assert other.once(counted, 2) == [2]
    assert mine.once(counted, 3) == [3]
    for _ in range(2):
        with pytest.raises(InputError):
            mine.once(counted, -1)
    assert calls == [2, 2, 3, -1, -1]
