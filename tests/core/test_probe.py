"""A probe catches what would give wrong numbers in silence, names it and the mend, and lets all that is right pass."""

from __future__ import annotations

import dataclasses
import itertools
import random
import warnings
from collections import UserList, deque
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from thinned import some
from unibio import InputError, Problem, hypergradient
from unibio.core.ambient import clean
from unibio.core.probe import UNCHECKED, prepare
from unibio.core.streams import Draw
from unibio.data import DataSettings
from unibio.problems.example3 import Example3
from unibio.registry import PROBLEMS

DTYPES = (torch.float64, torch.float32)
FORMS = ("rows", "vectors")


def probed(problem: Problem, dtype: torch.dtype = torch.float64, runs: int = 1, **options: Any) -> tuple[str, ...]:
    """What a probe says at x = (0.4, −0.7), y = (0.8, −0.5, 1.1), or at the problem's start."""
    x, y = problem.start or (torch.tensor([0.4, -0.7]), torch.tensor([0.8, -0.5, 1.1]))
    rows = [t.to(dtype).expand(runs, -1).clone() for t in (x, y)]
    with clean(dtype, "cpu"):
        return prepare(problem, *rows, **options)


# One problem in every form ------------------------------------------------------------------------------------------

B = [[0.7, -0.2, 0.4], [0.1, 0.9, -0.6]]
S = [[2.0, 0.3, 0.0], [0.3, 1.5, -0.2], [0.0, -0.2, 1.0]]
C = [1.0, 0.5, -0.3]
W = [0.4, -1.0, 0.8]


def upper(x: Tensor, y: Tensor, s: Any = None) -> Tensor:
    """Σ cos(y_i − c_i) + wᵀy sin x_0 + ½‖x‖², of rows or of vectors."""
    c, w = y.new_tensor(C), y.new_tensor(W)
    return torch.cos(y - c).sum(-1) + (y @ w) * torch.sin(x[..., 0]) + 0.5 * (x * x).sum(-1)


def lower(x: Tensor, y: Tensor, s: Any = None) -> Tensor:
    """¼ Σ y_i⁴ + ½ yᵀSy − sin(x)ᵀBy."""
    quadratic = 0.5 * (y @ y.new_tensor(S) * y).sum(-1)
    return 0.25 * (y**4).sum(-1) + quadratic - ((torch.sin(x) @ y.new_tensor(B)) * y).sum(-1)


def grad_upper(x, y, s):
    f_x = x.clone()
    f_x[:, 0] += (y @ y.new_tensor(W)) * torch.cos(x[:, 0])
    return f_x, -torch.sin(y - y.new_tensor(C)) + y.new_tensor(W) * torch.sin(x[:, :1])


OWN: dict[str, Callable[..., Any]] = {
    "grad_upper": grad_upper,
    "grad_lower": lambda x, y, s: y**3 + y @ y.new_tensor(S) - torch.sin(x) @ y.new_tensor(B),
    "grad_lower_x": lambda x, y, s: -torch.cos(x) * (y @ y.new_tensor(B).T),
    "hvp": lambda x, y, v, s: 3 * y * y * v + v @ y.new_tensor(S),
    "jvp": lambda x, y, v, s: -torch.cos(x) * (v @ y.new_tensor(B).T),
}


@pytest.mark.one_in(12)
@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("own", [(), tuple(OWN), ("hvp",), ("grad_lower", "jvp")])
def test_the_right_problem_passes(own, form, dtype, runs):
    for batched in (None, form == "rows"):
        derivatives = {name: OWN[name] for name in own}
        assert probed(Problem(upper, lower, batched=batched, derivatives=derivatives), dtype, runs) == ()


# Mistakes in losses -------------------------------------------------------------------------------------------------

DROPOUT = torch.nn.Dropout(0.5)


def no_grad_half(loss):
    def half(x, y, s=None):
        with torch.no_grad():
            part = loss(x, y)
        return 0.5 * part + 0.5 * loss(x, y)

    return half


def writing(loss, write):
    def writes(x, y, s=None):
        value = loss(x, y)
        with torch.no_grad():
            write(x, y)
        return value

    return writes


def numpy_write(x, y):
    y.detach().numpy()[...] *= 0.5


