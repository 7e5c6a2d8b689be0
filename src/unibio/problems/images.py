"""Labelled images for classification: scikit-learn's digits, Fashion-MNIST, MNIST.

Fashion-MNIST comes from Debian's package dataset-fashion-mnist, MNIST from the Hugging Face hub; both also from any
directory with the four files of the original releases (train-images-idx3-ubyte, …, gzipped or not).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from unibio.errors import InputError
from unibio.problems import digits

SOURCES = ("digits", "fashion", "mnist")
#: Where Debian's package dataset-fashion-mnist puts its files.
FASHION = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class Images:
    """Pixels (n, d) uint8 with their largest value, labels (n,) in 0…9; ``test`` is the number of rows at the end that
    the source keeps for testing, 0 where it makes no difference."""

    pixels: np.ndarray
    labels: np.ndarray
    largest: int
    test: int

    @property
    def fingerprint(self) -> str:
        """sha256 of pixels and labels."""
        return hashlib.sha256(self.pixels.tobytes() + self.labels.astype("<i8").tobytes()).hexdigest()


@cache
def load(source: str, directory: str = "") -> Images:
    """The images of a source, or of idx files in a directory.

    Raises:
        InputError: files are missing or damaged, or the hub cannot be reached.
    """
    if source == "digits":
        if directory:
            raise InputError("problem.directory is for source = fashion or mnist; the digits come with scikit-learn")
        values, labels = digits.load()
        return Images((values * 16).round().astype(np.uint8), labels, 16, 0)
    if directory or source == "fashion":
        return _from_directory(Path(directory).expanduser() if directory else FASHION, source)
    return _from_hub()


@cache
def fingerprint(source: str, directory: str = "") -> str:
    """A hash of a source's images."""
    return load(source, directory).fingerprint


def _from_directory(folder: Path, source: str) -> Images:
    if not folder.is_dir():
        hint = (
            "install Debian's package dataset-fashion-mnist, or give problem.directory with the four idx files"
            if source == "fashion"
            else "it must hold the four idx files"
        )
        raise InputError(f"problem.source = {source}: {folder} is not a directory; {hint}, or use source = digits")
    parts = [
        (_idx(folder, f"{part}-images-idx3-ubyte", 3), _idx(folder, f"{part}-labels-idx1-ubyte", 1))
        for part in ("train", "t10k")
    ]
    for pixels, labels in parts:
        if len(pixels) != len(labels):
            raise InputError(f"problem.source = {source}: {folder} has {len(pixels)} images but {len(labels)} labels")
    pixels = np.concatenate([part[0].reshape(len(part[0]), -1) for part in parts])
    return Images(pixels, np.concatenate([part[1] for part in parts]).astype(np.int64), 255, len(parts[1][1]))


def _idx(folder: Path, name: str, dimensions: int) -> np.ndarray:
    """An array in the idx format: two zero bytes, the type (8: bytes), the dimensions, their sizes, the data."""
    found = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    if not found:
        raise InputError(f"problem.directory: {folder} has no file {name} or {name}.gz")
    try:
        content = gzip.decompress(found[0].read_bytes()) if found[0].suffix == ".gz" else found[0].read_bytes()
        header = struct.unpack(f">HBB{dimensions}I", content[: 4 + 4 * dimensions])
        if header[:3] != (0, 8, dimensions):
            raise ValueError(f"it begins with {content[:4].hex()}")
        return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(header[3:])
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise InputError(
            f"problem.directory: {found[0]} is damaged or not an idx file ({error}); get it again"
        ) from None


def _from_hub() -> Images:
    """MNIST from the hub, or from the hub's own cache with HF_HUB_OFFLINE=1."""
    name = "ylecun/mnist"
    ways = "give problem.directory with the four idx files, or use source = digits"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() not in ("1", "ON", "YES", "TRUE"):
        from unibio.data.download import reachable

        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        wrong = reachable(f"{endpoint}/api/datasets/{name}")
        if wrong is not None:
            raise InputError(f"problem.source = mnist: the hub at {endpoint} cannot be reached ({wrong}); {ways}")
    try:
        import datasets

        loaded = datasets.load_dataset(name)
        parts = [loaded[part].with_format("numpy")[:] for part in ("train", "test")]
    except Exception as error:  # the client's exceptions are of many kinds
        said = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"problem.source = mnist: the hub gave no {name} ({type(error).__name__}: {said}); {ways}"
        ) from None
    pixels = np.concatenate(
        [np.asarray(part["image"], dtype=np.uint8).reshape(len(part["image"]), -1) for part in parts]
    )
    labels = np.concatenate([np.asarray(part["label"], dtype=np.int64) for part in parts])
    return Images(pixels, labels, 255, len(parts[1]["label"]))
