"""Whole iterations in compiled loops are those of ``step``, to the bit: any setting, stopped and looked at anywhere."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from support import assert_same
from unibio import Coordinatewise, Example3, InputError, Problem
from unibio.algorithms.ablated import UnaveragedUniBiO
from unibio.algorithms.unibio import UniBiO
from unibio.core import compiled, vectors
from unibio.core.iterations import Iterations
from unibio.core.powers import abs_power, scale, signed_power
from unibio.core.rules import SGD
from unibio.core.separable import Separable, Sines
from unibio.core.streams import Draw
from unibio.problems.hoelder import Hoelder
from unibio.simulation.history import log_iterations
from unibio.simulation.settings import Settings
from unibio.simulation.simulate import simulate
from unibio.simulation.trajectories import Interrupted, Trajectories


def run(on: bool, problem: Problem, algorithm: UniBiO, seeds: list[int], s: Settings, dtype=torch.float64, **asked):
    """A batch from (1, 1), with compiled loops or without."""
    start = torch.ones(len(seeds), 1, dtype=dtype)
    with compiled.forced(on):
        return simulate(problem, algorithm, start, start.clone(), seeds=seeds, settings=s, **asked)


def both(*given: Any, **asked: Any) -> Trajectories:
    """A batch that is the same either way."""
    plain, fast = (run(on, *given, **asked) for on in (False, True))
    assert_same(plain, fast)
    return fast


def compiled_ones(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The iterations that compiled loops come to from now on."""
    reached: list[int] = []
    advance = Iterations.advance

    def noted(self: Iterations, until: int, **asked: Any) -> bool | None:
        came = advance(self, until, **asked)
        reached.append(self.t)
        return came

    monkeypatch.setattr(Iterations, "advance", noted)
    return reached


def per_run(data: st.DataObject, low: float, high: float, runs: int, dtype: torch.dtype) -> float | torch.Tensor:
    numbers = st.floats(low, high)
    if data.draw(st.booleans()):
        return data.draw(numbers)
    return torch.tensor(data.draw(st.lists(numbers, min_size=runs, max_size=runs)), dtype=dtype)[:, None]


@pytest.mark.slow
@settings(max_examples=60)
@given(
    data=st.data(),
    seeds=st.lists(st.integers(-2, 5), min_size=1, max_size=9),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    exponent=st.sampled_from([2, 4, 6, 8]),
    noises=st.tuples(st.sampled_from([0.0, 0.3, 4.0]), st.sampled_from([0.0, 0.5])),
    period=st.integers(1, 5),
    budgets=st.tuples(st.integers(6, 220), st.sampled_from([None, 40])),
    first_length=st.floats(1, 6),
    terms=st.integers(1, 5),
    samples=st.sampled_from(["fresh", "shared"]),
    average=st.sampled_from(["first", "last"]),
    floor=st.sampled_from([1e-8, 1e-3, 0.5]),
    logged=st.tuples(st.integers(1, 90), st.integers(2, 40)),
    calls=st.sampled_from([None, 300, 1500]),
    targets=st.lists(st.floats(0.01, 0.9), max_size=3, unique=True),
    watched=st.booleans(),
)
def test_any_setting(
    data, seeds, dtype, exponent, noises, period, budgets, first_length, terms, samples, average, floor, logged, calls,
    targets, watched,
):  # fmt: skip
    """History, first hits, counts, results and what a checkpoint holds."""
    runs = len(seeds)
    algorithm = UniBiO(
        upper_step=per_run(data, 1e-3, 0.3, runs, dtype),
        lower_step=per_run(data, 0.01, 1.5, runs, dtype),
        momentum=per_run(data, 0.0, 0.99, runs, dtype),
        neumann_step=per_run(data, 0.1, 1.5, runs, dtype),
        first_radius=per_run(data, 0.1, 3.0, runs, dtype),
        period=period, inner_budget=budgets[0], warm_budget=budgets[1], first_length=first_length, neumann_terms=terms,
        neumann_samples=samples, average=average, floor=floor,
    )  # fmt: skip
    noise, upper = (per_run(data, 0.0, level, runs, torch.float64) if level else 0.0 for level in noises)
    problem = Example3(exponent=exponent, noise=noise, upper_noise=upper).build()
    s = Settings(
        steps=logged[0],
        log_points=logged[1],
        budget=calls,
        targets={"hypergradient_norm": targets} if targets else None,
    )
    both(problem, algorithm, seeds, s, dtype, progress=(lambda done: None) if watched else None)