#: name: (upper, lower, what is said). All of a batched form is written for rows and for vectors.
LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], str]] = {
    "lower, y detached": (upper, lambda x, y: lower(x, y.detach()), "lower changes with y, but not for autograd"),
    "lower, x detached": (upper, lambda x, y: lower(x.detach(), y), "lower: its gradient in y does not depend on x"),
    "upper, all detached": (lambda x, y: upper(x.detach(), y.data), lower, "upper changes with x or y, but not for"),
    "upper, y detached": (lambda x, y: upper(x, y.detach()), lower, "upper: f_y by autograd is wrong"),
    "upper, x detached": (lambda x, y: upper(x.detach(), y), lower, "upper: f_x by autograd is wrong"),
    "half of lower": (upper, no_grad_half(lower), "lower: ∇_y g by autograd is wrong.*torch.no_grad"),
    "half of upper": (no_grad_half(upper), lower, "upper: f_x by autograd is wrong.*torch.no_grad"),
    "one coordinate": (
        upper,
        lambda x, y: lower(x, torch.cat([y[..., :1].detach(), y[..., 1:]], -1)),
        "lower: ∇_y g by autograd is wrong",
    ),
    "x detached in a part": (
        upper,
        lambda x, y: lower(x, y) + (y * y).sum(-1) * x.detach().sum(-1),
        "lower: ∇_x g by autograd is wrong",
    ),
    "upper, a constant": (lambda x, y: 0 * x.detach().sum(-1) + 1, lower, "upper does not depend on x or y"),
    "lower without y": (upper, lambda x, y: (x * x).sum(-1), "lower does not depend on y"),
    "lower, x and y apart": (
        upper,
        lambda x, y: (x * x).sum(-1) + (y * y).sum(-1),
        "lower: its gradient in y does not depend on x",
    ),
    "writes y": (upper, writing(lower, lambda x, y: y.clamp_(-0.5, 0.5)), r"lower must not write into y.*y\.clamp\("),
    "writes x": (writing(upper, lambda x, y: x.add_(1)), lower, "upper must not write into x"),
    "writes without effect": (upper, writing(lower, lambda x, y: y.clamp_(-9, 9)), "lower must not write into y"),
    "writes by .data": (upper, writing(lower, lambda x, y: y.data.mul_(2)), "lower must not write into y"),
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_that_would_give_wrong_numbers(name, form, dtype):
    above, below, message = LOSSES[name]
    with pytest.raises(InputError, match=message):
        probed(Problem(above, below, batched=form == "rows"), dtype)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_of_python_numbers_and_numpy(form, dtype):
    """They leave the graph in a way that works for one run only."""

    def by_item(x, y):
        return y.new_tensor([lower(x, y).reshape(()).item()]).reshape(y.shape[:-1])

    def by_numpy(x, y):
        return torch.as_tensor(np.sin(y.detach().numpy()).sum(-1))

    for loss in (by_item, by_numpy):
        with pytest.raises(InputError, match=r"lower changes with y, but not for autograd.*NumPy"):
            probed(Problem(upper, loss, batched=form == "rows"), dtype)
        with pytest.raises(InputError, match=r"upper changes with x or y, but not|upper does not depend on x or y"):
            probed(Problem(loss, lower, batched=form == "rows"), dtype)


def test_numpy_of_a_tensor_that_autograd_follows_is_named():
    with pytest.raises(
        InputError, match=r"lower cannot be differentiated near the start: RuntimeError: Can't call numpy"
    ):
        probed(Problem(upper, lambda x, y: torch.as_tensor(np.sin(y.numpy()).sum(-1)), batched=True))


RANDOM: dict[str, Callable[..., Tensor]] = {
    "noise": lambda x, y: lower(x, y) + 0.1 * (torch.randn_like(y) * y).sum(-1),
    "dropout": lambda x, y: lower(x, DROPOUT(y)),
    "a minibatch of two points": lambda x, y: lower(x, y) * (1 + torch.randint(2, (1,)).to(y.dtype)).sum(),
    "NumPy's generator": lambda x, y: lower(x, y) * np.random.default_rng().uniform(),
    "NumPy's global one": lambda x, y: lower(x, y) * (1 + np.random.randint(2)),  # noqa: NPY002
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", RANDOM)
def test_randomness_of_a_losss_own(name, form):
    for above, below, role in ((upper, RANDOM[name], "lower"), (RANDOM[name], lower, "upper")):
        with pytest.raises(InputError, match=rf"{role} gives two values at one point and sample.*draw.minibatch.*eval"):
            probed(Problem(above, below, batched=form == "rows"))


def test_a_generator_that_is_set_to_its_place_is_no_randomness():
    def seeded(x, y):
        return lower(x, y) * (1 + torch.rand((), generator=torch.Generator().manual_seed(3), dtype=y.dtype))

    def seeded_globally(x, y):
        torch.manual_seed(3)
        return lower(x, y) * (1 + torch.rand((), dtype=y.dtype))

    for loss in (seeded, seeded_globally):
        assert probed(Problem(upper, loss)) == ()


ROWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a mean over rows": lambda x, y: lower(x, y).mean().expand(len(x)),
    "centred over rows": lambda x, y: lower(x, y) + 0.5 * ((y - y.mean(0)) ** 2).sum(-1),
    "a norm of all": lambda x, y: lower(x, y) + 0.1 * y.norm(),
    "another row's x": lambda x, y: lower(x.roll(1, 0), y),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("runs", [1, 2, 5])
@pytest.mark.parametrize("name", ROWS)
def test_rows_that_interact_in_a_loss_declared_batched(name, runs, dtype):
    with pytest.raises(InputError, match=r"lower is declared batched, but .* alone.*last dimension.*batched=False"):
        probed(Problem(upper, ROWS[name], batched=True), dtype, runs)


def test_a_loss_of_one_run_declared_batched():
    """Its shape is right for one run; another shape for two is what shows it."""
    with pytest.raises(InputError, match=r"lower is declared batched, but for 2 rows it returned shape \(1,\)"):
        probed(Problem(upper, lambda x, y: lower(x, y).sum().reshape(1), batched=True))


def test_rows_that_interact_beside_constants_of_the_rows_there_are():
    """Only five rows can be evaluated: a change of one must not change another."""
    level = torch.arange(1.0, 6.0).double()
    assert probed(Problem(upper, lambda x, y: level * lower(x, y), batched=True), runs=5) == ()
    for mixed in (lambda x, y: level * lower(x, y) + y.norm(), lambda x, y: level * lower(x, y.roll(1, 0))):
        with pytest.raises(InputError, match="lower is declared batched, but a change of its first row changes"):
            probed(Problem(upper, mixed, batched=True), runs=5)


RARE: dict[str, Callable[[Tensor], Any]] = {
    "dropout of next to nothing": lambda y: torch.nn.functional.dropout(y, 1e-12),
    "NumPy's": lambda y: y * (2 if np.random.rand() < 1e-12 else 1),  # noqa: NPY002
    "Python's": lambda y: y * (2 if random.random() < 1e-12 else 1),
}


@pytest.mark.parametrize("way", RARE)
@pytest.mark.parametrize("role", ["upper", "lower", "jvp", "sample_lower"])
def test_randomness_that_does_not_show_is_said(role, way):
    """What a probe does not meet, a long run does."""
    spoil = RARE[way]
    losses = {"upper": upper, "lower": lower}
    more: dict[str, Any] = {}
    if role in losses:
        whole = losses[role]
        losses[role] = lambda x, y, s=None: whole(x, spoil(y))
    elif role == "jvp":
        more = {"derivatives": {"jvp": lambda x, y, v, s: OWN["jvp"](x, y, spoil(v), s)}}
    else:
        losses["lower"] = lambda x, y, s: lower(x, y) + (y * s).sum(-1)
        more = {"sample_lower": lambda draw: spoil(draw.normal(3))}
    (said,) = probed(Problem(losses["upper"], losses["lower"], batched=True, **more))
    name = "derivatives['jvp']" if role == "jvp" else role
    assert said.startswith(f"{name} uses a generator of the process (PyTorch's, NumPy's or Python's), though 30 ")


def test_a_generator_that_is_used_once_for_all_is_not():
    kept: list[Tensor] = []

    def lazy(x, y):
        if not kept:
            kept.append(torch.rand(()))
        return lower(x, y) * (1 + kept[0].to(y.dtype))

    assert probed(Problem(upper, lazy)) == ()


def test_a_module_is_a_loss_of_what_its_forward_takes():
    class Plain(torch.nn.Module):
        def forward(self, x, y):
            return upper(x, y)

    assert probed(Problem(Plain(), lower), runs=3) == ()


def test_any_error_of_a_batched_loss_is_said_in_one_line():
    norm = torch.nn.BatchNorm1d(3).double()  # of one run it wants several, and raises a ValueError
    with pytest.raises(InputError, match=r"upper is declared batched, but fails on .*ValueError"):
        probed(Problem(lambda x, y: upper(x, norm(y)), lower, batched=True))


# Mistakes in derivatives --------------------------------------------------------------------------------------------


def bent(own, how):
    def wrong(*given):
        value = own(*given)
        return (value[0], how(value[1])) if isinstance(value, tuple) else how(value)

    return wrong


BENT: dict[str, Callable[[Tensor], Tensor]] = {
    "sign": lambda t: -t,
    "factor": lambda t: 1.1 * t,
    "offset": lambda t: t + 0.1,
    "zero": torch.zeros_like,
    "one coordinate": lambda t: torch.cat([t[:, :1], 1.5 * t[:, 1:]], -1),
    "one run's": lambda t: t[:1].expand_as(t),
}


@pytest.mark.one_in(12)
@pytest.mark.parametrize(
    ("form", "dtype"),
    some(itertools.product(FORMS, DTYPES), lambda form, dtype: form == "rows" or dtype == torch.float64),
)
@pytest.mark.parametrize("how", BENT)
@pytest.mark.parametrize("name", OWN)
def test_own_derivatives_that_are_wrong(name, how, form, dtype):
    runs = 3 if how == "one run's" else 1
    derivatives = (OWN if form == "rows" else {}) | {name: bent(OWN[name], BENT[how])}
    problem = Problem(upper, lower, batched=form == "rows", derivatives=derivatives)
    with pytest.raises(InputError, match=rf"derivatives\['{name}'\] is not .*approximate=\('{name}',\)"):
        probed(problem, dtype, runs)
    if how == "sign":
        assert probed(dataclasses.replace(problem, approximate=(name,)), dtype, runs) == ()  # meant to be another


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_own_derivative_that_is_wrong_where_it_vanishes(place, dtype):
    """At y_i = 0 an entry of f_y makes no difference, and D⁻¹ brings it back into the hypergradient."""
    wrong = torch.ones(3, dtype=dtype)
    wrong[place] = 1.5
    problem = Problem(
        upper=lambda x, y: (5 * y**6 / 6).sum(-1) + (x * x).sum(-1),
        lower=lambda x, y: (y**6 / 6 - x * y).sum(-1),
        exponent=6,
        vanishing_hessian=True,
        derivatives={"grad_upper": lambda x, y, sample: (2 * x, 5 * y**5 * wrong.to(y))},
        batched=True,
        start=(torch.tensor([0.3, -0.5, 0.8], dtype=dtype), torch.tensor([0.0, -1.1, 1e-3], dtype=dtype)),
    )
    with pytest.raises(InputError, match=r"derivatives\['grad_upper'\] is not f_y"):
        hypergradient(problem, *problem.start, dtype=dtype)


def test_the_factor_is_said():
    for factor in (-1, 2):
        own = {"hvp": lambda *given, factor=factor: factor * OWN["hvp"](*given)}
        with pytest.raises(InputError, match=f"in norm, {factor} times too much"):
            probed(Problem(upper, lower, derivatives=own))


def test_a_transposed_product_and_swapped_gradients():
    """With d_x = d_y no shape gives them away."""
    M = torch.tensor([[1.0, 0.4], [-0.3, 0.6]]).double()
    start = (torch.tensor([0.3, 0.9]), torch.tensor([0.2, -0.4]))
    above, below = (lambda x, y: (x**2).sum(-1) + (y**3).sum(-1)), (lambda x, y: (y**2).sum(-1) - (x @ M * y).sum(-1))
    wrong = {
        "jvp": lambda x, y, v, s: -(v @ M),
        "grad_upper": lambda x, y, s: (3 * y**2, 2 * x),
    }
    right = {"jvp": lambda x, y, v, s: -(v @ M.T), "grad_upper": lambda x, y, s: (2 * x, 3 * y**2)}
    assert probed(Problem(above, below, derivatives=right, start=start)) == ()
    for name, own in wrong.items():
        with pytest.raises(InputError, match=rf"derivatives\['{name}'\] is not "):
            probed(Problem(above, below, derivatives={name: own}, start=start))


def test_own_derivatives_that_write_or_are_random_or_of_another_type():
    def halves(x, y, v, s):
        product = OWN["hvp"](x, y, v, s)
        v.mul_(0.5)
        return product

    def random(x, y, s):
        return OWN["grad_lower"](x, y, s) + 0.1 * torch.randn_like(y)

    cases: dict[str, tuple[str, Callable[..., Any], str]] = {
        "writes": ("hvp", halves, r"derivatives\['hvp'\] must not write into v"),
        "random": ("grad_lower", random, r"derivatives\['grad_lower'\] gives two values"),
        "type": (
            "jvp", lambda *given: OWN["jvp"](*given).double(), r"returns torch.float64 where x and y are torch.float32"
        ),
    }  # fmt: skip
    for name, own, message in cases.values():
        with pytest.raises(InputError, match=message):
            probed(Problem(upper, lower, derivatives={name: own}), torch.float32)


class Wrong(torch.autograd.Function):
    """y³ with a gradient that autograd cannot follow: its derivative is 6 instead of 6y."""

    @staticmethod
    def forward(ctx, y):
        ctx.save_for_backward(y)
        return y**3

    @staticmethod
    def backward(ctx, slope):
        (y,) = ctx.saved_tensors
        return slope * (3 * y.detach() ** 2 + 6 * (y - y.detach()))


def test_second_derivatives_of_autograds_own_that_are_wrong():
    problem = Problem(upper, lambda x, y: lower(x, y) + Wrong.apply(y).sum(-1), batched=True)
    with pytest.raises(InputError, match="lower: ∇²_yy g · v by autograd is wrong"):
        probed(problem)


# Samples ------------------------------------------------------------------------------------------------------------

DATA = torch.arange(12.0).double().reshape(4, 3).sin()


class Pair(NamedTuple):
    X: Tensor
    t: Tensor


@dataclasses.dataclass(frozen=True)
class Minibatch:
    X: Tensor
    t: Tensor
    name: str = "constant"


NESTS: dict[str, Callable[[Tensor], Any]] = {
    "tensor": lambda t: t,
    "tuple": lambda t: (t, t),
    "list": lambda t: [t],
    "dict": lambda t: {"X": t, "n": 3},
    "named tuple": lambda t: Pair(t, t),
    "dataclass": lambda t: Minibatch(t, t),
    "nested": lambda t: {"a": [Minibatch(t, t), None], "b": (1.0, "x")},
}


def first_tensor(sample: Any) -> Tensor:
    while not isinstance(sample, Tensor):
        sample = next(iter(sample.values())) if isinstance(sample, dict) else sample
        sample = sample.X if isinstance(sample, (Pair, Minibatch)) else sample
        sample = sample[0] if isinstance(sample, (tuple, list)) else sample
    return sample


def fitted(x: Tensor, y: Tensor, s: Any) -> Tensor:
    """Least squares on a minibatch, of rows or of vectors."""
    X = first_tensor(s).to(y.dtype)
    return lower(x, y) + ((X @ y[..., None])[..., 0] ** 2).mean(-1)


@pytest.mark.one_in(12)
@pytest.mark.parametrize("runs", some([1, 2, 4], lambda runs: runs != 2))
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("nest", NESTS)
def test_samples_have_the_runs_as_their_first_axis(nest, form, runs):
    make = NESTS[nest]

    def problem(sampler):
        return Problem(upper, fitted, sample_lower=sampler, batched=form == "rows")

    right = (
        lambda draw: make(DATA[draw.minibatch(4)]),
        lambda draw: make(DATA.expand(draw.runs, *DATA.shape)),  # what the error says
        lambda draw: make(draw.normal(6).reshape(-1, 2, 3)),
    )
    for sampler in right:
        assert probed(problem(sampler), runs=runs) == ()
    with pytest.raises(
        InputError, match=r"sample_lower: sample.* has shape \(4, 3\) .*t\.expand\(draw\.runs, \*t\.shape\)"
    ):
        probed(problem(lambda draw: make(DATA)), runs=runs)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (lambda draw: (draw.normal(3), torch.tensor(1.0)), r"sample\[1\] has shape \(\) for 2 runs"),
        (lambda draw: (draw.normal(3), DATA[0]), r"sample\[1\] has shape \(3,\) for 2 runs"),
        (lambda draw: draw.normal(3).numpy(), r"sample is a ndarray; return torch.as_tensor"),
        (lambda draw: iter([draw.normal(3)]), "sample is a list_iterator, whose tensors cannot be told apart"),
        (lambda draw: torch.randn(draw.runs, 3), "no function of its draw: .*draw.normal"),
        (lambda draw: torch.randint(2, (draw.runs, 1)), "no function of its draw"),
        (lambda draw: draw.normal(3).mul_(0.1), r"must not write into the draw's numbers.*0\.1 \* draw\.normal"),
        (
            lambda draw: torch.randn(draw.runs, 3, generator=torch.Generator().manual_seed(draw.index)),
            "gives a run other numbers beside other runs",
        ),
        (lambda draw: 1 / 0, " fails on 1 runs: ZeroDivisionError"),
    ],
)
def test_samplers_that_would_give_wrong_numbers(sampler, message):
    with pytest.raises(InputError, match=f"sample_lower.*?{message}"):
        probed(Problem(upper, lambda x, y, s: lower(x, y), sample_lower=sampler))


