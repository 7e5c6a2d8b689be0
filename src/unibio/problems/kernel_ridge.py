"""Choosing few hyper-parameters: the weights of two regularisers of kernel ridge regression.

A smooth curve with a ripple is observed with noise. The model is a sum of two functions, one of a wide and one of a
narrow Gaussian kernel; x holds the logarithms of their ridge penalties, and the validation error chooses them:

    f(x, w) = ½‖Φ_val w − y_val‖²/m,      g(x, w) = ½‖Φ w − y‖²/n + ½ Σ_k e^{x_k} ‖w_k‖²,      |x_k − centre| ≤ bound

Φ_k = K_k^{1/2} on the n training points, so that w_k has n entries. With two numbers to choose the answer can be had by
looking everywhere: on a grid of x, refined where φ is least, each value by the kernels' own n equations,

    prediction at z:   Σ_k e^{−x_k} K_k(z, Z) (Σ_k e^{−x_k} K_k(Z, Z) + nI)⁻¹ y.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec
from unibio.problems.matrices import Constants

Array = NDArray[np.float64]
#: Widths of the kernels.
WIDTHS = (0.3, 0.05)
#: Middle of the box of x, and half its width.
CENTRE, BOUND = -2.5, 2.5
#: Points of the grid along an axis, and how often it is drawn around the best of them at a fifth of the size.
GRID, ZOOMS = 41, 8


@dataclass(frozen=True)
class KernelRidge(ProblemSpec):
    """d_x = 2, d_y = 2·size_train; x in [−5, 0]²; start: ``start_smooth``, ``start_rough``, and w = 0.

    Metrics: ``value_gap`` φ(x) − min φ, ``upper_gap`` f(x, w) − min φ, ``lower_gap`` g − g*, ``distance`` ‖x − x*‖.
    """

    name: ClassVar[str] = "kernel_ridge"

    size_train: int = hyper(20, "training points", symbol="n", at_least=2)
    size_validation: int = hyper(40, "validation points", symbol="m", at_least=2)
    noise: float = hyper(0.6, "standard deviation of the noise of the observations", at_least=0)
    data_seed: int = hyper(2, "seed of the generated data; of the default φ has two valleys", at_least=0)
    start_smooth: PerRun = hyper(-1.0, "start of the logarithm of the wide kernel's ridge, in [−5, 0]", at_least=-5)
    start_rough: PerRun = hyper(-1.0, "start of the logarithm of the narrow kernel's ridge, in [−5, 0]", at_least=-5)

    def data(self) -> dict[str, Array]:
        """K (2, n, n) and K_val (2, m, n) kernels, Y (n,), Y_val (m,)."""
        return _data(self.size_train, self.size_validation, self.noise, self.data_seed)

    def values(self, x: Array) -> Array:
        """φ by the kernels' equations: (points,) of (points, 2)."""
        data = self.data()
        scale = np.exp(-x)
        inner = np.einsum("pk,kij->pij", scale, data["K"]) + self.size_train * np.eye(self.size_train)
        dual = np.linalg.solve(inner, np.broadcast_to(data["Y"][:, None], (len(x), self.size_train, 1)))[..., 0]
        seen = np.einsum("pk,kvi,pi->pv", scale, data["K_val"], dual)
        found: Array = 0.5 * ((seen - data["Y_val"]) ** 2).mean(axis=1)
        return found

    def solve(self) -> tuple[float, Array]:
        """min φ over the box and the (2,) place, by grids that are drawn ever closer around the best point."""
        return _solve(self.size_train, self.size_validation, self.noise, self.data_seed)

    def build(self) -> Problem:
        arrays, n = self.data(), self.size_train
        best, place = self.solve()
        roots = [_root(kernel) for kernel in arrays["K"]]
        features = np.hstack(roots)
        seen = np.hstack([kernel @ np.linalg.pinv(root) for kernel, root in zip(arrays["K_val"], roots, strict=True)])
        made = {"F": features, "F_val": seen, "Y": arrays["Y"], "Y_val": arrays["Y_val"], "at": place}
        data = Constants({key: torch.from_numpy(np.ascontiguousarray(a)) for key, a in made.items()})

        def ridge(x: Tensor) -> Tensor:
            return torch.exp(x).repeat_interleave(n, dim=1)

        def missed(y: Tensor, part: str = "") -> Tensor:
            return y @ data(f"F{part}", y).T - data(f"Y{part}", y)

        def value(y: Tensor) -> Tensor:
            return 0.5 * (missed(y, "_val") ** 2).mean(-1)

        def lower(x: Tensor, y: Tensor) -> Tensor:
            return 0.5 * (missed(y) ** 2).mean(-1) + 0.5 * (ridge(x) * y * y).sum(-1)

        def squares(x: Tensor, y: Tensor, v: Tensor) -> Tensor:
            return torch.exp(x) * (y * v).view(-1, 2, n).sum(-1)

        def solution(x: Tensor) -> Tensor:
            F = data("F", x)
            return torch.linalg.solve(
                F.T @ F / n + torch.diag_embed(ridge(x)), (F.T @ data("Y", x) / n).expand(len(x), -1)
            )

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            x, y = x.double(), y.double()
            return LazyMetrics(
                value_gap=lambda: value(solution(x)) - best,
                upper_gap=lambda: value(y) - best,
                lower_gap=lambda: lower(x, y) - lower(x, solution(x)),
                distance=lambda: (x - data("at", x)).norm(dim=-1),
            )

        return Problem(
            upper=lambda x, y: value(y) + 0 * x.sum(-1),
            lower=lower,
            project_upper=lambda x: x.clamp(CENTRE - BOUND, CENTRE + BOUND),
            metrics=metrics,
            derivatives={
                "grad_upper": lambda x, y, sample: (
                    torch.zeros_like(x),
                    missed(y, "_val") @ data("F_val", y) / self.size_validation,
                ),
                "grad_lower": lambda x, y, sample: missed(y) @ data("F", y) / n + ridge(x) * y,
                "grad_lower_x": lambda x, y, sample: 0.5 * squares(x, y, y),
                "hvp": lambda x, y, v, sample: v @ data("F", y).T @ data("F", y) / n + ridge(x) * v,
                "jvp": lambda x, y, v, sample: squares(x, y, v),
            },
            closed_form=ClosedForm(solution, lambda x: value(solution(x))),
            start=_start(self.start_smooth, self.start_rough, 2 * n),
            batched=True,
            name=self.name,
        )


