"""Where the report's numbers come from: environment, data, commands, and every record with its hashes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from unibio.store.records import Record
from unibio.studies import DRAWINGS
from unibio.studies.common.document import (
    Block,
    Bullets,
    Folded,
    Heading,
    MarkdownOnly,
    PageOnly,
    Paragraph,
    Table,
)
from unibio.studies.common.evidence import Evidence

#: Of an experiment, that the page lists; a file has all of them.
MOST_RECORDS = 12


def provenance(evidence: Evidence) -> Iterable[Block]:
    """The report's last part."""
    names = sorted({e for drawing in DRAWINGS.values() for e in drawing.experiments})
    found = {name: evidence.records(name) for name in names}
    every = [record for records in found.values() for record in records]
    yield Heading(2, "Environment and records")
    if evidence.notes:
        yield PageOnly([Paragraph("Found on loading:"), Bullets(evidence.notes)])
        of = ", ".join(dict.fromkeys(note.partition(":")[0] for note in evidence.notes))
        yield MarkdownOnly([Paragraph(f"Found on loading, said under `notes` of [claims.json](claims.json): {of}.")])
    if every:
        yield Heading(3, "Environment")
        yield Table(["What", "Of the records"], _environment(every))
    data = _data(found)
    if data:
        yield Heading(3, "Data")
        yield Paragraph(
            "The fingerprint that every record of the experiment has of its data; it is one of the keys that decide "
            "a record's name, so that other data make another record."
        )
        yield Table(["Problem", "Experiments", "Fingerprint"], data)
    yield Heading(3, "Commands")
    yield from _commands(evidence, {name: len(records) for name, records in found.items()})
    if every:
        yield Heading(3, "Records")
        yield Paragraph(
            "A record is a directory of `runs/`. The last digits of its name are the first of the sha256 of its "
            "scientific keys (problem, data, algorithm, lengths, seeds, grid); `code` are those of the code that "
            "computed it, `seal` those of its file `done`, which holds the sha256 of the others; where the record is a "
            "thinned one, of the record that was computed. To the code that wrote "
            "this report it is **current**, computed by the very same; **replayed**, which means that up to this "
            "iteration today's code computes the same to the bit; or **stale**."
        )
    header = ["Record", "Runs", "Seconds", "Code", "Seal", "Today"]
    rows = {name: [_row(record) for record in found[name]] for name in names if found[name]}
    for name, mine in rows.items():
        shown: list[Block] = [Table(header, mine[:MOST_RECORDS])]
        if len(mine) > MOST_RECORDS:
            shown.append(Paragraph(f"All {len(mine)} are in [report_records.csv](tables/report_records.csv)."))
        yield PageOnly([Folded(f"Records of {name} ({len(mine)})", shown, level=4)])
    if rows:
        every_row = [[name, *row] for name, mine in rows.items() for row in mine]
        yield MarkdownOnly([Table(["Experiment", *header], every_row)])


def _commands(evidence: Evidence, counts: Mapping[str, int]) -> Iterable[Block]:
    """Each command once, with NAME for the experiment, where several differ by nothing else."""
    alike: dict[str, list[str]] = {}
    for name, count in counts.items():
        words = [
            re.sub(rf"^experiment={re.escape(name)}$", "experiment=NAME", w) for w in evidence.command(name).split(" ")
        ]
        alike.setdefault(" ".join(words), []).append(f"{name} ({count})")
    yield Paragraph(
        "NAME stands for one of the experiments behind it; numbers are those of their records. `unibio figures FIGURE` "
        "draws a figure again."
    )
    yield Bullets([f"`{command}`: {', '.join(names)}" for command, names in alike.items()])


def _row(record: Record) -> list[str | int | float]:
    summary = record.summary
    code, seal = str(summary.get("code_hash") or ""), (summary.get("thinned") or {}).get("of") or record.seal
    runs = int(summary["runs"]) if "runs" in summary else len(record.runs)
    seconds = float(summary.get("seconds") or 0)
    hashes = [f"`{digits[:12]}`" if digits else "–" for digits in (code, seal)]
    return [f"`{record.name}`", runs, seconds, *hashes, str(record.standing)]


def _data(found: dict[str, Sequence[Record]] | dict[str, list[Record]]) -> list[list[str]]:
    """(problem, experiments, fingerprint) for every data set."""
    used: dict[tuple[str, str], dict[str, None]] = {}
    for experiment, records in found.items():
        for record in records:
            fingerprint = record.config.get("data_hash")
            if fingerprint:
                used.setdefault((str(record.config["problem"]["name"]), str(fingerprint)), {})[experiment] = None
    return [[problem, ", ".join(names), f"`{fingerprint}`"] for (problem, fingerprint), names in used.items()]


def _environment(every: Sequence[Record]) -> list[list[str]]:
    """What the summaries say about where the records were made; several values where they differ."""

    def said(section: str, key: str | None = None) -> str:
        found = [record.summary.get(section) or {} for record in every]
        values = [one.get(key) if key else one for one in found]
        return ", ".join(dict.fromkeys(str(v) for v in values if v not in (None, "", {}))) or "–"

    versions = dict.fromkeys(key for record in every for key in record.summary.get("versions") or {})
    rows = [[name, said("versions", name)] for name in versions]
    for name in dict.fromkeys(key for record in every for key in record.summary.get("hardware") or {}):
        rows.append([name, said("hardware", name)])
    dirty = any((record.summary.get("git") or {}).get("dirty") for record in every)
    rows.append(["commit", said("git", "commit") + (" (with uncommitted changes)" if dirty else "")])
    unique = {record.name: float(record.summary.get("seconds") or 0) for record in every}
    rows.append(["computing time", f"{sum(unique.values()):.0f} s in {len(unique)} jobs"])
    return rows
