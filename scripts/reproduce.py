"""Run the study and draw its figures and report: what `make reproduce` calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from unibio.cli.entry import Parser, whole
from unibio.cli.reproduce import experiments, reproduce
from unibio.cli.searching import script
from unibio.report.counts import headline
from unibio.simulation.trajectories import Interrupted
from unibio.studies import PARTS

SCALES = "paper (the network at laptop), workstation, laptop, or smoke: seconds that prove nothing"


def main(arguments: Sequence[str]) -> None:
    how = argparse.ArgumentDefaultsHelpFormatter
    parser = Parser(
        "reproduce.py", __doc__, formatter_class=how, epilog="--config-dir DIR adds experiments of your own."
    )
    parser.add_argument("experiments", nargs="*", help="experiments to run; the synthetic study if none is named")
    parser.add_argument("--all", action="store_true", help="every experiment in conf/experiment")
    parser.add_argument("--scale", default="paper", help=SCALES)
    parser.add_argument("--records", default="runs", help="directory of records")
    parser.add_argument("--out", type=Path, default=Path("results"), help="directory of figures, tables and report")
    parser.add_argument("--tracker", default="offline", help="none, offline or online (wandb)")
    parser.add_argument("--launcher", default="processes", help="local, processes or slurm (docs/sweeps.md)")
    parser.add_argument("--workers", type=whole(1), default=None, help="processes; one per GPU or core by default")
    parser.add_argument("--retry-failed", action="store_true", help="try jobs again that failed")
    options = parser.read(arguments)
    names = experiments() if options.all else options.experiments or list(PARTS[0].experiments)
    overrides = [f"records={options.records}", f"tracker={options.tracker}"]
    try:
        where = [f"launcher={options.launcher}", f"retry_failed={options.retry_failed}"]
        written = reproduce(names, options.scale, overrides, options.out, options.workers, where)
    except Interrupted as stopped:
        print(f"unibio: {stopped}; the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    *pictures, page = written
    print(*pictures, *headline(options.out), page, sep="\n")


if __name__ == "__main__":
    with script("reproduce") as words:
        main(words)
