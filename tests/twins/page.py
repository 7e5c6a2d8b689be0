"""The table in docs/verdicts.md."""

from __future__ import annotations

from pathlib import Path

from twins.table import BEGIN, END, rows

PAGE = Path(__file__).parents[2] / "docs" / "verdicts.md"
COMMAND = "make twins"


def written(page: str) -> str:
    """The page with the table of today."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return "\n".join([f"{head}{BEGIN}", "", *rows(), "", f"{END}{tail}"])
