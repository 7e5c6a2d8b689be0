"""UniBiO without p: every rule on records that must give each of its verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from synthetic import study
from synthetic_without_p import parts, unknown
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.common.evidence import Evidence
from unibio.studies.unknown_exponent import parts as worth
from unibio.studies.unknown_exponent.measures import Cell, accuracies, gathered, ratio
from unibio.studies.unknown_exponent.rules import table

BY_ID = {claim.id: claim for claim in CLAIMS}
Factor = Callable[[str, str], float]


def evidence(held: Factor | None = None, **options: object) -> Evidence:
    other = {} if held is None else {"factor": held}
    seeds = {"seeds": options["seeds"]} if "seeds" in options else {}
    return study(
        unknown_exponent=unknown(**options),  # type: ignore[arg-type]
        unknown_exponent_hoelder=unknown(problems=("hoelder",), exponents=(2,), **other, **seeds),  # type: ignore[arg-type]
        unknown_exponent_lp=unknown(problems=("lp_regression",), exponents=(3, 4), **other, **seeds),  # type: ignore[arg-type]
        unknown_exponent_labels=unknown(problems=("corrupted_labels",), exponents=(2,), **other, **seeds),  # type: ignore[arg-type]
    )


def verdict(name: str, given: Evidence) -> str:
    outcome, _ = judge(BY_ID[f"unknown-{name}"], given)
    assert outcome.explanation
    return outcome.verdict


def test_accuracies_are_the_fair_baselines_and_ratios_the_factors() -> None:
    given = evidence()
    coarse, fine = accuracies(given, Cell("example3", "", 0, 4))
    assert coarse > fine > 0
    found = table(given)
    fair = found[found["method"] == "windows"]
    assert fair["ratio"].between(1.0, 1.6).all(), "a factor of 1.2, up to the distance of logged rows"
    assert ((fair["low"] <= fair["ratio"]) & (fair["ratio"] <= fair["high"])).all()
    assert set(found["cell"][found["held_out"]]) == {
        "ℓ_p-regression, p = 3",
        "corrupted labels, p = 2",
    }


def test_the_step_is_chosen_by_other_seeds_than_those_that_judge() -> None:
    runs = gathered(evidence())[Cell("example3", "", 0, 4)]["windows"]
    assert list(runs.judges) == list(range(10, 20))
    assert runs.settings[runs.best(0.1)]["lower_step"] == 0.3


def test_a_ratio_with_failures() -> None:
    fine, never = np.array([1.0, 2.0, 3.0]), np.full(3, math.inf)
    assert ratio(never, fine) == (math.inf, math.inf, math.inf)
    assert ratio(fine, never) == (0.0, 0.0, 0.0)
    middle, low, high = ratio(2 * fine, fine)
    assert (middle, low < 2 < high) == (2, True)
    start = np.zeros(3)
    assert ratio(start, start) == (1.0, 1.0, 1.0), "both are there without a call"
    assert ratio(fine, start) == (math.inf, math.inf, math.inf)
    often = np.array([1.0, 1.0, math.inf])
    assert ratio(often, fine)[::2] == (0.5, math.inf), "a sample of seeds may hold more failures than these"


@pytest.mark.parametrize("name", ["goal", "held-out", "misinformed"])
def test_as_claimed_and_with_too_few_seeds(name: str) -> None:
    assert verdict(name, evidence()) == rules.REPRODUCED
    assert verdict(name, evidence(seeds=1)) == rules.NOT_TESTABLE


@pytest.mark.slow
def test_the_goal() -> None:
    def slow_on(problem: str, by: float) -> Factor:
        return lambda of, method: by if (of, method) == (problem, "adaptive") else 1.2

    assert verdict("goal", evidence(slow_on("example3", 5.0))) == rules.REPRODUCED, "there is no such held-out cell"
    assert verdict("goal", evidence(factor=slow_on("example3", 5.0))) == rules.NOT_REPRODUCED
    assert verdict("goal", evidence(slow_on("corrupted_labels", 1e4))) == rules.NOT_REPRODUCED, (
        "a failure is one too many"
    )
    assert verdict("held-out", evidence(slow_on("lp_regression", 5.0))) == rules.NOT_REPRODUCED
    assert verdict("held-out", evidence(factor=slow_on("example3", 1e4))) == rules.REPRODUCED, "another is no matter"


def test_a_wrong_exponent_that_costs_nothing() -> None:
    cheap: Factor = lambda problem, method: 0.5 if method == "told" else 1.2  # noqa: E731
    given = evidence(cheap, factor=cheap)
    assert verdict("misinformed", given) == rules.NOT_REPRODUCED


def test_what_neither_reaches_does_not_speak_against_the_wrong_exponent() -> None:
    never: Factor = lambda problem, method: 1e6 if method in ("told", "adaptive") else 1.2  # noqa: E731
    outcome, _ = judge(BY_ID["unknown-misinformed"], evidence(never, factor=never))
    assert (outcome.verdict, outcome.numbers["fewer"]) == (rules.NOT_REPRODUCED, 0)
    assert outcome.numbers["of"] == outcome.numbers["not_reached"] > 10


def test_a_wrong_exponent_has_the_fair_baselines_settings_to_choose_from() -> None:
    """Every wrong p' counts, not the worst of them; with fewer steps to choose from nothing is judged."""
    outcome, _ = judge(BY_ID["unknown-misinformed"], evidence())
    cells = {"example3": 2, "coordinatewise": 2, "hoelder": 1, "lp_regression": 2, "corrupted_labels": 1}
    wrong = 2 * sum(cells.values()) - 5  # told 2 and 4, one of which is true in five of the cells
    assert outcome.numbers["of"] == 2 * wrong
    poor = unknown(problems=("example3",), exponents=(6,), told_steps=(0.3,))
    outcome, _ = judge(BY_ID["unknown-misinformed"], study(unknown_exponent=poor))
    assert outcome.verdict == rules.NOT_TESTABLE
    assert "other settings" in outcome.explanation


def test_an_accuracy_that_the_start_has_is_none() -> None:
    assert verdict("goal", evidence(flat=True)) == rules.NOT_TESTABLE


def test_parts_are_compared_at_the_coarser_accuracy_of_their_cell() -> None:
    given = study(unknown_exponent=unknown(), unknown_exponent_parts=parts())
    found = worth.table(given)
    assert set(found["cell"]) == {"Example 3, p = 4", "Example 3, p = 8"}
    four = found[found["cell"] == "Example 3, p = 4"].set_index("part")
    assert four.index[0] == "none"
    assert four["epsilon"].unique() == accuracies(given, Cell("example3", "", 0, 4))[:1]
    assert four["ratio"]["none"] == four["ratio"]["uncut"] == 1
    assert 2.3 < four["ratio"]["fixed upper"] < 4.7, "4/1.2, up to the distance of logged rows, or out of the budget"
    assert four["calls"]["one step"] == four["ratio"]["one step"] == math.inf


def test_parts_of_a_cell_that_was_not_compared_have_no_rows() -> None:
    given = study(unknown_exponent=unknown(exponents=(8,)), unknown_exponent_parts=parts())
    assert set(worth.table(given)["cell"]) == {"Example 3, p = 8"}
