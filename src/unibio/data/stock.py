"""Tokenised pairs as the cache has them, and the data of any sizes that are cut from them.

One stock serves every number of pairs, so that what is prepared once, on a machine with a network, is enough for every
scale. What is cut from it is, to the bit, what a source of just these pairs would give.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from unibio.data.pairs import LABELS, SPLITS, PairData, Split, content_hash
from unibio.data.settings import DataSettings
from unibio.data.vectors import WordVectors, made
from unibio.errors import InputError


@dataclass(frozen=True)
class Stock:
    """Pairs of a source as they come, usable or not, with the vectors of their words.

    Attributes:
        splits: as :class:`Split`, but with label −1 where there is none and length 0 where a sentence has no words.
        whole: splits that have been read to their end.
        words: the word of every number; ``""`` for padding.
        vectors: of all words, or None for those that are made for every cut.
        source, recognised, files, versions: as in :class:`PairData`.
    """

    splits: dict[str, Split]
    whole: tuple[str, ...]
    words: tuple[str, ...]
    vectors: WordVectors | None
    source: str
    recognised: tuple[str, ...]
    files: dict[str, str]
    versions: dict[str, str]

    def packed(self) -> dict[str, Any]:
        """As tensors and plain values, for the cache."""
        splits = {name: split.tensors() for name, split in self.splits.items()}
        return self.__dict__ | {"splits": splits, "vectors": self.vectors and dict(self.vectors.__dict__)}

    @classmethod
    def unpacked(cls, fields: dict[str, Any]) -> Self:
        """What :meth:`packed` gave.

        Raises:
            ValueError: it is something else, though a file held it that is whole.
        """
        try:
            splits = {name: Split(**tensors) for name, tensors in fields["splits"].items()}
            vectors = fields["vectors"] and WordVectors(**fields["vectors"])
            stock = cls(**fields | {"splits": splits, "vectors": vectors})
            fits = tuple(splits) == SPLITS and all(_fits(split, len(stock.words)) for split in splits.values())
            fits &= vectors is None or len(vectors.table) == len(vectors.found) == len(stock.words)
        except (AttributeError, KeyError, RuntimeError, TypeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None
        if not fits:
            raise ValueError("its parts do not fit together")
        return stock


def _fits(split: Split, words: int) -> bool:
    """Whether all parts of a split have a row for each pair, and its numbers are those of words."""
    sides = (split.premise, split.hypothesis)
    rows = {len(part) for part in split.tensors().values()}
    return len(rows) == 1 and all(not s.numel() or 0 <= int(s.min()) <= int(s.max()) < words for s in sides)


@dataclass(frozen=True)
class Chosen:
    """Rows of a split's stock that are used, int64 (n,), and how many were met on the way that could not be, by why."""

    rows: Tensor
    left_out: dict[str, int]


def choose(
    splits: dict[str, Split], whole: tuple[str, ...], settings: DataSettings, source: str
) -> dict[str, Chosen] | None:
    """The pairs that settings ask for, or None where more would have to be read.

    Test pairs are chosen first, then validation, then training pairs: each split's first ones in the source's order
    that have a label and two sentences and are in no split chosen before. Pairs are compared by their tokens, as the
    model sees them. A pair that comes twice in one split stays, as in SNLI's own.

    Raises:
        InputError: too few pairs in a split that has no more.
    """
    widths = [max(split.tensors()[side].shape[1] for split in splits.values()) for side in ("premise", "hypothesis")]
    chosen: dict[str, Chosen] = {}
    taken: dict[str, set[bytes]] = {}
    for name in reversed(SPLITS):
        part, size = splits[name], getattr(settings, name)
        keys = _keys(part, widths, settings.max_length)
        reasons = ["no agreed label", "no words", *(f"also in {other}" for other in taken)]
        why = np.full(len(part), -1)
        for number, other in reversed(list(enumerate(taken.values(), start=2))):
            why[np.fromiter((key.tobytes() in other for key in keys), bool, len(part))] = number
        why[((part.premise_length == 0) | (part.hypothesis_length == 0)).numpy()] = 1
        why[(part.label < 0).numpy()] = 0
        rows = np.flatnonzero(why < 0)[:size]
        enough = size is not None and len(rows) == size
        if not enough and name not in whole:
            return None
        met = why[: rows[-1] + 1] if enough else why
        numbers, first, counts = np.unique(met[met >= 0], return_index=True, return_counts=True)
        left_out = {reasons[numbers[k]]: int(counts[k]) for k in np.argsort(first)}
        if len(rows) < (size or 1):
            raise InputError(
                f"data.{name} = {size or 'null'}, but {source} has only {len(rows)} pairs that can be used "
                f"({_said(left_out)}); lower it"
            )
        chosen[name] = Chosen(torch.from_numpy(rows), left_out)
        taken[name] = {key.tobytes() for key in keys[rows]}
    return chosen


