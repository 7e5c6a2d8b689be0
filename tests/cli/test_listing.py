"""``unibio list``: a summary first, whole sentences, and no markup of docstrings."""

from __future__ import annotations

import re

import pytest

from unibio.cli import listing
from unibio.cli.listing import plainly, sentence
from unibio.cli.main import main
from unibio.pipeline.conf import files
from unibio.registry import ALGORITHMS, PROBLEMS


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(["list", *words])
    return capsys.readouterr().out


def test_the_summary_has_a_sentence_of_everything(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys)
    first = text.splitlines()[0]
    assert first.startswith(f"There are {len(ALGORITHMS)} algorithms, {len(PROBLEMS)} problems and ")
    one_line = " ".join(text.split())
    for name in (*ALGORITHMS, *PROBLEMS, *files("experiment")):
        assert re.search(rf"^  {name} +\S", text, re.M), name
    for table in (ALGORITHMS, PROBLEMS):
        for name in table:
            assert sentence(plainly(table.declared(name).__doc__)) in one_line
            assert sentence(plainly(table.declared(name).__doc__)).endswith("."), (
                f"{name}: its first sentence has no end"
            )


@pytest.mark.parametrize("words", [[], ["algorithms"], ["problems"], ["experiments"]])
def test_no_markup_leaks_and_no_line_is_too_long(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, *words)
    assert "`" not in text
    assert not re.search(r":\w+:", text)
    assert "schema_" not in text
    described = [line for line in text.splitlines() if not re.match(r"  (\w+ = |/)", line)]
    assert max(map(len, described)) <= listing.WIDTH


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("See :class:`~unibio.core.oracle.Oracle` and ``hvp``.", "See Oracle and hvp."),
        ("A `link <https://x.y>`_ stays.", "A link <https://x.y> stays."),
        (":func:`words <unibio.core.updates.mix>`", "mix"),
        ("no markup: 3:4 and a·b", "no markup: 3:4 and a·b"),
    ],
)
def test_markup_becomes_words(text: str, plain: str) -> None:
    assert plainly(text) == plain


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One, with\nits end. Two.", "One, with its end."),
        ("By Theorem 5.1 alone. Then", "By Theorem 5.1 alone."),
        ("No end\n\nAnother paragraph.", "No end"),
        ("", ""),
    ],
)
def test_a_sentence_ends_where_it_ends(text: str, first: str) -> None:
    assert sentence(text) == first


def test_help_of_run_names_no_schema(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--help"])
    assert "schema" not in capsys.readouterr().out
