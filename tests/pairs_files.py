"""Small data sets in the formats that the directory source reads."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unibio.data import DataSettings

#: (gold_label, sentence1, sentence2)
Row = tuple[str, str, str]
LABELS = ("entailment", "neutral", "contradiction")
HEADER = ["gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse"]
HEADER += ["sentence1", "sentence2", "captionID", "pairID", "label1", "label2", "label3", "label4", "label5"]


def rows(split: str, count: int) -> list[Row]:
    """Pairs that differ from each other and from other splits'."""
    return [(LABELS[k % 3], f"A man isn't at the {split} {k}.", f"He is {k}") for k in range(count)]


def jsonl(content: Iterable[Row]) -> bytes:
    objects = ({"gold_label": label, "sentence1": one, "sentence2": two} for label, one, two in content)
    return "".join(json.dumps(item) + "\n" for item in objects).encode()


def table(content: Iterable[Row]) -> bytes:
    """The official tab-separated release: parses before the sentences, empty votes at the end."""
    lines = [[label, "( A )", "( B )", "(ROOT A)", "(ROOT B)", one, two, "1.jpg", "1", label, "", "", "", ""] for
             label, one, two in content]  # fmt: skip
    return "".join("\t".join(line) + "\n" for line in [HEADER, *lines]).encode()


def write(folder: Path, **splits: list[Row]) -> Path:
    """train.jsonl.gz, dev.jsonl.gz and test.jsonl.gz."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in splits.items():
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(jsonl(content)))
    return folder


def small(folder: Path) -> Path:
    return write(folder, train=rows("train", 12), dev=rows("dev", 6), test=rows("test", 6))


def settings(folder: Path, cache: Path, **changes: Any) -> DataSettings:
    given: dict[str, Any] = {"train": None, "valid": None, "test": None, "vectors": "random", "dimension": 4}
    return DataSettings(source="directory", dir=str(folder), cache=str(cache), **given | changes)