class Slotted:
    __slots__ = ("part",)

    def __init__(self, part: Any):
        self.part = part


HIDING: dict[str, Callable[[Tensor], Any]] = {
    "a set": lambda t: {t},
    "a deque": lambda t: deque([1, t]),
    "a list of somebody else's": lambda t: UserList([(t, 2)]),
    "slots": lambda t: Slotted({"X": t}),
    "a closure": lambda t: lambda: t,
    "a partial": lambda t: partial(torch.add, t),
    "an array within": lambda t: SimpleNamespace(X=t.numpy()),
}


@pytest.mark.parametrize("way", HIDING)
def test_a_sample_hides_no_tensors(way):
    with pytest.raises(InputError, match=r"sample_lower: sample is a \w+, whose tensors cannot be told apart by runs"):
        probed(Problem(upper, lambda x, y, s: lower(x, y), sample_lower=lambda draw: HIDING[way](DATA)))


@pytest.mark.parametrize("value", [3, "x", None, torch.nn.Linear(3, 3), lambda t: 2 * t, range(4), {1, 2}, Slotted(1)])
def test_a_sample_may_hold_what_all_runs_share(value):
    def sampler(draw):
        return {"y": draw.normal(3), "more": value}

    assert probed(Problem(upper, lambda x, y, s: lower(x, y) + (y * s["y"]).sum(-1), sample_lower=sampler)) == ()


