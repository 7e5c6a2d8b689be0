"""What is typed: overrides in Hydra's grammar, read and checked as a whole before anything is composed.

Hydra takes the later of two values for one key, deletes what every run needs, and says what it cannot read in the words
of its parser. Here every override is either what it looks like, or refused in one line that says what to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any

from unibio.errors import InputError, unknown
from unibio.pipeline import conf, hydra_internals, schema
from unibio.pipeline.hydra_internals import Override

#: Values of one key in a sweep, and jobs of a sweep: more are a mistake, and would fill the memory before it shows.
MOST = 100_000
#: Sections whose keys come and go.
_OPEN = ("grid", "targets")
#: Keys that are on or off, for which OmegaConf takes any number.
_SWITCHES = frozenset(field.name for field in fields(schema.Root) if field.type in (bool, "bool"))
#: Groups that the configuration chooses from by itself; those within a group are added to it.
_CHOSEN = frozenset({"problem", "algorithm", "data", "tracker", "launcher", "scale", "schedule", "experiment"})


def typed(text: str, most: int = 120) -> str:
    """What somebody typed, on one line and not too long."""
    line = text if text.isprintable() else repr(text)[1:-1]
    return line if len(line) <= most else f"{line[:most]}…"


def read(overrides: Sequence[str]) -> list[Override]:
    """Overrides as objects.

    Raises:
        InputError: one that cannot be read or has no effect or a wrong one, a name that a group does not have, two for
            one key, or a value that a sweep has twice.
    """
    given = [_parsed(text) for text in overrides]
    for override in given:
        _check_key(override)
        for value in values_of(override):
            _check_value(override, value)
    _check_once(given)
    return given


def values_of(override: Override) -> list[Any]:
    """The values of a sweep in plain Python, or the one value.

    Raises:
        InputError: they cannot be listed, or one of them is there twice.
    """
    text = typed(override.input_line or "")
    if not override.is_sweep_override():
        return [_known(text, override.value())]
    if not hydra_internals.listed(override):
        raise InputError(f"{text} names no values; list them: {override.key_or_group}=A,B,C")
    try:
        values = list(islice(hydra_internals.values(override), MOST + 1))
    except Exception:  # of several libraries, about steps of 0 and the like
        raise InputError(f"{text} is no range; write range(START,STOP,STEP), or list the values") from None
    if not values:
        raise InputError(f"{text} has no values; list them: {override.key_or_group}=A,B,C")
    if len(values) > MOST:
        raise InputError(f"{text} has more than {MOST:,} values, each of them a job; give fewer")
    seen = set()
    for value in values:
        _known(text, value)
        # 1, 1.0 and '1' are one value to a number; true and 1 are not.
        known = repr(value) if isinstance(value, (bool, list, dict)) else _plain(value)
        if known in seen:
            raise InputError(f"{text} has {value!r} twice, which would be the same job; give every value once")
        seen.add(known)
    return values


def _known(text: str, value: Any) -> Any:
    """A value of plain Python, as it is: a function such as range() within a list would be no value."""
    for part in (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
        _known(text, part)
    if value is not None and not isinstance(value, (bool, int, float, str, list, dict)):
        raise InputError(f"{text}: a function within a list is not accepted; write its values")
    return value


def _plain(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)


def _parsed(text: str) -> Override:
    try:
        return hydra_internals.parsed(text)
    except Exception:  # Hydra's own, and whatever its parser and Python's conversions raise besides
        raise InputError(_ungrammatical(text)) from None


_CLOSING = {"[": "]", "{": "}", "(": ")"}


def _ungrammatical(text: str) -> str:
    """Why an override cannot be read."""
    shown, (key, equals, value) = typed(text), text.partition("=")
    name = typed(key.lstrip("+~"))
    if not equals and re.fullmatch(r"[\w./@]+", key.lstrip("+")):
        return f"{shown} has no value: write {name}=VALUE"
    if not key.strip("+~ "):
        return f"{shown!r} names no key: write KEY=VALUE"
    if not key.isascii():
        return f"{shown!r}: there is no key {name!r}, which has letters that look like others; type it anew"
    if not equals or not re.fullmatch(r"(\+\+?|~)?[\w./@:$-]+(\[\w+\])*", key):
        return f"{shown!r} is not KEY=VALUE; text with spaces or other signs goes in quotes: \"KEY='some text'\""
    bare = re.sub(r"'(\\.|[^'\\])*'|\"(\\.|[^\"\\])*\"", "_", value)
    if "'" in bare or '"' in bare:
        return f"{shown}: a quotation mark is not closed"
    open_ = []
    for sign in bare:
        if sign in _CLOSING:
            open_.append(_CLOSING[sign])
        elif sign in _CLOSING.values() and (not open_ or sign != open_.pop()):
            return f"{shown}: {sign} closes nothing"
    if open_:
        return f"{shown}: {open_[-1]} is missing"
    if re.search(r"(^|[,(\[{])\s*,|,\s*($|[)\]}])", bare):
        return f"{shown}: a comma with no value beside it; remove it"
    return (
        f"{shown}: the value of {name} cannot be read; lists are [1,2], mappings {{count: 3}}, and text with other "
        f"signs goes in quotes: \"{name}='some text'\""
    )


def is_group(override: Override) -> bool:
    """Whether an override chooses a file of ``conf/`` (and so needs a composition of its own) or sets a value."""
    return override.key_or_group in conf.groups()


def _check_key(override: Override) -> None:
    key, text = override.key_or_group, typed(override.input_line or "")
    if not key:
        raise InputError(f"{text!r} names no key: write KEY=VALUE")
    if re.match(r"hydra\b", key):
        raise InputError(
            f"{text}: Hydra's own settings have no effect here; launcher=…, records=… and tracker=… say how and where "
            "jobs run"
        )
    if override.package is not None:
        raise InputError(f"{text}: there is nothing to place with @; write {key}=NAME")
    if key == "data_hash":
        raise InputError(f"{text}: data_hash follows from the data themselves; leave it out")
    if override.is_delete() and key.split(".")[0] not in _OPEN:
        raise InputError(f"{text}: {key} cannot be left out of a configuration; give it another value: {key}=VALUE")
    if override.is_delete() and key in _OPEN:
        raise InputError(
            f"{text}: {key} itself cannot be left out of a configuration; leave out its keys one by one, for instance "
            f"~{key}.{'seed' if key == 'grid' else 'hypergradient_norm'}"
        )
    if not is_group(override):
        return
    chosen = key in _CHOSEN
    if override.is_force_add() or override.is_add() == chosen:
        raise InputError(f"{text}: write {'' if chosen else '+'}{key}=NAME")
    if key == "experiment" and override.is_sweep_override():
        raise InputError(f"{text}: every experiment is a sweep of its own; give one command for each")


def _check_value(override: Override, value: Any) -> None:
    """A group's value is the name of one of its files; several values of an axis belong into its list."""
    key = override.key_or_group
    if is_group(override):
        names = conf.options(key)
        if not isinstance(value, str):
            raise InputError(f"{typed(override.input_line or '')} names no {key}; choose one of {', '.join(names)}")
        if value not in names:
            raise _unknown_option(key, value, names)
    elif key in _SWITCHES and type(value) in (int, float) and value not in (0, 1):
        raise InputError(f"{typed(override.input_line or '')} is not accepted: it must be true or false")
    elif value == {}:
        raise InputError(f"{typed(override.input_line or '')} changes nothing; to leave keys out: ~{key}.KEY")
    elif override.is_sweep_override() and re.match(r"grid\b", key) and not isinstance(value, (list, dict)):
        values = (override.input_line or "").partition("=")[2]
        also = f", or {key.removeprefix('grid.')}={values} for a job of every value" if "." in key else ""
        raise InputError(f"{typed(override.input_line or '')}: an axis is a list: write +{key}=[{typed(values)}]{also}")


