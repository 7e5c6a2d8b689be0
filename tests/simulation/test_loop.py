"""The loop: history, divergence, budgets, checkpoints; every claim against brute force over all iterates."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from support import iterates, tensor
from unibio import Algorithm, Coordinatewise, Example3, InputError, PerRun, Problem, solve, tensorfile
from unibio.algorithms.bo_rep import BOREP
from unibio.algorithms.released import ReleasedUniBiO
from unibio.algorithms.saba import SABA
from unibio.algorithms.unibio import UniBiO
from unibio.core.oracle import KINDS
from unibio.simulation import loop as running
from unibio.simulation import simulate as simulating
from unibio.simulation.history import RESERVED, log_iterations
from unibio.simulation.loop import DIVERGED_NORM
from unibio.simulation.settings import Settings
from unibio.simulation.simulate import simulate
from unibio.simulation.trajectories import Interrupted, Trajectories


def run(problem, algorithm, seeds, steps=None, *, x=None, y=None, progress=None, should_stop=None, **settings):
    problem = problem if isinstance(problem, Problem) else problem.build()
    if x is None:
        x, y = (start[None].repeat(len(seeds), 1) for start in problem.start)
    return simulate(
        problem, algorithm, x, y, seeds=seeds, settings=Settings(steps, **settings), progress=progress,
        should_stop=should_stop,
    )  # fmt: skip


# Which iterations are logged ----------------------------------------------------------------------------------------


@given(steps=st.integers(0, 100_000), points=st.integers(2, 300))
def test_log_iterations(steps, points):
    chosen = log_iterations(steps, points)
    assert chosen == sorted(set(chosen))
    assert chosen[0] == 0
    assert chosen[-1] == steps
    if steps < points:
        assert chosen == list(range(steps + 1))
        return
    assert points <= len(chosen) <= 1.1 * points + 1
    # log-spaced: beyond the early integers, ratios of neighbours are nearly equal
    late = np.array([i for i in chosen if i > 30 * max(1, points / math.log(steps + 1))], dtype=float)
    if len(late) > 3:
        ratios = late[1:] / late[:-1]
        assert ratios.max() - 1 < 1.5 * (ratios.min() - 1)


def test_the_papers_length_gives_about_two_hundred_rows():
    chosen = log_iterations(500, 200)
    assert 200 <= len(chosen) <= 220
    assert chosen[:60] == list(range(60))


# History ------------------------------------------------------------------------------------------------------------


def test_columns_and_types():
    history = solve(Example3(noise=1.0), steps=300, seed=range(3), upper_step=[0.01, 0.02], log_points=50).history
    assert list(history.columns) == [
        "run", "seed", "upper_step", "iteration", "oracle_calls", *KINDS, "lower_samples", "samples", "seconds",
        "hypergradient_norm", "value", "lower_error", "hypergradient_norm_mean",
    ]  # fmt: skip
    for name in ("run", "seed", "iteration", "oracle_calls", *KINDS, "lower_samples", "samples"):
        assert history[name].dtype == np.int64, name
    for name in ("upper_step", "seconds", "hypergradient_norm", "value", "lower_error", "hypergradient_norm_mean"):
        assert history[name].dtype == np.float64, name
    assert len(history) == 6 * len(log_iterations(300, 50))
    assert history["run"].is_monotonic_increasing
    for run_, group in history.groupby("run"):
        assert group["iteration"].tolist() == log_iterations(300, 50)
        assert group["seconds"].is_monotonic_increasing
        assert (group["seed"] == [0, 0, 1, 1, 2, 2][run_]).all()
        assert (group["upper_step"] == [0.01, 0.02][run_ % 2]).all()
    assert (history["oracle_calls"] == history[list(KINDS)].sum(axis=1)).all()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("log_points", [5, 20, 200])
def test_means_and_first_hits_against_every_iterate(log_points):
    """Logged sparsely or not: ``_mean`` at t is the mean over the iterates 0 … t−1, hits are of every iterate."""
    problem, steps, seeds = Coordinatewise(exponent=4, dimension=3, noise=1.0).build(), 150, [0, 5]
    algorithm = UniBiO(upper_step=0.05)
    levels = [5.0, 1.0, 0.3, 0.1, 1e-9]
    result = run(problem, algorithm, seeds, steps, log_points=log_points, targets={"hypergradient_norm": levels})
    x0, y0 = (start[None].repeat(2, 1) for start in problem.start)
    path = iterates(problem, algorithm, x0, y0, steps, seeds)
    norms = np.array([problem.metrics(tensor(x), tensor(y))["hypergradient_norm"].numpy()
                      for x, y in zip(path["x"], path["y"], strict=True)])  # fmt: skip
    for row in range(2):
        history = result.history[result.history["run"] == row].set_index("iteration")
        assert list(history.index) == log_iterations(steps, log_points)
        for t, logged in history.iterrows():
            mean = norms[:t, row].mean() if t else norms[0, row]
            assert logged["hypergradient_norm"] == pytest.approx(norms[t, row], abs=1e-12)
            assert logged["hypergradient_norm_mean"] == pytest.approx(mean, abs=1e-12)
        calls = run(problem, algorithm, seeds, steps, log_points=10**6).history
        calls = calls[calls["run"] == row].set_index("iteration")["oracle_calls"]
        for level in levels:
            iteration, cost = result.first_below[f"hypergradient_norm<{level:g}"][row].tolist()
            below = np.flatnonzero(norms[:, row] < level)
            if len(below):
                assert (iteration, cost) == (below[0], calls[below[0]])
            else:
                assert (iteration, cost) == (-1, -1)
    assert result.first_below["hypergradient_norm<5"][:, 0].tolist() == [0, 0]  # the start counts
    assert result.first_below["hypergradient_norm<1e-09"][:, 0].tolist() == [-1, -1]


def test_the_end_is_logged():
    for steps in (1, 7, 333):
        history = run(Example3(), UniBiO(), [0], steps, log_points=3).history
        assert history["iteration"].iloc[-1] == steps


def test_logging_changes_no_trajectory():
    runs = [run(Example3(noise=1.0), UniBiO(), [0, 1], 40, log_points=points) for points in (2, 200)]
    assert torch.equal(runs[0].x, runs[1].x)
    assert torch.equal(runs[0].y, runs[1].y)


def test_progress_is_told_of_every_iteration():
    told: list[int] = []
    run(Example3(), UniBiO(), [0], 5, progress=told.append)
    assert told == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_problem_without_metrics_of_its_own():
    problem = Problem(
        upper=lambda x, y: ((y - 1) ** 2).sum(-1), lower=lambda x, y: (0.5 * (y - x) ** 2).sum(-1), batched=True
    )
    history = solve(problem, "unibio", [0.0, 3.0], [0.0, 0.0], steps=100, upper_step=0.05).history
    assert {"upper_value", "lower_gradient_norm", "hypergradient_norm"} <= set(history.columns)
    assert history["upper_value"].iloc[-1] < 0.01 < history["upper_value"].iloc[0]


def test_no_metrics_at_all():
    problem = replace(Example3().build(), metrics=lambda x, y: {}, averaged=())
    history = solve(problem, steps=3).history
    assert history["iteration"].tolist() == [0, 1, 2, 3]
    assert history["oracle_calls"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("metrics", "averaged", "message"),
    [
        (
            lambda x, y: {"gap": x},
            (),
            r"metrics: 'gap' must be a tensor of shape \(runs,\) = \(2,\), got shape \(2, 1\)",
        ),
        (lambda x, y: {"gap": x.sum()}, (), r"got shape \(\)"),
        (lambda x, y: {"gap": 1.0}, (), "got float"),
        (lambda x, y: {"oracle_calls": x[:, 0]}, (), "'oracle_calls' is a column of the history itself"),
        (lambda x, y: {"gap": x[:, 0]}, ("gpa",), "averaged: 'gpa' is not a metric; accepted: gap"),
    ],
)
def test_metrics_that_cannot_be_recorded(metrics, averaged, message):
    problem = replace(Example3().build(), metrics=metrics, averaged=averaged)
    with pytest.raises(InputError, match=message):
        solve(problem, steps=3, seed=[0, 1])


def test_reserved_names_cover_the_counts():
    """A metric named like a count would overwrite it: Example 3's ``value`` must not meet the count of values."""
    assert {"iteration", "run", "seconds", "lower_samples", "samples", "oracle_calls", *KINDS} == RESERVED
    history = solve(Example3(), steps=2).history
    assert not set(Example3().build().metrics(tensor([[1.0]]), tensor([[1.0]]))) & RESERVED
    assert history["value_calls"].tolist() == [0, 0, 0]
    assert history["value"].iloc[0] == pytest.approx(math.sin(math.sin(1)))


