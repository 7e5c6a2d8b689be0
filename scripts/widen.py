"""Say which searched ranges of steps were too narrow, and what to search instead; with --run, search it until none is.

The rule is that of the learning-rate search. Ranges that prove wide enough belong in conf/experiment: with --run the
records are those of a wider search than the experiment's file asks for.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from unibio.cli import main as cli
from unibio.cli.entry import Parser, directory_of_records, whole
from unibio.cli.searching import script
from unibio.errors import InputError
from unibio.studies import study_of
from unibio.studies.common.evidence import Evidence, MissingRecordsError
from unibio.studies.common.widening import Touched, log_range, wider


def main(arguments: Sequence[str]) -> None:
    parser = Parser("widen.py", __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help="a search over both steps: lr_search, e1, e1_noise, lp_regression, ...")
    parser.add_argument("overrides", nargs="*", help="that the search was run with, for --run, e.g. scale=smoke")
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    parser.add_argument("--run", action="store_true", help="search wider ranges until none is too narrow")
    parser.add_argument("--rounds", type=whole(1), default=3, help="with --run: how often at most (default: 3)")
    options = parser.read(arguments)
    try:
        ranges: dict[str, str] = {}
        for left in range(options.rounds if options.run else 0, -1, -1):
            found = look(Evidence(directory_of_records(options.records)), options.experiment)
            if not found or not left:
                break
            ranges |= {axis: log_range(*wider(which)) for axis, which in found.items()}
            grids = {f"grid.algorithm.{axis}": text for axis, text in ranges.items()}
            kept = [word for word in options.overrides if word.lstrip("+").partition("=")[0] not in grids]
            own = [f"experiment={options.experiment}", f"records={options.records}", *kept]
            cli.run([*own, *(f"{key}={text}" for key, text in grids.items())])
    except MissingRecordsError as error:
        raise InputError(str(error)) from None
    raise SystemExit(1 if found else 0)


def look(evidence: Evidence, experiment: str) -> dict[str, list[Touched]]:
    """Print what was too narrow; by axis.

    Raises:
        InputError: no study searches for anything in this experiment.
    """
    study = study_of(experiment)
    touched = None if study is None else study.touched
    if touched is None:
        raise InputError(f"experiment {experiment!r} searches for no steps whose ranges a rule could widen")
    records = evidence.require(experiment)
    found: dict[str, list[Touched]] = {}
    for one in (one for record in records for one in touched(record)):
        found.setdefault(one.axis, []).append(one)
        ends = " and ".join(one.ends)
        span = f"{one.steps[0]:.3g} … {one.steps[-1]:.3g}"
        print(f"{one.record.name}: {one.axis} at the {ends} end of {span}; search {log_range(*wider([one]))}")
    narrow = len({one.record.name for which in found.values() for one in which})
    print(f"{experiment}: {narrow} of {len(records)} searches were too narrow")
    for axis, which in found.items():
        print(f"for all of them: grid.algorithm.{axis}='{log_range(*wider(which))}'")
    return found


if __name__ == "__main__":
    with script("widen") as words:
        main(words)
