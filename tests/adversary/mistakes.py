"""The kinds of mistakes that users of such libraries made elsewhere: they change a written problem or its use.

Every function takes the written problem, its use and a generator, plants one variant of its kind, and returns what was
planted. What is right stays what the world says: the user meant that problem.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from adversary import in_losses, in_samples, use
from adversary.problems import Written


@dataclass(frozen=True)
class Kind:
    """A kind of mistake, and where it can be planted.

    Attributes:
        plant: the mistake.
        worlds: kinds of worlds.
        rows: losses must be of rows.
        finite: the world must be a finite sum.
        own: keeps the problem's own derivatives; elsewhere a mistake would be in losses that nothing differentiates.
    """

    plant: Callable[[Written, use.Use, np.random.Generator], str]
    worlds: tuple[str, ...] = ("definite", "vanishing")
    rows: bool = False
    finite: bool = False
    own: bool = False


MISTAKES = {
    "sample without runs": Kind(in_samples.sample_without_runs, finite=True),
    "sample of no draw": Kind(in_samples.own_random_sample, finite=True),
    "sample written": Kind(in_samples.sample_written, finite=True),
    "leaves the graph": Kind(in_losses.leaves_the_graph),
    "own derivative": Kind(in_losses.own_derivative, own=True),
    "own randomness": Kind(in_losses.own_randomness),
    "writes": Kind(in_losses.writes, own=True),
    "no dependence": Kind(in_losses.no_dependence),
    "rows interact": Kind(in_losses.rows_interact, rows=True),
    "undeclared vanishing": Kind(in_losses.undeclared_vanishing, ("vanishing",)),
    "not numbers": Kind(in_losses.not_numbers),
    "ambient mode": Kind(use.ambient),
    "other types": Kind(use.other_types, ("definite",)),
    "far from y*(x)": Kind(use.far_from_solution, ("definite",)),
}
