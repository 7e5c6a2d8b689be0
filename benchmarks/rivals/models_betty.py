"""A task of networks in betty-ml: a problem a level, an engine, its Neumann series.

The series takes the Hessian and the mixed derivatives on the minibatch of the last lower step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from betty.configs import Config, EngineConfig
from betty.engine import Engine
from betty.problems import ImplicitProblem
from torch import Tensor, nn

from model_tasks import Settings, Task


def train(task: Task, s: Settings, loaders: tuple[Iterable, Iterable]) -> tuple[nn.Module, nn.Module]:
    """By ``Engine.run``.

    Args:
        task: the problem.
        s: the settings.
        loaders: minibatches of the lower and of the upper level.
    """

    class Lower(ImplicitProblem):
        def training_step(self, batch: Any) -> Tensor:
            return task.lower_loss(self.upper.module, self.module, *batch)

    class Upper(ImplicitProblem):
        def training_step(self, batch: Any) -> Tensor:
            return task.upper_loss(self.module, self.lower.module, *batch)

    upper_module, net = task.modules(s.seed)
    lower = Lower(
        name="lower",
        config=Config(
            type="neumann",
            unroll_steps=s.lower_iterations,
            neumann_iterations=s.terms - 1,
            neumann_alpha=s.lower_step,
        ),
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), s.lower_step),
        train_data_loader=loaders[0],
    )
    upper = Upper(
        name="upper",
        config=Config(retain_graph=True),
        module=upper_module,
        optimizer=torch.optim.Adam(upper_module.parameters(), s.upper_step),
        train_data_loader=loaders[1],
    )
    engine = Engine(
        problems=[upper, lower],
        config=EngineConfig(train_iters=s.steps * s.lower_iterations),
        dependencies={"u2l": {upper: [lower]}, "l2u": {lower: [upper]}},
    )
    engine.run()
    return upper.module, lower.module
