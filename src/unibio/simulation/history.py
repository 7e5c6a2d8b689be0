"""What a simulation remembers: ~200 log-spaced rows a run, running averages and first hits; never every iterate."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from unibio.core.oracle import KINDS, POINTS, Oracle
from unibio.core.problem import Metrics
from unibio.errors import InputError

#: Columns that a metric must not be named after; a grid's axes come on top.
RESERVED = frozenset({"run", "iteration", "oracle_calls", *KINDS, *POINTS, "seconds"})


def log_iterations(steps: int, points: int) -> list[int]:
    """Iterations at which history is logged: 0, ``steps`` and about ``points`` log-spaced ones; all, if that is fewer.

    Args:
        steps: T ≥ 0.
        points: ≥ 2.
    """
    return list(_log_iterations(steps, points))


@lru_cache(maxsize=16)
def _log_iterations(steps: int, points: int) -> tuple[int, ...]:
    if steps < points:
        return tuple(range(steps + 1))
    wanted, chosen = points, np.array([0, steps])
    while len(chosen) < points:  # rounding merges the early ones
        chosen = np.unique(np.concatenate([[0], np.geomspace(1, steps, wanted).round().astype(int)]))
        wanted += max(1, points - len(chosen))
    return tuple(int(i) for i in chosen)


def check_names(metrics: Metrics | None, x: Tensor, y: Tensor, axes: Sequence[str]) -> None:
    """Refuse metrics with the name of an axis, whose column would be the same, before anything is computed in vain.

    Args:
        metrics: the problem's; evaluated once where there are axes.
        x, y: the starts, (runs, d_x), (runs, d_y).
        axes: names of the grid's columns.

    Raises:
        InputError: naming both and the way out.
    """
    if metrics is None or not axes:
        return
    with torch.no_grad():
        names = set(metrics(x, y))
    for name in axes:
        if name in names:
            raise InputError(
                f"metrics: {name!r} is also a swept parameter, and both would be the same column of the history; give "
                "the metric another name"
            )


def label(name: str, level: float) -> str:
    """ "metric<level", the key of a target: six digits where they are all there are, else as many as the level has."""
    short = f"{level:g}"
    return f"{name}<{short if float(short) == level else repr(float(level))}"


def _kept(value: Tensor) -> Tensor:
    """Numbers as a history has them; asking is faster than converting what is right."""
    if value.is_cpu and value.dtype is torch.float64 and not value.requires_grad:
        return value
    return value.detach().to("cpu", torch.float64)


def _column(parts: Sequence[Any], runs: int) -> np.ndarray:
    """One value per logged iteration, a number or (runs,), as a column with a run's values side by side."""
    if not any(issubclass(kind, Tensor) for kind in set(map(type, parts))):
        return np.tile(np.asarray(parts), runs)
    rows = torch.stack([part if isinstance(part, Tensor) else torch.tensor(part).expand(runs) for part in parts])
    return rows.t().reshape(-1).numpy()


