"""Declared separable lower levels: compiled loops compute what the general solver computes, to the bit."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unibio import Coordinatewise, Example3, Problem
from unibio.core import compiled, separable_sgd
from unibio.core.epoch_sgd import epoch_sgd
from unibio.core.hypergradients import generalised_neumann
from unibio.core.oracle import Oracle
from unibio.core.separable import Separable, saturating
from unibio.core.separable_neumann import estimate
from unibio.core.streams import Streams
from unibio.errors import InputError
from unibio.problems.hoelder import Hoelder
from unibio.registry import PROBLEMS

FLOATS = st.one_of(st.floats(-3, 3), st.sampled_from([0.0, -0.0, 1e200, -1e30, math.inf, -math.inf, math.nan]))


def problem(exponent: float, d: int, kinds: int, level: Tensor | None) -> Problem:
    """A separable lower level with s = sin, and an upper level that nobody asks for."""
    lower = Separable(exponent, d, torch.sin, level, kinds)

    def g(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return (y.abs() ** exponent / exponent - y * torch.sin(x)).sum(-1)

    return Problem(
        upper=lambda x, y: (x * y).sum(-1),
        lower=g,
        exponent=exponent,
        sample_lower=None if level is None else lower.sample,
        derivatives=lower.derivatives,
        separable=lower,
        batched=True,
    )


def solved(p: Problem, seeds: list[int], x: Tensor, y: Tensor, on: bool, **options) -> tuple[list[Tensor], Oracle]:
    """Two solves, the second from where the first ended, with compiled loops or without."""
    oracle = Oracle(p, Streams(seeds, dtype=x.dtype))
    with compiled.forced(on), torch.no_grad():
        first = epoch_sgd(oracle, x, y, **options)
        return [first, epoch_sgd(oracle, x, first, **options | {"budget": 2 * options["budget"]})], oracle


@settings(max_examples=150)
@given(
    data=st.data(),
    exponent=st.sampled_from([2, 3, 4, 5.0, 6, 8, 9]),
    d=st.sampled_from([1, 1, 1, 2, 3, 4, 5, 7, 8, 12, 15, 17]),
    seeds=st.lists(st.integers(-2, 6), min_size=1, max_size=9),
    kinds=st.sampled_from([0, 1, 1, 3]),
    budget=st.integers(1, 150),
    first_length=st.floats(1, 9),
    average=st.sampled_from(["first", "last"]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    radius=st.sampled_from([1e-3, 0.3, 2.0, 1e3]),
    per_run=st.sampled_from(["", "step", "radius", "both"]),
    levels=st.sampled_from(["one", "runs", "all"]),
)
@pytest.mark.slow
def test_a_compiled_solve_is_the_general_one(
    data, exponent, d, seeds, kinds, budget, first_length, average, dtype, radius, per_run, levels
):
    """To the bit, counts and draws included: any size, p, noise and option, on and off the ball, NaN and infinite."""
    runs = len(seeds)
    shape = {"one": (1, 1), "runs": (runs, 1), "all": (runs, max(1, kinds) * d)}[levels]
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    level = None if not kinds else torch.rand(shape, dtype=torch.float64, generator=random)
    x, y = (torch.randn((runs, d), dtype=dtype, generator=random) for _ in range(2))
    y[0] = torch.as_tensor(data.draw(FLOATS), dtype=dtype)
    step = 0.4 * torch.rand((runs, 1), dtype=dtype, generator=random) if per_run in ("step", "both") else 0.3
    if per_run in ("radius", "both"):
        radius = radius * (1 + torch.rand((runs, 1), dtype=dtype, generator=random))
    options = {"first_length": first_length, "first_radius": radius, "step": step, "average": average, "budget": budget}
    p = problem(exponent, d, kinds or 1, level)
    with pytest.warns(UserWarning, match="takes no step") if first_length > budget else _nothing():
        plain, plain_oracle = solved(p, seeds, x, y, False, **options)
        fast, fast_oracle = solved(p, seeds, x, y, True, **options)
    for one, other in zip(plain, fast, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert str(plain_oracle.state()) == str(fast_oracle.state())


def _nothing():
    return pytest.MonkeyPatch.context()


@pytest.mark.parametrize("average", ["first", "last"])
def test_a_row_that_is_not_finite_leaves_the_others_alone(average):
    """Whatever its place."""
    p = Example3(noise=1.0).build()
    start = torch.tensor([[-math.inf], [1.0], [math.nan], [0.5], [math.inf], [1e200]], dtype=torch.float64)
    options = {"budget": 60, "first_length": 5, "first_radius": 1.0, "step": 0.3, "average": average}
    for shift in range(len(start)):
        y = start.roll(shift, 0)
        plain, _ = solved(p, list(range(6)), torch.ones_like(y), y, False, **options)
        fast, _ = solved(p, list(range(6)), torch.ones_like(y), y, True, **options)
        np.testing.assert_array_equal(plain[1], fast[1])
        assert int(torch.isfinite(fast[1]).sum()) >= 2


@pytest.mark.parametrize("spec", [Example3(noise=1.0), Coordinatewise(dimension=6, noise=0.5)], ids=["one", "several"])
def test_example_3_is_declared_and_solved_by_compiled_loops(spec, monkeypatch):
    """Also many rows, which are stepped in portions; the loops are really used."""
    used = []
    monkeypatch.setattr("unibio.core.epoch_sgd.solve", lambda *a, **k: used.append(1) or separable_sgd.solve(*a, **k))
    p = spec.build()
    runs, d = 1100, len(p.start[0])
    x, y = (torch.linspace(-2, 2, runs * d, dtype=torch.float64).reshape(runs, d) for _ in range(2))
    options = {"budget": 40, "first_length": 5, "first_radius": 0.7, "step": 0.3}
    plain, _ = solved(p, list(range(runs)), x, y, False, **options)
    assert not used
    fast, _ = solved(p, list(range(runs)), x, y, True, **options)
    assert len(used) == 2
    assert torch.equal(plain[1], fast[1])


@pytest.mark.parametrize("changed", ["grad_lower", "sample_lower", "exponent", "size_lower", "none", "grad", "real"])
def test_whoever_replaces_a_part_is_solved_without_the_declaration(changed):
    """A replaced derivative or sampler must not be ignored; neither must autograd, which follows no compiled loop."""
    p = Example3(noise=1.0).build()
    own = p.derivatives["grad_lower"]
    x = torch.ones(2, 1, dtype=torch.float64, requires_grad=changed == "grad")
    if changed == "grad_lower":
        p = replace(p, derivatives=p.derivatives | {"grad_lower": lambda x, y, s: 2 * own(x, y, s)})
    elif changed == "sample_lower":
        p = replace(p, sample_lower=lambda draw: torch.zeros(draw.runs, 1, dtype=torch.float64))
    elif changed == "exponent":
        p = replace(p, exponent=6)
    elif changed == "size_lower":
        p = replace(p, size_lower=10)
    elif changed == "real":
        p = problem(2.5, 1, 1, None)
    with compiled.forced(True):
        found = separable_sgd.loops_for(Oracle(p, Streams([0, 1])), x, x.detach(), (0.1, 1.0), 5)
    assert (found is not None) == (changed == "none")


def test_no_compiled_loops_where_torch_rounds_differently(monkeypatch):
    """Another build of torch may fuse other operations: it is asked, not believed."""
    p, x = Example3(noise=1.0).build(), torch.ones(2, 1, dtype=torch.float64)
    separable_sgd.rounds_alike.cache_clear()
    monkeypatch.setattr(separable_sgd, "descend", lambda y, step, g: y - step * g)
    with compiled.forced(True):
        assert separable_sgd.loops_for(Oracle(p, Streams([0, 1])), x, x, (0.1, 1.0), 5) is None
    separable_sgd.rounds_alike.cache_clear()


@settings(max_examples=100)
@given(
    data=st.data(),
    exponent=st.sampled_from([2, 4, 6, 8]),
    d=st.sampled_from([1, 1, 2, 5]),
    runs=st.integers(1, 9),
    noise=st.sampled_from([0.0, 0.5]),
    upper_noise=st.sampled_from([0.0, 0.5]),
    terms=st.integers(1, 5),
    samples=st.sampled_from(["fresh", "shared"]),
    floor=st.sampled_from([1e-8, 1e-3, 0.5]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    per_run=st.booleans(),
)
def test_a_compiled_estimate_is_the_general_one(
    data, exponent, d, runs, noise, upper_noise, terms, samples, floor, dtype, per_run
):
    """To the bit, counts and draws included, also while y stays and when it changes, even in place."""
    levels = {"exponent": exponent, "noise": noise, "upper_noise": upper_noise}
    p = (Example3(**levels) if d == 1 else Coordinatewise(dimension=d, **levels)).build()
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    xs, (y, other) = (torch.randn((n, runs, d), dtype=dtype, generator=random) for n in (3, 2))
    y[0] = torch.as_tensor(data.draw(FLOATS), dtype=dtype)
    step = 1.5 * torch.rand((runs, 1), dtype=dtype, generator=random) if per_run else 0.8
    found = []
    for on in (False, True):
        oracle, at = Oracle(p, Streams(range(runs), dtype=dtype)), y.clone()
        with compiled.forced(on), torch.no_grad():
            options = {"terms": terms, "step": step, "floor": floor, "samples": samples}
            values = [generalised_neumann(oracle, x, at, **options) for x in xs]
            at.mul_(0.5)
            values.append(generalised_neumann(oracle, xs[0], at, **options))
            values.append(generalised_neumann(oracle, xs[0], other, **options | {"terms": terms + 1}))
            values.append(generalised_neumann(oracle, xs[0], other, **options))
            values.append(generalised_neumann(oracle, xs[0], other, **options | {"step": 0.3}))
        found.append((values, str(oracle.state())))
    for one, two in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_array_equal(one, two)
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("changed", ["hvp", "grad_upper", "vanishing_hessian", "size_upper", "kinds", "none"])
def test_whoever_replaces_a_part_is_estimated_without_the_declaration(changed):
    p = Example3(noise=1.0).build()
    if changed in p.derivatives:
        own = p.derivatives[changed]
        p = replace(p, derivatives=p.derivatives | {changed: partial(own)})
    elif changed == "kinds":
        lower = replace(p.separable, linear_noise=False)
        p = replace(p, separable=lower, derivatives=lower.derivatives, sample_lower=lower.sample)
    elif changed != "none":
        p = replace(p, **{changed: {"vanishing_hessian": False, "size_upper": 3}[changed]})
    x = torch.ones(2, 1, dtype=torch.float64)
    with compiled.forced(True):
        found = estimate(Oracle(p, Streams([0, 1])), x, x, terms=2, step=0.5, floor=1e-3, samples="fresh")
    assert (found is not None) == (changed == "none")


def test_what_a_problem_declares_is_what_it_has():
    """A declaration whose parts are not the problem's own would be passed over in silence."""
    declaring = [spec for spec in (Example3, Coordinatewise, Hoelder) if spec in PROBLEMS.values()]
    built = [spec(noise=noise).build() for spec in declaring for noise in (0.0, 1.0)]
    assert [p.own_separable() is p.separable is not None for p in built] == [True] * 6


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("average", ["first", "last"])
def test_the_hoelder_problem_is_solved_by_compiled_loops(d, average, monkeypatch):
    """Noise of three kinds, one of them curved."""
    used = []
    monkeypatch.setattr("unibio.core.epoch_sgd.solve", lambda *a, **k: used.append(1) or separable_sgd.solve(*a, **k))
    p = Hoelder(exponent=4, dimension=d, noise=1.0, hessian_noise=0.0625, cross_noise=0.25).build()
    x, y = (torch.linspace(-2, end, 300 * d, dtype=torch.float64).reshape(300, d) for end in (2, 3))
    options = {"budget": 60, "first_length": 5, "first_radius": 0.7, "step": 0.3, "average": average}
    plain, _ = solved(p, list(range(300)), x, y, False, **options)
    fast, _ = solved(p, list(range(300)), x, y, True, **options)
    assert len(used) == 2
    assert torch.equal(plain[1], fast[1])


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("grad_upper", lambda x, y, s: (torch.ones_like(x), y), "f_x is its sample, or 0"),
        ("grad_upper", lambda x, y, s: (torch.zeros_like(x) if s is None else s, x * y), "f_y depends on y alone"),
        ("hvp", lambda x, y, v, s: 2 * v, "∇²_yy g is D\\(y\\)"),
        ("jvp", lambda x, y, v, s: v if s is None else s * v, "∇²_xy g has no noise"),
    ],
)
def test_a_wrong_declaration_is_refused(name, wrong, said):
    """Estimates that believe it would be silently wrong."""
    p = Example3(noise=1.0, upper_noise=1.0).build()
    lower = replace(p.separable, others=p.separable.others | {name: wrong})
    p = replace(p, separable=lower, derivatives=lower.derivatives, sample_lower=lower.sample)
    x = torch.full((3, 1), 0.7, dtype=torch.float64)
    with pytest.raises(InputError, match=f"separable: linear_noise=True says that {said}"):
        p.prepare(x, x)


def test_a_solve_can_be_stopped_before_it():
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    oracle = Oracle(Example3(noise=1.0).build(), Streams([0]))
    oracle.before_call = stop
    x = torch.ones(1, 1, dtype=torch.float64)
    with compiled.forced(True), pytest.raises(Stop):
        epoch_sgd(oracle, x, x, budget=9, first_length=5, first_radius=1.0, step=0.1)
    assert oracle.calls == 0


def test_saturating():
    """Linear, a parabola, constant; odd."""
    u = torch.tensor([0.0, 1.5, 2.0, 2.5, 9.0], dtype=torch.float64)
    wanted = torch.tensor([0.0, 1.5, 1.875, 2.0, 2.0], dtype=torch.float64)
    assert torch.equal(saturating(u), wanted)
    assert torch.equal(saturating(-u), -wanted)