# Seconds ------------------------------------------------------------------------------------------------------------


def test_seconds_are_those_of_the_start_and_the_iterations(monkeypatch):
    """The clock is read around the start and around every iteration, not around what is logged."""
    readings = iter(range(100))
    monkeypatch.setattr(running.time, "perf_counter", lambda: next(readings) ** 2)
    result = run(Example3(), UniBiO(), [0], 3)
    pairs = [(2 * k + 1) ** 2 - (2 * k) ** 2 for k in range(4)]
    assert result.history["seconds"].tolist() == list(itertools.accumulate(pairs))
    assert result.seconds == sum(pairs)


def test_both_readings_of_the_clock_are_of_the_iterates_device(monkeypatch):
    """Before an iteration, because what is queued belongs to others; after it, because that belongs to it."""
    told: list[object] = []
    step, clock = UniBiO.step, running.clock
    monkeypatch.setattr(UniBiO, "step", lambda *arguments: told.append("step") or step(*arguments))
    monkeypatch.setattr(running, "clock", lambda device: told.append(device) or clock(device))
    run(Example3(), UniBiO(), [0], 1)
    here = torch.device("cpu")
    assert told == [here, here, here, "step", here]


def test_the_clock_waits_for_a_device_that_computes_behind_its_callers_back(monkeypatch):
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    running.clock(torch.device("cpu"))
    assert waited == []
    running.clock(torch.device("cuda:1"))
    assert waited == [torch.device("cuda:1")]


