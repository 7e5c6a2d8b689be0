"""Update rules as configurations write them: ``{name: sgd, step: 0.1, schedule: {name: cosine, steps: 500}}``.

Nothing here loads torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from unibio.core.rules import LEVELS, SGD, Adam, AdamW, Update, constant, cosine, power, warm_up
from unibio.errors import InputError, unknown

RULES: dict[str, type] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
SCHEDULES: dict[str, type] = {one.__name__: one for one in (constant, power, cosine, warm_up)}
#: Keys of the section ``algorithm`` that hold rules.
KEYS = tuple(f"{level}_update" for level in LEVELS)
#: Keys of a rule or a schedule whose value is a schedule.
_NESTED = ("schedule", "then")


def rules_of(section: Mapping[str, Any]) -> dict[str, Update]:
    """The rules of a configuration's section ``algorithm``, by their keys; those that are null are left out.

    Raises:
        InputError: the first thing that is no rule; the message names the key.
    """
    given = {key: section.get(key) for key in KEYS}
    rules = {key: _made(f"algorithm.{key}", value, RULES, "sgd") for key, value in given.items() if value is not None}
    for key, rule in rules.items():
        for name, values in rule.axes().items():
            raise InputError(
                f"algorithm.{key}.{name} has several values: +grid.algorithm.{key}.{name}={list(values)} is an axis, "
                f"algorithm.{key}.{name}=A,B with -m a sweep"
            )
    return rules


def settings_of(rule: Update) -> dict[str, Any]:
    """A rule as a configuration holds it and a record's name knows it: without what has its default.

    Raises:
        InputError: it is a class of somebody's own, or has a schedule that is.
    """
    return _written(rule, RULES)


def _made(key: str, value: Any, classes: Mapping[str, type], example: str) -> Any:
    """An object of one of the classes, by its name and its fields."""
    if not isinstance(value, Mapping):
        named = value if isinstance(value, str) and value in classes else example
        raise InputError(f"{key} = {value!r} is not accepted: it must be a mapping, such as {{name: {named}}}")
    if "name" not in value:
        raise InputError(f"{key} has no name: give {key}.name, one of {', '.join(classes)}")
    name = value["name"]
    if not isinstance(name, str) or name not in classes:
        raise unknown(f"name in {key},", name, classes)
    fields = [spec.name for spec in dataclasses.fields(classes[name])]
    given: dict[str, Any] = {}
    for field, part in value.items():
        if field == "name":
            continue
        if field not in fields:
            raise unknown(f"key in {key} (of {name}),", field, fields)
        given[field] = _made(f"{key}.{field}", part, SCHEDULES, "constant") if field in _NESTED else part
    if isinstance(given.get("betas"), list):
        given["betas"] = tuple(given["betas"])
    try:
        return classes[name](**given)
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
    except TypeError:  # a schedule's field that has no default
        missing = [
            spec.name
            for spec in dataclasses.fields(classes[name])
            if spec.default is spec.default_factory is dataclasses.MISSING and spec.name not in given
        ]
        raise InputError(f"{key}.{missing[0]} is missing: {name} needs it") from None


def _written(made: Any, classes: Mapping[str, type]) -> dict[str, Any]:
    names = [name for name, cls in classes.items() if cls is type(made)]
    if not names:
        raise InputError(f"{type(made).__name__} has no name in a configuration; those that have: {', '.join(classes)}")
    found: dict[str, Any] = {"name": names[0]}
    for spec in dataclasses.fields(made):
        value = getattr(made, spec.name)
        default = spec.default if spec.default_factory is dataclasses.MISSING else spec.default_factory()
        if value == default:
            continue
        if spec.name in _NESTED:
            found[spec.name] = _written(value, SCHEDULES)
        elif isinstance(value, tuple):
            found[spec.name] = [float(one) for one in value]
        else:  # 1 and 1.0 are one number, and name one record
            found[spec.name] = value if isinstance(value, bool) else float(value)
    return found
