"""Publish studies into results/published, the copy under version control: what `make publish` calls.

From a clean tree and whole records alone. Where the code has changed since they were computed, one of every problem and
algorithm is computed again first, to its end: nothing is published that today's code does not compute. The records are
thinned; figures, tables, report and verdicts are made from the thinned ones, and no verdict may differ from that on the
whole ones. The page's pictures are linked there instead of inside it: they lie beside it, and would be in the history
twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from unibio.cli.entry import Parser, directory_of_records
from unibio.cli.searching import script
from unibio.errors import InputError
from unibio.report import publishing
from unibio.store.records import Record
from unibio.studies.common.evidence import Evidence


def prove(found: Sequence[Record]) -> None:
    """Replay whole what has to be, see :mod:`unibio.pipeline.proving`.

    Raises:
        InputError: today's code computes something else.
    """
    if all(record.standing.state == "current" for record in found):
        return
    from unibio.pipeline.proving import prove

    prove(found, lambda line: print(line, flush=True))


def main(arguments: Sequence[str]) -> None:
    parser = Parser("publish.py", __doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "studies", nargs="*", help="studies to publish (modules of unibio.studies); all with records if none is named"
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="receives published/")
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of the whole records")
    parser.add_argument(
        "--complete",
        action="store_true",
        help="afterwards, fail unless every study is published by this state of src and conf",
    )
    options = parser.read(arguments)
    state = publishing.state_of(Path.cwd())
    evidence = Evidence(directory_of_records(options.records))
    studies = publishing.chosen(options.studies, evidence)
    prove(publishing.fit(studies, evidence))
    published = publishing.publish(options.results, studies, evidence, state)
    print(published / "index.html")
    rest = list(publishing.unfinished(published, state))
    for line in rest:
        print(f"publish.py: {line}")
    if rest and options.complete:
        raise InputError(f"{len(rest)} studies are missing or of another state of src and conf (first: {rest[0]})")


if __name__ == "__main__":
    with script("publish") as words:
        main(words)
