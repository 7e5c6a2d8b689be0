"""A document as one HTML file that works from disk: everything in it, readable without JavaScript, better with it.

``page.css`` and ``page.js`` beside this module are put into every page, :mod:`unibio.report.page.explore`'s where it
has something to explore. The script sorts tables, filters those that offer it, closes the table of contents on a narrow
screen and unfolds what a link leads to. Pictures are inside as WebP, which loses nothing and is a fifth smaller than
the PNG files beside the page; of those that repeat another figure with one thing changed the page has the curves, and
shows the file. Cells and rows are closed by what follows them, as HTML allows, which is a tenth of all the text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from unibio.report.page import explore, mathematics
from unibio.studies.common.document import (
    LINK,
    Badge,
    Beside,
    Block,
    Bullets,
    Code,
    Folded,
    Heading,
    Interactive,
    MarkdownOnly,
    PageOnly,
    Paragraph,
    Picture,
    Table,
    Thumbnails,
    may_lead_to,
    shown,
    slug,
)


def page(title: str, blocks: Iterable[Block], root: Path) -> str:
    """One HTML file, pictures inside it; headings of levels 2 and 3 are its contents.

    Args:
        title: of the window.
        blocks: the content.
        root: where the pictures' relative paths start.
    """
    writer = _Writer(root)
    body = "\n".join(writer.sections(blocks))
    style, scripts = f"\n{_beside('css')}\n", [f"\n{_beside('js')}\n"]
    if writer.explored:
        style += f"{explore.style()}\n"
        scripts += [f"\n{script}\n" for script in explore.scripts()]
    return _PAGE.format(
        title=html.escape(title),
        policy=_POLICY.format(style=_hashed(style), script=" ".join(map(_hashed, scripts))),
        style=style,
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
        contents=writer.contents(),
        body=body,
    )


def linked(text: str) -> str:
    """A page whose pictures are the files beside it instead of inside it, for where both are kept."""
    return re.sub(r'src="data:image/\w+;base64,[^"]*" data-file="([^"]*)"', r'src="\1"', text)


class _Writer:
    """Writes blocks and remembers their anchors."""

    def __init__(self, root: Path):
        self._root = root
        self.explored = 0
        self._taken: set[str] = set()
        self._entries: list[tuple[int, str, str]] = []

    def sections(self, blocks: Iterable[Block]) -> Iterable[str]:
        """Every heading of level 2 begins a section."""
        inside = False
        for block in blocks:
            if isinstance(block, Heading) and block.level == 2:
                yield from ["</section>"] * inside
                yield "<section>"
                inside = True
            yield self.block(block)
        yield from ["</section>"] * inside

    def block(self, block: Block) -> str:
        match block:
            case Heading(level, text, anchor):
                return self._heading(level, text, anchor or text)
            case Paragraph(text):
                return f"<p>{_inline(text)}</p>"
            case Bullets(items):
                return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
            case Code(text):
                return f"<pre><code>{html.escape(text)}</code></pre>"
            case Table():
                return self._table(block)
            case Picture():
                return self._picture(block)
            case Thumbnails(items):
                return '<ul class="thumbnails">' + "".join(self._thumbnail(*item) for item in items) + "</ul>"
            case Folded():
                return self._folded(block)
            case PageOnly(content) | Beside(_, content):
                return "\n".join(self.block(one) for one in content)
            case Interactive():
                self.explored += 1
                return explore.element(block, self.explored)
            case MarkdownOnly():
                return ""

    def contents(self) -> str:
        """Links to the headings of levels 2 and 3 written so far, the latter below the former."""
        lines: list[str] = []
        below = False
        for level, text, anchor in self._entries:
            link = f'<a href="#{anchor}">{_inline(text)}</a>'
            if level == 2:
                lines.append(("</ol>" if below else "") + ("</li>" if lines else "") + f"<li>{link}")
            else:
                lines.append(("" if below else "<ol>") + f"<li>{link}</li>")
            below = level == 3
        return "\n".join(lines) + ("</ol>" if below else "") + ("</li>" if lines else "")

    def _heading(self, level: int, text: str, wanted: str) -> str:
        anchor = self._anchor(slug(wanted))
        if level == 2 or (level == 3 and self._entries):
            self._entries.append((level, text, anchor))
        return f'<h{level} id="{anchor}">{_inline(text)}</h{level}>'

    def _anchor(self, wanted: str) -> str:
        """The wanted anchor, numbered where it is taken, as GitHub does."""
        anchor, number = wanted, 0
        while anchor in self._taken:
            number += 1
            anchor = f"{wanted}-{number}"
        self._taken.add(anchor)
        return anchor

    def _folded(self, folded: Folded) -> str:
        head = f"{_badge(folded.badge)} {_inline(folded.title)}" if folded.badge else _inline(folded.title)
        # The anchor is inside, so that a browser that is led to it unfolds what is around it.
        inside = f'<div class="inside" id="{self._anchor(slug(folded.anchor or folded.title))}">'
        body = "\n".join(self.block(one) for one in folded.blocks)
        return f"<details><summary>{head}</summary>{inside}\n{body}\n</div></details>"

    def _picture(self, picture: Picture) -> str:
        data, size = _image((self._root / picture.path).read_bytes())
        source = _source(data, picture.path) if picture.inside else f'src="{html.escape(picture.path)}"'
        named = html.escape(picture.title or picture.caption)
        # Nothing is decoded before it comes near the window, and its place is kept until then.
        image = f'<img alt="{named}"{size} loading="lazy" decoding="async" {source}>'
        if picture.vector and may_lead_to(picture.vector):
            image = f'<a href="{picture.vector}" aria-label="{named}: as lines">{image}</a>'
        return f"<figure>{image}<figcaption>{_inline(picture.caption)}</figcaption></figure>"

    def _thumbnail(self, path: str, title: str, anchor: str) -> str:
        data, size = _image((self._root / path).read_bytes(), _THUMBNAIL)
        image = f'<img alt=""{size} decoding="async" {_source(data, path)}>'
        return f'<li><a href="#{slug(anchor)}">{image}<span>{_inline(title)}</span></a></li>'

    def _table(self, table: Table) -> str:
        numeric = [_is_numeric([row[i] for row in table.rows]) for i in range(len(table.header))]
        heads = zip(table.header, numeric, strict=True)
        head = "".join(f'<th scope="col"{_number(right)}>{_inline(name)}' for name, right in heads)
        names = [html.escape(re.sub(r"[`*]", "", name)) for name in table.header]
        if table.filter_by:
            # Roles are said because a narrow screen shows such a table as blocks; browsers then forget that it is one.
            columns = " ".join(str(list(table.header).index(name)) for name in table.filter_by)
            kind = f' class="stacked" role="table" data-filter="{columns}"'
            lines = "\n".join(self._labelled_row(row, names) for row in table.rows)
        else:
            cells = [_is_numeric([cell]) for row in table.rows for cell in row]
            numbers = sum(cells) > len(cells) / 2
            kind = " class=numbers" if numbers else ""
            lines = "\n".join(self._row(row, numbers) for row in table.rows)
        return (
            f'<div class="wide" role="region" tabindex="0" aria-label="Table of {", ".join(filter(None, names))}">'
            f"<table{kind}><thead><tr>{head}<tbody>\n{lines}\n</table></div>"
        )

    def _labelled_row(self, row: Sequence[Any], names: Sequence[str]) -> str:
        cells = zip(names, map(self._cell, row), strict=True)
        return '<tr role="row">' + "".join(f'<td role="cell" data-name="{name}">{cell}' for name, cell in cells)

    def _row(self, row: Sequence[Any], numbers: bool) -> str:
        return "<tr>" + "".join(f"<td{_look(cell, numbers)}>{self._cell(cell)}" for cell in row)

    def _cell(self, cell: Any) -> str:
        if isinstance(cell, Badge):
            return _badge(cell)
        return self._folded(cell) if isinstance(cell, Folded) else _inline(_INTERVAL.sub(_whole, shown(cell)))


def _image(data: bytes, width: int | None = None) -> tuple[bytes, str]:
    """A picture for the page, and the attributes that say how large it is there: half of its pixels.

    Args:
        data: of a PNG; what cannot be read (a file that is being written) is taken as it is.
        width: in pixels of the page; None leaves the picture as large as it is.
    """
    written = BytesIO()
    try:
        with Image.open(BytesIO(data)) as image:
            flat = image.convert("RGB")
    except UnidentifiedImageError:
        return data, ""
    if width is not None:
        flat = flat.resize((2 * width, round(2 * width * flat.height / flat.width)), Image.Resampling.LANCZOS)
    flat.save(written, "WEBP", lossless=width is None, quality=75, method=4)
    return written.getvalue(), f' width="{flat.width // 2}" height="{flat.height // 2}"'


def _source(data: bytes, path: str) -> str:
    kind = "webp" if data[8:12] == b"WEBP" else "png"
    return f'src="data:image/{kind};base64,{base64.b64encode(data).decode()}" data-file="{html.escape(path)}"'


def _is_numeric(cells: Sequence[Any]) -> bool:
    return bool(cells) and not any(isinstance(cell, str | Badge | Folded) for cell in cells)


def _look(cell: Any, numbers: bool) -> str:
    """Numbers are on the right; long text gets room, or it would be a tall column of words.

    Args:
        cell: of a table.
        numbers: whether most cells of the table are numbers, so that the others are marked.
    """
    if _is_numeric([cell]):
        return _number(not numbers)
    if isinstance(cell, str):
        words = LINK.sub("", cell).strip(" ,")  # links stand one below the other
        if words and len(LINK.sub(r"\1", cell)) > _LONG:
            return " class=long"
    return " class=t" if numbers else ""


def _whole(interval: re.Match[str]) -> str:
    return interval[0].replace(" ", "\u00a0")


#: Width of a small picture, in pixels of the page.
_THUMBNAIL = 220
#: An interval, [low, high], which a narrow cell must not break.
_INTERVAL = re.compile(r"\[[^\]]{1,20}\](?!\()")
#: Characters of text that are not broken into words one below the other.
_LONG = 30


def _number(right: bool) -> str:
    return " class=n" if right else ""


def _badge(badge: Badge) -> str:
    return f'<span class="badge {badge.kind}">{_inline(badge.text)}</span>'


def _inline(text: str) -> str:
    """Text as HTML: all is escaped, quotes too, before mathematics, `code`, **bold** and [links](target) are set."""
    text = mathematics.set_(html.escape(text))
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return LINK.sub(_link, text)


def _link(found: re.Match[str]) -> str:
    return f'<a href="{found[2]}">{found[1]}</a>' if may_lead_to(html.unescape(found[2])) else found[0]


@cache
def _beside(suffix: str) -> str:
    return Path(__file__).with_name(f"page.{suffix}").read_text(encoding="utf-8").strip()


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


#: What the browser is allowed: the page's own style and script, known by their hashes, and pictures in or beside it.
_POLICY = (
    "default-src 'none'; style-src {style}; script-src {script}; img-src data: 'self'; base-uri 'none'; "
    "form-action 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<nav aria-label="Contents"><details open><summary>Contents</summary>
<ol>
{contents}
</ol>
</details></nav>
<main id="content">
{body}
</main>
{scripts}
</body>
</html>
"""