def test_a_sparse_sample_is_refused_by_its_name():
    def sampler(draw):
        return DATA.expand(draw.runs, *DATA.shape).to_sparse()

    with pytest.raises(InputError, match=r"sample_lower: sample is a sparse_coo tensor; return \.to_dense\(\) of it"):
        probed(Problem(upper, lambda x, y, s: lower(x, y), sample_lower=sampler))


def test_a_sampler_that_hands_out_one_buffer():
    buffer = torch.zeros(9, 3).double()

    def sampler(draw: Draw) -> Tensor:
        return buffer[: draw.runs].copy_(draw.normal(3))

    with pytest.raises(InputError, match="sample_lower must not write the next sample into the tensor of the last one"):
        probed(Problem(upper, lambda x, y, s: lower(x, y), sample_lower=sampler))


@pytest.mark.parametrize("form", FORMS)
def test_a_sample_that_a_loss_writes_into(form):
    problem = Problem(
        upper, lambda x, y, s: lower(x, y) + (s.mul_(0.1) * y).sum(-1), sample_lower=lambda draw: draw.normal(3),
        batched=form == "rows",
    )  # fmt: skip
    with pytest.raises(InputError, match="lower must not write into sample"):
        probed(problem)


def test_samples_of_the_runs_own_size():
    """A derivative that is wrong for the whole sum alone is found where that is what a run asks for."""

    def hvp(x, y, v, rows):
        X = DATA if rows is None else DATA[rows]
        scale = 2 / X.shape[-2] if rows is not None else 2.0  # not divided by the number of points
        return OWN["hvp"](x, y, v, None) + scale * ((X @ v[..., None]).transpose(-1, -2) @ X)[..., 0, :]

    problem = Problem(
        upper, lambda x, y, rows: fitted(x, y, DATA if rows is None else DATA[rows]), derivatives={"hvp": hvp},
        sample_lower=lambda draw: draw.minibatch(4) if draw.size else None, size_lower=4, batched=True,
    )  # fmt: skip
    assert probed(problem, batch_size=2) == ()
    with pytest.raises(InputError, match=r"derivatives\['hvp'\] is not"):
        probed(problem)


