"""The two conditions of the pilot study in numbers, on problems whose penalised objective has a known minimum.

    L_γ(x, y) = f(x, y) + γ(g(x, y) − g*(x)),        L*_γ(x) = min_y L_γ(x, y),        min L_γ = min L*_γ

The Polyak–Łojasiewicz inequality ‖∇‖² ≥ 2μ (value − minimum) is asked for with one μ > 0

    jointly        of L_γ in (x, y),
    by blocks      of L_γ(x, ·) for every x, and of L*_γ.

The problems of this module are those of others with six further metrics: what is lost to the minimum and the norm of
the gradient, of each of the three functions. μ is at most the least ‖∇‖²/(2 excess) over the iterates of a run; that is
for a study to take. Where x is kept in a box the gradient in x is without the parts that the box holds back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unibio.core.parameters import hyper
from unibio.core.problem import LazyMetrics, Problem
from unibio.errors import InputError
from unibio.problems.double_well import DoubleWell
from unibio.problems.linear_models import LinearCleaning, RepresentationLearning
from unibio.problems.weighted_cleaning import WeightedCleaning, inside

_PENALTY = "penalty that the conditions are of, whatever the algorithm has"


@dataclass(frozen=True)
class _Penalised:
    """L_γ of a problem.

    Attributes:
        problem: without samples.
        penalty: γ.
        least: min L_γ.
        solution: x -> some y of argmin g(x, ·).
        minimiser: x -> some y of argmin L_γ(x, ·).
        bound: of the box that x is kept in.
    """

    problem: Problem
    penalty: float
    least: float
    solution: Callable[[Tensor], Tensor]
    minimiser: Callable[[Tensor], Tensor]
    bound: float = float("inf")

    def value(self, x: Tensor, y: Tensor) -> Tensor:
        lost = self.problem.lower(x, y, None) - self.problem.lower(x, self.solution(x), None)
        found: Tensor = self.problem.upper(x, y, None) + self.penalty * lost
        return found

    def slope_x(self, x: Tensor, y: Tensor) -> Tensor:
        """∇_x L_γ, by Danskin's theorem for g*; of what the box leaves free."""
        own = self.problem.derivatives
        pull = own["grad_lower_x"](x, y, None) - own["grad_lower_x"](x, self.solution(x), None)
        return inside(x, own["grad_upper"](x, y, None)[0] + self.penalty * pull, self.bound)

    def slope_y(self, x: Tensor, y: Tensor) -> Tensor:
        own = self.problem.derivatives
        found: Tensor = own["grad_upper"](x, y, None)[1] + self.penalty * own["grad_lower"](x, y, None)
        return found

    def measured(self) -> Problem:
        """The problem with six further metrics."""
        metrics = self.problem.metrics
        assert metrics is not None

        def together(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            found = metrics(x, y)
            x, y = x.double().cpu(), y.double().cpu()  # CUDA's least squares want features of full rank
            return LazyMetrics(
                **{name: partial(found.__getitem__, name) for name in found},
                joint_excess=lambda: self.value(x, y) - self.least,
                joint_slope=lambda: torch.cat([self.slope_x(x, y), self.slope_y(x, y)], dim=-1).norm(dim=-1),
                lower_excess=lambda: self.value(x, y) - self.value(x, self.minimiser(x)),
                lower_slope=lambda: self.slope_y(x, y).norm(dim=-1),
                upper_excess=lambda: self.value(x, self.minimiser(x)) - self.least,
                upper_slope=lambda: self.slope_x(x, self.minimiser(x)).norm(dim=-1),
            )

        return dataclasses.replace(self.problem, metrics=together)


def least_squares(features: Tensor, targets: Tensor) -> Tensor:
    """The solution of least norm, flattened: (runs, c·o) of (runs, rows, c) and (runs, rows, o)."""
    features = torch.nan_to_num(features, posinf=0.0, neginf=0.0)  # gelsd refuses others; the loss shows them
    return torch.linalg.lstsq(features, targets.expand(len(features), -1, -1), driver="gelsd").solution.flatten(1)


@dataclass(frozen=True)
class RepresentationConditions(RepresentationLearning):
    """Representation learning with the conditions' metrics; min L_γ is the optimum of f, where g = g*, for every γ."""

    name: ClassVar[str] = "representation_conditions"

    penalty: float = hyper(10.0, _PENALTY, symbol="γ", above=0)

    def build(self) -> Problem:
        data, root = {key: torch.from_numpy(a) for key, a in self.data().items()}, self.penalty**0.5
        features, targets = (torch.cat([data[f"{a}_val"], root * data[f"{a}_trn"]]) for a in "XY")

        def first(x: Tensor) -> Tensor:
            return x.view(-1, self.features, self.width)

        return _Penalised(
            super().build(),
            self.penalty,
            self.optimum(),
            lambda x: least_squares(data["X_trn"] @ first(x), data["Y_trn"]),
            lambda x: least_squares(features @ first(x), targets),
        ).measured()


@dataclass(frozen=True)
class LinearCleaningConditions(LinearCleaning):
    """Linear hyper-cleaning with the conditions' metrics; g* = 0, so that L*_γ is least at the least weights."""

    name: ClassVar[str] = "linear_cleaning_conditions"

    penalty: float = hyper(10.0, _PENALTY, symbol="γ", above=0)

    def build(self) -> Problem:
        data = {key: torch.from_numpy(a) for key, a in self.data().items()}
        fitting = torch.linalg.pinv(data["X_trn"]) @ data["Y_trn"]

        def minimiser(x: Tensor) -> Tensor:
            root = (self.penalty * torch.sigmoid(x)).sqrt()[:, :, None]
            features, targets = (
                torch.cat([data[f"{a}_val"].expand(len(x), -1, -1), root * data[f"{a}_trn"]], dim=1) for a in "XY"
            )
            return least_squares(features, targets)

        problem = super().build()
        found = _Penalised(
            problem, self.penalty, 0.0, lambda x: fitting.flatten().expand(len(x), -1), minimiser, self.bound
        )
        lowest = torch.full((1, self.size_train), -self.bound, dtype=torch.float64)
        return dataclasses.replace(found, least=float(found.value(lowest, minimiser(lowest)))).measured()


@dataclass(frozen=True)
class WeightedCleaningConditions(WeightedCleaning):
    """Hyper-cleaning whose weights matter, with the conditions' metrics; weights must be able to reach the least f.

    Noise and box are larger than without the conditions, for that.
    """

    name: ClassVar[str] = "weighted_cleaning_conditions"

    noise: float = hyper(0.3, "standard deviation of the noise of all targets", at_least=0)
    bound: float = hyper(3.0, "|u_i| at most", above=0)
    penalty: float = hyper(10.0, _PENALTY, symbol="γ", above=0)

    def build(self) -> Problem:
        data, least = self.data(), self.solve()[0]
        free = np.linalg.lstsq(data["X_val"], data["Y_val"], rcond=None)[0]
        if least > 0.5 * ((data["X_val"] @ free - data["Y_val"]) ** 2).sum() + 1e-12:
            raise InputError(
                f"problem.bound = {self.bound:g} and problem.noise = {self.noise:g} leave the least f out of the "
                "weights' reach, and min L_γ is known only within it; raise either"
            )
        X, Y = torch.from_numpy(data["X_val"]), torch.from_numpy(data["Y_val"])
        targets = torch.from_numpy(data["T"])

        def solution(x: Tensor) -> Tensor:
            s = torch.sigmoid(x).view(-1, *targets.shape)
            return (s * targets).sum(-1) / s.sum(-1)

        def minimiser(x: Tensor) -> Tensor:
            pull = self.penalty * torch.sigmoid(x).view(-1, *targets.shape).mean(-1)
            return torch.linalg.solve(X.T @ X + torch.diag_embed(pull), (X.T @ Y + pull * solution(x))[..., None])[
                ..., 0
            ]

        return _Penalised(super().build(), self.penalty, least, solution, minimiser, self.bound).measured()


@dataclass(frozen=True)
class DoubleWellConditions(DoubleWell):
    """The double well with the conditions' metrics; min L_γ = min φ, where y = x."""

    name: ClassVar[str] = "double_well_conditions"

    penalty: float = hyper(10.0, _PENALTY, symbol="γ", above=0)

    def build(self) -> Problem:
        problem, gamma = super().build(), self.penalty
        best = torch.full((1, 1), self.minimiser(), dtype=torch.float64)
        found = _Penalised(problem, gamma, float(problem.upper(best, best, None)), lambda x: x, lambda x: x)

        def minimiser(x: Tensor) -> Tensor:
            """Of the roots of ∂L_γ/∂y, y³ + (γ/4 − 1)y + (t − γx)/4, the one with the least L_γ."""
            companion = torch.zeros(len(x), 3, 3, dtype=torch.float64)
            companion[:, 1, 0] = companion[:, 2, 1] = 1.0
            companion[:, 0, 2] = torch.nan_to_num(gamma * x[:, 0] - self.tilt, posinf=0.0, neginf=0.0) / 4
            companion[:, 1, 2] = 1 - gamma / 4
            roots = torch.linalg.eigvals(companion).real  # a complex pair's real part has a larger L_γ, too
            values = torch.stack([found.value(x, root[:, None]) for root in roots.T], dim=-1)
            return roots.gather(1, values.argmin(-1, keepdim=True))

        return dataclasses.replace(found, minimiser=minimiser).measured()
