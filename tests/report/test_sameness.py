"""Numbers and tables from thinned records beside those from whole ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unibio.report.sameness import different, table_differs


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
