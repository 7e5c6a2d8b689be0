"""Say which searched ranges of steps were too narrow, and what to search instead; with --run, search it until none is.

The rule is that of the learning-rate search. Ranges that prove wide enough belong in conf/experiment: with --run the
records are those of a wider search than the experiment's file asks for.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from unibio import cli
from unibio.analysis.study import MissingRecordsError, Study
from unibio.analysis.widening import Touched, log_range, touched, wider
from unibio.errors import InputError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help="a search over both steps: lr_search, e1, e1_noise, lp_regression, ...")
    parser.add_argument("overrides", nargs="*", help="that the search was run with, for --run, e.g. scale=smoke")
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    parser.add_argument("--run", action="store_true", help="search wider ranges until none is too narrow")
    parser.add_argument("--rounds", type=int, default=3, help="with --run: how often at most (default: 3)")
    options = parser.parse_intermixed_args()
    try:
        ranges: dict[str, str] = {}
        for left in range(options.rounds if options.run else 0, -1, -1):
            found = look(Study(options.records), options.experiment)
            if not found or not left:
                break
            ranges |= {axis: log_range(*wider(which)) for axis, which in found.items()}
            grids = [f"grid.algorithm.{axis}={text}" for axis, text in ranges.items()]
            own = [f"experiment={options.experiment}", f"records={options.records}", *options.overrides]
            cli.run([*own, *grids])
    except (InputError, MissingRecordsError) as error:
        print(f"widen: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(1 if found else 0)


def look(study: Study, experiment: str) -> dict[str, list[Touched]]:
    """Print what was too narrow; by axis."""
    records = study.require(experiment)
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
    main()
