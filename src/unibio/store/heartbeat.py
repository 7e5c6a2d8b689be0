"""A sign of life beside a running job: ``running.json`` says who computes it and how far it is. Needs no torch."""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from unibio.store.smallfiles import fits, json_object

FILE = "running.json"

_NEEDED = {"pid": int, "host": str, "began": (int, float), "updated": (int, float)}

#: Seconds between two signs of life, and the silence after which a process of another machine counts as gone.
EVERY, SILENCE = 2.0, 120.0


class Heartbeat:
    """While entered, a thread keeps ``running.json`` current; the loop that it watches only sets :attr:`iteration`.

    A file that cannot be written (a full disk) stops nothing: whoever computes notices that by itself.

    Args:
        directory: of the record, existing.
        steps: the last iteration, if it is known.
        every: seconds between two writes.
    """

    def __init__(self, directory: Path, steps: int | None, every: float = EVERY):
        self._path, self._every = directory / FILE, every
        self._content = {
            "pid": os.getpid(),
            "birth": _birth(os.getpid()),
            "host": socket.gethostname(),
            "began": time.time(),
            "steps": steps,
        }
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self.iteration: int | None = None

    def __enter__(self) -> Heartbeat:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            self._write()

    def _write(self) -> None:
        # Not synced to the disk, unlike everything else in a record: after a crash of the machine nobody asks for it.
        temporary = self._path.with_name(f".{FILE}.{os.getpid()}")
        with suppress(OSError):
            temporary.write_text(json.dumps(self._content | {"iteration": self.iteration, "updated": time.time()}))
            temporary.replace(self._path)


def read(directory: Path) -> dict[str, Any] | None:
    """What the last sign of life said: pid, birth, host, began, updated, iteration, steps; None where there is none."""
    content = json_object(directory / FILE, _NEEDED)
    if content is None or content["pid"] < 1 or not all(map(math.isfinite, (content["began"], content["updated"]))):
        return None
    return content if all(fits(content.get(key), (int, None)) for key in ("birth", "iteration", "steps")) else None


def alive(content: dict[str, Any], now: float | None = None) -> bool:
    """Whether the process behind a sign of life still runs.

    On this machine the process is looked up, with its time of birth, since process ids are used again. Of another
    machine's only the age of the sign is known.
    """
    if content["host"] != socket.gethostname():
        return (time.time() if now is None else now) - content["updated"] < SILENCE
    try:
        os.kill(content["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's process
        pass
    except OverflowError:  # no system numbers its processes so
        return False
    born = _birth(content["pid"])
    return born == content.get("birth") if born is not None else not Path("/proc/self/stat").exists()


def _birth(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None where it is gone, or where there is no /proc."""
    try:
        # The name, in parentheses, may hold spaces; state and starting time are fields 3 and 22.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
