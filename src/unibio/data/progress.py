"""What a reader sees while data are prepared."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm


@dataclass(frozen=True)
class Progress:
    """Lines and bars on stderr where ``show``; bars on a terminal only."""

    show: bool = False

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
