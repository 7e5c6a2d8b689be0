"""Asking the network without ever waiting long for nobody, and fetching a large file."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from pathlib import Path

from unibio.data.progress import Progress
from unibio.errors import InputError

#: Seconds within which a host must answer. Name resolution has no limit of its own, hence the thread in ``reachable``.
PATIENCE = 4.0
_BLOCK = 1 << 20


def reachable(url: str) -> str | None:
    """None where the host of ``url`` answers within PATIENCE, itself or through the environment's proxy; else why not.

    Any answer will do, refusals included: what they mean is for the caller's real request to find out.
    """
    said: list[str | None] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE):
                said.append(None)
        except urllib.error.HTTPError:
            said.append(None)
        except (OSError, ValueError, http.client.HTTPException) as error:
            said.append(str(getattr(error, "reason", error)))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return said[0] if said else f"no answer within {PATIENCE:g} s"


def fetch(url: str, path: Path, key: str, otherwise: str, progress: Progress) -> None:
    """Download into ``path`` unless it is there; it appears whole or not at all.

    Args:
        key, otherwise: for messages, the setting that asks for it and what to do instead.

    Raises:
        InputError: no connection, or it broke.
    """
    if path.is_file():
        return
    problem = reachable(url)
    if problem is not None:
        raise InputError(f"{key}: {url} cannot be reached ({problem}); {otherwise}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, part.open("wb") as file:
            size = int(answer.headers.get("Content-Length") or 0)
            progress.say(f"downloading {url} ({size / 1e6:,.0f} MB) into {path}")
            with progress.bytes(path.name, size or None) as bar:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    bar.update(len(block))
        if size and part.stat().st_size != size:
            raise OSError(f"{part.stat().st_size} of {size} bytes arrived")
        part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"{key}: the download of {url} broke off ({error}); try again, or {otherwise}") from None
    finally:
        part.unlink(missing_ok=True)
