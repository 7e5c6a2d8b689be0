"""Draw figures from records: what `unibio figures` does."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from unibio.errors import InputError
from unibio.figures import FIGURES, draw_all


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="figures:\n" + "\n".join(f"  {name}: {drawing.caption}" for name, drawing in FIGURES.items()),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to draw (default: all that have records)")
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where to write (default: results)")
    options = parser.parse_args()
    try:
        for path in draw_all(options.records, options.out, options.names or None, workers=os.cpu_count() or 1):
            print(path)
    except InputError as error:
        print(f"plot: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
