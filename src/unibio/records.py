"""The on-disk format of results: one directory a job. The only code that knows it; needs no torch.

    runs/<readable>-<digest>/
        config.yaml       the resolved configuration
        history.parquet   run, grid axes, iteration, oracle counts, seconds, metrics
        runs.parquet      one row per run: axes, status, where it stopped, counts, first hits
        summary.json      status, versions, hardware, code hash, seconds, warnings
        done              digests of the four files; written last, so without it there is no record
        checkpoint-*.pt   of an unfinished job; running.json of one that is being computed (see heartbeat)
    runs/.experiments/<name>.json     which records an experiment's last sweep consists of

Files are written to a temporary name and renamed. A record is *complete* when ``done`` matches every file to the
byte, *stale* when the code that computed it has changed since.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from unibio.codehash import code_hash

FILES = ("config.yaml", "history.parquet", "runs.parquet", "summary.json")

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
    length = next((f"-{letter}{value}" for letter, value in lengths.items() if value is not None), "")
    return f"{problem['name']}{exponent}-{algorithm['name']}{length}-{digest(config)[:12]}"


@dataclass(frozen=True)
class Record:
    """A complete record, read lazily."""

    path: Path

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        # libyaml's parser, where PyYAML was built with it, is ten times as fast; a study has hundreds of records.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return yaml.load((self.path / "config.yaml").read_text(encoding="utf-8"), Loader=loader)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Status, versions, hardware, timing, warnings."""
        return json.loads((self.path / "summary.json").read_text(encoding="utf-8"))

    @cached_property
    def history(self) -> pd.DataFrame:
        """Long table of logged iterations."""
        return pd.read_parquet(self.path / "history.parquet")

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return pd.read_parquet(self.path / "runs.parquet")

    @property
    def stale(self) -> bool:
        """Whether the code that computed this record has changed since."""
        return self.summary.get("code_hash") != code_hash(self.summary.get("modules", ()))


def find(path: Path) -> Record | None:
    """The record in a directory, or None where there is none that is complete and undamaged."""
    try:
        said = (path / "done").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return Record(path) if said == _seal(path) else None


def sealed(path: Path) -> dict[str, str]:
    """{file: sha256} of a record, as ``done`` says; {} where there is no ``done``."""
    try:
        lines = (path / "done").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _seal(path: Path) -> str | None:
    """What ``done`` must say for the files as they are."""
    try:
        lines = [f"{hashlib.sha256((path / name).read_bytes()).hexdigest()}  {name}\n" for name in FILES]
    except OSError:
        return None
    return "".join(lines)


def write(
    path: Path, config: Mapping[str, Any], summary: Mapping[str, Any], history: pd.DataFrame, runs: pd.DataFrame
) -> Record:
    """Write a complete record into ``path``; whatever stood there counts as no record until ``done`` is written."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "done").unlink(missing_ok=True)
    write_text(path / "config.yaml", _yaml(config))
    _atomically(path / "history.parquet", lambda t: history.to_parquet(t, index=False))
    _atomically(path / "runs.parquet", lambda t: runs.to_parquet(t, index=False))
    write_text(path / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    seal = _seal(path)
    assert seal is not None  # the files have just been written
    write_text(path / "done", seal)
    return Record(path)


def write_unfinished(path: Path, config: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Note an interrupted or failed job: configuration and summary without ``done``."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "done").unlink(missing_ok=True)
    write_text(path / "config.yaml", _yaml(config))
    write_text(path / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


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
    try:
        noted = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _yaml(config: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, creating its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file atomically, creating its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _atomically(path, lambda temporary: temporary.write_bytes(content))


def _atomically(path: Path, write_to: Callable[[Path], object]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_to(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_manifest(root: Path, experiment: str, names: Iterable[str], command: str) -> None:
    """Note which records make up an experiment."""
    content = {"experiment": experiment, "command": command, "records": list(names)}
    write_text(root / ".experiments" / f"{experiment}.json", json.dumps(content, indent=1) + "\n")


def manifest(root: Path, experiment: str) -> dict[str, Any] | None:
    """What :func:`write_manifest` noted, or None."""
    try:
        return json.loads((root / ".experiments" / f"{experiment}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def load_experiment(root: Path, experiment: str) -> list[Record]:
    """The complete records of an experiment's last sweep, in its order; [] if it was never run.

    Warns about records that are missing, damaged or stale: what is drawn from the rest is not the whole experiment.
    """
    content = manifest(root, experiment)
    if content is None:
        return []
    records = {name: find(root / name) for name in content["records"]}
    missing = [name for name, record in records.items() if record is None]
    stale = [name for name, record in records.items() if record is not None and record.stale]
    for names, what in ((missing, "missing or damaged"), (stale, "computed by older code")):
        if names:
            warnings.warn(
                f"{experiment}: {len(names)} of {len(records)} records {what} (first: {names[0]}); "
                f"rerun: {content['command']}",
                stacklevel=2,
            )
    return [record for record in records.values() if record is not None]
