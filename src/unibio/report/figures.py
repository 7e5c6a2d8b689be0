"""The report's figures: picture, caption, files, the commands that make them, and the tables they plot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from unibio.report.page.explore import explorable
from unibio.studies import DRAWINGS
from unibio.studies.common import methods
from unibio.studies.common.document import (
    Block,
    Code,
    Folded,
    Heading,
    MarkdownOnly,
    PageOnly,
    Paragraph,
    Picture,
    frame_table,
)
from unibio.studies.common.drawing import Drawing
from unibio.studies.common.evidence import Evidence

#: A table of more rows is shown in part; all of it is in its CSV file.
MOST_ROWS = 10


def figure_blocks(evidence: Evidence, out: Path, drawings: Sequence[Drawing]) -> Iterable[Block]:
    """Figures that have been drawn into ``out``, from records that are still there."""
    for drawing in drawings:
        name = drawing.name
        picture, tables = f"figures/{name}.png", _tables(out, name)
        drawn = (out / picture).is_file()
        if is_shown(evidence, out, name):
            yield Heading(3, title(name), name)
            vector = f"figures/{name}.pdf"
            shown = Picture(picture, drawing.caption, title(name), vector, inside=not drawing.variant)
            yield shown if drawn else Paragraph(drawing.caption)
            yield from explorable(out, name) if drawn else ()
            links = [f"[{table.name}](tables/{table.name})" for table in tables]
            files = ", ".join([f"[PDF]({vector})"] * drawn + links)
            yield PageOnly([Paragraph(f"Files: {files}. Records and picture again:")])
            commands = [evidence.command(e) for e in drawing.experiments]
            yield PageOnly([Code("\n".join([*commands, f"unibio figures {name}"]))])
            numbers = ", ".join(f"[{_of(table, name)}](tables/{table.name})" for table in tables)
            yield MarkdownOnly([Paragraph("; ".join([numbers] * bool(tables) + _records(drawing)) + ".")])
            for table in tables:
                yield PageOnly([_shown_table(table)])


def _of(table: Path, figure: str) -> str:
    """What a table is called beside its figure."""
    return table.stem.removeprefix(figure).strip("_").replace("_", " ") or "numbers"


def _records(drawing: Drawing) -> list[str]:
    """Whose records it is made of, where its name does not say it."""
    return [] if drawing.experiments == (drawing.name,) else [f"records of {', '.join(drawing.experiments)}"]


def title(name: str) -> str:
    """What heads a figure in the report; its name where its study gives it none."""
    return DRAWINGS[name].title or name


def is_shown(evidence: Evidence, out: Path, name: str) -> bool:
    """Whether a figure has been drawn, or its table written, from records that are still there."""
    there = (out / "figures" / f"{name}.png").is_file() or bool(_tables(out, name))
    return there and all(evidence.records(experiment) for experiment in DRAWINGS[name].experiments)


def _tables(out: Path, name: str) -> list[Path]:
    """A figure's own table, then those whose names continue its name and no other figure's."""
    found = sorted((out / "tables").glob(f"{name}*.csv"))
    others = [other for other in DRAWINGS if other != name and other.startswith(name)]
    return [path for path in found if not any(path.stem.startswith(other) for other in others)]


def _shown_table(path: Path) -> Folded:
    # A file that is being written, or that holds no row, says nothing.
    frame = methods.labelled(pd.read_csv(path)) if path.stat().st_size > 1 else pd.DataFrame()
    part = excerpt(frame)
    size = f"{len(frame)} rows" if len(part) == len(frame) else f"{len(part)} of {len(frame)} rows"
    blocks: list[Block] = [frame_table(part)]
    if len(part) < len(frame):
        blocks.append(Paragraph(f"The rest is in [{path.name}](tables/{path.name})."))
    return Folded(f"Table {path.stem} ({size})", blocks, level=4)


def excerpt(frame: pd.DataFrame) -> pd.DataFrame:
    """At most ``MOST_ROWS`` rows, in their order: of curves a few iterations of each, of other tables every k-th row.

    Args:
        frame: any table; curves are told by a column ``iteration``, and begin where it does not grow.
    """
    if len(frame) <= MOST_ROWS:
        return frame
    if "iteration" not in frame:
        return frame.iloc[np.unique(np.linspace(0, len(frame) - 1, MOST_ROWS).astype(int))].reset_index(drop=True)
    begins = np.flatnonzero(np.diff(frame["iteration"].to_numpy(), prepend=np.inf) <= 0)
    ends = [*begins[1:], len(frame)]
    each = max(2, MOST_ROWS // len(begins))
    if each * len(begins) > MOST_ROWS:  # so many curves that their last rows must do
        chosen = np.array(ends)[np.unique(np.linspace(0, len(ends) - 1, MOST_ROWS).astype(int))] - 1
        return frame.iloc[chosen].reset_index(drop=True)
    rows = [
        np.unique(np.geomspace(1, end - begin, each).round().astype(int)) + begin - 1
        for begin, end in zip(begins, ends, strict=True)
    ]
    return frame.iloc[np.concatenate(rows)].reset_index(drop=True)
