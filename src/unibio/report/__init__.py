"""The report: a verdict on each claim, figures and the numbers behind them, from records alone.

Writes ``index.html`` (one self-contained page), the same in Markdown as ``report.md``, and ``claims.json`` for
machines. Needs no torch.

To add a study: write a module here that defines ``SECTION`` (a :class:`unibio.report.section.Section`;
:mod:`unibio.report.e1` is a short example) and name it in :data:`SECTIONS`. Its figures come from
:mod:`unibio.figures` and its claims from :mod:`unibio.analysis.statements`; a figure that no section names is shown in
a last one, so that nothing drawn is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from unibio.analysis.statements import CLAIMS, judge
from unibio.analysis.study import Study
from unibio.document import Block, Bullets, Code, Folded, Heading, Paragraph, markdown
from unibio.figures import FIGURES
from unibio.page import page
from unibio.records import write_text
from unibio.report import claims, e1, first_order, lp_regression, nli, synthetic
from unibio.report.claims import Judged
from unibio.report.figures import figure_blocks
from unibio.report.provenance import provenance
from unibio.report.section import Section

TITLE = "UniBiO: what is reproduced"

#: The studies of the report, in its order.
SECTIONS: tuple[Section, ...] = (synthetic.SECTION, e1.SECTION, lp_regression.SECTION, nli.SECTION, first_order.SECTION)


def write(records_root: Path, out: Path, study: Study | None = None) -> Path:
    """Judge every claim and write the report beside the figures that :func:`unibio.figures.draw_all` has drawn.

    Args:
        records_root: directory of records.
        out: receives index.html, report.md and claims.json; figures and tables are looked up in ``out``/figures and
            ``out``/tables.
        study: records already loaded, instead of ``records_root``.

    Returns:
        Path of index.html.
    """
    study, out = study or Study(Path(records_root)), Path(out)
    judged = [Judged(claim, *judge(claim, study)) for claim in CLAIMS]
    blocks = list(_blocks(study, judged, out))
    machine = json.dumps(claims.machine(TITLE, study, judged), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(out / "claims.json", machine + "\n")
    write_text(out / "report.md", markdown(blocks))
    write_text(out / "index.html", page(TITLE, blocks, out))
    return out / "index.html"


def _blocks(study: Study, judged: Sequence[Judged], out: Path) -> Iterable[Block]:
    yield Heading(1, TITLE)
    yield Paragraph(
        "The paper arXiv:2603.00027 (Wu, Gong, Hao and Liu, ICLR 2026), reproduced from configuration to verdict. "
        "Everything here is computed from the records listed at the end; every verdict follows from them by a rule in "
        "`unibio/analysis`."
    )
    if text := claims.reduced_scale(judged):
        yield Paragraph(text)
    yield from claims.blocks(study, judged, out)
    for section in SECTIONS:
        yield from _section(section, study, out)
    named = {name for section in SECTIONS for name in section.figures}
    others = [name for name in FIGURES if name not in named]
    if others:
        yield Heading(2, "Other figures")
        yield from figure_blocks(study, out, others)
    yield from provenance(study)


def _section(section: Section, study: Study, out: Path) -> Iterable[Block]:
    yield Heading(2, section.title)
    if not any(study.records(name) for name in section.experiments):
        yield Paragraph("Not yet run. Its records:")
        yield Code("\n".join(study.command(name) for name in section.experiments))
        return
    yield from section.blocks(study)
    yield from figure_blocks(study, out, section.figures)
    if section.caveats:
        yield Folded(f"What to keep in mind: {section.title}", [Bullets(section.caveats)])
