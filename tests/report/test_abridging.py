"""What report.md leaves to files: long tables with what is said of them, and what stands beside it, behind links."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from unibio.report.abridging import MOST_ROWS, abridged, write_markdown
from unibio.studies.common.document import (
    Badge,
    Beside,
    Block,
    Bullets,
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


def written(blocks: list[Block], out: Path) -> dict[str, str]:
    """The Markdown files of a report, by name."""
    write_markdown(blocks, out)
    return {path.name: path.read_text(encoding="utf-8") for path in out.glob("*.md")}


def test_short_tables_stay_and_long_ones_are_linked(tmp_path: Path) -> None:
    short, line = abridged([SHORT, LONG], tmp_path)["report.md"]
    assert short is SHORT
    assert isinstance(line, Paragraph)
    assert f"[A table of {MOST_ROWS + 1} rows](tables/report_.csv)" in line.text


def test_a_table_that_has_to_stay_stays(tmp_path: Path) -> None:
    table = replace(LONG, whole=True)
    assert abridged([Heading(3, "Places"), table], tmp_path) == {"report.md": [Heading(3, "Places"), table]}
    assert not list(tmp_path.iterdir())


def test_tables_are_named_after_their_headings_and_hold_every_row(tmp_path: Path) -> None:
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
    text = "".join(written(blocks, tmp_path).values())
    names = ["how_y_follows_yx", "how_y_follows_yx_2", "name", "folded", "folded_2"]
    assert sorted(path.stem for path in (tmp_path / "tables").iterdir()) == sorted(f"report_{name}" for name in names)
    for name in names:
        assert text.count(f"](tables/report_{name}.csv)") == 1
        table = pd.read_csv(tmp_path / f"tables/report_{name}.csv")
        assert len(table) == MOST_ROWS + 1
        assert table.iloc[0].tolist() == [2, "fine"]
    assert "| ---" not in text


def test_what_is_said_of_a_long_table_goes_with_it(tmp_path: Path) -> None:
    """From its heading to the next, or to what has a title of its own; a part stays, whatever it holds."""
    long: list[Block] = [Heading(3, "Rates"), Paragraph("Of rates."), LONG]
    short: list[Block] = [Heading(3, "Ends"), Paragraph("Of ends."), SHORT]
    missing = Folded("Not yet run", [Bullets(["command"])])
    files = written([Heading(2, "A part"), Paragraph("Of it."), LONG, *short, *long, missing, *short[:2]], tmp_path)
    assert files.keys() == {"report.md", "long_tables.md"}
    report, beside = files["report.md"], files["long_tables.md"]
    assert report.startswith("## A part\n\nOf it.\n\n[A table of 7 rows](tables/report_a_part.csv)")
    assert "[Rates](long_tables.md#rates).\n\n### Not yet run\n\n- command\n" in report
    assert report.count("Of ends.") == 2
    assert "Of rates." not in report
    assert "## A part\n\n### Rates\n\nOf rates.\n\n[A table of 7 rows](tables/report_rates.csv)" in beside
    assert "Of ends." not in beside
    assert "[report.md](report.md)" in beside


def test_what_stands_beside_is_one_file_and_links_find_it(tmp_path: Path) -> None:
    blocks: list[Block] = [
        Heading(2, "Claims", "Verdicts"),
        Paragraph("See [it](#mine) and [figure](#fig1)."),
        MarkdownOnly([Beside("Our claims", [Heading(3, "In words"), Heading(4, "mine"), Paragraph("[Seen](#fig1)")])]),
        Heading(2, "A part"),
        Heading(3, "A picture", "fig1"),
        Beside("What to keep in mind", [Folded("Keep: A part", [Bullets(["one"])])]),
        Heading(2, "Another"),
        Beside("What to keep in mind", [Heading(3, "Keep: Another"), Bullets(["two"])]),
    ]
    files = written(blocks, tmp_path)
    report = files.pop("report.md")
    assert "See [it](our_claims.md#mine) and [figure](#fig1)." in report
    assert "[In words](our_claims.md#in-words)." in report
    assert "[Keep: A part](what_to_keep_in_mind.md#keep-a-part)." in report
    assert "[Keep: Another](what_to_keep_in_mind.md#keep-another)." in report
    assert not {"- one", "- two", "#### mine"} & set(report.splitlines())
    head = "Beside [report.md](report.md).\n\n"
    assert files == {
        "our_claims.md": f"# Our claims\n\n{head}## Claims\n\n### In words\n\n#### mine\n\n[Seen](report.md#fig1)\n",
        "what_to_keep_in_mind.md": f"# What to keep in mind\n\n{head}## A part\n\n### Keep: A part\n\n- one\n\n"
        "## Another\n\n### Keep: Another\n\n- two\n",
    }
    assert "- one" in markdown(blocks), "where nothing is abridged it stands in its place"


def test_the_same_names_every_time(tmp_path: Path) -> None:
    assert abridged([LONG, LONG], tmp_path) == abridged([LONG, LONG], tmp_path)