class Recorder:
    """Collects a batch of runs' history while it runs.

    Args:
        runs: number of rows.
        iterations: where to log, ascending.
        averaged: metrics averaged over every iteration, logged as ``<metric>_mean``: at iteration t ≥ 1 the mean over
            the iterates 0 … t−1, at 0 the start's value.
        targets: {averaged metric: [thresholds]}; the first iteration below each is kept.
    """

    def __init__(
        self,
        runs: int,
        iterations: Sequence[int],
        averaged: Sequence[str] = (),
        targets: Mapping[str, Sequence[float]] | None = None,
    ):
        self.iterations = list(iterations)
        self._due = set(self.iterations)
        self.averaged = list(averaged)
        self.targets = {name: list(levels) for name, levels in (targets or {}).items()}
        self._sums = {name: torch.zeros(runs, dtype=torch.float64) for name in self.averaged}
        self._rows: list[dict[str, Any]] = []
        self._runs = runs
        self._names: frozenset[str] | None = None
        keys = [label(name, level) for name, levels in self.targets.items() for level in levels]
        self._hits = {key: torch.full((runs, 2), -1, dtype=torch.int64) for key in keys}

    def due(self, iteration: int) -> bool:
        """Whether this iteration is logged, with all metrics; averaged ones are wanted at every iteration."""
        return iteration in self._due

    def next_due(self, iteration: int) -> int:
        """The first logged iteration after this one; there is one until the end."""
        return self.iterations[bisect_right(self.iterations, iteration)]

    def sums(self, name: str) -> NDArray[np.float64]:
        """An averaged metric's sum over the iterates so far, (runs,), which those that are not added are added to."""
        return self._sums[name].numpy()

    def alarms(self, name: str, frozen: Tensor) -> Tensor:
        """The highest target of an averaged metric that a run has not hit, (runs,) float64; −∞ where there is none.

        Args:
            name: the metric.
            frozen: bool (runs,), those that have ended.
        """
        highest = torch.full((self._runs,), -torch.inf, dtype=torch.float64)
        for level in self.targets.get(name, []):
            waiting = (self._hits[label(name, level)][:, 0] < 0) & ~frozen.cpu()
            highest[waiting] = highest[waiting].clamp_min(float(level))
        return highest

    def mark(self, iteration: int) -> None:
        """Log this iteration too, the latest so far."""
        if iteration not in self._due:
            self.iterations.append(iteration)
            self._due.add(iteration)

    def check_names(self, metrics: Any) -> None:
        """Hold metrics to a mapping that always has the same names.

        Raises:
            InputError: it is none, or has not.
        """
        if isinstance(metrics, Mapping) and self._names is not None and metrics.keys() == self._names:
            return
        if not isinstance(metrics, Mapping) or not all(isinstance(name, str) for name in metrics):
            names = list(metrics) if isinstance(metrics, Mapping) else type(metrics).__name__
            raise InputError(f"metrics must return {{name: tensor of shape ({self._runs},)}}, got {names}")
        if self._names is None:
            self._names = frozenset(metrics)
        elif self._names != metrics.keys():
            earlier, now = (", ".join(sorted(some)) or "none" for some in (self._names, metrics))
            raise InputError(f"metrics must always return the same names, got {earlier}, and later {now}")

    def check(self, metrics: Mapping[str, Tensor]) -> None:
        """Refuse metrics that cannot be recorded, before anything is computed in vain.

        Raises:
            InputError: not one number per run, a reserved name, an averaged metric that is not among them.
        """
        for name, value in metrics.items():
            if name in RESERVED:
                raise InputError(f"metrics: {name!r} is a column of the history itself; choose another name")
            if not isinstance(value, Tensor) or value.shape != (self._runs,):
                got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise InputError(f"metrics: {name!r} must be a tensor of shape (runs,) = ({self._runs},), got {got}")
        for name in self.averaged:
            if name not in metrics:
                raise InputError(
                    f"averaged: {name!r} is not a metric; accepted: {', '.join(sorted(metrics)) or 'none'}"
                )

    def add(
        self,
        iteration: int,
        metrics: Mapping[str, Tensor],
        oracle: Oracle,
        seconds: float,
        frozen: Tensor,
        last: bool = False,
    ) -> None:
        """Take in the metrics of one iterate: all of them where it is logged, the averaged ones anyway.

        ``last`` logs it whether or not its turn has come.

        A diverged run goes on being computed with its batch, but what it does then is no hit of a target: ``frozen``
        (bool, (runs,)) says which runs those are.
        """
        due = last or iteration in self._due
        values = {name: _kept(value) for name, value in metrics.items()}
        means: dict[str, Tensor] = {}
        for name in self.averaged:
            if due:
                means[f"{name}_mean"] = self._sums[name] / iteration if iteration else values[name]
            self._sums[name] = self._sums[name] + values[name]
        for name, levels in self.targets.items():
            active = ~frozen.cpu()
            for level in levels:
                hit = self._hits[label(name, level)]
                new = active & (hit[:, 0] < 0) & (values[name] < level)
                if bool(new.any()):
                    hit[new, 0] = iteration
                    hit[new, 1] = oracle.calls_per_run()[new]
        if due:
            self._append(iteration, values | means, oracle, seconds)

    def close(self, iteration: int, metrics: Mapping[str, Tensor], oracle: Oracle, seconds: float) -> None:
        """Log the iterate that an interrupted batch ends at: :meth:`add` has taken it in, but it was not due.

        Nothing can be added after it.
        """
        values = {name: _kept(value) for name, value in metrics.items()}
        means = {
            f"{name}_mean": (self._sums[name] - values[name]) / iteration if iteration else values[name]
            for name in self.averaged
        }
        self._append(iteration, values | means, oracle, seconds)

    def _append(self, iteration: int, values: dict[str, Tensor], oracle: Oracle, seconds: float) -> None:
        counts = oracle.running_counts()  # a run's rows end where it is frozen: no other counts are shown
        calls = sum(counts[kind] for kind in KINDS)
        row = {"iteration": iteration, "oracle_calls": calls, **counts, "seconds": seconds, **values}
        if self._rows and self._rows[-1]["iteration"] == iteration:
            self._rows.pop()  # a resumed run meets its checkpoint's iterate again
        if self._rows and self._rows[0].keys() != row.keys():
            new = ", ".join(sorted(self._rows[0].keys() ^ row.keys()))
            raise InputError(f"metrics: the same are due at every logged iteration, and {new} is not at all of them")
        self._rows.append(row)

    def logged(self, iteration: int) -> bool:
        """Whether the last row is this iteration's."""
        return bool(self._rows) and self._rows[-1]["iteration"] == iteration

    def latest(self, frozen: Tensor) -> dict[str, Any]:
        """The last row, for whoever watches: numbers of a single run, arrays (runs,) of several.

        Args:
            frozen: bool (runs,), those that had ended before; of several they are NaN.
        """
        row = self._rows[-1]
        if self._runs == 1:
            return {name: value.item() if isinstance(value, Tensor) else value for name, value in row.items()}
        ended = frozen.cpu().numpy()
        shown: dict[str, Any] = {"iteration": row["iteration"], "seconds": row["seconds"]}
        for name, value in row.items():
            if name not in shown:
                column = np.full(self._runs, value, dtype=float) if not isinstance(value, Tensor) else value.numpy()
                shown[name] = np.where(ended, np.nan, column)
        return {name: shown[name] for name in row}

    def frame(self, stopped_at: Tensor) -> pd.DataFrame:
        """Long table: run, iteration, oracle columns, seconds, metrics.

        A run has the logged iterations before its ``stopped_at``, and that one; never one that is there only because
        another run of the batch ended at it. Beyond the last iteration it says that the run has not ended.
        """
        runs = len(stopped_at)
        columns: dict[str, np.ndarray] = {"run": np.repeat(np.arange(runs), len(self._rows))}
        for name in self._rows[0] if self._rows else []:
            columns[name] = _column([row[name] for row in self._rows], runs)
        frame = pd.DataFrame(columns, copy=False)  # a copy would be the largest thing in memory
        if not self._rows or bool((stopped_at == self._rows[-1]["iteration"]).all()):
            return frame
        iterations = np.array([row["iteration"] for row in self._rows])
        due = np.isin(iterations, self.iterations)
        ends = stopped_at.numpy()[:, None]
        keep = ((due & (iterations < ends)) | (iterations == ends)).reshape(-1)
        return frame[keep].reset_index(drop=True)

    def first_below(self) -> dict[str, Tensor]:
        """{"metric<level": (runs, 2)}: first iteration below the level and oracle calls then; −1 where never."""
        return {key: hit.clone() for key, hit in self._hits.items()}

    def state(self) -> dict[str, Any]:
        """Everything logged so far, for a checkpoint."""
        return {
            "sums": {name: total.clone() for name, total in self._sums.items()},
            "rows": [dict(row) for row in self._rows],
            "hits": self.first_below(),
            "iterations": list(self.iterations),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self._sums = dict(state["sums"])
        self._rows = [dict(row) for row in state["rows"]]
        if not all({"iteration", "oracle_calls", "seconds"} <= row.keys() for row in self._rows):
            raise KeyError("rows of a history without their columns")
        self._hits = dict(state["hits"])
        self.iterations = list(state["iterations"])
        self._due = set(self.iterations)