# Divergence ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walk(Algorithm):
    """x ← x + push, y ← −y; one lower gradient an iteration. ``blow_up`` turns y into NaN at that iteration."""

    name: ClassVar[str] = "walk"
    push: PerRun = 1.0
    blow_up: int = 10**9

    def init(self, oracle, x, y):
        return {"x": x, "y": y, "t": 0}

    def step(self, oracle, state):
        oracle.grad_lower(state["x"], state["y"])
        y = -state["y"]
        if state["t"] + 1 == self.blow_up:
            y = torch.where(y > 0, y, torch.nan)  # rows with y < 0 survive
        return {"x": state["x"] + self.push, "y": y, "t": state["t"] + 1}


def test_a_diverging_row_is_frozen_and_the_others_go_on():
    spec, steps = Example3(noise=1.0), 50
    mixed = solve(spec, steps=steps, seed=[0, 1], upper_step=[0.05, 1e11], targets={"hypergradient_norm": [0.3]})
    healthy = solve(spec, steps=steps, seed=[0, 1], upper_step=[0.05], targets={"hypergradient_norm": [0.3]})
    assert mixed.status == ["completed", "diverged"] * 2
    assert mixed.runs["stopped_at"].tolist() == [steps, 1, steps, 1]
    # the others are bit-identical to running without it
    assert torch.equal(mixed.x[[0, 2]], healthy.x)
    assert torch.equal(mixed.y[[0, 2]], healthy.y)
    columns = [c for c in healthy.history.columns if c not in ("seconds", "run")]
    rest = mixed.history[mixed.history["upper_step"] == 0.05].reset_index(drop=True)
    assert_frame_equal(rest[columns], healthy.history[columns], check_exact=True)
    # the frozen one keeps its last finite iterate, its counts stop, and what it does later is no hit
    assert mixed.x[[1, 3]].tolist() == [[1.0], [1.0]]
    assert bool(torch.isfinite(mixed.y).all())
    one_step = solve(spec, steps=1, seed=[0, 1], upper_step=[1e11]).runs
    for kind in (*KINDS, "lower_samples", "samples"):
        assert mixed.runs[kind].tolist()[1::2] == one_step[kind].tolist()
    diverged = mixed.history[mixed.history["upper_step"] == 1e11]
    assert diverged["iteration"].tolist() == [0, 1] * 2
    assert mixed.runs["iterations_to hypergradient_norm<0.3"].isna().tolist() == [False, True] * 2


