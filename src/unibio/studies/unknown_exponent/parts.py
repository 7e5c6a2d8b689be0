"""What the parts of UniBiO without p are worth, and how much hangs on its defaults: calls with a change by without."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from unibio.store.records import Record
from unibio.studies.common import style
from unibio.studies.common.drawing import Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.unknown_exponent.measures import (
    FAIR,
    MAIN,
    PARTS,
    Cell,
    accuracies,
    cell_of,
    gathered,
    median,
    ratio,
    runs_of,
)

#: What is compared with: nothing changed.
NONE = "none"
COLUMNS = ("cell", "part", "epsilon", "calls", "ratio", "low", "high")
#: Beyond which a ratio is drawn at the edge.
SHOWN = (0.2, 30.0)


def table(evidence: Evidence) -> pd.DataFrame:
    """cell, part, epsilon, calls (median, inf: not reached); ratio to the defaults, low, high.

    Calls are to the coarser accuracy of the same cell in the comparison, over the judging seeds; the finer one is out
    of the reach of these budgets. Cells that were not compared there have no accuracy and no row.

    Raises:
        MissingRecordsError: one of both experiments was not run.
    """
    return evidence.once(_table)


def _table(evidence: Evidence) -> pd.DataFrame:
    by_cell: dict[Cell, dict[str, Record]] = {}
    for record in evidence.require(PARTS):
        by_cell.setdefault(cell_of(record), {})[str(record.config["paper"]["part"])] = record
    evidence.require(MAIN)
    rows = []
    for cell, by_part in sorted(by_cell.items()):
        if NONE not in by_part or FAIR not in gathered(evidence).get(cell, {}):
            continue
        accuracy = accuracies(evidence, cell)[0]
        calls = {part: runs_of([record]).judged(accuracy) for part, record in by_part.items()}
        for part in (NONE, *(part for part in calls if part != NONE)):
            middle, low, high = ratio(calls[part], calls[NONE])
            row = {"cell": cell.label, "part": part.replace("_", " "), "epsilon": accuracy}
            rows.append(row | {"calls": median(calls[part]), "ratio": middle, "low": low, "high": high})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def draw(evidence: Evidence) -> Drawn:
    """A line a change, a mark a cell: calls with it by calls with the defaults; the right edge is a failure."""
    found = table(evidence)
    parts = [part for part in dict.fromkeys(found["part"]) if part != NONE]
    cells = list(dict.fromkeys(found["cell"]))
    figure, ((panel,),) = style.panels(1, 1, 0.24 * len(parts) + 1.4)
    panel.axvline(1, color=style.GREY, linewidth=0.8)
    handles = []
    for place, cell in enumerate(cells):
        look = style.of_place(place, len(cells)) | {"linestyle": "", "markersize": 4}
        here = found[(found["cell"] == cell) & (found["part"] != NONE) & ~found["ratio"].map(math.isnan)]
        y = [parts.index(part) + 0.16 * (place - (len(cells) - 1) / 2) for part in here["part"]]
        middle, low, high = (np.clip(here[key].to_numpy(), *SHOWN) for key in ("ratio", "low", "high"))
        panel.plot(middle, y, **look)
        panel.hlines(y, low, high, color=look["color"], linewidth=1.0)
        handles.append(style.handle(cell, **look))
    panel.set(xscale="log", xlim=SHOWN, xlabel="calls with the change ÷ calls with the defaults", ylabel="change")
    panel.set_yticks(range(len(parts)), parts)
    panel.invert_yaxis()
    style.legend_above(figure, handles, 2)
    return Drawn(figure, {PARTS: found})
