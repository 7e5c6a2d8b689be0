"""One composed configuration, and what becomes of it where some of its values vary: a sweep of thousands of jobs.

To copy a configuration and resolve all of it for every job takes ten times as long as to resolve what has changed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unibio.pipeline import complaints, hydra_internals
from unibio.pipeline.hydra_internals import Override


class Varying:
    """A configuration of which values are set again and again, always of the same keys.

    Args:
        base: composed, without Hydra's own part.
    """

    def __init__(self, base: DictConfig):
        self._base = base
        self._work: DictConfig | None = None
        self._last: tuple[Override, ...] = ()
        self._plain: dict[str, Any] = {}
        self._texts = dict(_interpolations(base))

    def plain(self, overrides: Sequence[Override]) -> dict[str, Any]:
        """The resolved configuration with values set as Hydra sets them; its nested parts may be another call's.

        Args:
            overrides: of one value each, of the same keys in every call.

        Raises:
            InputError: a value that cannot be set, or one that cannot be computed from the rest.
        """
        now = tuple(overrides)
        if self._work is None or not all(map(_replaces, now)):
            self._work = with_values(self._base, now)
            self._plain = resolved(self._work)
        else:
            changed = [new for new, old in zip(now, self._last, strict=True) if new.input_line != old.input_line]
            for override in changed:
                _set(self._work, override)
            keys = [override.key_or_group for override in changed]
            try:
                for path in (*keys, *self._following(keys)):
                    self._plain = _put(self._plain, path.split("."), _value_at(self._work, path))
            except OmegaConfBaseException as error:
                raise complaints.not_resolved(error) from None
        self._last = now
        return dict(self._plain)

    def _following(self, keys: Sequence[str]) -> list[str]:
        """The interpolated values that may depend on some keys: their texts name a part of one, or of one that does."""
        waiting, found = set(self._texts), list(keys)
        for key in found:
            words = set(key.split("."))
            more = [path for path in waiting if words & set(re.findall(r"\w+", self._texts[path]))]
            waiting -= set(more)
            found += more
        return [path for path in found if path in self._texts and path not in keys]


def with_values(base: DictConfig, overrides: Sequence[Override]) -> DictConfig:
    """A copy of a composed configuration with some values set, as Hydra sets them after composing.

    Raises:
        InputError: an unknown key, or a value of another type.
    """
    config = copy.deepcopy(base) if overrides else base
    for override in overrides:
        _set(config, override)
    return config


def resolved(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain values, every interpolation computed.

    Raises:
        InputError: a value is missing, or refers to what is not there.
    """
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise complaints.not_resolved(error) from None
    return plain


def _set(config: DictConfig, override: Override) -> None:
    try:
        hydra_internals.set_value(config, override)
    except Exception as error:  # Hydra's and OmegaConf's are of many kinds, and have others as their causes
        raise complaints.not_set(override, config, error) from None


def _replaces(override: Override) -> bool:
    """Whether an override puts one value in the place of another, so that it can be put there once more."""
    value = override.value()
    plain = value is None or isinstance(value, (bool, int, float)) or (isinstance(value, str) and "$" not in value)
    return plain and not (override.is_add() or override.is_force_add() or override.is_delete())


def _interpolations(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Paths and texts of values that are computed from others; a list counts as a whole."""
    for key in config:
        node: Any = config._get_node(key)
        path = f"{prefix}{key!s}"
        if isinstance(node, DictConfig) and not (node._is_interpolation() or node._is_none() or node._is_missing()):
            yield from _interpolations(node, f"{path}.")
        elif node is not None and "${" in (text := str(node._value())):
            yield path, text


def _value_at(config: DictConfig, path: str) -> Any:
    value = OmegaConf.select(config, path, throw_on_missing=True)
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, Container) else value


def _put(plain: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """The mapping with another value at a path, whatever lies beside it shared and nothing written into."""
    key, *rest = path
    return {**plain, key: _put(plain[key], rest, value) if rest else value}
