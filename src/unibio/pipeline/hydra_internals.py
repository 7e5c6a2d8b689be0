"""What the project takes from inside Hydra and OmegaConf, which promise nothing about it: all of it is here.

Hydra has no public way to split a sweep's overrides into jobs, nor to set values on a configuration that is composed
already (composing one anew takes ten times as long); OmegaConf parses an interpolation at every look at it.
``tests/pipeline/test_hydra_internals.py`` says what broke when a new release moves these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep, ValueType
from hydra.core.override_parser.types import Override as Override
from omegaconf import DictConfig, _utils, base, grammar_parser

_parse = lru_cache(maxsize=4096)(grammar_parser.parse)


def parse_once() -> None:
    """Have OmegaConf parse an interpolation once in a process: a sweep looks at the same few thousands of times.

    Trees are read and never written; what is not in the grammar raises at every look, as before.
    """
    for module in (_utils, base):
        vars(module)["parse"] = _parse


def parsed(override: str) -> Override:
    """An override as an object.

    Raises:
        HydraException: it is not in Hydra's grammar.
    """
    return OverridesParser.create().parse_overrides([override])[0]


def listed(override: Override) -> bool:
    """Whether the values of a sweep can be told from itself; patterns and intervals have none."""
    return override.value_type in (ValueType.CHOICE_SWEEP, ValueType.SIMPLE_CHOICE_SWEEP, ValueType.RANGE_SWEEP)


def values(override: Override) -> Iterator[Any]:
    """The values of a sweep in plain Python, in the order in which they are written.

    Raises:
        ValueError: a range of no step.
    """
    swept: Any = override.value()
    items = swept.range() if isinstance(swept, RangeSweep) else swept.list if isinstance(swept, ChoiceSweep) else ()
    return (Override._convert_value(item) for item in items)


def combinations(swept: Sequence[Override]) -> Iterator[tuple[Override, ...]]:
    """The product of overrides that hold several values, as overrides of one value each; the last varies fastest."""
    return product(*(tuple(_elements(override)) for override in swept))


def probes(swept: Override) -> Iterator[str]:
    """Overrides of one value each that a sweeper may ask for: all where they can be listed, an interval's ends.

    Patterns have none.

    Raises:
        ValueError: a range of no step.
    """
    value: Any = swept.value()
    if isinstance(value, (RangeSweep, IntervalSweep)):
        found = values(swept) if isinstance(value, RangeSweep) else (value.start, value.end)
        yield from (f"{swept.get_key_element()}={one}" for one in found)
    elif listed(swept):
        yield from (one.input_line or "" for one in _elements(swept))


def _elements(swept: Override) -> Iterator[Override]:
    """A sweep's overrides of one value each. Numbers are not parsed anew: that would take most of a long sweep."""
    for (text,) in (part for batch in BasicSweeper.split_arguments([swept], None) for part in batch):
        value = text.partition("=")[2]
        kind = int if _INTEGER.fullmatch(value) else float if _DECIMAL.fullmatch(value) else None
        if kind is None:
            yield parsed(text)
        else:
            yield replace(swept, value_type=ValueType.ELEMENT, _value=kind(value), input_line=text)


#: Numbers as everyone writes them, which Hydra's grammar reads as Python does; others it may read.
_INTEGER, _DECIMAL = re.compile(r"-?(0|[1-9]\d*)"), re.compile(r"-?(0|[1-9]\d*)\.\d+(e-?\d+)?")


def sweepers() -> list[str]:
    """The names of Hydra's sweepers, those of its plugins among them; inside a composer."""
    return sorted(GlobalHydra.instance().config_loader().get_group_options("hydra/sweeper"))


def set_value(config: DictConfig, override: Override) -> None:
    """Set a value on a composed configuration as Hydra sets it after composing.

    Raises:
        HydraException, OmegaConfBaseException: an unknown key, or a value of the wrong type.
    """
    ConfigLoaderImpl._apply_overrides_to_config([override], config)
