"""Parts of a record: there when they are whole, and not there after the least damage."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from unibio.store import parts, records
from unibio.store.directories import own_files
from unibio.store.parts import find, name_of, write

HISTORY = pd.DataFrame({"run": [3, 3, 4, 4], "iteration": [0, 1, 0, 1], "value": [0.1, float("nan"), -0.0, 1e-300]})
RUNS = pd.DataFrame({"seed": [3, 4], "status": ["completed", "diverged"]})
ENDS = pd.DataFrame({"value": [float("nan"), 1e-300]})


def written(directory: Path, first: int = 3) -> parts.Part:
    return write(directory, name_of("abc", first), {"seconds": [1.0]}, HISTORY, RUNS, ENDS)


def test_a_part_is_read_as_it_was_written(tmp_path: Path) -> None:
    part = written(tmp_path)
    again = find(tmp_path, part.name)
    assert again == part
    assert again is not None
    assert again.noted == {"seconds": [1.0]}
    pd.testing.assert_frame_equal(again.table("runs"), RUNS, check_exact=True)
    pd.testing.assert_frame_equal(again.table("ends"), ENDS, check_exact=True)
    pd.testing.assert_frame_equal(pd.read_parquet(again.history), HISTORY, check_exact=True)
    assert own_files(tmp_path) == sorted(tmp_path.iterdir())
    assert find(tmp_path, name_of("abc", 4)) is None


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("damage", ["flipped", "shorter", "gone", "empty"])
def test_a_damaged_part_is_none(number: int, damage: str, tmp_path: Path) -> None:
    part = written(tmp_path)
    file = sorted(tmp_path.iterdir())[number]
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes({"flipped": content, "shorter": content[:-1], "empty": b""}[damage])
    assert find(tmp_path, part.name) is None
    assert find(tmp_path, written(tmp_path).name) is not None, "written anew"


def test_only_parts_of_another_tag_are_removed(tmp_path: Path) -> None:
    part = written(tmp_path)
    write(tmp_path, name_of("abd", 0), {}, HISTORY, RUNS, ENDS)
    (tmp_path / "notes.txt").write_text("mine")
    parts.remove(tmp_path, but="abc")
    assert find(tmp_path, part.name) is not None
    assert find(tmp_path, name_of("abd", 0)) is None
    parts.remove(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_history_in_parts_is_the_history(tmp_path: Path) -> None:
    """Column for column, of the same types, and with no index of the parts."""
    config = {"problem": {"name": "a"}, "algorithm": {"name": "b"}, "steps": 1, "grid": {}}
    files = [written(tmp_path, first).history for first in (3, 5)]
    whole = pd.concat([HISTORY, HISTORY], ignore_index=True)
    one = records.write(tmp_path / "one", config, {"status": "completed"}, whole, RUNS)
    other = records.write(tmp_path / "other", config, {"status": "completed"}, files, RUNS)
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    assert other.length == 8
    assert other.part([("run", "==", 4), ("iteration", "<=", 0)])["value"].tolist() == [-0.0, -0.0]
