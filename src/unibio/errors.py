"""The one exception users see for bad input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


class InputError(ValueError):
    """Something the user gave cannot work. The message names the argument, what was wrong and what is accepted."""


def unknown(kind: str, name: object, accepted: Iterable[str], meant: Mapping[str, str] | None = None) -> InputError:
    """An :class:`InputError` for a name that is not one of ``accepted``, with the nearest one suggested.

    Args:
        kind: what the name should be one of, in words.
        name: what was given.
        accepted: the names there are.
        meant: {other word for one, in small letters: the name}, where spelling alone would suggest the wrong one.
    """
    names = sorted(accepted)
    written = {one.lower(): one for one in names} | {word: one for word, one in (meant or {}).items() if one in names}
    near = get_close_matches(str(name).lower(), written, n=1)
    hint = f" Did you mean {written[near[0]]!r}?" if near else ""
    return InputError(f"unknown {kind} {name!r}.{hint} Accepted: {', '.join(names) or 'none'}.")
