"""The Hölder problem with its lower level followed through every iterate, for what the paper says of all of them. Ours.

A history holds some iterations of a run; that ‖y_t − y*(x_t)‖ ≤ ε *for all t* (Corollary 5.3), or what the bias of the
hypergradient adds up to (Lemma 5.4), cannot be read from them. Here both are looked at in every iteration:

    lower_margin        1 − ‖y − y*(x)‖/ε, averaged, and so with targets: the first hit of ``lower_margin<-1`` is the
                        first iterate with ‖y − y*(x)‖ > 2ε, and there is none where no iterate of the run is so far off
    hypergradient_bias  the distance of Theorem 4.1's formula at y from ∇φ(x), averaged

Everything else, the draws included, is the Hölder problem's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from unibio.core.parameters import hyper
from unibio.core.problem import LazyMetrics, Problem
from unibio.problems.hoelder import Hoelder


@dataclass(frozen=True)
class TrackedHoelder(Hoelder):
    """The Hölder problem, ours, with ``lower_margin`` and ``hypergradient_bias`` taken in at every iteration.

    ``lower_margin`` is 1 − ‖y − y*(x)‖/accuracy, at most 1. The other metrics are those of ``hoelder``.
    """

    name: ClassVar[str] = "tracked_hoelder"
    averaged: ClassVar[tuple[str, ...]] = ("hypergradient_norm", "hypergradient_bias", "lower_margin")

    accuracy: float = hyper(0.1, "what ‖y − y*(x)‖ is compared with", symbol="ε", above=0)

    def build(self) -> Problem:
        problem = super().build()
        measured = problem.metrics
        assert measured is not None  # the Hölder problem's

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            found = measured(x, y)
            own = {name: partial(found.__getitem__, name) for name in found}
            return LazyMetrics(**own, lower_margin=lambda: 1 - found["lower_error"] / self.accuracy)

        return dataclasses.replace(problem, metrics=metrics)
