"""Tables before they are printed, and numbers as they stand in them."""

from __future__ import annotations

from typing import NamedTuple

from measure import Row


class Sheet(NamedTuple):
    """A table ready to print."""

    title: str
    header: list[str]
    lines: list[list[str]]


def number(value: float | str | None) -> str:
    """Three significant digits."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict(row: Row | None) -> str:
    """A ratio with what became of its target."""
    if row is None:
        return ""
    return f"{number(row.value)}×" + ("" if row.met is None else " met" if row.met else " missed")


def millions(row: Row | None) -> str:
    """A rate in millions."""
    return "" if row is None else number(row.value / 1e6 if isinstance(row.value, float) else row.value)
