"""What UniBiO's parts are worth: the rule on factors that are known, and what keeps a comparison from being told."""

from __future__ import annotations

import math

import pytest

from synthetic import study
from synthetic_parts import ablation
from unibio.studies.ablation.figures import draw
from unibio.studies.ablation.measures import CRITERIA, EXPONENTS, PARTS, PROBLEMS, WHOLE, comparisons, variants
from unibio.studies.ablation.rules import helps
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED

CELLS = [(name, p) for name in PROBLEMS for p in EXPONENTS]


def made(factor=None, **options: object) -> Evidence:
    """Records in which only the momentum matters, by a factor of each cell's own."""

    def of(experiment: str, part: str, p: int) -> float:
        return factor[CELLS.index((experiment, p))] if part == "momentum" else 1.0

    return study(**ablation(of if factor else lambda *_: 1.0, **options))  # type: ignore[arg-type]


def verdict(factors: list[float], **options: object) -> str:
    return helps(made(factors, **options), "momentum").verdict


def test_factors_are_found_and_only_those() -> None:
    evidence = made([1.3] * 9)
    for part in PARTS:
        found = comparisons(evidence, part)
        assert list(found) == CELLS
        for one in found.values():
            assert one.ratio == pytest.approx(1.3 if part == "momentum" else 1.0, rel=0.01)
            assert one.low < one.ratio < one.high
            assert one.state == (1 if part == "momentum" else 0)
    best = variants(evidence)["ablation", 4][WHOLE].steps
    assert (best["upper_step"], best["lower_step"]) == (0.1, 1.0)


def test_help_on_most_and_harm_nowhere() -> None:
    assert verdict([1.3] * 5 + [1.0] * 4) == REPRODUCED
    assert verdict([1.3] * 4 + [1.0] * 5) == NOT_REPRODUCED, "on fewer than half"
    assert verdict([1.3] * 8 + [0.7]) == NOT_REPRODUCED, "harm on one"
    assert verdict([1.0] * 9) == NOT_REPRODUCED
    edge = CRITERIA["ablation"][2] / comparisons(made([1.0] * 9), "momentum")["ablation", 2].ratio
    assert verdict([edge] * 2 + [1.0] * 3 + [1.3] * 4) == NOT_TESTABLE, "two that may help or not"


def test_too_few_seeds_say_nothing() -> None:
    assert verdict([1.3] * 9, seeds=1) == NOT_TESTABLE
    assert verdict([1.3] * 9, seeds=4) == NOT_TESTABLE
    assert verdict([1.0] * 9, spread=0.2) == NOT_TESTABLE


@pytest.mark.slow
def test_what_does_not_work_is_not_better() -> None:
    assert verdict([1.3] * 9, lower_error=9.0) == NOT_TESTABLE
    assert verdict([1.3] * 9, falls=False) == NOT_TESTABLE


def test_unequal_searches_are_no_comparison() -> None:
    outcome = helps(made([1.3] * 9, budgets=lambda part: (5,) if part == "momentum" else (5, 40)), "momentum")
    assert outcome.verdict == NOT_TESTABLE
    assert "different numbers of configurations" in outcome.explanation


def test_a_range_that_is_too_narrow() -> None:
    assert verdict([1.05] * 9, best=30.0) != REPRODUCED
    found = comparisons(made([1.3] * 9, best=30.0), "momentum")
    assert {one.state for one in found.values()} == {None}
    assert {one.why for one in found.values()} == {"a range must be widened first"}


def test_a_missing_variant_is_said() -> None:
    records = ablation(lambda *_: 1.0)
    few = {name: [one for one in found if one.config["paper"]["without"] != "balls"] for name, found in records.items()}
    outcome = helps(study(**few), "balls")
    assert outcome.verdict == NOT_TESTABLE
    assert "no records with and without balls" in outcome.explanation


def test_a_variant_none_of_whose_runs_ends() -> None:
    records = ablation(lambda experiment, part, p: 1.0 if part == WHOLE else 1.3)
    for one in records["ablation"]:
        if one.config["paper"]["without"] == "balls":
            one.runs["status"] = "diverged"
    evidence = study(**records)
    found = comparisons(evidence, "balls")["ablation", 4]
    assert found.state is None
    assert math.isnan(found.ratio)
    assert draw(evidence).tables["ablation"]["ratio"].isna().any()


def test_the_figure_s_table_has_every_variant() -> None:
    table = draw(made([1.3] * 9)).tables["ablation"]
    assert len(table) == 9 * (1 + len(PARTS))
    assert set(table["part"]) == {"", "helps", "alike"}
