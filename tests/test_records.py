"""Records: stable identity, atomic writing, and damage that is never half-read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unibio import records
from unibio.codehash import code_hash

CONFIG = {
    "problem": {"name": "example3", "exponent": 4, "noise": 0.0},
    "algorithm": {"name": "unibio", "upper_step": 0.03},
    "steps": 10,
    "budget": None,
    "seed": 0,
    "grid": {"seed": [0, 1]},
    "dtype": "float64",
    "log_points": 5,
    "targets": {},
    "repeats": 1,
    "records": "runs",
    "device": "cpu",
}
HISTORY = pd.DataFrame({"run": [0, 0, 1, 1], "iteration": [0, 10, 0, 10], "hypergradient_norm": [1.0, 0.5, 1.0, 0.4]})
RUNS = pd.DataFrame({"seed": [0, 1], "status": ["completed", "completed"]})


def written(root: Path, modules: tuple[str, ...] = ("unibio.powers",), config: dict | None = None) -> records.Record:
    config = config or CONFIG
    summary = {"status": "completed", "modules": list(modules), "code_hash": code_hash(modules)}
    return records.write(root / records.record_name(config), config, summary, HISTORY, RUNS)


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


def test_changed_code_makes_a_record_stale(tmp_path: Path) -> None:
    fresh = written(tmp_path)
    assert not fresh.stale
    summary = json.loads((fresh.path / "summary.json").read_text()) | {"code_hash": "0" * 64}
    other = records.write(tmp_path / "other", CONFIG, summary, HISTORY, RUNS)
    assert records.find(other.path) is not None
    assert other.stale


def test_the_code_hash_follows_imports_and_ignores_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unibio import codehash

    package = tmp_path / "unibio"
    package.mkdir()
    (package / "a.py").write_text('"""Doc."""\nfrom unibio import b\nx = 1  # comment\n')
    (package / "b.py").write_text("y = 2\n")
    (package / "c.py").write_text("z = 3\n")
    monkeypatch.setattr(codehash, "_ROOT", package)

    def hashed() -> str:
        codehash._parsed.cache_clear()
        return code_hash(["unibio.a"])

    try:
        base = hashed()
        (package / "a.py").write_text('"""Another."""\nfrom unibio import b\n\nx = 1\n')
        assert hashed() == base, "comments, docstrings and blank lines are not code"
        (package / "c.py").write_text("z = 4\n")
        assert hashed() == base, "c is not imported"
        (package / "b.py").write_text("y = 3\n")
        assert hashed() != base, "b is imported"
    finally:
        codehash._parsed.cache_clear()


def test_an_experiment_lists_its_records_and_says_what_is_missing(tmp_path: Path) -> None:
    record = written(tmp_path)
    assert records.load_experiment(tmp_path, "fig1") == []
    records.write_manifest(tmp_path, "fig1", [record.name, "gone-123"], "python -m unibio experiment=fig1")
    with pytest.warns(UserWarning, match="1 of 2 records missing.*python -m unibio experiment=fig1"):
        found = records.load_experiment(tmp_path, "fig1")
    assert [r.name for r in found] == [record.name]


def test_reading_records_needs_no_torch(tmp_path: Path) -> None:
    record = written(tmp_path)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path; from unibio import records\n"
        f"r = records.find(Path({str(record.path)!r})); print(r.stale, len(r.history), len(r.runs))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "4", "2"]
