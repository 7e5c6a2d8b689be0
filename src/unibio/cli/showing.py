"""``unibio show``: one record's settings, ends and curve in the terminal, or two compared."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from unibio.cli import terminal
from unibio.cli.terminal import ROWS, plain, shortened
from unibio.errors import InputError, unknown
from unibio.store.records import Record
from unibio.store.show import differences, export, find_record, flat, metrics_of, paired, picture, series


def show(options: argparse.Namespace) -> None:
    """Print one record, or two side by side.

    Args:
        options: names, records, metric and csv, as ``unibio show`` has them.

    Raises:
        InputError: a record or a metric that is not there.
    """
    if len(options.names) > 2:
        raise InputError(f"show takes one record or two to compare, got {len(options.names)}")
    found = [find_record(options.records, name) for name in options.names]
    if options.metric is not None and (absent := [one for one in found if options.metric not in metrics_of(one)]):
        raise unknown(f"metric of {absent[0].name},", options.metric, metrics_of(absent[0]))
    shared = [name for name in metrics_of(found[0]) if all(name in metrics_of(one) for one in found)]
    metric = options.metric or next(iter(shared), None)
    console = terminal.console()
    if len(found) == 1:
        console.print(_summary(found[0]))
    else:
        console.print(_comparison(found[0], found[1], metric))
    if metric is not None:
        lines = series(found[0], metric) if len(found) == 1 else {}
        for letter, record in zip("AB", found if len(found) == 2 else [], strict=False):
            lines |= {f"{letter}: {label}": line for label, line in series(record, metric, most=2).items()}
        console.print(f"\n{plain(metric)} (median over seeds)")
        console.print(picture(lines, width=max(40, min(console.width, 100) - 16)))
    if options.csv is not None:
        rows = export(found, options.csv)
        console.print(f"\n{rows} rows written to {plain(options.csv)}")


def _summary(record: Record) -> Group:
    summary = record.summary
    facts = Table(record.name, "", show_header=True)
    facts.add_row("runs", ", ".join(f"{count} {plain(name)}" for name, count in summary.get("statuses", {}).items()))
    for key, format_ in (("iterations", ""), ("oracle_calls", ","), ("seconds", ".3g")):
        facts.add_row(key.replace("_", " "), format(summary[key], format_) if key in summary else "")
    facts.add_row("finished", plain(summary.get("finished", "")))
    facts.add_row("code", str(record.standing))
    facts.add_row("commit", plain(summary.get("git", {}).get("commit", "not a clone")))
    facts.add_row("command", plain(" ".join(summary.get("command", ()))))
    for message in summary.get("warnings", ()):
        facts.add_row("warning", plain(message))
    noted = record.standing.replay
    if noted is not None:
        facts.add_row("replay", plain(f"{noted.rows} rows, {noted.finished}, commit {noted.commit or 'unknown'}"))
        facts.add_row("differs", plain(noted.difference or "no"))
    settings = Table("setting", "value")
    for key, value in flat(record.config).items():
        settings.add_row(plain(key), _short(value))
    ends = Table("metric", "median of the last values")
    for name, value in summary.get("metrics", {}).items():
        ends.add_row(plain(name), f"{value:.6g}")
    return Group(facts, settings, ends)


def _comparison(first: Record, second: Record, metric: str | None) -> Group:
    """What differs in two records' settings, their medians, then their runs side by side."""
    settings = Table("differs", f"A: {first.name}", f"B: {second.name}")
    for key, a, b in differences(first, second):
        settings.add_row(plain(key), _short(a), _short(b))
    ends = Table("median at the end", "A", "B", "B / A")
    metrics = dict.fromkeys([*metrics_of(first), *metrics_of(second)])
    rows = {name: [one.summary["metrics"].get(name) for one in (first, second)] for name in metrics}
    rows |= {key: [one.summary.get(key) for one in (first, second)] for key in ("oracle_calls", "seconds")}
    for name, (a, b) in rows.items():
        ends.add_row(
            plain(name).replace("_", " "), *("" if one is None else f"{one:.6g}" for one in (a, b)), _over(b, a)
        )
    pairs = paired(first, second)
    said = [f"{len(pairs.table)} runs in both", f"{pairs.equal} of them equal to the bit"]
    said += [f"{count} in {side} alone" for side, count in zip("AB", pairs.alone, strict=True) if count]
    table, last = pairs.table, metric or "oracle_calls"
    unequal = [name for name in ("status", "stopped_at", "oracle_calls") if name != last]
    shown = [name for name in unequal if bool((table[(name, "A")] != table[(name, "B")]).any())] + [last]
    heads = [plain(name).replace("_", " ") for name in shown]
    runs = Table(*pairs.axes or ["run"], *(f"{head} {side}" for head in heads for side in "AB"), "B / A")
    for index, row in enumerate(table.head(ROWS).to_dict("records")):
        cells = [_number(row[(name, side)]) for name in shown for side in "AB"]
        a, b = (row[(last, side)] for side in "AB")
        runs.add_row(*([_number(row[axis]) for axis in pairs.axes] or [str(index)]), *cells, _over(b, a))
    return Group(settings, ends, shortened(runs, table), Text("; ".join(said)))


def _over(b: float | None, a: float | None) -> str:
    return f"{b / a:.4g}" if a and b is not None else ""


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else plain(value)


def _short(value: Any, most: int = 60) -> str:
    text = plain(value)
    if isinstance(value, list) and len(text) > most:
        return plain(f"{len(value)} values from {value[0]} to {value[-1]}")
    return text