@pytest.mark.parametrize("watched", [False, True])
def test_from_row_to_row_or_one_by_one(watched, monkeypatch):
    """No iteration is left to ``step``, whose random numbers run out in the middle of solves, of many runs."""
    reached = compiled_ones(monkeypatch)
    problem = Example3(noise=1.0, upper_noise=0.2).build()
    s = Settings(steps=40, log_points=5)
    told: list[int] = []
    run(True, problem, UniBiO(), list(range(600)), s, progress=told.append if watched else None)
    assert reached == (list(range(1, 41)) if watched else log_iterations(40, 5)[1:])
    assert told == (list(range(1, 41)) if watched else [])


NOT_PLAIN = {
    "estimator": lambda p, a: (p, replace(a, estimator="classical")),
    "exponent": lambda p, a: (p, replace(a, assumed_exponent=2)),
    "rule": lambda p, a: (p, replace(a, upper_update=SGD(0.01, momentum=0.5))),
    "subclass": lambda p, a: (p, UnaveragedUniBiO(inner_budget=20)),
    "metrics": lambda p, a: (replace(p, metrics=lambda x, y: {"hypergradient_norm": x.abs()[:, 0]}), a),
    "averaged": lambda p, a: (replace(p, averaged=("value",)), a),
    "sampler": lambda p, a: (replace(p, sample_upper=lambda draw: 0.1 * draw.normal(1)), a),
    "projection": lambda p, a: (replace(p, project_upper=lambda x: x.clamp(-1, 1)), a),
    "hessian": lambda p, a: (replace(p, vanishing_hessian=False), a),
    "jvp": lambda p, a: (replace(p, derivatives=p.derivatives | {"jvp": partial(p.derivatives["jvp"])}), a),
}  # fmt: skip


@pytest.mark.parametrize("changed", NOT_PLAIN)
def test_whoever_replaces_a_part_is_solved_without(changed, monkeypatch):
    """A replaced part must not be ignored."""
    problem, algorithm = NOT_PLAIN[changed](Example3(noise=1.0).build(), UniBiO(inner_budget=20))
    reached = compiled_ones(monkeypatch)
    run(True, problem, algorithm, [0, 1], Settings(steps=3))
    assert not reached


def test_a_method_that_is_changed_is_called(monkeypatch):
    """Also in a process that has loaded the loops."""
    reached = compiled_ones(monkeypatch)
    step, taken = UniBiO.step, []
    monkeypatch.setattr(UniBiO, "step", lambda *given: taken.append(1) or step(*given))
    run(True, Example3(noise=1.0).build(), UniBiO(inner_budget=20), [0, 1], Settings(steps=3))
    assert len(taken) == 3
    assert not reached


@pytest.mark.parametrize("missing", ["library", "function", "other numbers"])
def test_without_the_functions_of_torch_there_are_none(missing, monkeypatch):
    """Other builds of torch: the numbers are the same, from ``step``."""
    vectors.functions.cache_clear()
    if missing == "library":
        monkeypatch.setattr(vectors, "_LIBRARY", "nowhere.so")
    elif missing == "function":
        monkeypatch.setattr(vectors, "_LETTERS", {torch.float64: "x"})
    else:
        monkeypatch.setattr(vectors, "_agree", lambda *given: False)
    reached = compiled_ones(monkeypatch)
    outcome = run(True, Example3(noise=1.0).build(), UniBiO(inner_budget=20), [0, 1], Settings(steps=3))
    assert outcome.stopped_at == [3, 3]
    assert not reached
    vectors.functions.cache_clear()


@pytest.mark.parametrize("stop", [1, 7, 20])
def test_stopped_and_continued(stop, tmp_path):
    """In the middle of a period, with draws in the middle of a block, by loops or without; ``until``, too."""
    problem, algorithm = Example3(noise=1.0, upper_noise=0.1).build(), UniBiO(period=3, inner_budget=30)
    s = Settings(steps=30, log_points=6, targets={"hypergradient_norm": [0.6]})
    whole = run(False, problem, algorithm, [4, 1, 4], s)
    for first in (False, True):
        path, done = tmp_path / f"{first}.pt", []
        kept = replace(s, checkpoint=path)
        with pytest.raises(Interrupted):
            run(
                first,
                problem,
                algorithm,
                [4, 1, 4],
                kept,
                progress=done.append,
                should_stop=lambda d=done: len(d) == stop,
            )
        assert_same(whole, run(not first, problem, algorithm, [4, 1, 4], kept))
    cut = [run(on, problem, algorithm, [4, 1, 4], s, until=stop) for on in (False, True)]
    assert_same(*cut)
    assert cut[0].stopped_at == [stop] * 3


