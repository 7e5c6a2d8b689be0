"""Whether today's code computes a record's numbers: noted beside the record, and read by whoever shows it.

The hash of the code tells that something has changed, be it only a module's place or an error text. A replay tells
whether that matters: a sweep computes the record's first iterations again and compares them with its history to the
bit (:mod:`unibio.pipeline.replay`). Its result counts for the code and the record that it was made with, and for
nothing else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unibio.store.codehash import code_hash
from unibio.store.reading import small_bytes, small_text
from unibio.store.smallfiles import object_of


@dataclass(frozen=True)
class Replay:
    """What came of computing a record again, or its beginning.

    Attributes:
        modules, code_hash: the code that computed it again, as in a summary.
        seal: of the record, see :func:`seal_of`.
        iteration: up to which the rows were compared.
        last: the record's last iteration.
        rows: of the record's history that were compared.
        difference: the first that was found, in words; "" where all are equal to the bit.
        commit: of the code; "" outside a clone.
        seconds: what it took.
        finished: when.
    """

    modules: list[str]
    code_hash: str
    seal: str
    iteration: int
    last: int
    rows: int
    difference: str
    commit: str
    seconds: float
    finished: str

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.difference

    @property
    def whole(self) -> bool:
        """Whether the record was computed again to its end."""
        return self.iteration >= self.last


#: Beside a record, which it is no part of.
FILE = "replayed.json"

_SHAPE: Mapping[str, Any] = {
    "modules": [str],
    "code_hash": str,
    "seal": str,
    "iteration": int,
    "last": int,
    "rows": int,
    "difference": str,
    "commit": str,
    "seconds": (int, float),
    "finished": str,
}


@dataclass(frozen=True)
class Standing:
    """How a record stands to today's code.

    Attributes:
        state: "current", computed by this very code; "replayed", by other code, but what was computed again is equal;
            "stale", by other code, and nothing is known or something differs.
        replay: the result for today's code; None where there is none.
    """

    state: str
    replay: Replay | None = None

    def __str__(self) -> str:
        if self.state == "replayed" and self.replay is not None:
            end = ", its end" if self.replay.whole else ""
            return f"replayed to iteration {self.replay.iteration}{end}"
        return self.state


def standing(summary: Mapping[str, Any], noted: Callable[[], Replay | None]) -> Standing:
    """How a record stands to today's code.

    Args:
        summary: its own.
        noted: gives what came of computing it again; not asked where today's code computed it.
    """
    if summary.get("code_hash") == code_hash(summary.get("modules", ())):
        return Standing("current")
    replay = noted()
    if replay is None or replay.code_hash != code_hash(replay.modules):
        return Standing("stale")
    return Standing("replayed" if replay.equal else "stale", replay)


def read(directory: Path) -> Replay | None:
    """The result noted beside a record; None where there is none, or it is another record's."""
    try:
        found = replay_of(small_text(directory / FILE))
    except (OSError, ValueError):
        return None
    return found if found is not None and found.seal == seal_of(directory) else None


def replay_of(text: str) -> Replay | None:
    """The result that a text holds; None where it cannot be one."""
    found = object_of(text, _SHAPE)
    return None if found is None else Replay(**{name: found[name] for name in _SHAPE})


def text_of(replay: Replay) -> str:
    """What the file holds."""
    return json.dumps(dataclasses.asdict(replay), indent=1, ensure_ascii=False) + "\n"


def seal_of(directory: Path) -> str:
    """sha256 of a record's ``done``, and so of all its files; "" where there is none."""
    try:
        return hashlib.sha256(small_bytes(directory / "done")).hexdigest()
    except OSError:
        return ""