def _start(smooth: PerRun, rough: PerRun, size: int) -> tuple[Tensor, Tensor]:
    parts = [torch.as_tensor(one, dtype=torch.float64) for one in (smooth, rough)]
    if all(one.ndim == 0 for one in parts):
        return torch.stack(parts).clamp(CENTRE - BOUND, CENTRE + BOUND), torch.zeros(size, dtype=torch.float64)
    x = torch.cat(torch.broadcast_tensors(*(one.reshape(-1, 1) for one in parts)), dim=1)
    return x.clamp(CENTRE - BOUND, CENTRE + BOUND), torch.zeros(len(x), size, dtype=torch.float64)


@cache
def _data(n: int, m: int, noise: float, seed: int) -> dict[str, Array]:
    rng = np.random.Generator(np.random.Philox(seed))
    train, validation = np.sort(rng.uniform(size=n)), np.sort(rng.uniform(size=m))

    def observed(z: Array) -> Array:
        return np.sin(2 * np.pi * z) + 0.5 * np.sin(14 * np.pi * z) + noise * rng.standard_normal(len(z))

    def kernels(z: Array) -> Array:
        return np.stack([np.exp(-0.5 * ((z[:, None] - train) / width) ** 2) for width in WIDTHS])

    return {"K": kernels(train), "K_val": kernels(validation), "Y": observed(train), "Y_val": observed(validation)}


@cache
def _solve(n: int, m: int, noise: float, seed: int) -> tuple[float, Array]:
    spec = KernelRidge(size_train=n, size_validation=m, noise=noise, data_seed=seed)
    centre, half = np.full(2, CENTRE), BOUND
    for _ in range(1 + ZOOMS):
        axes = [np.clip(np.linspace(c - half, c + half, GRID), CENTRE - BOUND, CENTRE + BOUND) for c in centre]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        values = spec.values(points)
        centre, half = points[values.argmin()], half / 5
    return float(values.min()), centre


def _root(kernel: Array) -> Array:
    """K^{1/2}; what rounding makes negative is 0."""
    values, vectors = np.linalg.eigh(kernel)
    return (vectors * np.sqrt(np.maximum(values, 1e-10))) @ vectors.T
