"""The report for Markdown, which cannot fold: long tables are files beside it, and a line leads to each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pandas as pd

from unibio.store.writing import write_text
from unibio.studies.common.document import Block, Folded, Heading, MarkdownOnly, PageOnly, Paragraph, Table, shown, slug

#: Rows of a table that Markdown shows whole.
MOST_ROWS = 6


def abridged(blocks: Iterable[Block], out: Path) -> list[Block]:
    """Blocks with a link in the place of every table of more than ``MOST_ROWS`` rows.

    Args:
        blocks: of the report.
        out: such tables are written to ``out``/tables/report_HEADING.csv, numbered where a heading has several.
    """
    return _Abridging(out).all(blocks)


class _Abridging:
    """Goes through blocks and remembers under which heading it is, and which files it has written."""

    def __init__(self, out: Path):
        self._out, self._heading, self._written = out, "", set[str]()

    def all(self, blocks: Iterable[Block]) -> list[Block]:
        return [self._one(block) for block in blocks if not isinstance(block, PageOnly)]

    def _one(self, block: Block) -> Block:
        match block:
            case Heading(_, text, anchor):
                self._heading = anchor or text
            case Table(_, rows, whole=False) if len(rows) > MOST_ROWS:
                return self._linked(block)
            case Folded(title, content, _, _, anchor):
                self._heading = anchor or title
                return replace(block, blocks=self.all(content))
            case MarkdownOnly(content):
                return MarkdownOnly(self.all(content))
        return block

    def _linked(self, table: Table) -> Paragraph:
        named = "report_" + re.sub("[^a-z0-9]+", "_", slug(self._heading).replace("-", " ")).strip("_")
        name = next(one for k in count(1) if (one := f"{named}_{k}" if k > 1 else named) not in self._written)
        self._written.add(name)
        cells = [[re.sub("[`*]{1,2}", "", shown(cell)) for cell in row] for row in table.rows]
        frame = pd.DataFrame(cells, columns=list(table.header))
        write_text(self._out / "tables" / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
        columns = ", ".join(name for name in table.header if name)
        return Paragraph(f"[A table of {len(table.rows)} rows](tables/{name}.csv): {columns}.")
