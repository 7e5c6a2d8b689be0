"""Two problems with linear models whose *global* optimum is known: representation learning and hyper-cleaning.

Both are nonconvex in (x, y), and the lower level has many solutions; which one is taken is the upper level's choice
(optimistic). With more features than data points, n + m ≤ d for the first and n ≤ d for the second, the optimum is:

*Representation learning* (upper W₁, lower W₂):   f = ½‖X_val W₁W₂ − Y_val‖²,   g = ½‖X_trn W₁W₂ − Y_trn‖².
Every repeated validation input has noise of its own, so f ≥ ½‖(I − P)Y_val‖² for P the projection onto the range of
X_val, whatever the model; and a product M = W₁W₂ that interpolates the training data and attains that bound exists.

*Hyper-cleaning* (upper u, lower W):   f = ½‖X_val W − Y_val‖²,   g = ½ Σ_i σ(u_i) ‖x_iᵀW − y_i‖²,   |u_i| ≤ bound.
Whatever u, the lower level's solutions are all W with X_trn W = Y_trn: the optimum is a constrained least-squares
problem. A penalty γ violates the constraint by O(1/γ) and undercuts the optimum of f by as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import Problem, ProblemSpec
from unibio.errors import InputError
from unibio.problems.matrices import Constants
from unibio.problems.randomness import normal_start


def _stream(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@dataclass(frozen=True)
class RepresentationLearning(ProblemSpec):
    """Two-layer linear representation learning; d_x = features·width, d_y = width·outputs.

    Start: standard normal entries times ``start_scale``/√width, a start for every ``start_seed``.
    Metrics: ``upper_gap`` f(x, y) − optimum; ``lower_gap`` g(x, y) − g*(x), g* by a least-squares solve.
    """

    name: ClassVar[str] = "representation"

    features: int = hyper(16, "inputs", symbol="d", at_least=1)
    width: int = hyper(20, "columns of W₁", symbol="h", at_least=1)
    outputs: int = hyper(3, "columns of W₂", symbol="k", at_least=1)
    size_train: int = hyper(8, "training points", symbol="n", at_least=1)
    size_validation: int = hyper(6, "different validation points", symbol="m", at_least=1)
    repeats: int = hyper(2, "noisy observations of each validation point", at_least=1)
    noise: float = hyper(0.5, "standard deviation of the noise of observations", at_least=0)
    data_seed: int = hyper(0, "seed of the generated data", at_least=0)
    start_seed: PerRun = hyper(0, "seed of the start", at_least=0)
    start_scale: float = hyper(1.0, "size of the start's entries", above=0)

    def data(self) -> dict[str, np.ndarray]:
        """X_trn (n, d), Y_trn (n, k), X_val (m·repeats, d), Y_val: a linear truth plus noise."""
        if self.size_train + self.size_validation > self.features:
            raise InputError(
                f"problem.size_train + size_validation = {self.size_train + self.size_validation} must not exceed "
                f"problem.features = {self.features}: the global optimum is known only where a linear model fits both"
            )
        rng = _stream(self.data_seed)
        truth = rng.standard_normal((self.features, self.outputs))
        scale = 1 / np.sqrt(self.features)
        train = rng.standard_normal((self.size_train, self.features)) * scale
        validation = np.repeat(rng.standard_normal((self.size_validation, self.features)) * scale, self.repeats, axis=0)
        return {
            "X_trn": train,
            "Y_trn": train @ truth + self.noise * rng.standard_normal((len(train), self.outputs)),
            "X_val": validation,
            "Y_val": validation @ truth + self.noise * rng.standard_normal((len(validation), self.outputs)),
        }

    def optimum(self) -> float:
        """min f over all models: the distance of Y_val to the range of X_val."""
        data = self.data()
        fitted = data["X_val"] @ np.linalg.lstsq(data["X_val"], data["Y_val"], rcond=None)[0]
        return float(0.5 * ((fitted - data["Y_val"]) ** 2).sum())

    def build(self) -> Problem:
        d, h, k = self.features, self.width, self.outputs
        data = Constants({key: torch.from_numpy(np.ascontiguousarray(a)) for key, a in self.data().items()})
        best = self.optimum()

        def first(x: Tensor) -> Tensor:
            return x.view(-1, d, h)

        def second(y: Tensor) -> Tensor:
            return y.view(-1, h, k)

        def residual(x: Tensor, y: Tensor, part: str) -> Tensor:
            return data(f"X_{part}", x) @ (first(x) @ second(y)) - data(f"Y_{part}", x)

        def loss(x: Tensor, y: Tensor, part: str) -> Tensor:
            return 0.5 * (residual(x, y, part) ** 2).sum((-2, -1))

        def pulled(x: Tensor, y: Tensor, part: str) -> Tensor:
            """The gradient in the product W₁W₂: (runs, d, k)."""
            return data(f"X_{part}", x).T @ residual(x, y, part)

        def in_first(x: Tensor, y: Tensor, slope: Tensor) -> Tensor:
            return (slope @ second(y).transpose(1, 2)).flatten(1)

        def in_second(x: Tensor, y: Tensor, slope: Tensor) -> Tensor:
            return (first(x).transpose(1, 2) @ slope).flatten(1)

        def grad_upper(x: Tensor, y: Tensor, sample: Tensor | None) -> tuple[Tensor, Tensor]:
            slope = pulled(x, y, "val")
            return in_first(x, y, slope), in_second(x, y, slope)

        def hvp(x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
            X = data("X_trn", x)
            return in_second(x, y, X.T @ (X @ (first(x) @ second(v))))

        def jvp(x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
            X = data("X_trn", x)
            bent = X.T @ (X @ (first(x) @ second(v)))
            return in_first(x, y, bent) + in_first(x, v, pulled(x, y, "trn"))

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            x64, y64 = x.double().cpu(), y.double().cpu()  # CUDA's least squares want features of full rank
            features = torch.nan_to_num(data("X_trn", x64) @ first(x64), posinf=0.0, neginf=0.0)  # gelsd refuses others
            fitted = torch.linalg.lstsq(features, data("Y_trn", x64).expand(len(x), -1, -1), driver="gelsd").solution
            least = 0.5 * ((features @ fitted - data("Y_trn", x64)) ** 2).sum((-2, -1))
            return {"upper_gap": loss(x64, y64, "val") - best, "lower_gap": loss(x64, y64, "trn") - least}

        return Problem(
            upper=lambda x, y: loss(x, y, "val"),
            lower=lambda x, y: loss(x, y, "trn"),
            metrics=metrics,
            derivatives={
                "grad_upper": grad_upper,
                "grad_lower": lambda x, y, sample: in_second(x, y, pulled(x, y, "trn")),
                "grad_lower_x": lambda x, y, sample: in_first(x, y, pulled(x, y, "trn")),
                "hvp": hvp,
                "jvp": jvp,
            },
            start=_split(normal_start(self.start_seed, (d + k) * h, self.start_scale / h**0.5), d * h),
            batched=True,
            name=self.name,
        )


@dataclass(frozen=True)
class LinearCleaning(ProblemSpec):
    """Linear hyper-cleaning; d_x = size_train, d_y = features·outputs, with u projected onto a box.

    A part of the training targets is replaced by noise. Start: u = 0 and W standard normal times ``start_scale``.
    Metrics: ``upper_gap`` f(W) − optimum (negative where W leaves the constraint for f's sake), ``lower_gap`` g(u, W),
    whose minimum is 0, and ``violation`` ‖X_trn W − Y_trn‖.
    """

    name: ClassVar[str] = "linear_cleaning"

    features: int = hyper(12, "inputs", symbol="d", at_least=1)
    outputs: int = hyper(2, "outputs", symbol="k", at_least=1)
    size_train: int = hyper(6, "training points, one weight each", symbol="n", at_least=1)
    size_validation: int = hyper(30, "validation points", symbol="m", at_least=1)
    corruption_rate: float = hyper(0.5, "fraction of training targets that are noise", at_least=0, below=1)
    bound: float = hyper(3.0, "|u_i| at most", above=0)
    data_seed: int = hyper(0, "seed of the generated data", at_least=0)
    start_seed: PerRun = hyper(0, "seed of the start", at_least=0)
    start_scale: float = hyper(1.0, "size of the start's entries", above=0)

    def data(self) -> dict[str, np.ndarray]:
        """X_trn (n, d), Y_trn (n, k), X_val (m, d), Y_val (m, k)."""
        if self.size_train > self.features:
            raise InputError(
                f"problem.size_train = {self.size_train} must not exceed problem.features = {self.features}: the "
                "global optimum is known only where a linear model fits the training data"
            )
        rng = _stream(self.data_seed)
        truth, scale = rng.standard_normal((self.features, self.outputs)), 1 / np.sqrt(self.features)
        train, validation = (rng.standard_normal((n, self.features)) for n in (self.size_train, self.size_validation))
        targets = train @ truth * scale
        wrong = round(self.corruption_rate * len(train))
        targets[:wrong] = rng.standard_normal((wrong, self.outputs))
        seen = validation @ truth * scale + 0.1 * rng.standard_normal((len(validation), self.outputs))
        shrink = 1 / np.sqrt(self.size_validation)  # so that f does not grow with the number of points
        return {"X_trn": train * scale, "Y_trn": targets, "X_val": validation * shrink, "Y_val": seen * shrink}

    def optimum(self) -> float:
        """min f subject to X_trn W = Y_trn: least squares on the null space of X_trn, by its singular vectors."""
        data = self.data()
        u, s, vt = np.linalg.svd(data["X_trn"])
        inside = vt[: len(s)].T @ ((u.T @ data["Y_trn"])[: len(s)] / s[:, None])
        free = vt[len(s) :].T
        rest = data["Y_val"] - data["X_val"] @ inside
        chosen = np.linalg.lstsq(data["X_val"] @ free, rest, rcond=None)[0]
        return float(0.5 * ((data["X_val"] @ free @ chosen - rest) ** 2).sum())

    def build(self) -> Problem:
        d, k, n = self.features, self.outputs, self.size_train
        data = Constants({key: torch.from_numpy(np.ascontiguousarray(a)) for key, a in self.data().items()})
        best, bound = self.optimum(), self.bound

        def residual(y: Tensor, part: str) -> Tensor:
            return data(f"X_{part}", y) @ y.view(-1, d, k) - data(f"Y_{part}", y)

        def weighted(x: Tensor, through: Tensor) -> Tensor:
            """X_trnᵀ diag(σ(u)) · through: (runs, n, k) → (runs, d·k)."""
            return (data("X_trn", x).T @ (torch.sigmoid(x)[:, :, None] * through)).flatten(1)

        def along(v: Tensor) -> Tensor:
            return data("X_trn", v) @ v.view(-1, d, k)

        def steep(x: Tensor) -> Tensor:
            s = torch.sigmoid(x)
            return s * (1 - s)

        def upper(x: Tensor, y: Tensor) -> Tensor:
            return 0.5 * (residual(y, "val") ** 2).sum((-2, -1)) + 0 * x.sum(-1)

        def lower(x: Tensor, y: Tensor) -> Tensor:
            return 0.5 * (torch.sigmoid(x) * (residual(y, "trn") ** 2).sum(-1)).sum(-1)

        def grad_upper(x: Tensor, y: Tensor, sample: Tensor | None) -> tuple[Tensor, Tensor]:
            return torch.zeros_like(x), (data("X_val", y).T @ residual(y, "val")).flatten(1)

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            x, y = x.double(), y.double()
            return {
                "upper_gap": upper(x, y) - best,
                "lower_gap": lower(x, y),
                "violation": residual(y, "trn").flatten(1).norm(dim=-1),
            }

        start = normal_start(self.start_seed, d * k, self.start_scale)
        return Problem(
            upper=upper,
            lower=lower,
            project_upper=lambda x: x.clamp(-bound, bound),
            metrics=metrics,
            derivatives={
                "grad_upper": grad_upper,
                "grad_lower": lambda x, y, sample: weighted(x, residual(y, "trn")),
                "grad_lower_x": lambda x, y, sample: 0.5 * steep(x) * (residual(y, "trn") ** 2).sum(-1),
                "hvp": lambda x, y, v, sample: weighted(x, along(v)),
                "jvp": lambda x, y, v, sample: steep(x) * (residual(y, "trn") * along(v)).sum(-1),
            },
            start=(torch.zeros(*start.shape[:-1], n, dtype=torch.float64), start),
            batched=True,
            name=self.name,
        )


def _split(joint: Tensor, size: int) -> tuple[Tensor, Tensor]:
    return joint[..., :size].clone(), joint[..., size:].clone()
