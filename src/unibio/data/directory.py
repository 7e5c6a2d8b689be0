"""Pairs from files: SNLI's official release, or jsonl files with its fields."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from unibio.data.pairs import LABELS, Pair, Source
from unibio.errors import InputError

_NAMES = {"train": ("train",), "valid": ("dev", "valid", "validation"), "test": ("test",)}
_ENDINGS = (".jsonl", ".jsonl.gz", ".txt", ".txt.gz")
#: A file with the sha256 of others, as the command sha256sum writes it.
SUMS = "SHA256SUMS"
_FIELDS = ("gold_label", "sentence1", "sentence2")
#: Labels of a file by name; "-" is SNLI's where annotators did not agree.
_NUMBERS = {name: number for number, name in enumerate(LABELS)} | {"-": -1}


def directory(path: str) -> Source:
    """The three files of a directory, named train, dev (or valid, validation) and test, with or without snli_1.0_.

    What checksums there are must be right: those that gz files have at their ends, and those of a file SHA256SUMS in
    the directory. (Pairs are read only as far as they are needed, which would not reach the end of a gz file.)

    Raises:
        InputError: a file is missing or there are two for one split, or one is damaged; also while pairs are read.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"data.dir = {path} is not a directory")
    files = {split: _only(folder, split) for split in _NAMES}
    _verify(folder, list(files.values()))
    return Source(
        f"files of the directory {folder.resolve().name}",
        {split: _read(file) for split, file in files.items()},
        files=tuple(str(file.resolve()) for file in files.values()),
        notes=[f"{split}: {file.name}" for split, file in files.items()],
    )


def _only(folder: Path, split: str) -> Path:
    stems = [prefix + name for name in _NAMES[split] for prefix in ("", "snli_1.0_")]
    found = [folder / (stem + ending) for stem in stems for ending in _ENDINGS if (folder / (stem + ending)).is_file()]
    if not found:
        expected = " or ".join(stem + ".jsonl" for stem in stems)
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise InputError(
            f"data.dir = {folder} has no file for {split}: expected {expected} (or .jsonl.gz, .txt, .txt.gz); there "
            f"is {there}"
        )
    # The release has the same pairs as jsonl and as txt; any other two would leave open which one is meant.
    if len(found) > 1 and [file.name for file in found] != [f"{found[0].stem}.jsonl", f"{found[0].stem}.txt"]:
        names = ", ".join(file.name for file in found)
        raise InputError(f"data.dir = {folder} has {len(found)} files for {split}: {names}; leave one of them")
    return found[0]


def _verify(folder: Path, files: list[Path]) -> None:
    sums = folder / SUMS
    try:
        lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
        promised = {name.lstrip("*"): digest for digest, name in (line.split(maxsplit=1) for line in lines if line)}
    except ValueError:
        raise InputError(f"data.dir: {sums} is not a list of sha256 sums and file names; repair or remove it") from None
    for path in files:
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest() if path.name in promised else None
            if path.suffix == ".gz":
                with gzip.open(path) as stream:
                    while stream.read(1 << 20):
                        pass
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"data.dir: {path} is damaged or cannot be read ({error}); get it again") from None
        if digest != promised.get(path.name):
            raise InputError(f"data.dir: {path} is damaged, as its sha256 is not that of {SUMS}; get it again")


def _read(path: Path) -> Iterator[Pair]:
    opened = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rt", encoding="utf-8", newline="\n") as file:
            rows = _jsonl(file) if ".jsonl" in path.name else _table(file)
            for label, premise, hypothesis in rows:
                if not (isinstance(label, str) and isinstance(premise, str) and isinstance(hypothesis, str)):
                    raise ValueError("a label or a sentence that is not text")
                if label not in _NUMBERS:
                    raise ValueError(f"the label {label!r}, not one of {', '.join(_NUMBERS)}")
                yield Pair(premise, hypothesis, _NUMBERS[label])
                number += 1
    except (OSError, EOFError, zlib.error, ValueError, KeyError) as error:
        what = f"no field {error}" if isinstance(error, KeyError) else error
        raise InputError(
            f"data.dir: {path} is damaged or not in SNLI's format, after {number} pairs: {what}. Get the file again"
        ) from None


def _jsonl(file: IO[str]) -> Iterator[tuple[object, object, object]]:
    for line in file:
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a line that is not an object")
            label, premise, hypothesis = (row[field] for field in _FIELDS)
            yield label, premise, hypothesis


def _table(file: IO[str]) -> Iterator[tuple[object, object, object]]:
    header = next(file, "").rstrip("\r\n").split("\t")
    columns = [header.index(field) if field in header else None for field in _FIELDS]
    if None in columns:
        raise ValueError(f"the first line does not name the columns {', '.join(_FIELDS)}")
    wanted = [column for column in columns if column is not None]
    # With the column after the sentences there, the last of them is whole.
    least = min(len(header), max(wanted) + 2)
    for line in file:
        cells = line.rstrip("\r\n").split("\t")
        if not least <= len(cells) <= len(header):
            raise ValueError(f"a line of {len(cells)} columns where the first has {len(header)}")
        label, premise, hypothesis = (cells[column] for column in wanted)
        yield label, premise, hypothesis
