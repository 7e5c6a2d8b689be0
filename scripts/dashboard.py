"""Draw what a dashboard shows of offline runs, from wandb's own files: groups of curves, and rates in the summary."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unibio.cli.entry import Parser
from unibio.cli.searching import script
from unibio.errors import InputError
from unibio.studies.common import methods, style

#: The metric that is drawn, and its rate in a run's summary.
METRIC, RATE = "hypergradient_norm_mean", "rate/hypergradient_norm_mean"


@dataclass(frozen=True)
class Run:
    """A wandb run as its file has it.

    Attributes:
        name, group, kind: of the run, its group and its job type.
        config, summary: at its end.
        rows: as they were logged.
    """

    name: str
    group: str
    kind: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    rows: pd.DataFrame


def main(arguments: Sequence[str]) -> None:
    parser = Parser("dashboard.py", __doc__)
    parser.add_argument("picture", type=Path, help="PNG to write")
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    options = parser.read(arguments)
    files = sorted(options.records.glob("wandb/offline-run-*/*.wandb"))
    if not files:
        raise InputError(f"no offline runs in {options.records / 'wandb'}; name the directory above by --records DIR")
    look: Any = style.RC
    with matplotlib.rc_context(look):
        figure = drawn([read(file) for file in files])
        figure.savefig(options.picture, dpi=110)
    print(options.picture)


def read(file: Path) -> Run:
    """A run, read by ``wandb leet inspect``.

    Raises:
        InputError: the file cannot be read.
    """
    asked = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{file} cannot be read: {done.stderr.strip()}")
    about: dict[str, Any] = {}
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    rows: list[Mapping[str, Any]] = []
    for record in (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")):
        kind = record["type"]
        if kind == "run":
            about = record["run"]
            config |= about["config"]["update"]
        elif kind == "summary":
            summary |= record["summary"].get("update", {})
        elif kind == "history":
            rows.append(record["history"]["item"])
    if METRIC not in summary:
        raise InputError(f"{file} has no {METRIC}; runs of a problem that knows its hypergradient have it")
    return Run(about["display_name"], about["run_group"], about["job_type"], config, summary, pd.DataFrame(rows))


def drawn(runs: Sequence[Run]) -> Figure:
    """Panels by exponent with a line a job type, and below them the table of runs, sorted by their rates."""
    places = sorted({run.config.get("p (exponent)") for run in runs}, key=str)
    figure = Figure(figsize=(style.WIDTH + 1.6, 3.6 + 0.2 * len(runs)), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[2.9, 0.7 + 0.2 * len(runs)])
    panels: Any = upper.subplots(1, len(places), sharey=True, squeeze=False)[0]
    kinds = list(dict.fromkeys(run.kind for run in runs))
    for axes, place in zip(panels, places, strict=True):
        for kind in kinds:
            together = [run for run in runs if run.kind == kind and run.config.get("p (exponent)") == place]
            if together:
                _group(axes, together)
        axes.set(xscale="log", yscale="log", xlabel="oracle_calls", title=f"p (exponent) = {place}")
    panels[0].set_ylabel(METRIC)
    panels[-1].legend(title="job_type")
    _table(lower.subplots(), runs)
    return figure


def _group(axes: Axes, together: Sequence[Run]) -> None:
    """What wandb draws of a group: the mean of its runs, between the lowest and the highest of them."""
    tables = [run.rows[run.rows["oracle_calls"] > 0] for run in together]
    low = max(table["oracle_calls"].iloc[0] for table in tables)
    high = min(table["oracle_calls"].iloc[-1] for table in tables)
    x = np.geomspace(low, high, 200)
    values = np.array([np.interp(x, table["oracle_calls"], table[METRIC]) for table in tables])
    kind = together[0].kind
    look = {name: value for name, value in methods.look(kind).items() if name in ("color", "linestyle", "linewidth")}
    axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=look.get("color"), alpha=0.2, linewidth=0)
    axes.plot(x, values.mean(axis=0), label=f"{kind} (of {len(together)})", **look)


def _table(axes: Axes, runs: Sequence[Run]) -> None:
    settings = [
        name
        for name in dict.fromkeys(name for run in runs for name in run.config)
        if name not in ("algorithm", "record") and all(name in run.config for run in runs)
        and len({repr(run.config[name]) for run in runs}) > 1
    ]  # fmt: skip
    lines = [
        [run.kind, *(f"{run.config[name]:g}" for name in settings), f"{run.summary[METRIC]:.4f}",
         "–" if RATE not in run.summary else f"{run.summary[RATE]:.3f}", f"{run.summary['diverged']:g}"]
        for run in sorted(runs, key=lambda run: run.summary.get(RATE, np.inf))
    ]  # fmt: skip
    header = ["job_type", *settings, METRIC, RATE, "diverged"]
    axes.axis("off")
    widths = [max(len(line[k]) for line in [header, *lines]) + 2 for k in range(len(header))]
    table = axes.table(lines, colLabels=header, loc="center", colWidths=[w / sum(widths) for w in widths])
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    for cell in table.get_celld().values():
        cell.set(edgecolor="#dddddd")


if __name__ == "__main__":
    with script("dashboard") as words:
        main(words)
