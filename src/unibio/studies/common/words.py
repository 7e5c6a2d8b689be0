"""Numbers as words in the explanations of verdicts, and as JSON holds them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd


def span(low: float, high: float, form: str) -> str:
    """One number to the other, or one of them where they print alike."""
    low_text, high_text = format(low, form), format(high, form)
    return low_text if low_text == high_text else f"{low_text} to {high_text}"


def listed(values: Iterable[float]) -> str:
    """Numbers, separated by commas."""
    return ", ".join(f"{v:g}" for v in values)


def calls(value: float) -> str:
    """A number of oracle calls, "never" for inf."""
    return f"{value:.0f}" if math.isfinite(value) else "never"


def finite(value: float) -> float | None:
    """The number for JSON; None where it is infinite or undefined, which JSON cannot hold."""
    return float(value) if math.isfinite(value) else None


def by_p(row: pd.Series) -> dict[int, float | None]:
    """{p: value} of a row whose index are exponents, for JSON."""
    return {int(str(p)): finite(v) for p, v in row.items()}
