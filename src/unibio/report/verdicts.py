"""The report's claims: the table of verdicts, the numbers behind each, and the same for machines."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unibio.report.counts import Counted, counted, is_reduced
from unibio.report.figures import is_shown
from unibio.studies import PARTS
from unibio.studies.common.claim import Claim
from unibio.studies.common.document import (
    Badge,
    Beside,
    Block,
    Bullets,
    Folded,
    Heading,
    MarkdownOnly,
    PageOnly,
    Paragraph,
    Table,
    slug,
)
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.verdicts import (
    CONFOUNDED,
    CONSISTENT,
    DOES_NOT_HOLD,
    HOLDS,
    HOLDS_CONFOUNDED,
    NOT_REPRODUCED,
    NOT_RUN,
    NOT_TESTABLE,
    REPRODUCED,
    VERDICTS,
    VIOLATED,
    Outcome,
    in_words,
)

_COLOURS = {
    REPRODUCED: "good",
    HOLDS: "good",
    CONSISTENT: "good",
    CONFOUNDED: "mixed",
    HOLDS_CONFOUNDED: "mixed",
    NOT_TESTABLE: "mixed",
    NOT_REPRODUCED: "bad",
    DOES_NOT_HOLD: "bad",
    VIOLATED: "bad",
    NOT_RUN: "open",
}

#: What the words of the verdicts mean; shown for those that occur.
MEANINGS = {
    REPRODUCED: "what a source says holds in the records, in every part that the claim names.",
    CONFOUNDED: "what a source says shows in the setting that it was claimed for, but not, or not everywhere, once "
    "what that setting changes along with it is held equal (the steps are smaller for a larger p; a fit has a range). "
    "The picture is there; it does not show its cause.",
    NOT_REPRODUCED: "the records decide, and what a source says does not hold in at least one part that it names.",
    HOLDS: "as “reproduced”, of a claim that is ours.",
    HOLDS_CONFOUNDED: "as “reproduced only with the confound”, of a claim that is ours.",
    DOES_NOT_HOLD: "the records decide, and a claim that is ours does not hold in at least one part that it names. No "
    "source makes it: this is an answer, and no failure to reproduce.",
    CONSISTENT: "the claim bounds something (a rate, an exponent), and what was measured keeps to the bound; "
    "runs cannot prove one.",
    VIOLATED: "the claim bounds something, and what was measured goes beyond the bound.",
    NOT_TESTABLE: "the records decide neither way: seeds overlap, a searched range ends where it should not, or "
    "what the claim presumes does not hold in these runs. The numbers say which.",
    NOT_RUN: "records that the claim needs are missing.",
}


#: Of the file that says in words what report.md names.
OURS = "Our claims"

#: "Section 5.3", "Theorem C.5", "“Complexity of F²SA”".
_PLACE = re.compile(r"(?:Section|Theorem|Appendix|Figure|Example) \w+(?:\.\w+)*|“[^”]*”")


@dataclass(frozen=True)
class Judged:
    """A claim with its outcome and the scale of its records."""

    claim: Claim
    outcome: Outcome
    scale: str

    @property
    def word(self) -> str:
        """The verdict in the words of the claim's kind."""
        return in_words(self.outcome.verdict, self.claim.kind)

    @property
    def verdict(self) -> Badge:
        """The verdict as the report prints it: at a reduced scale it says so."""
        return Badge(f"{self.word}{self.at_scale}", _COLOURS[self.word])

    @property
    def at_scale(self) -> str:
        """What is printed after what is not at full scale; "" after what is."""
        return f" (reduced scale: {self.scale})" if self.reduced else ""

    @property
    def run(self) -> bool:
        """Whether there are the records that the claim needs."""
        return self.outcome.verdict != NOT_RUN

    @property
    def link(self) -> str:
        """To the numbers behind it."""
        return f"[{self.claim.id}](#{slug(self.claim.id)})"

    @property
    def place(self) -> str:
        """What the source names first: a section, theorem, figure or heading; "–" of questions, which have none."""
        if self.claim.kind is Kind.QUESTION:
            return "–"
        found = _PLACE.match(self.claim.source)
        return found[0] if found else re.split("[,;:(]", self.claim.source)[0].strip()

    @property
    def reduced(self) -> bool:
        """Whether there are records and they are of another scale than the paper's."""
        return is_reduced(self.counted)

    @property
    def counted(self) -> Counted:
        """What the headline counts of it."""
        return Counted(self.claim.kind, self.word, self.scale)


def reduced_scale(judged: Sequence[Judged]) -> str:
    """What verdicts from reduced scales are worth, and how many they are; "" where there are none."""
    marked = [j for j in judged if j.reduced]
    if not marked:
        return ""
    run = [j for j in judged if j.run]
    scales = ", ".join(sorted({j.scale for j in marked}))
    what = "runs are shorter, seeds fewer or models smaller than the paper's"
    if len(marked) == len(run):
        return (
            f"**Reduced scale ({scales}): {what}. These verdicts show that everything runs; they say nothing about "
            "the paper.**"
        )
    return (
        f"**{len(marked)} of the {len(run)} verdicts are at a reduced scale ({scales}) and marked so: {what}. They "
        "hold for what was run, and do not carry over to the paper's setting.** All others are at full scale."
    )


