"""A document as a PDF to print or to send: the same blocks as the page's, on sheets of A4 across.

Text is set by measure, and a table is broken between rows, with its head again on the next sheet; what is wider or
higher than a sheet makes the sheet larger, so that nothing is cut. Pictures are drawn figures and stay lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D

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
    one_line,
    shown,
)
from unibio.studies.common.style import RC

#: A sheet and its margin, in points of 1/72 inch.
WIDTH, HEIGHT, MARGIN = 842.0, 595.0, 45.0

#: Rows of a table that are set; a longer one says how many more there are.
MOST_ROWS = 300

_LEADING, _GAP = 1.35, 12.0
_SIZES = {1: 18.0, 2: 13.0, 3: 11.0}


@dataclass(frozen=True)
class _Face:
    """How text looks."""

    size: float = 9.0
    bold: bool = False
    mono: bool = False

    @property
    def font(self) -> FontProperties:
        return FontProperties(
            family="monospace" if self.mono else "sans-serif", weight="bold" if self.bold else "normal", size=self.size
        )

    def width(self, text: str) -> float:
        """In points."""
        return float(text_to_path.get_text_width_height_descent(text, self.font, ismath=False)[0]) if text else 0.0


@dataclass(frozen=True)
class _Text:
    x: float
    y: float  # of the baseline, from the top
    text: str
    face: _Face


@dataclass(frozen=True)
class _Rule:
    x: float
    y: float
    length: float


@dataclass(frozen=True)
class _Drawn:
    x: float
    y: float
    figure: Figure


@dataclass(frozen=True)
class Sheet:
    """One page: what stands where, in points from its upper left corner."""

    width: float
    height: float
    parts: tuple[Any, ...]


def pdf(blocks: Iterable[Block], figures: Mapping[str, Figure]) -> bytes:
    """A document as a PDF; the same blocks and figures give the same bytes.

    Args:
        blocks: the content; what a page folds away stands open, and what is for the page alone is left out.
        figures: of every :class:`Picture`, by its path; they are laid out anew and no longer of use.

    Raises:
        KeyError: a picture without its figure.
    """
    written = BytesIO()
    look: Any = RC
    with matplotlib.rc_context(look):
        made = sheets(blocks, figures)
        with PdfPages(written, metadata={"CreationDate": None, "Creator": "unibio", "Producer": None}) as pages:
            for number, sheet in enumerate(made, 1):
                pages.savefig(_printed(sheet, f"{number} / {len(made)}"))
    return written.getvalue()


def sheets(blocks: Iterable[Block], figures: Mapping[str, Figure]) -> list[Sheet]:
    """The pages of a document, as :func:`pdf` takes it."""
    setter = _Setter(figures)
    for block in blocks:
        setter.put(block)
    return setter.done()


class _Setter:
    """Sets blocks one below the other and begins a sheet where one is full."""

    def __init__(self, figures: Mapping[str, Figure]):
        self._figures = figures
        self._sheets: list[Sheet] = []
        self._parts: list[Any] = []
        self._y, self._width, self._height = MARGIN, WIDTH, HEIGHT

    def done(self) -> list[Sheet]:
        self._turn()
        return self._sheets

    def put(self, block: Block) -> None:
        match block:
            case Heading(level, text):
                face = _Face(_SIZES.get(level, 9.0), bold=True)
                self._room(face.size * _LEADING + 60)  # or it would stand alone at the foot of a sheet
                self._lines(_wrapped(_read(text), face, WIDTH - 2 * MARGIN), face)
            case Paragraph(text):
                self._lines(_wrapped(_read(text), _Face(), WIDTH - 2 * MARGIN), _Face())
            case Bullets(items):
                for item in items:
                    self._lines(_wrapped(f"• {_read(item)}", _Face(), WIDTH - 2 * MARGIN), _Face(), gap=3)
                self._y += _GAP
            case Code(text):
                face = _Face(mono=True)
                for line in text.splitlines():
                    self._lines(_wrapped(line, face, WIDTH - 2 * MARGIN), face, gap=3)
                self._y += _GAP
            case Table():
                self._table(block)
            case Picture(path, caption):
                self._picture(self._figures[path], caption)
            case Folded(title, content, level):
                self.put(Heading(level, title))
                for one in content:
                    self.put(one)
            case Beside(_, content):
                for one in content:
                    self.put(one)
            case PageOnly() | MarkdownOnly() | Thumbnails() | Interactive():
                pass

    def _turn(self) -> None:
        if self._parts:
            self._sheets.append(Sheet(self._width, self._height, tuple(self._parts)))
        self._parts, self._y, self._width, self._height = [], MARGIN, WIDTH, HEIGHT

    def _room(self, height: float) -> None:
        """Have so much room on this sheet, or begin another."""
        if self._y + height > HEIGHT - MARGIN and self._parts:
            self._turn()

    def _lines(self, lines: Sequence[str], face: _Face, gap: float = _GAP) -> None:
        for line in lines:
            self._room(face.size * _LEADING)
            self._parts.append(_Text(MARGIN, self._y + face.size, line, face))
            self._y += face.size * _LEADING
        self._y += gap

    def _picture(self, figure: Figure, caption: str) -> None:
        width, height = (72.0 * side for side in figure.get_size_inches())
        if any(isinstance(part, _Drawn) for part in self._parts):  # a sheet is drawn around one
            self._turn()
        lines = _wrapped(_read(caption), _Face(), WIDTH - 2 * MARGIN)
        below = len(lines) * 9 * _LEADING + 6
        self._room(height + below)
        self._parts.append(_Drawn(max(MARGIN, (self._width - width) / 2), self._y, figure))
        self._y += height + 6
        self._width = max(self._width, width + 2 * MARGIN)
        self._height = max(self._height, self._y + below + MARGIN)
        for line in lines:
            self._parts.append(_Text(MARGIN, self._y + 9, line, _Face()))
            self._y += 9 * _LEADING
        self._y += _GAP

    def _table(self, table: Table) -> None:
        head = [_wrapped(_read(str(name)), _Face(bold=True), 90.0) for name in table.header]
        cells = [[_read(shown(cell)) for cell in row] for row in table.rows[:MOST_ROWS]]
        numbers = [all(not isinstance(row[k], (str, Badge)) for row in table.rows) for k in range(len(head))]
        most = WIDTH - 2 * MARGIN
        set_ = [[_wrapped(cell, _Face(), max(120.0, 0.6 * most)) for cell in row] for row in cells]
        widths = [
            max(
                max((_Face(bold=True).width(line) for line in title), default=0.0),
                max((_Face().width(line) for row in set_ for line in row[k]), default=0.0),
            )
            for k, title in enumerate(head)
        ]
        between = 14.0
        total = sum(widths) + between * (len(widths) - 1)
        starts = [MARGIN + sum(widths[:k]) + between * k for k in range(len(widths))]

        def row_of(lines: Sequence[Sequence[str]], face: _Face) -> float:
            self._width = max(self._width, total + 2 * MARGIN)
            for k, (start, cell) in enumerate(zip(starts, lines, strict=True)):
                for i, line in enumerate(cell):
                    x = start + (widths[k] - face.width(line) if numbers[k] else 0.0)
                    self._parts.append(_Text(x, self._y + face.size * (1 + _LEADING * i), line, face))
            return max(map(len, lines), default=1) * face.size * _LEADING + 2

        def header() -> None:
            self._y += row_of(head, _Face(bold=True))
            self._parts.append(_Rule(MARGIN, self._y, total))
            self._y += 4

        tall = max(map(len, head), default=1) * 9 * _LEADING + 20
        self._room(tall + 30)
        header()
        for row in set_:
            if self._y + max(map(len, row)) * 9 * _LEADING + 2 > HEIGHT - MARGIN:
                self._turn()
                header()
            self._y += row_of(row, _Face())
        self._y += 4
        if len(table.rows) > MOST_ROWS:
            self._lines([f"and {len(table.rows) - MOST_ROWS:,} more, which the CSV file has"], _Face())
        self._y += _GAP - 4


def _read(text: str) -> str:
    """What a text says, without the signs of code, bold words and links."""
    return one_line(re.sub(r"\*\*([^*]+)\*\*|`([^`]+)`", lambda m: m[1] or m[2], LINK.sub(r"\1", text)))


def _wrapped(text: str, face: _Face, width: float) -> list[str]:
    """Lines no wider than that; a word that is wider is broken, at a sign between letters where it has one."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if face.width(longer) <= width:
            line = longer
            continue
        lines += [line] * bool(line)
        *full, line = _pieces(word, face, width)
        lines += full
    return [*lines, line]


