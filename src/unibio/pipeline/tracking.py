"""wandb as a view of records. Parquet is the truth; nothing here can stop or change a run."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from unibio.core.oracle import KINDS, POINTS
from unibio.pipeline.schema import mode_of
from unibio.quantiles import worst
from unibio.registry import algorithm_class, problem_class
from unibio.store.records import Record

#: Columns of a history that are not metrics.
_NOT_METRICS = {"run", "iteration", "oracle_calls", "seconds", "seed", *KINDS, *POINTS}

#: Columns that a chart can have as its x axis; oracle calls are what it starts with.
_STEPS = ("oracle_calls", "iteration", "seconds")

#: Rows logged of a curve's ~200: a chart shows no more.
ROWS = 80

#: Rows of a history of which curves are made: what is computed in parts need not fit into memory.
MOST_ROWS = 20_000_000

#: Modes that have failed in this process: a dashboard out of reach is waited for once, not once a job.
_failed: set[str] = set()


@dataclass(frozen=True)
class Curve:
    """What a reader looks at: one combination of a grid's axes, as medians over its seeds.

    Attributes:
        values: {axis: value}, empty where the grid has seeds only.
        table: per logged iteration the medians, indexed by iteration.
        runs, diverged: how many runs it is the median of, and how many of them diverged.
    """

    values: dict[str, float]
    table: pd.DataFrame
    runs: int
    diverged: int

    @property
    def label(self) -> str:
        """ "axis=value, …"."""
        return ", ".join(f"{axis}={value:g}" for axis, value in self.values.items())


def track(record: Record, tracker: Mapping[str, Any], root: Path) -> None:
    """Show a finished record to the tracker: one wandb run per curve, at most ``max_curves`` of a grid.

    Every run has a deterministic id, so that logging a record again replaces and does not double. Its group is the
    sweep or experiment, its job type the algorithm; its configuration is flat and says both our names and the paper's
    symbols.

    Args:
        record: complete.
        tracker: mode none | offline | online, project, entity, group, max_curves; see :func:`mode_of` for the
            environment.
        root: the records directory; offline files go to its ``wandb`` folder, or to that of WANDB_DIR.
    """
    mode = mode_of(tracker)
    if mode == "none" or mode in _failed:
        return
    if record.length > MOST_ROWS:
        warnings.warn(
            f"wandb: {record.name} is not shown, whose history of {record.length:,} rows is read from the record alone",
            stacklevel=2,
        )
        return
    with guarded(record.name, mode):
        for curve in curves(record, int(tracker.get("max_curves", 8))):
            with opened(record.config, record.name, curve, tracker, root) as run:
                for row in curve.table.reset_index().to_dict("records"):
                    run.log(row)
                sum_up(run, record, curve)


@contextmanager
def guarded(name: str, mode: str) -> Iterator[None]:
    """Around whatever wandb is asked for: what it raises is said once, and it is left alone from then on.

    Args:
        name: of the record.
        mode: online or offline.
    """
    loud = logging.raiseExceptions
    logging.raiseExceptions = False  # or wandb's own log, on a full disk, prints a traceback per line
    try:
        yield
    except Exception as error:  # no network, no key, a full disk: the record is safe, the view is not worth a run
        _failed.add(mode)
        warnings.warn(
            f"wandb: {name} was not logged ({error}), nor will this process log others; records are complete",
            stacklevel=4,
        )
    finally:
        logging.raiseExceptions = loud


def has_failed(mode: str) -> bool:
    """Whether wandb has failed in this process."""
    return mode in _failed


def opened(
    config: Mapping[str, Any],
    name: str,
    curve: Curve,
    tracker: Mapping[str, Any],
    root: Path,
    resume: Literal["allow"] | None = None,
    **settings: Any,
) -> Any:
    """A wandb run for a curve, begun or, with ``resume="allow"``, gone on with.

    Args:
        config: of the job.
        name: of its record.
        curve: which; its table is not looked at.
        tracker: as of :func:`track`.
        root: the records directory.
        resume: "allow" for a run that may be there already.
        settings: further ones of wandb's.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    root = folder(root)
    (root / "wandb").mkdir(parents=True, exist_ok=True)
    problem, algorithm = config["problem"], config["algorithm"]
    tags = [problem["name"], algorithm["name"], config["scale"].get("name", "custom")]
    if "exponent" in problem:
        tags.append(f"p={curve.values.get('exponent', problem['exponent']):g}")
    kept: dict[str, Any] = {"console": "off", "x_disable_stats": True, "x_save_requirements": False, "init_timeout": 20}
    mode: Any = mode_of(tracker)
    run = wandb.init(
        project=tracker["project"],
        entity=tracker.get("entity"),
        mode=mode,
        dir=str(root),
        id=run_id(name, curve),
        name=f"{name.rsplit('-', 1)[0]} {curve.label}".strip(),
        group=tracker.get("group") or config.get("experiment") or "single",
        job_type=algorithm["name"],
        tags=tags,
        config=flat(config, curve.values) | {"runs": curve.runs, "record": name},
        resume=resume,
        settings=wandb.Settings(**(kept | settings)),
    )
    for step in _STEPS:
        run.define_metric(step)
    run.define_metric("*", step_metric=_STEPS[0])
    return run


def folder(root: Path) -> Path:
    """Where the folder ``wandb`` goes: the records directory, or what WANDB_DIR says."""
    return Path(os.environ.get("WANDB_DIR") or root).expanduser()


def sum_up(run: Any, record: Record, curve: Curve) -> None:
    """A run's summary: last values, slopes, how many runs diverged, and where the record lies."""
    last = curve.table.iloc[-1]
    run.summary.update({name: float(value) for name, value in last.items()})
    run.summary.update({"diverged": curve.diverged, "record_seconds": record.summary["seconds"]})
    run.summary.update({f"rate/{metric}": slope for metric, slope in slopes(curve.table).items()})
    run.summary.update({"record_path": str(record.path.resolve())})


