"""How long a batch lasts: iterations, a budget of oracle calls, passes over the lower level's data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unibio.core.oracle import Oracle
from unibio.core.problem import Problem
from unibio.errors import InputError
from unibio.simulation.history import log_iterations
from unibio.simulation.settings import Settings

#: Epochs are given up when no lower gradient was asked for in so many iterations.
NO_LOWER_GRADIENTS = 1000


class Limits:
    """What ends the runs of a batch that do not diverge.

    Args:
        problem: whose data an epoch passes over.
        algorithm: its name, for messages.
        oracle: what has been asked for.
        settings: steps, budget, epochs; how much is logged.

    Attributes:
        length: the most iterations that there can be.
        logged: those that are logged; with epochs they only turn out.
        any: whether runs end by what they have cost.

    Raises:
        InputError: epochs of a problem without data.
    """

    def __init__(self, problem: Problem, algorithm: str, oracle: Oracle, settings: Settings):
        self.problem, self.algorithm, self.oracle, self.settings = problem, algorithm, oracle, settings
        self.any = settings.budget is not None or settings.epochs is not None
        if settings.epochs is None:
            length = settings.steps if settings.steps is not None else settings.budget
            assert length is not None  # Settings has checked
            self.length: float = length
            self.logged = log_iterations(length, settings.log_points)
            return
        if problem.size_lower is None:
            raise InputError(
                f"epochs = {settings.epochs:g} passes over the lower level's data, of which problem {problem.name!r} "
                "has none; use steps or budget"
            )
        self.length, self.logged = (math.inf if settings.steps is None else settings.steps), [0]

    def spent(self, runs: int, iteration: int) -> Tensor:
        """Rows (bool, (runs,), on the CPU) that may not start another iteration.

        Raises:
            InputError: epochs that never end.
        """
        out = torch.zeros(runs, dtype=torch.bool)
        if self.settings.budget is not None:
            out |= self.oracle.calls_per_run() >= self.settings.budget
        if self.settings.epochs is not None:
            out |= self.epochs_done(iteration) >= self.settings.epochs
        return out

    def parts(self, iteration: int) -> int:
        """How many of the epochs' equal parts, each of which is logged once, are over; 0 without epochs."""
        s = self.settings
        return 0 if s.epochs is None else int(self.epochs_done(iteration) / s.epochs * (s.log_points - 1))

    def epochs_done(self, iteration: int) -> float:
        """Passes over the lower level's data in that many iterations.

        Raises:
            InputError: there is no end in sight.
        """
        assert self.problem.size_lower is not None  # the start has checked
        if iteration == NO_LOWER_GRADIENTS and not self.oracle.lower_samples:
            raise InputError(
                f"epochs: algorithm {self.algorithm!r} asked for no lower gradient in {iteration} "
                "iterations, so that epochs never end; use steps or budget"
            )
        return self.oracle.lower_samples / self.problem.size_lower
