"""``unibio plot SWEEP`` and ``unibio report SWEEP…``: figures and reports of one's own sweeps, from records alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unibio.cli.entry import Parser, directory_of_records
from unibio.errors import InputError

if TYPE_CHECKING:
    from unibio.report.plotting import Wanted


def flags(parser: Parser) -> None:
    """The flags that say what is drawn."""
    parser.add_argument(
        "--x", default="oracle_calls", help="oracle_calls, iteration, seconds, samples, or a kind of call"
    )
    parser.add_argument("--y", help="a metric (default: the norm of the hypergradient, or the first there is)")
    parser.add_argument("--by", help="the setting that decides colours (default: algorithm, or the first that varies)")
    parser.add_argument("--panel", help="the setting that decides panels, e.g. exponent")
    parser.add_argument("--log", help="logarithmic axes: xy, x, y or none (default: those whose numbers are positive)")
    parser.add_argument("--bands", action="store_true", help="quartiles over the seeds")
    parser.add_argument("--best", action="store_true", help="of several lines of one colour and panel the lowest end")


def plot(arguments: Sequence[str], about: str) -> None:
    """Draw the curves of sweeps into OUT/plots.

    Raises:
        InputError: a sweep, a column or a setting that is not there.
    """
    parser = Parser(
        "unibio plot", about, epilog="A line is a median over seeds; whatever else differs tells lines apart."
    )
    parser.add_argument(
        "sweeps", nargs="+", metavar="SWEEP", help="an experiment, a sweep (unibio status), or a record"
    )
    _places(parser)
    flags(parser)
    options = parser.read(arguments)
    root = directory_of_records(options.records)
    from unibio.report.loading import sweeps
    from unibio.report.plotting import drawn
    from unibio.report.sweep import file_name, sources_of
    from unibio.studies.common.drawing import Drawing
    from unibio.studies.common.evidence import Evidence

    found, notes = sweeps(root, options.sweeps)
    _note(notes)
    sources, wanted = sources_of(found), _wanted(options)
    name = file_name(options.sweeps)
    drawing = Drawing(name, "", lambda _: drawn(sources, wanted, name))
    for path in drawing.write(Evidence(None), options.out / "plots"):
        print(path)


def report(options: argparse.Namespace, root: Path) -> None:
    """Write a report of sweeps into OUT/sweeps/NAME.

    Args:
        options: sweeps, out, and those of :func:`flags`.
        root: directory of records.

    Raises:
        InputError: as above.
    """
    from unibio.report.loading import sweeps
    from unibio.report.sweep import file_name, write

    names: list[str] = options.sweeps
    found, notes = sweeps(root, names)
    _note(notes)
    page = write(found, root, options.out / "sweeps" / file_name(names), notes, _wanted(options))
    print(page, page.with_name("report.pdf"), sep="\n")


def _places(parser: Parser) -> None:
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where to write (default: results)")


def _note(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"unibio: {note}", file=sys.stderr)


def _wanted(options: argparse.Namespace) -> Wanted:
    from unibio.report.plotting import Wanted

    given = dict(vars(options))
    log = given["log"]
    if log is not None and log not in ("x", "y", "xy", "yx", "none"):
        raise InputError(f"--log must be xy, x, y or none, got {log!r}")
    kept = {name: given[name] for name in ("x", "y", "by", "panel", "bands", "best")}
    return Wanted(**kept, log="" if log == "none" else log)
