"""Say what a sweep will cost on this device: seconds, memory and hours, from a few iterations of every kind of job.

The arguments are those of `python -m unibio`:

    python scripts/size_up.py experiment=nli scale=laptop
    python scripts/size_up.py experiment=nli data=snli data.vectors=glove device=cuda

Nothing is recorded. Jobs run one after another here, so that none disturbs another's time or memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from tqdm import tqdm

from unibio.cli import terminal
from unibio.cli.entry import Parser, whole
from unibio.cli.searching import script
from unibio.core.saga import GIB
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.sizing import Kind, size_up
from unibio.pipeline.sweep import duration

HEADS = [Column(name, justify="right") for name in ("jobs", "each", "iterations", "s", "metrics s", "GiB", "bound")]


def main(arguments: Sequence[str]) -> None:
    parser = Parser("size_up.py", __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="+", metavar="KEY=VALUE", help="what to size up, e.g. experiment=nli")
    parser.add_argument("--periods", type=whole(1), default=2, help="of the algorithms, to time (default: 2)")
    options = parser.read(arguments)
    try:
        with composer() as compose_one:
            jobs = expand(options.overrides, compose_one)
        with tqdm(desc="sizing up", unit="kind", disable=None, leave=False) as bar:
            kinds = size_up(jobs, options.periods, bar.update)
    except KeyboardInterrupt:
        print("size_up: stopped; nothing is kept", file=sys.stderr)
        raise SystemExit(130) from None
    report(kinds)


def report(kinds: list[Kind]) -> None:
    """Print a row for every kind, why some cannot run, and the sum."""
    table = Table(Column(no_wrap=True), *HEADS, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption = (
        "each: one job, without its look at λ_max; s: an iteration; metrics s: all metrics once; "
        "GiB: peak of memory; bound: what is asked for before a job starts"
    )
    for kind in kinds:
        if kind.size is None:
            table.add_row(kind.label, str(kind.jobs), *["–"] * 6)
            continue
        size = kind.size
        bound = "–" if size.bound is None else f"{size.bound / GIB:.2f}"
        numbers = [f"{size.iterations:,}", f"{size.iteration:.3g}", f"{size.evaluation:.3g}", f"{size.peak / GIB:.2f}"]
        table.add_row(kind.label, str(kind.jobs), duration(size.seconds), *numbers, bound)
    console = terminal.console()
    console.print(table)
    for kind in kinds:
        if kind.size is None:
            console.print(f"{kind.label}: {kind.reason}")
    seconds = sum(kind.jobs * kind.size.seconds for kind in kinds if kind.size is not None)
    count = sum(kind.jobs for kind in kinds if kind.size is not None)
    console.print(f"{count} jobs, one after another: about {duration(seconds)}")


if __name__ == "__main__":
    with script("size_up") as words:
        main(words)
