"""Pairs from files: SNLI's official release, or jsonl files with its fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from unibio.data.files import BadLine, is_directory, is_file, lines, opened, sha256, sums, text, user_path
from unibio.data.pairs import LABELS, Pair, Source
from unibio.data.progress import Progress
from unibio.errors import InputError

_NAMES = {"train": ("train",), "valid": ("dev", "valid", "validation"), "test": ("test",)}
_ENDINGS = (".jsonl", ".jsonl.gz", ".txt", ".txt.gz")
#: A file with the sha256 of others, as the command sha256sum writes it.
SUMS = "SHA256SUMS"
_FIELDS = ("gold_label", "sentence1", "sentence2")
#: Labels of a file by name; "-" is SNLI's where annotators did not agree.
_NUMBERS = {name: number for number, name in enumerate(LABELS)} | {"-": -1}


def files_of(path: str) -> dict[str, Path]:
    """The three files of a directory, named train, dev (or valid, validation) and test, with or without snli_1.0_.

    Raises:
        InputError: no directory, one of the files is missing, or there are two for one split.
    """
    folder = user_path(path, "data.dir")
    if not is_directory(folder):
        raise InputError(f"data.dir = {path} is not a directory")
    return {split: _only(folder, split) for split in _NAMES}


def has_files(path: str) -> bool:
    """Whether a directory has any of the files; where it has none, prepared data may still be in the cache."""
    folder = user_path(path, "data.dir")
    return any(_there(folder, split) for split in _NAMES)


def directory(path: str, progress: Progress) -> Source:
    """The pairs of :func:`files_of`, after checking that each file is whole.

    Every file is read to its end first, since one that was cut off shows there and pairs are read only as far as they
    are needed: gz files have a checksum at their end, and in others the last line is not whole. What a file SHA256SUMS
    in the directory says of them must be right.

    Raises:
        InputError: as :func:`files_of`, or a file is damaged or not in SNLI's format.
    """
    files = files_of(path)
    folder = user_path(path, "data.dir")
    _verify(folder, list(files.values()), progress)
    return Source(
        f"files of the directory {folder.resolve().name}", {split: _read(file) for split, file in files.items()}
    )


def _there(folder: Path, split: str) -> list[Path]:
    return [path for stem in _stems(split) for ending in _ENDINGS if is_file(path := folder / (stem + ending))]


def _stems(split: str) -> list[str]:
    return [prefix + name for name in _NAMES[split] for prefix in ("", "snli_1.0_")]


def _only(folder: Path, split: str) -> Path:
    found = _there(folder, split)
    if not found:
        expected = " or ".join(stem + ".jsonl" for stem in _stems(split))
        try:
            there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        except OSError as error:
            raise InputError(f"data.dir = {folder} cannot be read ({error.strerror})") from None
        raise InputError(
            f"data.dir = {folder} has no file for {split}: expected {expected} (or .jsonl.gz, .txt, .txt.gz); there "
            f"is {there}"
        )
    # The release has the same pairs as jsonl and as txt; any other two would leave open which one is meant.
    if len(found) > 1 and [file.name for file in found] != [f"{found[0].stem}.jsonl", f"{found[0].stem}.txt"]:
        names = ", ".join(file.name for file in found)
        raise InputError(f"data.dir = {folder} has {len(found)} files for {split}: {names}; leave one of them")
    return found[0]


def _verify(folder: Path, files: list[Path], progress: Progress) -> None:
    promised = sums(folder / SUMS)
    for path in files:
        if path.name in promised and sha256(path) != promised[path.name]:
            raise InputError(f"data.dir: {path} is damaged, as its sha256 is not that of {SUMS}; get it again")
        for _ in progress.count(_read(path), f"checking {path.name}"):
            pass


def _read(path: Path) -> Iterator[Pair]:
    """The pairs of a file, one after the other.

    Raises:
        InputError: a line is none of such a file, or the file cannot be read to its end, or holds no pair.
    """
    number, found = 1, False  # of the line that is being fetched or read
    rows: Callable[[str], _Row] | None = _jsonl if ".jsonl" in path.name else None
    try:
        with opened(path) as (stream, _):
            for line in lines(stream):
                if rows is None:  # the first line of a table names its columns
                    rows = _table(text(line))
                elif line.strip():
                    found = True
                    yield _pair(*rows(text(line)))
                number += 1
        if not found:
            raise BadLine("the file ends, and holds no pair")
    except InputError:
        raise
    except Exception as error:  # of archives, encodings and JSON, which have many kinds of errors
        what = f"line {number}: {_complaint(error)}"
        raise InputError(f"data.dir: {path} is damaged or not in SNLI's format, {what}. Get the file again") from None


def _complaint(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no field {error}"
    if isinstance(error, json.JSONDecodeError):
        return f"cut off or no JSON (character {error.pos + 1})"
    if isinstance(error, RecursionError):
        return "brackets within brackets without end"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _pair(label: object, premise: object, hypothesis: object) -> Pair:
    if not (isinstance(label, str) and isinstance(premise, str) and isinstance(hypothesis, str)):
        raise ValueError("a label or a sentence that is not text")
    if label not in _NUMBERS:
        raise ValueError(f"the label {label!r}, not one of {', '.join(_NUMBERS)}")
    for sentence in (premise, hypothesis):
        if not sentence.isascii() and any("\ud800" <= sign <= "\udfff" for sign in sentence):
            raise ValueError("half of a character, which JSON writes in two halves")
    return Pair(premise, hypothesis, _NUMBERS[label])


#: Label, premise and hypothesis of a line, of whatever types.
_Row = tuple[object, object, object]


def _jsonl(line: str) -> _Row:
    row = json.loads(line, object_pairs_hook=_once)
    if not isinstance(row, dict):
        raise ValueError("not an object")
    label, premise, hypothesis = (row[field] for field in _FIELDS)
    return label, premise, hypothesis


def _once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of a field that is there twice JSON would keep the later one."""
    found = dict(fields)
    if len(found) != len(fields):
        raise ValueError("a field that is there twice")
    return found


def _table(first: str) -> Callable[[str], _Row]:
    """Reads the lines of a table whose first one names the columns."""
    header = first.rstrip("\r\n").split("\t")
    if any(field not in header for field in _FIELDS):
        raise ValueError(f"it does not name the columns {', '.join(_FIELDS)}")
    columns = [header.index(field) for field in _FIELDS]
    # With the column after the sentences there, the last of them is whole. Annotators' votes behind them may be
    # missing, but not together with the line's end: then the file was cut off.
    least = min(len(header), max(columns) + 2)

    def row(line: str) -> _Row:
        cells = line.rstrip("\r\n").split("\t")
        if not least <= len(cells) <= len(header):
            raise ValueError(f"{len(cells)} columns where the first line has {len(header)}")
        if not line.endswith("\n") and len(cells) < len(header):
            raise ValueError(f"the last line is cut off after {len(cells)} of {len(header)} columns")
        label, premise, hypothesis = (cells[column] for column in columns)
        return label, premise, hypothesis

    return row
