"""Draw the figures and write the report with a verdict on each claim, from records."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from unibio import report
from unibio.analysis.study import Study
from unibio.errors import InputError
from unibio.figures import draw_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where to write")
    parser.add_argument("--no-figures", action="store_true", help="use the figures that are there")
    options = parser.parse_args()
    study = Study(options.records)
    try:
        if not options.no_figures:
            draw_all(options.records, options.out, study=study)
        print(report.write(options.records, options.out, study=study))
    except InputError as error:
        print(f"report: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
