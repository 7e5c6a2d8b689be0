"""Losses in every form a user may write them, derivatives by autograd against own ones, and what the oracle counts."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import NamedTuple

import numpy as np
import pytest
import torch

from support import oracle_of, regular_problem, tensor, vanishing_problem
from thinned import some
from unibio import Coordinatewise, Example3, InputError, Oracle, Problem, hypergradient, solve
from unibio.core.hypergradients import dense_hessian
from unibio.core.metrics import default_metrics, points_to_log, rows_to_log
from unibio.core.oracle import KINDS, Sample
from unibio.core.streams import Streams

# Own derivatives against autograd -----------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [2, 4, 6, 8])
@pytest.mark.parametrize("make", [Example3, functools.partial(Coordinatewise, dimension=4, mixing_seed=2)])
def test_own_derivatives_equal_autograd(make, p):
    """Every oracle call with and without them, with noise, also at zeros and beyond the clip."""
    own = make(exponent=p, noise=1.0, upper_noise=0.5).build()
    stripped = dataclasses.replace(own, derivatives={})
    d = len(own.start[1])
    rng = np.random.default_rng(p)
    x, v = tensor(rng.normal(size=(6, d))), tensor(rng.normal(size=(6, d)))
    y = tensor(rng.normal(size=(6, d)))
    y[0], y[1], y[2, 0] = 0.0, 3.0, -2.5  # singular; all clipped; one clipped
    a, b = (oracle_of(problem, x, y, list(range(6))) for problem in (own, stripped))
    for oracle in (a, b):
        oracle.results = [
            *oracle.grad_upper(x, y), oracle.grad_upper_x(x, y), oracle.grad_upper_y(x, y),
            oracle.grad_lower(x, y), oracle.grad_lower_x(x, y), oracle.hvp(x, y, v), oracle.jvp(x, y, v),
            *oracle.values(x, y), dense_hessian(oracle, x, y),
        ]  # fmt: skip
    for ours, autograd in zip(a.results, b.results, strict=True):
        assert ours.shape == autograd.shape
        np.testing.assert_allclose(ours, autograd, rtol=1e-12, atol=1e-12)
        assert not autograd.requires_grad
    assert a.counts().keys() == b.counts().keys()
    for kind, count in a.counts().items():
        assert torch.equal(count, b.counts()[kind]), kind


def test_a_trajectory_by_autograd_equals_one_by_own_derivatives():
    own = Coordinatewise(exponent=6, dimension=3, noise=1.0).build()
    a = solve(own, steps=30, seed=range(3))
    b = solve(dataclasses.replace(own, derivatives={}), steps=30, seed=range(3))
    np.testing.assert_allclose(a.x, b.x, atol=1e-12)
    np.testing.assert_allclose(a.y, b.y, atol=1e-12)


@pytest.mark.parametrize("make", [regular_problem, vanishing_problem])
def test_autograd_against_differences(make):
    """Gradients, HVP and JVP by central differences of the losses and of the gradients."""
    known = make(3, 0)
    rng = np.random.default_rng(0)
    x, y = tensor(rng.normal(size=(2, 3))), tensor(rng.normal(size=(2, 4)))
    v, w = tensor(rng.normal(size=(2, 4))), tensor(rng.normal(size=(2, 3)))
    oracle, h = oracle_of(known.problem, x, y), 1e-6

    def along(function, v=v):
        return (function(h * v) - function(-h * v)) / (2 * h)

    f_x, f_y = oracle.grad_upper(x, y)
    checks = [
        ((f_y * v).sum(1), along(lambda s: oracle.values(x, y + s)[0])),
        ((f_x * w).sum(1), along(lambda s: oracle.values(x + s, y)[0], w)),
        ((oracle.grad_lower(x, y) * v).sum(1), along(lambda s: oracle.values(x, y + s)[1])),
        ((oracle.grad_lower_x(x, y) * w).sum(1), along(lambda s: oracle.values(x + s, y)[1], w)),
        (oracle.hvp(x, y, v), along(lambda s: oracle.grad_lower(x, y + s))),
        (oracle.jvp(x, y, v), along(lambda s: oracle.grad_lower_x(x, y + s))),
    ]
    for exact, difference in checks:
        np.testing.assert_allclose(exact, difference, atol=1e-7)


def test_hvp_at_keeps_one_point_and_counts_every_use():
    known = regular_problem(4, 0)
    x, y = tensor(known.x[None]), tensor(known.y[None])
    oracle = oracle_of(known.problem, x, y)
    apply = oracle.hvp_at(x, y, oracle.sample_lower())
    first, second = apply(torch.ones_like(y)), apply(2 * torch.ones_like(y))
    assert torch.allclose(second, 2 * first)
    assert int(oracle.counts()["hvp"]) == 2


# Forms of losses ----------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
A3 = tensor(RNG.normal(size=(3, 3)))
A5 = tensor(RNG.normal(size=(5, 5)))
MATRIX = {1: torch.ones(1, 1, dtype=torch.float64), 3: A3 @ A3.T, 5: A5 @ A5.T}
VECTOR = {d: tensor(RNG.normal(size=d)) for d in (1, 3, 5)}

#: Lower losses as scalar functions of 1-d vectors that a batch of rows could be mistaken for, by name. The probes of
#: detection have 3 and 5 rows, so that d = 3 and d = 5 are where a wrong shape could look right.
SCALAR = {
    "first component": lambda x, y: 0.5 * (y[0] - x[0]) ** 2 + 0.5 * (y[1:] ** 2).sum(),
    "indexing only": lambda x, y: (y[0] - x[0]) ** 2 + y[-1] ** 2,
    "sum over everything": lambda x, y: 0.5 * ((y - x) ** 2).sum(),
    "sum over the first axis": lambda x, y: 0.5 * ((y - x) ** 2).sum(0),
    "sum over the last axis": lambda x, y: 0.5 * ((y - x) ** 2).sum(-1),
    "mean over the last axis": lambda x, y: ((y - x) ** 2).mean(-1),
    "mean over everything": lambda x, y: ((y - x) ** 2).mean(),
    "quadratic form": lambda x, y: 0.5 * y @ MATRIX[len(y)] @ y - x @ y,
    "matrix first": lambda x, y: 0.5 * (MATRIX[y.shape[0]] @ y) @ y - (x * y).sum(),
    "vector product": lambda x, y: 0.5 * (y @ y) + y @ VECTOR[y.shape[0]] * torch.sin(x).sum(),
    "dot": lambda x, y: 0.5 * torch.dot(y, y) - torch.dot(x, y),
    "norm": lambda x, y: 0.5 * torch.linalg.norm(y - x) ** 2,
    "norm of everything in a batch": lambda x, y: 0.5 * (y - x).square().sum(-1) * (1 + 0.1 * torch.sin(y.norm())),
    "shape (1,)": lambda x, y: (0.5 * ((y - x) ** 2).sum()).reshape(1),
    "keepdim": lambda x, y: 0.5 * ((y - x) ** 2).sum(-1, keepdim=True),
    "assertion": lambda x, y: _assert_vector(y) * 0.5 * ((y - x) ** 2).sum(),
    "does not depend on x": lambda x, y: 0.5 * (y * y).sum(),
    "convolution": lambda x, y: 0.5 * (y * y).sum() + 0.1 * (y[1:] * y[:-1]).sum() - (x * y).sum(),
}


def _assert_vector(y: torch.Tensor) -> float:
    assert y.ndim == 1, "a vector, please"
    return 1.0


#: In make test: as many runs as coordinates, which shapes do not tell apart, and fewer and more of them.
SHAPES = {(1, 1), (1, 3), (3, 1), (3, 2), (3, 3), (5, 5)}


@pytest.mark.one_in(5)
@pytest.mark.parametrize("start", ["generic", "zero"])
@pytest.mark.parametrize(
    ("d", "runs"), some(itertools.product([1, 3, 5], [1, 2, 3, 5]), lambda d, runs: (d, runs) in SHAPES)
)
@pytest.mark.parametrize("name", SCALAR)
def test_scalar_losses_are_recognised(name, d, runs, start):
    """Row by row they must give what the user's function gives for that row alone."""
    if d == 1 and name == "convolution":
        return  # nothing to convolve
    loss = SCALAR[name]
    problem = Problem(upper=lambda x, y: (x * y).sum(), lower=loss)
    rng = np.random.default_rng(d + runs)
    x, y, v = (tensor(rng.normal(size=(runs, d))) for _ in range(3))
    probe = (torch.zeros_like(x), torch.zeros_like(y)) if start == "zero" else (x, y)
    problem.prepare(*probe)
    oracle = Oracle(problem, Streams([0] * runs))
    _, values = oracle.values(x, y)
    assert values.shape == (runs,)
    g_y, g_x, hv, jv = oracle.grad_lower(x, y), oracle.grad_lower_x(x, y), oracle.hvp(x, y, v), oracle.jvp(x, y, v)
    f_x, f_y = oracle.grad_upper(x, y)
    np.testing.assert_allclose(f_x, y)
    np.testing.assert_allclose(f_y, x)

    def one(x, y):
        return loss(x, y).reshape(())

    for row in range(runs):
        point = (x[row], y[row])
        expected_x, expected_y = torch.autograd.functional.jacobian(one, point)
        (_, g_xy), (_, g_yy) = torch.autograd.functional.hessian(one, point)
        np.testing.assert_allclose(values[row], one(*point))
        np.testing.assert_allclose(g_y[row], expected_y, atol=1e-13)
        np.testing.assert_allclose(g_x[row], expected_x, atol=1e-13)
        np.testing.assert_allclose(hv[row], g_yy @ v[row], atol=1e-12)
        np.testing.assert_allclose(jv[row], g_xy @ v[row], atol=1e-12)


