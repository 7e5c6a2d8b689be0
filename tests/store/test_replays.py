"""What is noted of replays: for which code and which record it counts, and what becomes of a file that is none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_files import CONFIG, HISTORY, RUNS
from unibio.store import records, replays
from unibio.store.codehash import code_hash
from unibio.store.records import Record
from unibio.store.replays import Replay
from unibio.store.smallfiles import fits

MODULES = ["unibio.core.powers"]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """One by other code."""
    summary = {"status": "completed", "modules": MODULES, "code_hash": "0" * 64}
    return records.write(tmp_path / records.record_name(CONFIG), CONFIG, summary, HISTORY, RUNS)


def replay_of(record: Record, **changed: object) -> Replay:
    noted = Replay(MODULES, code_hash(MODULES), replays.seal_of(record.path), 3, 10, 8, "", "abc", 0.1, "today")
    return dataclasses.replace(noted, **changed)  # type: ignore[arg-type]


def test_a_record_is_current_replayed_or_stale(record: Record) -> None:
    assert str(record.standing) == "stale"
    records.write_replay(record, replay_of(record))
    assert str(record.standing) == "replayed to iteration 3"
    assert not record.stale
    records.write_replay(record, replay_of(record, iteration=10))
    assert str(record.standing) == "replayed to iteration 10, its end"
    records.write_replay(record, replay_of(record, difference="x of run 0: 1.0 now, 2.0 recorded"))
    assert record.stale
    assert record.standing.replay is not None, "but it is known, and not to be tried again"
    assert records.find(record.path) is not None, "the note is no part of the record"
    own = dict(record.summary) | {"code_hash": code_hash(MODULES)}
    again = records.write(record.path, record.config, own, record.history, record.runs)
    assert str(again.standing) == "current"
    assert not (record.path / replays.FILE).exists(), "a new record has not been replayed"


def test_it_counts_for_this_code_and_this_record_alone(record: Record) -> None:
    for changed in ({"code_hash": "1" * 64}, {"modules": ["unibio.core.saga"]}, {"seal": "1" * 64}):
        records.write_replay(record, replay_of(record, **changed))
        assert record.stale, changed


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from([spec.name for spec in dataclasses.fields(Replay)]), _ANY)
def test_a_malformed_note_counts_for_nothing(tmp_path_factory: pytest.TempPathFactory, key: str, value: object) -> None:
    path = tmp_path_factory.mktemp("record")
    (path / "done").write_text("sealed")
    noted = dataclasses.asdict(Replay(MODULES, code_hash(MODULES), replays.seal_of(path), 3, 10, 8, "", "", 0.1, ""))
    (path / replays.FILE).write_text(json.dumps(noted | {key: value}))
    standing = replays.standing({"code_hash": "0"}, lambda: replays.read(path))
    assert str(standing)
    if not fits(value, replays._SHAPE[key]) or (key in ("code_hash", "seal") and value != noted[key]):
        assert standing.state == "stale"
    (path / replays.FILE).write_text(json.dumps(value))
    assert replays.standing({"code_hash": "0"}, lambda: replays.read(path)).state == "stale"
