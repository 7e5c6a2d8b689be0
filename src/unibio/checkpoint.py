"""Checkpoints: one file, written atomically, with its own digest, holding tensors and plain numbers only."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

import torch

#: Bytes of the digest, which comes first in the file.
_DIGEST = hashlib.sha256().digest_size


class DamagedCheckpoint(Exception):
    """The file exists but is not what was written."""


def save(path: Path, content: dict[str, Any]) -> None:
    """Write ``content``; a reader sees the old file or the new one, never a part.

    Tensors go to the file one after another: tables of several GiB have no room for a copy in memory. Those of another
    device go through this machine's memory, one at a time.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(bytes(_DIGEST))
        hashed: Any = _Hashed(file)  # of a file's methods torch.save asks for these two only
        torch.save(content, hashed)
        file.seek(0)
        file.write(hashed.digest.digest())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """The content, all tensors of it on the CPU, or None where there is no file.

    A checkpoint that was written with a GPU can thus be read without one, and needs no memory of one for its own copy.

    Raises:
        DamagedCheckpoint: truncated or altered.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        digest = file.read(_DIGEST)
        if hashlib.file_digest(file, "sha256").digest() != digest:
            raise DamagedCheckpoint(f"{path} is damaged (its digest does not match)")
        file.seek(_DIGEST)
        return torch.load(file, weights_only=True, map_location="cpu")


class _Hashed:
    """A file to be written from its present position on, in order, and the digest of what was written."""

    def __init__(self, file: BinaryIO):
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()
