"""Numbers and tables from thinned records beside those from whole ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unibio.report.sameness import different, sections_differ, table_differs
from unibio.studies.common.document import (
    Beside,
    Block,
    Bullets,
    Code,
    Folded,
    Heading,
    MarkdownOnly,
    PageOnly,
    Paragraph,
    Table,
    shown,
)


@pytest.mark.parametrize(
    ("thinned", "said"),
    [
        ({"a": [1.0, 2.0], "b": {"2": None}}, ""),
        ({"a": [1.015, 2.0], "b": {"2": None}}, ""),
        ({"a": [1.0, 2.0], "b": {"2": None}, "c": 0.009}, "keys: ['a', 'b', 'c'] and not ['a', 'b']"),
        ({"a": [1.0, 2.06], "b": {"2": None}}, "a[1]: 2.06 and not 2.0"),
        ({"a": [1.0, float("nan")], "b": {"2": None}}, "a[1]: nan and not 2.0"),
        ({"a": [1.0, 2.0], "b": {"2": 0.0}}, "b.2: 0.0 and not None"),
        ({"a": [1.0, 2.0], "b": {}}, "b: [] and not ['2']"),
        ({"a": [1.0], "b": {"2": None}}, "a: [1.0] and not [1.0, 2.0]"),
    ],
)
def test_where_numbers_differ(thinned: object, said: str) -> None:
    assert different({"a": [1.0, 2.0], "b": {"2": None}}, thinned) == said


def test_small_numbers_are_compared_by_their_size() -> None:
    assert different({"slope": 0.01}, {"slope": 0.013}) == "slope: 0.013 and not 0.01"
    assert not different({"slope": -1e-5}, {"slope": 1e-5})


def test_numbers_that_are_none_are_the_same() -> None:
    assert not different({"a": float("nan"), "b": float("inf")}, {"a": float("nan"), "b": float("inf")})


# Tables ---------------------------------------------------------------------------------------------------------------
FITS = pd.DataFrame(
    {"p": [2, 4], "step": [0.1, 0.2], "slope": [-0.5, -1e-9], "low": [-0.6, np.nan], "kind": ["a", None]}
)
CURVE = pd.DataFrame(
    {
        "p": np.repeat([2, 4], 50),
        "noise": 0.5,
        "iteration": np.tile(np.arange(50), 2),
        "norm": np.geomspace(1, 1e-8, 100),
    }
)


def test_a_table_is_itself() -> None:
    assert table_differs(FITS, FITS.copy()) == ""
    assert table_differs(CURVE, CURVE.copy()) == ""


@pytest.mark.parametrize(
    ("column", "row", "value", "said"),
    [
        ("slope", 0, -0.505, ""),
        ("slope", 0, -0.52, "slope in 1 of 2 rows, as -0.52 and not -0.5"),
        ("slope", 1, -9e-7, ""),
        ("slope", 1, 0.1, "slope in 1 of 2 rows"),
        ("slope", 1, np.nan, ""),
        ("slope", 0, np.nan, "slope in 1 of 2 rows, as nan and not -0.5"),
        ("low", 1, -0.6, "low in 1 of 2 rows, as -0.6 and not nan"),
        ("p", 1, 6, "p in 1 of 2 rows, as 6 and not 4"),
        ("kind", 0, "b", "kind in 1 of 2 rows, as 'b' and not 'a'"),
        ("kind", 1, "b", "kind in 1 of 2 rows"),
    ],
)
def test_a_number_that_moved_is_told(column: str, row: int, value: object, said: str) -> None:
    other = FITS.copy()
    other.loc[row, column] = value
    told = (
        table_differs(FITS, other)
        .replace("np.float64(-0.52)", "-0.52")
        .replace("np.float64", "")
        .replace("np.int64", "")
    )
    assert told.replace("(", "").replace(")", "").startswith(said)
    assert bool(told) == bool(said)


@given(st.sets(st.integers(0, 99), min_size=1, max_size=60), st.floats(-0.015, 0.015))
def test_a_curve_may_have_fewer_points(rows: set[int], change: float) -> None:
    less = CURVE.iloc[sorted(rows)].reset_index(drop=True)
    assert table_differs(CURVE, less.assign(norm=less["norm"] * (1 + change))) == ""


@given(st.sets(st.integers(0, 60), min_size=2, max_size=60), st.data())
def test_but_none_that_it_does_not_have(rows: set[int], data: st.DataObject) -> None:
    less = CURVE.iloc[sorted(rows)].reset_index(drop=True)
    k = data.draw(st.integers(0, len(less) - 1))
    moved = less.copy()
    moved.loc[k, "norm"] *= 1.1
    assert "norm in 1 of" in table_differs(CURVE, moved)
    shifted = less.assign(iteration=less["iteration"] + 0.5)
    assert table_differs(CURVE, shifted)


def test_other_columns_and_more_rows_are_told() -> None:
    assert table_differs(FITS, FITS.rename(columns={"low": "high"})).startswith("columns ")
    assert table_differs(FITS, pd.concat([FITS, FITS])) == "4 rows and not 2"
    assert (
        table_differs(CURVE, CURVE.iloc[:1].assign(p=8, noise=1.0, iteration=99, norm=7.0))
        == "1 of 1 rows are none of the 100"
    )


# Sections -------------------------------------------------------------------------------------------------------------
def section(text: str = "a slope of −0.31 in 3 of 30 runs", cell: object = 0.5, calls: object = 1200) -> list[Block]:
    table = Table(["p", "norm", "calls"], [[2, 0.25, 900], [4, cell, calls]])
    return [
        Heading(3, "Slopes"),
        Paragraph(text),
        Bullets([text]),
        Code("a command"),
        Folded("More", [PageOnly([table]), MarkdownOnly([Paragraph("short")])]),
        Beside("Long", [Paragraph(text)]),
    ]


def test_equal_sections_and_those_that_differ_by_rounding_are_the_same() -> None:
    assert sections_differ(section(), section()) == ""
    assert sections_differ(section(), section("a slope of −0.32 in 3 of 30 runs", 0.503)) == ""
    assert sections_differ(section("3.0e-05"), section("3.1e-05")) == ""
    assert sections_differ(section("at most 1 (largest: 1)"), section("at most 1 (largest: 0.999)")) == ""
    assert sections_differ([Code("a")], [Code("b")]) == "", "commands are no results"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (section("a slope of −0.35 in 3 of 30 runs"), "a paragraph: 'a slope of −0.35 in 3 of 30 runs' and not "),
        (section("a slope of 0.31 in 3 of 30 runs"), "a paragraph: "),
        (section("a slope of −0.31 in 4 of 30 runs"), "a paragraph: "),
        (section("a slope of −0.31 of 30 runs"), "a paragraph: "),
        (section("a slope of −0.31 in three of 30 runs"), "a paragraph: "),
        (section(cell=0.52), "4, norm: '0.52' and not '0.5'"),
        (section(cell=float("nan")), "4, norm: '–' and not '0.5'"),
        (section(cell="never"), "4, norm: 'never' and not '0.5'"),
        (section(calls=1201), "4, calls: '1201' and not '1200'"),
        (section()[:-1], "nothing and not a title"),
        ([*section(), Paragraph("more")], "a paragraph and not nothing"),
        ([Bullets(["Slopes"]), *section()[1:]], "an item and not a heading"),
    ],
)
def test_where_sections_differ(other: list[Block], said: str) -> None:
    assert sections_differ(section(), other).startswith(said)


@given(st.floats(1e-3, 1e6).filter(lambda value: "." in shown(value) or value >= 1000), st.floats(-0.5, 0.5))
@example(value=5000.0, change=0.01)
@example(value=0.25, change=0.01)
def test_a_number_in_text_may_change_as_one_in_a_table(value: float, change: float) -> None:
    """By 2 %, and by the last digit that is written; what changes by more than both is told."""
    whole, other = (f"at {shown(float(one))} or so" for one in (value, value * (1 + change)))
    told = sections_differ([Paragraph(whole)], [Paragraph(other)]) != ""
    if abs(change) < 0.0195:
        assert not told
    decimals = shown(float(value)).partition(".")[2].partition("e")[0]
    written = float("1e" + shown(float(value)).partition("e")[2]) if "e" in shown(float(value)) else 1.0
    if abs(change) > 0.025 and abs(value * change) > 2.1 * written * 10.0 ** -len(decimals):
        assert told
