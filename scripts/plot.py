"""Draw figures from records: what `unibio figures` does."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from unibio.cli.entry import Parser, directory_of_records
from unibio.cli.searching import script
from unibio.report.pictures import draw_all
from unibio.studies import DRAWINGS


def main(arguments: Sequence[str]) -> None:
    parser = Parser(
        "plot.py",
        __doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="figures:\n" + "\n".join(f"  {name}: {drawing.caption}" for name, drawing in DRAWINGS.items()),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to draw (default: all that have records)")
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where to write (default: results)")
    options = parser.read(arguments)
    for path in draw_all(
        directory_of_records(options.records), options.out, options.names or None, workers=os.cpu_count() or 1
    ):
        print(path)


if __name__ == "__main__":
    with script("plot") as words:
        main(words)