def pair_of_forms():
    """One problem as scalar losses and as batched losses, with noise, x and y of different length."""
    B = tensor(np.random.default_rng(0).normal(size=(2, 3)))
    samplers = {"sample_upper": lambda draw: draw.normal(2), "sample_lower": lambda draw: draw.normal(3)}
    scalar = Problem(
        upper=lambda x, y, xi: torch.cos(y).sum() + 0.5 * x @ x + xi @ x,
        lower=lambda x, y, zeta: (y**4).sum() / 4 + 0.5 * y @ y - torch.sin(x) @ B @ y + zeta @ y,
        exponent=4, **samplers,
    )  # fmt: skip
    batched = Problem(
        upper=lambda x, y, xi: torch.cos(y).sum(-1) + 0.5 * (x * x).sum(-1) + (xi * x).sum(-1),
        lower=lambda x, y, zeta: (
            (y**4).sum(-1) / 4 + 0.5 * (y * y).sum(-1) - ((torch.sin(x) @ B) * y).sum(-1) + (zeta * y).sum(-1)
        ),
        exponent=4, **samplers,
    )  # fmt: skip
    return scalar, batched


@pytest.mark.one_in(2)
@pytest.mark.filterwarnings("ignore:neumann_step")
@pytest.mark.parametrize("seeds", [0, range(3)])
def test_scalar_and_batched_losses_give_the_same_numbers(seeds):
    options = {"neumann_step": 0.01, "lower_step": 0.3, "upper_step": 0.05}
    a, b = (solve(problem, "unibio", [0.5, -1.0], [0.1, 0.2, 0.3], steps=15, seed=seeds, **options)
            for problem in pair_of_forms())  # fmt: skip
    np.testing.assert_allclose(a.x, b.x, atol=1e-12)
    np.testing.assert_allclose(a.y, b.y, atol=1e-12)
    columns = [c for c in a.history.columns if c != "seconds"]
    np.testing.assert_allclose(a.history[columns], b.history[columns], atol=1e-10)


