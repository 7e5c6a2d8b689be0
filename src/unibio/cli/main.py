"""The command line: ``unibio COMMAND``; ``python -m unibio`` is ``unibio run``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unibio.cli.entry import Parser, command, directory_of_records
from unibio.cli.terminal import plain
from unibio.errors import InputError, unknown

COMMANDS = {
    "run": "one configuration, or with -m a sweep; arguments are Hydra overrides (python -m unibio is the same)",
    "sweep": "run -m: several values per key, e.g. unibio sweep problem.exponent=2,4,6,8",
    "status": "a table of every sweep: done, running, failed, interrupted, to do, and when it will end",
    "show": "one run's summary and curve in the terminal, or two compared; exports to CSV",
    "rerun": "compute a record again from the configuration that it stores",
    "clean": "remove what unfinished runs left, after asking",
    "data": "prepare sentence pairs and say what they are: unibio data [generated|snli|directory] [data.KEY=VALUE ...]",
    "check": "the paper's assumptions on a problem, and the constants found: unibio check problem=NAME",
    "list": "algorithms, problems and experiments in a sentence each; of one or of a kind, all parameters",
    "plot": "curves of a sweep of your own: unibio plot SWEEP --x oracle_calls --by algorithm --panel exponent",
    "new": "a package of your own with a test that passes: unibio new algorithm|problem|experiment NAME",
    "completion": 'tab completion: eval "$(unibio completion bash)"',
    "figures": "draw the studies' figures from records",
    "report": "write the report with a verdict on each claim from records; with the name of a sweep, a report of that",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``unibio``."""
    with command("unibio"):
        _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(given: list[str]) -> None:
    if not given or given[0] in ("-h", "--help"):
        print("usage: unibio COMMAND [...]\n")
        width = max(map(len, COMMANDS)) + 2
        print("\n".join(f"  {name:<{width}}{text}" for name, text in COMMANDS.items()))
        print(
            "\nunibio COMMAND --help says more; unibio --version says which it is. In every command, --config-dir DIR"
        )
        print("adds configuration files of your own; docs/plugins.md says what else can come from outside.")
        return
    if given[0] == "--version":
        print(f"unibio {version('unibio')}")
        return
    name = given[0]
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    from unibio.cli.searching import taken_out
    from unibio.pipeline.conf import including

    rest, directories = taken_out(given[1:])
    with including(directories):
        _command(name, rest)


def _command(name: str, rest: list[str]) -> None:
    if name == "run":
        run(rest)
    elif name == "sweep":
        run(["-m", *rest])
    elif name == "list":
        from unibio.cli import listing

        listing.main(rest, COMMANDS[name])
    elif name in ("status", "show", "rerun", "clean"):
        from unibio.cli import commands

        commands.main(name, rest, COMMANDS[name])
    elif name == "data":
        from unibio.cli import data

        data.main(rest, COMMANDS[name])
    elif name == "check":
        from unibio.cli import assumptions

        assumptions.main(rest, COMMANDS[name])
    elif name == "new":
        from unibio.cli import new

        new.main(rest, COMMANDS[name])
    elif name == "completion":
        from unibio.cli import completion

        completion.main(rest, COMMANDS, COMMANDS[name])
    elif name == "plot":
        from unibio.cli import sweeps

        sweeps.plot(rest, COMMANDS[name])
    else:
        _from_records(name, rest)


