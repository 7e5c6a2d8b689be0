"""How long a simulation runs and what it logs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unibio.errors import InputError


@dataclass(frozen=True)
class Settings:
    """How long to run and what to log; none of it changes a trajectory.

    Attributes:
        steps: T, outer iterations; None where only a budget ends the run.
        budget: oracle calls after which no further iteration starts; None for no limit.
        epochs: the same for passes over the lower level's data by its gradients in y, of which n data points are one
            pass; None for no limit. Where given, history is logged at equal parts of it.
        log_points: about how many rows of history a run gets.
        targets: {averaged metric: [thresholds]} for first hits.
        checkpoint: file to save to and resume from; None for neither.
        checkpoint_seconds: time between checkpoints.
    """

    steps: int | None
    budget: int | None = None
    log_points: int = 200
    targets: Mapping[str, Sequence[float]] | None = None
    checkpoint: Path | None = None
    checkpoint_seconds: float = 30.0
    epochs: float | None = None

    def __post_init__(self) -> None:
        if self.steps is None and self.budget is None and self.epochs is None:
            raise InputError(
                "give steps (outer iterations), budget (oracle calls) or epochs (passes over the lower level's data); "
                "none is set"
            )
        if self.epochs is not None and (isinstance(self.epochs, bool) or not 0 < self.epochs < math.inf):
            raise InputError(f"epochs must be a positive number, got {self.epochs!r}")
        for name in ("steps", "budget"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"{name} must be a positive integer, got {value!r}")
        if isinstance(self.log_points, bool) or not isinstance(self.log_points, int) or self.log_points < 2:
            raise InputError(f"log_points must be an integer ≥ 2, got {self.log_points!r}")
        targets: Mapping[str, Any] = self.targets or {}
        for name, levels in targets.items():
            if isinstance(levels, str) or not isinstance(levels, Sequence):
                raise InputError(f"targets.{name} must be a list of thresholds, got {levels!r}")