def test_one_scalar_and_one_batched_loss():
    problem = Problem(upper=lambda x, y: (y @ y) * x.sum(), lower=lambda x, y: 0.5 * ((y - x) ** 2).sum(-1))
    estimate = hypergradient(problem, [1.0, 2.0], [1.0, 2.0], estimator="exact")
    np.testing.assert_allclose(estimate, 5 + 2 * 3 * np.array([1.0, 2.0]))


def test_copies_of_prepared_problems():
    """dataclasses.replace after use: a lifted loss stays, a new one is looked at afresh."""
    for batched in (None, False):
        problem = Problem(upper=lambda x, y: y[0] * x[0], lower=lambda x, y: ((y - x) ** 2).sum(), batched=batched)
        expected = hypergradient(problem, [2.0, 1.0], [2.0, 1.0], estimator="exact")
        copy = dataclasses.replace(problem, name="copy")
        assert torch.equal(hypergradient(copy, [2.0, 1.0], [2.0, 1.0], estimator="exact"), expected)
        other = dataclasses.replace(problem, upper=lambda x, y: 2 * y[0] * x[0])
        both = hypergradient(other, [[2.0, 1.0]] * 3, [[2.0, 1.0]] * 3, estimator="exact")
        assert torch.equal(both, 2 * expected.expand(3, 2))


