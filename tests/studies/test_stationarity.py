"""ε-stationarity along runs: its rules on records that must give each of their verdicts."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from synthetic import study
from synthetic_followed import above, stationarity
from unibio.studies import CLAIMS, DRAWINGS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.stationarity import _blocks, running_mean, runs

BY_ID = {claim.id: claim for claim in CLAIMS}
#: Claims on rates by kind of noise, by method.
FALLING = {
    name: [
        claim
        for claim in BY_ID
        if claim.startswith("stationarity")
        and claim.endswith(("-exact", "-upper", "-both"))
        and claim.rpartition("-")[0].endswith(name)
    ]
    for name in ("f2sa", "proximal", "momentum")
}


@cache
def as_claimed():
    return tuple(stationarity(seeds=3, points=40))


def verdict(name, found):
    outcome, _ = judge(BY_ID[name], study(stationarity=found))
    assert outcome.explanation
    return outcome.verdict


@pytest.mark.slow
def test_rates():
    high = stationarity(above, above, points=40)
    assert [len(names) for names in FALLING.values()] == [3, 6, 6]
    manifold = ("stationarity-manifold-proximal", "stationarity-manifold-proximal-momentum")
    for name in (*itertools.chain(*FALLING.values()), *manifold):
        assert verdict(name, as_claimed()) == rules.CONSISTENT
        assert verdict(name, high) == rules.VIOLATED
        assert verdict(name, as_claimed()[:1]) == rules.NOT_RUN
    assert verdict("stationarity-f2sa-both", stationarity(points=40, seeds=1)) == rules.NOT_TESTABLE
    lost = stationarity(points=40, status=lambda cell, seed: "diverged" if seed == 1 else "completed")
    assert verdict("stationarity-f2sa-exact", lost) == rules.NOT_TESTABLE
    assert verdict("stationarity-f2sa-exact", []) == rules.NOT_RUN


def test_residuals_bound_distances():
    assert verdict("stationarity-distance", as_claimed()) == rules.CONSISTENT
    falling = stationarity(modulus={"point": 0.5, "wells": 0.0, "manifold": 0.0}, points=40)
    assert verdict("stationarity-distance", falling) == rules.VIOLATED
    arrived = stationarity(points=40)
    for one in arrived:
        one.history[["distance_y", "distance_z"]] = 0.0
    assert verdict("stationarity-distance", arrived) == rules.NOT_TESTABLE


def test_the_mean_is_over_iterations():
    """Whatever iterations are logged: of a straight line it is exact, and the start counts."""
    t = np.array([0.0, 1.0, 5.0, 6.0, 40.0])
    np.testing.assert_allclose(running_mean(t, np.stack([1 + 2 * t, 0 * t + 3.0])), [1 + t[1:], 0 * t[1:] + 3.0])


def test_proximal_methods_are_judged_by_oracle_calls():
    units = {one.method: one.unit for one in runs(study(stationarity=as_claimed()))}
    assert units == {"f2sa": "iterations", "proximal": "oracle calls", "proximal_momentum": "oracle calls"}
    for one in runs(study(stationarity=as_claimed())):
        assert (one.t == (one.iterations if one.method == "f2sa" else one.calls)).all()


def test_the_figure_and_the_table_show_what_there_is():
    evidence = study(stationarity=as_claimed()[:4])
    drawn = DRAWINGS["stationarity"].draw(evidence)
    assert len(drawn.tables["stationarity"]) == sum(len(one.t) for one in runs(evidence))
    assert len(_blocks(evidence)[1].rows) == 4
