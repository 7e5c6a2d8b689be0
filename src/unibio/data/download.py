"""Asking the network without ever waiting long for nobody, and fetching a large file."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import os
import threading
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

from unibio.data.files import sha256, sums
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

    Its sha256 is noted beside it at the first download (or the first time that a copy by hand is met), and every later
    one, and the file itself whenever it is asked for, must have it. What the publisher states of the file with the
    download must be right, too.

    Args:
        key, otherwise: for messages, the setting that asks for it and what to do instead.

    Raises:
        InputError: no connection, it broke, or the file is another one than the publisher's or than it was.
    """
    note = path.with_name(f"{path.name}.sha256")
    noted = sums(note).get(path.name)
    if path.is_file():
        found = sha256(path)
        if noted is None:
            _note(note, found, path)
        elif found != noted:
            raise InputError(
                f"{key}: {path} is damaged, as its sha256 is not the one in {note.name}; remove it to download it "
                "again, or both where another file is meant"
            )
        return
    problem = reachable(url)
    if problem is not None:
        raise InputError(f"{key}: {url} cannot be reached ({problem}); {otherwise}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, part.open("wb") as file:
            size = int(answer.headers.get("Content-Length") or 0)
            stated = _stated(answer.headers)
            hashes = {name: hashlib.new(name, usedforsecurity=False) for name in {"sha256", *stated}}
            progress.say(f"downloading {url} ({size / 1e6:,.0f} MB) into {path}")
            with progress.bytes(path.name, size or None) as bar:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    for hashed in hashes.values():
                        hashed.update(block)
                    bar.update(len(block))
        if size and part.stat().st_size != size:
            raise OSError(f"{part.stat().st_size} of {size} bytes arrived")
        for name, digest in stated.items():
            if hashes[name].digest() != digest:
                raise OSError(f"what arrived has another {name} than its publisher states")
        found = hashes["sha256"].hexdigest()
        if noted not in (None, found):
            raise InputError(
                f"{key}: {url} gives another file than at the first download (sha256 {found}, not {noted}); remove "
                f"{note} where the new one is meant, or {otherwise}"
            )
        part.replace(path)
        _note(note, found, path)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{key}: the download of {url} broke off ({error}); try again, or {otherwise}") from None
    finally:
        part.unlink(missing_ok=True)


def _note(note: Path, digest: str, path: Path) -> None:
    with contextlib.suppress(OSError):  # a directory that cannot be written keeps what it has
        note.write_text(f"{digest}  {path.name}\n", encoding="utf-8")


#: Hash functions by their names in headers.
_HASHES = {"sha-256": "sha256", "sha-512": "sha512", "md5": "md5"}


def _stated(headers: Message) -> dict[str, bytes]:
    """{hash function: digest} of the file, as far as its publisher sends them: RFC 9530, RFC 3230, RFC 1864."""
    said = [headers.get("Repr-Digest", ""), headers.get("Digest", "")]
    if not headers.get("Content-Encoding"):
        said.append(headers.get("Content-Digest", ""))
    if headers.get("Content-MD5"):
        said.append(f"md5={headers['Content-MD5']}")
    stated: dict[str, bytes] = {}
    for part in ",".join(said).split(","):
        name, _, digest = part.strip().partition("=")
        with contextlib.suppress(ValueError):  # what is no digest states nothing
            if name.lower() in _HASHES:
                stated[_HASHES[name.lower()]] = base64.b64decode(digest.strip(":"), validate=True)
    return stated