# Signatures ---------------------------------------------------------------------------------------------------------


def lower_quadratic(x, y):
    return (0.5 * (y - x) ** 2).sum(-1)


def with_default(x, y, weight=2.0):
    return weight * y.sum(-1)


def with_optional_sample(x, y, sample=None):
    return y.sum(-1) if sample is None else (sample * y).sum(-1)


def with_anything(*arguments):
    _, y, sample = arguments
    return (y if sample is None else sample * y).sum(-1)


class Callable3:
    def __call__(self, x, y, sample):
        return with_optional_sample(x, y, sample)


def upper_slope(loss, sampler=None) -> np.ndarray:
    problem = Problem(upper=loss, lower=lower_quadratic, sample_upper=sampler)
    x = torch.zeros(2, 3, dtype=torch.float64)
    return oracle_of(problem, x, x, [1, 2]).grad_upper(x, x)[1].numpy()


def test_arguments_of_losses():
    ones = np.ones((2, 3))

    def sampler(draw):
        return torch.full((draw.streams.runs, 3), 3.0, dtype=torch.float64)

    assert (upper_slope(lambda x, y: y.sum(-1)) == ones).all()
    assert (upper_slope(lambda x, y: y.sum(-1), sampler) == ones).all()  # a sample nobody asked for
    assert (upper_slope(with_default) == 2 * ones).all()  # a constant is not overwritten by "no sample"
    for loss in (with_optional_sample, with_anything, Callable3()):
        assert (upper_slope(loss) == ones).all()
        assert (upper_slope(loss, sampler) == 3 * ones).all()
    assert (upper_slope(functools.partial(with_default, weight=5.0)) == 5 * ones).all()


class Batch(NamedTuple):
    a: torch.Tensor
    b: torch.Tensor


SHAPES = {
    "tensor": (lambda n: n, lambda s: s),
    "tuple": (lambda n: (n[:, :1], n[:, 1:]), lambda s: torch.cat([s[0], s[1]], -1)),
    "list": (lambda n: [n[:, :1], n[:, 1:]], lambda s: torch.cat([s[0], s[1]], -1)),
    "dict": (lambda n: {"a": n[:, :1], "b": n[:, 1:]}, lambda s: torch.cat([s["a"], s["b"]], -1)),
    "named tuple": (lambda n: Batch(n[:, :1], n[:, 1:]), lambda s: torch.cat([s.a, s.b], -1)),
    "nested, with constants": (
        lambda n: {"a": (n[:, :1], None), "b": [n[:, 1:], "text", 2.0]},
        lambda s: torch.cat([s["a"][0], s["b"][0] * s["b"][2] / 2], -1),
    ),
}


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("form", ["scalar", "batched"])
@pytest.mark.parametrize("shape", SHAPES)
def test_samples_of_every_structure(shape, form, runs):
    make, flatten = SHAPES[shape]

    def upper(x, y, sample):
        product = flatten(sample) * y
        return product.sum() if form == "scalar" else product.sum(-1)

    problem = Problem(upper=upper, lower=lower_quadratic, sample_upper=lambda draw: make(draw.normal(3)))
    x = torch.ones(runs, 3, dtype=torch.float64)
    oracle = oracle_of(problem, x, x, list(range(runs)))
    _, f_y = oracle.grad_upper(x, x)
    np.testing.assert_array_equal(f_y, Oracle(problem, Streams(range(runs))).draw("upper").normal(3))


