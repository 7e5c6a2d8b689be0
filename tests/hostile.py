"""Records and a list of records whose every free text wants to act in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthetic import FakeRecord, whole_study, write_study
from unibio.store import lists, records

HOSTILE = "\"'><script>window.acted = 1</script><img src=x onerror='window.acted = 2'>[a](javascript:window.acted=3)"


def hostile_study(root: Path) -> None:
    """Records whose every free text wants to act."""
    given = {name: [_hostile(one) for one in whole_study()[name]] for name in ("runtime", "inner_iterations")}
    write_study(root, given)
    for name, found in given.items():
        lists.write_manifest(
            root, name, [*(one.name for one in found), HOSTILE.replace("/", "∕")], f"`{HOSTILE}`\n\n{HOSTILE}"
        )


def _hostile(one: FakeRecord) -> FakeRecord:
    summary: dict[str, Any] = dict(one.summary) | {
        "versions": {HOSTILE: HOSTILE},
        "hardware": {HOSTILE: HOSTILE, "device": HOSTILE},
        "git": {"commit": HOSTILE, "dirty": True},
        "code_hash": HOSTILE,
        "warnings": [HOSTILE],
        "command": [HOSTILE],
    }
    config = dict(one.config) | {"experiment": HOSTILE, "scale": {"name": HOSTILE}}
    return FakeRecord(records.record_name(config), config, summary, one.history, one.runs)
