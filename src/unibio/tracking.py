"""wandb as a view of records. Parquet is the truth; nothing here can stop or change a run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unibio.oracle import KINDS, POINTS
from unibio.records import Record

#: Columns of a history that are not metrics.
_NOT_METRICS = {"run", "iteration", "oracle_calls", "seconds", "seed", *KINDS, *POINTS}

#: Rows logged of a run's ~200: each costs two milliseconds, and a chart shows no more.
POINTS = 80


def track(record: Record, tracker: Mapping[str, Any], root: Path) -> None:
    """Show a finished record to the tracker.

    One wandb run a job: a deterministic id, group = experiment/algorithm, job type = problem, metrics against oracle
    calls. A batched grid is shown as the median over seeds of each curve, at most ``max_curves`` of them.

    Args:
        record: complete.
        tracker: mode none | offline | online, project, entity, max_curves.
        root: the records directory; offline files go to its ``wandb`` folder.
    """
    if tracker.get("mode", "none") == "none":
        return
    try:
        _log(record, tracker, root)
    except Exception as error:  # no network, no key, a full disk: the record is safe, the view is not worth a run
        warnings.warn(f"wandb: {record.name} was not logged ({error}); its record is complete", stacklevel=2)


def _log(record: Record, tracker: Mapping[str, Any], root: Path) -> None:
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    config = record.config
    problem, algorithm = config["problem"], config["algorithm"]
    experiment = config.get("experiment") or "single"
    (root / "wandb").mkdir(parents=True, exist_ok=True)
    with wandb.init(
        project=tracker["project"],
        entity=tracker.get("entity"),
        mode=tracker["mode"],
        dir=str(root),
        id=record.name.rsplit("-", 1)[-1],
        name=record.name,
        group=f"{experiment}/{algorithm['name']}",
        job_type=problem["name"],
        tags=[problem["name"], algorithm["name"], config["scale"].get("name", "custom")],
        config=_flat(config),
        settings=wandb.Settings(console="off", x_disable_stats=True, x_save_requirements=False),
    ) as run:
        run.define_metric("oracle_calls")
        run.define_metric("*", step_metric="oracle_calls")
        for row in _curves(record.history, list(_axes(config)), int(tracker.get("max_curves", 16))):
            run.log(row)
        run.summary.update(record.summary["metrics"])
        run.summary.update({key: record.summary[key] for key in ("statuses", "oracle_calls", "seconds")})
        for metric, slope in _slopes(record.history).items():
            run.summary[f"rate/{metric}"] = slope


def _axes(config: Mapping[str, Any]) -> list[str]:
    return [key.split(".")[-1] for key in config["grid"] if key != "seed"]


def _curves(history: pd.DataFrame, axes: list[str], most: int) -> list[dict[str, Any]]:
    """Rows to log: per iteration the median over seeds of every metric and curve."""
    metrics = [name for name in history.columns if name not in _NOT_METRICS | set(axes)]
    logged = np.sort(history["iteration"].unique())
    logged = logged[np.unique(np.linspace(0, len(logged) - 1, POINTS).round().astype(int))]
    part = history[history["iteration"].isin(logged)]
    curves: Any = part.groupby(axes, sort=False) if axes else [((), part)]
    rows: dict[int, dict[str, Any]] = {int(iteration): {"iteration": int(iteration)} for iteration in logged}
    for values, curve in list(curves)[:most]:
        label = ",".join(f"{axis}={value:g}" for axis, value in zip(axes, values, strict=True))
        medians = curve.groupby("iteration")[["oracle_calls", *metrics]].median()
        for iteration, numbers in zip(medians.index, medians.to_dict("records"), strict=True):
            rows[int(iteration)]["oracle_calls"] = numbers.pop("oracle_calls")
            rows[int(iteration)] |= {f"{name}/{label}" if label else name: value for name, value in numbers.items()}
    return list(rows.values())


def _slopes(history: pd.DataFrame) -> dict[str, float]:
    """Log–log slope of every averaged metric's median over the last decade of iterations."""
    slopes = {}
    for metric in (name for name in history.columns if name.endswith("_mean")):
        medians = history.groupby("iteration")[metric].median()
        tail = medians[(medians.index > 0) & (medians.index >= medians.index.max() / 10)]
        if len(tail) >= 3 and (tail > 0).all():
            slopes[metric] = float(np.polyfit(np.log(tail.index.to_numpy(dtype=float)), np.log(tail.to_numpy()), 1)[0])
    return slopes


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"algorithm.upper_step": …}; a grid's axes are named with their number of values, not spelled out."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if key == "grid":
            flat |= {f"grid.{axis}": len(values) for axis, values in value.items()}
        elif isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key not in ("records", "progress", "checkpoint_seconds"):
            flat[prefix + key] = value
    return flat
