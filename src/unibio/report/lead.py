"""The first screen of the report: the paper, what came out in a few sentences, and its places beside their verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from unibio.report.counts import counted
from unibio.report.figures import is_shown, title
from unibio.report.verdicts import Judged
from unibio.studies.common.document import Block, Bullets, Heading, Paragraph, Table, Thumbnails
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.verdicts import VERDICTS

PAPER = "Bilevel Optimization with Lower-Level Uniform Convexity"
ARXIV = "https://arxiv.org/abs/2603.00027"
RELEASED = "https://github.com/MingruiLiu-ML-Lab/bilevel-optimization-lower-level-uniform-convexity"

#: What a reader should know first, each with the claim that decides it; left out while that has no records.
SENTENCES: Mapping[str, str] = {
    "slower-iterations": "The paper's figures cannot show what p costs: on its synthetic problem φ(x) = sin(sin x) is "
    "the same function for every p, and the published curves differ by their steps η.",
    "hoelder-flatter-tuned": "On a problem of ours p decides how smooth φ is (∇φ is Hölder with the exponent "
    "1/(p − 1)), and η is tuned for every p.",
    "e1-first": "Every method was given the same search for its steps.",
}

#: Figures that say most at a glance; the first three of which there are pictures are shown small.
AT_A_GLANCE = ("fig1_equal", "hoelder_fig1", "tuned_complexity", "e1_ranking", "fig1", "fig5")


def title_of_paper() -> Iterable[Block]:
    """The paper's title and where it and its code are."""
    yield Heading(1, f"{PAPER}: what is reproduced")
    yield Paragraph(
        f"The paper is [arXiv:2603.00027]({ARXIV}) by Wu, Gong, Hao and Liu (ICLR 2026), its code "
        f"[released by the authors]({RELEASED}). Everything here is computed from the records listed at the end; every "
        "verdict follows from them by a rule in `unibio/studies`."
    )


def blocks(judged: Sequence[Judged], evidence: Evidence, out: Path, figure: Iterable[Block] = ()) -> Iterable[Block]:
    """The sentences, three pictures, the figure of their argument, and a row for every place of the paper.

    Nothing without records.

    Args:
        judged: all claims.
        evidence: whose figures may be shown.
        out: where they are.
        figure: of the argument.
    """
    run = {j.claim.id: j for j in judged if j.run}
    if not run:
        return
    yield Bullets(
        [_counted(judged), *(f"{text} {_decided(run[one])}" for one, text in SENTENCES.items() if one in run)]
    )
    shown = [name for name in AT_A_GLANCE if (out / f"figures/{name}.png").is_file() and is_shown(evidence, out, name)]
    if shown:
        yield Thumbnails([(f"figures/{name}.png", title(name), name) for name in shown[:3]])
    yield from figure
    own = [j for j in run.values() if j.claim.kind is Kind.PAPER]
    if not own:
        return
    words = [word for word in VERDICTS if any(j.word == word for j in own)]
    yield Paragraph("Where in the paper, and how it came out:")
    rows = [
        [place, *(", ".join(j.link for j in own if j.place == place and j.word == word) or "–" for word in words)]
        for place in sorted({j.place for j in own}, key=_order)
    ]
    yield Table(["In the paper", *words], rows, whole=True)


def _counted(judged: Sequence[Judged]) -> str:
    """How many claims were judged, and what came of the paper's own."""
    own = [j for j in judged if j.claim.kind is Kind.PAPER]
    tested, result = sum(j.run for j in own), counted(j.counted for j in own)[Kind.PAPER]
    return (
        f"From configurations to verdicts, {tested} of the paper's {len(own)} claims were tested here, and "
        f"{sum(j.run for j in judged) - tested} beside them. **The paper's own claims**: {result}."
    )


def _decided(judged: Judged) -> str:
    return f"“{judged.claim.statement.rstrip('.')}”: **{judged.verdict.text}** ({judged.link})."


def _order(place: str) -> tuple[bool, str]:
    """The paper's: numbers, then letters."""
    where = place.split()[-1]
    return where[0].isalpha(), where