def _pieces(word: str, face: _Face, width: float) -> Iterator[str]:
    piece = ""
    for part in re.findall(r"[^\W_]+[^\w]*_?|.", word) if face.width(word) > width else [word]:
        for bit in part if face.width(part) > width else [part]:
            if piece and face.width(piece + bit) > width:
                yield piece
                piece = ""
            piece += bit
    yield piece


def _printed(sheet: Sheet, number: str) -> Figure:
    """A sheet as a figure. With a picture on it that is the picture's figure, made larger: so it stays lines."""
    drawn = next((part for part in sheet.parts if isinstance(part, _Drawn)), None)
    figure = drawn.figure if drawn is not None else Figure()
    if drawn is not None:
        _put_in(drawn, sheet)
    figure.set_size_inches(sheet.width / 72, sheet.height / 72)
    place = Affine2D().scale(1 / 72, -1 / 72).translate(0, sheet.height / 72) + figure.dpi_scale_trans
    foot = _Text(sheet.width - MARGIN - _Face().width(number), sheet.height - MARGIN / 2, number, _Face())
    for part in (*sheet.parts, foot):
        if isinstance(part, _Text):
            look: Any = {"fontproperties": part.face.font, "transform": place, "parse_math": False, "va": "baseline"}
            figure.text(part.x, part.y, part.text, **look)
        elif isinstance(part, _Rule):
            ends = [part.x, part.x + part.length]
            figure.add_artist(Line2D(ends, [part.y, part.y], color="black", linewidth=0.6, transform=place))
    return figure


def _put_in(drawn: _Drawn, sheet: Sheet) -> None:
    """Move what a figure shows to where it stands on a sheet, at its size."""
    figure = drawn.figure
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")  # what is drawn around it must not move it
    wide, high = 72 * figure.get_size_inches() / (sheet.width, sheet.height)
    left, low = drawn.x / sheet.width, 1 - drawn.y / sheet.height - high
    for axes in figure.axes:
        at = axes.get_position()
        axes.set_position((left + wide * at.x0, low + high * at.y0, wide * at.width, high * at.height))
    for legend in figure.legends:
        legend.set_bbox_to_anchor((left, low, wide, high), transform=figure.transFigure)