# Losses that do not depend on something -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["scalar", "batched"])
@pytest.mark.parametrize("runs", [1, 3])
def test_missing_dependence_is_a_zero_derivative(form, runs):
    def total(t):
        return t.sum() if form == "scalar" else t.sum(-1)

    x, y = torch.ones(runs, 2, dtype=torch.float64), torch.full((runs, 3), 2.0, dtype=torch.float64)
    zero_x, zero_y = torch.zeros_like(x), torch.zeros_like(y)
    cases = {
        "only y": (lambda x, y: total(y**3), zero_x, 12 * torch.ones_like(y), 12 * y / 2),
        "only x": (lambda x, y: total(x**3), 3 * torch.ones_like(x), zero_y, zero_y),
        "nothing": (lambda x, y: total(0 * x.detach()) + 4.0, zero_x, zero_y, zero_y),
        "linear in y": (lambda x, y: total(x) + total(y), torch.ones_like(x), torch.ones_like(y), zero_y),
    }
    for name, (loss, g_x, g_y, hessian_diagonal) in cases.items():
        problem = Problem(upper=loss, lower=loss)
        oracle = oracle_of(problem, x, y)
        f_x, f_y = oracle.grad_upper(x, y)
        for got, expected in (
            (f_x, g_x), (f_y, g_y), (oracle.grad_lower(x, y), g_y), (oracle.grad_lower_x(x, y), g_x),
            (oracle.hvp(x, y, torch.ones_like(y)), hessian_diagonal), (oracle.jvp(x, y, torch.ones_like(y)), zero_x),
        ):  # fmt: skip
            assert torch.equal(got, expected), name


# Errors -------------------------------------------------------------------------------------------------------------


def started(problem: Problem, d: int = 3, runs: int = 1) -> None:
    x = torch.ones(runs, d, dtype=torch.float64)
    problem.prepare(x, x)
    Oracle(problem, Streams(range(runs))).grad_lower(x, x)


@pytest.mark.parametrize(
    ("lower", "message"),
    [
        (lambda x, y: y - x, r"lower must return a scalar .* it returned shape \(3,\)"),
        (lambda x, y: x[:, None] * y, r"it returned shape \(3, 3\)"),
        (lambda x, y: 1.0, "it returned float"),
        (lambda x, y: None, "it returned NoneType"),
        (lambda x, y: (y.sum(), x.sum()), "it returned tuple"),
        (lambda x, y: y @ torch.ones(4, dtype=torch.float64), r"lower fails on vectors x: \(3,\), y: \(3,\)"),
        (lambda x, y: y.nonsense(), "AttributeError.*nonsense.*batched=True"),
    ],
)
def test_losses_that_cannot_be_used(lower, message):
    with pytest.raises(InputError, match=message):
        started(Problem(upper=lambda x, y: y.sum(), lower=lower))


@pytest.mark.parametrize(
    ("lower", "got"),
    [
        (lambda x, y: (y * y).sum(), r"shape \(\)"),
        (lambda x, y: y * y, r"shape \(4, 3\)"),
        (lambda x, y: len(y), "int"),
    ],
)
def test_losses_declared_batched_are_held_to_it(lower, got):
    problem = Problem(upper=lambda x, y: y.sum(-1), lower=lower, batched=True)
    with pytest.raises(InputError, match=rf"lower is declared batched .* shape \(4,\).* returned {got}"):
        started(problem, runs=4)


def test_own_derivatives_that_fail_are_named():
    own = {"hvp": lambda x, y, v, s: v @ torch.ones(7, 7, dtype=torch.float64)}
    problem = Problem(upper=lambda x, y: y.sum(-1), lower=lambda x, y: (y * y).sum(-1), derivatives=own)
    with pytest.raises(InputError, match=r"derivatives\['hvp'\] fails on 4 runs"):
        started(problem, runs=4)


