"""A document as a list of blocks, rendered to Markdown for repositories and to one self-contained HTML file."""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 6."""

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
class Table:
    """Cells are text or numbers; see :func:`shown` for how numbers look."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Picture:
    """An image file, by its path relative to the document."""

    path: str
    caption: str


Block = Heading | Paragraph | Bullets | Code | Table | Picture


def shown(value: Any) -> str:
    """A cell: four digits, ∞ as "never" (what an infinite cost means here), NaN as a dash, truth as yes or no."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
    if math.isinf(value):
        return "never"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def markdown(blocks: Iterable[Block]) -> str:
    """GitHub-flavoured Markdown; pictures stay links."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


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


def page(title: str, blocks: Iterable[Block], root: Path, badges: Callable[[str], str | None]) -> str:
    """One HTML file: pictures inside it, colours for light and dark, readable on a narrow screen.

    Args:
        title: of the window.
        blocks: the content.
        root: where the pictures' relative paths start.
        badges: gives a cell's CSS class ("good", "mixed", "bad", "open"), or None for an ordinary cell.
    """
    body = "\n".join(_html(block, root, badges) for block in blocks)
    return _PAGE.format(title=html.escape(title), style=_STYLE, body=body)


def _html(block: Block, root: Path, badges: Callable[[str], str | None]) -> str:
    match block:
        case Heading(level, text):
            return f'<h{level} id="{slug(text)}">{_inline(text)}</h{level}>'
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
        case Code(text):
            return f"<pre><code>{html.escape(text)}</code></pre>"
        case Table(header, rows):
            head = "".join(f"<th>{_inline(cell)}</th>" for cell in header)
            lines = "\n".join("<tr>" + "".join(_cell(cell, badges) for cell in row) + "</tr>" for row in rows)
            return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table></div>'
        case Picture(path, caption):
            data = base64.b64encode((root / path).read_bytes()).decode()
            text = html.escape(caption)
            image = f'<img alt="{text}" src="data:image/png;base64,{data}">'
            return f"<figure>{image}<figcaption>{_inline(caption)}</figcaption></figure>"


def _cell(cell: Any, badges: Callable[[str], str | None]) -> str:
    text = shown(cell)
    badge = badges(text)
    if badge:
        return f'<td><span class="badge {badge}">{_inline(text)}</span></td>'
    return f"<td>{_inline(text)}</td>" if isinstance(cell, str) else f'<td class="number">{text}</td>'


def slug(text: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def _inline(text: str) -> str:
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="\2">\1</a>', text)


_STYLE = """
:root { color-scheme: light dark; --text: #1c1c1c; --page: #ffffff; --soft: #f3f4f6; --line: #d5d8dd; --link: #00568a;
  --good: #d9f0e4; --good-text: #05472f; --mixed: #fdecc8; --mixed-text: #5c3d00; --bad: #fbdcd0; --bad-text: #6b2100;
  --open: #e5e7eb; --open-text: #33373d; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e4e4; --page: #16181b; --soft: #22252a; --line: #3b4048;
  --link: #7cc4f2; --good: #0d4a33; --good-text: #cff3e2; --mixed: #574010; --mixed-text: #fdecc8; --bad: #672a12;
  --bad-text: #fde3d8; --open: #363b43; --open-text: #e4e4e4; } }
body { font: 1rem/1.55 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 0 auto;
  max-width: 62rem; padding: 1rem 1.2rem 4rem; }
h1, h2, h3 { line-height: 1.25; margin: 2em 0 .5em; } h1 { margin-top: .5em; } h3 { margin-top: 1.5em; }
a { color: var(--link); } p, li { max-width: 46rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .88em; background: var(--soft); border-radius: .3em; }
code { padding: .1em .3em; overflow-wrap: anywhere; } pre { padding: .7em 1em; overflow-x: auto; }
pre code { padding: 0; background: none; overflow-wrap: normal; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .92em; margin: .5em 0 1em; }
th, td { text-align: left; vertical-align: top; padding: .35em .7em; border-bottom: 1px solid var(--line); }
th { background: var(--soft); } td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1em 0 1.5em; } figcaption { font-size: .92em; margin-top: .4em; max-width: 46rem; }
img { max-width: 100%; height: auto; background: #ffffff; padding: .4rem; box-sizing: border-box;
  border-radius: .3rem; }
.badge { display: inline-block; padding: .1em .55em; border-radius: .8em; }
.good { background: var(--good); color: var(--good-text); }
.mixed { background: var(--mixed); color: var(--mixed-text); }
.bad { background: var(--bad); color: var(--bad-text); } .open { background: var(--open); color: var(--open-text); }
""".strip()

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
{body}
</body>
</html>
"""