@pytest.mark.parametrize("log_points", [2, 200])
@pytest.mark.parametrize("push", [1.5 * DIVERGED_NORM, -1.5 * DIVERGED_NORM, 0.4 * DIVERGED_NORM])
def test_a_norm_beyond_the_limit_is_divergence(push, log_points):
    x, y = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    problem = Problem(lambda x, y: y.sum(-1), lambda x, y: (y * y).sum(-1), batched=True)
    result = run(problem, Walk(push=push), [0], 9, x=x, y=y, log_points=log_points, check=False)
    # both coordinates move: the norm is |push|·t·√2
    first = next(t for t in range(1, 9) if abs(push) * t * 2**0.5 > DIVERGED_NORM)
    assert result.status == ["diverged"]
    assert result.stopped_at == [first]
    assert result.x.tolist() == [[push * (first - 1)] * 2]
    assert result.counts["grad_lower"].tolist() == [first]
    assert result.history["iteration"].iloc[-1] == first  # all rows gone: the loop ends there, and logs it


def test_another_runs_end_is_not_logged():
    """Sparse logging: the iteration at which one run ends is a row of that run's history, not of the others'."""
    x = torch.zeros(2, 1, dtype=torch.float64)
    problem = Problem(lambda x, y: y.sum(-1), lambda x, y: (y * y).sum(-1), batched=True)
    pushed = Walk(push=tensor([[0.3 * DIVERGED_NORM], [1.0]]))
    result = run(problem, pushed, [0, 1], 9, x=x, y=x + 1, log_points=2, check=False)
    assert result.stopped_at == [4, 9]
    assert [group["iteration"].tolist() for _, group in result.history.groupby("run")] == [[0, 4], [0, 9]]


def test_a_large_y_is_divergence_too():
    """g = −y², one unprojected step of size 1 triples y: 3^t passes 10¹⁰ at t = 21, while x stays where it is."""

    class Climb(Walk):
        def step(self, oracle, state):
            return {**state, "y": state["y"] - oracle.grad_lower(state["x"], state["y"])}

    problem = Problem(lambda x, y: y.sum(-1), lambda x, y: -(y * y).sum(-1), batched=True, metrics=lambda x, y: {})
    one = torch.ones(1, 1, dtype=torch.float64)
    result = run(problem, Climb(), [0], 40, x=one, y=one, log_points=2, check=False)
    assert (result.status, result.stopped_at) == (["diverged"], [21])
    assert result.y.tolist() == [[3.0**20]]
    assert result.history["iteration"].tolist() == [0, 21]


def test_nan_is_divergence_at_its_first_iteration():
    x = torch.zeros(2, 1, dtype=torch.float64)
    y = tensor([[1.0], [-1.0]])
    problem = Problem(lambda x, y: y.sum(-1), lambda x, y: (y * y).sum(-1), batched=True, name="p")
    result = run(problem, Walk(blow_up=4), [0, 1], 8, x=x, y=y, check=False)
    # after the third step y = (−1, 1), so that the fourth makes (1, NaN)
    assert result.status == ["completed", "diverged"]
    assert result.stopped_at == [8, 4]
    assert result.y.tolist() == [[1.0], [1.0]]
    assert result.x.tolist() == [[8.0], [3.0]]
    assert result.counts["grad_lower"].tolist() == [8, 4]


def test_a_metric_that_is_not_finite_ends_no_run():
    problem = replace(
        Example3().build(), metrics=lambda x, y: {"log": (x[:, 0] - 2.5).log()}, averaged=("log",), start=None
    )
    x, y = tensor([[6.0], [8.0]]), torch.ones(2, 1, dtype=torch.float64)
    result = run(
        problem, Walk(push=-1.0), [0, 1], 5, x=x, y=y
    )  # 6, 5, 4, 3, 2, 1: the logarithm of −0.5 at iteration 4
    assert result.status == ["completed"] * 2
    assert result.stopped_at == [5, 5]
    assert result.x.tolist() == [[1.0], [3.0]]
    assert result.history.groupby("run")["log"].count().tolist() == [4, 6]
    assert result.counts["grad_lower"].tolist() == [5, 5]


