"""From a source's text to tensors: tokens, disjoint splits, vocabulary, vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from unibio.data.pairs import LABELS, SPLITS, Pair, PairData, Source, Split, content_hash, padded
from unibio.data.progress import Progress
from unibio.data.settings import DataSettings
from unibio.data.vectors import word_vectors
from unibio.data.words import tokenizer, vocabulary
from unibio.errors import InputError

Tokens = tuple[str, ...]


@dataclass
class _Chosen:
    """The pairs of a split, and how many were met on the way that could not be used."""

    pairs: list[tuple[Tokens, Tokens]] = field(default_factory=list)
    known: set[tuple[Tokens, Tokens]] = field(default_factory=set)
    labels: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def prepare(
    settings: DataSettings, source: Source, vector_file: Path | None, progress: Progress
) -> tuple[PairData, tuple[str, ...]]:
    """The data of a source and of :func:`unibio.data.vectors.locate`, and the files they were made from.

    Test pairs are chosen first, then validation, then training pairs: each split's first ones in the source's order
    that have a label and two sentences and are in no split chosen before. Pairs are compared by their tokens, as the
    model sees them. A pair that comes twice in one split stays, as in SNLI's own.

    Raises:
        InputError: too few pairs, a damaged source, no vectors.
    """
    tokens = tokenizer()
    chosen: dict[str, _Chosen] = {}
    for split in reversed(SPLITS):
        size = getattr(settings, split)
        pairs = progress.count(source.splits[split], f"{split}: reading and tokenising", size)
        chosen[split] = _choose(pairs, size, lambda text: _cut(tokens(text), settings.max_length), chosen)
        found = len(chosen[split].labels)
        if found < (size or 1):
            raise InputError(
                f"data.{split} = {size or 'null'}, but {source.name} has only {found} pairs that can be used "
                f"({_said(chosen[split].left_out)}); lower it"
            )
    counts = Counter(word for part in chosen.values() for pair in part.pairs for side in pair for word in side)
    words = vocabulary(counts)
    vectors = word_vectors(settings, vector_file, words, progress)
    ids = {word: row for row, word in enumerate(words)}
    splits = {split: _tensors(chosen[split], ids) for split in SPLITS}
    known = sum(count for word, count in counts.items() if word in vectors.found)
    data = PairData(
        **splits,
        vectors=vectors.table,
        words=tuple(words),
        source=source.name,
        content=content_hash(splits, vectors.table),
        coverage=known / counts.total(),
        description=(
            f"looked for: prepared data in the cache, then {source.name}; no other source",
            *source.notes,
            *(_line(split, chosen[split]) for split in SPLITS),
            f"vectors: {vectors.name}",
        ),
    )
    return data, (*source.files, *vectors.files)


def _cut(tokens: list[str], length: int | None) -> Tokens:
    return tuple(tokens[:length])


def _choose(
    pairs: Iterable[Pair], size: int | None, tokens: Callable[[str], Tokens], before: dict[str, _Chosen]
) -> _Chosen:
    part = _Chosen()
    for pair in pairs:
        if not 0 <= pair.label < len(LABELS):
            part.left_out["no agreed label"] += 1
            continue
        key = tokens(pair.premise), tokens(pair.hypothesis)
        met = next((split for split, other in before.items() if key in other.known), None)
        if not all(key):
            part.left_out["no words"] += 1
        elif met is not None:
            part.left_out[f"also in {met}"] += 1
        else:
            part.pairs.append(key)
            part.known.add(key)
            part.labels.append(pair.label)
            if len(part.labels) == size:
                break
    return part


def _tensors(part: _Chosen, ids: dict[str, int]) -> Split:
    premise, hypothesis = (padded([[ids[word] for word in pair[side]] for pair in part.pairs]) for side in (0, 1))
    return Split(*premise, *hypothesis, torch.tensor(part.labels, dtype=torch.int64))


def _line(split: str, part: _Chosen) -> str:
    shares = Counter(part.labels)
    labels = ", ".join(f"{shares[number]} {name}" for number, name in enumerate(LABELS))
    return f"{split}: {len(part.labels)} pairs ({labels}); left out: {_said(part.left_out)}"


def _said(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} {why}" for why, count in left_out.items()) or "none"
