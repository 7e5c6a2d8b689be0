"""Tables of ours beside what a user would pick or write instead."""

from __future__ import annotations

from collections.abc import Mapping

from measure import Row
from sheet import Sheet, millions, number, verdict


def sheets(rows: Mapping[str, Row]) -> list[Sheet]:
    """Example 3, the quadratic, users' own problems and networks, and what has been left out."""
    return [_example3(rows), _quadratic(rows), _users(rows), _models(rows), _left_out(rows)]


def _ranged(row: Row | None) -> str:
    """A ratio, what became of its target, and its range over the rounds where there were several."""
    if row is None:
        return ""
    ratios, over, _ = row.note.partition(" over ")
    return f"{verdict(row)} ({ratios})" if over else verdict(row)


def _micro(row: Row | None) -> str:
    return number(1e6 * row.value) if row is not None and isinstance(row.value, float) else ""


def _example3(rows: Mapping[str, Row]) -> Sheet:
    """A line per number of trajectories and type."""
    found = [name.split("/")[1:] for name in rows if name.startswith("example3/")]
    rivals = [who for who in dict.fromkeys(parts[2] for parts in found) if who != "ours"]
    header = ["trajectories", "type", "ours, million lower steps/s", *rivals, *(f"ours over {who}" for who in rivals)]
    lines = []
    for runs, dtype in dict.fromkeys((parts[0], parts[1]) for parts in found):
        name = f"example3/{runs}/{dtype}"
        rates = [millions(rows.get(f"{name}/{who}")) for who in ("ours", *rivals)]
        ratios = [_ranged(rows.get(f"speedup/{name}/{who}")) for who in rivals]
        lines.append([number(int(runs)), dtype, *rates, *ratios])
    return Sheet("Example 3 by Algorithm 2: speed over what a user would pick instead", header, lines)


def _quadratic(rows: Mapping[str, Row]) -> Sheet:
    """A line per method, three columns per number of seeds."""
    found = [name.split("/")[1:] for name in rows if name.startswith("quadratic/")]
    seeds, methods = (list(dict.fromkeys(parts[place] for parts in found)) for place in (0, 1))
    header = ["method"]
    for runs in seeds:
        target = next((row.target for name, row in rows.items() if name.startswith(f"over/quadratic/{runs}/")), None)
        wanted = "" if target is None else f" (≤ {target:g}×)"
        header += [f"{runs} seed{'s' * (runs != '1')}: µs an iteration and seed", "JAX", f"over JAX{wanted}"]
    lines = []
    for method in methods:
        line = [method]
        for runs in seeds:
            name = f"quadratic/{runs}/{method}"
            times = [_micro(rows.get(f"{name}/{who}")) for who in ("ours", "jax")]
            line += [*times, _ranged(rows.get(f"over/{name}/jax"))]
        lines.append(line)
    return Sheet("A quadratic of benchmark_bilevel's size: time over JAX's", header, lines)


def _users(rows: Mapping[str, Row]) -> Sheet:
    """A line per problem."""
    lines = []
    for name, row in rows.items():
        if name.startswith("over/users/"):
            ours = rows.get(f"{name.removeprefix('over/').rsplit('/', 1)[0]}/ours")
            target = "" if row.target is None else f"{row.target:g}"
            size = f"{number(ours.value)} MB" if ours is not None and ours.unit == "MB" else f"{_micro(ours)} µs"
            lines.append([name.split("/", 2)[2], size, _ranged(row), target, row.note.partition("; ")[2]])
    header = ["case and opponent", "ours, an iteration or at the peak", "over the opponent", "target (≤)", "how"]
    return Sheet("A user's own problems: time, or memory, over what one would write instead", header, lines)


def _models(rows: Mapping[str, Row]) -> Sheet:
    """A line per problem and quantity, a column per side."""
    found = [name.rpartition("/") for name in rows if name.startswith("models/")]
    cases, sides = (list(dict.fromkeys(parts[place] for parts in found)) for place in (0, 2))
    rivals = [who for who in sides if who != "ours"]
    lines = []
    for case in cases:
        here = [rows.get(f"{case}/{who}") for who in ("ours", *rivals)]
        ratios = [rows.get(f"over/{case}/{who}") for who in rivals]
        said = dict.fromkeys(row.note for row in here if row is not None)
        what = case.partition("/")[2] + (": time an iteration" if case.rpartition("/")[2].isdigit() else "")
        lines.append([what, *map(_amount, here), *map(_ranged, ratios), " / ".join(said)])
    header = ["what", "ours", *rivals, *(f"ours over {who}" for who in rivals), "how"]
    return Sheet("Networks by StocBiO's iteration, beside the same in libraries", header, lines)


def _amount(row: Row | None) -> str:
    if row is None or not isinstance(row.value, float):
        return ""
    return f"{number(1e3 * row.value)} ms" if row.unit == "s" else f"{number(row.value)} {row.unit}"


def _left_out(rows: Mapping[str, Row]) -> Sheet:
    """A line per row without a value."""
    lines = [[name, row.note.removeprefix("skipped: ")] for name, row in rows.items() if row.value is None]
    return Sheet("Left out", ["row", "why"], lines)
