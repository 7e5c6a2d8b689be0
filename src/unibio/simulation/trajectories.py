"""What comes of a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who only wants to know that a run was interrupted loads neither
    import pandas as pd
    from torch import Tensor

    from unibio.core.algorithm import Diagnosis


class Interrupted(Exception):
    """The run was asked to stop before its end; a checkpoint was written where a path was given."""


@dataclass(frozen=True)
class Trajectories:
    """A finished batch. Rows are runs; ``stopped_at`` is the iteration each ended at.

    ``buffers`` is what the problem stored along with y, (runs, b); None where it stores nothing.
    """

    x: Tensor
    y: Tensor
    status: list[str]
    stopped_at: list[int]
    history: pd.DataFrame
    first_below: dict[str, Tensor]
    counts: dict[str, Tensor]
    seconds: float
    diagnosis: Diagnosis
    resumed_from: int
    buffers: Tensor | None = None
