"""What data were used, for readers and for records."""

from __future__ import annotations

from typing import Any

from unibio.data.pairs import PairData, Split
from unibio.data.settings import DataSettings

#: The paper's vectors by the name of a file that holds them.
_PAPER = "glove.840B.300d"


def described(data: PairData) -> list[str]:
    """Lines for a reader: source, files, sizes, lengths, what was left out, tokens, vectors, coverage, content."""
    return [
        f"source: {data.source}",
        *data.description,
        *(f"{name}: {_lengths(split)}" for name, split in data.splits.items()),
        f"coverage: {100 * data.coverage:.2f} % of the tokens have a vector; {len(data.words) - 1} words",
        f"content: sha256 {data.content}",
    ]


def _lengths(split: Split) -> str:
    premise, hypothesis = split.premise_length.float(), split.hypothesis_length.float()
    return (
        f"tokens of a premise {premise.mean():.1f} (longest {premise.max():.0f}), of a hypothesis "
        f"{hypothesis.mean():.1f} (longest {hypothesis.max():.0f})"
    )


def recorded(data: PairData) -> dict[str, Any]:
    """The entry ``data`` of a record's summary: attributes of :class:`PairData` in plain values."""
    return {
        "source": data.source,
        "content": data.content,
        "sizes": {name: len(split) for name, split in data.splits.items()},
        "files": dict(data.files),
        "recognised": list(data.recognised),
        "vectors": data.vectors_name,
        "coverage": data.coverage,
        "versions": dict(data.versions),
        "description": list(data.description),
    }


def unlike_the_paper(settings: DataSettings, data: PairData) -> str | None:
    """What a reader must know who takes a run at the paper's scale for the paper's; None where nothing is amiss."""
    if settings.source == "generated":
        return "the pairs are generated and not SNLI, on which the paper's numbers are; data=snli gives these"
    if settings.vectors != "glove" and not settings.vectors.rpartition("/")[2].startswith(_PAPER):
        return (
            f"the vectors are {data.vectors_name}, where the paper has GloVe 840B, 300-d: data.vectors=glove (a "
            f"download of 2 GB), or the path of a file {_PAPER}.zip or .txt"
        )
    return None
