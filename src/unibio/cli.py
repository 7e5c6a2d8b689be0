"""The command line: ``unibio run | sweep | list | figures | report``; ``python -m unibio`` is ``unibio run``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

COMMANDS = {
    "run": "one configuration, or with -m a sweep; arguments are Hydra overrides (python -m unibio is the same)",
    "sweep": "run -m: several values per key, e.g. unibio sweep problem.exponent=2,4,6,8",
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
    else:
        _from_records(command, rest)


def run(arguments: Sequence[str] | None = None) -> None:
    """Compose with Hydra and run; in a multirun, every job of it.

    Every job is checked, and the size and expected time of the whole are printed, before Hydra starts the first.
    """
    import hydra
    from omegaconf import DictConfig
    from tqdm import tqdm

    from unibio import config as configuration
    from unibio.errors import InputError
    from unibio.pool import finish_job
    from unibio.run import Interrupted

    given = list(sys.argv[1:] if arguments is None else arguments)
    multirun = _check_first(given)

    def task(composed: DictConfig) -> str:
        try:
            job = configuration.job_from(composed)
            hide = None if job.config["progress"] else True
            with tqdm(total=job.config["steps"], unit="it", disable=hide, desc=job.problem.name, leave=False) as bar:
                outcome = finish_job(job, lambda finished: bar.update(finished - bar.n) and None)
        except InputError as error:
            if multirun:
                raise
            _fail(error)
        except Interrupted as stopped:
            print(f"unibio: {stopped}; the same command goes on from there", file=sys.stderr)
            # Hydra's sweeper would start the next job after an Exception; a reader who pressed Ctrl-C wants none.
            raise SystemExit(130) from None
        print(_outcome_line(outcome), flush=True)
        return str(outcome.record.path)

    configuration.register()
    sys.argv = [sys.argv[0], *given]
    with_hydra = hydra.main(
        version_base="1.3", config_path=str(configuration.conf_dir().resolve()), config_name="config"
    )
    with_hydra(task)()


def _check_first(arguments: Sequence[str]) -> bool:
    """Check every job and announce the sweep; returns whether it is one. Leaves Hydra's other flags to Hydra."""
    from unibio.errors import InputError
    from unibio.sweep import announce, composer, expand, is_multirun

    flags = {argument for argument in arguments if argument.startswith("-")}
    if flags - {"-m", "--multirun"}:
        return False
    overrides = [argument for argument in arguments if argument not in flags]
    try:
        with composer() as compose_one:
            multirun = bool(flags) or is_multirun(overrides, compose_one)
            announce(expand(overrides, compose_one), "python -m unibio " + " ".join(arguments))
    except InputError as error:
        _fail(error)
    return multirun


def _outcome_line(outcome: Any) -> str:
    record = outcome.record
    statuses = ", ".join(f"{count} {status}" for status, count in record.summary["statuses"].items())
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in record.summary["metrics"].items())
    how = f"computed in {record.summary['seconds']:.1f} s" if outcome.computed else "already recorded"
    warned = "".join(f"\n  warning: {message}" for message in record.summary["warnings"])
    return f"{record.path}: {how}; {statuses}; {metrics}{warned}"


def _list(arguments: Sequence[str]) -> None:
    """Print what can be configured."""
    parser = argparse.ArgumentParser(prog="unibio list", description=COMMANDS["list"])
    parser.add_argument("name", nargs="?", help="one algorithm or problem; all of them if left out")
    wanted = parser.parse_args(arguments).name
    import dataclasses

    from unibio.config import conf_dir
    from unibio.errors import unknown
    from unibio.parameters import accepted
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
            for spec in dataclasses.fields(cls):
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
    parser.add_argument("--out", type=Path, default=Path("reproduced"), help="where to write (default: reproduced)")
    if command == "figures":
        parser.add_argument("names", nargs="*", help="figures to draw (default: all)")
    options = parser.parse_args(arguments)
    from unibio.errors import InputError

    try:
        if command == "figures":
            from unibio.figures import draw_all

            for path in draw_all(options.records, options.out, options.names or None):
                print(path)
        else:
            from unibio import report

            print(report.write(options.records, options.out))
    except InputError as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    print(f"unibio: {error}", file=sys.stderr)
    raise SystemExit(2)
