"""A rule for η that looks at windows of iterations: whether the halves of one agree on the direction. Ours."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from unibio.core.updates import normalised


class Windows(Protocol):
    """What the rule has to be told; docs/adaptive.md says why."""

    @property
    def window(self) -> int: ...
    @property
    def lengthening(self) -> float: ...
    @property
    def agreement(self) -> float: ...
    @property
    def upper_growth(self) -> float: ...
    @property
    def upper_shrink(self) -> float: ...


def next_window(rule: Windows, early: Tensor, late: Tensor, eta: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """η and the length of the next window: (runs, 1) each.

    Args:
        rule: its numbers.
        early, late: sums of ĥ over the halves of the last window, (runs, d_x).
        eta, length: of the last window, (runs, 1).
    """
    cosine = (normalised(early) * normalised(late)).sum(-1, keepdim=True)
    agree, turned = cosine > rule.agreement, cosine < 0
    ones = torch.ones_like(cosine)
    eta = eta * torch.where(agree, rule.upper_growth, torch.where(turned, rule.upper_shrink, ones))
    length = length * torch.where(agree, 1 / rule.lengthening, rule.lengthening * ones)
    return eta, length.clamp_min(rule.window)
