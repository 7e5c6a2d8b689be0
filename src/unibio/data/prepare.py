"""From a source's text to a stock: tokens, vocabulary, vectors."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from unibio.data.pairs import LABELS, SPLITS, Pair, Source, Split, padded
from unibio.data.progress import Progress
from unibio.data.recognise import recognised
from unibio.data.settings import MADE, TRAIN, DataSettings
from unibio.data.stock import Stock, choose
from unibio.data.vectors import looked_up
from unibio.data.words import tokenizer, vocabulary

#: A pair's tokens as numbers.
Key = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass
class _Read:
    """The pairs of a split that were read: sentences one after the other, their lengths, and labels."""

    numbers: tuple[array, array] = field(default_factory=lambda: (array("i"), array("i")))
    lengths: tuple[array, array] = field(default_factory=lambda: (array("i"), array("i")))
    labels: array = field(default_factory=lambda: array("b"))

    def add(self, pair: Key, label: int) -> None:
        for side, numbers, lengths in zip(pair, self.numbers, self.lengths, strict=True):
            numbers.extend(side)
            lengths.append(len(side))
        self.labels.append(label)

    def tensors(self, final: np.ndarray) -> Split:
        """With the words' final numbers, ``final`` of those given while reading."""
        sides = zip(self.numbers, self.lengths, strict=True)
        premise, hypothesis = (padded(final[np.asarray(numbers)], np.asarray(lengths)) for numbers, lengths in sides)
        return Split(*premise, *hypothesis, torch.tensor(self.labels, dtype=torch.int64))


def wanted(settings: DataSettings, split: str, at_least: int = TRAIN) -> int | None:
    """How many usable pairs of a split are prepared; None for all.

    Of SNLI and of files whole validation and test splits, and ``at_least`` training pairs: whatever is asked for later
    is there. The generated task has no end, and how it goes on depends on how much of it was read: just what is asked.
    """
    size = getattr(settings, split)
    if settings.source == "generated" or size is None:
        return size
    return max(size, at_least) if split == "train" else None


def prepare(
    settings: DataSettings,
    source: Source,
    files: dict[str, str],
    vector_file: Path | None,
    progress: Progress,
    at_least: int = TRAIN,
) -> Stock:
    """A source's pairs, enough for the settings, with the vectors of :func:`unibio.data.vectors.locate`.

    Args:
        settings: which vectors, and how many pairs are asked for.
        source: is read as far as that takes, see :func:`wanted`.
        files: {name: sha256} of the local files, for the record.
        vector_file: where there is one.
        at_least: training pairs.

    Raises:
        InputError: too few pairs, a damaged source, no vectors.
    """
    tokens = tokenizer()
    numbers: dict[str, int] = {}
    counts: Counter[str] = Counter()

    def numbered(text: str) -> tuple[int, ...]:
        found = tokens(text)
        counts.update(found)
        return tuple(numbers.setdefault(token, len(numbers)) for token in found)

    read: dict[str, _Read] = {}
    whole: list[str] = []
    taken: set[Key] = set()
    for split in reversed(SPLITS):
        size = wanted(settings, split, at_least)
        pairs = progress.count(source.splits[split], f"{split}: reading and tokenising", size)
        read[split], usable, complete = _read(pairs, size, numbered, settings.max_length, taken)
        taken |= usable
        whole += [split] * complete
    words = vocabulary(counts)
    place = {word: row for row, word in enumerate(words)}
    final = np.array([place[word] for word in numbers], dtype=np.int32)
    splits = {split: read[split].tensors(final) for split in SPLITS}
    choose(splits, tuple(whole), settings, source.name)  # too few pairs show before vectors are read
    vectors = None if settings.vectors in MADE else looked_up(settings, vector_file, words, progress)
    return Stock(
        splits,
        tuple(whole),
        tuple(words),
        vectors,
        source.name,
        () if settings.source == "generated" else recognised(splits, tuple(whole), words),
        files,
        {"torchtext": metadata.version("torchtext"), **source.versions},
    )


def _read(
    pairs: Iterable[Pair],
    size: int | None,
    numbered: Callable[[str], tuple[int, ...]],
    length: int | None,
    taken: set[Key],
) -> tuple[_Read, set[Key], bool]:
    """Pairs until ``size`` of them can be used, those that can, and whether there are no more."""
    read = _Read()
    usable: set[Key] = set()
    count = 0
    for pair in pairs:
        key = numbered(pair.premise), numbered(pair.hypothesis)
        label = pair.label if 0 <= pair.label < len(LABELS) else -1
        read.add(key, label)
        kept = key[0][:length], key[1][:length]
        if label >= 0 and all(kept) and kept not in taken:
            usable.add(kept)
            count += 1
            if count == size:
                return read, usable, False
    return read, usable, True