def test_divergence_at_the_start():
    """A warm start that blows up: status diverged at iteration 0, the start comes back."""
    problem = Problem(
        upper=lambda x, y: y.sum(-1), lower=lambda x, y: (y**2).sum(-1), batched=True,
        derivatives={"grad_lower": lambda x, y, s: y / 0.0},
    )  # fmt: skip
    x = torch.ones(1, 2, dtype=torch.float64)
    result = run(problem, UniBiO(), [0], 5, x=x, y=0 * x, check=False)
    assert result.status == ["diverged"]
    assert result.stopped_at == [0]
    assert torch.equal(result.x, x)
    assert torch.equal(result.y, 0 * x)
    assert result.history["iteration"].tolist() == [0]


# Budgets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("budget", "log_points"), [(b, 200) for b in (1, 59, 60, 63, 64, 200, 1000)] + [(3000, 3)])
def test_a_budget_ends_before_the_first_iteration_that_would_start_beyond_it(budget, log_points):
    """p = 4: 59 calls before iteration 0, 4 an iteration, and 59 more before every other."""
    result = solve(Example3(exponent=4), budget=budget, log_points=log_points)
    every = solve(Example3(exponent=4), steps=100, log_points=1000).history
    ended, calls = int(result.runs["stopped_at"].iloc[0]), every["oracle_calls"].to_numpy()
    assert ended == int(np.flatnonzero(calls >= budget)[0])
    assert result.history["iteration"].iloc[-1] == ended
    assert result.history["oracle_calls"].iloc[-1] == calls[ended]
    assert result.status == "completed"


def test_whichever_of_steps_and_budget_comes_first():
    assert solve(Example3(exponent=4), steps=3, budget=10**6).runs["stopped_at"].tolist() == [3]
    assert solve(Example3(exponent=4), steps=10**6, budget=60).runs["stopped_at"].tolist() == [1]


def test_a_frozen_row_does_not_use_up_the_budget_of_others():
    both = solve(Example3(exponent=4), budget=900, upper_step=[1e11, 0.03])
    alone = solve(Example3(exponent=4), budget=900, upper_step=0.03)
    assert both.runs["stopped_at"].tolist() == [1, int(alone.runs["stopped_at"].iloc[0])]


# Checkpoints ----------------------------------------------------------------------------------------------------


def bits(result: Trajectories) -> tuple:
    """Everything about a result that must not depend on interruptions, comparable with ==."""
    history = result.history.drop(columns="seconds")
    return (
        [t.numpy().tobytes() for t in (result.x, result.y, *result.counts.values(), *result.first_below.values())],
        history.to_numpy().tobytes(), list(history.columns), list(history.dtypes),
        result.status, result.stopped_at, list(result.counts), list(result.first_below),
        [t.numpy().tobytes() for t in result.diagnosis.values.values()], result.diagnosis.warnings,
    )  # fmt: skip


def minibatch_problem() -> Problem:
    data = tensor(np.random.default_rng(0).normal(size=(23, 3)))
    return Problem(
        upper=lambda x, y, s: ((y - s) ** 2).sum(-1).mean(-1) if s.ndim == 2 else ((y[:, None] - s) ** 2).sum((1, 2)),
        lower=lambda x, y, s: (0.5 * (y[:, None] - x[:, None] * s) ** 2).sum((1, 2)),
        sample_upper=lambda draw: data[draw.minibatch(23)], sample_lower=lambda draw: data[draw.minibatch(23)],
        size_upper=23, size_lower=23, start=(torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)),
        batched=True,
    )  # fmt: skip


@dataclass(frozen=True)
class MinibatchUniBiO(UniBiO):
    name: ClassVar[str] = "minibatch_unibio"
    batch_size: int = 5


STUDIES = {
    "unibio": (Example3(exponent=4, noise=1.0, upper_noise=1.0), UniBiO(neumann_step=tensor([[1.0], [0.9], [2.5]]))),
    "coordinatewise": (Coordinatewise(exponent=6, noise=1.0), UniBiO()),
    "released": (Example3(exponent=8, noise=10.0), ReleasedUniBiO()),
    "divergence": (Example3(exponent=4, noise=1.0), UniBiO(upper_step=tensor([[0.03], [5.1e9], [1e11]]))),
    "minibatches": (minibatch_problem(), MinibatchUniBiO(neumann_step=0.01, lower_step=0.05, inner_budget=10)),
}


