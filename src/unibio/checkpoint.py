"""Checkpoints: one file, written atomically, with its own digest, holding tensors and plain numbers only."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch


class DamagedCheckpoint(Exception):
    """The file exists but is not what was written."""


def save(path: Path, content: dict[str, Any]) -> None:
    """Write ``content``; a reader sees the old file or the new one, never a part."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getvalue()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(hashlib.sha256(payload).digest())
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """The content, or None where there is no file.

    Raises:
        DamagedCheckpoint: truncated or altered.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, payload = data[:32], data[32:]
    if hashlib.sha256(payload).digest() != digest:
        raise DamagedCheckpoint(f"{path} is damaged (its digest does not match)")
    return torch.load(io.BytesIO(payload), weights_only=True)
