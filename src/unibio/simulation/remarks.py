"""What a run must not be believed without: metrics that were not defined, iterates that have grown out of hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

#: A run whose iterates end this many times larger than it began (or than 1) is not to be trusted to have converged.
GROWN = 1e6


def undefined(history: pd.DataFrame, status: list[str]) -> str | None:
    """A sentence saying which metrics of completed runs were not finite, and how often; None where all were.

    Args:
        history: long table, metrics after the column ``seconds``.
        status: per run.
    """
    completed = np.array([one == "completed" for one in status], dtype=bool)
    rows = completed[history["run"].to_numpy()]
    found = []
    for name in history.columns[history.columns.get_loc("seconds") + 1 :]:
        bad = rows & ~np.isfinite(history[name].to_numpy(dtype=float))
        if bad.any():
            runs = history["run"].to_numpy()[bad]
            found.append(f"{name} in {bad.sum()} of {rows.sum()} logged rows ({len(np.unique(runs))} runs)")
    if not found:
        return None
    return (
        f"metrics that are not defined (NaN or infinite) in completed runs: {', '.join(found)}; where metrics are "
        "compared, such a value counts as worse than any other"
    )


def sizes(x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """The norms of x and y, (runs,) each."""
    return {
        name: torch.linalg.vector_norm(part, dim=-1).to("cpu", torch.float64) for name, part in (("x", x), ("y", y))
    }


def grown(begin: dict[str, Tensor], end: dict[str, Tensor], status: list[str]) -> str | None:
    """A sentence saying that completed runs have grown by orders of magnitude; None where none has.

    Args:
        begin, end: :func:`sizes` of the start and of the end.
        status: per run.
    """
    completed = torch.tensor([one == "completed" for one in status], dtype=torch.bool)
    worst, runs = {}, torch.zeros_like(completed)
    for name, before in begin.items():
        factor = torch.where(completed, end[name] / before.clamp_min(1.0), 0.0)
        runs |= factor > GROWN
        if bool((factor > GROWN).any()):
            worst[name] = float(factor.max())
    if not worst:
        return None
    sizes_said = " and ".join(f"{name} {factor:.1e} times" for name, factor in worst.items())
    return (
        f"iterates of {int(runs.sum())} of {int(completed.sum())} completed runs have grown to {sizes_said} the size "
        "of their start: a run that blows up looks like that before its end; smaller steps would tell"
    )
