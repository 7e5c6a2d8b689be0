"""A file of tensors and plain values, written atomically, with its own digest: checkpoints and prepared data."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, BinaryIO

import torch

#: Bytes of the digest, which comes first in the file.
_DIGEST = hashlib.sha256().digest_size


class DamagedFile(Exception):
    """The file exists but is not what was written."""


def save(path: Path, content: dict[str, Any]) -> None:
    """Write ``content``; a reader sees the old file or the new one, never a part.

    Tensors go to the file one after another: tables of several GiB have no room for a copy in memory. Those of another
    device go through this machine's memory, one at a time.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # a link there would be written through
    with temporary.open("wb") as file:
        file.write(bytes(_DIGEST))
        hashed: Any = _Hashed(file)  # of a file's methods torch.save asks for these two only
        try:
            torch.save(content, hashed)
        except RuntimeError as error:  # torch ends its archive after a write that failed, and tells of that alone
            raise hashed.failed or error from error
        file.seek(0)
        file.write(hashed.digest.digest())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """The content, all tensors of it on the CPU, or None where there is no file.

    What was written with a GPU can thus be read without one, and needs no memory of one for its own copy.

    Raises:
        DamagedFile: truncated or altered, whole and something else than what :func:`save` writes, or no file at all.
    """
    if not path.is_file():
        if path.is_symlink() or path.exists():
            raise DamagedFile(f"{path} is no file")
        return None
    with path.open("rb") as file:
        digest = file.read(_DIGEST)
        if hashlib.file_digest(file, "sha256").digest() != digest:
            raise DamagedFile(f"{path} is damaged (its digest does not match)")
        file.seek(_DIGEST)
        try:
            content = torch.load(file, weights_only=True, map_location="cpu")
        except Exception as error:
            if short_of_memory(error):
                raise
            raise DamagedFile(f"{path} holds something else: {str(error).strip().splitlines()[:1]}") from error
    if not isinstance(content, dict):
        raise DamagedFile(f"{path} holds something else: {type(content).__name__}")
    return content


def short_of_memory(error: Exception) -> bool:
    """Whether a file could not be taken in because memory ran out, which says nothing against the file."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "alloc" in str(error).lower()


class _Hashed:
    """A file to be written from its present position on, in order, and the digest of what was written."""

    def __init__(self, file: BinaryIO):
        self._file, self.digest = file, hashlib.sha256()
        self.failed: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.failed = error
            raise

    def flush(self) -> None:
        self._file.flush()
