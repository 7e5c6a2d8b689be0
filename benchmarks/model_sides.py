"""A task of networks solved by one side, ours or an opponent's, without importing the others."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector
from torch.utils.data import TensorDataset

from model_tasks import Settings, Task

Trained = tuple[nn.Module, nn.Module]


def train(who: str, task: Task, s: Settings) -> Trained:
    """The modules of both levels as a side leaves them, on minibatches of its own."""
    side = import_module(f"rivals.models_{who}")
    if who == "ours":
        return side.train(side.problem(task, s), s)
    from rivals.model_loaders import loaders

    torch.manual_seed(s.seed)
    return side.train(task, s, loaders(task, s))


def double(task: Task) -> Task:
    """The task in float64."""
    parts = [TensorDataset(part.tensors[0].double(), part.tensors[1]) for part in (task.train, task.valid, task.test)]

    def modules(seed: int) -> Trained:
        upper, net = task.modules(seed)
        return upper.double(), net.double()

    return task._replace(train=parts[0], valid=parts[1], test=parts[2], modules=modules)


def flat(module: nn.Module) -> Tensor:
    """A module's parameters in a row."""
    return parameters_to_vector(module.parameters()).detach()
