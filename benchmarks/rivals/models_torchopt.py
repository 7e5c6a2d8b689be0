"""A task of networks in torchopt: its module of implicit gradients, and its Neumann series as the linear solver."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import torch
import torchopt
from torch import Tensor, nn
from torchopt.diff.implicit.nn import ImplicitMetaGradientModule
from torchopt.linear_solve import solve_inv

from model_tasks import Settings, Task


def train(task: Task, s: Settings, loaders: tuple[Iterable, Iterable]) -> tuple[nn.Module, nn.Module]:
    """By ``solve`` of a module whose parameters are the lower level's and whose meta-parameters the upper level's.

    Args:
        task: the problem.
        s: the settings.
        loaders: minibatches of the lower and of the upper level.
    """
    upper, net = task.modules(s.seed)
    series = solve_inv(ns=True, maxiter=s.terms - 1, alpha=s.lower_step)

    class Lower(ImplicitMetaGradientModule, linear_solve=series):
        def __init__(self, upper: nn.Module):
            super().__init__()
            self.upper, self.net = upper, net

        def objective(self, batches: list) -> Tensor:
            return task.lower_loss(self.upper, self.net, *batches[-1])

        def solve(self, batches: list) -> None:
            optimizer = torch.optim.SGD(self.parameters(), s.lower_step)
            with torch.enable_grad():
                for batch in batches:
                    optimizer.zero_grad()
                    task.lower_loss(self.upper, self.net, *batch).backward(inputs=list(self.parameters()))
                    optimizer.step()

    lower = Lower(upper)  # what the constructor is given is the upper level's
    optimizer = torch.optim.Adam(upper.parameters(), s.upper_step)
    lower_batches, upper_batches = (forever(loader) for loader in loaders)
    for _ in range(s.steps):
        lower.solve(list(islice(lower_batches, s.lower_iterations)))
        optimizer.zero_grad()
        task.upper_loss(upper, lower.net, *next(upper_batches)).backward(inputs=list(upper.parameters()))
        optimizer.step()
        torchopt.stop_gradient(lower)
    return upper, lower.net


def forever(loader: Iterable) -> Iterable:
    """Epoch after epoch."""
    while True:
        yield from loader
