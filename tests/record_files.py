"""A small record on disk, for the tests of what reads records."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from unibio.store import records
from unibio.store.codehash import code_hash

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


def written(
    root: Path, modules: tuple[str, ...] = ("unibio.core.powers",), config: dict | None = None
) -> records.Record:
    config = config or CONFIG
    summary = {"status": "completed", "modules": list(modules), "code_hash": code_hash(modules)}
    return records.write(root / records.record_name(config), config, summary, HISTORY, RUNS)