@pytest.mark.one_in(2)
@pytest.mark.filterwarnings("ignore:neumann_step")
@pytest.mark.parametrize("study", STUDIES)
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(study, tmp_path):
    problem, algorithm = STUDIES[study]
    targets = {"hypergradient_norm": [0.5, 0.2]} if study != "minibatches" else None
    settings = {"log_points": 12, "targets": targets}
    asks = itertools.count()
    expected = run(problem, algorithm, [2, 0, -1], 25, should_stop=lambda: next(asks) < 0, **settings)
    at_start = next(asks) - 25
    if study == "divergence":
        first, second, third = expected.stopped_at
        assert (first, third) == (25, 1)
        assert 1 < second < 25
    for stops in ([0], [1], [3], [24], [0, 1, 2, 11, 12], [5, 5, 5]):
        path = tmp_path / f"{stops}.ckpt"
        for position, stop in enumerate([*stops, None]):
            asked = itertools.count(stops[position - 1] if position else -at_start)

            def simulation(asked=asked, stop=stop, path=path):
                return run(
                    problem, algorithm, [2, 0, -1], 25, checkpoint=path, should_stop=lambda: next(asked) == stop,
                    **settings,
                )  # fmt: skip

            if stop is not None:
                with pytest.raises(Interrupted, match=f"stopped at iteration {stop}$"):
                    simulation()
        result = simulation()
        assert result.resumed_from == stops[-1]
        assert bits(result) == bits(expected), stops


def test_periodic_checkpoints(tmp_path, monkeypatch):
    """With no time between them, the file on disk is always the latest iteration's; a finished run can be loaded."""
    monkeypatch.setattr(simulating, "SAVE_PAUSE", 0)
    path = tmp_path / "c"
    seen = []

    def look(iteration):
        content = tensorfile.load(path)
        seen.append(content and content["iteration"])

    first = run(Example3(noise=1.0), UniBiO(), [0], 4, checkpoint=path, checkpoint_seconds=0.0, progress=look)
    assert seen == [None, 1, 2, 3]  # progress is called before the save
    again = run(Example3(noise=1.0), UniBiO(), [0], 4, checkpoint=path)
    assert again.resumed_from == 4
    assert bits(again) == bits(first)
    assert [p.name for p in tmp_path.iterdir()] == ["c"]  # no temporary files left


@pytest.mark.parametrize(("writing", "saved_at"), [(0.5, [2, 8, 14, 20]), (0.0, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20])])
def test_checkpoints_take_at_most_an_eleventh_of_the_time(writing, saved_at, tmp_path, monkeypatch):
    """Iterations of 1 s, and more than 1 s between checkpoints; more than 5 s where one takes ½ s to write."""
    now, seen = 0.0, []

    def tick(iteration):
        nonlocal now
        now += 1

    def save(path, content, identity):
        nonlocal now
        now += writing
        seen.append(content["iteration"])

    monkeypatch.setattr(running.time, "monotonic", lambda: now)
    monkeypatch.setattr(running.checkpoint, "save", save)
    run(Example3(), UniBiO(), [0], 20, checkpoint=tmp_path / "c", checkpoint_seconds=1.0, progress=tick)
    assert seen == saved_at


def test_a_batch_that_has_ended_early_stays_ended(tmp_path):
    """All rows diverged, or out of budget, at iteration 1: resuming must not compute another one."""
    for options in ({"upper_step": 1e11}, {}):
        path = tmp_path / f"{len(options)}"
        settings = {"steps": 9, "checkpoint": path, "checkpoint_seconds": 0.0, "budget": None if options else 60}
        first = run(Example3(exponent=4), UniBiO(**options), [0, 1], **settings)
        told: list[int] = []
        again = run(Example3(exponent=4), UniBiO(**options), [0, 1], **settings, progress=told.append)
        assert told == []
        assert again.stopped_at == [1, 1]
        assert bits(again) == bits(first)


