"""The figure and the tables of UniBiO without p."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from unibio.studies.common import methods, style
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.drawing import Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.unknown_exponent import parts
from unibio.studies.unknown_exponent.measures import FAIR, PARTS
from unibio.studies.unknown_exponent.rules import WITHIN, table

#: Beyond which a ratio is drawn at the edge.
SHOWN = (0.1, 30.0)
#: What is compared with, and whose look it has.
AGAINST = {FAIR: "unibio_windows", "ma_soba": "ma_soba", "bo_rep": "bo_rep"}


def draw(evidence: Evidence) -> Drawn:
    """A panel an accuracy, a line a cell: calls without p over others', with an interval; edges are failures."""
    found = table(evidence)
    cells = list(dict.fromkeys(found["cell"]))
    held = dict(zip(found["cell"], found["held_out"], strict=True))
    figure, axes = style.panels(1, 2, 0.24 * len(cells) + 1.4, sharey=True)
    for accuracy, panel in zip((1, 2), axes[0], strict=True):
        panel.axvspan(SHOWN[0], WITHIN, color="#eeeeee", zorder=0)
        panel.axvline(1, color=style.GREY, linewidth=0.8)
        for offset, (name, known) in zip((-0.22, 0.0, 0.22), AGAINST.items(), strict=True):
            part = found[(found["accuracy"] == accuracy) & (found["method"] == name)]
            y = [cells.index(cell) + offset for cell in part["cell"]]
            middle, low, high = (np.clip(part[key].to_numpy(), *SHOWN) for key in ("ratio", "low", "high"))
            look = methods.look(known) | {"linestyle": "", "markersize": 4}
            panel.plot(middle, y, **look)
            panel.hlines(y, low, high, color=look["color"], linewidth=1.0)
        panel.set(xscale="log", xlim=SHOWN, title="coarse accuracy" if accuracy == 1 else "fine accuracy")
        panel.set_xlabel("calls without p ÷ the other's")
    axes[0, 0].set_yticks(range(len(cells)), [f"{cell}{' *' if held[cell] else ''}" for cell in cells])
    axes[0, 0].set_ylabel("problem (* held out)")
    axes[0, 0].invert_yaxis()
    handles = [
        style.handle(methods.label(known), **methods.look(known) | {"linestyle": ""}) for known in AGAINST.values()
    ]
    style.legend_above(figure, handles, 3)
    return Drawn(figure, {"unknown_exponent": found})


def blocks(evidence: Evidence) -> Iterable[Block]:
    """Every cell, failures too."""
    found = table(evidence)
    yield Heading(3, "Oracle calls without p, with p, and with a wrong p")
    yield Paragraph(
        "Median over the judging seeds of the calls after which an accuracy is kept to; inf where more than half never "
        "get there. Held-out cells have a star."
    )
    names = found["cell"] + np.where(found["held_out"], " *", "")
    wide = found.assign(cell=names).pivot_table(
        index=["cell", "accuracy"], columns="method", values="calls", sort=False, dropna=False, aggfunc="first"
    )
    yield frame_table(wide.reset_index())
    fair = found[found["method"] == FAIR].assign(cell=names)
    yield Paragraph("Calls without p over the fair baseline's, with 95 % intervals over the seeds:")
    yield frame_table(pd.DataFrame(fair[["cell", "accuracy", "epsilon", "ratio", "low", "high"]]))
    if not evidence.records(PARTS):
        return
    yield Heading(3, "What its parts are worth, and how much hangs on its defaults")
    yield Paragraph(
        "Calls to the coarser accuracy with one part off, or one default a third or three times of what it is (of 1 − "
        "β for β, of the logarithm for factors; the tolerance of the linear system, δ and c likewise), by calls with "
        "the defaults; 95 % intervals over the judging seeds. Inf: not reached. These cells are not held out."
    )
    yield frame_table(parts.table(evidence))
