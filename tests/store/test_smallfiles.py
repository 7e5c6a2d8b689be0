"""Whatever lies in a records directory is read as a record, or as none: never a traceback."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from record_files import CONFIG, written
from unibio.cli.main import main
from unibio.store import heartbeat, lists, reading, records, smallfiles, status
from unibio.store.directories import is_ours, own_files
from unibio.store.records import FILES, Record

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
BEAT = {"pid": 1, "birth": 1, "host": "h", "began": 0.0, "updated": 0.0, "iteration": 3, "steps": 10}
SUMMARY = {
    "status": "completed",
    "statuses": {"completed": 2},
    "runs": 2,
    "iterations": 10,
    "seconds": 0.1,
    "oracle_calls": 7,
    "metrics": {"hypergradient_norm": 0.5},
    "warnings": [],
    "command": ["x"],
    "modules": ["unibio.core.powers"],
    "code_hash": "0",
    "git": {"commit": "c"},
    "hardware": {"device": "cpu"},
    "finished": "today",
}
#: Texts that are no JSON, or no object, or nothing that a parser survives by itself.
TEXTS = ["", "{", "[]", "3", "null", "\x00", "9" * 5000, '{"a": NaN}', "é", "{a: [", "!!python/object:os"]
TEXTS += ["a: &x [*x]", "2001-99-99", "? [1]\n: 2", "{1: 2}", "---\n---\n", "key: !!binary x", "<<: 3", "- &a [*a]"]
TEXTS += ["[" * 100_000, '{"a":' * 100_000, "- " * 100_000, "[" * 1000 + "]" * 1000, "? " * 100_000]
TEXTS += ["\n".join(" " * depth + text for depth in range(1500)) for text in ("a:", "-")]


def seal(path: Path) -> None:
    """Make of a directory's files what has been sealed as they are: a right digest of a wrong content."""
    lines = [f"{hashlib.sha256((path / name).read_bytes()).hexdigest()}  {name}\n" for name in FILES]
    (path / "done").write_text("".join(lines))


