"""Figure, table and section of what UniBiO's parts are worth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from unibio.studies.ablation.measures import CRITERIA, EXPONENTS, PARTS, PROBLEMS, WHOLE, comparisons, variants
from unibio.studies.common import style
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.drawing import Drawn
from unibio.studies.common.evidence import Evidence

#: What a state is called in tables.
STATES = {1: "helps", -1: "harms", 0: "alike", None: "not told"}


def table(evidence: Evidence) -> pd.DataFrame:
    """problem, p, without, the chosen settings, the criterion's mean over the judging seeds, its ratio and interval."""
    rows = []
    for (name, p), by_part in variants(evidence).items():
        for part, one in by_part.items():
            row: dict[str, Any] = {"problem": PROBLEMS[name], "p": p, "without": part, **one.steps}
            row |= {"criterion": CRITERIA[name][1], "value": float(one.values.mean()) if len(one.values) else math.inf}
            found = comparisons(evidence, part).get((name, p)) if part != WHOLE else None
            row |= {"ratio": found.ratio if found else math.nan, "low": found.low if found else math.nan}
            row |= {"high": found.high if found else math.nan, "part": STATES[found.state] if found else ""}
            rows.append(row)
    return pd.DataFrame(rows)


def draw(evidence: Evidence) -> Drawn:
    """A panel a problem: the variants' criterion by the whole's against p, with intervals."""
    figure, ((*axes,),) = style.panels(1, len(PROBLEMS), 3.2)
    width = 1.2
    for panel, (name, title) in zip(axes, PROBLEMS.items(), strict=True):
        panel.set_title(title, loc="left")
        panel.set(yscale="log", xlabel="p", xticks=EXPONENTS)
        panel.axhspan(1 / CRITERIA[name][2], CRITERIA[name][2], color=style.GREY, alpha=0.2, linewidth=0)
        for i, part in enumerate(PARTS):
            here = {p: one for (of, p), one in comparisons(evidence, part).items() if of == name}
            at = np.array([p + width * (i / (len(PARTS) - 1) - 0.5) for p in here])
            ratio, low, high = (np.array([getattr(one, end) for one in here.values()]) for end in _ENDS)
            shown = np.isfinite(ratio)
            if not shown.any():
                continue
            low, high = (np.where(np.isfinite(end), end, ratio)[shown] for end in (low, high))
            bars = [ratio[shown] - low, high - ratio[shown]]
            panel.errorbar(at[shown], ratio[shown], yerr=bars, **_look(part) | {"linestyle": "none"}, capsize=2)
        style.log_labels(panel.yaxis)
    axes[0].set_ylabel("without it / with all parts")
    style.legend_above(figure, [style.handle(text, **_look(part)) for part, text in PARTS.items()], 3)
    return Drawn(figure, {"ablation": table(evidence)})


_ENDS = ("ratio", "low", "high")


def _look(part: str) -> dict[str, Any]:
    return style.of_place(list(PARTS).index(part), len(PARTS)) | {"linestyle": "none"}


def section(evidence: Evidence) -> Iterable[Block]:
    """The comparisons as a table."""
    found = table(evidence)
    yield Heading(3, "UniBiO without one of its parts")
    yield Paragraph(
        "The criterion at the end of the budget (the mean of ‖∇φ‖ over the iterates; φ on ℓ_p-regression) at the "
        "settings that half of the seeds choose, over the other half; by that of UniBiO with all parts, with a 95% "
        "interval."
    )
    yield frame_table(found)
