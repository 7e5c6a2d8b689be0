"""The table of deviations, from records with known ends."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from synthetic import FakeRecord, record, study
from unibio.algorithms.variants import VARIANTS
from unibio.studies import CLAIMS, discrepancies
from unibio.studies import discrepancies as discrepancy_claims
from unibio.studies import discrepancies as figure
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.common.methods import label


def test_every_variant_has_its_published_method():
    pairs = {variant.name: published.name for variant, published in VARIANTS.items()}
    assert pairs == discrepancies.PUBLISHED


def test_bias_stability_and_first_hits():
    def ends_at(level):
        return lambda cell, seed, t: np.where(t < 10 / cell["upper_step"], 1.0, level)

    def stable(cell, seed):
        return "completed" if cell["upper_step"] < 0.5 else "diverged"

    axes = {"upper_step": [0.1, 0.3, 1.0]}
    own = record(2, axes, ends_at(0.01), name="stocbio")
    biased = record(2, axes, ends_at(0.05), name="stocbio_headless", status=stable)
    table = discrepancies.summary(discrepancies.by_step(study(discrepancies=[biased, own]))).set_index("method")
    assert list(table.index) == ["stocbio", "stocbio_headless"]
    assert table[discrepancies.SMALLEST].tolist() == pytest.approx([0.01, 0.05])
    assert table[discrepancies.TIMES].tolist() == pytest.approx([1, 5])
    assert table["largest stable step"].tolist() == [1.0, 0.3]
    assert table["fewest iterations to target"].tolist() == [10, 34]


def test_a_run_that_grows_diverges_though_its_numbers_are_finite():
    """Neither what it ends at nor its step counts; a rest at twice the start (SABA's sign) is a rest."""

    def grows(cell, seed, t):
        return np.where(t == 0, 1.0, 6e6 if cell["upper_step"] > 0.5 and seed == 0 else 2.0)

    axes = {"upper_step": [0.1, 0.3, 1.0]}
    steps = discrepancies.by_step(study(discrepancies=[record(2, axes, grows, name="saba")]))
    assert steps["stable"].tolist() == pytest.approx([1, 1, 2 / 3])
    row = discrepancies.summary(steps).iloc[0]
    assert row["largest stable step"] == 0.3
    assert row[discrepancies.SMALLEST] == 2.0


def test_the_figure_shows_stable_steps_alone():
    def grows(cell, seed, t):
        return np.where(t == 0, 1.0, 20.0 if cell["upper_step"] > 0.5 else 2.0)

    axes = {"upper_step": [0.1, 0.3, 1.0]}
    (line,) = figure.draw(study(discrepancies=[record(2, axes, grows, name="saba")])).figure.axes[0].get_lines()
    np.testing.assert_array_equal(line.get_ydata(), [2.0, 2.0, np.nan])


def test_multiples_count_nothing_below_rounding():
    axes = {"upper_step": [0.1]}
    own = record(2, axes, lambda cell, seed, t: np.where(t == 0, 1.0, 1e-15), name="saba")
    other = record(2, axes, lambda cell, seed, t: np.where(t == 0, 1.0, 1e-12), name="saba_history")
    table = discrepancies.summary(discrepancies.by_step(study(discrepancies=[own, other])))
    assert table[discrepancies.TIMES].tolist() == [1, 1]


# Verdicts ------------------------------------------------------------------------------------------------------------

STEPS = {"upper_step": [0.1, 0.3, 1.0]}


@cache
def pair(
    variant: str, own: float = 0.01, level: float = 0.01, *, up_to: float = 9.0, late: float = 1.0
) -> list[FakeRecord]:
    """A published method that rests at ``own``, and a variant that rests at ``level``, is stable at steps below
    ``up_to`` and takes ``late`` times the iterations."""

    def rests_at(end: float, after: float):
        return lambda cell, seed, t: np.where(t < after / cell["upper_step"], 1.0, end)

    def status(cell, seed):
        return "completed" if cell["upper_step"] < up_to else "diverged"

    published = record(2, STEPS, rests_at(own, 10), name=discrepancies.PUBLISHED[variant])
    return [published, record(2, STEPS, rests_at(level, 10 * late), name=variant, status=status)]


def outcome(id, **other):  # noqa: A002
    """Of records in which every variant does as its claim says, but for ``other``: {variant: records}."""
    biased = {name: pair(name, level=0.05) for name in discrepancy_claims.BIASED}
    slowed = {name: pair(name, up_to=0.5) for name in discrepancy_claims.SLOWED}
    found = [one for records in (biased | slowed | other).values() for one in records]
    distinct = {(one.config["algorithm"]["name"]): one for one in found}
    claim = next(claim for claim in CLAIMS if claim.id == id)
    return judge(claim, study(discrepancies=list(distinct.values())))[0]


@pytest.mark.parametrize("id", ["released-bias", "released-speed"])
def test_deviations_do_what_is_said(id):  # noqa: A002
    assert outcome(id).verdict == rules.REPRODUCED


@pytest.mark.parametrize("name", discrepancy_claims.BIASED)
def test_a_deviation_that_rests_where_the_method_does_is_no_bias(name):
    found = outcome("released-bias", **{name: pair(name, level=0.015)})
    assert found.verdict == rules.NOT_REPRODUCED
    assert found.explanation.endswith(f"not so: {label(name)}")


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", discrepancy_claims.SLOWED)
def test_other_deviations_must_cost_something_and_bias_nothing(name):
    harmless = outcome("released-speed", **{name: pair(name)})
    assert harmless.verdict == rules.NOT_REPRODUCED
    assert f"{label(name)} 1.00 times (no worse)" in harmless.explanation
    biased = outcome("released-speed", **{name: pair(name, level=0.05, up_to=0.5)})
    assert biased.verdict == rules.NOT_REPRODUCED
    assert f"{label(name)} 5.00 times (" in biased.explanation
    for cost in ({"up_to": 0.5}, {"late": 2.0}, {"level": 0.015}):
        assert outcome("released-speed", **{name: pair(name, **cost)}).verdict == rules.REPRODUCED


def test_steps_at_which_a_run_grows_are_not_compared():
    """All the accuracy that it loses is at a step where it diverges in finite numbers."""

    def path(cell, seed, t):
        return np.where(t < 10 / cell["upper_step"], 1.0, 1e6 if cell["upper_step"] > 0.5 else 0.01)

    published = pair("saba_history")[0]
    found = outcome("released-speed", saba_history=[published, record(2, STEPS, path, name="saba_history")])
    assert found.verdict == rules.REPRODUCED
    assert "SABA history 1.00 times (stable up to 0.30 times the step, 3.4 times the iterations);" in found.explanation


@pytest.mark.parametrize(("id", "name"), [("released-bias", "ttsa_bare"), ("released-speed", "vrbo_stale")])
def test_deviations_without_records_or_finite_runs(id, name):  # noqa: A002
    assert outcome(id, **{name: []}).verdict == rules.NOT_RUN
    assert outcome(id, **{name: pair(name, up_to=0.0)}).verdict == rules.NOT_TESTABLE