def sines(d: int, exponent: int, noise: float, upper_noise: float) -> Problem:
    """Coordinate by coordinate, unmixed, what Example 3 is."""

    def added(sample: Tensor | None, t: Tensor) -> Tensor | float:
        return 0.0 if sample is None else (sample * t).sum(-1)

    def upper(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return torch.sin(signed_power(y, exponent - 1).clamp(-math.pi / 2, math.pi / 2)).sum(-1) + added(sample, x)

    def lower(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return (abs_power(y, exponent) / exponent - y * torch.sin(x)).sum(-1) + added(sample, y)

    def grad_upper(x: Tensor, y: Tensor, sample: Tensor | None) -> tuple[Tensor, Tensor]:
        z = signed_power(y, exponent - 1)
        f_y = torch.where(z.abs() <= math.pi / 2, torch.cos(z) * scale(y, exponent), torch.zeros_like(z))
        return torch.zeros_like(x) if sample is None else sample, f_y

    def metrics(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"hypergradient_norm": torch.linalg.vector_norm(torch.cos(x) * torch.cos(torch.sin(x)), dim=-1)}

    def sample(draw: Draw) -> Tensor:
        return upper_noise * draw.normal(d)

    others = {
        "grad_upper": grad_upper,
        "hvp": lambda x, y, v, sample: scale(y, exponent) * v,
        "jvp": lambda x, y, v, sample: -torch.cos(x) * v,
    }
    levels = [torch.tensor([[one]], dtype=torch.float64) for one in (noise, upper_noise)]
    declared = Separable(
        exponent, d, torch.sin, levels[0], others=others, linear_noise=True, sines=Sines(levels[1], sample, metrics)
    )
    return Problem(
        upper=upper, lower=lower, exponent=exponent, sample_upper=sample, sample_lower=declared.sample, metrics=metrics,
        averaged=("hypergradient_norm",), derivatives=declared.derivatives, vanishing_hessian=True, separable=declared,
        batched=True,
    )  # fmt: skip


@pytest.mark.parametrize("d", [2, 9])
def test_several_coordinates(d, monkeypatch):
    """Norms are summed as torch sums them."""
    reached = compiled_ones(monkeypatch)
    problem, algorithm = sines(d, 4, 0.5, 0.1), UniBiO(inner_budget=40, momentum=0.3)
    start = torch.linspace(-1, 2, 3 * d, dtype=torch.float64).reshape(3, d)
    found = []
    for on in (False, True):
        with compiled.forced(on):
            s = Settings(steps=20, log_points=4)
            found.append(simulate(problem, algorithm, start, start.flip(0), seeds=[0, 1, 0], settings=s))
    assert_same(*found)
    assert reached[-1] == 20


def test_a_run_that_diverges_leaves_the_others_alone():
    """It ends where it would without, at an iterate that nobody would have looked at."""
    algorithm = UniBiO(upper_step=torch.tensor([[0.03], [2e10], [0.02]], dtype=torch.float64), inner_budget=20)
    found = both(Example3(noise=1.0).build(), algorithm, [0, 1, 2], Settings(steps=30, log_points=4))
    assert found.status == ["completed", "diverged", "completed"]


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("target", lambda x: torch.sin(x) + 1e-9, "s is the sine"),
        ("jvp", lambda x, y, v, s: torch.cos(x) * v, "∇²_xy g is −cos x"),
        ("grad_upper", lambda x, y, s: (torch.zeros_like(x), 3 * y * y), "f_y is the cosine"),
        ("metrics", lambda x, y: {"hypergradient_norm": x[:, 0]}, "hypergradient_norm is"),
    ],
)
def test_a_wrong_declaration_is_refused(name, wrong, said):
    """Iterations that believe it would be silently wrong."""
    p = Example3(noise=1.0).build()
    lower = p.separable
    if name == "target":
        lower = replace(lower, target=wrong)
    elif name == "metrics":
        lower = replace(lower, sines=replace(lower.sines, metrics=wrong))
    else:
        lower = replace(lower, others=lower.others | {name: wrong})
    p = replace(p, separable=lower, derivatives=lower.derivatives, sample_lower=lower.sample)
    x = torch.full((3, 1), 0.7, dtype=torch.float64)
    with pytest.raises(InputError, match=f"separable: sines says that {said}"):
        p.prepare(x, x)


@pytest.mark.parametrize("spec", [Coordinatewise(dimension=3), Hoelder(), Example3(cross_noise=0.1)])
def test_other_problems_declare_no_sines(spec):
    p = spec.build()
    assert p.separable is None or p.separable.sines is None