def test_a_scalar_loss_that_cannot_be_vectorised_is_explained():
    """Control flow on values works for one run, and cannot work for many at once."""

    def lower(x, y):
        return (y * y).sum() if y[0].item() > 0 else 2 * (y * y).sum()

    problem = Problem(upper=lambda x, y: y.sum(), lower=lower)
    started(problem, runs=1)
    with pytest.raises(InputError, match=r"works on one run's vectors but not on 4 runs at once.*\.item\(\)"):
        started(problem, runs=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exponent": 1.9}, "exponent must be a number ≥ 2 .*got 1.9"),
        ({"exponent": float("nan")}, "exponent must be a number ≥ 2"),
        ({"exponent": float("inf")}, "exponent must be a number ≥ 2"),
        ({"exponent": "4"}, "exponent must be a number ≥ 2"),
        ({"exponent": True}, "exponent must be a number ≥ 2"),
        ({"upper": 3}, r"upper must be a function of \(x, y\) or \(x, y, sample\), got 3"),
        ({"lower": lambda y: y.sum()}, r"lower must take \(x, y\) or \(x, y, sample\), it takes 1"),
        ({"lower": lambda x, y, s, t: y.sum()}, "lower must take .* it takes 4"),
        ({"derivatives": {"grad_lowr": None}}, "unknown derivative 'grad_lowr'. Did you mean 'grad_lower'"),
    ],
)
def test_problems_that_cannot_be_built(options, message):
    with pytest.raises(InputError, match=message):
        Problem(**({"upper": lambda x, y: y.sum(), "lower": lambda x, y: y.sum()} | options))


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("grad_lower", lambda x, y, s: y.sum(-1)),
        ("grad_lower", lambda x, y, s: y[:, :1]),
        ("grad_upper", lambda x, y, s: x),
        ("grad_upper", lambda x, y, s: (y, x)),
        ("grad_upper_x", lambda x, y, s: y),
        ("grad_upper_y", lambda x, y, s: x),
        ("grad_lower_x", lambda x, y, s: y),
        ("hvp", lambda x, y, v, s: (v * y).sum(-1, keepdim=True)),
        ("jvp", lambda x, y, v, s: v),
    ],
)
def test_own_derivatives_of_the_wrong_shape(name, own):
    """Broadcasting would make something of them, silently."""
    problem = Problem(
        upper=lambda x, y: y.sum(-1), lower=lambda x, y: (y * y).sum(-1) + x.sum(-1), derivatives={name: own}
    )  # fmt: skip
    with pytest.raises(InputError, match=rf"derivatives\['{name}'\] returned .*expected"):
        problem.prepare(torch.ones(4, 2, dtype=torch.float64), torch.ones(4, 3, dtype=torch.float64))


@pytest.mark.parametrize("wrong", ["grad_upper_x", "grad_upper_y"])
def test_an_own_part_of_the_upper_gradient_that_is_wrong_is_refused(wrong):
    """Also where the whole gradient is right: the two are used by different methods."""
    own = {
        "grad_upper": lambda x, y, s: (2 * x * y, x * x),
        "grad_upper_x": lambda x, y, s: 2 * x * y,
        "grad_upper_y": lambda x, y, s: x * x,
    }
    losses = {"upper": lambda x, y: (x * x * y).sum(-1), "lower": lambda x, y: ((y - x) ** 2).sum(-1)}
    start = {"x0": [0.3, 0.7], "y0": [0.2, 0.5], "steps": 1}
    solve(Problem(**losses, derivatives=own), "f2sa", **start)
    with pytest.raises(InputError, match=rf"derivatives\['{wrong}'\] is not f_{wrong[-1]} of the losses"):
        solve(Problem(**losses, derivatives=own | {wrong: lambda x, y, s: 1.5 * own[wrong](x, y, s)}), "f2sa", **start)


# Counts -------------------------------------------------------------------------------------------------------------


def finite_sum(n: int) -> Problem:
    data = torch.arange(n, dtype=torch.float64)

    def sample(draw):
        return data[draw.minibatch(n)]

    return Problem(
        upper=lambda x, y, s: (s * y).mean(-1), lower=lambda x, y, s: (0.5 * (y - s) ** 2).mean(-1),
        sample_upper=sample, sample_lower=sample, size_upper=n, size_lower=n, batched=True,
    )  # fmt: skip


def test_samples_are_counted_exactly():
    """n = 10 in batches of 4: an epoch is 4 + 4 + 2, and the count says 10, not 12."""
    x = torch.zeros(2, 1, dtype=torch.float64)
    oracle = Oracle(finite_sum(10), Streams([0, 1]), batch_size=4)
    sizes = [oracle.sample_lower() for _ in range(6)]
    assert [s.size for s in sizes] == [4, 4, 2, 4, 4, 2]
    assert [s.value.shape[1] for s in sizes] == [4, 4, 2, 4, 4, 2]
    for _ in range(3):
        oracle.grad_upper(x, x)
    assert oracle.counts()["samples"].tolist() == [10, 10]
    oracle.grad_lower(x, x, sizes[2])
    assert oracle.counts()["samples"].tolist() == [12, 12]
    assert Oracle(finite_sum(10), Streams([0])).sample_lower().size == 10  # no batch size: all of them
    assert Oracle(finite_sum(10), Streams([0]), 50).sample_lower().size == 10


