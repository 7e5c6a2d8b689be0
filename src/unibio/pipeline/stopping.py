"""Asked to stop: signals as a question that long work asks from time to time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: What asks to stop; not every system has all of them.
_REQUESTS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR2") if hasattr(signal, name)]


def ignore_requests() -> None:
    """Have this process answer no request outside of :func:`stop_requests`.

    What it starts answers them as ever, but for Ctrl-C, which a terminal sends to all and is not meant for them.
    """
    for number in _REQUESTS:
        signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else lambda *_: None)


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """A question "has someone asked us to stop?" that SIGINT, SIGTERM and SIGUSR2 answer with yes.

    A second SIGINT raises KeyboardInterrupt at once. Outside the main thread, where Python allows no handlers, the
    answer stays no.
    """
    asked = False  # no threading.Event: one signal may interrupt the handler of another, which would wait for its lock
    previous: dict[int, Any] = {}

    def handler(number: int, frame: Any) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is threading.main_thread():
        for number in _REQUESTS:
            previous[number] = signal.signal(number, handler)
    try:
        yield lambda: asked
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
