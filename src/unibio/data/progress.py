"""What a reader sees while data are prepared."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

_SHOWN: ContextVar[bool] = ContextVar("shown", default=False)


@contextmanager
def shown() -> Iterator[None]:
    """Say on stderr what is done to data in this block. Worker processes, which are not in it, stay quiet."""
    token = _SHOWN.set(True)
    try:
        yield
    finally:
        _SHOWN.reset(token)


@dataclass(frozen=True)
class Progress:
    """Lines and bars on stderr where ``show``, by default inside :func:`shown`; bars on a terminal only."""

    show: bool = field(default_factory=_SHOWN.get)

    def say(self, text: str) -> None:
        """A line."""
        if self.show:
            print(f"→ {text}", file=sys.stderr, flush=True)

    def count(self, items: Iterable[Any], what: str, total: int | None = None) -> Iterator[Any]:
        """The items, counted by a bar."""
        return iter(tqdm(items, total=total, desc=what, leave=False, disable=self._disable, delay=0.5))

    def bytes(self, what: str, total: int | None) -> tqdm:
        """A bar of bytes, to be updated by hand and closed."""
        return tqdm(total=total, desc=what, unit="B", unit_scale=True, leave=False, disable=self._disable, delay=0.5)

    @property
    def _disable(self) -> bool | None:
        return None if self.show else True
