"""Thinned records of an experiment in a few files, so that thousands of them are no thousands of small ones.

    records/
        .experiments/<name>.json    which records an experiment consists of, see :mod:`unibio.store.lists`
        packed/<experiment>/
            records.parquet         one row a record, with the columns below
            history-<k>.parquet     ``record``, its name, and the columns of a history
            runs-<k>.parquet        ``record`` and the columns of its ``runs``
            done                    sha256 of the other files; written last, without it there is no pack

A row of ``records.parquet`` has, by name: ``record``; ``config`` and ``summary``, the texts of ``config.yaml`` and
``summary.json``; ``replay``, that of ``replayed.json`` or null; ``seal``, sha256 of the ``done`` that the record had by
itself; ``history`` and ``runs``, the numbers k of the files that hold its tables; ``history_rows`` and ``runs_rows``,
how many rows they have there. Tables that have the same columns of the same types lie in one file, one record after the
other in the order of ``records.parquet``. A record that several experiments share lies in the pack of one of them.

Whoever looks up a record with :func:`at` need not know whether it has a directory of its own. Needs no torch.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unibio.errors import InputError
from unibio.store import records, replays, smallfiles
from unibio.store.directories import is_name
from unibio.store.reading import regular, small_text
from unibio.store.records import HISTORY, RUNS, Record, fault_of, has
from unibio.store.replays import Replay
from unibio.store.writing import atomically, write_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FOLDER, INDEX = "packed", "records.parquet"

#: Columns of the index, with their types in parquet.
_INDEX = {
    "record": "string",
    "config": "string",
    "summary": "string",
    "replay": "string",
    "seal": "string",
    "history": "int64",
    "history_rows": "int64",
    "runs": "int64",
    "runs_rows": "int64",
}


@dataclass(frozen=True)
class Place:
    """Where a record's rows are in a pack.

    Attributes:
        file: that holds them.
        first, rows: the first of them, and how many they are.
    """

    file: str
    first: int
    rows: int


@dataclass(frozen=True)
class Entry:
    """What the index says of a record."""

    config: str
    summary: str
    seal: str
    replay: str
    history: Place
    runs: Place


class Pack:
    """The records of one directory, read lazily.

    Args:
        path: of the directory.
    """

    def __init__(self, path: Path):
        self.path = path

    @functools.cached_property
    def entries(self) -> Mapping[str, Entry]:
        """{record: what is said of it}, in order; {} where the index is none."""
        from pyarrow import ArrowException, parquet

        try:
            index = parquet.read_table(regular(self.path / INDEX))
        except (OSError, ArrowException):
            return {}
        if {field.name: str(field.type) for field in index.schema} != _INDEX:
            return {}
        filled: dict[str, int] = {}
        entries = {}
        for row in index.to_pylist():
            places = {}
            for kind in ("history", "runs"):
                file, rows = f"{kind}-{row[kind]}.parquet", row[f"{kind}_rows"] or 0
                places[kind] = Place(file, filled.get(file, 0), rows)
                filled[file] = places[kind].first + rows
            config, summary, seal, replay = (row[name] or "" for name in ("config", "summary", "seal", "replay"))
            entries[row["record"] or ""] = Entry(config, summary, seal, replay, places["history"], places["runs"])
        return entries

    @functools.cached_property
    def fault(self) -> str | None:
        """Why it is not what was written, in a few words; None where it is."""
        try:
            said = small_text(self.path / "done")
        except (OSError, ValueError):
            return "its pack is not complete"
        return None if said == _seal(self.path) else "damaged: its pack's files are not what was written"

    def table(self, name: str, place: Place) -> pa.Table:
        """A record's rows of one of the files.

        Args:
            name: of the record.
            place: where its rows are.

        Raises:
            InputError: they are not there.
        """
        from pyarrow import ArrowException

        path = self.path / place.file
        try:
            found = _table(path, _stamp(path)).slice(place.first, place.rows)
        except (OSError, IndexError, ArrowException):
            found = None
        if found is None or len(found) != place.rows or not _all_of(found, name):
            raise InputError(f"{path} does not hold the rows that {INDEX} says")
        return found.drop_columns(["record"])


def _all_of(table: pa.Table, name: str) -> bool:
    """Whether all rows are of the record of a name."""
    from pyarrow import compute

    return "record" in table.column_names and bool(compute.all(compute.equal(table["record"], name)).as_py())


@dataclass(frozen=True)
class PackedRecord(Record):
    """A record in a pack; its ``path`` is where a directory of it would be.

    Attributes:
        pack: that holds it.
    """

    pack: Pack

    @property
    def _entry(self) -> Entry:
        return self.pack.entries[self.name]

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return self._of(smallfiles.config_of(self._entry.config), "configuration")

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """Status, versions, hardware, timing, warnings."""
        return self._of(smallfiles.summary_of(self._entry.summary), "summary")

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        """Long table of logged iterations."""
        return self._frame(self.pack.table(self.name, self._entry.history), HISTORY)

    @functools.cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return self._frame(self.pack.table(self.name, self._entry.runs), RUNS)

    @property
    def length(self) -> int:
        """Rows of the history."""
        return self._entry.history.rows

    def part(self, filters: Sequence[tuple[str, str, Any]]) -> pd.DataFrame:
        """The rows of the history for which all of some conditions hold, see :meth:`Record.part`."""
        from pyarrow import parquet

        condition = parquet.filters_to_expression(list(filters))
        return self._frame(self.pack.table(self.name, self._entry.history).filter(condition), HISTORY)

    @property
    def seal(self) -> str:
        """sha256 of the ``done`` that it had by itself."""
        return self._entry.seal

    @property
    def replay(self) -> Replay | None:
        """What came of computing it again."""
        noted = replays.replay_of(self._entry.replay)
        return noted if noted is not None and noted.seal == self.seal else None

    @property
    def fault(self) -> str | None:
        """Why it is not the complete record of its name, in a few words; None where it is."""
        if self.pack.fault is not None:
            return self.pack.fault
        try:
            return fault_of(self.config, self.summary, self.name)
        except InputError as error:
            return f"damaged: {error}"

    def _frame(self, table: pa.Table, columns: Mapping[str, str]) -> pd.DataFrame:
        found: pd.DataFrame = table.to_pandas()
        if not has(found, columns):
            raise self._none_of("table")
        return found

    def _none_of(self, name: str) -> InputError:
        return InputError(f"{self.pack.path} does not hold what the {name} of {self.name} holds")


def at(root: Path, name: str, packed: Mapping[str, Pack] | None = None) -> Record:
    """What stands for a record in a directory of records: a directory of its own, a part of a pack, or nothing yet.

    Args:
        root: directory of records.
        name: of the record.
        packed: :func:`contents` of ``root``, where it is known.
    """
    if (root / name).exists():
        return Record(root / name)
    pack = (contents(root) if packed is None else packed).get(name)
    return Record(root / name) if pack is None else PackedRecord(root / name, pack)


def names(root: Path) -> list[str]:
    """What is called like a record in a directory of records, packed ones among it, in alphabetical order."""
    directories = [path.name for path in root.iterdir() if is_name(path.name) and path.is_dir()]
    return sorted({*directories, *contents(root)})


def contents(root: Path) -> dict[str, Pack]:
    """{record: the pack that holds it} of a directory of records."""
    folder = root / FOLDER
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    packs = [_pack(path, (*_stamp(path / INDEX), *_stamp(path / "done"))) for path in paths]
    return {name: pack for pack in packs for name in pack.entries}


def write(root: Path, experiment: str, found: Sequence[Record]) -> None:
    """Pack records, none of which may have been packed there before.

    Args:
        root: directory of records that receives ``packed/<experiment>/``.
        experiment: its name.
        found: complete records.
    """
    import pyarrow as pa
    from pyarrow import parquet

    folder = root / FOLDER / experiment
    folder.mkdir(parents=True)
    tables: dict[str, list[pa.Table]] = {}
    files: dict[tuple[Any, ...], int] = {}
    rows = []
    for record in found:
        noted = record.replay
        row: dict[str, Any] = {
            "record": record.name,
            "config": records.yaml_of(record.config),
            "summary": json.dumps(record.summary, ensure_ascii=False),
            "replay": None if noted is None else replays.text_of(noted),
            "seal": record.seal,
        }
        for kind, frame in (("history", record.history), ("runs", record.runs)):
            table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
            shape = kind, *((field.name, str(field.type)) for field in table.schema)
            number = row[kind] = files.setdefault(shape, sum(of[0] == kind for of in files))
            column = pa.array([record.name] * len(table), pa.string())
            tables.setdefault(f"{kind}-{number}.parquet", []).append(table.add_column(0, "record", column))
            row[f"{kind}_rows"] = len(table)
        rows.append(row)
    for name, parts in {INDEX: [pa.Table.from_pylist(rows, pa.schema(_INDEX))], **tables}.items():
        whole = pa.concat_tables(parts)
        atomically(folder / name, functools.partial(parquet.write_table, whole, **packing(whole)))
    seal = _seal(folder)
    assert seal is not None  # the files have just been written
    write_text(folder / "done", seal)


def _seal(folder: Path) -> str | None:
    """What ``done`` must say for the files as they are."""
    try:
        files = sorted(folder.glob("*.parquet"))
        return "".join(f"{records.sha256_of(path)}  {path.name}\n" for path in files)
    except OSError:
        return None


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes where a file is replaced; () where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=1000)
def _pack(path: Path, stamp: tuple[int, ...]) -> Pack:
    """A pack, which is read once however many of its records are asked for."""
    return Pack(path)


@functools.lru_cache(maxsize=4)
def _table(path: Path, stamp: tuple[int, ...]) -> pa.Table:
    """A file of a pack: the records of an experiment are asked for one after the other."""
    from pyarrow import parquet

    return parquet.read_table(regular(path))


def packing(table: pd.DataFrame | pa.Table) -> Mapping[str, Any]:
    """Options of the parquet writer: a number's bytes apart, so that those that rounding emptied cost nothing."""
    import pyarrow as pa

    schema = table.schema if isinstance(table, pa.Table) else pa.Schema.from_pandas(table, preserve_index=False)
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    counts = [field.name for field in schema if pa.types.is_integer(field.type)]
    return {
        "compression": "zstd",
        "compression_level": 19,
        "write_statistics": False,
        "store_schema": False,  # what pandas wrote would be read back by pandas alone, and is most of a small file
        "use_dictionary": [name for name in schema.names if name not in {*floats, *counts}],
        "column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT") | dict.fromkeys(counts, "DELTA_BINARY_PACKED"),
    }
