"""The first screen of the report: what came out in a few sentences, and the paper's places beside their verdicts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from unibio.report.verdicts import Judged
from unibio.studies.common.document import Block, Bullets, Paragraph, Table
from unibio.studies.common.kinds import Kind
from unibio.studies.common.verdicts import VERDICTS

#: What a reader should know first, each with the claim that decides it; left out while that has no records.
SENTENCES: Mapping[str, str] = {
    "slower-iterations": "The paper's figures cannot show what p costs: on its synthetic problem φ(x) = sin(sin x) is "
    "the same function for every p, and the published curves differ by their steps η.",
    "hoelder-flatter-tuned": "On a problem of ours p decides how smooth φ is (∇φ is Hölder with the exponent "
    "1/(p − 1)), and η is tuned for every p.",
    "e1-first": "Every method was given the same search for its steps.",
}


def blocks(judged: Sequence[Judged], figure: Iterable[Block] = ()) -> Iterable[Block]:
    """The sentences, the figure of their argument, then a row for every section, theorem and appendix of the paper;
    nothing without records."""
    run = {j.claim.id: j for j in judged if j.run}
    said = [f"{text} {_decided(run[name])}" for name, text in SENTENCES.items() if name in run]
    if said:
        yield Bullets(said)
    yield from figure
    own = [j for j in run.values() if j.claim.kind is Kind.PAPER]
    if not own:
        return
    words = [word for word in VERDICTS if any(j.word == word for j in own)]
    yield Paragraph("Where in the paper, and how it came out:")
    rows = [
        [place, *(", ".join(j.link for j in own if _place(j) == place and j.word == word) or "–" for word in words)]
        for place in sorted({_place(j) for j in own}, key=_order)
    ]
    yield Table(["In the paper", *words], rows)


def _decided(judged: Judged) -> str:
    return f"“{judged.claim.statement.rstrip('.')}”: **{judged.verdict.text}** ({judged.link})."


def _place(judged: Judged) -> str:
    """The section, theorem or appendix that a source names first."""
    found = re.match(r"\w+ [\w.]*\w", judged.claim.source)
    return found[0] if found else judged.claim.source


def _order(place: str) -> tuple[bool, str]:
    """The paper's: numbers, then letters."""
    where = place.split()[-1]
    return where[0].isalpha(), where
