"""Modules and data sets as a problem: the numbers of a loop by hand, the user's modules untouched, bad input named."""

from __future__ import annotations

import copy
import pickle
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from unibio import InputError, Result, solve
from unibio.nn import Batch, module_problem
from unibio.simulation import looks

N, BATCH = 24, 8


def images(count: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, 4, 4, generator=generator)
    return TensorDataset(x, (x.mean((1, 2, 3)) > 0).long())


TRAIN, VALID = images(N, 0), images(N, 1)


class Items(Dataset):  # type: ignore[type-arg]
    """The same items one by one, in some form."""

    def __init__(self, form: Callable[[Any], Any], data: TensorDataset = TRAIN):
        self.form, self.data = form, data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, place: int) -> Any:
        return self.form(self.data[place])


class Weights(nn.Module):
    """A weight for every training item."""

    def __init__(self, count: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(count))

    def forward(self, index: Tensor) -> Tensor:
        return torch.sigmoid(self.logits[index])


def mlp() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 2))


def cnn(*more: nn.Module) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), *more, nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))


def weighted_ce(w: Weights, net: nn.Module, b: Batch) -> Tensor:
    return (w(b.index) * F.cross_entropy(net(b.x), b.y, reduction="none")).mean()


def ce(w: Weights, net: nn.Module, b: Batch) -> Tensor:
    return F.cross_entropy(net(b.x), b.y)


def accuracy(data: TensorDataset) -> Callable[..., float]:
    return lambda upper, lower: float((lower(data.tensors[0]).argmax(-1) == data.tensors[1]).float().mean())


def problem(net: nn.Module | None = None, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "upper": Weights(N), "lower": net if net is not None else mlp(), "lower_loss": weighted_ce, "upper_loss": ce,
        "lower_data": TRAIN, "upper_data": VALID, "metrics": {"accuracy": accuracy(VALID)},
    }  # fmt: skip
    return module_problem(**given | changes)


def run(made: Any, algorithm: str = "stocbio", **changes: Any) -> Result:
    given: dict[str, Any] = {"steps": 3, "batch_size": BATCH, "upper_step": 1.0, "lower_step": 0.1, "seed": 0}
    return solve(made, algorithm, **given | changes)


# What is computed -----------------------------------------------------------------------------------------------------


