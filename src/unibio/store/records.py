"""The on-disk format of results: one directory a job. The only code that knows it; needs no torch.

    runs/<readable>-<digest>/
        config.yaml       the resolved configuration
        history.parquet   run, grid axes, iteration, oracle counts, seconds, metrics
        runs.parquet      one row per run: axes, status, where it stopped, counts, first hits
        summary.json      status, versions, hardware, code hash, seconds, warnings
        done              digests of the four files; written last, so without it there is no record
        checkpoint-*.pt   of an unfinished job; running.json of one that is being computed (see heartbeat)
        part-*            of an unfinished job that is computed in parts (see parts)
        tracked-*.json    of an unfinished job: up to where a dashboard has its rows
        replayed.json     whether later code computes the same numbers (see replays)
    runs/.experiments/<name>.json     which records an experiment's last sweep consists of (see lists)
    runs/packed/<name>/               no job's directory: the thinned records of an experiment (see packs)

Files are written to a temporary name and renamed. A record is *complete* when ``done`` matches every file to the byte,
and the directory's name is the one that follows from its configuration: a copy under another record's name is not that
record. It is *stale* when the code that computed it has changed since, and nothing shows that this does not matter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from unibio.errors import InputError
from unibio.store import replays, smallfiles
from unibio.store.reading import regular, small_text
from unibio.store.replays import Replay, Standing
from unibio.store.writing import atomically, check_place, write_text

if TYPE_CHECKING:  # whoever asks for a table needs it, and nobody who lists or counts records
    import pandas as pd

FILES = ("config.yaml", "history.parquet", "runs.parquet", "summary.json")

#: What a table must have to be read as a record's.
HISTORY = {"run": "integer", "iteration": "integer"}
RUNS = {"status": "string"}

#: Keys of a configuration that decide the numbers of a record. Everything else is how, where and why it ran.
SCIENTIFIC = (
    "problem",
    "algorithm",
    "steps",
    "budget",
    "seed",
    "grid",
    "dtype",
    "log_points",
    "targets",
    "repeats",
)


def digest(config: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of the scientific keys and the hash of the data."""
    scientific = {key: config.get(key) for key in SCIENTIFIC}
    scientific["data"] = config.get("data_hash")  # what the data are counts, not where they come from
    if config.get("epochs") is not None:  # absent otherwise, which leaves the names of other records as they were
        scientific["epochs"] = float(config["epochs"])
    return hashlib.sha256(json.dumps(scientific, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def record_name(config: Mapping[str, Any]) -> str:
    """A stable directory name: readable parts and 12 digits of the digest."""
    problem, algorithm = config["problem"], config["algorithm"]
    exponent = f"-p{problem['exponent']:g}" if "exponent" in problem else ""
    lengths = {"T": config.get("steps"), "B": config.get("budget"), "E": config.get("epochs")}
    length = next((f"-{letter}{_digits(value)}" for letter, value in lengths.items() if value is not None), "")
    return f"{problem['name']}{exponent}-{algorithm['name']}{length}-{digest(config)[:12]}"


def _digits(value: float) -> str:
    """A number in a name: 2 epochs are called so whether they were given as 2 or as 2.0."""
    return str(int(value)) if value == int(value) else str(value)


@dataclass(frozen=True)
class Record:
    """A record, read lazily: a complete one where it comes from :func:`find`.

    Raises:
        InputError: on reading a file that does not hold what a record's holds.
    """

    path: Path

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return self._of(smallfiles.config(self.path), "config.yaml")

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Status, versions, hardware, timing, warnings."""
        return self._of(smallfiles.summary(self.path), "summary.json")

    @cached_property
    def history(self) -> pd.DataFrame:
        """Long table of logged iterations."""
        return self._table("history.parquet", HISTORY)

    @property
    def length(self) -> int:
        """Rows of the history, which is not read for it."""
        from pyarrow import ArrowException, parquet

        try:
            return int(parquet.read_metadata(self.path / "history.parquet").num_rows)
        except (OSError, ArrowException):
            raise self._none_of("history.parquet") from None

    def part(self, filters: Sequence[tuple[str, str, Any]]) -> pd.DataFrame:
        """The rows of the history for which all of some conditions hold, without the others in memory.

        Args:
            filters: (column, comparison, value), as ("run", "==", 3).
        """
        return self._table("history.parquet", HISTORY, filters)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return self._table("runs.parquet", RUNS)

    @property
    def thinned(self) -> bool:
        """Whether it is a copy for figures and reports, see :mod:`unibio.store.thinning`."""
        return bool(self.summary.get("thinned"))

    @property
    def seal(self) -> str:
        """sha256 of ``done``, and so of all its files; "" where there is none."""
        return replays.seal_of(self.path)

    @property
    def replay(self) -> Replay | None:
        """What came of computing it again, as noted beside it; None where nothing is, or it is another record's."""
        return replays.read(self.path)

    @property
    def standing(self) -> Standing:
        """How it stands to today's code."""
        return replays.standing(self.summary, lambda: self.replay)

    @property
    def stale(self) -> bool:
        """Whether the code that computed it has changed since, and no replay shows that it does not matter."""
        return self.standing.state == "stale"

    @property
    def fault(self) -> str | None:
        """Why the directory is not the complete record of its name, in a few words; None where it is."""
        try:
            said = small_text(self.path / "done")
        except (OSError, ValueError):
            return "not complete"
        if said != _seal(self.path):
            return "damaged: its files are not what was written"
        try:
            return fault_of(self.config, self.summary, self.name)
        except InputError as error:
            return f"damaged: {error}"

    def _of(self, found: dict[str, Any] | None, name: str) -> dict[str, Any]:
        if found is None:
            raise self._none_of(name)
        return found

    def _none_of(self, name: str) -> InputError:
        return InputError(f"{self.path / name} is not there, or does not hold what a record's {name} holds")

    def _table(
        self, name: str, columns: Mapping[str, str], filters: Sequence[tuple[str, str, Any]] | None = None
    ) -> pd.DataFrame:
        """A table that has some columns of pandas' kinds; and rows, unless they are filtered."""
        import pandas as pd
        from pyarrow import ArrowException

        try:
            found = pd.read_parquet(regular(self.path / name), filters=None if filters is None else list(filters))
        except (OSError, ValueError, ArrowException):
            raise self._none_of(name) from None
        if not has(found, columns) or (found.empty and filters is None):
            raise self._none_of(name)
        return found


def has(table: pd.DataFrame, columns: Mapping[str, str]) -> bool:
    """Whether a table has some columns of pandas' kinds."""
    import pandas as pd

    kinds = pd.api.types
    return all(name in table and getattr(kinds, f"is_{kind}_dtype")(table[name]) for name, kind in columns.items())


def find(path: Path) -> Record | None:
    """The record in a directory, or None where there is none that is complete, undamaged and of this name."""
    record = Record(path)
    return record if record.fault is None else None


def fault_of(config: Mapping[str, Any], summary: Mapping[str, Any], name: str) -> str | None:
    """Why a configuration and a summary are not those of the finished job of a name; None where they are."""
    if summary["status"] != "completed":
        return "damaged: its summary is not of a finished job"
    own = name_of(config)
    return None if own == name else f"another record: its configuration is that of {own or 'no job'}"


def name_of(config: Mapping[str, Any]) -> str | None:
    """:func:`record_name` of a configuration that may be none; None where it has no name."""
    try:
        return record_name(config)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        return None


def _seal(path: Path) -> str | None:
    """What ``done`` must say for the files as they are."""
    try:
        return "".join(f"{sha256_of(path / name)}  {name}\n" for name in FILES)
    except OSError:
        return None


def sha256_of(path: Path) -> str:
    """The digest of a file, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with regular(path).open("rb") as file:  # a history may be larger than the memory
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(
    path: Path,
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    history: pd.DataFrame | Sequence[Path],
    runs: pd.DataFrame,
    packing: Callable[[pd.DataFrame], Mapping[str, Any]] = lambda table: {},
) -> Record:
    """Write a complete record into ``path``; whatever stood there counts as no record until ``done`` is written.

    Args:
        path: of the record.
        config, summary, runs: as they are to be read.
        history: the table, or files that hold it part by part, of which one after the other is read.
        packing: from a table to options of the parquet writer.
    """
    _open(path)
    write_text(path / "config.yaml", yaml_of(config))
    atomically(path / "history.parquet", lambda t: _write_history(t, history, packing))
    atomically(path / "runs.parquet", lambda t: runs.to_parquet(t, index=False, **packing(runs)))
    write_text(path / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    seal = _seal(path)
    assert seal is not None  # the files have just been written
    write_text(path / "done", seal)
    return Record(path)


def _write_history(
    path: Path,
    history: pd.DataFrame | Sequence[Path],
    packing: Callable[[pd.DataFrame], Mapping[str, Any]],
) -> None:
    if not isinstance(history, Sequence):
        history.to_parquet(path, index=False, **packing(history))
        return
    from pyarrow import parquet

    with parquet.ParquetWriter(path, parquet.read_schema(history[0])) as writer:
        for part in history:
            with parquet.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))


def write_unfinished(path: Path, config: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Note an interrupted or failed job: configuration and summary without ``done``."""
    _open(path)
    write_text(path / "config.yaml", yaml_of(config))
    write_text(path / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


def _open(path: Path) -> None:
    """A record's directory, which counts as none from now on."""
    check_place(path)
    path.mkdir(parents=True, exist_ok=True)
    for name in ("done", replays.FILE):
        (path / name).unlink(missing_ok=True)


def write_replay(record: Record, replay: Replay) -> None:
    """Note beside a record what came of computing it again."""
    check_place(record.path)
    write_text(record.path / replays.FILE, replays.text_of(replay))


def failure(path: Path, code: str | None = None) -> str | None:
    """The last line of a failed job's traceback; None for any other directory.

    Args:
        path: of the record.
        code: count only a failure of this code hash, since other code may not fail.
    """
    noted = unfinished(path)
    if noted.get("status") != "failed" or code not in (None, noted.get("code_hash")):
        return None
    lines = str(noted.get("traceback", "")).strip().splitlines()
    return lines[-1] if lines else "no traceback"


def unfinished(path: Path) -> dict[str, Any]:
    """What :func:`write_unfinished` noted; {} where there is nothing that can be read."""
    return smallfiles.summary(path) or {}


def yaml_of(config: Mapping[str, Any]) -> str:
    """What ``config.yaml`` holds."""
    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
