"""How long a simulation runs and what it logs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unibio.errors import InputError
from unibio.simulation.values import axis

#: Rows of history a run can get: more do not fit into the memory of a batch.
MOST_POINTS = 1_000_000


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
        owner: what the checkpoint belongs to, in a word or by its parts; runs of another owner do not continue it.
        check: look at what the problem hands over before the first iteration (:mod:`unibio.core.probe`).
    """

    steps: int | None
    budget: int | None = None
    log_points: int = 200
    targets: Mapping[str, Sequence[float]] | None = None
    checkpoint: Path | None = None
    checkpoint_seconds: float = 30.0
    epochs: float | None = None
    owner: str | Mapping[str, str] = ""
    check: bool = True

    @classmethod
    def of(cls, config: Mapping[str, Any], checkpoint: Path | None = None, owner: str = "") -> Settings:
        """Those of a checked configuration.

        Args:
            config: of a job.
            checkpoint, owner: as above.
        """
        return cls(
            steps=config["steps"],
            budget=config["budget"],
            log_points=config["log_points"],
            targets=config["targets"],
            checkpoint=checkpoint,
            checkpoint_seconds=config["checkpoint_seconds"],
            epochs=config["epochs"],
            owner=owner,
            check=config.get("check", True),  # which records of older code do not have
        )

    def __post_init__(self) -> None:
        if self.steps is None and self.budget is None and self.epochs is None:
            raise InputError(
                "give steps (outer iterations), budget (oracle calls) or epochs (passes over the lower level's data); "
                "none is set"
            )
        number = isinstance(self.epochs, (int, float)) and not isinstance(self.epochs, bool)
        if self.epochs is not None and not (number and 0 < self.epochs < math.inf):
            raise InputError(f"epochs must be a positive number, got {self.epochs!r}")
        for name in ("steps", "budget"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**63):
                raise InputError(f"{name} must be a positive integer, got {value!r}")
        points = self.log_points
        if isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= MOST_POINTS:
            raise InputError(f"log_points must be an integer ≥ 2 and ≤ {MOST_POINTS:,}, got {points!r}")
        if not isinstance(self.check, bool):
            raise InputError(f"check must be true or false, got {self.check!r}")
        targets: Mapping[str, Any] = self.targets or {}
        for name, levels in targets.items():
            if isinstance(levels, str) or not isinstance(levels, Sequence):
                raise InputError(f"targets.{name} must be a list of thresholds, got {levels!r}")
            axis(levels, f"targets.{name}")