def test_a_checkpoint_is_replaced_never_written_into(tmp_path):
    """A reader, or a crash, between two bytes of a write must find the old file or the new one."""
    path = tmp_path / "c"
    tensorfile.save(path, {"iteration": 1})
    with path.open("rb") as old:
        before = old.read()
        old.seek(0)
        tensorfile.save(path, {"iteration": 2})
        assert old.read() == before
    assert tensorfile.load(path) == {"iteration": 2}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("algorithm", [UniBiO(), SABA(batch_size=1), BOREP(warm_budget=100)])
def test_a_start_can_be_stopped_and_loses_nothing(algorithm, tmp_path):
    """Asked before every oracle call of the warm start, the tables' first pass and the check of steps."""
    calls: list[str] = []
    problem = minibatch_problem()
    lower = problem.lower

    def counted(x, y, s):
        calls.append("lower")
        return lower(x, y, s)

    problem = replace(problem, lower=counted)
    settings = {"checkpoint": tmp_path / "c", "log_points": 3}
    expected = run(minibatch_problem(), algorithm, [0], 3, log_points=3)
    asks = itertools.count()
    run(problem, algorithm, [0], 3, should_stop=lambda: next(asks) < 0, log_points=3)
    at_start = next(asks) - 3
    assert at_start > 20
    for stop in (0, 1, at_start // 2, at_start - 1):
        asked = itertools.count()
        calls.clear()
        with pytest.raises(Interrupted, match="stopped at iteration 0"):
            run(problem, algorithm, [0], 3, should_stop=lambda asked=asked, stop=stop: next(asked) == stop, **settings)
        assert next(asked) == stop + 1, "nothing went on after the stop"
        assert len(calls) <= stop + 10, "up to ten are the check of the problem"
        assert not settings["checkpoint"].exists()
    assert bits(run(problem, algorithm, [0], 3, **settings)) == bits(expected)


def test_no_checkpoint_unless_asked_for(tmp_path):
    with pytest.raises(Interrupted):
        run(Example3(), UniBiO(), [0], 4, should_stop=lambda: True)
    assert run(Example3(), UniBiO(), [0], 4, checkpoint=tmp_path / "never written").resumed_from == 0


def test_a_checkpoint_of_other_runs_is_refused(tmp_path):
    path = tmp_path / "c"
    run(Example3(), UniBiO(), [0, 1], 3, checkpoint=path, checkpoint_seconds=0.0)
    with pytest.raises(InputError, match=r"checkpoint .* belongs to other runs"):
        run(Example3(), UniBiO(), [0, 1, 2], 3, checkpoint=path)
    with pytest.raises(InputError, match=r"checkpoint .* belongs to other runs"):
        run(Example3(), UniBiO(), [0, 2], 3, checkpoint=path)
    with pytest.raises(InputError, match=r"checkpoint .* belongs to other runs"):
        run(Example3(), ReleasedUniBiO(), [0, 1], 3, checkpoint=path)


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "empty":
        data = bytearray()
    elif how == "truncated":
        data = data[:-1]
    elif how == "header only":
        data = data[:32]
    elif how == "longer":
        data += b"x"
    else:
        data[{"first byte": 0, "middle": len(data) // 2, "last byte": -1}[how]] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("how", ["empty", "truncated", "header only", "longer", "first byte", "middle", "last byte"])
def test_a_damaged_checkpoint_is_noticed(how, tmp_path, monkeypatch):
    monkeypatch.setattr(simulating, "SAVE_PAUSE", 0)
    path = tmp_path / "c"
    run(Example3(), UniBiO(), [0], 3, checkpoint=path, checkpoint_seconds=0.0)
    assert tensorfile.load(path)["iteration"] == 3
    damage(path, how)
    with pytest.raises(tensorfile.DamagedFile, match="is damaged"):
        run(Example3(), UniBiO(), [0], 3, checkpoint=path)


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c"
    tensorfile.save(path, {"iteration": 1})

    def fail(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr(tensorfile.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        tensorfile.save(path, {"iteration": 2})
    assert tensorfile.load(path) == {"iteration": 1}


@pytest.mark.slow
def test_a_checkpoint_is_written_and_read_without_a_copy_in_memory(tmp_path):
    """In a process of its own, whose peak tells: 200 MiB of tensors, and not as much again while they are saved."""
    script = """
import sys
from pathlib import Path
import torch
from unibio import tensorfile

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

path = Path(sys.argv[1])
tensorfile.save(path, {"few": torch.ones(9)})
tensorfile.load(path)
content = {f"table {k}": torch.full((5 * 2**20,), k, dtype=torch.float64) for k in range(5)}
before = peak()
tensorfile.save(path, content)
saving = peak() - before
again = tensorfile.load(path)
assert all(torch.equal(again[key], value) for key, value in content.items())
print(saving, peak() - before)
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak memory of a process is read from /proc, which is not here")
    environment = os.environ | {"PYTHONPATH": str(Path(tensorfile.__file__).parents[1])}
    command = [sys.executable, "-c", script, str(tmp_path / "c")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    saving, with_loaded = map(float, done.stdout.split())
    assert saving < 100
    assert with_loaded < 300


def test_no_file_is_no_checkpoint(tmp_path):
    assert tensorfile.load(tmp_path / "nothing") is None


# Types, shapes, settings ----------------------------------------------------------------------------------------


def test_single_precision():
    options = {"steps": 20, "seed": range(3)}
    for spec in (Example3(noise=1.0), Coordinatewise(noise=0.01)):
        single, double = (solve(spec, dtype=dtype, **options) for dtype in (torch.float32, torch.float64))
        assert single.x.dtype == single.y.dtype == torch.float32
        assert double.x.dtype == torch.float64
        np.testing.assert_allclose(single.x, double.x, atol=1e-4)
        np.testing.assert_allclose(single.y, double.y, atol=1e-3)
        assert not torch.equal(single.y.double(), double.y)
        assert single.history["hypergradient_norm"].dtype == np.float64


def test_iterates_that_change_shape_or_type_are_refused():
    class Wrong(Walk):
        def step(self, oracle, state):
            return {"x": state["x"].to(torch.float32), "y": state["y"], "t": 1}

    with pytest.raises(InputError, match=r"turned x from \(1, 1\) torch.float64 into \(1, 1\) torch.float32"):
        run(Example3(), Wrong(), [0], 2)
    with pytest.raises(InputError, match=r"algorithm\.upper_step has 3 rows, but there are 2 runs"):
        run(Example3(), UniBiO(upper_step=tensor([[0.1], [0.2], [0.3]])), [0, 1], 2)
    wrong = Example3(noise=tensor([[0.1], [0.2], [0.3]]))
    with pytest.raises(InputError, match=r"sample_lower: sample has shape \(3, 1\) for 1 runs"):
        run(wrong, UniBiO(), [0], 2)
    with pytest.raises(InputError, match=r"lower is declared batched .* shape \(1,\).* returned shape \(3,\)"):
        run(wrong, UniBiO(), [0], 2, check=False)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(1), r"x must be \(1, d\) and finite, one row per seed, got \(1,\)"),
        (torch.ones(2, 1), r"x must be \(1, d\)"),
        (torch.full((1, 1), torch.nan), r"x must be \(1, d\) and finite"),
    ],
)
def test_starts_are_checked(x, message):
    with pytest.raises(InputError, match=message):
        run(Example3(), UniBiO(), [0], 2, x=x, y=torch.ones(1, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": None}, r"give steps \(outer iterations\), budget \(oracle calls\) or epochs .*; none is set"),
        ({"steps": 0}, "steps must be a positive integer, got 0"),
        ({"steps": 2.0}, "steps must be a positive integer, got 2.0"),
        ({"steps": True}, "steps must be a positive integer"),
        ({"steps": None, "budget": -1}, "budget must be a positive integer, got -1"),
        ({"steps": 1, "log_points": 1}, "log_points must be an integer ≥ 2 and ≤ 1,000,000, got 1"),
        ({"steps": 1, "targets": {"hypergradient_norm": 0.1}}, "targets.hypergradient_norm must be a list"),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        Settings(**options)


def test_targets_need_an_averaged_metric():
    with pytest.raises(InputError, match=r"targets\.lower_error: .* 'example3' offers hypergradient_norm"):
        run(Example3(), UniBiO(), [0], 2, targets={"lower_error": [0.1]})


def test_history_is_a_plain_table():
    assert isinstance(run(Example3(), UniBiO(), [0], 2).history.index, pd.RangeIndex)