# Projections --------------------------------------------------------------------------------------------------------


def test_projections_are_held_to_points():
    writes = Problem(upper, lower, project_lower=lambda y: y.clamp_(-1, 1))
    with pytest.raises(InputError, match=r"project_lower must not write into y.*y\.clamp\("):
        probed(writes)
    narrow = Problem(upper, lower, project_upper=lambda x: x[:, :1])
    with pytest.raises(InputError, match=r"project_upper must return \(1, 2\) torch.float64.*got \(1, 1\)"):
        probed(narrow)


def clamped_where_it_lies(y: Tensor) -> Tensor:
    y.data.clamp_(-1, 1)
    return y


def test_projections_are_looked_at_where_they_have_something_to_do():
    with pytest.raises(InputError, match=r"project_lower must not write into y"):
        probed(Problem(upper, lower, project_lower=clamped_where_it_lies))
    noisy = Problem(upper, lower, project_upper=lambda x: x + 0.01 * torch.randn_like(x))
    with pytest.raises(InputError, match="project_upper gives two values at one point"):
        probed(noisy)
    (said,) = probed(Problem(upper, lower, project_lower=lambda y: 0.9 * y))
    assert said.startswith("project_lower moves points that it has projected: it is no projection")
    for right in (simplex, lambda y: y.clamp(-1, 1), lambda y: y / y.norm(dim=-1, keepdim=True).clamp(min=1)):
        assert probed(Problem(upper, lower, project_lower=right)) == ()


