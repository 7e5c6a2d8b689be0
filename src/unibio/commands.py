"""``unibio status | show | rerun | clean``: looking at records, and what is done to single ones."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from unibio import status
from unibio.errors import InputError
from unibio.records import Record
from unibio.show import differences, export, find_record, flat, metrics_of, picture, series

#: Rows of a table of single jobs; the rest is counted.
ROWS = 20


def main(command: str, arguments: Sequence[str], what: str) -> None:
    """Entry point of these commands."""
    parser = argparse.ArgumentParser(prog=f"unibio {command}", description=what)
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    run = {"status": _status, "show": _show, "rerun": _rerun, "clean": _clean}[command]
    if command == "status":
        parser.add_argument("names", nargs="*", help="experiments; all of them if left out")
        parser.add_argument("--watch", action="store_true", help="keep the table current until no job runs")
        parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="of --watch (default: 2)")
        parser.add_argument("--verify", action="store_true", help="read every file of every record and compare digests")
    elif command == "show":
        parser.add_argument("names", nargs="+", metavar="NAME", help="one record, or two to compare: name or digest")
        parser.add_argument("--metric", help="of the curve (default: the first metric)")
        parser.add_argument("--csv", type=Path, metavar="FILE", help="write the curves (medians over seeds) there")
    elif command == "rerun":
        parser.add_argument("names", nargs="+", metavar="NAME", help="directory names in RECORDS")
        parser.add_argument("--into", type=Path, help="compute into this directory instead, to compare")
    else:
        parser.add_argument("--failed", action="store_true", help="failed jobs only")
        parser.add_argument("--interrupted", action="store_true", help="interrupted jobs only")
        parser.add_argument("--yes", action="store_true", help="do not ask")
    try:
        run(parser.parse_args(arguments))
    except InputError as error:
        _fail(error)


def _fail(error: object) -> NoReturn:
    print(f"unibio: {error}", file=sys.stderr)
    raise SystemExit(2)


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:  # in a file or a pipe lines may be long, and must not be broken
        console = Console(highlight=False, width=200)
    return console


def _status(options: argparse.Namespace) -> None:
    console = _console()
    if not options.records.is_dir():
        raise InputError(f"no records in {options.records}; name their directory with --records DIR")
    if not options.watch:
        console.print(_standing(options))
    else:
        with Live(_standing(options), console=console, refresh_per_second=2) as live:
            while any(sweep.count("running") for sweep in _chosen(options)):
                time.sleep(options.every)
                live.update(_standing(options))
    if options.verify:
        _verify(options, console)


def _chosen(options: argparse.Namespace) -> list[status.Sweep]:
    found = status.sweeps(options.records)
    known = [sweep.name for sweep in found]
    for name in options.names:
        if name not in known:
            raise InputError(f"no sweep {name!r} in {options.records}; there are: {', '.join(known) or 'none'}")
    return [sweep for sweep in found if not options.names or sweep.name in options.names]


def _standing(options: argparse.Namespace) -> Group:
    """The table of sweeps, then the jobs that run and those that failed or were interrupted."""
    found, now = _chosen(options), time.time()
    overview = Table("sweep", *status.STATES, "stale", "diverged", "left")
    overview.columns[0].overflow = "fold"
    for column in overview.columns[1:]:
        column.justify = "right"
    for sweep in found:
        counts = [str(sweep.count(state) or "") for state in status.STATES]
        stale = sum(job.stale for job in sweep.jobs)
        diverged = sum(job.diverged for job in sweep.jobs)
        overview.add_row(sweep.name, *counts, str(stale or ""), str(diverged or ""), _length(sweep.eta(now)))
    jobs = {job.name: job for sweep in found for job in sweep.jobs}.values()
    parts: list[Any] = [overview if found else Text("no jobs yet")]
    running = [job for job in jobs if job.state == "running"]
    if running:
        table = Table("running", "by", "iteration", "of", "for", "left")
        for job in running[:ROWS]:
            beat = job.beat or {}
            iteration, steps = (str(beat[key]) if beat.get(key) is not None else "" for key in ("iteration", "steps"))
            by = f"{beat['host']}:{beat['pid']}"
            table.add_row(job.name, by, iteration, steps, _length(now - beat["began"]), _length(job.remaining(now)))
        parts.append(_more(table, running))
    ended = [job for job in jobs if job.state in ("failed", "interrupted")]
    if ended:
        table = Table("not done", "state", "why")
        for job in sorted(ended, key=lambda job: job.state)[:ROWS]:
            table.add_row(job.name, job.state, Text(job.reason))
        parts.append(_more(table, ended))
        parts.append(Text("interrupted jobs go on with the same command; failed ones with retry_failed=true beside it"))
    return Group(*parts)


def _more(table: Table, jobs: Sequence[Any]) -> Table:
    table.columns[0].overflow = "fold"  # in a narrow terminal a name without its digest would be no name
    if len(jobs) > ROWS:
        table.caption = f"and {len(jobs) - ROWS} more"
    return table


def _length(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _verify(options: argparse.Namespace, console: Console) -> None:
    from unibio import records

    done = {job.name for sweep in _chosen(options) for job in sweep.jobs if job.state == "done"}
    damaged = [name for name in sorted(done) if records.find(options.records / name) is None]
    console.print(f"{len(done) - len(damaged)} of {len(done)} records are what was written, to the byte")
    for name in damaged:
        console.print(f"  damaged: {name}")
    if damaged:
        raise SystemExit(1)


def _show(options: argparse.Namespace) -> None:
    if len(options.names) > 2:
        raise InputError(f"show takes one record or two to compare, got {len(options.names)}")
    found = [find_record(options.records, name) for name in options.names]
    metric = options.metric or metrics_of(found[0])[0]
    console = _console()
    if len(found) == 1:
        console.print(_summary(found[0]))
        lines = series(found[0], metric)
    else:
        console.print(_comparison(*found))
        lines = {}
        for letter, record in zip("AB", found, strict=True):
            lines |= {f"{letter}: {label}": line for label, line in series(record, metric, most=2).items()}
    console.print(Text(f"\n{metric} (median over seeds)"))
    console.print(Text(picture(lines, width=max(40, min(console.width, 100) - 16))))
    if options.csv is not None:
        rows = export(found, options.csv)
        console.print(Text(f"\n{rows} rows written to {options.csv}"))


def _summary(record: Record) -> Group:
    summary = record.summary
    facts = Table(record.name, "", show_header=True)
    facts.add_row("runs", ", ".join(f"{count} {name}" for name, count in summary["statuses"].items()))
    facts.add_row("iterations", str(summary["iterations"]))
    facts.add_row("oracle calls", f"{summary['oracle_calls']:,}")
    facts.add_row("seconds", f"{summary['seconds']:.3g}")
    facts.add_row("finished", f"{summary['finished']}{'  (by older code)' if record.stale else ''}")
    facts.add_row("commit", str(summary["git"].get("commit", "not a clone")))
    facts.add_row("command", Text(" ".join(summary["command"])))
    for message in summary["warnings"]:
        facts.add_row("warning", Text(message))
    settings = Table("setting", "value")
    for key, value in flat(record.config).items():
        settings.add_row(key, Text(_short(value)))
    ends = Table("metric", "median of the last values")
    for name, value in summary["metrics"].items():
        ends.add_row(name, f"{value:.6g}")
    return Group(facts, settings, ends)


def _comparison(first: Record, second: Record) -> Group:
    settings = Table("differs", f"A: {first.name}", f"B: {second.name}")
    for key, a, b in differences(first, second):
        settings.add_row(key, Text(_short(a)), Text(_short(b)))
    ends = Table("at the end", "A", "B", "B / A")
    rows = {name: (first.summary["metrics"].get(name), second.summary["metrics"].get(name))
            for name in dict.fromkeys([*metrics_of(first), *metrics_of(second)])}  # fmt: skip
    rows |= {key: (first.summary[key], second.summary[key]) for key in ("oracle_calls", "seconds")}
    for name, (a, b) in rows.items():
        ratio = f"{b / a:.4g}" if a and b is not None else ""
        ends.add_row(name, *("" if value is None else f"{value:.6g}" for value in (a, b)), ratio)
    return Group(settings, ends)


def _short(value: Any, most: int = 60) -> str:
    text = str(value)
    if isinstance(value, list) and len(text) > most:
        return f"{len(value)} values from {value[0]} to {value[-1]}"
    return text


def _rerun(options: argparse.Namespace) -> None:
    import yaml

    from unibio.config import job_from, portable
    from unibio.launch import report_failures
    from unibio.pool import run_pool
    from unibio.run import Interrupted

    jobs = []
    for name in options.names:
        path = options.records / Path(name).name / "config.yaml"
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise InputError(f"{path} cannot be read: {error}") from None
        where = {"records": str(options.into or options.records), "retry_failed": True}
        jobs.append(job_from(portable(config) | where))
    try:
        failures = run_pool(jobs, 1, finished=_recorded)
    except Interrupted as stopped:
        print(f"unibio: {stopped}; the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    report_failures(failures, len(jobs))
    if failures:
        raise SystemExit(1)


def _recorded(job: Any, computed: bool) -> None:
    from unibio.records import record_name

    print(f"{job.root / record_name(job.config)}: {'computed' if computed else 'already recorded'}", flush=True)


def _clean(options: argparse.Namespace) -> None:
    wanted = {name for name in ("failed", "interrupted") if getattr(options, name)} or {"failed", "interrupted"}
    left = [job for job in status.unfinished(options.records) if job.state in wanted]
    if not left:
        print("nothing to remove: no unfinished runs")
        return
    for job in left:
        print(f"  {job.name}  {job.state}  {job.reason}")
    if not options.yes:
        if not sys.stdin.isatty():
            raise InputError("clean asks before it removes anything, and nobody is there to answer; add --yes")
        if input(f"Remove these {len(left)} directories, with their checkpoints? [y/N] ").strip().lower() != "y":
            print("nothing was removed")
            return
    removed = 0
    for job in left:
        try:
            with FileLock(options.records / ".locks" / f"{job.name}.lock", timeout=0):
                if status.state_of(options.records / job.name).state in wanted:  # it may have been started meanwhile
                    shutil.rmtree(options.records / job.name)
                    removed += 1
        except Timeout:
            print(f"  {job.name} is being computed: kept")
    print(f"{removed} directories removed")
