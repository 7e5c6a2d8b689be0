"""Draw the figures and write the report with a verdict on each claim, from records."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from unibio import report
from unibio.cli.entry import Parser, directory_of_records
from unibio.cli.searching import script
from unibio.report.counts import headline
from unibio.report.pictures import draw_all
from unibio.studies.common.evidence import Evidence


def main(arguments: Sequence[str]) -> None:
    parser = Parser("report.py", __doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where to write")
    parser.add_argument("--no-figures", action="store_true", help="use the figures that are there")
    options = parser.read(arguments)
    evidence = Evidence(directory_of_records(options.records))
    if not options.no_figures:
        draw_all(options.records, options.out, evidence=evidence)
    page = report.write(options.records, options.out, evidence=evidence)
    print(*headline(options.out), page, sep="\n")


if __name__ == "__main__":
    with script("report") as words:
        main(words)
