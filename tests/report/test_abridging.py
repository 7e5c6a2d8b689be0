"""What report.md leaves to files: the whole table, under a name of its own, behind a link."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from unibio.report.abridging import MOST_ROWS, abridged
from unibio.studies.common.document import (
    Badge,
    Block,
    Folded,
    Heading,
    MarkdownOnly,
    PageOnly,
    Paragraph,
    Table,
    markdown,
)

SHORT = Table(["p", "n"], [[2, 1.5]] * MOST_ROWS)
LONG = Table(["p", "what is *said*"], [[2, Badge("`fine`", "good")]] * (MOST_ROWS + 1))


def test_short_tables_stay_and_long_ones_are_linked(tmp_path: Path) -> None:
    short, line = abridged([SHORT, LONG], tmp_path)
    assert short is SHORT
    assert isinstance(line, Paragraph)
    assert f"[A table of {MOST_ROWS + 1} rows](tables/report_.csv)" in line.text


def test_a_table_that_has_to_stay_stays(tmp_path: Path) -> None:
    table = replace(LONG, whole=True)
    assert abridged([table], tmp_path) == [table]
    assert not list(tmp_path.iterdir())


def test_files_are_named_after_their_headings_and_hold_every_row(tmp_path: Path) -> None:
    blocks: list[Block] = [
        Heading(3, "How y follows y*(x)"),
        LONG,
        LONG,
        Heading(3, "A sentence", "name"),
        LONG,
        Folded("folded", [LONG]),
        MarkdownOnly([LONG]),
        PageOnly([LONG]),
    ]
    text = markdown(abridged(blocks, tmp_path))
    names = ["how_y_follows_yx", "how_y_follows_yx_2", "name", "folded", "folded_2"]
    assert sorted(path.stem for path in (tmp_path / "tables").iterdir()) == sorted(f"report_{name}" for name in names)
    for name in names:
        assert text.count(f"](tables/report_{name}.csv)") == 1
        table = pd.read_csv(tmp_path / f"tables/report_{name}.csv")
        assert len(table) == MOST_ROWS + 1
        assert table.iloc[0].tolist() == [2, "fine"]
    assert "| ---" not in text


def test_the_same_names_every_time(tmp_path: Path) -> None:
    assert abridged([LONG, LONG], tmp_path) == abridged([LONG, LONG], tmp_path)
