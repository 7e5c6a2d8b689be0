"""Constrained lower levels and a network: rules on records that must give each of their verdicts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from synthetic import study
from synthetic_first_order import nondegeneracy, pl_constants, stationary
from unibio.errors import InputError
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.nondegeneracy.measures import METHODS, RUNS, in_sigma, points, reached
from unibio.studies.nondegeneracy.measures import pl_constants as measured

BY_ID = {claim.id: claim for claim in CLAIMS}


@pytest.fixture(scope="module")
def made():
    return nondegeneracy()


def verdict(name, found, **changes):
    """The verdict on made-up records whose columns are changed, where they are there, by functions of the history."""

    def changed(one):
        problem = one.config["problem"]
        place = problem.get("place", "network")
        new = {name: change(one.history, place) for name, change in changes.items() if name in one.history}
        return dataclasses.replace(one, history=one.history.assign(**new))

    outcome, _ = judge(BY_ID[name], study(nondegeneracy=[changed(one) for one in found]))
    assert outcome.explanation
    return outcome.verdict


def test_the_formula(made):
    assert verdict("nondegenerate-formula", made) == rules.REPRODUCED
    assert verdict("nondegenerate-formula", made, kkt_error=lambda h, place: 1e-3) == rules.NOT_REPRODUCED
    assert verdict("nondegenerate-formula", made, difference_error=lambda h, place: 1e-3) == rules.NOT_REPRODUCED
    assert verdict("nondegenerate-formula", made, kkt_error=lambda h, place: np.nan) == rules.NOT_TESTABLE
    on_kinks = {"kkt_error": lambda h, place: 1.0 if place == "kink" else 0.0}
    assert verdict("nondegenerate-formula", made, **on_kinks) == rules.REPRODUCED  # it is claimed elsewhere
    assert verdict("network-formula", made) == rules.REPRODUCED
    assert verdict("network-formula", made, pseudoinverse_error=lambda h, place: 1e-3) == rules.NOT_REPRODUCED
    assert verdict("network-formula", made, difference_error=lambda h, place: np.nan) == rules.NOT_TESTABLE


def test_what_is_degenerate_is_said(made):
    assert verdict("nondegenerate-said", made) == rules.REPRODUCED
    assert verdict("nondegenerate-said", made, said=lambda h, place: 1.0) == rules.NOT_REPRODUCED
    assert verdict("nondegenerate-said", made, said=lambda h, place: float(place != "kink")) == rules.NOT_REPRODUCED
    near = {"said": lambda h, place: 0.0 if place == "vertex" else h["said"]}
    assert verdict("nondegenerate-said", made, **near) == rules.REPRODUCED
    assert verdict("nondegenerate-said", made, said=lambda h, place: np.nan) == rules.NOT_TESTABLE


@pytest.mark.parametrize(("claim", "column", "bound"), [("value", "value_error", 1), ("gradient", "gradient_error", 3)])
def test_errors_around_nondegenerate_places(made, claim, column, bound):
    name = f"nondegenerate-{claim}"
    assert verdict(name, made) == rules.CONSISTENT
    for power, expected in ((bound, rules.CONSISTENT), (bound + 0.3, rules.VIOLATED)):
        grown = {column: lambda h, place, power=power: h.get("modulus", 1.0) ** -power / h["penalty"]}
        assert verdict(name, made, **grown) == expected
    assert verdict(name, made, **{column: lambda h, place: h["penalty"] ** -0.8}) == rules.VIOLATED
    assert verdict(name, made, **{column: lambda h, place: 0.0 * h["penalty"]}) == rules.NOT_TESTABLE


@pytest.mark.slow
def test_errors_around_degenerate_places(made):
    assert verdict("degenerate-strict", made) == rules.REPRODUCED
    assert verdict("degenerate-jump", made) == rules.REPRODUCED
    assert verdict("degenerate-licq", made) == rules.REPRODUCED
    assert verdict("degenerate-licq", nondegeneracy(corner=None)) == rules.NOT_REPRODUCED
    falls = {name: lambda h, place: 1 / h["penalty"] for name in ("value_error", "gradient_error")}
    stays = {name: lambda h, place: 0 * h["penalty"] + 1 for name in ("value_error", "gradient_error")}
    for name in ("degenerate-strict", "degenerate-jump", "degenerate-licq"):
        assert verdict(name, made, **falls) == rules.NOT_REPRODUCED
        assert verdict(name, made, **stays) == rules.NOT_TESTABLE  # around nondegenerate places, too
    lost = {"value_error": lambda h, place: h["value_error"] if place != "kink" else 1.0}
    assert verdict("degenerate-strict", made, **lost) == rules.NOT_REPRODUCED


def test_errors_with_the_network(made):
    assert verdict("network-errors", made) == rules.CONSISTENT
    assert verdict("network-errors", made, gradient_error=lambda h, place: h["penalty"] ** -0.5) == rules.VIOLATED
    assert verdict("network-errors", made, gradient_error=lambda h, place: np.nan) == rules.NOT_TESTABLE
    without = [one for one in made if one.config["problem"]["name"] == "polytope"]
    assert verdict("network-errors", without) == rules.NOT_RUN


@pytest.mark.slow
def test_what_methods_reach():
    def of(name, **how):
        experiment = BY_ID[name].experiments[0]
        outcome, _ = judge(BY_ID[name], study(**{experiment: stationary(experiment, **how)}))
        return outcome.verdict

    for name in ("constrained-stationary", "constrained-stationary-f2sa", "network-stationary"):
        assert of(name) == rules.REPRODUCED
        assert of(name, power=4.0) == rules.NOT_REPRODUCED
        assert of(name, end=lambda method, place, epsilon: 1.1 * epsilon) == rules.NOT_REPRODUCED
    only = {"end": lambda method, place, epsilon: 1.0 if method == "f2sa" else 0.0}
    assert of("constrained-stationary", **only) == rules.REPRODUCED
    assert of("constrained-stationary-f2sa", **only) == rules.NOT_REPRODUCED
    one = stationary(RUNS)[:1]
    with pytest.raises(InputError, match="lacks records of proximal"):
        reached(study(**{RUNS: one}), RUNS, METHODS)
    assert judge(BY_ID["constrained-stationary"], study(**{RUNS: one}))[0].verdict == rules.NOT_RUN


def test_calls_count_from_where_a_run_stays():
    """A passing small value, as of an iterate that circles, is not an arrival."""
    (one, *rest) = stationary(RUNS)
    falls = one.history["stationarity"].copy()
    one.history["stationarity"] = falls.where(one.history["iteration"] != 3, 0.0)
    found = reached(study(**{RUNS: [one, *rest]}), RUNS, METHODS)
    again = reached(study(**{RUNS: stationary(RUNS)}), RUNS, METHODS)
    assert found["calls"].tolist() == again["calls"].tolist()
    assert np.isfinite(found["calls"]).all()


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (0.0, -3.0, rules.REPRODUCED),
        (-1.0, -3.0, rules.NOT_REPRODUCED),
        (0.0, 0.0, rules.REPRODUCED),  # the constant stays, but the gap does not fall
    ],
)
def test_pl_constants(wide, narrow, expected):
    outcome, _ = judge(BY_ID["network-pl"], study(shallow_network_pl=pl_constants(wide, narrow)))
    assert outcome.verdict == expected


def test_pl_constants_that_tell_nothing_apart():
    found = pl_constants(narrow=0.0, falls=True)
    assert judge(BY_ID["network-pl"], study(shallow_network_pl=found))[0].verdict == rules.NOT_TESTABLE
    for one in found:
        one.history["lower_gap"] = np.nan
    assert judge(BY_ID["network-pl"], study(shallow_network_pl=found))[0].verdict == rules.NOT_TESTABLE
    assert judge(BY_ID["network-pl"], study(shallow_network_pl=found[1:]))[0].verdict == rules.NOT_TESTABLE
    assert len(measured(study(shallow_network_pl=pl_constants()))) == 4


def test_a_missing_place_is_named(made):
    with pytest.raises(InputError, match="lacks records of jump"):
        points(study(nondegeneracy=[one for one in made if one.config["problem"].get("place") != "jump"]))
    assert len(in_sigma(study(nondegeneracy=made))) == 7 * 3 + 1
