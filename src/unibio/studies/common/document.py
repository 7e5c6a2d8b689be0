"""A document as a list of blocks, and how it looks in Markdown.

:mod:`unibio.report.page.html` makes one HTML file of the same. In both, text is text: whatever a record or a table says
can neither become a tag nor lead anywhere but to the web, a place in the document or a file beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 6; levels 2 and 3 are the page's table of contents.

    Attributes:
        level: 1 to 6.
        text: what is read.
        anchor: a short name by whose :func:`slug` links lead here; it stays when the text is worded anew. Markdown,
            where anchors are what headings say, has the name as the heading and the text below it. None takes the text.
    """

    level: int
    text: str
    anchor: str | None = None


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
        rows: cells are text, badges or numbers (see :func:`shown` for how numbers look), or folded content, of which
            Markdown has the title.
        filter_by: columns whose values the page offers as filters.
        whole: stands in a Markdown report, too, however many rows it has.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    filter_by: Sequence[str] = ()
    whole: bool = False


@dataclass(frozen=True)
class Picture:
    """An image file, by its path relative to the document.

    Attributes:
        path: of a PNG with two pixels for one of the page.
        caption: below it.
        title: in its place for those who do not see it; "" takes the caption.
        vector: path of the same as lines, to which the page's image leads; "" where there is none.
        inside: whether the page holds it; else it shows the file, which must then lie beside it.
    """

    path: str
    caption: str
    title: str = ""
    vector: str = ""
    inside: bool = True


@dataclass(frozen=True)
class Thumbnails:
    """Small images side by side, each of which leads to its figure; the page alone has them.

    Attributes:
        items: of each the path of a PNG, a title, and the anchor of the figure.
    """

    items: Sequence[tuple[str, str, str]]


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
class Beside:
    """What a Markdown report has in a file beside it, to which a line leads; the page has it in its place.

    Attributes:
        title: of the file, which several blocks share; it is named after it.
        blocks: the content, which begins with a heading or is folded.
    """

    title: str
    blocks: Sequence[Block]


#: Of the file of caveats, which parts of the report and some studies' sections share.
KEEP_IN_MIND = "What to keep in mind"


@dataclass(frozen=True)
class PageOnly:
    """Content too long for Markdown, which has no way to fold it."""

    blocks: Sequence[Block]


@dataclass(frozen=True)
class Interactive:
    """Numbers that a reader of the page may explore; Markdown leaves them out, so that a picture has to say the same.

    Attributes:
        kind: what the page makes of them: "curves", see :mod:`unibio.studies.common.traced`, or "steps" or "caps", see
            :mod:`unibio.studies.common.trials`.
        title: what is explored, for those who cannot see it.
        data: JSON.
        opened: shown at once, and not by a button.
    """

    kind: str
    title: str
    data: str
    opened: bool = False


@dataclass(frozen=True)
class MarkdownOnly:
    """What Markdown has in the place of what the page can fold."""

    blocks: Sequence[Block]


Block = (
    Heading
    | Paragraph
    | Bullets
    | Code
    | Table
    | Picture
    | Thumbnails
    | Folded
    | Beside
    | PageOnly
    | MarkdownOnly
    | Interactive
)


def shown(value: Any) -> str:
    """A cell: four digits, ∞ as "never" (what an infinite cost means here), NaN as a dash, truth as yes or no."""
    if isinstance(value, str):
        return value
    if isinstance(value, Badge):
        return value.text
    if isinstance(value, Folded):
        return value.title
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


#: [words](target), as texts write it.
LINK = re.compile(r"\[([^\[\]]+)\]\(([^)\s]+)\)")
_PATH, _PLACE = r"(?:[\w\-%][\w\-.%]*/)*[\w\-%][\w\-.%]*", r"#[\w\-.%]+"
_TARGET = re.compile(rf"https?://[\w\-.~:/?#@!$&*+,;=%]+|{_PATH}(?:{_PLACE})?|{_PLACE}")


def may_lead_to(target: str) -> bool:
    """Whether a link may have this target: http and https, a place in the document, a path below its own, or a place
    in such a file."""
    return _TARGET.fullmatch(target) is not None


def one_line(text: str) -> str:
    """A text without line breaks, which would end a paragraph or a row of a table."""
    return " ".join(text.split("\n")) if text.isprintable() else " ".join(text.split())


def _escaped(text: str) -> str:
    """Text for Markdown, in which `code`, **bold** and [links](target) mean something and nothing else does."""
    parts = re.split(r"(`[^`]+`)", one_line(text))
    return "".join(part if at % 2 else _literal(part) for at, part in enumerate(parts))


def _literal(text: str) -> str:
    """What stands between pieces of code: no HTML, no other links, no backslash or backtick that reaches beyond."""
    pieces, at = [], 0
    for link in LINK.finditer(text):
        if may_lead_to(link[2]):
            pieces += [_characters(text[at : link.start()]), f"[{_characters(link[1])}]({link[2]})"]
            at = link.end()
    return "".join([*pieces, _characters(text[at:])])


def _characters(text: str) -> str:
    text = re.sub(r"[\\`]", r"\\\g<0>", text)
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;")
    return re.sub(r"\[(?=[^\]]*\][(\[:])|!$", r"\\\g<0>", text)


def markdown(blocks: Iterable[Block]) -> str:
    """GitHub-flavoured Markdown; pictures stay links."""
    return "\n\n".join(text for block in blocks if (text := _markdown(block))) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text, anchor):
            below = f"\n\n{_escaped(text)}" if anchor else ""
            return f"{'#' * level} {_escaped(anchor or text)}{below}"
        case Paragraph(text):
            return _escaped(text)
        case Bullets(items):
            return "\n".join(f"- {_escaped(item)}" for item in items)
        case Code(text):
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
            return f"{fence}\n{text}\n{fence}"
        case Table(header, rows):
            lines = [header, ["---"] * len(header), *rows]
            return "\n".join("| " + " | ".join(_escaped(shown(c)).replace("|", "\\|") for c in r) + " |" for r in lines)
        case Picture(path, caption):
            # What it shows is said above and below; the vector form lies beside it.
            return f"![{PurePosixPath(path).stem}]({path})\n\n{_escaped(caption)}"
        case Folded(title, blocks, level, badge, anchor):
            # GitHub makes anchors of headings alone, so that a given one has to be the heading.
            said = title + (f" **{badge.text.capitalize()}.**" if badge else "")
            head = [Heading(level, anchor), Paragraph(said)] if anchor else [Heading(level, said)]
            return markdown([*head, *blocks]).rstrip("\n")
        case MarkdownOnly(blocks) | Beside(_, blocks):
            return markdown(blocks).rstrip("\n")
        case PageOnly() | Thumbnails() | Interactive():
            return ""
