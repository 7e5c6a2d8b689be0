"""Assumption 3.4: whether samples are unbiased, with bounded variances of generalised derivatives and light tails."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from unibio.core.assumptions.measures import AT_ONCE, WHOLE, Measures
from unibio.core.assumptions.searching import Value
from unibio.core.oracle import Oracle, Sample
from unibio.core.streams import Streams

#: Samples a variance is taken of, and standard errors from which on a mean is not that of the samples.
SAMPLES, ERRORS = 64, 6.0
#: Samples a bias is looked for in.
MANY = 2048
#: Samples for the tails: groups of the first number are compared with all.
GROUP, ALL = 256, 2**16
#: How much larger the scale of light tails may be for all than for a group.
LIGHT = 1.6

#: A derivative at points for samples: of :class:`Measures`.
Derivative = Callable[..., Tensor]


def drawn(measures: Measures, level: str, rows: int, seeds: int, purpose: int = 0) -> tuple[Oracle, Sample]:
    """One sample a row of a level, of one data point where it is a finite sum; row i has the seed i mod ``seeds``.

    Args:
        level: "upper" or "lower".
        rows: how many.
        seeds: distinct ones.
        purpose: the how-manieth draw.
    """
    oracle = Oracle(measures.problem, Streams([i % seeds for i in range(rows)]), batch_size=1)
    oracle.restore(oracle.state() | {"drawn": {level: purpose}})
    return oracle, oracle.sample_upper() if level == "upper" else oracle.sample_lower()


def variance(measures: Measures, level: str, derivative: Derivative, size: int) -> Value:
    """E‖sampled − mean‖², Frobenius, at points: (rows, width) → (rows,). The samples are the same at every point.

    Args:
        level: "upper" or "lower", whose samples are drawn.
        derivative: of :class:`Measures`.
        size: numbers it has.
    """
    at_once = max(1, AT_ONCE // (size * SAMPLES))

    def value(points: Tensor) -> Tensor:
        found = []
        for part in points.split(at_once):
            oracle, sample = drawn(measures, level, len(part) * SAMPLES, SAMPLES)
            sampled = derivative(part.repeat_interleave(SAMPLES, 0), sample, oracle)
            apart = sampled.view(len(part), SAMPLES, -1) - derivative(part, WHOLE)[:, None]
            found.append(apart.square().sum(-1).mean(1))
        return torch.cat(found)

    return value


def bias(measures: Measures, level: str, derivative: Derivative, point: Tensor) -> float:
    """The squared distance of many samples' mean from the mean, in units of its expectation without a bias.

    Args:
        point: (1, width).
    """
    oracle, sample = drawn(measures, level, MANY, MANY)
    sampled = derivative(point.expand(MANY, -1), sample, oracle)
    apart = sampled - derivative(point, WHOLE)
    expected = float(apart.var(0).sum()) / MANY
    distance = float(apart.mean(0).square().sum())
    size = float(derivative(point, WHOLE).abs().max())
    if distance <= (1e-12 * size) ** 2:  # rounding
        return 0.0
    return distance / expected if expected > 0 else math.inf


def tails(measures: Measures, point: Tensor) -> tuple[float, float]:
    """σ² with E exp(‖noise of ∇_y G‖²/σ²) = e, of groups of samples (their median) and of all of them at once.

    Light tails have one such σ². Of heavy ones a larger sample asks for a larger σ², without end.
    """
    oracle, sample = drawn(measures, "lower", ALL, ALL)
    sampled = measures.lower_y(point.expand(ALL, -1), sample, oracle)
    squares = (sampled - measures.lower_y(point)).square().sum(1)
    return float(_scale(squares.view(-1, GROUP)).median()), float(_scale(squares[None])[0])


def _scale(squares: Tensor) -> Tensor:
    """σ² of every row of squared norms, by bisection of its logarithm: (groups,)."""
    mean = squares.mean(1, keepdim=True)
    low, high = mean, mean + squares.amax(1, keepdim=True)  # E exp ≥ exp E, and exp(1) at most
    for _ in range(60):
        middle = (low * high).sqrt()
        large = torch.exp(squares / middle).mean(1, keepdim=True) > math.e
        low, high = torch.where(large, middle, low), torch.where(large, high, middle)
    return high[:, 0]
