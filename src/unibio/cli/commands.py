"""``unibio status | show | rerun | clean``: what is known of records, and what is done to single ones."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from unibio.cli import terminal
from unibio.cli.entry import Parser, directory_of_records, number
from unibio.cli.terminal import ROWS, plain, shortened
from unibio.errors import InputError
from unibio.store import packs, records, status
from unibio.store.directories import is_ours, own_files


def main(command: str, arguments: Sequence[str], what: str) -> None:
    """Entry point of these commands."""
    parser = Parser(f"unibio {command}", what)
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    run = {"status": _status, "show": _show, "rerun": _rerun, "clean": _clean}[command]
    if command == "status":
        parser.add_argument("names", nargs="*", help="experiments; all of them if left out")
        parser.add_argument("--watch", action="store_true", help="keep the table current until no job runs")
        parser.add_argument("--every", type=number, default=2.0, metavar="SECONDS", help="of --watch (default: 2)")
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
    run(parser.read(arguments))


def _show(options: argparse.Namespace) -> None:
    from unibio.cli import showing

    showing.show(options)


def _status(options: argparse.Namespace) -> None:
    console = terminal.console()
    directory_of_records(options.records)
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
    overview = Table("sweep", *status.STATES, "replayed", "stale", "diverged", "left")
    overview.columns[0].overflow = "fold"
    for column in overview.columns[1:]:
        column.justify = "right"
    for sweep in found:
        counts = [str(sweep.count(state) or "") for state in status.STATES]
        numbers = [sum(values) for values in zip(*((j.replayed, j.stale, j.diverged) for j in sweep.jobs), strict=True)]
        more = [str(number or "") for number in numbers or (0, 0, 0)]
        overview.add_row(plain(sweep.name), *counts, *more, _length(sweep.eta(now)))
    jobs = {job.name: job for sweep in found for job in sweep.jobs}.values()
    parts: list[Any] = [overview if found else Text("no jobs yet")]
    for name in status.unreadable(options.records):
        parts.append(Text(f".experiments/{plain(name)} is no list of records; the command that wrote it does it again"))
    running = [job for job in jobs if job.state == "running"]
    if running:
        table = Table("running", "by", "iteration", "of", "for", "left")
        for job in running[:ROWS]:
            beat = job.beat or {}
            iteration, steps = (str(beat[key]) if beat.get(key) is not None else "" for key in ("iteration", "steps"))
            by = plain(f"{beat['host']}:{beat['pid']}")
            table.add_row(
                plain(job.name), by, iteration, steps, _length(now - beat["began"]), _length(job.remaining(now))
            )
        parts.append(shortened(table, running))
    ended = [job for job in jobs if job.state in ("failed", "interrupted")]
    if ended:
        table = Table("not done", "state", "why")
        for job in sorted(ended, key=lambda job: job.state)[:ROWS]:
            table.add_row(plain(job.name), job.state, plain(job.reason))
        parts.append(shortened(table, ended))
        parts.append(Text("interrupted jobs go on with the same command; failed ones with retry_failed=true beside it"))
    return Group(*parts)


def _length(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _verify(options: argparse.Namespace, console: Console) -> None:
    done = {job.name for sweep in _chosen(options) for job in sweep.jobs if job.state == "done"}
    packed = packs.contents(options.records)
    faults = {name: packs.at(options.records, name, packed).fault for name in sorted(done)}
    wrong = {name: why for name, why in faults.items() if why is not None}
    console.print(f"{len(done) - len(wrong)} of {len(done)} records are what was written, to the byte")
    for name, why in wrong.items():
        console.print(f"  {plain(name)}: {plain(why)}")
    if wrong:
        raise SystemExit(1)


def _rerun(options: argparse.Namespace) -> None:
    from unibio.pipeline.job import job_from, portable
    from unibio.pipeline.launch import report_failures
    from unibio.pipeline.pool import run_pool
    from unibio.simulation.trajectories import Interrupted

    jobs = []
    for name in options.names:
        record = packs.at(options.records, Path(name).name)
        own = records.name_of(record.config)
        if own != record.name:
            raise InputError(f"{record.path} holds the configuration of {own or 'no job'}, not of this record")
        where = {"records": str(options.into or options.records), "retry_failed": True, "launcher": {"name": "local"}}
        try:
            jobs.append(job_from(portable(record.config) | where))
        except InputError as error:
            raise InputError(f"{record.path}: {error}") from None
    try:
        failures = run_pool(jobs, 1, finished=_recorded)
    except Interrupted as stopped:
        print(f"unibio: {stopped}; the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    report_failures(failures, len(jobs))
    if failures:
        raise SystemExit(1)


def _recorded(job: Any, computed: bool) -> None:
    print(f"{job.path}: {'computed' if computed else 'already recorded'}", flush=True)


def _clean(options: argparse.Namespace) -> None:
    wanted = {name for name in ("failed", "interrupted") if getattr(options, name)} or {"failed", "interrupted"}
    left = [job for job in status.unfinished(options.records) if job.state in wanted]
    if not left:
        print("nothing to remove: no unfinished runs")
        return
    for job in left:
        print(f"  {plain(job.name)}  {job.state}  {plain(job.reason)}")
    if not options.yes:
        if not sys.stdin.isatty():
            raise InputError("clean asks before it removes anything, and nobody is there to answer; add --yes")
        if input(f"Remove these {len(left)} runs, with their checkpoints? [y/N] ").strip().lower() != "y":
            print("nothing was removed")
            return
    removed = 0
    for job in left:
        path = options.records / job.name
        try:
            with FileLock(options.records / ".locks" / f"{job.name}.lock", timeout=0):
                # It may have been started, or something else put in its place, meanwhile.
                if is_ours(path) and status.state_of(path).state in wanted:
                    removed += _removed(path)
        except Timeout:
            print(f"  {plain(job.name)} is being computed: kept")
    print(f"{removed} runs removed")


def _removed(path: Path) -> bool:
    """Remove what a job wrote, and its directory where nothing else lies in it."""
    for file in own_files(path):
        file.unlink(missing_ok=True)
    others = sorted(file.name for file in path.iterdir())
    if others:
        print(f"  {plain(path.name)}: kept, because of what is not the run's: {plain(', '.join(others))}")
        return False
    path.rmdir()
    return True
