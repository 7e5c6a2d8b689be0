"""Run the study and draw its figures and report: what `make reproduce` calls."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from unibio.analysis.study import SYNTHETIC
from unibio.errors import InputError
from unibio.reproduce import experiments, reproduce
from unibio.run import Interrupted

SCALES = "paper (the network at laptop), workstation, laptop, or smoke: seconds that prove nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("experiments", nargs="*", help="experiments to run; the synthetic study if none is named")
    parser.add_argument("--all", action="store_true", help="every experiment in conf/experiment")
    parser.add_argument("--scale", default="paper", help=SCALES)
    parser.add_argument("--records", default="runs", help="directory of records")
    parser.add_argument("--out", type=Path, default=Path("results"), help="directory of figures, tables and report")
    parser.add_argument("--tracker", default="offline", help="none, offline or online (wandb)")
    parser.add_argument("--launcher", default="joblib", help="local, joblib or slurm (docs/sweeps.md)")
    parser.add_argument("--workers", type=int, default=None, help="of joblib; one per GPU or core by default")
    parser.add_argument("--retry-failed", action="store_true", help="try jobs again that failed")
    options = parser.parse_args()
    names = experiments() if options.all else options.experiments or list(SYNTHETIC)
    overrides = [f"records={options.records}", f"tracker={options.tracker}"]
    try:
        where = [f"launcher={options.launcher}", f"retry_failed={options.retry_failed}"]
        written = reproduce(names, options.scale, overrides, options.out, options.workers, where)
    except InputError as error:
        print(f"unibio: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Interrupted as stopped:
        print(f"unibio: {stopped}; the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    for path in written:
        print(path)


if __name__ == "__main__":
    main()
