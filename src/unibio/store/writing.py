"""Writing files so that a reader sees the old one or the new one, and never a part."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from unibio.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, creating its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file atomically, creating its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomically(path, lambda temporary: temporary.write_bytes(content))


def atomically(path: Path, write_to: Callable[[Path], object]) -> None:
    """Have ``write_to`` write to a temporary name beside ``path``, and rename; a link in its place is not followed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        write_to(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


#: What a job writes into its directory, and under which name before it is renamed.
OWN = re.compile(
    r"(\.)?(config\.yaml|history\.parquet|runs\.parquet|summary\.json|done|running\.json|replayed\.json|"
    r"checkpoint-\w+\.pt|tracked-\w+\.json|part-\w+-\d+(-\w+)?\.(parquet|json))(?(1)\.\d+|)"
)


def check_place(path: Path) -> None:
    """Refuse to write a record where a link or a file stands, behind or in place of which something else may lie.

    Raises:
        InputError: so it is, or a folder stands in the place of one of its files.
    """
    if path.is_symlink():
        raise InputError(f"{path} is a link: nothing is written through it; remove it, or name another records=DIR")
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is no directory, where a record is to be; move it, or name another records=DIR")
    for file in path.iterdir() if path.is_dir() else ():
        if OWN.fullmatch(file.name) and file.is_dir() and not file.is_symlink():
            raise InputError(f"{file} is a folder, where a file of the record is to be; move it")
