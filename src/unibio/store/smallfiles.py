"""The small files of a records directory, read without trust: one that does not hold what we write is as good as none.

Anything may lie there: files cut off by a crash, edited by hand, of other programs, or of a later version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from unibio.store.reading import small_text

_NUMBER = (int, float)
_TEXTS = [str]
_MAPPING: dict[type, Any] = {str: object}

#: What a configuration's keys hold where they are there; None stands for what may be absent.
_CONFIG: Mapping[str, Any] = {
    "problem": _MAPPING,
    "algorithm": _MAPPING,
    "scale": _MAPPING,
    "tracker": _MAPPING,
    "launcher": _MAPPING,
    "paper": _MAPPING,
    "reproduce_at": _MAPPING,
    "data": (_MAPPING, None),
    "data_hash": (str, None),
    "experiment": (str, None),
    "steps": (int, None),
    "budget": (int, None),
    "epochs": (*_NUMBER, None),
    "seed": int,
    "grid": {str: [object]},
    "dtype": str,
    "log_points": int,
    "targets": {str: [object]},
    "repeats": int,
    "device": str,
    "threads": int,
    "records": str,
    "checkpoint_seconds": _NUMBER,
    "progress": bool,
    "retry_failed": bool,
}

#: The same of a summary.
_SUMMARY: Mapping[str, Any] = {
    "status": str,
    "statuses": {str: int},
    "runs": int,
    "iterations": int,
    "seconds": _NUMBER,
    "seconds_repeats": [_NUMBER],
    "resumed_from": int,
    "oracle_calls": int,
    "metrics": {str: _NUMBER},
    "warnings": _TEXTS,
    "command": _TEXTS,
    "modules": _TEXTS,
    "code_hash": str,
    "git": _MAPPING,
    "versions": _MAPPING,
    "hardware": _MAPPING,
    "threads": int,
    "finished": str,
    "traceback": str,
}


def config(directory: Path) -> dict[str, Any] | None:
    """The configuration in a record's directory; None where there is none, or it cannot be one."""
    try:
        return config_of(small_text(directory / "config.yaml"))
    except (OSError, ValueError):
        return None


def config_of(text: str) -> dict[str, Any] | None:
    """The configuration that a text holds; None where it cannot be one."""
    # libyaml's parser, where PyYAML was built with it, is ten times as fast; a study has hundreds of records.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if _DEEP.search(text) and _too_deep(text, loader):  # libyaml would overflow the stack, and end the process
            return None
        found = yaml.load(text, Loader=loader)
    except (ValueError, TypeError, LookupError, RecursionError, yaml.YAMLError):
        return None
    if not isinstance(found, dict) or not _holds(found, _CONFIG):
        return None
    named = all(isinstance(found.get(role, {}).get("name"), str) for role in ("problem", "algorithm"))
    return found if named else None


#: How deeply a configuration may nest.
DEPTH = 50

#: What a text that nests more deeply has somewhere: so many brackets that open, or a line so far to the right.
_DEEP = re.compile(rf"(?:[\[{{][^\[{{]*){{{DEPTH}}}|^[ \-?:]{{{DEPTH}}}", re.MULTILINE)


def _too_deep(text: str, loader: Any) -> bool:
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            return True
    return False


def summary(directory: Path) -> dict[str, Any] | None:
    """The summary of a finished, failed or interrupted job; None where there is none, or it cannot be one."""
    try:
        return summary_of(small_text(directory / "summary.json"))
    except (OSError, ValueError):
        return None


def summary_of(text: str) -> dict[str, Any] | None:
    """The summary that a text holds; None where it cannot be one."""
    found = object_of(text)
    return found if found is not None and "status" in found and _holds(found, _SUMMARY) else None


def json_object(path: Path, shape: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """A JSON file's object; None where there is no such file, or it holds something else.

    Args:
        path: of the file.
        shape: {key: what it holds}; all of these keys must be there.
    """
    try:
        return object_of(small_text(path), shape)
    except (OSError, ValueError):
        return None


def object_of(text: str, shape: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """The JSON object that a text holds; None where it holds something else. ``shape`` as above."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or (shape and not (shape.keys() <= found.keys() and _holds(found, shape))):
        return None
    return found


def _holds(found: Mapping[Any, Any], shape: Mapping[str, Any]) -> bool:
    """Whether all keys of ``shape`` that are there hold what it says."""
    return all(key not in found or fits(found[key], wanted) for key, wanted in shape.items())


def fits(value: Any, shape: Any) -> bool:
    """Whether a plain value has a shape.

    Args:
        value: of JSON or YAML.
        shape: a type; [shape] for a list; {str: shape} for an object; a tuple of shapes for any of them; None.
    """
    if shape is None:
        return value is None
    if isinstance(shape, tuple):
        return any(fits(value, one) for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(one, shape[0]) for one in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(isinstance(k, str) and fits(v, shape[str]) for k, v in value.items())
    if shape in _NUMBER and isinstance(value, bool):
        return False
    if shape is int and isinstance(value, int):
        return -(2**63) <= value < 2**63  # a larger one is no number of ours, and many things cannot take it
    return isinstance(value, shape)
