"""wandb while a long job runs: rows are shown as soon as a checkpoint holds them.

What a checkpoint does not hold yet, a job that is killed computes again; it would be shown twice. Rows are therefore
sent after the checkpoint, and before that it is noted beside it (``tracked-*.json``) up to where. A job that goes on
from its checkpoint goes on with the same runs of wandb, from there.

A thread of its own opens the runs and sends the rows while the job computes. What it has not come to when the next
checkpoint is written, it finds there once more.

A search of more curves than are shown is logged at its end, when it is known which those are, and so is what is over
before its first checkpoint (:mod:`unibio.pipeline.tracking`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unibio.pipeline.job import Job
from unibio.pipeline.schema import mode_of
from unibio.pipeline.tracking import (
    ROWS,
    Curve,
    axes_of,
    curves,
    folder,
    guarded,
    has_failed,
    medians,
    numbered,
    opened,
    sum_up,
)
from unibio.store.codehash import code_hash
from unibio.store.records import Record
from unibio.store.smallfiles import json_object
from unibio.store.writing import write_text

#: Rows of a batch's history up to which they are looked at again at every checkpoint.
MOST_ROWS = 1_000_000


class Live:
    """A job's curves in wandb, opened at its first checkpoint.

    Args:
        job: about to be run.
    """

    def __init__(self, job: Job):
        self._job, self._mode = job, mode_of(job.config["tracker"])
        self._runs: dict[int, Any] = {}
        self._sent: dict[str, int] = {}
        self._curves: list[Curve] = []
        self._number = pd.Series(dtype=int)
        self._thread: ThreadPoolExecutor | None = None
        self._sending: Future[None] | None = None
        self._suited = self._mode != "none" and not has_failed(self._mode) and self._fits()
        if self._suited:
            self._sent = (json_object(self._note, {"sent": {str: int}}) or {"sent": {}})["sent"]

    def _fits(self) -> bool:
        """Whether all curves are shown, and the history is small enough to be looked at often."""
        job = self._job
        if job.runs * job.config["log_points"] > MOST_ROWS:
            return False
        values, self._number = numbered(job.table, axes_of(job.config))
        size = self._number.value_counts()
        self._curves = [Curve(one, pd.DataFrame(), int(size[k]), 0) for k, one in enumerate(values)]
        return len(self._curves) <= int(job.config["tracker"].get("max_curves", 8))

    @property
    def _apart(self) -> int:
        """Of a history's rows every so manyth is shown, so that they are not many more than :data:`ROWS`."""
        points, steps = (self._job.config[name] for name in ("log_points", "steps"))
        return max(1, round(min(points, points if steps is None else steps + 1) / ROWS))

    @property
    def _note(self) -> Path:
        return self._job.path / f"tracked-{code_hash(self._job.modules)[:12]}.json"

    def saved(self, history: Callable[[], pd.DataFrame]) -> None:
        """Begin to send the rows that a checkpoint holds and that were not sent yet. Raises nothing and does not wait.

        Args:
            history: makes the table of them.
        """
        if not self._suited or (self._sending is not None and not self._sending.done()):
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "wandb")
        with guarded(self._job.name, self._mode):
            self._sending = self._thread.submit(self._show, history())

    def _show(self, history: pd.DataFrame) -> None:
        with guarded(self._job.name, self._mode):
            self._send(medians(history, self._number, list(range(len(self._curves))), axes_of(self._job.config)))
        self._suited = not has_failed(self._mode)

    def _wait(self) -> None:
        """Let the thread come to its end."""
        if self._thread is not None:
            self._thread.shutdown()

    def finish(self, record: Record) -> bool:
        """Send what is left, the summary and what the record holds, if anything was sent before it was there.

        Returns:
            Whether this is done; if not, nothing has been sent.
        """
        self._wait()
        if not self._suited or not (self._runs or self._sent):
            return has_failed(self._mode)
        with guarded(record.name, self._mode):
            found = curves(record, len(self._curves), rows=None)
            self._send({k: curve.table for k, curve in enumerate(found)}, ended=True)
            picture = _picture(found)
            for k, curve in enumerate(found):
                sum_up(self._runs[k], record, curve)
                _deposit(self._runs[k], record, curve, picture, folder(self._job.root) / "wandb")
                self._runs.pop(k).finish()
        self.close()
        self._note.unlink(missing_ok=True)
        return True

    def close(self) -> None:
        """End what is open, as something that has not come to its end. Raises nothing."""
        self._wait()
        if self._runs:
            with guarded(self._job.name, self._mode):
                while self._runs:
                    self._runs.popitem()[1].finish(exit_code=1)
        self._runs.clear()

    def _send(self, tables: dict[int, pd.DataFrame], ended: bool = False) -> None:
        """Send of every curve's rows some, as many as a chart shows, and at the end the last one."""
        resumed = bool(self._sent)
        names = {k: self._curves[k].label for k in tables}
        shown = {
            k: (np.arange(len(t)) % self._apart == 0) | (ended & (t.index == t.index[-1])) for k, t in tables.items()
        }
        new = {k: table[shown[k] & (table.index > self._sent.get(names[k], -1))] for k, table in tables.items()}
        self._sent |= {names[k]: int(table.index[-1]) for k, table in new.items() if len(table)}
        write_text(self._note, json.dumps({"sent": self._sent}) + "\n")
        for k, table in new.items():
            run = self._runs.get(k) or self._open(k, resumed)
            for row in table.reset_index().to_dict("records"):
                run.log(row, step=int(row["iteration"]))

    def _open(self, k: int, resumed: bool) -> Any:
        """A curve's run; the first of them shows what the machine does."""
        job, tracker = self._job, self._job.config["tracker"]
        how: dict[str, Any] = {"resume": "allow" if resumed else None, "reinit": "create_new", "x_disable_stats": k > 0}
        self._runs[k] = opened(job.config, job.name, self._curves[k], tracker, job.root, **how)
        return self._runs[k]