def run_id(name: str, curve: Curve) -> str:
    """A curve's id: the digest in its record's name and, in a grid, one of the curve's axis values."""
    base = name.rsplit("-", 1)[-1]
    return f"{base}-{hashlib.sha256(curve.label.encode()).hexdigest()[:8]}" if curve.values else base


def curves(record: Record, most: int, rows: int | None = ROWS) -> list[Curve]:
    """A record's curves, at most ``most`` of them: of a search over step sizes, those that end lowest.

    Low is meant in the hypergradient's norm; without that metric the choice is spread evenly over the grid.

    Args:
        record: complete.
        most: curves.
        rows: of a curve; None for all.
    """
    history, runs = record.history, record.runs
    part = history
    if rows is not None:
        logged = np.sort(history["iteration"].unique())
        logged = logged[np.unique(np.linspace(0, len(logged) - 1, rows).round().astype(int))]
        part = history[history["iteration"].isin(logged)]
    # A search has hundreds of curves and few are shown: which ones is settled before their tables are made.
    values, number = numbered(runs, axes_of(record.config))
    ends = (runs["status"] == "diverged").groupby(number).agg(["size", "sum"])
    chosen = _shown(part, part["run"].map(number), ends["sum"].to_numpy(), most)
    tables = medians(part, number, chosen, axes_of(record.config))
    return [Curve(values[k], tables[k], int(ends["size"][k]), int(ends["sum"][k])) for k in chosen]


def axes_of(config: Mapping[str, Any]) -> list[str]:
    """The columns that tell a job's curves apart."""
    return [key.split(".", 1)[-1] for key in config["grid"] if key != "seed"]


def numbered(runs: pd.DataFrame, axes: list[str]) -> tuple[list[dict[str, Any]], pd.Series]:
    """The curves' values of the axes, and for every run which of them it belongs to."""
    number = runs.groupby(axes, sort=False).ngroup() if axes else pd.Series(0, index=runs.index)
    found: list[dict[str, Any]] = runs.loc[~number.duplicated(), axes].to_dict("records")
    return found, number


def medians(history: pd.DataFrame, number: pd.Series, chosen: list[int], axes: list[str]) -> dict[int, pd.DataFrame]:
    """The tables of some curves: medians over their runs by iteration; a value that is not defined is worst.

    Args:
        history: rows of runs.
        number: of every run's curve.
        chosen: curves.
        axes: columns of the history that are no metrics.
    """
    metrics = [name for name in history.columns if name not in _NOT_METRICS | set(axes)]
    curve = history["run"].map(number)
    rows = curve.isin(chosen)
    shown = history[rows].assign(**{name: worst(history.loc[rows, name]) for name in metrics})  # NaN would be left out
    found = shown.groupby([curve[rows], "iteration"])[["oracle_calls", "seconds", *metrics]].median()
    found = found.replace(np.inf, np.nan)
    return {k: found.loc[k] for k in chosen}


def _shown(part: pd.DataFrame, curve: pd.Series, diverged: np.ndarray, most: int) -> list[int]:
    """The numbers of the curves to show, given every row's curve and how many runs of every curve diverged."""
    if len(diverged) <= most:
        return list(range(len(diverged)))
    if "hypergradient_norm" not in part:
        return np.unique(np.linspace(0, len(diverged) - 1, most).round().astype(int)).tolist()
    last = part["iteration"] == part.groupby(curve)["iteration"].transform("max")
    ends = pd.Series(worst(part.loc[last, "hypergradient_norm"]), index=part.index[last])
    norms = ends.groupby(curve[last]).median().to_numpy()
    return np.argsort(np.where(diverged > 0, np.inf, norms), kind="stable")[:most].tolist()


def slopes(table: pd.DataFrame) -> dict[str, float]:
    """Log–log slope of every averaged metric of a curve over the last decade of its iterations."""
    fitted = {}
    for metric in (name for name in table.columns if name.endswith("_mean")):
        tail = table.loc[(table.index > 0) & (table.index >= table.index.max() / 10), metric]
        if len(tail) >= 3 and (tail > 0).all():
            fitted[metric] = float(np.polyfit(np.log(tail.index.to_numpy(dtype=float)), np.log(tail.to_numpy()), 1)[0])
    return fitted


def flat(config: Mapping[str, Any], values: Mapping[str, float]) -> dict[str, Any]:
    """A curve's configuration without nesting: {"problem": "example3", "p (exponent)": 4, "η (upper_step)": 0.03, …}.

    Parameters with a symbol in the paper carry it. Paths and other harness keys are left out.

    Args:
        config: the record's.
        values: of the grid's axes, which replace the configured ones.
    """
    named: dict[str, Any] = {}
    for role, find in (("problem", problem_class), ("algorithm", algorithm_class)):
        cls: Any = find(config[role]["name"])
        symbols = {spec.name: spec.metadata.get("symbol", "") for spec in dataclasses.fields(cls)}
        named[role] = config[role]["name"]
        # An axis may be of a parameter that the configuration leaves at its default, and so out.
        axes = {key.partition(".")[2] for key in config["grid"] if key.startswith(f"{role}.")}
        for key, value in (config[role] | {name: values[name] for name in sorted(axes) if name in values}).items():
            if key != "name":
                label = f"{symbols[key]} ({key})" if symbols.get(key) else key
                named[label if label not in named else f"{role}.{label}"] = values.get(key, value)
    kept = ("experiment", "steps", "budget", "seed", "dtype", "device", "data", "data_hash")
    return named | {key: config[key] for key in kept if config.get(key) is not None}
