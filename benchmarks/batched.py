"""Our side: the same trajectories as one batched program, through the package's public path."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from scalar import OPPONENTS, Settings
from unibio import Example3, Oracle, Problem
from unibio.algorithms.unibio import UniBiO
from unibio.core.epoch_sgd import epoch_sgd
from unibio.core.streams import Draw, Streams
from unibio.simulation.grid import grid_of, with_rows
from unibio.simulation.settings import Settings as RunSettings
from unibio.simulation.simulate import simulate
from unibio.simulation.trajectories import Trajectories


@dataclass
class Batch:
    """A batch ready to run: one row per trajectory.

    Attributes:
        s: settings that all rows share.
        problem: Example 3 with one noise level for all rows or one per row.
        algorithm: UniBiO, likewise with the upper step.
        seeds: one per row.
        upper_steps, variances: per row, as plain numbers, for the opponents.
        dtype: of the computation.
    """

    s: Settings
    problem: Problem
    algorithm: UniBiO
    seeds: list[int]
    upper_steps: list[float]
    variances: list[float]
    dtype: torch.dtype = torch.float64

    @property
    def runs(self) -> int:
        return len(self.seeds)

    def start(self) -> Tensor:
        return torch.ones(self.runs, 1, dtype=self.dtype)

    def simulate(self, log_points: int = 200) -> Trajectories:
        """Algorithm 2 to its end, metrics and history included."""
        settings = RunSettings(steps=self.s.steps, log_points=log_points)
        return simulate(self.problem, self.algorithm, self.start(), self.start(), seeds=self.seeds, settings=settings)

    def solver(self) -> Callable[[], Tensor]:
        """Algorithm 1 alone from (1, 1); every call goes on drawing where the last one stopped."""
        oracle, x, y, a = Oracle(self.problem, Streams(self.seeds)), self.start(), self.start(), self.algorithm
        return torch.no_grad()(
            partial(
                epoch_sgd,
                oracle,
                x,
                y,
                budget=a.inner_budget,
                first_length=a.first_length,
                first_radius=a.first_radius,
                step=a.lower_step,
            )
        )


def distinct_seeds(s: Settings, runs: int, variance: float, *, own_derivatives: bool = True) -> Batch:
    """``runs`` trajectories with a seed each, all at the same settings."""
    problem = Example3(exponent=s.exponent, noise=variance).build()
    if not own_derivatives:
        problem = replace(problem, derivatives={})
    return Batch(s, problem, _unibio(s), list(range(runs)), [s.upper_step] * runs, [variance] * runs)


def grid(s: Settings, runs: int, variance: float) -> Batch:
    """√runs seeds, each at √runs pairs of four noise levels and evenly spread upper steps; √runs divisible by 4."""
    seeds = math.isqrt(runs)
    steps = [s.upper_step * (0.5 + i / (seeds // 4)) for i in range(seeds // 4)]
    levels = [variance * factor for factor in (0.01, 0.1, 1.0, 10.0)]
    table = grid_of({"noise": levels, "upper_step": steps, "seed": list(range(seeds))})
    like = torch.ones(1, dtype=torch.float64)
    problem = with_rows(Example3(exponent=s.exponent), ["noise"], table, like).build()
    algorithm = with_rows(_unibio(s), ["upper_step"], table, like)
    columns = (table[name].tolist() for name in ("seed", "upper_step", "noise"))
    return Batch(s, problem, algorithm, *columns)


def _unibio(s: Settings) -> UniBiO:
    return UniBiO(
        upper_step=s.upper_step,
        lower_step=s.lower_step,
        momentum=s.momentum,
        period=s.period,
        inner_budget=s.budget,
        first_length=s.first_length,
        first_radius=s.first_radius,
        neumann_terms=s.neumann_terms,
        neumann_step=s.neumann_step,
        floor=s.floor,
    )


class Disagreement(Exception):
    """An opponent does not compute what we compute, so that its speed means nothing."""


class Recorded(NamedTuple):
    """What a batch came to, a number a row, and the standard normal numbers that it used, a column a lower step."""

    x: list[float]
    y: list[float]
    mean: list[float]
    numbers: Tensor


def recorded(batch: Batch) -> Recorded:
    """Run a small batch with noise and note the numbers that it draws for its lower steps; ``mean`` is that of |∇φ|.

    Raises:
        Disagreement: it takes another number of lower steps than its settings say.
    """
    drawn: list[Draw] = []
    used: list[Tensor] = []
    sampler, own = batch.problem.sample_lower, batch.problem.derivatives["grad_lower"]
    assert sampler is not None  # a batch without noise has nothing to hand over

    def sample(draw: Draw) -> Tensor:
        drawn.append(draw)
        return sampler(draw)

    def grad_lower(x: Tensor, y: Tensor, sample: Tensor) -> Tensor:
        if drawn[-1].purpose == "lower":  # not a probe of the problem's shapes
            used.append(drawn[-1].normal(1))
        return own(x, y, sample)

    derivatives = {**batch.problem.derivatives, "grad_lower": grad_lower}
    outcome = replace(batch, problem=replace(batch.problem, sample_lower=sample, derivatives=derivatives)).simulate()
    counted = set(outcome.counts["grad_lower"].tolist())
    if counted != {batch.s.lower_steps}:
        raise Disagreement(f"p = {batch.s.exponent}: {counted} lower gradients counted, {batch.s.lower_steps} expected")
    means = outcome.history.groupby("run")["hypergradient_norm_mean"].last()
    return Recorded(outcome.x[:, 0].tolist(), outcome.y[:, 0].tolist(), list(means), torch.cat(used, dim=1))


def check_agreement(batch: Batch, tolerance: float = 1e-10) -> float:
    """Run every row of a small batch with every scalar opponent on the batch's own noise; the largest difference.

    x, y and the mean of |∇φ| after the last iteration are compared.

    Raises:
        Disagreement: a difference above the tolerance.
    """
    ours = recorded(batch)
    worst = 0.0
    for row in range(batch.runs):
        s = replace(batch.s, upper_step=batch.upper_steps[row])
        for name, opponent in OPPONENTS.items():
            got = opponent(s, batch.variances[row] ** 0.5, iter(ours.numbers[row].tolist()).__next__).run()
            pairs = zip((got.x, got.y, got.mean_norm), (ours.x[row], ours.y[row], ours.mean[row]), strict=True)
            difference = max(abs(a - b) for a, b in pairs)
            if not difference <= tolerance:
                raise Disagreement(f"{name}, p = {s.exponent}, run {row}: differs from the batched run by {difference}")
            worst = max(worst, float(difference))
    return worst