def run(arguments: Sequence[str]) -> None:
    """Compose with Hydra, check every job, say what is to come, and run it where the launcher says.

    Raises:
        InputError: input that cannot work.
        SystemExit: 1 if jobs failed, 2 if none can run, 130 when asked to stop.
    """
    given, name = _named(["retry_failed=true" if one == "--retry-failed" else one for one in arguments])
    flags = {argument for argument in given if argument.startswith("-")}
    if flags & {"-h", "--help"}:
        from unibio.cli import listing

        print(listing.usage())
        return
    if flags == {"--version"}:
        _main(["--version"])
        return
    if flags & {"-sc", "--shell-completion"}:
        raise InputError('Hydra completes words of a single command; for ours: eval "$(unibio completion bash)"')
    if any(one.lstrip("+").startswith("hydra/") for one in given):
        from unibio.cli import hydras

        hydras.multirun(given)
        return
    if flags - {"-m", "--multirun"}:
        from unibio.cli import hydras

        hydras.ask(given)
        return
    from unibio.cli import searching
    from unibio.pipeline.composing import composer, expand, is_multirun
    from unibio.pipeline.sweep import announce, same_for_all_seeds
    from unibio.simulation.trajectories import Interrupted

    overrides = [argument for argument in given if argument not in flags]
    failures: list[Any] = []
    try:
        with composer() as compose_one:
            if not flags:
                is_multirun(overrides, compose_one)  # refuses several values without -m
            jobs = expand(overrides, compose_one)
        called = [] if name is None else [f"--name={name}"]
        planned = announce(jobs, " ".join(["python -m unibio", *searching.given(), *called, *given]), name)
        if len(planned.refused) == len(jobs):
            raise SystemExit(2)
        if len(jobs) == 1 and not planned.pending:
            _say(jobs[0], "already recorded")
        if planned.pending:
            from unibio.pipeline.launch import launch

            failures = launch(
                planned.pending, lambda job, here: _say(job, None if here else "recorded by another sweep")
            )
    except Interrupted as stopped:
        print(f"unibio: {stopped}; the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    except KeyboardInterrupt:
        print("unibio: stopped at once; the same command goes on from the last checkpoints", file=sys.stderr)
        raise SystemExit(130) from None
    for line in same_for_all_seeds(jobs):
        print(f"unibio: note: {line}", file=sys.stderr)
    if failures:
        from unibio.pipeline.launch import report_failures

        report_failures(failures, len(jobs))
    if failures or planned.refused:
        raise SystemExit(1)


def _named(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """The arguments without --name, and the name that it gives to a sweep.

    Raises:
        InputError: no name, or one that cannot be a file's.
    """
    rest, name = [], None
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        flag, equals, value = word.partition("=")
        if flag != "--name":
            rest.append(word)
            continue
        name = value if equals else waiting.pop(0) if waiting else ""
        if not re.fullmatch(r"\w[\w.+-]{0,99}", name):
            raise InputError(f"--name {name!r} cannot be a sweep's name: letters, digits, and . + - _ after the first")
    return rest, name


def _say(job: Any, how: str | None) -> None:
    """One line about a record, above a progress bar if there is one."""
    from tqdm import tqdm

    from unibio.store.records import Record

    record = Record(job.path)
    if how is None:
        how = f"computed in {record.summary['seconds']:.1f} s"
    elif record.standing.state == "replayed":
        how = f"already recorded, {record.standing}"
    tqdm.write(_outcome_line(record, how))
    sys.stdout.flush()


def _outcome_line(record: Any, how: str) -> str:
    statuses = ", ".join(f"{count} {plain(status)}" for status, count in record.summary.get("statuses", {}).items())
    metrics = ", ".join(f"{plain(name)} {value:.4g}" for name, value in record.summary.get("metrics", {}).items())
    warned = "".join(f"\n  warning: {plain(message)}" for message in record.summary.get("warnings", ()))
    return f"{record.path}: {how}; {statuses}; {metrics}{warned}"


def _from_records(name: str, arguments: Sequence[str]) -> None:
    """``figures`` and ``report``; neither imports torch."""
    parser = Parser(f"unibio {name}", COMMANDS[name])
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where to write (default: results)")
    if name == "figures":
        parser.add_argument("names", nargs="*", help="figures to draw (default: all)")
    else:
        from unibio.cli import sweeps

        parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help="sweeps of your own, instead of the studies")
        sweeps.flags(parser)
    options = parser.read(arguments)
    if name == "figures":
        from unibio.report.pictures import draw_all

        for path in draw_all(
            directory_of_records(options.records), options.out, options.names or None, workers=os.cpu_count() or 1
        ):
            print(path)
    elif options.sweeps:
        sweeps.report(options, directory_of_records(options.records))
    else:
        from unibio import report
        from unibio.report.counts import headline

        page = report.write(directory_of_records(options.records), options.out)
        print(*headline(options.out), page, sep="\n")
