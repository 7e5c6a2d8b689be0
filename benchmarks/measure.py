"""Timing by interleaved repetitions, and the rows that come of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One benchmarked number.

    Attributes:
        value: the number, or None where it could not be measured.
        unit: of the value.
        target: what the value is wanted to reach, or None.
        relative_to: for a ratio, the row it is relative to.
        met: whether the target is met; None without a target.
        note: how to read the row, or why it has no value.
        section: the part of the benchmarks that measured it.
    """

    value: float | str | None
    unit: str
    target: float | None = None
    relative_to: str | None = None
    met: bool | None = None
    note: str = ""
    section: str = ""

    def as_json(self) -> dict[str, Any]:
        """The row as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Contestant:
    """Something that takes steps: ``work`` does ``steps`` of them."""

    work: Callable[[], Any]
    steps: int


def interleaved(
    contestants: Mapping[str, Contestant], repetitions: int, prepare: Callable[[], Any] = lambda: None
) -> dict[str, list[float]]:
    """Processor seconds per step of every contestant in every round; the first round only warms up.

    Every round runs all contestants, so that whatever else the machine does falls on all alike. Processor time of the
    one thread that works equals wall time where nothing else runs, and is not spoiled by being put aside where it does.
    What ``prepare`` does before each turn is not timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for kept in [False] + [True] * repetitions:
        for name, contestant in contestants.items():
            prepare()
            began = time.process_time()
            contestant.work()
            if kept:
                seconds[name].append((time.process_time() - began) / contestant.steps)
    return seconds


def rate(seconds: list[float], note: str = "") -> Row:
    """Steps per second: the median over rounds."""
    return Row(1 / statistics.median(seconds), "lower steps/s", note=note)


def speedup(ours: list[float], theirs: list[float], relative_to: str, target: float | None = None) -> Row:
    """How many times as fast as an opponent: the median over rounds of the ratio within a round, and their range."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    return Row(ratio, "×", target, relative_to, None if target is None else ratio >= target, spread(ratios))


def spread(ratios: list[float]) -> str:
    """The range of the ratios of rounds, in words."""
    return f"{min(ratios):.3g}–{max(ratios):.3g} over {len(ratios)} rounds"


def over(
    name: str, seconds: Mapping[str, list[float]], rival: str, target: float | None = None, note: str = ""
) -> dict[str, Row]:
    """How long ours takes over an opponent's time, with the range over rounds; a target is not to be exceeded.

    Args:
        name: of the comparison; its rows are NAME/ours, NAME/RIVAL and over/NAME/RIVAL.
        seconds: of "ours" and of the rival, per step and round.
        rival: whose.
        target: of the ratio.
        note: on the case.
    """
    ratios = [a / b for a, b in zip(seconds["ours"], seconds[rival], strict=True)]
    ratio = statistics.median(ratios)
    said = spread(ratios) + (f"; {note}" if note else "")
    met = None if target is None else ratio <= target
    return {
        f"{name}/ours": Row(statistics.median(seconds["ours"]), "s", note=note),
        f"{name}/{rival}": Row(statistics.median(seconds[rival]), "s", note=note),
        f"over/{name}/{rival}": Row(ratio, "×", target, f"{name}/{rival}", met, said),
    }
