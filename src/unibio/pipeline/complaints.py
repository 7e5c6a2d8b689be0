"""What Hydra and OmegaConf complain of, in one line and in the words of the configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    ConfigTypeError,
    GrammarParseError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)
from yaml import MarkedYAMLError

from unibio.errors import InputError, unknown
from unibio.pipeline.hydra_internals import Override
from unibio.pipeline.overrides import typed

#: What a place of the configuration takes, by OmegaConf's name for it.
_WORDS = {
    "FloatNode": "a number",
    "IntegerNode": "an integer",
    "BooleanNode": "true or false",
    "StringNode": "text",
    "DictConfig": "a mapping {key: value}",
    "ListConfig": "a list",
}


def _wanted(error: OmegaConfBaseException) -> str:
    """What the place takes at which a value was refused."""
    node: Any = error.child_node if error.child_node is not None else error.parent_node
    known = error.child_node is not None or isinstance(error, ConfigTypeError)
    return _WORDS.get(type(node).__name__, "of another kind") if known else "of another kind"


def not_composed(error: Exception, chosen: Sequence[str]) -> InputError:
    """Which file of ``conf/`` cannot be composed with the others, and where it is wrong.

    Args:
        error: what came of composing them.
        chosen: the overrides that choose them.
    """
    named = re.search(r"In '([\w/]+)'", str(error))
    at = f"conf/{named[1]}.yaml" if named else " ".join(map(typed, chosen))
    chain: list[BaseException] = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(before)
    for one in chain:
        if isinstance(one, MarkedYAMLError) and one.problem_mark is not None:
            mark = one.problem_mark
            return InputError(f"{mark.name}, line {mark.line + 1} is not YAML: {one.problem}")
        if isinstance(one, UnicodeDecodeError):
            return InputError(f"{at}: a file of conf/ is not in UTF-8")
        if isinstance(one, MissingConfigException) and one.missing_cfg_file is not None:
            return InputError(f"{at} asks for {one.missing_cfg_file}, which conf/ does not have")
        if not isinstance(one, OmegaConfBaseException) or one.full_key is None:
            continue
        if str(one.full_key) == "experiment":  # the whole file lies there
            return InputError(f"{at}: the first line of an experiment must be '# @package _global_'")
        if isinstance(one, (ConfigAttributeError, ConfigKeyError)):
            return InputError(f"{at}: there is no key {one.full_key}")
        if isinstance(one, GrammarParseError):
            return InputError(f"{at}: {one.full_key} has a ${{…}} that cannot be read")
        return InputError(f"{at}: {one.full_key} must be {_wanted(one)}")
    overridden = re.search(r"Could not override '([^']+)'", str(error))
    if overridden:
        return InputError(f"{at}: its defaults override {overridden[1]}, which conf/config.yaml does not choose")
    return InputError(f"{at} cannot be composed ({type(error).__name__})")


def not_set(override: Override, config: DictConfig, error: Exception) -> InputError:
    """Why an override's value cannot be set on a configuration.

    Args:
        override: of a value, not of a group.
        config: composed, before it.
        error: what came of setting it.
    """
    key, text, value = override.key_or_group, typed(override.input_line or ""), override.value()
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if override.is_delete():
        return InputError(f"{text}: there is no {key}{f' = {value}' if value is not None else ''} to leave out")
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        return _unknown_key(override, config)
    if key.startswith("schedule.") and config.get("schedule") is None:
        return InputError(f"{text}: no schedule is chosen; add schedule=paper or schedule=sharp")
    if not isinstance(cause, OmegaConfBaseException):
        if override.is_add():  # the one complaint that Hydra has of its own where a key exists
            return InputError(f"{text}: {key} is there already; write {text.removeprefix('+')}")
        return InputError(f"{text} is not accepted: it does not fit into the configuration")
    wanted = _wanted(cause)
    place = cause.full_key if cause.full_key and str(cause.full_key) != key else "it"
    also = ""
    if isinstance(value, list) and wanted in ("a number", "an integer", "text", "true or false"):
        also = f"; several values are {key}=A,B with -m"
    if key.startswith("grid."):  # of an experiment's, and of another kind than the new one
        also = f"; to put another axis in its place: ~{key} +{text.lstrip('+')}"
    return InputError(f"{text} is not accepted: {place} must be {wanted}{also}")


def _unknown_key(override: Override, config: DictConfig) -> InputError:
    """For a key that is not there, with those that are; the first part of it that is unknown counts."""
    key, text = override.key_or_group, typed(override.input_line or "")
    at, path = config, ""
    for part in key.split("."):
        if part not in at:
            break
        path, below = f"{path}.{part}".strip("."), OmegaConf.select(at, part, throw_on_resolution_failure=False)
        if not isinstance(below, DictConfig):
            return InputError(f"{text}: {path} has no keys; it is one value, {path}=VALUE")
        at = below
    first = key.split(".")[0]
    if path.startswith("algorithm.") and path.endswith("_update"):
        return InputError(f"{text}: there is no {key} yet; a plus adds it: +{text}")
    if first in ("grid", "targets") and "." in key and part != first:
        accepted = ("seed", "problem", "algorithm")
        if path == "grid" and part not in accepted:
            return unknown("key in grid", part, accepted)
        return InputError(f"{text}: there is no {key} yet; a plus adds it: +{text}")
    if first == "data" and path == "data" and not at:
        return InputError(f"{text}: no sentence pairs are chosen; add data=generated, data=snli or data=directory")
    return unknown(f"key in {path or 'the configuration'},", part, [str(name) for name in at if name != "hydra"])


def not_resolved(error: OmegaConfBaseException) -> InputError:
    """Why a composed configuration cannot be read: a value is missing, or refers to what is not there."""
    key = str(error.full_key or error.key or "configuration")
    if isinstance(error, MissingMandatoryValue):
        return InputError(f"{key} is missing: give {key}=VALUE")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):  # what computes it says why
            return cause
        cause = cause.__cause__ or cause.__context__
    parent: Any = error.parent_node
    node = parent._get_node(error.key) if isinstance(parent, DictConfig) and error.key is not None else None
    said = node._value() if node is not None else None
    said = f" = {typed(said)}" if isinstance(said, str) else ""
    return InputError(f"{key}{said} cannot be computed from the rest of the configuration; give {key}=VALUE")