def simplex(y: Tensor) -> Tensor:
    ordered = y.sort(-1, descending=True).values
    above = ordered.cumsum(-1) - 1
    count = (ordered * torch.arange(1, y.shape[-1] + 1, dtype=y.dtype) > above).sum(-1, keepdim=True)
    return (y - above.gather(-1, count - 1) / count).clamp(min=0)


def undefined_outside(x: Tensor, y: Tensor) -> Tensor:
    assert bool((y >= 0).all()), "outside"
    assert bool(((y.sum(-1) - 1).abs() < 1e-5).all()), "outside"
    return lower(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("start", [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [5.0, -3.0, 9.0]])
def test_losses_are_looked_at_inside_the_feasible_set(start, dtype):
    options: dict[str, Any] = {"project_lower": simplex, "start": (torch.zeros(2), simplex(torch.tensor([start]))[0])}
    assert probed(Problem(upper, undefined_outside, batched=True, **options), dtype) == ()
    wrong = {"grad_lower": lambda x, y, s: -OWN["grad_lower"](x, y, s)}
    with pytest.raises(InputError, match=r"derivatives\['grad_lower'\] is not"):
        probed(Problem(upper, undefined_outside, batched=True, derivatives=wrong, **options), dtype)


# What is right ------------------------------------------------------------------------------------------------------


def coupled(x: Tensor, y: Tensor) -> Tensor:
    return (torch.sin(x) @ y.new_tensor(B) * y).sum(-1)


V = torch.linspace(-2, 2, 48).double().reshape(3, 16).sin()

RIGHT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "|y|": lambda x, y: y.abs().sum(-1) + 0.5 * (y * y).sum(-1) - coupled(x, y),
    "|y|^1.5": lambda x, y: (y.abs() ** 1.5).sum(-1) - coupled(x, y),
    "|y|^2.5": lambda x, y: (y.abs() ** 2.5).sum(-1) - coupled(x, y),
    "|y|^3": lambda x, y: (y.abs() ** 3).sum(-1) - coupled(x, y),
    "ReLU": lambda x, y: torch.relu(y @ V.to(y.dtype) + x.sum(-1, keepdim=True)).square().sum(-1),
    "two ReLUs": lambda x, y: (
        torch.relu(torch.relu(y @ V.to(y.dtype)) @ V.to(y.dtype).T - coupled(x, y)[..., None]).sum(-1)
        + (y * y).sum(-1) * x.exp().sum(-1)
    ),
    "clip": lambda x, y: torch.sin(y.clamp(-0.6, 0.6)).sum(-1) + coupled(x, y),
    "maximum": lambda x, y: y.amax(-1) ** 2 + coupled(x, y),
    "sorted": lambda x, y: (y.sort(-1).values * y.new_tensor([1.0, 2.0, 3.0])).sum(-1) + coupled(x, y),
    "where": lambda x, y: torch.where(y > 0, y * y, -y).sum(-1) + coupled(x, y),
    "Huber": lambda x, y: torch.nn.functional.huber_loss(y, x @ y.new_tensor(B), reduction="none").sum(-1),
    "steps": lambda x, y: y.round().sum(-1) + coupled(x, y),
    "a large constant": lambda x, y: 1e6 + lower(x, y),
    "tiny": lambda x, y: 1e-12 * lower(x, y),
    "huge": lambda x, y: 1e12 * lower(x, y),
    "steep": lambda x, y: torch.sigmoid(1e3 * (y - 0.8)).sum(-1) + coupled(x, y),
    "fast": lambda x, y: torch.sin(200 * y).sum(-1) + coupled(x, y),
    "ill-conditioned": lambda x, y: (y * y * y.new_tensor([1e8, 1.0, 1e-8])).sum(-1) + coupled(x, y),
    "a logarithm near its end": lambda x, y: -(torch.log(1.1001 - y)).sum(-1) + coupled(x, y),
    "in single precision": lambda x, y: lower(x.float(), y.float()).to(y.dtype),
    "in half precision": lambda x, y: lower(x.bfloat16(), y.bfloat16()).to(y.dtype),
    "a detached weight": lambda x, y: lower(x, y) * (1 + 0 * y.detach().sum(-1)),
}  # fmt: skip


