"""Stored statistics: those of a loop by hand, changed by lower steps alone, every run's own, held by checkpoints."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from unibio import InputError, Problem, Result, solve
from unibio.core.oracle import Oracle
from unibio.core.streams import Draw, Streams
from unibio.nn import SGD, Adam, Batch, module_problem
from unibio.registry import ALGORITHMS, VARIANTS

N, BATCH = 24, 6
#: Those whose steps need what a network does not have, a closed form; and those that refuse what others store.
SYNTHETIC = ("unibio_released", "proximal_followed", "proximal_momentum_followed")
CLASSES = {**ALGORITHMS, **VARIANTS}
SETTLE = [name for name in CLASSES if CLASSES[name]().settles and name not in SYNTHETIC]


def data(seed: int) -> TensorDataset:
    x = torch.randn(N, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return TensorDataset(x, (x.sum(-1) > 0).long())


TRAIN, VALID = data(0), data(1)


class Weights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(N, dtype=torch.float64))

    def forward(self, index: Tensor) -> Tensor:
        return torch.sigmoid(self.logits[index])


def net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(5, 4), nn.BatchNorm1d(4, momentum=0.3), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 2)
    ).double()


def lower_loss(w: Weights, net: nn.Module, b: Batch) -> Tensor:
    return (w(b.index) * F.cross_entropy(net(b.x), b.y, reduction="none")).mean()


def upper_loss(w: Weights, net: nn.Module, b: Batch) -> Tensor:
    return F.cross_entropy(net(b.x), b.y)


def validation(w: nn.Module, net: nn.Module) -> float:
    assert not net.training
    with torch.no_grad():
        return float(F.cross_entropy(net(VALID.tensors[0]), VALID.tensors[1]))


def problem(buffers: str = "lower_steps", **changes: Any) -> Problem:
    given: dict[str, Any] = {
        "upper": Weights(), "lower": net(), "lower_loss": lower_loss, "upper_loss": upper_loss, "lower_data": TRAIN,
        "upper_data": VALID, "metrics": {"validation": validation}, "buffers": buffers,
    }  # fmt: skip
    return module_problem(**given | changes)


#: Looked at once, by whoever runs them first.
STORED, PLAIN = problem(), problem("batch")


def run(made: Problem, algorithm: Any = "lower_only", **changes: Any) -> Result:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return solve(made, algorithm, **{"steps": 4, "batch_size": BATCH, "seed": 0} | changes)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_they_are_those_of_a_loop_by_hand() -> None:
    """torch's own SGD and BatchNorm on the same minibatches, the masks from the same seeds."""
    from unibio.nn.datasets import seeds

    by_hand = net().train()
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    for k in range(5):
        draw = Draw(Streams([7]), "lower", k, BATCH)
        (index,) = draw.minibatch(N)
        x, y = (part[index] for part in TRAIN.tensors)
        optimizer.zero_grad()
        torch.manual_seed(int(seeds(draw, "masks")))
        (0.5 * F.cross_entropy(by_hand(x), y, reduction="none")).mean().backward()
        optimizer.step()
    result = run(STORED, steps=5, seed=7, lower_step=0.1)
    for mine, theirs in zip(result.lower.state_dict().values(), by_hand.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert result.lower[1].num_batches_tracked == 5
    assert result.history["validation"].iloc[-1] == pytest.approx(validation(result.upper, by_hand.eval()))


@pytest.mark.one_in(33)
@pytest.mark.parametrize("name", SETTLE)
def test_iterates_are_those_without_storing_and_every_lower_step_of_y_counts(name: str) -> None:
    """A count that no probe, product, upper gradient or metric adds to: the steps that the method takes."""
    stored, plain = run(STORED, name), run(PLAIN, name)
    assert torch.equal(stored.x, plain.x)
    assert torch.equal(stored.y, plain.y)
    algorithm, iterations = CLASSES[name](), 4
    counted = int(stored.lower[1].num_batches_tracked)
    gradients = int(stored.history["grad_lower"].iloc[-1])
    each = {
        "unibio_plain": algorithm.__dict__.get("lower_iterations", 0) * 2, "bome": iterations, "sustain": iterations,
        "sustain_lagging": iterations, "sustain_two_lengths": iterations, "mrbo": iterations, "f3sa": iterations,
        "f2sa": iterations, "f2sa_followed": iterations, "pbgd": iterations,
        "f2ba": iterations * algorithm.__dict__.get("lower_iterations", 0),
        "vrbo": iterations * algorithm.__dict__.get("lower_iterations", 0), "saba": iterations,
        "saba_opposite": iterations,
    }  # fmt: skip
    assert counted == each.get(name, gradients)
    assert not same(stored.lower, plain.lower)


@pytest.mark.parametrize("algorithm", ["stocbio", "f2sa", "unibio"])
@pytest.mark.slow
def test_a_grid_has_a_set_for_every_run_and_a_checkpoint_holds_it(algorithm: str, tmp_path: Path) -> None:
    made = STORED
    grid = run(made, algorithm, seed=[0, 1], upper_step=[0.1, 0.2])
    for place, (seed, step) in enumerate([(0, 0.1), (0, 0.2), (1, 0.1), (1, 0.2)]):
        alone = run(made, algorithm, seed=seed, upper_step=step)
        assert same(grid.lower[place], alone.lower)
        assert same(grid.upper[place], alone.upper)
    assert not same(grid.lower[0], grid.lower[2])
    done: list[int] = []
    path: dict[str, Any] = {"checkpoint": tmp_path / "c", "seed": [0, 1], "upper_step": [0.1, 0.2]}
    part = run(made, algorithm, **path, progress=done.append, should_stop=lambda: len(done) == 2)
    assert part.status == ["interrupted"] * 4
    assert not same(part.lower[0], grid.lower[0])
    resumed = run(made, algorithm, **path)
    assert all(map(same, resumed.lower, grid.lower))


def test_a_run_that_ends_before_the_others_keeps_its_own() -> None:
    """One that diverges: the statistics of its last finite iterate, as when it runs alone."""
    steps = [0.1, 1e12]
    grid = run(STORED, "stocbio", lower_step=steps, check=False)
    assert grid.status == ["completed", "diverged"]
    for place, step in enumerate(steps):
        assert same(grid.lower[place], run(STORED, "stocbio", lower_step=step, check=False).lower)


def test_only_lower_steps_change_them() -> None:
    made = problem()
    x, y = (start[None] for start in made.start or ())
    oracle = Oracle(made, Streams([0]), BATCH)
    assert oracle.held is not None
    before = oracle.held.values
    v = torch.ones_like(y)
    g = oracle.grad_lower(x, y)
    oracle.grad_upper(x, y), oracle.hvp(x, y, v), oracle.jvp(x, y, v), oracle.lower_at_once(x, y, v)
    oracle.value_lower(x, y), made.measured(x, y, oracle.held.values), made.view("lower", y[0], before[0])
    assert torch.equal(oracle.held.values, before)
    oracle.stepped_lower(y)
    assert not torch.equal(oracle.held.values, before)
    assert bool(g.isfinite().all())
    with pytest.raises(InputError, match="no lower gradient had been asked for"):
        oracle.stepped_lower(y)


def test_rules_and_the_users_modules() -> None:
    mine = net()
    before = copy.deepcopy(mine.state_dict())
    result = run(problem(lower=mine), "soba", upper_update=Adam(0.1), lower_update=SGD(0.1, momentum=0.9))
    assert all(torch.equal(tensor, before[name]) for name, tensor in mine.state_dict().items())
    assert int(result.lower[1].num_batches_tracked) == 4


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in (*SETTLE, *SYNTHETIC)])
def test_methods_that_do_not_tell_of_their_steps_refuse_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match=f"buffers: algorithm '{name}' does not tell of its lower steps") as refused:
        run(STORED, name)
    assert "\n" not in str(refused.value)


def test_a_network_without_buffers_stores_nothing() -> None:
    plain = problem(lower=nn.Linear(5, 2).double())
    result = run(plain)
    assert result.buffers is not None
    assert result.buffers.shape == (0,)
    assert dataclasses.replace(result).lower.weight.shape == (2, 5)
