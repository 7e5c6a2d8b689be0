"""A simulation that is ended early: what it computed and logged is the beginning of the whole."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from unibio import Coordinatewise, Example3
from unibio.algorithms.soba import SOBA
from unibio.algorithms.unibio import UniBiO
from unibio.core.algorithm import Algorithm
from unibio.core.problem import ProblemSpec
from unibio.problems.quadratic import Quadratic
from unibio.simulation.history import label
from unibio.simulation.settings import Settings
from unibio.simulation.simulate import simulate
from unibio.simulation.trajectories import Trajectories


def run(problem: ProblemSpec, algorithm: Algorithm, settings: Settings, seeds: list[int], **asked: Any) -> Trajectories:
    built = problem.build()
    assert built.start is not None
    x, y = (start.expand(len(seeds), -1).clone() for start in built.start)
    return simulate(built, algorithm, x, y, seeds=seeds, settings=settings, **asked)


#: Rows that end together; at other times, by divergence or by what they have spent; and where only epochs end them.
CASES: dict[str, tuple[Any, ...]] = {
    "together": (
        Example3(noise=1.0),
        UniBiO(),
        Settings(40, log_points=9, targets={"hypergradient_norm": [0.5]}),
    ),
    "some diverge": (
        Example3(noise=torch.tensor([[0.0], [1.0], [1e9]], dtype=torch.float64)),
        UniBiO(first_radius=1e12, lower_step=torch.tensor([[1.0], [1e9], [1.0]], dtype=torch.float64)),
        Settings(25, log_points=6),
    ),
    "a budget": (Quadratic(), SOBA(batch_size=10), Settings(None, budget=150, log_points=12)),
    "epochs": (Quadratic(), SOBA(batch_size=10), Settings(None, epochs=1.5, log_points=7)),
    "no averages": (Coordinatewise(dimension=3), UniBiO(), Settings(30, log_points=5)),
}
SEEDS = [3, 0, 7]


@cache
def whole_of(name: str) -> Trajectories:
    """The case to its end; not to be written into."""
    return run(*CASES[name], SEEDS)


@given(st.sampled_from(sorted(CASES)), st.integers(0, 45))
def test_it_is_the_beginning_of_the_whole(name: str, until: int) -> None:
    whole, cut = whole_of(name), run(*CASES[name], SEEDS, until=until)
    due = whole.history[whole.history["iteration"] <= until].reset_index(drop=True)
    assert_frame_equal(cut.history.drop(columns="seconds"), due.drop(columns="seconds"), check_exact=True)
    assert cut.stopped_at == np.minimum(whole.stopped_at, until).tolist()
    for row, ended in enumerate(whole.stopped_at):
        if ended <= until:
            assert cut.status[row] == whole.status[row]
            assert torch.equal(cut.x[row], whole.x[row])
            assert all(cut.counts[kind][row] == count[row] for kind, count in whole.counts.items())
    for key, hit in whole.first_below.items():
        early = hit[:, :1] <= until
        assert torch.equal(cut.first_below[key], torch.where(early, hit, -1))


@given(st.lists(st.floats(allow_nan=False) | st.integers(-(10**20), 10**20), unique=True, max_size=20))
def test_labels_of_targets_keep_all_their_digits(levels: list[float]) -> None:
    """Different levels never share a key; and a label reads back as its level."""
    labels = {label("m", level) for level in levels}
    assert len(labels) == len({float(level) + 0.0 if level else str(level) for level in levels})
    for level in levels:
        assert float(label("m", level).removeprefix("m<")) == float(level)


@pytest.mark.parametrize(
    ("level", "text"), [(0.1, "0.1"), (1e-6, "1e-06"), (1, "1"), (0.5, "0.5"), (1e7, "1e+07"), (123456, "123456")]
)
def test_labels_that_there_are_stay(level: float, text: str) -> None:
    assert label("value", level) == f"value<{text}"


def test_levels_alike_in_six_digits_are_two_targets() -> None:
    levels = [0.1234567, 0.12345671]
    found = run(Example3(), UniBiO(), Settings(3, targets={"hypergradient_norm": levels}), [0]).first_below
    assert list(found) == ["hypergradient_norm<0.1234567", "hypergradient_norm<0.12345671"]
