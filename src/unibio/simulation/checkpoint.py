"""Checkpoints of a simulation: a file of tensors that only the runs it was made of may continue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from unibio import tensorfile
from unibio.errors import InputError
from unibio.tensorfile import DamagedFile

#: Differences that are named, and the longest value that is shown.
_SAID, _SHORT = 3, 40


class ForeignCheckpoint(InputError):
    """The file is a checkpoint, but of other runs."""


def save(path: Path | None, content: dict[str, Any], identity: dict[str, Any]) -> None:
    """Write a checkpoint, if one is wanted."""
    if path is not None:
        tensorfile.save(path, content | {"identity": identity})


def load(path: Path | None, identity: dict[str, Any]) -> dict[str, Any] | None:
    """A checkpoint's content; None where there is none.

    Raises:
        ForeignCheckpoint: it is of other runs.
        DamagedFile: it is not what was written, or no checkpoint.
    """
    content = None if path is None else tensorfile.load(path)
    if content is None:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("identity"), dict):
        raise DamagedFile(f"{path} holds no checkpoint")
    if content["identity"] != identity:
        raise ForeignCheckpoint(
            f"the checkpoint {path} belongs to other runs: {_differences(content['identity'], identity)}; delete it, "
            "or name another file"
        )
    return content


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What differs between two identities, in words; parts of an owner by their own names."""
    flat = []
    for one in (there, here):
        owner = one.get("owner")
        flat.append({**one, **owner, "owner": ""} if isinstance(owner, Mapping) else dict(one))
    named = sorted(key for key in flat[0].keys() | flat[1].keys() if flat[0].get(key) != flat[1].get(key))
    said = []
    for key in named:
        values = [str(one.get(key, "absent")) for one in flat]
        short = key != "owner" and max(map(len, values)) <= _SHORT
        said.append(f"{key} is {values[1]} here and {values[0]} there" if short else f"{key} differs")
    return ", ".join(said[:_SAID]) + (f" and {len(said) - _SAID} more" if len(said) > _SAID else "")


@contextmanager
def reading(path: Path | None) -> Iterator[None]:
    """Turn whatever a checkpoint's wrong content brings about, while it is taken in, into one error.

    Raises:
        DamagedFile: something was raised that is no want of memory.
    """
    try:
        yield
    except Exception as error:
        if tensorfile.short_of_memory(error):
            raise
        raise DamagedFile(f"{path} does not hold what a checkpoint holds: {type(error).__name__}: {error}") from error


def check_like(content: Mapping[str, Any], like: Mapping[str, Any]) -> None:
    """Check that all entries of ``like`` are in ``content``, of the same types and, where tensors, shapes and dtypes.

    Raises:
        DamagedFile: the first that is not.
    """
    for name, wanted in like.items():
        got = content.get(name)
        if isinstance(wanted, Mapping) and isinstance(got, Mapping):
            check_like(got, wanted)
        elif isinstance(wanted, Tensor) and isinstance(got, Tensor):
            if (got.shape, got.dtype) != (wanted.shape, wanted.dtype):
                raise DamagedFile(f"{name} is {tuple(got.shape)} {got.dtype}")
        elif type(got) is not type(wanted) or (isinstance(got, int) and got < 0):
            raise DamagedFile(f"{name} is {got!r}")
