"""The report: a verdict on each claim, figures and the numbers behind them, from records alone.

Writes ``index.html`` (one self-contained page), the same in Markdown as ``report.md``, and ``claims.json`` for
machines. What is too long for ``report.md`` lies beside it: our own claims in words (``our_claims.md``), what to keep
in mind (``what_to_keep_in_mind.md``), what is said of long tables (``long_tables.md``), and in ``tables`` these and one
of all claims. Needs no torch. What stands in it, and in which order, is the list :data:`unibio.studies.PARTS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from unibio.errors import InputError
from unibio.report import argument, lead, verdicts
from unibio.report.abridging import write_markdown
from unibio.report.figures import figure_blocks
from unibio.report.page.html import page
from unibio.report.provenance import provenance
from unibio.report.verdicts import Judged
from unibio.store.writing import write_text
from unibio.studies import CLAIMS, PARTS
from unibio.studies.common.claim import judge
from unibio.studies.common.document import KEEP_IN_MIND, Beside, Block, Bullets, Code, Folded, Heading, Paragraph
from unibio.studies.common.evidence import Evidence, MissingRecordsError
from unibio.studies.common.study import Part

TITLE = "UniBiO: what is reproduced"


def write(records_root: Path, out: Path, evidence: Evidence | None = None) -> Path:
    """Judge every claim and write the report beside the figures that :func:`unibio.report.pictures.draw_all` has drawn.

    Args:
        records_root: directory of records.
        out: receives index.html, report.md, what stands beside it, claims.json and tables; figures and their tables
            are looked up in ``out``/figures and ``out``/tables.
        evidence: records already loaded, instead of ``records_root``.

    Returns:
        Path of index.html.
    """
    evidence, out = evidence or Evidence(Path(records_root)), Path(out)
    judged = [Judged(claim, *judge(claim, evidence)) for claim in CLAIMS]
    blocks = list(_blocks(evidence, judged, out))
    machine = verdicts.machine(TITLE, evidence, judged)
    write_text(out / "claims.json", json.dumps(machine, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(out / "tables" / "claims.csv", verdicts.table(machine).to_csv(index=False, lineterminator="\n"))
    write_markdown(blocks, out)
    write_text(out / "index.html", page(TITLE, blocks, out))
    return out / "index.html"


def _blocks(evidence: Evidence, judged: Sequence[Judged], out: Path) -> Iterable[Block]:
    yield from lead.title_of_paper()
    if text := verdicts.reduced_scale(judged):
        yield Paragraph(text)
    yield from lead.blocks(judged, evidence, out, argument.blocks(evidence))
    yield from verdicts.blocks(evidence, judged, out)
    for part in PARTS:
        yield from _part(part, evidence, out)
    yield from provenance(evidence)


def _part(part: Part, evidence: Evidence, out: Path) -> Iterable[Block]:
    yield Heading(2, part.title)
    missing = Code("\n".join(evidence.command(name) for name in part.experiments if not evidence.records(name)))
    if not any(evidence.records(name) for name in part.experiments):
        yield Paragraph("Not yet run. Its records:")
        yield missing
        return
    for study in part.studies:
        if any(evidence.records(name) for name in study.experiments):
            try:
                yield from study.blocks(evidence)
            except (MissingRecordsError, InputError) as error:
                yield Paragraph(f"{error}.")
        yield from figure_blocks(evidence, out, study.drawings)
    if missing.text:
        yield Folded(f"Not yet run: {part.title}", [missing])
    caveats = [caveat for study in part.studies for caveat in study.caveats]
    if caveats:
        yield Beside(KEEP_IN_MIND, [Folded(f"{KEEP_IN_MIND}: {part.title}", [Bullets(caveats)])])
