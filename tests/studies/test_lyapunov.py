"""The Lyapunov function along F²SA: its rules on records that must give each of their verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import study
from synthetic_followed import falling, level, lyapunov, rising_once
from unibio.studies import CLAIMS, DRAWINGS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.lyapunov import SLACK, rises, windows

BY_ID = {claim.id: claim for claim in CLAIMS}


def verdict(name, found):
    outcome, _ = judge(BY_ID[f"lyapunov-{name}"], study(lyapunov=found))
    assert outcome.explanation
    return outcome.verdict


def climbing(case, seed, t):
    return falling(case, seed, t) * (1 + (t + 1.0))


def test_verdicts():
    whole = lyapunov()
    assert verdict("exact", whole) == verdict("noise", whole) == rules.CONSISTENT
    assert verdict("terms", whole) == rules.REPRODUCED
    assert verdict("exact", lyapunov(rising_once)) == rules.VIOLATED
    assert verdict("exact", lyapunov(level)) == rules.VIOLATED  # it must fall in all
    assert verdict("noise", lyapunov(climbing)) == rules.VIOLATED
    assert verdict("noise", lyapunov(seeds=1)) == rules.NOT_TESTABLE
    assert verdict("terms", lyapunov(gap=falling)) == rules.NOT_REPRODUCED
    assert verdict("terms", lyapunov(climbing)) == rules.NOT_TESTABLE
    for name in ("exact", "noise", "terms"):
        assert verdict(name, []) == rules.NOT_RUN
    assert verdict("noise", whole[:2]) == rules.NOT_RUN
    lost = lyapunov(status=lambda cell, seed: "diverged" if seed == 1 else "completed")
    assert verdict("exact", lost) == verdict("noise", lost) == rules.NOT_TESTABLE


def test_a_slow_climb_is_a_rise():
    """Each step is within the slack, all of them together are not."""
    slow = (1 + SLACK / 3) ** np.arange(50.0)
    assert rises(slow[None])[0] > 10 * SLACK
    assert rises(np.array([[3.0, 2.0, 1.0], [1.0, np.nan, 0.5]])).tolist() == [0.0, np.inf]


def test_windows_grow_by_a_factor():
    (made, *_) = [one for one in lyapunov() if one.config["algorithm"]["schedule"] == "both"]
    ends, means = windows(made)
    assert (ends[1:-1] / ends[:-2] > 2).all()
    assert means.shape == (6, len(ends))


def test_the_figure_has_every_part():
    table = DRAWINGS["lyapunov"].draw(study(lyapunov=lyapunov())).tables["lyapunov"]
    assert set(table["case"]) == {"exact", "upper", "both"}
    assert table["lyapunov"].iloc[0] == pytest.approx(np.mean([falling("exact", s, np.zeros(1))[0] for s in range(6)]))
