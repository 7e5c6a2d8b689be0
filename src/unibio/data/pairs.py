"""What every source gives, before and after its words have become numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

#: Labels by their number, as on the hub.
LABELS = ("entailment", "neutral", "contradiction")
#: Splits, in the order in which they are reported.
SPLITS = ("train", "valid", "test")


class Pair(NamedTuple):
    """Two sentences as text; ``label`` is an index into LABELS."""

    premise: str
    hypothesis: str
    label: int


@dataclass(frozen=True)
class Source:
    """Pairs as they are read, per split in their order, each split read only as far as it is asked for.

    Attributes:
        name: what is told and recorded: where the pairs come from. Whether files hold SNLI's is recognised by what they
            hold (:mod:`unibio.data.recognise`), not said here.
        splits: {split: pairs}.
        versions: of the packages that give them.
    """

    name: str
    splits: dict[str, Iterable[Pair]]
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """n pairs as word ids, on the CPU; not to be changed.

    Attributes:
        premise: int32 (n, L), rows of ``PairData.vectors``, 0 after the end of a sentence.
        premise_length: int32 (n,), at least 1.
        hypothesis, hypothesis_length: likewise, with a longest sentence of its own.
        label: int64 (n,), indices into LABELS.
    """

    premise: Tensor
    premise_length: Tensor
    hypothesis: Tensor
    hypothesis_length: Tensor
    label: Tensor

    def __len__(self) -> int:
        return len(self.label)

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class PairData:
    """Prepared data. Pairs, lengths, labels and vectors decide every number of a run, and ``content`` is their hash.

    Attributes:
        train, valid, test: no pair of sentences is in two of them. All labels are the true ones.
        vectors: float32 (words, d); row 0 is padding, zeros; a word without a vector is zeros too.
        words: the word of every row; ``""`` for padding.
        source: what the pairs are, in words.
        content: sha256.
        coverage: share of the tokens of all splits, repetitions counted, that have a vector.
        description: lines for the reader: what was looked for, files, sizes, what was left out, tokens, vectors.
        vectors_name: what the vectors are, in words.
        recognised: splits whose source is known to hold SNLI's pairs, all of them and no others.
        files: {name of a local file that was read: its sha256}.
        versions: of the packages that made the data.
    """

    train: Split
    valid: Split
    test: Split
    vectors: Tensor
    words: tuple[str, ...]
    source: str
    content: str
    coverage: float
    description: tuple[str, ...]
    vectors_name: str = ""
    recognised: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {name: getattr(self, name) for name in SPLITS}


def content_hash(splits: dict[str, Split], vectors: Tensor) -> str:
    """sha256 over name, type, shape and bytes (little endian) of every tensor; the same on every machine."""
    digest = hashlib.sha256()
    named = {f"{name}.{key}": value for name, split in splits.items() for key, value in split.tensors().items()}
    for name, tensor in {**named, "vectors": vectors}.items():
        array = tensor.contiguous().numpy()
        digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def padded(numbers: np.ndarray, lengths: np.ndarray) -> tuple[Tensor, Tensor]:
    """n sentences, written one after the other, as int32 (n, longest) with zeros after the end, and lengths (n,)."""
    ids = np.zeros((len(lengths), max(lengths, default=0)), dtype=np.int32)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = numbers
    return torch.from_numpy(ids), torch.from_numpy(lengths.astype(np.int32))
