"""Publish studies into results/published, the copy under version control: what `make publish` calls.

From a clean tree and whole records alone. Where the code has changed since they were computed, one of every problem and
algorithm is computed again first, to its end: nothing is published that today's code does not compute. The records are
thinned; figures, tables, report and verdicts are made from the thinned ones, and no verdict may differ from that on the
whole ones. The page's pictures are linked there instead of inside it: they lie beside it, and would be in the history
twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

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


def confirm(published: Path, but: Sequence[str], state: Mapping[str, str], data: Path | None) -> list[str]:
    """The experiments published before by another state of which today's gives the same records."""
    from unibio.pipeline.confirming import differing

    evidence, given = Evidence(published / "records"), [] if data is None else [f"data.dir={data.resolve()}"]
    noted = publishing.states(published)
    older = [name for name, one in noted.items() if name not in but and not publishing.alike(one, state)]
    confirmed = []
    with TemporaryDirectory() as empty:
        for name in older:
            why = differing(evidence.records(name), evidence.command(name), given, Path(empty))
            print(f"{name}: {why or 'confirmed'}", flush=True)
            confirmed += [] if why else [name]
    return confirmed


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
        help="afterwards, fail unless every experiment is published by this state of src and conf",
    )
    parser.add_argument(
        "--confirm",
        action="store_true",
        help="plan what was published before again: where today's conf and src give the very same records, they count "
        "as published by today's state",
    )
    parser.add_argument("--data", type=Path, help="with --confirm: the directory of data that experiments had")
    options = parser.read(arguments)
    state = publishing.state_of(Path.cwd())
    evidence = Evidence(directory_of_records(options.records)) if options.studies or not options.confirm else None
    experiments = [] if evidence is None else publishing.chosen(options.studies, evidence)
    if evidence is not None:
        prove(publishing.fit(experiments, evidence))
    confirmed = confirm(options.results / "published", experiments, state, options.data) if options.confirm else []
    published = publishing.publish(options.results, experiments, evidence or Evidence(None), state, confirmed)
    print(published / "index.html")
    rest = list(publishing.unfinished(published, state))
    for line in rest:
        print(f"publish.py: {line}")
    if rest and options.complete:
        raise InputError(f"{len(rest)} experiments are missing or of another state of src and conf (first: {rest[0]})")


if __name__ == "__main__":
    with script("publish") as words:
        main(words)
