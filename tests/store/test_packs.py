"""Packed records read back as they were, and a pack that is not what was written is none."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from record_files import CONFIG, written
from unibio.errors import InputError
from unibio.report.loading import sweep
from unibio.store import lists, packs, records, status
from unibio.store.codehash import code_hash
from unibio.store.records import Record
from unibio.store.replays import Replay
from unibio.store.show import find_record

MODULES = ["unibio.core.powers"]


def several(root: Path) -> list[Record]:
    """Records of one experiment: two with the same columns, others with one more, and with other types."""
    found = []
    for k, more in enumerate(({}, {}, {"cap": [0.5, 0.25, None, 1.0]}, {"cap": [1, 2, 3, 4]})):
        record = written(root, config=CONFIG | {"seed": k})
        history = record.history.assign(value=[k, 1.5, float("nan"), float("inf")], **more)
        runs = record.runs.assign(hit=[3.0, None], kind=["a", None])
        found.append(records.write(record.path, record.config, record.summary, history, runs))
    noted = Replay(MODULES, code_hash(MODULES), found[0].seal, 3, 10, 8, "", "abc", 0.1, "today")
    records.write_replay(found[0], noted)
    return found


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, list[Record]]:
    found = several(tmp_path / "runs")
    packs.write(tmp_path / "packed", "mine", found)
    lists.write_manifest(tmp_path / "packed", "mine", [one.name for one in found], "python -m unibio")
    return tmp_path / "packed", found


def test_records_come_back_as_they_were(packed: tuple[Path, list[Record]]) -> None:
    root, found = packed
    again = lists.load_experiment(root, "mine")
    assert [one.name for one in again] == [one.name for one in found]
    for one, other in zip(found, again, strict=True):
        assert (other.config, other.summary) == (one.config, one.summary)
        assert (other.seal, other.replay, other.standing, other.length) == (
            one.seal, one.replay, one.standing, one.length,
        )  # fmt: skip
        pd.testing.assert_frame_equal(other.history, one.history)
        pd.testing.assert_frame_equal(other.runs, one.runs)
        filters = [("run", "==", 1), ("iteration", ">", 0)]
        pd.testing.assert_frame_equal(other.part(filters), one.part(filters))
    assert found[0].replay is not None
    assert len(list((root / "packed" / "mine").iterdir())) == 6, (
        "three shapes of histories, one of runs, index and done"
    )


def test_whoever_looks_up_a_record_finds_it_there(packed: tuple[Path, list[Record]]) -> None:
    root, found = packed
    name = found[2].name
    assert find_record(root, name.rpartition("-")[2]).config == found[2].config
    assert [one.name for one in sweep(root, name)] == [name]
    (noted,) = status.sweeps(root)
    assert [(job.name, job.state) for job in noted.jobs] == [(one.name, "done") for one in found]
    with pytest.raises(InputError, match="unknown record in"):
        find_record(root, "gone")
    assert status.state_of(root / "example3-gone-0123456789ab").state == "to do"


def test_a_directory_of_its_own_comes_first(packed: tuple[Path, list[Record]]) -> None:
    root, found = packed
    shutil.copytree(found[0].path, root / found[0].name)
    assert not isinstance(packs.at(root, found[0].name), packs.PackedRecord)
    assert isinstance(packs.at(root, found[1].name), packs.PackedRecord)


def test_a_pack_is_packed_again_as_it_is(packed: tuple[Path, list[Record]], tmp_path: Path) -> None:
    root, _ = packed
    packs.write(tmp_path / "again", "mine", lists.load_experiment(root, "mine"))
    files = [
        {one.name: one.read_bytes() for one in (at / "packed" / "mine").iterdir()} for at in (root, tmp_path / "again")
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize("name", ["records.parquet", "history-1.parquet", "runs-0.parquet", "done"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_what_is_not_what_was_written_is_no_record(packed: tuple[Path, list[Record]], name: str, how: str) -> None:
    root, found = packed
    path = root / "packed" / "mine" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if how != "gone":
        path.write_bytes(content if how == "flipped" else content[:-1])
    with pytest.warns(UserWarning, match=f"4 of 4 records missing or damaged .first: {found[0].name}, "):
        assert lists.load_experiment(root, "mine") == []


def resealed(root: Path) -> None:
    seal = packs._seal(root / "packed" / "mine")
    assert seal is not None
    (root / "packed" / "mine" / "done").write_text(seal)


_CELL = st.text() | st.none()


@given(st.sampled_from(["record", "config", "summary", "replay", "seal"]), _CELL)
def test_an_index_of_other_hands_raises_nothing_but_input_errors(
    tmp_path_factory: pytest.TempPathFactory, column: str, value: str | None
) -> None:
    """Whatever a text of it is, and sealed anew: the record is none, or one whose replay is none."""
    root = tmp_path_factory.mktemp("packed")
    found = several(tmp_path_factory.mktemp("runs"))[:2]
    packs.write(root, "mine", found)
    path = root / "packed" / "mine" / "records.parquet"
    index = parquet.read_table(path)
    cells = [value, *index[column].to_pylist()[1:]]
    index = index.set_column(index.column_names.index(column), column, pa.array(cells, pa.string()))
    parquet.write_table(index, path)
    resealed(root)
    record = packs.at(root, found[0].name)
    if column in ("record", "config", "summary"):
        assert record.fault is not None
    else:
        assert record.fault is None
        assert record.replay is None
        assert record.standing.state == "current"
    assert packs.at(root, found[1].name).fault is None


@pytest.mark.parametrize("change", [{"history_rows": 7}, {"runs": 5}, {"history": -1}])
def test_rows_that_are_not_there_are_an_error(packed: tuple[Path, list[Record]], change: dict[str, int]) -> None:
    root, found = packed
    path = root / "packed" / "mine" / "records.parquet"
    index = parquet.read_table(path)
    for name, value in change.items():
        cells = pa.array([*index[name].to_pylist()[:-1], value], pa.int64())
        index = index.set_column(index.column_names.index(name), name, cells)
    parquet.write_table(index, path)
    resealed(root)
    record = packs.at(root, found[-1].name)
    with pytest.raises(InputError, match=r"does not hold the rows that records\.parquet says"):
        _ = record.history, record.runs


def test_rows_of_another_record_are_an_error(packed: tuple[Path, list[Record]]) -> None:
    """An index in another order, sealed anew, would give one record the numbers of another."""
    root, found = packed
    path = root / "packed" / "mine" / "records.parquet"
    parquet.write_table(parquet.read_table(path).take([1, 0, 2, 3]), path)
    resealed(root)
    with pytest.raises(InputError, match=r"does not hold the rows that records\.parquet says"):
        _ = packs.at(root, found[0].name).history
    pd.testing.assert_frame_equal(packs.at(root, found[3].name).history, found[3].history)


def test_an_index_of_other_columns_holds_nothing(packed: tuple[Path, list[Record]]) -> None:
    root, _ = packed
    path = root / "packed" / "mine" / "records.parquet"
    parquet.write_table(parquet.read_table(path).drop_columns(["seal"]), path)
    resealed(root)
    assert packs.contents(root) == {}
    path.write_bytes(b"no parquet")
    assert packs.contents(root) == {}


def test_a_replay_of_another_record_counts_for_nothing(packed: tuple[Path, list[Record]]) -> None:
    root, found = packed
    assert found[0].replay is not None
    path = root / "packed" / "mine" / "records.parquet"
    index = parquet.read_table(path)
    other = json.dumps(dataclasses.asdict(dataclasses.replace(found[0].replay, seal="0" * 64)))
    cells = pa.array([other, *index["replay"].to_pylist()[1:]], pa.string())
    parquet.write_table(index.set_column(index.column_names.index("replay"), "replay", cells), path)
    assert packs.at(root, found[0].name).replay is None