def test_a_finite_sum_without_a_sampler_is_the_full_sum():
    problem = Problem(lambda x, y: y.sum(-1), lower_quadratic, size_lower=30, batched=True)
    assert Oracle(problem, Streams([0]), batch_size=4).sample_lower() == Sample(None, 30)


def test_kinds_and_frozen_rows():
    problem, x = finite_sum(10), torch.zeros(3, 1, dtype=torch.float64)
    oracle = Oracle(problem, Streams([0, 1, 2]))
    oracle.grad_lower(x, x)
    oracle.freeze(torch.tensor([False, True, False]))
    oracle.grad_upper(x, x)
    oracle.values(x, x)
    oracle.freeze(torch.tensor([False, True, True]))
    oracle.hvp(x, x, x)
    oracle.jvp(x, x, x)
    oracle.grad_lower_x(x, x)
    counts = {kind: count.tolist() for kind, count in oracle.counts().items()}
    assert counts == {
        "grad_lower": [1, 1, 1], "grad_upper": [1, 0, 1], "value_calls": [2, 0, 2], "hvp": [1, 0, 0], "jvp": [1, 0, 0],
        "grad_lower_x": [1, 0, 0], "lower_samples": [10, 10, 10], "samples": [70, 10, 40],
    }  # fmt: skip
    assert set(counts) == {*KINDS, "lower_samples", "samples"}
    assert oracle.calls == 7
    assert oracle.calls_per_run().tolist() == [7, 1, 4]
    assert all(count.dtype == torch.int64 for count in oracle.counts().values())
    oracle.count_closed_form()
    assert oracle.counts()["grad_upper"].tolist() == [2, 0, 1]


def test_oracle_state_is_complete():
    """A second oracle continues where the first was: the same next samples, the same counts."""
    problem, x = finite_sum(10), torch.zeros(2, 1, dtype=torch.float64)
    first = Oracle(problem, Streams([3, 4]), 4)
    first.grad_lower(x, x)
    first.freeze(torch.tensor([True, False]))
    first.grad_upper(x, x)
    second = Oracle(problem, Streams([3, 4]), 4)
    second.restore(first.state())
    for oracle in (first, second):
        oracle.answer = (oracle.grad_lower(x, x), oracle.draw("own").uniform(3))
    assert all(torch.equal(a, b) for a, b in zip(first.answer, second.answer, strict=True))
    assert {k: c.tolist() for k, c in first.counts().items()} == {k: c.tolist() for k, c in second.counts().items()}


# Metrics of problems that bring none ------------------------------------------------------------------------------


def test_default_metrics():
    known = regular_problem(4, 0)
    known.problem.prepare(tensor(known.x[None]), tensor(known.y[None]))
    y = known.y + 0.1
    metrics = default_metrics(known.problem)(tensor(known.x[None]), tensor(y[None]))
    exact = hypergradient(known.problem, known.x, y, estimator="exact")
    assert set(metrics) == {"upper_value", "lower_gradient_norm", "hypergradient_norm"}
    np.testing.assert_allclose(metrics["hypergradient_norm"], [float(exact.norm())], rtol=1e-7)
    x, y = tensor(known.x[None]), tensor(y[None])
    np.testing.assert_allclose(metrics["upper_value"], known.problem.upper(x, y, None))
    y = y.requires_grad_()
    (gradient,) = torch.autograd.grad(known.problem.lower(x, y, None).sum(), y)
    np.testing.assert_allclose(metrics["lower_gradient_norm"], [float(gradient.norm())])


