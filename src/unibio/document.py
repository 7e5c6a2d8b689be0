"""A document as a list of blocks, and how it looks in Markdown; :mod:`unibio.page` makes one HTML file of the same."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 6; levels 2 and 3 are the page's table of contents."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Text with `code`, **bold** and [links](target)."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list; items as in paragraphs."""

    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """A command to copy."""

    text: str


@dataclass(frozen=True)
class Badge:
    """A word on coloured ground, in a cell or beside a summary; ``kind`` is good, mixed, bad or open."""

    text: str
    kind: str


@dataclass(frozen=True)
class Table:
    """A table; the page sorts it by any column.

    Attributes:
        header: a name for every column.
        rows: cells are text, badges or numbers; see :func:`shown` for how numbers look.
        filter_by: a column whose values the page offers as a filter.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    filter_by: str | None = None


@dataclass(frozen=True)
class Picture:
    """An image file, by its path relative to the document."""

    path: str
    caption: str


@dataclass(frozen=True)
class Folded:
    """Content that the page shows on demand, below a title that stays. Markdown has it in full, below a heading.

    Attributes:
        title: always visible.
        blocks: the content.
        level: of the heading in Markdown.
        badge: beside the title.
        anchor: a short name, by whose :func:`slug` links lead here, and then the heading in Markdown; None takes the
            title's.
    """

    title: str
    blocks: Sequence[Block]
    level: int = 3
    badge: Badge | None = None
    anchor: str | None = None


@dataclass(frozen=True)
class PageOnly:
    """Content too long for Markdown, which has no way to fold it."""

    blocks: Sequence[Block]


Block = Heading | Paragraph | Bullets | Code | Table | Picture | Folded | PageOnly


def shown(value: Any) -> str:
    """A cell: four digits, ∞ as "never" (what an infinite cost means here), NaN as a dash, truth as yes or no."""
    if isinstance(value, str):
        return value
    if isinstance(value, Badge):
        return value.text
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
    if math.isinf(value):
        return "never"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def frame_table(frame: pd.DataFrame) -> Table:
    """A DataFrame as a table; an index that holds names becomes the first column."""
    if isinstance(frame.index, pd.RangeIndex):
        names = [str(name).replace("_", " ") for name in frame.columns]
        return Table(names, [list(row) for row in frame.itertuples(index=False)])
    header = ["", *(f"{frame.columns.name} = {value}" for value in frame.columns)]
    return Table(header, [[str(row[0]).replace("_", " "), *row[1:]] for row in frame.itertuples()])


def slug(text: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def markdown(blocks: Iterable[Block]) -> str:
    """GitHub-flavoured Markdown; pictures stay links."""
    return "\n\n".join(text for block in blocks if (text := _markdown(block))) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Code(text):
            return f"```\n{text}\n```"
        case Table(header, rows):
            lines = [header, ["---"] * len(header), *rows]
            return "\n".join("| " + " | ".join(shown(c).replace("|", "\\|") for c in line) + " |" for line in lines)
        case Picture(path, caption):
            return f"![{caption}]({path})\n\n*{caption}*"
        case Folded(title, blocks, level, badge, anchor):
            # GitHub makes anchors of headings alone, so that a given one has to be the heading.
            said = title + (f" **{badge.text.capitalize()}.**" if badge else "")
            head = [Heading(level, anchor), Paragraph(said)] if anchor else [Heading(level, said)]
            return markdown([*head, *blocks]).rstrip("\n")
        case PageOnly():
            return ""
