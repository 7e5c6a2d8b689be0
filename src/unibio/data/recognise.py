"""Whether files hold SNLI's pairs, by what they hold and not by what they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from unibio.data.pairs import LABELS, Split

#: Of SNLI 1.0's splits the number of pairs with a label, and the sha256 of their sorted lines "label, premise's tokens,
#: hypothesis's tokens". Training pairs are not compared: files may hold a part of them, which no hash would know.
SNLI = {
    "valid": (9842, "60ff1e7eaab4462e2dea77abcc1f185c6dfeb945b6027424362b3ca77a9fd8bc"),
    "test": (9824, "fcc9720b99be640e398aa6dc5d51c33e6de725fc07fe6209b5a49d43439bcbe7"),
}


def recognised(splits: dict[str, Split], whole: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """The splits that are SNLI's: all its labelled pairs and no others, in whatever order and format.

    Args:
        splits: as they were read; label −1 where there is none.
        whole: those that were read to their end.
        words: of the numbers in ``splits``.
    """
    return tuple(
        name
        for name, (count, digest) in SNLI.items()
        if name in whole and int((splits[name].label >= 0).sum()) == count and _digest(splits[name], words) == digest
    )


def _digest(split: Split, words: Sequence[str]) -> str:
    sides = [
        [" ".join(words[number] for number in row if number) for row in side.tolist()]
        for side in (split.premise, split.hypothesis)
    ]
    labelled = zip(split.label.tolist(), *sides, strict=True)
    lines = sorted(f"{LABELS[label]}\t{premise}\t{hypothesis}" for label, premise, hypothesis in labelled if label >= 0)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
