"""Whether thinned records say the same as whole ones: a verdict's numbers, a figure's tables, a study's section."""

from __future__ import annotations

import itertools
import math
import numbers
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.studies.common.document import (
    Beside,
    Block,
    Bullets,
    Folded,
    Heading,
    MarkdownOnly,
    PageOnly,
    Paragraph,
    Table,
    shown,
)

#: How much a number may change by thinning: relative, and what is nothing beside a verdict, whose numbers are mostly
#: exponents and shares, and in a table, which may have norms.
CHANGE, NOTHING, NOTHING_IN_TABLES = 0.02, 0.002, 1e-6


def different(whole: Any, thinned: Any, where: str = "") -> str:
    """Where and how numbers differ by more than ``CHANGE``, in words, the first place; "" where they do not.

    Args:
        whole: a verdict's numbers, nested as they are.
        thinned: the same, from thinned records.
        where: the keys that led here.
    """
    if isinstance(whole, Mapping) and isinstance(thinned, Mapping):
        if whole.keys() != thinned.keys():
            return f"{where or 'keys'}: {sorted(map(str, thinned))} and not {sorted(map(str, whole))}"
        below = (different(one, thinned[key], f"{where}.{key}" if where else str(key)) for key, one in whole.items())
        return next(filter(None, below), "")
    if isinstance(whole, (list, tuple)) and isinstance(thinned, (list, tuple)) and len(whole) == len(thinned):
        below = (
            different(one, other, f"{where}[{k}]") for k, (one, other) in enumerate(zip(whole, thinned, strict=True))
        )
        return next(filter(None, below), "")
    if isinstance(whole, numbers.Real) and isinstance(thinned, numbers.Real):
        near = math.isclose(whole, thinned, rel_tol=CHANGE, abs_tol=NOTHING) or (whole != whole and thinned != thinned)
    else:
        near = bool(whole == thinned)
    return "" if near else f"{where}: {thinned!r} and not {whole!r}"


def table_differs(whole: pd.DataFrame, thinned: pd.DataFrame) -> str:
    """Where and how a figure's table differs, in words, the first place; "" where it does not.

    The same number of rows are the same rows, in order. Fewer are curves with fewer points: each row must be one of the
    whole table, which is told by the columns all of whose values are exact, axes among them.

    Args:
        whole: from whole records.
        thinned: from thinned ones.
    """
    if list(whole.columns) != list(thinned.columns):
        return f"columns {list(thinned.columns)} and not {list(whole.columns)}"
    if len(thinned) > len(whole):
        return f"{len(thinned)} rows and not {len(whole)}"
    if len(thinned) == len(whole):
        return _first_moved(whole.reset_index(drop=True), thinned.reset_index(drop=True), list(whole.columns))
    exact = [name for name in thinned if thinned[name].isin(whole[name]).all()]
    if not exact:
        return f"{len(thinned)} of {len(thinned)} rows are none of the {len(whole)}"
    found = thinned[exact].merge(whole.drop_duplicates(exact), on=exact, how="left", indicator="found in")
    if lost := int((found["found in"] == "left_only").sum()):
        return f"{lost} of {len(thinned)} rows are none of the {len(whole)}"
    return _first_moved(found, thinned.reset_index(drop=True), [name for name in thinned if name not in exact])


def _first_moved(whole: pd.DataFrame, thinned: pd.DataFrame, columns: list[str]) -> str:
    for name in columns:
        moved = _moved(whole[name], thinned[name])
        if moved.any():
            k = int(moved.argmax())
            return f"{name} in {moved.sum()} of {len(thinned)} rows, as {thinned[name][k]!r} and not {whole[name][k]!r}"
    return ""


def _moved(whole: pd.Series, thinned: pd.Series) -> NDArray[np.bool_]:
    """(rows,) where two columns are not near each other; words, counts and what is missing have to be equal.

    What is nothing may be missing, too: equal runs are one run, which has no interval.
    """
    if not (pd.api.types.is_float_dtype(whole) and pd.api.types.is_float_dtype(thinned)):
        same = (whole == thinned) | (whole.isna() & thinned.isna())
        return ~same.to_numpy(dtype=bool)
    a, b = whole.to_numpy(), thinned.to_numpy()
    near = np.isclose(b, a, rtol=CHANGE, atol=NOTHING_IN_TABLES, equal_nan=True)
    nothing = (np.isnan(a) & (np.abs(b) <= NOTHING_IN_TABLES)) | (np.isnan(b) & (np.abs(a) <= NOTHING_IN_TABLES))
    return np.asarray(~(near | nothing))


def sections_differ(whole: Iterable[Block], thinned: Iterable[Block]) -> str:
    """Where and how the text or a table of two sections differs, in words, the first place; "" where it does not.

    Numbers within text may differ as those of tables may, and by one in their last decimal, which is rounding.

    Args:
        whole: from whole records.
        thinned: the same section, from thinned ones.
    """
    for one, other in itertools.zip_longest(_said(whole), _said(thinned)):
        if one is None or other is None or one[0] != other[0]:
            return f"{_place(other)} and not {_place(one)}"
        if not _same_cell(one[1], other[1]):
            return f"{one[0]}: {shown(other[1])!r} and not {shown(one[1])!r}"
    return ""


def _said(blocks: Iterable[Block]) -> Iterator[tuple[str, Any]]:
    """(where, what) of every piece of text and every cell, in order; pictures and commands say nothing of their own."""
    for block in blocks:
        match block:
            case Heading(_, text):
                yield "a heading", text
            case Paragraph(text):
                yield "a paragraph", text
            case Bullets(items):
                yield from (("an item", item) for item in items)
            case Table(header, rows):
                for row in rows:
                    yield from ((f"{shown(row[0])}, {name}", cell) for name, cell in zip(header, row, strict=True))
            case Folded(title, content) | Beside(title, content):
                yield "a title", title
                yield from _said(content)
            case PageOnly(content) | MarkdownOnly(content):
                yield from _said(content)


def _place(said: tuple[str, Any] | None) -> str:
    return "nothing" if said is None else said[0]


def _same_cell(whole: Any, thinned: Any) -> bool:
    if isinstance(whole, float) and isinstance(thinned, float):
        return not _moved(pd.Series([whole]), pd.Series([thinned])).any()
    if isinstance(whole, numbers.Integral) and isinstance(thinned, numbers.Integral):
        return whole == thinned
    one, other = (_NUMBER.split(shown(cell)) for cell in (whole, thinned))
    if len(one) != len(other):
        return False
    pairs = enumerate(zip(one, other, strict=True))
    return all(_same_number(a, b) if k % 2 else a == b for k, (a, b) in pairs)


#: A number, as text has it.
_NUMBER = re.compile(r"((?<![\w.])[−-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
#: Whole numbers below it are counts, or names, and have to be the same; above, decimals may have been left out.
_COUNTED = 1000


def _same_number(whole: str, thinned: str) -> bool:
    a, b = (float(text.replace("−", "-")) for text in (whole, thinned))
    last = max(map(_last_digit, (whole, thinned)))
    if last == 0 and abs(a) < _COUNTED:
        return a == b
    return math.isclose(a, b, rel_tol=CHANGE, abs_tol=1.01 * last)


def _last_digit(number: str) -> float:
    """What one in the last decimal is worth; 0 without decimals."""
    digits, _, power = number.partition("e")
    _, _, decimals = digits.partition(".")
    return 10.0 ** (int(power or 0) - len(decimals)) if decimals else 0.0