def look_everywhere(root: Path, *names: str) -> None:
    """What every command reads of a records directory."""
    for path in [root / name for name in names]:
        status.state_of(path)
        records.find(path)
        records.failure(path)
        is_ours(path)
    for sweep in status.sweeps(root):
        sweep.eta(5.0)
        for job in sweep.jobs:
            assert isinstance(job.reason, str)
            job.remaining(5.0)
            assert job.diverged >= 0
    status.unfinished(root)
    status.unreadable(root)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A record, with an experiment of it."""
    record = written(tmp_path_factory.mktemp("runs"))
    lists.write_manifest(record.path.parent, "fig1", [record.name], "again")
    return record


@contextlib.contextmanager
def instead(path: Path, content: str) -> Any:
    """A file with other content for a while."""
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.write_text(content, encoding="utf-8")
    try:
        yield
    finally:
        path.unlink() if before is None else path.write_text(before, encoding="utf-8")


@given(st.sampled_from(sorted(BEAT)), PLAIN)
def test_a_sign_of_life_with_anything_in_it(there: Record, key: str, value: Any) -> None:
    """Beside a finished record it changes nothing, unless a process of this machine is behind it."""
    with instead(there.path / heartbeat.FILE, json.dumps(BEAT | {key: value})):
        look_everywhere(there.path.parent, there.name)
        assert status.state_of(there.path).state == "done"


@given(st.sampled_from(sorted(SUMMARY)), PLAIN)
def test_a_summary_with_anything_in_it(there: Record, key: str, value: Any) -> None:
    """Sealed or not: it is what a summary is, or the record is none."""
    with instead(there.path / "summary.json", json.dumps(SUMMARY | {key: value})), instead(there.path / "done", ""):
        look_everywhere(there.path.parent, there.name)
        assert records.find(there.path) is None
        seal(there.path)
        look_everywhere(there.path.parent, there.name)
        found = records.find(there.path)
        if found is not None:
            assert found.summary["status"] == "completed"
            assert found.standing.state in ("current", "stale")


@given(st.sampled_from(sorted(CONFIG)), PLAIN)
def test_a_configuration_with_anything_in_it(there: Record, key: str, value: Any) -> None:
    """Sealed, too: it is not this record unless its name follows from it."""
    with instead(there.path / "config.yaml", yaml.safe_dump(CONFIG | {key: value})), instead(there.path / "done", ""):
        seal(there.path)
        look_everywhere(there.path.parent, there.name)
        found = records.find(there.path)
        assert found is None or records.record_name(found.config) == there.name
        if key in records.SCIENTIFIC and value != CONFIG[key]:
            assert found is None


@pytest.mark.one_in(3)
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_files_that_are_none(there: Record, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = there.path.parent
    for path in (there.path / heartbeat.FILE, there.path / "summary.json", there.path / "config.yaml"):
        with instead(path, text), instead(there.path / "done", ""):
            seal(there.path)
            look_everywhere(root, there.name)
            if path.name != heartbeat.FILE:
                assert records.find(there.path) is None
    with instead(root / ".experiments" / "fig1.json", text):
        look_everywhere(root)
        main(["status", "--records", str(root)])
    assert "fig1.json is no list of records" in capsys.readouterr().out


@given(PLAIN)
def test_a_list_of_records_of_anything(there: Record, value: Any) -> None:
    for content in (value, {"command": "c", "records": value}, {"command": value, "records": [there.name]}):
        with instead(there.path.parent / ".experiments" / "fig1.json", json.dumps(content)):
            look_everywhere(there.path.parent)
            names = (lists.manifest(there.path.parent, "fig1") or {"records": []})["records"]
            assert all((there.path.parent / name).parent == there.path.parent for name in names)


@given(PLAIN)
def test_shapes(value: Any) -> None:
    """A value fits its own shape, and numbers that nothing can take fit none."""
    assert smallfiles.fits(value, object)
    assert smallfiles.fits(value, (None, bool, int, float, str, [object], {str: object})) or isinstance(value, int)
    assert not smallfiles.fits(2**70, (int, float))
    assert not smallfiles.fits(True, (int, float))


def test_only_what_a_job_writes_is_a_jobs(tmp_path: Path) -> None:
    path = tmp_path / "example3-p4-unibio-T10-0123456789ab"
    assert not is_ours(path), "not there"
    path.mkdir()
    assert is_ours(path), "a job that died at once"
    ours = ["running.json", ".running.json.17", "checkpoint-0a1b2c.pt", ".checkpoint-0a1b2c.pt.99", "summary.json"]
    for name in ours:
        (path / name).touch()
    assert is_ours(path)
    assert {file.name for file in own_files(path)} == set(ours)
    assert {file.name for file in own_files(path, leftovers=True)} == {name for name in ours if name.startswith(".")}
    for name in ("thesis.tex", ".bashrc", ".config.yaml", "config.yaml.bak", "checkpoint-final.ptx", ".git"):
        (path / name).touch()
        assert not is_ours(path), name
        assert {file.name for file in own_files(path)} == set(ours)
        (path / name).unlink()
    (path / "config.yaml").write_text("problem: thesis\n")
    assert not is_ours(path), "a configuration of something else"
    (tmp_path / "link-0123456789ab").symlink_to(path)
    assert not is_ours(tmp_path / "link-0123456789ab")
    record = written(tmp_path)
    assert is_ours(record.path)
    assert not is_ours(record.path.rename(tmp_path / "example3-p4-unibio-T10-0123456789ac")), "under another name"


def pipe(path: Path) -> None:
    """What nobody writes into, so that whoever opens it to read waits for ever."""
    os.mkfifo(path)


def endless(path: Path) -> None:
    """A device that never comes to an end, behind a link."""
    path.symlink_to("/dev/zero")


def circle(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path)


@pytest.mark.parametrize("put", [pipe, endless, circle, Path.mkdir])
@pytest.mark.parametrize("name", [*records.FILES, "done", "running.json", "replayed.json"])
def test_what_is_no_regular_file_is_not_read(name, put, tmp_path):
    record = written(tmp_path)
    path = record.path / name
    path.unlink(missing_ok=True)
    put(path)
    if name in ("running.json", "replayed.json"):
        assert records.find(record.path) is not None
        assert status.state_of(record.path).state == "done"
    else:
        assert records.find(record.path) is None
        assert status.state_of(record.path).state in ("done", "interrupted")  # files of tables are not read for it
    assert [one.name for one in status.sweeps(tmp_path)] == ["(no sweep)"]


def test_a_small_file_that_is_none_is_not_taken_in(tmp_path, monkeypatch):
    record = written(tmp_path)
    monkeypatch.setattr(reading, "MOST", 10)
    assert smallfiles.config(record.path) is None
    assert records.find(record.path) is None


@pytest.mark.parametrize("put", [pipe, endless, circle, Path.mkdir])
def test_a_checkpoint_that_is_no_file_is_damaged_and_links_are_not_written_through(put, tmp_path):
    from unibio import tensorfile

    path, home = tmp_path / "checkpoint-1.pt", tmp_path / "home"
    put(path)
    with pytest.raises(tensorfile.DamagedFile, match="is no file"):
        tensorfile.load(path)
    home.write_text("precious")
    (tmp_path / f".other.pt.{os.getpid()}").symlink_to(home)
    tensorfile.save(tmp_path / "other.pt", {"a": 1})
    assert tensorfile.load(tmp_path / "other.pt") == {"a": 1}
    assert home.read_text() == "precious"
