"""The report's claims: the table of verdicts, the numbers behind each, and the same for machines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unibio.analysis import claims as rules
from unibio.analysis.claims import Outcome
from unibio.analysis.statements import Claim
from unibio.analysis.study import Study
from unibio.document import Badge, Block, Bullets, Folded, Heading, Paragraph, Table, slug
from unibio.report.figures import is_shown

_KINDS = {
    rules.REPRODUCED: "good",
    rules.CONSISTENT: "good",
    rules.CONFOUNDED: "mixed",
    rules.NOT_TESTABLE: "mixed",
    rules.NOT_REPRODUCED: "bad",
    rules.VIOLATED: "bad",
    rules.NOT_RUN: "open",
}

#: What the words of the verdicts mean; shown for those that occur.
MEANINGS = {
    rules.REPRODUCED: "what is claimed holds in the records, in every part that the claim names.",
    rules.CONFOUNDED: "what is claimed shows in the setting that it was claimed for, but not, or not everywhere, once "
    "what that setting changes along with it is held equal (the steps are smaller for a larger p; a fit has a range). "
    "The picture is there; it does not show its cause.",
    rules.NOT_REPRODUCED: "the records decide, and what is claimed does not hold in at least one part that it names.",
    rules.CONSISTENT: "the claim bounds something (a rate, an exponent), and what was measured keeps to the bound; "
    "runs cannot prove one.",
    rules.VIOLATED: "the claim bounds something, and what was measured goes beyond the bound.",
    rules.NOT_TESTABLE: "the records decide neither way: seeds overlap, a searched range ends where it should not, or "
    "what the claim presumes does not hold in these runs. The numbers say which.",
    rules.NOT_RUN: "records that the claim needs are missing.",
}


@dataclass(frozen=True)
class Judged:
    """A claim with its outcome and the scale of its records."""

    claim: Claim
    outcome: Outcome
    scale: str

    @property
    def verdict(self) -> Badge:
        """The verdict as the report prints it: at a reduced scale it says so."""
        said = self.outcome.verdict
        return Badge(f"{said} (reduced scale: {self.scale})" if self.reduced else said, _KINDS[said])

    @property
    def reduced(self) -> bool:
        """Whether there are records and they are of another scale than the paper's."""
        return self.scale != "paper" and self.outcome.verdict != rules.NOT_RUN


def reduced_scale(judged: Sequence[Judged]) -> str:
    """What verdicts from reduced scales are worth, and how many they are; "" where there are none."""
    marked = [j for j in judged if j.reduced]
    if not marked:
        return ""
    run = [j for j in judged if j.outcome.verdict != rules.NOT_RUN]
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


def blocks(study: Study, judged: Sequence[Judged], out: Path) -> Iterable[Block]:
    """The verdicts at a glance, what their words mean, then what each rests on."""
    yield Heading(2, "Verdicts")
    reduced, others = [j for j in judged if j.reduced], [j for j in judged if not j.reduced]
    if reduced and others:
        yield Paragraph(f"At full scale: {_counts(others)}. At a reduced scale: {_counts(reduced)}.")
    else:
        yield Paragraph(f"{_counts(judged)}.")
    occurring = {j.outcome.verdict for j in judged}
    yield Paragraph("In these words:")
    yield Bullets([f"**{word}**: {MEANINGS[word]}" for word in rules.VERDICTS if word in occurring])
    rows = [
        [
            j.claim.statement,
            j.claim.source,
            j.verdict,
            f"[{j.claim.id}](#{slug(j.claim.id)})",
            f"[{j.claim.figure}](#{slug(j.claim.figure)})" if is_shown(study, out, j.claim.figure) else "–",
        ]
        for j in judged
    ]
    yield Table(["Claim", "Source", "Verdict", "Numbers", "Figure"], rows, filter_by="Verdict")
    yield Heading(2, "The numbers behind them")
    for j in judged:
        said = [
            Paragraph(f"{j.outcome.explanation[:1].upper()}{j.outcome.explanation[1:]}."),
            Paragraph("Run: " + "; ".join(f"`{study.command(name)}`" for name in j.claim.experiments)),
        ]
        yield Folded(j.claim.statement, said, badge=j.verdict, anchor=j.claim.id)


def _counts(judged: Sequence[Judged]) -> str:
    counts = Counter(j.outcome.verdict for j in judged)
    return "; ".join(f"{counts[v]} {v}" for v in rules.VERDICTS if counts[v])


def machine(title: str, study: Study, judged: Sequence[Judged]) -> dict[str, Any]:
    """The claims for machines: infinite and undefined numbers are null."""
    return {
        "title": title,
        "scales": sorted({j.scale for j in judged if j.outcome.verdict != rules.NOT_RUN}),
        "notes": study.notes,
        "claims": [
            {
                "id": j.claim.id,
                "statement": j.claim.statement,
                "source": j.claim.source,
                "verdict": j.outcome.verdict,
                "scale": j.scale,
                "explanation": j.outcome.explanation,
                "numbers": _plain(j.outcome.numbers),
                "figure": j.claim.figure,
                "experiments": {name: study.command(name) for name in j.claim.experiments},
                "records": [record.name for name in j.claim.experiments for record in study.records(name)],
            }
            for j in judged
        ],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