@pytest.mark.parametrize("runs", [1, 3])
def test_a_lifted_loss_has_the_derivatives_of_the_same_loss_of_rows(runs):
    """For a single run the vectors are differentiated, for several the rows; also what depends on nothing."""
    upper, lower = (lambda x, y, s: (x * y * y).sum() + s @ x), (lambda x, y, s: (y**4).sum() + (s * x * y).sum())
    rows = {
        "upper": lambda x, y, s: (x * y * y).sum(-1) + (s * x).sum(-1),
        "lower": lambda x, y, s: (y**4).sum(-1) + (s * x * y).sum(-1),
    }
    samples = {"sample_upper": lambda draw: draw.normal(3), "sample_lower": lambda draw: draw.normal(3)}
    rng = np.random.default_rng(0)
    x, y, v = (tensor(rng.normal(size=(runs, 3))) for _ in range(3))
    found = []
    for problem in (Problem(upper, lower, **samples), Problem(**rows, **samples, batched=True)):
        oracle = oracle_of(problem, x, y, range(runs))
        found.append([
            *oracle.grad_upper(x, y), oracle.grad_upper_x(x, y), oracle.grad_upper_y(x, y), oracle.grad_lower(x, y),
            oracle.grad_lower_x(x, y), oracle.hvp(x, y, v), oracle.jvp(x, y, v), dense_hessian(oracle, x, y),
        ])  # fmt: skip
    for ours, same in zip(*found, strict=True):
        torch.testing.assert_close(ours, same, rtol=1e-14, atol=1e-14)
        assert not ours.requires_grad
    constant = Problem(lambda x, y: (y * y).sum(), lambda x, y: (x * x).sum() + y.sum())
    oracle = oracle_of(constant, x, y, range(runs))
    zeros = oracle.grad_upper(x, y)[0], oracle.grad_upper_x(x, y), oracle.hvp(x, y, v), oracle.jvp(x, y, v)
    assert all(torch.equal(zero, torch.zeros_like(x)) for zero in zeros)


def test_default_metrics_of_a_subsample_are_always_of_the_same_one():
    """And of one problem on its points; no value is computed that nobody sees."""
    data, asked = torch.arange(40, dtype=torch.float64), []

    def upper(x, y, rows):
        asked.append(rows)
        return (data[rows] * y).sum() + x.sum()

    def sample(draw):
        return draw.minibatch(40)

    problem = Problem(
        upper, lambda x, y, rows: ((y - data[rows]) ** 2).mean(), batched=False,
        sample_upper=sample, sample_lower=sample, size_upper=40, size_lower=40,
    )  # fmt: skip
    x = torch.ones(1, 1, dtype=torch.float64)
    problem.prepare(x, x)
    asked.clear()
    metrics = default_metrics(problem, 8)
    first, again = metrics(x, x), metrics(x, x)
    assert first == again
    assert {len(rows) for rows in asked} == {8}
    rows = asked[0]
    assert first["upper_value"].item() == data[rows].sum().item() + 1
    assert default_metrics(problem)(x, x)["upper_value"].item() == data.sum().item() + 1


@pytest.mark.parametrize(
    ("sizes", "batch_size", "iterations", "rows", "points"),
    [
        ((None, None), 10, 1e6, 200, None),
        ((2000, 2000), None, 1e6, 200, None),  # full batches: what a row costs is a share of an iteration
        ((2000, 2000), 2000, 1e6, 200, None),
        ((200, 200), 10, 1000, 200, None),
        ((2000, 2000), 64, 1000, 200, 128),
        ((10**6, 10**5), 64, 10**5, 200, 8533),
        ((None, 2000), 300, 1000, 200, 400),
        ((2000, 2000), 64, 10**6, 200, None),
    ],
)
def test_how_many_points_default_metrics_are_of(sizes, batch_size, iterations, rows, points):
    assert points_to_log(sizes, batch_size, iterations, rows) == points


@pytest.mark.parametrize(("d", "iterations", "rows"), [(2, 100, 50), (2, 3500, 100), (2, 10**6, 200), (65, 100, 200)])
def test_how_many_rows_of_default_metrics_there_are(d, iterations, rows):
    assert rows_to_log(d, iterations, 200) == rows


def test_default_metrics_leave_out_what_would_cost_too_much():
    x = torch.zeros(1, 65, dtype=torch.float64)
    metrics = default_metrics(Problem(lambda x, y: y.sum(-1), lower_quadratic, batched=True))
    assert set(metrics(x, x)) == {"upper_value", "lower_gradient_norm"}
    assert "hypergradient_norm" in metrics(x[:, :64], x[:, :64])
