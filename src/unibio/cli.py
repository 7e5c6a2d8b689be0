"""The command line: ``unibio COMMAND``; ``python -m unibio`` is ``unibio run``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

COMMANDS = {
    "run": "one configuration, or with -m a sweep; arguments are Hydra overrides (python -m unibio is the same)",
    "sweep": "run -m: several values per key, e.g. unibio sweep problem.exponent=2,4,6,8",
    "status": "a table of every sweep: done, running, failed, interrupted, to do, and when it will end",
    "show": "one run's summary and curve in the terminal, or two compared; exports to CSV",
    "rerun": "compute a record again from the configuration that it stores",
    "clean": "remove what unfinished runs left, after asking",
    "data": "prepare sentence pairs and say what they are: unibio data [generated|snli|directory] [data.KEY=VALUE ...]",
    "list": "algorithms, problems and experiments, with every parameter, its default and meaning",
    "figures": "draw figures from records",
    "report": "write the report with a verdict on each claim from records",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``unibio``."""
    try:
        _main(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe (head, less) has seen enough
        sys.stdout = None  # or the interpreter would try to flush it again
        raise SystemExit(141) from None


def _main(arguments: Sequence[str] | None) -> None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print("usage: unibio COMMAND [...]\n")
        print("\n".join(f"  {name:<9}{text}" for name, text in COMMANDS.items()))
        print("\nunibio COMMAND --help says more.")
        return
    command, rest = given[0], given[1:]
    if command not in COMMANDS:
        from unibio.errors import unknown

        _fail(unknown("command", command, COMMANDS))
    if command == "run":
        run(rest)
    elif command == "sweep":
        run(["-m", *rest])
    elif command == "list":
        _list(rest)
    elif command in ("status", "show", "rerun", "clean"):
        from unibio import commands

        commands.main(command, rest, COMMANDS[command])
    elif command == "data":
        from unibio.data import command as data

        data.main(rest, COMMANDS[command])
    else:
        _from_records(command, rest)


def run(arguments: Sequence[str] | None = None) -> None:
    """Compose with Hydra, check every job, say what is to come, and run it where the launcher says.

    Exits with 1 if jobs failed, 2 on input that cannot work, 130 when asked to stop.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    given = ["retry_failed=true" if argument == "--retry-failed" else argument for argument in given]
    flags = {argument for argument in given if argument.startswith("-")}
    if flags - {"-m", "--multirun"}:
        _ask_hydra(given)
        return
    from unibio.errors import InputError
    from unibio.launch import launch, report_failures, workers_of
    from unibio.run import Interrupted
    from unibio.sweep import announce, composer, expand, is_multirun

    overrides = [argument for argument in given if argument not in flags]
    try:
        with composer() as compose_one:
            if not flags:
                is_multirun(overrides, compose_one)  # refuses several values without -m
            jobs = expand(overrides, compose_one)
        planned = announce(jobs, "python -m unibio " + " ".join(given), workers_of(jobs[0]))
        if len(planned.refused) == len(jobs):
            raise SystemExit(2)
        if len(jobs) == 1 and not planned.pending:
            _say(jobs[0], "already recorded")
        failures = launch(planned.pending, lambda job, here: _say(job, None if here else "recorded by another sweep"))
    except InputError as error:
        _fail(error)
    except Interrupted as stopped:
        print(f"unibio: {stopped}; the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    except KeyboardInterrupt:
        print("unibio: stopped at once; the same command goes on from the last checkpoints", file=sys.stderr)
        raise SystemExit(130) from None
    report_failures(failures, len(jobs))
    if failures or planned.refused:
        raise SystemExit(1)


def _ask_hydra(arguments: Sequence[str]) -> None:
    """Hydra's own flags, which show a configuration or explain themselves and run nothing: --cfg, --info, --help."""
    import hydra

    from unibio import config as configuration

    def refuse(_: object) -> None:
        _fail(ValueError(f"unknown flag in {' '.join(arguments)}; unibio run --help lists what there is"))

    configuration.register()
    sys.argv = [sys.argv[0], *arguments]
    with_hydra = hydra.main(
        version_base="1.3", config_path=str(configuration.conf_dir().resolve()), config_name="config"
    )
    with_hydra(refuse)()


def _say(job: Any, how: str | None) -> None:
    """One line about a record, above a progress bar if there is one."""
    from tqdm import tqdm

    from unibio.records import Record, record_name

    record = Record(job.root / record_name(job.config))
    tqdm.write(_outcome_line(record, how or f"computed in {record.summary['seconds']:.1f} s"))
    sys.stdout.flush()


def _outcome_line(record: Any, how: str) -> str:
    statuses = ", ".join(f"{count} {status}" for status, count in record.summary["statuses"].items())
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in record.summary["metrics"].items())
    warned = "".join(f"\n  warning: {message}" for message in record.summary["warnings"])
    return f"{record.path}: {how}; {statuses}; {metrics}{warned}"


def _list(arguments: Sequence[str]) -> None:
    """Print what can be configured."""
    parser = argparse.ArgumentParser(prog="unibio list", description=COMMANDS["list"])
    parser.add_argument("name", nargs="?", help="one algorithm or problem; all of them if left out")
    wanted = parser.parse_args(arguments).name
    from unibio.config import conf_dir
    from unibio.errors import unknown
    from unibio.parameters import accepted, declared
    from unibio.registry import ALGORITHMS, PROBLEMS

    everything = {**ALGORITHMS, **PROBLEMS}
    if wanted is not None and wanted not in everything:
        _fail(unknown("algorithm or problem", wanted, everything))
    for title, table in (("algorithms", ALGORITHMS), ("problems", PROBLEMS)):
        chosen = {name: cls for name, cls in table.items() if wanted in (None, name)}
        if chosen:
            print(f"{title}:")
        for name, cls in chosen.items():
            print(f"\n  {name}: {(cls.__doc__ or '').strip().splitlines()[0]}")
            for spec in declared(cls):
                meta = spec.metadata
                symbol = f"{meta['symbol']}: " if meta["symbol"] else ""
                axis = "; can be a grid axis" if spec.name in cls.per_run() else ""
                default = "null" if spec.default is None else spec.default
                print(f"    {spec.name} = {default}  {symbol}{meta['help']} ({accepted(meta)}{axis})")
        if chosen:
            print()
    if wanted is None:
        print("experiments (python -m unibio experiment=NAME):\n")
        for path in sorted((conf_dir() / "experiment").glob("*.yaml")):
            comments = [line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
            print(f"  {path.stem}: {comments[1] if len(comments) > 1 else ''}")


def _from_records(command: str, arguments: Sequence[str]) -> None:
    """``figures`` and ``report``; neither imports torch."""
    parser = argparse.ArgumentParser(prog=f"unibio {command}", description=COMMANDS[command])
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where to write (default: results)")
    if command == "figures":
        parser.add_argument("names", nargs="*", help="figures to draw (default: all)")
    options = parser.parse_args(arguments)
    from unibio.errors import InputError

    try:
        if command == "figures":
            from unibio.figures import draw_all

            for path in draw_all(options.records, options.out, options.names or None, workers=os.cpu_count() or 1):
                print(path)
        else:
            from unibio import report

            print(report.write(options.records, options.out))
    except InputError as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    print(f"unibio: {error}", file=sys.stderr)
    raise SystemExit(2)
