"""The one exception users see for bad input."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Something the user gave cannot work. The message names the argument, what was wrong and what is accepted."""


def unknown(kind: str, name: object, accepted: Iterable[str]) -> InputError:
    """An :class:`InputError` for a name that is not one of ``accepted``, with the nearest one suggested."""
    names = sorted(accepted)
    near = get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return InputError(f"unknown {kind} {name!r}.{hint} Accepted: {', '.join(names) or 'none'}.")
