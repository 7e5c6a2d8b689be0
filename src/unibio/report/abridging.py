"""The report for Markdown, which cannot fold: what is long stands in files beside it, and a line leads to each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import pandas as pd

from unibio.store.writing import write_text
from unibio.studies.common.document import (
    LINK,
    Beside,
    Block,
    Folded,
    Heading,
    MarkdownOnly,
    PageOnly,
    Paragraph,
    Table,
    markdown,
    shown,
    slug,
)

#: What is read first, and leads to the others.
REPORT = "report.md"
#: Rows of a table that it shows.
MOST_ROWS = 6
#: Of the file that has longer ones, and what is said of them.
LONG = "Long tables"


def write_markdown(blocks: Iterable[Block], out: Path) -> None:
    """Write ``out``/report.md and what it leaves to files beside it; links to a place lead to the file that has it."""
    texts = {name: markdown(content) for name, content in abridged(blocks, out).items()}
    places = [(slug(text), name) for name in texts for text in re.findall("^#+ (.*)$", texts[name], re.M)]
    files = dict(reversed(places))  # of several the first

    for name, text in texts.items():
        write_text(out / name, _led(text, name, files))


def _led(text: str, here: str, files: dict[str, str]) -> str:
    """The text of a file; links to places that another one has, by ``files``, name it."""

    def led(link: re.Match[str]) -> str:
        there = files.get(link[2][1:], here) if link[2].startswith("#") else here
        return link[0] if there == here else f"[{link[1]}]({there}{link[2]})"

    return LINK.sub(led, text)


def abridged(blocks: Iterable[Block], out: Path) -> dict[str, list[Block]]:
    """Blocks with lines that lead to what stands beside them: what says so, and sections with long tables.

    Args:
        blocks: of the report.
        out: tables of more than ``MOST_ROWS`` rows are written to ``out``/tables/report_HEADING.csv, numbered where a
            heading has several.

    Returns:
        The blocks of report.md, then, by the name of its file, of everything beside it.
    """
    abridging = _Abridging(out)
    return {REPORT: abridging.all(blocks)} | abridging.beside


class _Abridging:
    """Goes through blocks and remembers under which headings it is, and what it has left to which file."""

    def __init__(self, out: Path):
        self._out, self._part, self._heading, self._written = out, "", "", set[str]()
        self.beside: dict[str, list[Block]] = {}

    def all(self, blocks: Iterable[Block]) -> list[Block]:
        return [block for section in _sections(blocks) for block in self._section(section)]

    def _section(self, section: Sequence[Block]) -> list[Block]:
        first = section[0]
        if isinstance(first, Heading) and first.level <= 2:
            self._part = first.text
        below = isinstance(first, Heading) and first.level > 2
        shown = [self._one(block) for block in section]
        return [self._left(LONG, shown)] if below and any(map(_is_long, section)) else shown

    def _one(self, block: Block) -> Block:
        match block:
            case Heading(_, text, anchor):
                self._heading = anchor or text
            case Table() if _is_long(block):
                return self._linked(block)
            case Folded(title, content, _, _, anchor):
                self._heading = anchor or title
                return replace(block, blocks=self.all(content))
            case MarkdownOnly(content):
                return MarkdownOnly(self.all(content))
            case Beside(title, content):
                return self._left(title, [self._one(one) for one in content])
        return block

    def _linked(self, table: Table) -> Paragraph:
        named = f"report_{_file_name(self._heading)}"
        name = next(one for k in count(1) if (one := f"{named}_{k}" if k > 1 else named) not in self._written)
        self._written.add(name)
        cells = [[re.sub("[`*]{1,2}", "", shown(cell)) for cell in row] for row in table.rows]
        frame = pd.DataFrame(cells, columns=list(table.header))
        write_text(self._out / "tables" / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
        columns = ", ".join(name for name in table.header if name)
        return Paragraph(f"[A table of {len(table.rows)} rows](tables/{name}.csv): {columns}.")

    def _left(self, title: str, section: Sequence[Block]) -> Paragraph:
        """To the file of this title, below the part of the report that it is of: the line that leads there."""
        first = section[0]
        assert isinstance(first, Heading | Folded)
        head: list[Block] = [Heading(1, title), Paragraph(f"Beside [{REPORT}]({REPORT}).")]
        file = self.beside.setdefault(f"{_file_name(title)}.md", head)
        if Heading(2, self._part) not in file:
            file.append(Heading(2, self._part))
        file.extend(section)
        said = first.text if isinstance(first, Heading) else first.title
        return Paragraph(f"[{said}](#{slug(first.anchor or said)}).")


def _sections(blocks: Iterable[Block]) -> Iterable[list[Block]]:
    """What stands before the first heading, and every heading with what is below it; nothing of the page alone."""
    section: list[Block] = []
    for block in blocks:
        if isinstance(block, Heading | Folded | Beside) and section:
            yield section
            section = []
        if not isinstance(block, PageOnly):
            section.append(block)
    if section:
        yield section


def _is_long(block: Block) -> bool:
    return isinstance(block, Table) and not block.whole and len(block.rows) > MOST_ROWS


def _file_name(text: str) -> str:
    return re.sub("[^a-z0-9]+", "_", slug(text).replace("-", " ")).strip("_")
