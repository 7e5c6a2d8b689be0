"""What we want to reach beside what a user would pick instead, how far we are, and where we are behind."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from measure import Row
from sheet import Sheet, number


class Goal(NamedTuple):
    """Some work, and patterns of names of rows with targets; of the rows of a pattern the worst counts."""

    work: str
    rows: tuple[str, ...]


GOALS = (
    Goal(
        "Example 3, 1 / 100 / 10,000 trajectories: speed over JAX, float64",
        tuple(f"speedup/example3/{runs}/float64/jax" for runs in (1, 100, 10_000)),
    ),
    Goal("the same in float32, 10,000 trajectories: speed over ours in float64", ("loops/10000/single",)),
    Goal(
        "quadratic, 1 / 32 / 256 seeds: time over JAX, the worst of eight methods",
        tuple(f"over/quadratic/{runs}/*/jax" for runs in (1, 32, 256)),
    ),
    Goal(
        "README's problem / logistic hyper-cleaning: time over a hand-written loop",
        ("over/users/readme/by_hand", "over/users/hyper_cleaning/by_hand"),
    ),
    Goal("7.4 million weights by autograd: peak memory over a hand-written loop", ("over/users/memory/by_hand",)),
    Goal(
        "network of 64 / 256 units: speed over the released loop",
        tuple(f"network/{width}/speedup_over_released" for width in (64, 256)),
    ),
    Goal(
        "a run of a minute with wandb offline: percentage of its time that wandb takes at most",
        ("dashboards/taken",),
    ),
    Goal("`--help` / a job already recorded: processor seconds", ("startup/help", "startup/recorded")),
    Goal("planning 5,000 jobs: processor seconds", ("startup/planning",)),
    Goal("a job of very many runs, 200 logged rows each: peak in GiB", ("startup/many_runs",)),
    Goal("coordinate-wise problem, d = 10⁴, mixing=hadamard: seconds to build", ("startup/build",)),
)


def shortfall(row: Row) -> float | None:
    """How many times the value would have to change to meet its target, at most 1 where it does; None without one."""
    if row.target is None or row.met is None or not isinstance(row.value, (int, float)):
        return None
    if row.value == 0:
        return 0.0 if row.met else float("inf")
    apart = max(row.value / row.target, row.target / row.value)
    return 1 / apart if row.met else apart


def _sign(row: Row) -> str:
    """Which side of its target a value is wanted on."""
    assert isinstance(row.value, (int, float))
    assert row.target is not None
    return "≤" if (row.value <= row.target) == row.met else "≥"


def reached(rows: Mapping[str, Row]) -> Sheet:
    """A line per goal of which something has been measured."""
    lines = []
    for goal in GOALS:
        worst: list[Row | None] = []
        for pattern in goal.rows:
            found = [row for name, row in rows.items() if fnmatchcase(name, pattern) and shortfall(row) is not None]
            worst.append(max(found, key=lambda row: shortfall(row) or 0, default=None))
        known = [row for row in worst if row is not None]
        if known:
            values = " / ".join("–" if row is None else number(row.value) for row in worst)
            wanted = " / ".join("–" if row is None else f"{row.target:g}" for row in worst)
            met = " / ".join("not measured" if row is None else "met" if row.met else "missed" for row in worst)
            lines.append([goal.work, values, f"{_sign(known[0])} {wanted}", met])
    return Sheet("Goals", ["work", "reached", "goal", ""], lines)


def behind(rows: Mapping[str, Row]) -> Sheet:
    """Every target that is missed, and every opponent that is faster than we are though no target says by how much."""
    found: list[tuple[float, list[str]]] = []
    for name, row in rows.items():
        if not isinstance(row.value, (int, float)):
            continue
        factor = shortfall(row) if row.met is False else _slower(name, row)
        if factor is not None:
            wanted = "" if row.target is None else f"{_sign(row)} {row.target:g}"
            found.append((factor, [name, f"{number(row.value)} {row.unit}", wanted, f"{factor:.3g}×", row.note]))
    lines = [line for _, line in sorted(found, key=lambda pair: -pair[0])]
    return Sheet("Where we are behind, the furthest first", ["row", "we have", "wanted", "short by", "how"], lines)


def _slower(name: str, row: Row) -> float | None:
    """How many times as fast an opponent without a target is, where it is faster."""
    if row.target is not None or not isinstance(row.value, (int, float)):
        return None
    if name.startswith("speedup/") and 0 < row.value < 1:
        return 1 / row.value
    return row.value if name.startswith("over/") and row.value > 1 else None