def test_lower_steps_are_those_of_a_loop_by_hand() -> None:
    """SGD on the same minibatches, written with torch's own optimizer."""
    net = mlp().double()
    result = solve(problem(net, metrics=None), "lower_only", steps=5, batch_size=BATCH, lower_step=0.1)
    by_hand = copy.deepcopy(net)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    from unibio.core.streams import Draw, Streams

    for k in range(5):
        (index,) = Draw(Streams([0]), "lower", k, BATCH).minibatch(N)
        x, y = (part[index] for part in TRAIN.tensors)
        optimizer.zero_grad()
        (0.5 * F.cross_entropy(by_hand(x.double()), y, reduction="none")).mean().backward()
        optimizer.step()
    for mine, theirs in zip(result.lower.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert result.history["samples"].iloc[-1] == 5 * BATCH


def test_the_users_modules_are_not_touched_and_the_results_are_modules() -> None:
    net, weights = mlp(), Weights(N)
    before = copy.deepcopy(net.state_dict())
    result = run(problem(net, upper=weights))
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert result.x.dtype == result.y.dtype == torch.float32
    assert isinstance(result.upper, Weights)
    assert torch.equal(result.upper.logits.detach(), result.x)
    assert not torch.equal(result.x, weights.logits)
    assert all(p.requires_grad for p in result.lower.parameters())
    again = pickle.loads(pickle.dumps(result))
    assert torch.equal(again.upper.logits.detach(), result.x)
    last = result.history["accuracy"].iloc[-1]
    net.load_state_dict(result.lower.state_dict())
    assert accuracy(VALID)(weights, net) == pytest.approx(last)


def test_the_type_can_be_another_than_the_modules() -> None:
    made = run(problem(), dtype=torch.float64)
    assert made.y.dtype == torch.float64
    assert next(made.lower.parameters()).dtype == torch.float32


FORMS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "tuple": (lambda item: item, ce),
    "dictionary": (lambda item: {"x": item[0], "y": item[1]}, ce),
    "keys": (
        lambda item: {"image": item[0].numpy(), "label": int(item[1])},
        lambda w, net, b: F.cross_entropy(net(b["image"]), b.label),
    ),
    "more parts": (lambda item: (1.0, *item), lambda w, net, b: F.cross_entropy(net(b[1]), b[2])),
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("form", FORMS)
def test_items_in_whatever_form_are_the_same_data(form: str) -> None:
    made, loss = FORMS[form]
    expected = run(problem(metrics=None), metric_points=N)
    found = run(problem(metrics=None, upper_data=Items(made, VALID), upper_loss=loss), metric_points=N)
    torch.testing.assert_close(found.y, expected.y, rtol=0, atol=0)
    torch.testing.assert_close(found.x, expected.x, rtol=0, atol=0)


def test_a_subset_of_tensors_and_a_tensor() -> None:
    part = Subset(TRAIN, list(range(0, N, 2)))
    one = run(problem(upper=Weights(N // 2), lower_data=part))
    other = run(problem(upper=Weights(N // 2), lower_data=TensorDataset(*(t[::2] for t in TRAIN.tensors))))
    assert torch.equal(one.y, other.y)
    alone = problem(upper_data=VALID.tensors[0], upper_loss=lambda w, net, b: net(b.x).square().mean())
    assert run(alone).status == "completed"


@pytest.mark.parametrize("net", [mlp, cnn])
@pytest.mark.slow
def test_a_grid_is_its_runs_to_the_last_bit(net: Callable[[], nn.Module]) -> None:
    made = problem(net())
    grid = run(made, seed=[0, 1], upper_step=[0.5, 1.0])
    for place, (seed, step) in enumerate([(0, 0.5), (0, 1.0), (1, 0.5), (1, 1.0)]):
        alone = run(made, seed=seed, upper_step=step)
        assert torch.equal(grid.y[place], alone.y)
        assert torch.equal(grid.x[place], alone.x)
        for mine, theirs in zip(grid.lower[place].parameters(), alone.lower.parameters(), strict=True):
            assert torch.equal(mine, theirs)


def test_a_vectorised_grid_agrees_up_to_rounding() -> None:
    given: dict[str, Any] = {"seed": [0, 1], "dtype": torch.float64}
    one = run(problem(cnn()), **given)
    torch.testing.assert_close(run(problem(cnn(), vectorised=True), **given).y, one.y)


def test_where_vectorising_cannot_be_one_line_says_why() -> None:
    def branching(w: Weights, net: nn.Module, b: Batch) -> Tensor:
        value = ce(w, net, b)
        return value if value.item() > 0 else -value

    with pytest.raises(InputError, match=r"upper_loss .* at once by torch.func.vmap: leave vectorised=True out"):
        run(problem(vectorised=True, upper_loss=branching), seed=[0, 1])
    assert run(problem(upper_loss=branching), seed=[0, 1]).status == ["completed"] * 2


# What is looked at first ----------------------------------------------------------------------------------------------


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("diagnosed", "points", "said"),
    [("minibatch", BATCH, rf"on {BATCH} of {N} data points; diagnosed=None"), (None, N, rf"on all {N}"), (5, 5, "")],
    ids=str,
)
@pytest.mark.parametrize("few", [N - 1, N])
def test_the_look_at_settings_takes_a_minibatch_and_is_announced(
    diagnosed: Any, points: int, said: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look draws samples of the size that is said, and says so before the first iteration has ended.

    Of few data points nothing is said if all of them are looked at: that costs little.
    """
    monkeypatch.setattr(looks, "FEW_POINTS", few)
    said = "" if few == N and diagnosed is None else said
    made = problem(diagnosed=diagnosed)
    still: dict[str, Any] = {"algorithm": "lower_only", "steps": 1, "batch_size": BATCH}
    solve(made, **still)  # which looks at losses and data, and has no settings to look at
    heard: list[int] = []
    sizes: list[int] = []
    sample = made.sample_lower
    made.sample_lower = lambda draw: sizes.append(draw.length(N)) or sample(draw)  # type: ignore[func-returns-value]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run(made, "stocbio", steps=1, lower_iterations=1, progress=lambda k: heard.append(len(caught)))
    assert max(sizes) == max(points, BATCH)
    told = [str(one.message) for one in caught if "are looked at first" in str(one.message)]
    assert told == [one for one in result.warnings if "are looked at first" in one]
    assert len(told) == bool(said)
    assert all(one.filename == __file__ for one in caught if "are looked at first" in str(one.message))
    if said:
        assert re.search(said, told[0])
        assert heard[0] >= 1
    assert not any("looked at first" in one for one in solve(made, **still).warnings)


def test_a_number_of_data_points_is_one() -> None:
    with pytest.raises(InputError, match="diagnosed must be a number of data points"):
        problem(diagnosed=0)


# Buffers and dropout --------------------------------------------------------------------------------------------------


def test_dropout_masks_belong_to_the_seed_in_any_company() -> None:
    made = problem(nn.Sequential(mlp(), nn.Dropout(0.3)), buffers="batch")
    alone = run(made, seed=1)
    torch.rand(7)  # what else happens to the process's generator
    state = torch.get_rng_state()
    grid = run(made, seed=[0, 1])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(grid.y[1], alone.y)
    assert not torch.equal(grid.y[0], grid.y[1])
    still = run(problem(nn.Sequential(mlp(), nn.Dropout(0.3)), buffers="frozen"), seed=1)
    assert not torch.equal(still.y, alone.y)


def test_statistics_of_the_minibatch_are_used_and_not_stored() -> None:
    net = cnn(nn.BatchNorm2d(3))
    before = copy.deepcopy(net.state_dict())

    @torch.no_grad()
    def loss(w: nn.Module, net: nn.Module) -> float:
        return float(F.cross_entropy(net(VALID[:][0]), VALID[:][1]))

    result = run(problem(net, buffers="batch", metrics={"loss": loss}))
    for name, buffer in [*net.named_buffers(), *result.lower.named_buffers()]:
        assert torch.equal(buffer, before[name])
    by_hand = copy.deepcopy(result.lower).train()
    assert result.history["loss"].iloc[-1] == pytest.approx(loss(result.upper, by_hand))
    frozen = run(problem(net, buffers="frozen"))
    assert not torch.equal(frozen.y, result.y)


def test_augmentation_belongs_to_the_draw() -> None:
    data = Items(lambda item: (item[0] + 0.1 * torch.randn(item[0].shape), item[1]))
    made = problem(lower_data=data)
    one, other = run(made, seed=[0, 1]), run(made, seed=1)
    assert torch.equal(one.y[1], other.y)


def test_parameters_without_gradients_stay() -> None:
    net = mlp()
    next(net.parameters()).requires_grad_(requires_grad=False)
    result = run(problem(net))
    first, *others = zip(net.parameters(), result.lower.parameters(), strict=True)
    assert torch.equal(*first)
    assert not first[1].requires_grad
    assert not any(torch.equal(*pair) for pair in others)


# Bad input ------------------------------------------------------------------------------------------------------------


def endless() -> Iterator[int]:
    yield 1


class Meta(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.here = nn.Parameter(torch.zeros(2))
        self.there = nn.Parameter(torch.zeros(2, device="meta"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lower": Meta()}, r"lower \(Meta\) lies on cpu and meta: bring all of it to one device"),
        ({"lower": mlp().requires_grad_(requires_grad=False)}, "has no parameters that require gradients"),
        ({"lower": nn.ReLU()}, r"lower \(ReLU\) has no parameters that require gradients"),
        ({"lower": nn.Sequential(nn.Flatten(), nn.LazyLinear(2))}, "has parameters without a shape: call it once"),
        (
            {"lower": nn.Sequential(mlp(), nn.Linear(2, 2).double())},
            "has parameters of torch.float32 and torch.float64",
        ),
        ({"lower": lambda x: x}, "lower must be an nn.Module, got a function"),
        ({"lower": nn.Sequential}, "lower must be an nn.Module, got the class Sequential"),
        ({"lower_data": DataLoader(TRAIN)}, "lower_data is a DataLoader.*loader.dataset"),
        ({"upper_data": endless()}, "upper_data has the type generator, and must be a map-style data set"),
        ({"upper_data": TensorDataset(torch.zeros(0, 2))}, "upper_data is empty"),
        ({"upper_data": iter([VALID[0]])}, "upper_data has the type list_iterator, and must be a map-style data set"),
        ({"upper_data": []}, "upper_data is empty"),
        ({"upper_data": Subset(VALID, [])}, "upper_data is empty"),
        (
            {"upper_data": {"x": VALID.tensors[0]}},
            "upper_data is a dict, whose items are no data points: Tens",
        ),
        ({"upper_data": VALID.tensors}, r"upper_data is a tuple, whose items are no data points: TensorDataset"),
        ({"upper_data": TensorDataset}, r"upper_data is the class TensorDataset; call it"),
        ({"upper_data": torch.tensor(1.0)}, "upper_data is a Tensor without a length: TypeError: len"),
        ({"upper_data": Items(lambda item: item[5])}, "upper_data: its item 0 of 24 cannot be had: IndexError: tuple"),
        ({"upper": Weights(N).to("meta")}, r"upper \(Weights\) lies on meta, where parameters have no numbers"),
        ({"metrics": [accuracy(VALID)]}, "metrics must be {name: function"),
        ({"upper_data": ["a", "b"]}, r"upper_data: item\[0\]\[0\] is a str.*make numbers of it"),
        ({"upper_data": Items(lambda item: object())}, "upper_data: its items cannot be collated"),
        ({"lower": nn.Sequential(mlp(), nn.Dropout())}, "buffers must be said, because Dropout depends on the mode"),
        ({"lower": cnn(nn.BatchNorm2d(3))}, "buffers must be said, because BatchNorm2d"),
        (
            {"lower": nn.Sequential(mlp(), nn.BatchNorm1d(2), nn.Dropout())},
            "BatchNorm1d and Dropout depend on the mode",
        ),
        ({"buffers": "thawed"}, "buffers must be one of frozen, batch, lower_steps, got 'thawed'"),
        ({"upper_loss": 3}, "upper_loss must be a function"),
        ({"metrics": {"accuracy": 0.5}}, "metrics: 'accuracy' must be a function"),
        (
            {
                "lower": cnn(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 3, 3, padding=1))),
                "buffers": "lower_steps",
            },
            r"buffers='lower_steps': upper_loss reads in training mode .*\(lower\.1\.parametrizations.*take 'batch'",
        ),
        ({"vectorised": True, "buffers": "batch"}, "vectorised=True computes modules in evaluation mode only"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input_is_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        problem(**changes)
    assert "\n" not in str(refused.value)


def test_shared_parameters_are_refused() -> None:
    net = mlp()
    with pytest.raises(InputError, match="upper and lower have parameters in common"):
        problem(net, upper=nn.Sequential(net[1]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lower_loss": ce}, "lower: its gradient in y does not depend on x"),
        ({"lower_loss": lambda w, net, b: w(b.index).mean()}, "lower does not depend on y"),
        ({"upper_loss": lambda w, net, b: torch.ones(())}, "upper does not depend on x or y"),
        ({"upper_loss": lambda w, net, b: net(b.x).mean(-1)}, "upper_loss must return a scalar tensor"),
        (
            {"upper_data": None},
            "b.x: of an item's parts there are none, because this level was given",
        ),
        ({"upper_loss": lambda w, net, b: net(b[0]) @ b.z}, "this level's batch has no 'z'"),
        (
            {"metrics": {"accuracy": lambda w, net: net(VALID[:][1])}},
            "'accuracy' fails on modules of torch.float32",
        ),
        ({"upper_loss": lambda w, net, b: net(b.z).mean()}, "this level's batch has no 'z'"),
        ({"metrics": {"accuracy": lambda w, net: net(VALID[:][0])}}, r"metrics: 'accuracy' must return a number"),
        (
            {"upper_loss": lambda w, net, b: net(b.x).mean() + torch.ones(3) @ torch.ones(2)},
            "^upper_loss fails: RuntimeError: inconsistent tensor size",
        ),
        (
            {"lower_loss": lambda w, net, b: weighted_ce(w, net, b) * (net(b.x) @ torch.ones(2).double()).mean()},
            r"^lower_loss fails: .*bring your data to it with \.to\(torch\.float32\)",
        ),
    ],
    ids=range(11),
)
def test_losses_that_cannot_work_are_refused_before_the_first_step(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        run(problem(**changes))
    assert "\n" not in str(refused.value)


def test_a_loss_that_ignores_the_other_level_is_told() -> None:
    """Of the lower level it is refused above; of the upper level it may be meant, and is warned of."""
    with pytest.warns(UserWarning, match="the gradient of upper in y is 0, and the lower level decides nothing"):
        run(problem(upper_loss=lambda w, net, b: w.logits.square().sum()))


def test_a_result_without_modules_says_so() -> None:
    from unibio import Example3

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = solve(Example3(), steps=1)
    with pytest.raises(AttributeError, match=r"not made of modules: result\.y"):
        _ = result.lower


# Tasks ----------------------------------------------------------------------------------------------------------------


def meta(**changes: Any) -> Any:
    """Lines whose slope is the task: y fits one beginning at x, and stays near it."""

    def lines(draw: Any) -> Any:
        slope = draw.normal(1)[..., None]
        x = draw.uniform(6)[..., None]
        return x, slope * x

    def support(w: nn.Module, net: nn.Module, b: Batch) -> Tensor:
        near = sum(((p - q) ** 2).sum() for p, q in zip(net.parameters(), w.parameters(), strict=True))
        return F.mse_loss(net(b.x[:3]), b.y[:3]) + 0.5 * near

    def query(w: nn.Module, net: nn.Module, b: Batch) -> Tensor:
        return F.mse_loss(net(b.x[3:]), b.y[3:])

    torch.manual_seed(0)
    given: dict[str, Any] = {"upper": nn.Linear(1, 1), "lower": nn.Linear(1, 1), "tasks": lines}
    return module_problem(**given | {"lower_loss": support, "upper_loss": query} | changes)


def test_every_iteration_has_fresh_tasks_and_begins_at_x() -> None:
    """One iteration by hand: the draw of that iteration for both levels, y from x."""
    from unibio.core.streams import Draw, Streams

    made = meta()
    result = solve(made, "stocbio", steps=3, dtype=torch.float64, upper_step=1e-12, lower_iterations=1, lower_step=0.2,
                   seed=5, check=True, log_points=2)  # fmt: skip
    x = made.start[0].double()[None]
    y = x.clone().requires_grad_()
    task = made.tasks(Draw(Streams([5]), "tasks", 2))
    (slope,) = torch.autograd.grad(made.lower(x, y, task).sum(), y)
    torch.testing.assert_close(result.y, (y - 0.2 * slope).detach()[0], rtol=1e-9, atol=1e-10)
    assert result.history["grad_lower"].iloc[-1] == 3


def test_a_run_with_tasks_is_the_same_in_any_company_and_resumed(tmp_path: Any) -> None:
    given: dict[str, Any] = {"steps": 6, "upper_step": 0.1, "neumann_terms": 2}
    alone = solve(meta(), "bsa", **given, seed=1)
    assert torch.equal(solve(meta(), "bsa", **given, seed=[0, 1]).x[1], alone.x)
    done: list[int] = []
    with pytest.warns(UserWarning, match="interrupted at iteration 4"):
        solve(meta(), "bsa", **given, seed=1, checkpoint=tmp_path / "c", progress=done.append,
              should_stop=lambda: len(done) == 4)  # fmt: skip
    assert torch.equal(solve(meta(), "bsa", **given, seed=1, checkpoint=tmp_path / "c").x, alone.x)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lower": nn.Linear(1, 2)}, "upper has 2 parameters and lower 4: say where y begins"),
        ({"restart": lambda x: x[:, :1]}, r"restart must be a function that gives \(runs, 2\)"),
        ({"tasks": None, "restart": torch.clone}, "restart belongs to tasks"),
        ({"lower_data": TRAIN}, "leave upper_data and lower_data out"),
        ({"tasks": [1, 2]}, "tasks must be a function of a draw"),
    ],
    ids=range(5),
)
def test_tasks_that_cannot_work_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        meta(**changes)


def test_methods_that_carry_their_lower_level_along_refuse_tasks() -> None:
    with pytest.raises(InputError, match=r"algorithm 'soba' carries its lower level.*use stocbio or bsa"):
        solve(meta(), "soba", steps=2)
