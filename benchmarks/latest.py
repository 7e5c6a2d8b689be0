"""The file of results: name → row; sections are replaced in it one by one, as they are measured."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from measure import Row

#: What must be the same of two machines for their numbers to stand in one file.
SAME = ("machine/processor", "machine/python", "machine/torch", "machine/numpy", "machine/threads")


def load(path: Path) -> dict[str, Row]:
    """The rows of a file; none where there is no file."""
    if not path.exists():
        return {}
    return {name: Row(**row) for name, row in json.loads(path.read_text(encoding="utf-8")).items()}


def save(path: Path, rows: Mapping[str, Row]) -> None:
    """Write all rows at once: a reader finds the old file or the new one."""
    text = json.dumps({name: row.as_json() for name, row in rows.items()}, indent=1, ensure_ascii=False)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def elsewhere(rows: Mapping[str, Row], here: Mapping[str, Row]) -> str | None:
    """What differs between the machine that measured rows and this one; None where they may stand together."""
    if not rows:
        return None
    differing = [name for name in SAME if name not in rows or rows[name].value != here[name].value]
    return ", ".join(name.split("/")[1] for name in differing) or None


def with_section(
    rows: Mapping[str, Row], section: str, measured: Mapping[str, Row], order: Iterable[str]
) -> dict[str, Row]:
    """The rows with those of a section replaced, sections in their order and rows of none of them first."""
    parts: dict[str, dict[str, Row]] = {name: {} for name in ("", *order)}
    for name, row in rows.items():
        if row.section != section and row.section in parts:
            parts[row.section][name] = row
    parts[section] = {name: replace(row, section=section) for name, row in measured.items()}
    return {name: row for part in parts.values() for name, row in part.items()}
