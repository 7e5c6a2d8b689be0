"""``load_pairs``: from the cache where it holds what is asked for, else from the source, into the cache."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from unibio import checkpoint
from unibio.data.pairs import SPLITS, PairData, Source, Split
from unibio.data.progress import Progress
from unibio.data.settings import VECTORS, DataSettings
from unibio.errors import InputError

#: To be raised with every change of what :func:`unibio.data.prepare.prepare` or a source makes of the same settings.
FORMAT = 2


def load_pairs(settings: DataSettings, progress: bool = False) -> PairData:
    """The data of some settings; prepared at the first call, read from ``settings.cache`` at later ones.

    Several processes may ask at once: one prepares, the others wait.

    Args:
        settings: which data. Its source is the only one; none is ever put in the place of another.
        progress: say on stderr what is being done.

    Raises:
        InputError: the source cannot be reached or read, its files have changed since the data were prepared, it has
            too few pairs, the content is not the one that ``settings.content`` demands, or the cache cannot be written.
    """
    path = cache_path(settings)
    held = _read(path)
    if held is None:
        held = _kept(settings, path, Progress(progress))
    elif _check_files(held["files"], path):
        with suppress(OSError):  # a cache that cannot be written only means that the files are read again next time
            checkpoint.save(path, held)
    data = _unpacked(held)
    if settings.content and data.content != settings.content:
        raise InputError(
            f"data.content demands {settings.content}, but {data.source} gives {data.content}: other pairs, vectors or "
            "settings than were meant"
        )
    return data


def cache_path(settings: DataSettings) -> Path:
    """The file of the prepared data of some settings."""
    key = dataclasses.asdict(settings) | {"cache": "", "content": "", "format": FORMAT}
    if settings.dir:
        key["dir"] = str(Path(settings.dir).expanduser().resolve())
    if settings.vectors not in VECTORS:
        key["vectors"] = str(Path(settings.vectors).expanduser().resolve())
    text = json.dumps(key, sort_keys=True)
    return Path(settings.cache) / f"{settings.source}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.pt"


def _read(path: Path, warn: bool = False) -> dict[str, Any] | None:
    """What the cache holds; None where it holds nothing, or something damaged or unreadable."""
    try:
        return checkpoint.load(path)
    except checkpoint.DamagedCheckpoint as error:
        if warn:
            warnings.warn(f"{error}; it is not used, the data are prepared again", stacklevel=4)
    except OSError:
        pass
    return None


def _kept(settings: DataSettings, path: Path, progress: Progress) -> dict[str, Any]:
    """Prepared data that the cache now has, made here or by another process meanwhile."""
    lock = FileLock(path.with_name(f".{path.stem}.lock"))
    with _writing(settings):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        held = _read(path, warn=True)
        if held is None:
            held = _made(settings, progress)
            with _writing(settings):
                checkpoint.save(path, held)
        return held
    finally:
        lock.release()


@contextmanager
def _writing(settings: DataSettings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"data.cache = {settings.cache} cannot be written ({error}); name another directory") from None


def _made(settings: DataSettings, progress: Progress) -> dict[str, Any]:
    from unibio.data.prepare import prepare
    from unibio.data.vectors import locate

    vector_file = locate(settings, progress)
    data, files = prepare(settings, _source(settings, progress), vector_file, progress)
    fields = {spec.name: getattr(data, spec.name) for spec in dataclasses.fields(data)}
    fields |= {split: part.tensors() for split, part in data.splits.items()}
    return {"data": fields, "files": {name: _identity(Path(name)) for name in files}}


def _unpacked(held: dict[str, Any]) -> PairData:
    fields = held["data"]
    return PairData(**fields | {split: Split(**fields[split]) for split in SPLITS})


def _source(settings: DataSettings, progress: Progress) -> Source:
    if settings.source == "generated":
        from unibio.data.grammar import generated

        return generated(settings.seed)
    if settings.source == "snli":
        from unibio.data.hub import snli

        return snli(progress)
    from unibio.data.directory import directory

    return directory(settings.dir)


def _identity(path: Path) -> list[Any]:
    """Size, time of the last change and sha256 of a file."""
    state = path.stat()
    with path.open("rb") as file:
        return [state.st_size, state.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()]


def _check_files(files: dict[str, list[Any]], prepared: Path) -> bool:
    """Compare the source's files, as far as they are there, with those the data were prepared from.

    A file of the same size and time is not read again. Returns whether only times have changed; they are updated.

    Raises:
        InputError: a file's content has changed.
    """
    touched = False
    for name, (size, time, digest) in files.items():
        path = Path(name)
        state = path.stat() if path.is_file() else None
        if state is None or (state.st_size, state.st_mtime_ns) == (size, time):
            continue
        now = _identity(path)
        if now[2] != digest:
            raise InputError(
                f"{path} is not the file that the data were prepared from (sha256 {now[2][:12]}…, was {digest[:12]}…). "
                f"If it is damaged, put it back; if the change is meant, remove {prepared}"
            )
        files[name], touched = now, True
    return touched
