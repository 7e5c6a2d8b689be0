"""Records: stable identity, atomic writing, and damage that is never half-read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_files import CONFIG, HISTORY, RUNS, written
from unibio.errors import InputError
from unibio.store import lists, records


def test_a_record_reads_back_as_written(tmp_path: Path) -> None:
    record = written(tmp_path)
    found = records.find(record.path)
    assert found is not None
    assert found.config == CONFIG
    assert found.summary["status"] == "completed"
    pd.testing.assert_frame_equal(found.history, HISTORY)
    pd.testing.assert_frame_equal(found.runs, RUNS)
    assert sorted(p.name for p in record.path.iterdir()) == sorted([*records.FILES, "done"]), "temporary files remain"


@pytest.mark.parametrize("name", [*records.FILES, "done"])
def test_one_flipped_byte_anywhere_makes_it_no_record(tmp_path: Path, name: str) -> None:
    record = written(tmp_path)
    path = record.path / name
    original = path.read_bytes()
    for position in {0, len(original) // 2, len(original) - 1}:
        damaged = bytearray(original)
        damaged[position] ^= 0x01
        path.write_bytes(damaged)
        assert records.find(record.path) is None, f"{name} byte {position}"
    path.write_bytes(original)
    assert records.find(record.path) is not None


@pytest.mark.parametrize("name", [*records.FILES, "done"])
def test_truncated_empty_or_missing_files_make_it_no_record(tmp_path: Path, name: str) -> None:
    record = written(tmp_path)
    path = record.path / name
    content = path.read_bytes()
    for rest in (content[:-1], b""):
        path.write_bytes(rest)
        assert records.find(record.path) is None
    path.unlink()
    assert records.find(record.path) is None


def test_an_interrupted_write_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = written(tmp_path)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full_disk)
    with pytest.raises(OSError, match="No space left"):
        written(tmp_path)
    assert records.find(record.path) is None
    assert not list(record.path.glob(".*")), "a temporary file remains"


def test_the_digest_sees_science_and_nothing_else() -> None:
    base = records.digest(CONFIG)
    for key in records.SCIENTIFIC:
        changed = CONFIG | {key: {"name": "other"}}
        assert records.digest(changed) != base, key
    for key, value in (("records", "elsewhere"), ("device", "cuda"), ("tracker", {"mode": "none"}), ("threads", 7)):
        assert records.digest(CONFIG | {key: value}) == base, key


@given(st.permutations(list(CONFIG)))
def test_the_digest_does_not_depend_on_key_order(order: list[str]) -> None:
    assert records.digest({key: CONFIG[key] for key in order}) == records.digest(CONFIG)


def test_a_directory_under_another_name_is_not_that_record(tmp_path: Path) -> None:
    """Copied, moved, or sealed anew with another configuration: the name has to follow from the content."""
    record = written(tmp_path)
    other = written(tmp_path, config=CONFIG | {"seed": 1})
    assert other.name != record.name
    shutil.rmtree(other.path)
    shutil.copytree(record.path, other.path)
    assert records.find(other.path) is None
    assert other.fault == f"another record: its configuration is that of {record.name}"
    forged = records.write(record.path, CONFIG | {"steps": 11}, dict(record.summary), HISTORY, RUNS)
    assert records.find(forged.path) is None


@pytest.mark.parametrize("epochs", [2, 2.0, 0.5, 1e-7, 123456.5])
def test_a_name_follows_from_what_is_read_back(tmp_path: Path, epochs: float) -> None:
    """Whatever type a number had, and has after YAML."""
    config = {**CONFIG, "steps": None, "epochs": epochs, "algorithm": {"name": "unibio", "upper_step": 1e-07}}
    record = written(tmp_path, config=config)
    assert records.find(record.path) is not None
    assert records.record_name(config | {"epochs": float(epochs)}) == record.name


def test_what_stands_in_a_records_place_is_not_written_through(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "summary.json").write_text("precious")
    path = tmp_path / records.record_name(CONFIG)
    path.symlink_to(home)
    with pytest.raises(InputError, match="is a link: nothing is written through it"):
        written(tmp_path)
    with pytest.raises(InputError, match="is a link"):
        records.write_unfinished(path, CONFIG, {"status": "failed"})
    assert [file.name for file in home.iterdir()] == ["summary.json"]
    assert (home / "summary.json").read_text() == "precious"
    path.unlink()
    path.write_text("a file")
    with pytest.raises(InputError, match="is no directory"):
        written(tmp_path)
    path.unlink()
    record = written(tmp_path)
    (record.path / "config.yaml").unlink()
    (record.path / "config.yaml").symlink_to(home / "summary.json")
    written(tmp_path)
    assert (home / "summary.json").read_text() == "precious", "a link among the files is replaced"


def test_an_experiment_lists_its_records_and_says_what_is_missing(tmp_path: Path) -> None:
    record = written(tmp_path)
    assert lists.load_experiment(tmp_path, "fig1") == []
    lists.write_manifest(tmp_path, "fig1", [record.name, "gone-123"], "python -m unibio experiment=fig1")
    with pytest.warns(UserWarning, match="1 of 2 records missing.*python -m unibio experiment=fig1"):
        found = lists.load_experiment(tmp_path, "fig1")
    assert [r.name for r in found] == [record.name]


NO_LISTS = [
    *("[1]", "{}", "[" * 5000, "9" * 5000),
    *(f'{{"command": "c", "records": {value}}}' for value in ("3", "null", '"a"', "[1]", '["../x"]', '["."]', '[""]')),
    *(f'{{"command": "c", "records": ["{name}"]}}' for name in ("a\\u0000", "\\ud800", "a" * 300)),
    '{"command": 1, "records": []}',
]


@pytest.mark.parametrize("content", NO_LISTS, ids=range(len(NO_LISTS)))
def test_a_list_of_records_that_is_none_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / ".experiments").mkdir()
    (tmp_path / ".experiments" / "fig1.json").write_text(content)
    assert lists.manifest(tmp_path, "fig1") is None
    with pytest.warns(UserWarning, match=r"fig1\.json is no list of records"):
        assert lists.load_experiment(tmp_path, "fig1") == []


@pytest.mark.slow
def test_reading_records_needs_no_torch(tmp_path: Path) -> None:
    record = written(tmp_path)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path; from unibio.store import lists, records\n"
        f"r = records.find(Path({str(record.path)!r})); print(r.standing, len(r.history), len(r.runs))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["current", "4", "2"]


def test_tables_of_right_digests_and_wrong_content_are_named(tmp_path: Path) -> None:
    """Of another program, or of hands that have sealed them again."""
    record = written(tmp_path)
    tables: dict[str, dict[str, pd.DataFrame | bytes]] = {
        "history": {
            "without runs": HISTORY.drop(columns="run"),
            "empty": HISTORY.iloc[:0],
            "of text": HISTORY.astype(str),
            "of fractions": HISTORY.astype(float),
            "no table": b"PAR1junkPAR1",
            "nothing": b"",
        },
        "runs": {"without how they ended": RUNS.drop(columns="status"), "empty": RUNS.iloc[:0], "no table": b"x"},
    }
    for name, contents in tables.items():
        path = record.path / f"{name}.parquet"
        whole = path.read_bytes()
        for what, content in contents.items():
            path.write_bytes(content) if isinstance(content, bytes) else content.to_parquet(path)
            reasons = []
            for read in (lambda name=name: getattr(records.Record(record.path), name), lambda: _lines(record.path)):
                try:
                    read()
                except InputError as error:
                    reasons.append(str(error))
            assert reasons, (name, what)
            assert all(f"{name}.parquet is not there, or does not hold what" in reason for reason in reasons)
        path.write_bytes(whole)
    assert len(records.Record(record.path).part([("run", "==", 7)])) == 0


def _lines(path: Path) -> tuple[int, int]:
    record = records.Record(path)
    return record.length, len(record.part([("run", "==", 0)]))