def blocks(evidence: Evidence, judged: Sequence[Judged], out: Path) -> Iterable[Block]:
    """What the words mean, then every claim once: on the page a row that unfolds, in Markdown below its name."""
    yield Heading(2, "Every claim, and how it came out", "Verdicts")
    counts = counted(j.counted for j in judged)
    counts.pop(Kind.PAPER, None)  # they are on the first screen
    if counts:
        yield Paragraph("Beside the paper's own:")
        yield Bullets([f"**{kind.label}** ({kind.meaning}): {text}" for kind, text in counts.items()])
    run = [j for j in judged if j.run]
    shown = by_kind(run or judged)
    occurring = {j.word for j in shown}
    yield Paragraph("In these words:")
    yield Bullets([f"**{word}**: {MEANINGS[word]}" for word in VERDICTS if word in occurring])
    yield Paragraph(
        "What every verdict rests on, and where exactly a source says so, is in [claims.csv](tables/claims.csv) and, "
        "for machines, in [claims.json](claims.json)."
    )
    header = ["Claim", "Whose", "Source", "Verdict", "Figure"]
    rows = [[_unfolding(j, evidence), j.claim.kind.label, j.place, j.verdict, _figure(j, evidence, out)] for j in shown]
    yield PageOnly([Table(header, rows, filter_by=("Whose", "Source", "Verdict"))])
    yield MarkdownOnly(list(_listed(shown, evidence, out)))
    if missing := len(judged) - len(run):
        what = f"{missing} more claims wait" if run else f"All {missing} claims wait"
        yield Paragraph(
            f"{what} for records: `make reproduce-all` computes everything; the commands for what is missing of a "
            "part stand under its heading."
        )


def _unfolding(j: Judged, evidence: Evidence) -> Folded:
    said = [
        Paragraph(_explained(j)),
        Paragraph(f"`{j.claim.id}`, {_asked(j.claim.kind)}: {j.claim.source}."),
        Paragraph("Run: " + "; ".join(f"`{evidence.command(name)}`" for name in j.claim.experiments)),
    ]
    return Folded(j.claim.statement, said, anchor=j.claim.id)


def _listed(shown: Sequence[Judged], evidence: Evidence, out: Path) -> Iterable[Block]:
    """What sources say, and what the verdict rests on where it did not plainly come out for them; what is ours by
    names, which lead to a file that says the same of it, and what every verdict rests on."""
    for kind in Kind:
        mine = [j for j in shown if j.claim.kind is kind]
        if mine:
            yield Heading(3, f"Claims: {kind.label}")
        if mine and kind.ours:
            said = [block for j in mine for block in _in_full(j, _figure(j, evidence, out))]
            yield Beside(OURS, [Heading(3, f"In words: {kind.label}"), *said])
            yield _named(mine)
        else:
            yield from (block for j in mine for block in _in_words(j, _figure(j, evidence, out)))


def _named(mine: Sequence[Judged]) -> Table:
    """A row for every part of the report: its claims by their verdicts."""
    words = [word for word in VERDICTS if any(j.word == word for j in mine)]
    rows = []
    for part in PARTS:
        ids = {claim.id for study in part.studies for claim in study.claims}
        here = [j for j in mine if j.claim.id in ids]
        cells = [", ".join(f"{j.link}{j.at_scale}" for j in here if j.word == word) or "–" for word in words]
        if here:
            rows.append([part.title, *cells])
    return Table(["", *words], rows, whole=True)


def _in_words(j: Judged, figure: str) -> Iterable[Block]:
    said = _said(j, j.place, figure if j.claim.kind is Kind.PAPER else "–")
    yield Heading(4, j.claim.id)
    yield Paragraph(f"{said}." if j.word in (REPRODUCED, CONSISTENT) else f"{said}: {j.outcome.explanation}.")


def _in_full(j: Judged, figure: str) -> Iterable[Block]:
    yield Heading(4, j.claim.id)
    yield Paragraph(f"{_said(j, figure)}: {j.outcome.explanation}.")
    yield Paragraph(f"{_asked(j.claim.kind).capitalize()}: {j.claim.source}.")


def _said(j: Judged, *places: str) -> str:
    where = "; ".join(place for place in places if place != "–")
    return f"{j.claim.statement} **{j.verdict.text}**{f' ({where})' if where else ''}"


def _asked(kind: Kind) -> str:
    return "asked" if kind is Kind.QUESTION else "source"


def _figure(j: Judged, evidence: Evidence, out: Path) -> str:
    return f"[figure](#{slug(j.claim.figure)})" if is_shown(evidence, out, j.claim.figure) else "–"


def _explained(j: Judged) -> str:
    return f"{j.outcome.explanation[:1].upper()}{j.outcome.explanation[1:]}."


def by_kind(judged: Sequence[Judged]) -> list[Judged]:
    """The claims of the paper first, then those of each other kind, in the order of the studies."""
    return [j for kind in Kind for j in judged if j.claim.kind is kind]


def machine(title: str, evidence: Evidence, judged: Sequence[Judged]) -> dict[str, Any]:
    """The claims for machines: infinite and undefined numbers are null."""
    return {
        "title": title,
        "scales": sorted({j.scale for j in judged if j.run}),
        "notes": evidence.notes,
        "claims": [
            {
                "id": j.claim.id,
                "statement": j.claim.statement,
                "kind": j.claim.kind,
                "source": j.claim.source,
                "verdict": j.word,
                "scale": j.scale,
                "explanation": j.outcome.explanation,
                "numbers": _plain(j.outcome.numbers),
                "figure": j.claim.figure,
                "experiments": {name: evidence.command(name) for name in j.claim.experiments},
                "records": [record.name for name in j.claim.experiments for record in evidence.records(name)],
            }
            for j in judged
        ],
    }


def table(found: dict[str, Any]) -> pd.DataFrame:
    """The same for readers: a row for every claim that was run, what its verdict rests on in words.

    Args:
        found: what :func:`machine` returns.
    """
    columns = ["id", "kind", "source", "statement", "verdict", "scale", "explanation", "figure"]
    run = [claim for claim in found["claims"] if claim["verdict"] != NOT_RUN]
    return pd.DataFrame([[claim[name] for name in columns] for claim in run], columns=columns)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