def _deposit(run: Any, record: Record, curve: Curve, picture: bytes, waiting: Path) -> None:
    """An artifact of the record: where it lies, its settings and summary, the curve as a table, and a picture.

    Args:
        run: of wandb.
        record, curve: what it shows.
        picture: PNG of all curves of the record.
        waiting: where its files wait to be sent, unless WANDB_DATA_DIR says it; wandb itself would take the home
            directory.
    """
    import wandb

    said = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = said or str(waiting.resolve())
    try:
        run.log_artifact(_artifact(wandb, f"record-{run.id}", record, curve, picture))
    finally:
        if said is None:
            del os.environ["WANDB_DATA_DIR"]


def _artifact(wandb: Any, name: str, record: Record, curve: Curve, picture: bytes) -> Any:
    artifact = wandb.Artifact(name, type="record", metadata={"path": str(record.path.resolve())})
    for name in ("config.yaml", "summary.json"):
        artifact.add_file(str(record.path / name), policy="immutable")
    with artifact.new_file("curve.csv") as file:
        file.write(curve.table.to_csv(float_format="%.9g"))
    with artifact.new_file("curves.png", mode="wb") as file:
        file.write(picture)
    return artifact


def _picture(found: Sequence[Curve]) -> bytes:
    """PNG of every metric of some curves against oracle calls, below each other.

    It is drawn once for all of them and without a layout engine, which would draw it three times: the run waits for it.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    names = [name for name in found[0].table.columns if name not in ("oracle_calls", "seconds")]
    rows, legend = max(1, len(names)), 0.25 * len(found) if len(found) > 1 else 0.0
    height = 1.7 * rows + 0.6 + legend
    figure = Figure(figsize=(6, height))
    panels = figure.subplots(rows, squeeze=False, sharex=True)[:, 0]
    figure.subplots_adjust(left=0.14, right=0.97, bottom=0.5 / height, top=1 - (0.1 + legend) / height, hspace=0.12)
    for axes, name in zip(panels, names, strict=False):
        for curve in found:
            axes.plot(curve.table["oracle_calls"], curve.table[name], label=curve.label)
        axes.set_ylabel(name.replace("_", " "))
        if all((curve.table[name].dropna() > 0).all() for curve in found):
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
    panels[-1].set_xlabel("oracle calls")
    if legend:
        figure.legend(handles=panels[0].lines, loc="upper center", frameon=False)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    return drawn.getvalue()
