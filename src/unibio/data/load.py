"""``load_pairs``: from the cache where it holds what is asked for, else from the source, into the cache."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from unibio import tensorfile
from unibio.data.directory import directory, files_of, has_files
from unibio.data.files import is_file, sha256, user_path
from unibio.data.pairs import PairData, Source
from unibio.data.progress import Progress
from unibio.data.settings import MADE, TRAIN, VECTORS, DataSettings
from unibio.data.stock import Stock, cut
from unibio.data.vectors import locate
from unibio.errors import InputError

#: To be raised with every change of what :func:`unibio.data.prepare.prepare` or a source makes of the same settings.
FORMAT = 4


def load_pairs(settings: DataSettings) -> PairData:
    """The data of some settings; prepared at the first call, read from ``settings.cache`` at later ones.

    What is prepared serves other numbers of pairs as well. Several processes may ask at once: one prepares, the others
    wait. Inside :func:`unibio.data.progress.shown` it says what it does.

    Args:
        settings: which data. Its source is the only one; none is ever put in the place of another.

    Raises:
        InputError: the source cannot be reached or read, it has too few pairs, the content is not the one that
            ``settings.content`` demands, or the cache cannot be written.
    """
    path, progress = cache_path(settings), Progress()
    stock = _read(path)
    data = None if stock is None else cut(stock, settings)
    how = "read from"
    if data is None:
        data, how = _kept(settings, path, progress), "written to"
    if progress.show:
        progress.say(f"prepared pairs {how} {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if settings.content and data.content != settings.content:
        raise InputError(
            f"data.content demands {settings.content}, but {data.source} gives {data.content}: other pairs, vectors or "
            "settings than were meant"
        )
    return data


def cache_path(settings: DataSettings) -> Path:
    """The file of the prepared pairs of some settings; many settings share one.

    Its name says what decides its content and has no path: in a copy of the cache it is found from anywhere. Files
    count by their content; where they are not there, what was prepared from files of that name counts as theirs.

    Raises:
        InputError: files are missing, and nothing, or more than one thing, was prepared from such files.
    """
    files = _files(settings)
    parts = [settings.source]
    if settings.source == "generated":  # how it goes on depends on how much of it was read
        parts.append(_short([settings.seed, settings.train, settings.valid, settings.test, settings.max_length]))
    if settings.source == "directory":
        pairs = [sha256(file) for name, file in files.items() if name != "vectors"]
        parts += [_plain(user_path(settings.dir, "data.dir").resolve().name), _short(pairs) if pairs else _ANY]
    if settings.vectors in VECTORS:
        parts.append("made" if settings.vectors in MADE else settings.vectors)
    else:
        known = _short([sha256(files["vectors"])]) if "vectors" in files else _ANY
        parts += [_plain(Path(settings.vectors).name), known]
    name, cache = f"{'-'.join(parts)}.{FORMAT}.pt", Path(settings.cache)
    if _ANY not in parts:
        return cache / name
    found = sorted(cache.glob(name))
    if len(found) > 1:
        raise InputError(
            f"{settings.dir or settings.vectors} is not there, and data.cache = {cache} has pairs prepared from "
            f"several files of that name: {', '.join(path.name for path in found)}; remove all but those that are meant"
        )
    if not found:
        try:
            if settings.source == "directory":
                files_of(settings.dir)
            locate(settings, Progress())
        except InputError as error:
            raise InputError(f"{error}; nor does data.cache = {cache} hold {name.replace(_ANY, '…')}") from None
    return found[0]


#: Digits of a hash in a file's name, and the pattern of any such hash.
_DIGITS = 12
_ANY = "?" * _DIGITS


def _short(what: list[Any]) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:_DIGITS]


def _plain(name: str) -> str:
    """A file's name without what separates the parts of ours or has a meaning in patterns."""
    return re.sub(r"[^\w.]", "_", name)


def _files(settings: DataSettings) -> dict[str, Path]:
    """The local files that are read, by split or "vectors", as far as they are there."""
    found = files_of(settings.dir) if settings.source == "directory" and has_files(settings.dir) else {}
    if settings.vectors in VECTORS:
        return found
    vectors = user_path(settings.vectors, "data.vectors")
    return found | ({"vectors": vectors} if is_file(vectors) else {})


def _read(path: Path, warn: bool = False) -> Stock | None:
    """What the cache holds; None where it holds nothing, or something damaged, unreadable or of another kind."""
    try:
        held = tensorfile.load(path)
        return None if held is None else Stock.unpacked(held)
    except (tensorfile.DamagedFile, ValueError) as error:
        if warn:
            what = error if isinstance(error, tensorfile.DamagedFile) else f"{path} holds no prepared pairs ({error})"
            warnings.warn(f"{what}; it is not used, the data are prepared again", stacklevel=4)
    except OSError:
        pass
    return None


def _kept(settings: DataSettings, path: Path, progress: Progress) -> PairData:
    """Data from what the cache now has, made here or by another process meanwhile."""
    lock = FileLock(path.with_name(f".{path.stem}.lock"))
    with _writing(settings):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        stock = _read(path, warn=True)
        data = None if stock is None else cut(stock, settings)
        if data is None:
            stock = _made(settings, progress, TRAIN if stock is None else max(TRAIN, len(stock.splits["train"])))
            data = cut(stock, settings)
            assert data is not None  # as many were prepared as the settings ask for
            with _writing(settings):
                tensorfile.save(path, stock.packed())
        return data
    finally:
        lock.release()


@contextmanager
def _writing(settings: DataSettings) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        if isinstance(error, InputError):
            raise
        raise InputError(f"data.cache = {settings.cache} cannot be written ({error}); name another directory") from None


def _made(settings: DataSettings, progress: Progress, at_least: int) -> Stock:
    """A stock from the source, with ``at_least`` training pairs where there are as many."""
    from unibio.data.prepare import prepare

    vector_file = locate(settings, progress)
    read = [*_files(settings).values(), *([vector_file] if settings.vectors == "glove" and vector_file else [])]
    files = {file.name: sha256(file) for file in read}
    return prepare(settings, _source(settings, progress), files, vector_file, progress, at_least)


def _source(settings: DataSettings, progress: Progress) -> Source:
    if settings.source == "generated":
        from unibio.data.grammar import generated

        return generated(settings.seed)
    if settings.source == "snli":
        from unibio.data.hub import snli

        return snli(settings, progress)
    return directory(settings.dir, progress)