def cut(stock: Stock, settings: DataSettings) -> PairData | None:
    """The data of some settings, or None where more would have to be read.

    Words are numbered by falling frequency among the chosen pairs, equal ones alphabetically.

    Raises:
        InputError: as :func:`choose`.
    """
    chosen = choose(stock.splits, stock.whole, settings, stock.source)
    if chosen is None:
        return None
    parts = {name: _cut_split(stock.splits[name], chosen[name].rows, settings.max_length) for name in SPLITS}
    counts = np.zeros(len(stock.words), dtype=np.int64)
    for part in parts.values():
        for side in (part.premise, part.hypothesis):
            counts += np.bincount(side.numpy().ravel(), minlength=len(counts))
    counts[0] = 0  # padding
    order = sorted(np.flatnonzero(counts).tolist(), key=lambda number: (-counts[number], stock.words[number]))
    words = (stock.words[0], *(stock.words[number] for number in order))
    numbers = np.zeros(len(stock.words), dtype=np.int32)
    numbers[order] = np.arange(1, len(words))
    splits = {name: _renumbered(part, numbers) for name, part in parts.items()}
    vectors = made(settings, words) if stock.vectors is None else stock.vectors.of([0, *order])
    return PairData(
        **splits,
        vectors=vectors.table,
        words=words,
        source=stock.source,
        content=content_hash(splits, vectors.table),
        coverage=float(counts[[0, *order]][vectors.found.numpy()].sum() / counts.sum()),
        description=(
            f"looked for: prepared data in the cache, then {stock.source}; no other source",
            *(f"file: {name}, sha256 {digest}" for name, digest in stock.files.items()),
            *([] if settings.source == "generated" else [_recognition(stock.recognised)]),
            *(_line(name, splits[name], chosen[name]) for name in SPLITS),
            f"tokens: basic_english of torchtext {stock.versions['torchtext']}",
            f"vectors: {vectors.name}",
        ),
        vectors_name=vectors.name,
        recognised=stock.recognised,
        files=stock.files,
        versions={**stock.versions, **vectors.versions},
    )


def _keys(split: Split, widths: list[int], length: int | None) -> np.ndarray:
    """One row of numbers a pair, equal for pairs whose tokens are; int32 (n, L)."""
    keys = np.zeros((len(split), sum(widths)), dtype=np.int32)
    for side, at in ((split.premise, 0), (split.hypothesis, widths[0])):
        kept = side[:, :length].numpy()
        keys[:, at : at + kept.shape[1]] = kept
    return keys


def _cut_split(split: Split, rows: Tensor, length: int | None) -> Split:
    """Some pairs, and of their sentences the first ``length`` tokens."""

    def side(ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        lengths = lengths[rows].clamp(max=ids.shape[1] if length is None else length)
        return ids.index_select(0, rows)[:, : int(lengths.max())].contiguous(), lengths

    return Split(
        *side(split.premise, split.premise_length),
        *side(split.hypothesis, split.hypothesis_length),
        split.label[rows],
    )


def _recognition(splits: tuple[str, ...]) -> str:
    if not splits:
        return "SNLI: not recognised; neither validation nor test pairs are just the labelled ones of SNLI 1.0"
    return f"SNLI: recognised; {' and '.join(splits)} come from just SNLI 1.0's labelled pairs (train is not compared)"


def _renumbered(split: Split, numbers: np.ndarray) -> Split:
    premise, hypothesis = (torch.from_numpy(numbers[side.numpy()]) for side in (split.premise, split.hypothesis))
    return dataclasses.replace(split, premise=premise, hypothesis=hypothesis)


def _line(name: str, split: Split, part: Chosen) -> str:
    shares = split.label.bincount(minlength=len(LABELS)).tolist()
    labels = ", ".join(f"{count} {label}" for count, label in zip(shares, LABELS, strict=True))
    return f"{name}: {len(split)} pairs ({labels}); left out: {_said(part.left_out)}"


def _said(left_out: dict[str, int]) -> str:
    return ", ".join(f"{count} {why}" for why, count in left_out.items()) or "none"
