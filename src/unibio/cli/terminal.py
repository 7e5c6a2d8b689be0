"""Printing to a terminal: of any encoding, and what comes from records as text and nothing else."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Rows of a table of single jobs; the rest is counted.
ROWS = 20

#: What stands for characters that an encoding lacks, where a plain one says the same.
_PLAIN = {
    "│": "|",
    "└": "+",
    "─": "-",
    "•": ".",
    "×": "x",
    "…": "...",
    "–": "-",
    "−": "-",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "≈": "~",
    "∞": "inf",
    "·": "*",
    "‖": "||",
    "√": "sqrt",
    "∇": "grad ",
}


def prepare(*streams: TextIO) -> None:
    """Have streams take any text: what their encoding lacks is written in plain letters.

    Args:
        streams: standard output and standard error if none is named.
    """
    codecs.register_error("unibio.plain", _plainly)
    for stream in streams or (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where a notebook has put something else in its place
            stream.reconfigure(errors="unibio.plain")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelled, error.object[error.start : error.end])), error.end


def _spelled(character: str) -> str:
    """A character in ASCII: its like, its letter without accents, a Greek letter's name, or its number."""
    if character in _PLAIN:
        return _PLAIN[character]
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    name = unicodedata.name(character, "")
    if not base and name.startswith("GREEK ") and "LETTER " in name:
        word = name.rpartition("LETTER ")[2].split()[0]
        base = word.capitalize() if "CAPITAL" in name else word.lower()
    return base or character.encode("ascii", "backslashreplace").decode()


def plain(text: object) -> str:
    """A text of a record's or a name, for printing: on one line, control characters shown and not obeyed."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text))


def console() -> Console:
    """For tables: brackets are no markup, words between colons no pictures."""
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:  # in a file or a pipe lines may be long, and must not be broken
        made = Console(highlight=False, markup=False, emoji=False, width=200)
    return made


def shortened(table: Table, jobs: Sequence[Any]) -> Table:
    """The table of the first :data:`ROWS` of some jobs or rows, saying how many more there are."""
    table.columns[0].overflow = "fold"  # in a narrow terminal a name without its digest would be no name
    if len(jobs) > ROWS:
        table.caption = f"and {len(jobs) - ROWS} more"
    return table