@pytest.mark.one_in(32)
@pytest.mark.parametrize(
    ("start", "dtype"),
    some(
        itertools.product(["near", "zero", "whole"], DTYPES),
        lambda start, dtype: start == "near" or dtype == torch.float64,
    ),
)
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes_in_silence(name, start, dtype):
    scale = {"near": 1.0, "zero": 0.0, "whole": 1.0}[start]
    x, y = torch.tensor([0.4, -0.7]) * scale, torch.tensor([0.8, -0.5, 1.1]) * scale
    if start == "whole":
        x, y = torch.tensor([1.0, -1.0]), torch.tensor([1.0, -1.0, 0.0])
    loss = RIGHT[name]
    for above, below, batched, runs in ((upper, loss, True, 3), (loss, lower, False, 1)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert probed(Problem(above, below, batched=batched, start=(x, y)), dtype, runs) == ()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_a_loss_without_a_value_at_the_start_is_said(value, dtype):
    """Its gradients may be finite all the same."""
    assert probed(Problem(upper, lambda x, y: lower(x, y) + value), dtype, 3) == (
        "lower is not finite (NaN or infinite) at the start of 3 of 3 runs",
    )


def test_a_function_that_saturates_passes_and_one_that_is_flat_is_said():
    far = (torch.tensor([0.4, -0.7]), torch.tensor([3.0, 4.0, -5.0]))  # beyond the clip in every coordinate

    def clipped(x, y):
        return torch.sin(y.clamp(-1, 1)).sum(-1)

    assert probed(Problem(clipped, lower, start=far)) == ()
    assert probed(Problem(lambda x, y: 0 * (x.sum(-1) + y.sum(-1)), lower)) == (
        "the gradient of upper is 0, in x and in y, at all 6 points that were looked at around the start",
    )
    flat = probed(Problem(upper, lambda x, y: 0 * x.sum(-1) * y.sum(-1)))
    assert len(flat) == 2
    assert flat[0].startswith("the gradient of lower in y is 0 at all")
    apart = {"jvp": lambda x, y, v, s: torch.zeros_like(x)}
    (said,) = probed(Problem(upper, lambda x, y: (y * y).sum(-1), derivatives=apart))
    assert said.startswith("the gradient of lower in y does not change with x, and the hypergradient is f_x alone")


#: Problems that are probed in single precision in make test, too: with samples, with data, with pairs of sentences.
SINGLE = {"example3", "lp_regression", "quadratic", "nli_cleaning"}


@pytest.mark.one_in(18)
@pytest.mark.parametrize(
    ("name", "dtype"),
    some(itertools.product(PROBLEMS, DTYPES), lambda name, dtype: dtype == torch.float64 or name in SINGLE),
)
def test_every_problem_of_the_project_passes(name, dtype, tmp_path):
    spec = PROBLEMS[name]()
    if spec.reads_pairs:
        pairs = DataSettings(train=36, valid=14, test=10, dimension=6, cache=str(tmp_path))
        variants = [dataclasses.replace(spec, pairs=pairs, width=5, weights=w) for w in ("learned", "frozen")]
    else:
        noisy = [field for field in spec.per_run() if "noise" in field]
        level = torch.linspace(0.1, 0.5, 4, dtype=dtype)[:, None]
        variants = [spec, dataclasses.replace(spec, **dict.fromkeys(noisy, 0.3))]
        variants += [dataclasses.replace(spec, **dict.fromkeys(noisy, level))] if noisy else []
    for variant in variants:
        for size in (None, 3):
            problem = variant.build()
            x, y = problem.start
            start = tuple(t.reshape(-1, t.shape[-1])[:1].reshape(-1) for t in (x, y))
            runs = 4 if any(isinstance(getattr(variant, f), Tensor) for f in variant.per_run()) else 1
            assert probed(dataclasses.replace(problem, start=start), dtype, runs, batch_size=size) == ()


# Random problems ----------------------------------------------------------------------------------------------------


def random_problem(seed: int) -> tuple[Problem, dict[str, Callable[..., Any]]]:
    """Smooth losses with all their derivatives in closed form, of random sizes, scales and starts."""
    rng = np.random.default_rng(seed)
    dx, dy = (int(n) for n in rng.integers(1, 6, size=2))
    scale, shift = 10.0 ** rng.uniform(-4, 4), rng.normal()
    R, M, c = (torch.as_tensor(rng.normal(size=shape)) for shape in ((dy, dy), (dx, dy), (dy,)))
    H = R @ R.T + torch.eye(dy)

    def to(t: Tensor, like: Tensor) -> Tensor:
        return t.to(like.dtype)

    def below(x, y):
        return scale * (0.5 * (y @ to(H, y) * y).sum(-1) - (torch.sin(x) @ to(M, y) * y).sum(-1) + torch.cos(y).sum(-1))

    def above(x, y):
        return scale * (torch.tanh(y - to(c, y)).sum(-1) + shift * (x**2).sum(-1) + (x @ to(M, y) * y).sum(-1))

    own = {
        "grad_upper": lambda x, y, s: (
            scale * (2 * shift * x + y @ to(M, y).T), scale * (1 - torch.tanh(y - to(c, y)) ** 2 + x @ to(M, y))
        ),
        "grad_lower": lambda x, y, s: scale * (y @ to(H, y) - torch.sin(x) @ to(M, y) - torch.sin(y)),
        "grad_lower_x": lambda x, y, s: -scale * torch.cos(x) * (y @ to(M, y).T),
        "hvp": lambda x, y, v, s: scale * (v @ to(H, y) - torch.cos(y) * v),
        "jvp": lambda x, y, v, s: -scale * torch.cos(x) * (v @ to(M, y).T),
    }  # fmt: skip
    start = tuple(torch.as_tensor(rng.normal(size=d) * rng.choice([0.0, 1.0, 1.0])) for d in (dx, dy))
    return Problem(above, below, start=start), own


CHOICES = {
    "seed": st.integers(0, 10**6), "dtype": st.sampled_from(DTYPES), "form": st.sampled_from(FORMS),
    "runs": st.sampled_from([1, 3]),
}  # fmt: skip


@given(**CHOICES, own_ones=st.sets(st.sampled_from(sorted(OWN))))
def test_random_problems_pass(seed, dtype, form, runs, own_ones):
    problem, own = random_problem(seed)
    derivatives = {name: own[name] for name in own_ones}
    assert probed(dataclasses.replace(problem, derivatives=derivatives, batched=form == "rows"), dtype, runs) == ()


@given(
    **CHOICES, name=st.sampled_from(sorted(OWN)), how=st.sampled_from(["sign", "factor", "zero"]), all_own=st.booleans()
)
@example(seed=1, dtype=torch.float32, form="rows", runs=1, name="hvp", how="factor", all_own=True)
def test_random_problems_with_one_wrong_derivative_do_not(seed, dtype, form, runs, name, how, all_own):
    problem, own = random_problem(seed)
    derivatives = (own if all_own else {}) | {name: bent(own[name], BENT[how])}
    with pytest.raises(InputError, match=rf"derivatives\['{name}'\] is not"):
        probed(dataclasses.replace(problem, derivatives=derivatives, batched=form == "rows"), dtype, runs)


@given(**CHOICES, role=st.sampled_from(["upper", "lower"]), which=st.sampled_from(["x", "y"]), part=st.floats(0.2, 1.0))
def test_random_problems_that_leave_the_graph_do_not(seed, dtype, form, runs, role, which, part):
    problem, _ = random_problem(seed)
    loss = getattr(problem, role)

    def cut(x, y, s=None):
        off = loss(x.detach(), y, s) if which == "x" else loss(x, y.detach(), s)
        return part * off + (1 - part) * loss(x, y, s)

    with pytest.raises(InputError, match=f"{role}.*autograd"):
        probed(dataclasses.replace(problem, **{role: cut}, batched=form == "rows"), dtype, runs)


# How it is asked ----------------------------------------------------------------------------------------------------


def test_it_is_done_once_for_every_type_and_size():
    calls = []

    def counted(x, y):
        calls.append(1)
        return lower(x, y)

    problem = Problem(upper, counted)
    probed(problem)
    first = len(calls)
    assert 0 < first < 60, "a few evaluations"
    probed(problem)
    assert len(calls) <= first + 1, "whether it has a value at this start"
    again = len(calls)
    probed(problem, torch.float32)
    assert len(calls) > again + 1


def test_a_refused_problem_is_refused_again():
    problem = Problem(upper, lambda x, y: lower(x, y.detach()))
    for _ in range(2):
        with pytest.raises(InputError, match="lower changes with y"):
            probed(problem)


def test_unchecked_it_says_so_and_looks_at_nothing():
    problem = Problem(upper, lambda x, y: lower(x, y.detach()))
    assert probed(problem, check=False) == (UNCHECKED,)
    with pytest.raises(InputError, match="check must be True or False, got 'no'"):
        probed(problem, check="no")


def test_the_start_is_left_alone_whatever_a_callback_does():
    x, y = torch.ones(1, 2).double(), torch.ones(1, 3).double()
    for check in (True, False):
        problem = Problem(upper, writing(lower, lambda x, y: (x.add_(1), y.mul_(2))))
        if check:
            with pytest.raises(InputError, match="must not write"):
                prepare(problem, x, y)
        else:
            prepare(problem, x, y, check=False)
        assert torch.equal(x, torch.ones_like(x))
        assert torch.equal(y, torch.ones_like(y))


def test_it_leaves_the_process_generators_where_they_are():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    probed(Example3(noise=0.1).build())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_derivatives_that_are_approximate_must_be_there():
    with pytest.raises(InputError, match="unknown own derivative in approximate, 'hvp'"):
        Problem(upper, lower, approximate=("hvp",))


def test_memory_errors_stay_what_they_are():
    def greedy(x, y):
        if y.requires_grad:
            raise torch.OutOfMemoryError("no room")
        return lower(x, y)

    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        probed(Problem(upper, greedy, batched=True))
