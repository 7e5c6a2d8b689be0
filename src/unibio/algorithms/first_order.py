"""What the penalty methods share: settings, schedules with named exponents, and STORM estimates of six gradients.

They replace min f(x, y*(x)) by the penalty function, whose gradient needs no second derivatives:

    𝓛_λ(x, y) = f(x, y) + λ(g(x, y) − g*(x)),        ∇𝓛*_λ(x) = f_x(x, y*_λ) + λ(g_x(x, y*_λ) − g_x(x, y*))

with y*_λ(x) = argmin 𝓛_λ(x, ·), which ``y`` follows, and y*(x) = argmin g(x, ·), which ``z`` follows. For a strongly
convex g, ∇𝓛*_λ is O(1/λ) away from ∇φ. One word for one thing: ``penalty`` is always the weight of g against f.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.algorithm import Algorithm, State
from unibio.core.oracle import Oracle, Sample
from unibio.core.parameters import PerRun, hyper
from unibio.core.updates import decay

#: What is noisy, as the exponents of a schedule are named: nothing, the upper level only, both levels.
NOISE = ("exact", "upper", "both")


@dataclass(frozen=True)
class PenaltySteps(Algorithm):
    """Steps of x and of the lower level, the penalty, and a minibatch size. Constants as in benchmark_bilevel."""

    upper_step: PerRun = hyper(0.1, "upper-level step", above=0)
    lower_step: PerRun = hyper(0.1, "lower-level step", above=0)
    penalty: PerRun = hyper(10.0, "weight of the lower level against the upper", symbol="λ", above=0)
    batch_size: int | None = hyper(None, "minibatch size for finite sums; null means the full batch", at_least=1)


@dataclass(frozen=True)
class ScheduledPenalty(PenaltySteps):
    """Adds schedules in k + k₀ and the choice whose exponents they take; k = 0, 1, …"""

    decay_offset: PerRun = hyper(1.0, "where schedules start; 1 leaves the first step undecayed", symbol="k₀", above=0)
    schedule: str = hyper("exact", "the noise that exponents left null are meant for", choices=NOISE)

    def grown(self, k: int, exponent: float) -> PerRun:
        """λ_k = λ(k + k₀)^exponent."""
        return self.penalty if exponent == 0 else self.penalty * (k + self.decay_offset) ** exponent

    def decayed(self, step: PerRun, k: int, exponent: float) -> PerRun:
        """step · (k + k₀)^{−exponent}."""
        return step * decay(k, exponent, self.decay_offset)


def chosen(value: float | None, preset: float) -> float:
    """An exponent of a schedule: as configured, or the preset's where that is null."""
    return preset if value is None else value


Gradient = Callable[[Tensor, Tensor, Sample], Tensor]


def lower_estimates(oracle: Oracle, state: State, points: str, keep: PerRun) -> dict[str, Tensor]:
    """STORM estimates of g_y at z, and of f_y and g_y at y, by :func:`estimate`; each has samples of its own.

    Args:
        oracle: counted derivatives.
        state: x, the iterates named by ``points``, the previous ones named "… old", and the previous estimates.
        points: the names of the iterates y and z, separated by a blank.
        keep: the weight of the old estimate.
    """
    y, z = points.split()
    return {
        "g_y(z)": estimate(oracle.grad_lower, oracle.sample_lower(), state, "g_y(z)", ("x", z), keep),
        "f_y(y)": estimate(oracle.grad_upper_y, oracle.sample_upper(), state, "f_y(y)", ("x", y), keep),
        "g_y(y)": estimate(oracle.grad_lower, oracle.sample_lower(), state, "g_y(y)", ("x", y), keep),
    }


def upper_estimates(oracle: Oracle, state: State, points: str, keep: PerRun) -> dict[str, Tensor]:
    """STORM estimates of f_x and g_x at y, and of g_x at z; as :func:`lower_estimates`."""
    y, z = points.split()
    return {
        "f_x(y)": estimate(oracle.grad_upper_x, oracle.sample_upper(), state, "f_x(y)", ("x", y), keep),
        "g_x(y)": estimate(oracle.grad_lower_x, oracle.sample_lower(), state, "g_x(y)", ("x", y), keep),
        "g_x(z)": estimate(oracle.grad_lower_x, oracle.sample_lower(), state, "g_x(z)", ("x", z), keep),
    }


def estimate(
    gradient: Gradient, sample: Sample, state: State, name: str, point: tuple[str, str], keep: PerRun
) -> Tensor:
    """gradient(now) + keep·(estimate before − gradient(before)), the same sample at both points.

    Without memory (``keep`` = 0, or nothing estimated yet) the old point is not asked for, and costs nothing.
    """
    new = gradient(state[point[0]], state[point[1]], sample)
    if name not in state or (not isinstance(keep, Tensor) and keep == 0):
        return new
    old = gradient(state[f"{point[0]} old"], state[f"{point[1]} old"], sample)
    return new + keep * (state[name] - old)


def kept(new_weight: PerRun) -> PerRun:
    """The weight of the old estimate where the new sample's is at most 1: max(1 − new_weight, 0)."""
    if isinstance(new_weight, Tensor):
        return torch.clamp(1 - new_weight, min=0)
    return max(1 - new_weight, 0.0)
