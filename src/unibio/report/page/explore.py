"""Interactive forms of numbers on a page: the block's markup, and the style and the script that come with it.

The charts are drawn by uPlot (``vendor/``, unmodified), the smallest library that has bands and logarithmic axes; it
needs neither ``eval`` nor inline styles in the markup, so that the page's policy admits it by its hash. Numbers are
packed: curves in JSON are five times as large.
"""

from __future__ import annotations

import base64
import html
import json
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from unibio.store.smallfiles import json_object
from unibio.studies.common.document import Block, Interactive, PageOnly

_HERE = Path(__file__).parent
#: In the order in which a later one needs the earlier.
_SCRIPTS = ("vendor/uPlot.iife.min.js", "chart.js", "explore.js", "argument.js")
_WITHOUT = "To try it needs JavaScript; the figures below have the same curves."
_STYLES = ("vendor/uPlot.min.css", "explore.css")


def explorable(out: Path, name: str) -> Iterable[Block]:
    """The interactive form of a figure that has been drawn into ``out``; nothing where it has no curves."""
    data = json_object(out / "figures" / f"{name}.curves.json", {"panels": [object]})
    if data is not None:
        yield PageOnly([Interactive("curves", name, json.dumps(data, ensure_ascii=False, separators=(",", ":")))])


def element(block: Interactive, number: int) -> str:
    """The markup of a block, empty to the eye: what is seen the script makes.

    Args:
        block: what is explored.
        number: of the block on its page.
    """
    packed = base64.b64encode(zlib.compress(block.data.encode(), 9)).decode()
    head = f'class="interactive" data-kind="{html.escape(block.kind)}" data-number="{number}"'
    opened = " data-open" if block.opened else ""
    instead = f"<noscript><p>{_WITHOUT}</p></noscript>" if block.opened else ""
    data = f'<script type="text/plain">{packed}</script>'
    return f'<div {head} data-title="{html.escape(block.title)}"{opened}>{data}{instead}</div>'


@cache
def style() -> str:
    """For a page with such blocks, in addition to its own."""
    return "\n".join(_read(name) for name in _STYLES)


@cache
def scripts() -> tuple[str, ...]:
    """The same: the library's, and ours, each a script of its own."""
    library, *own = (_read(name) for name in _SCRIPTS)
    return library, "\n".join([*own, "explorers.start();"])


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").strip()