def _unknown_option(group: str, name: str, names: list[str]) -> InputError:
    """With the experiment of a figure of the paper that somebody asked for by its number."""
    number = re.fullmatch(r"fig(?:ure)?[_ -]?(\d+)", name.lower()) if group == "experiment" else None
    drawing = []
    for one in names if number else []:
        lines = conf.files(group)[one].read_text(encoding="utf-8").splitlines()
        drawing += [one] * any(re.match(rf"# Figure {number[1]}\b[^'’]*:", line) for line in lines)  # type: ignore[index]
    if number and drawing and name.lower() not in names:
        return InputError(f"unknown {group} {name!r}. The paper's Figure {number[1]} is {group}={drawing[0]}")
    return unknown(group, name, names, schema.MEANT)


def _check_once(given: Sequence[Override]) -> None:
    """No key twice, nor within another's value or above it: Hydra would keep the later one, and say nothing."""
    earlier: list[tuple[str, str, Override]] = []
    for override in given:
        # A group's file stands beside the values that it sets, of which some may be given anew.
        key = override.key_or_group + "/" * is_group(override)
        paths = {path for value in values_of(override) for path in _paths(key, value)}
        for path in paths:
            for other, other_key, first in earlier:
                if key == other_key or f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}."):
                    both = f"{typed(first.input_line or '')} and {typed(override.input_line or '')}"
                    place = (key if key == other_key else path).rstrip("/")
                    raise InputError(f"{place} is given twice, by {both}; give it once")
        if not override.is_delete():  # a key may be left out and then be given anew
            earlier += [(path, key, override) for path in paths]


def _paths(key: str, value: Any) -> Iterator[str]:
    """The keys that a value sets, itself or by what is in it."""
    if not isinstance(value, dict):
        yield key
        return
    for name, part in value.items():
        yield from _paths(f"{key}.{name}", part)
