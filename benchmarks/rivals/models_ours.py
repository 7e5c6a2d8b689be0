"""A task of networks by ``module_problem`` and ``solve``."""

from __future__ import annotations

from torch import nn

from model_tasks import Settings, Task
from unibio import Problem, solve
from unibio.nn import SGD, Adam, module_problem


def problem(task: Task, s: Settings) -> Problem:
    """The task as a bilevel problem."""
    upper, net = task.modules(s.seed)
    return module_problem(
        upper=upper,
        lower=net,
        lower_loss=lambda upper, net, b: task.lower_loss(upper, net, b.x, b.y, b.index),
        upper_loss=lambda upper, net, b: task.upper_loss(upper, net, b.x, b.y, b.index),
        lower_data=task.train,
        upper_data=task.valid,
        metrics={},
    )


def train(problem: Problem, s: Settings) -> tuple[nn.Module, nn.Module]:
    """By StocBiO with a Neumann sum on one minibatch."""
    result = solve(
        problem,
        "stocbio",
        steps=s.steps,
        batch_size=s.batch,
        seed=s.seed,
        upper_update=Adam(s.upper_step),
        lower_update=SGD(s.lower_step),
        lower_iterations=s.lower_iterations,
        neumann_terms=s.terms,
        neumann_step=s.lower_step,
        neumann_samples="shared",
    )
    return result.upper, result.lower
