"""What a theorem says about η, β, I, K and T of UniBiO, from the accuracy ε and the exponent p.

Both schedules take 1 − β = min(1, c_β ε²), K = ⌈(c_y ε)^{−2(p−1)}⌉ lower steps, and T = ⌈Δ/(ηε)⌉ iterations.

* *paper*, Theorem 5.1: η = c_η ε^{3p−3}. A drift η^{1/(p−1)} of y* is allowed for in *every* iteration of a period, so
  that I = ⌊c_y ε/η^{1/(p−1)}⌋ ∝ ε^{−2}, and lower and upper level together take Õ(ε^{−5p+6}) calls.
* *sharp*, ours (``docs/theory.md``): η = c_η (1 − β) ε^{p−1} ∝ ε^{p+1}. The drift over a whole period is at most
  l_p (Iη)^{1/(p−1)}, so that I = ⌊(c_y ε)^{p−1}/η⌋, and Õ(ε^{−3p+2}) calls are enough. For p = 2 they are the same.

The constants: c_β stands for 1/σ² of the hypergradient's noise, c_η for how smooth φ is, c_y for how y* moves with x
and how well the lower level is solved (1/(2 l_p) is what the argument asks for). Logarithms are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from unibio.errors import InputError, unknown

NAMES = ("paper", "sharp")


@dataclass(frozen=True)
class Scheduled:
    """Settings of UniBiO, under the names that they have there."""

    upper_step: float  # η
    momentum: float  # β
    period: int  # I
    inner_budget: int  # K
    steps: int  # T


def scheduled(
    name: str,
    *,
    epsilon: float,
    exponent: float,
    gap: float,
    momentum: float = 1.0,
    step: float = 1.0,
    lower: float = 1.0,
) -> Scheduled:
    """The schedule of a theorem.

    Args:
        name: "paper" or "sharp".
        epsilon: ε in (0, 1], the mean of ‖∇φ‖ to reach.
        exponent: p ≥ 2.
        gap: Δ ≥ φ(x_0) − inf φ.
        momentum, step, lower: c_β, c_η, c_y.

    Raises:
        InputError: values that mean nothing, or more iterations or steps than can be counted.
    """
    if name not in NAMES:
        raise unknown("schedule", name, NAMES)
    given = {"epsilon": epsilon, "exponent": exponent, "gap": gap, "momentum": momentum, "step": step, "lower": lower}
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise InputError(f"schedule.{key} must be a finite number above 0, got {value!r}")
    if epsilon > 1 or exponent < 2:
        raise InputError(
            f"schedule.epsilon must be at most 1 and schedule.exponent at least 2, got {epsilon:g} and {exponent:g}"
        )
    new = max(min(1.0, momentum * epsilon**2), 1e-300)  # 1 − β
    root, reach = exponent - 1, math.log2(lower) + math.log2(epsilon)  # c_y ε; all that follows by its logarithm
    eta = math.log2(step) + root * math.log2(epsilon)
    eta += 2 * root * math.log2(epsilon) if name == "paper" else math.log2(new)
    period = reach - eta / root if name == "paper" else root * reach - eta
    inner, steps = -2 * root * reach, math.log2(gap) - eta - math.log2(epsilon)
    if max(period, inner, steps) > 53:
        raise InputError(
            f"schedule={name} asks for more than 2⁵³ steps at schedule.epsilon = {epsilon:g} and exponent "
            f"{exponent:g}; give a larger epsilon"
        )
    # 10⁻⁹: a whole number that was rounded is meant
    return Scheduled(
        upper_step=_rounded(2.0**eta),
        momentum=_rounded(1.0 - new),
        period=max(1, math.floor(2.0**period * (1 + 1e-9))),
        inner_budget=max(1, math.ceil(2.0**inner * (1 - 1e-9))),
        steps=max(1, math.ceil(2.0**steps * (1 - 1e-9))),
    )


def _rounded(value: float) -> float:
    """To 12 digits, so that machines whose logarithms differ in the last one give a run one name."""
    return float(f"{value:.12g}")
