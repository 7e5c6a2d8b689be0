"""Linear hyper-cleaning whose weights matter: more training points than features, a part of the targets wrong.

Every one of d quantities w_j is observed r times, n = dr > d, and a part of the observations have the wrong sign;
a few clean validation points observe combinations of the quantities:

    f(u, w) = ½‖X_val w − Y_val‖²,      g(u, w) = ½ Σ_j Σ_i σ(u_ji) (w_j − t_ji)² / r,      |u_ji| ≤ bound

The lower level has one solution, the weighted means m_j(u) = Σ_i σ(u_ji) t_ji / Σ_i σ(u_ji). Which means weights of a
box can give is an interval [l_j, h_j] for every j (a ratio of linear functions is largest where all weights up to a
threshold are least and all others largest), and any point of the box [l, h] can be had. So

    min φ  =  min ½‖X_val w − Y_val‖² over l ≤ w ≤ h,

a convex problem, solved by going through all faces of the box: no weights, no gradient and no start have a part in it.
And φ has no spurious stationary point: ∂φ/∂u_ji is a positive number times (t_ji − m_j) ∂f/∂w_j, so that, where no u
can move, every m_j is at the end of its interval that f asks for, or f does not ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unibio.core.metrics import separation
from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec
from unibio.errors import InputError
from unibio.problems.matrices import Constants
from unibio.problems.randomness import normal_start

#: Features at most: the optimum goes through 3^d faces.
MOST_FEATURES = 8


@dataclass(frozen=True)
class WeightedCleaning(ProblemSpec):
    """d_x = features·repeats, d_y = features; u is projected onto a box.

    Start: u normal times ``start_spread``, w standard normal times ``start_scale``, of every ``start_seed``. Metrics:
    ``value_gap`` φ(u) − min φ, ``upper_gap`` f(w) − min φ (negative where w leaves w*(u) for f's sake), ``lower_gap``
    g(u, w) − g*(u), ``cleaning_auc``, the probability that a clean observation weighs more than a wrong one, and
    ``hypergradient_norm`` ‖∇φ(u)‖ without what the box holds back.
    """

    name: ClassVar[str] = "weighted_cleaning"

    features: int = hyper(5, "quantities, at most 8", symbol="d", at_least=1)
    repeats: int = hyper(8, "training points per quantity, one weight each", symbol="r", at_least=2)
    size_validation: int = hyper(30, "validation points", symbol="m", at_least=1)
    corruption_rate: float = hyper(0.25, "fraction of training targets with the wrong sign", at_least=0, below=1)
    noise: float = hyper(0.1, "standard deviation of the noise of all targets", at_least=0)
    bound: float = hyper(2.0, "|u_i| at most", above=0)
    data_seed: int = hyper(0, "seed of the generated data", at_least=0)
    start_seed: PerRun = hyper(0, "seed of the start", at_least=0)
    start_scale: float = hyper(1.0, "size of the start's w", above=0)
    start_spread: float = hyper(1.0, "size of the start's u", at_least=0)

    def data(self) -> dict[str, NDArray[np.float64]]:
        """T (d, r) training targets, wrong (d, r) ∈ {0, 1}, X_val (m, d), Y_val (m,)."""
        if self.features > MOST_FEATURES:
            raise InputError(
                f"problem.features = {self.features}: at most {MOST_FEATURES}, since the global optimum goes through "
                "3^features faces"
            )
        rng = np.random.Generator(np.random.Philox(self.data_seed))
        truth = rng.choice([-1.0, 1.0], self.features) * rng.uniform(1, 2, self.features)
        wrong = np.zeros((self.features, self.repeats))
        wrong[:, : round(self.corruption_rate * self.repeats)] = 1
        targets = truth[:, None] * (1 - 2 * wrong) + self.noise * rng.standard_normal(wrong.shape)
        shrink = 1 / np.sqrt(self.size_validation)  # so that f does not grow with the number of points
        seen = rng.standard_normal((self.size_validation, self.features))
        answers = seen @ truth + self.noise * rng.standard_normal(len(seen))
        return {"T": targets, "wrong": wrong, "X_val": seen * shrink, "Y_val": answers * shrink}

    def reach(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(d,) the least and the largest weighted mean of every quantity's targets that weights of the box give."""
        targets = np.sort(self.data()["T"], axis=1)
        low, high = (1 / (1 + np.exp(-sign * self.bound)) for sign in (-1, 1))
        ends = []
        for first, rest in ((high, low), (low, high)):
            means = []
            for k in range(self.repeats + 1):
                weights = np.where(np.arange(self.repeats) < k, first, rest)
                means.append(targets @ weights / weights.sum())
            ends.append(np.array(means))
        return ends[0].min(axis=0), ends[1].max(axis=0)

    def solve(self) -> tuple[float, NDArray[np.float64]]:
        """min φ and the (d,) weighted means there: least squares on every face of the box of means."""
        data, (low, high) = self.data(), self.reach()
        X, Y = data["X_val"], data["Y_val"]
        best, at = np.inf, low
        for face in product((-1, 0, 1), repeat=self.features):
            side = np.array(face)
            w = np.where(side < 0, low, high)
            free = side == 0
            if free.any():
                w[free] = np.linalg.lstsq(X[:, free], Y - X[:, ~free] @ w[~free], rcond=None)[0]
            value = 0.5 * float(((X @ w - Y) ** 2).sum())
            if value < best and (w >= low).all() and (w <= high).all():
                best, at = value, w
        return best, at

    def build(self) -> Problem:
        d, r, bound = self.features, self.repeats, self.bound
        data = Constants({key: torch.from_numpy(np.ascontiguousarray(a)) for key, a in self.data().items()})
        best, corrupted = self.solve()[0], torch.from_numpy(self.data()["wrong"].reshape(-1) > 0)

        def weights(x: Tensor) -> Tensor:
            return torch.sigmoid(x).view(-1, d, r)

        def steep(x: Tensor) -> Tensor:
            s = weights(x)
            return s * (1 - s)

        def curvature(x: Tensor) -> Tensor:
            return weights(x).sum(-1) / r

        def off(x: Tensor, y: Tensor) -> Tensor:
            """w_j − t_ji: (runs, d, r)."""
            return y[:, :, None] - data("T", y)

        def means(x: Tensor) -> Tensor:
            s = weights(x)
            return (s * data("T", x)).sum(-1) / s.sum(-1)

        def missed(y: Tensor) -> Tensor:
            return y @ data("X_val", y).T - data("Y_val", y)

        def value(y: Tensor) -> Tensor:
            return 0.5 * (missed(y) ** 2).sum(-1)

        def gradient(x: Tensor) -> Tensor:
            m = means(x)
            pull = missed(m) @ data("X_val", x) / curvature(x)
            return (-steep(x) * off(x, m) * pull[:, :, None] / r).flatten(1)

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            x, y = x.double(), y.double()
            return LazyMetrics(
                value_gap=lambda: value(means(x)) - best,
                upper_gap=lambda: value(y) - best,
                lower_gap=lambda: 0.5 * (curvature(x) * (y - means(x)) ** 2).sum(-1),
                hypergradient_norm=lambda: inside(x, gradient(x), bound).norm(dim=-1),
                **({"cleaning_auc": lambda: separation(x, corrupted.to(x.device))} if corrupted.any() else {}),
            )

        start = normal_start(self.start_seed, d * r + d, 1.0)
        return Problem(
            upper=lambda x, y: value(y) + 0 * x.sum(-1),
            lower=lambda x, y: 0.5 * (weights(x) * off(x, y) ** 2).sum((-2, -1)) / r,
            project_upper=lambda x: x.clamp(-bound, bound),
            metrics=metrics,
            derivatives={
                "grad_upper": lambda x, y, sample: (torch.zeros_like(x), missed(y) @ data("X_val", y)),
                "grad_lower": lambda x, y, sample: curvature(x) * (y - means(x)),
                "grad_lower_x": lambda x, y, sample: (0.5 * steep(x) * off(x, y) ** 2 / r).flatten(1),
                "hvp": lambda x, y, v, sample: curvature(x) * v,
                "jvp": lambda x, y, v, sample: (steep(x) * off(x, y) * v[:, :, None] / r).flatten(1),
                "hessian_diagonal": lambda x, y, sample: curvature(x),
            },
            closed_form=ClosedForm(means, lambda x: value(means(x)), gradient),
            start=(
                (self.start_spread * start[..., : d * r]).clamp(-bound, bound),
                self.start_scale * start[..., d * r :],
            ),
            batched=True,
            name=self.name,
        )


def inside(x: Tensor, gradient: Tensor, bound: float) -> Tensor:
    """A gradient without the parts along which a step downwards would leave the box |x_i| ≤ bound."""
    held = ((x >= bound) & (gradient < 0)) | ((x <= -bound) & (gradient > 0))
    return torch.where(held, torch.zeros_like(gradient), gradient)
