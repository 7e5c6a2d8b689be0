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
from unibio.document import Badge, Block, Folded, Heading, Paragraph, Table, slug
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
        reduced = self.scale != "paper" and said != rules.NOT_RUN
        return Badge(f"{said} (reduced scale: {self.scale})" if reduced else said, _KINDS[said])


def blocks(study: Study, judged: Sequence[Judged], out: Path) -> Iterable[Block]:
    """The verdicts at a glance, then what each rests on."""
    yield Heading(2, "Verdicts")
    counts = Counter(j.outcome.verdict for j in judged)
    yield Paragraph("; ".join(f"{counts[v]} {v}" for v in rules.VERDICTS if counts[v]) + ".")
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
