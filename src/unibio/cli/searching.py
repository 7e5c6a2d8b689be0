"""Configuration files in other directories: ``--config-dir DIR`` and ``hydra.searchpath=[…]``, in every command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from unibio import plugins
from unibio.cli.entry import command
from unibio.errors import InputError

_FLAGS = ("--config-dir", "-cd")
_KEY = "hydra.searchpath"


@contextmanager
def script(name: str) -> Iterator[list[str]]:
    """Around a script: what :func:`unibio.cli.entry.command` does, with the directories that its words name.

    Args:
        name: of the script.

    Yields:
        Its other words.
    """
    from unibio.pipeline.conf import including

    with command(name):
        rest, directories = taken_out(sys.argv[1:])
        with including(directories):
            yield rest


def given() -> list[str]:
    """The flags with which another command finds what this one does."""
    from unibio.pipeline.conf import named

    return [f"--config-dir={shlex.quote(str(directory))}" for directory in named()]


def taken_out(arguments: Sequence[str]) -> tuple[list[str], list[Path]]:
    """The arguments without those that name directories, and the directories.

    Raises:
        InputError: a flag without its value, or a place that is no directory.
    """
    rest, found = [], []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        flag, equals, value = word.partition("=")
        if flag in _FLAGS:
            if not equals:
                if not waiting:
                    raise InputError(f"{flag} needs a value: {flag} DIR, a directory of configuration files")
                value = waiting.pop(0)
            found.append(_directory(flag, value))
        elif flag.lstrip("+") == _KEY:
            found += [_directory(_KEY, place) for place in _places(word.lstrip("+"))]
        else:
            rest.append(word)
    return rest, found


def _places(override: str) -> list[str]:
    """The places that an override of Hydra's search path lists."""
    from unibio.pipeline.hydra_internals import parsed

    try:
        places = parsed(override).value()
    except Exception:  # of Hydra's grammar
        places = None
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        raise InputError(f"{override} is no list of places; write {_KEY}=[file:///DIR,pkg://PACKAGE]")
    return places


def _directory(said: str, place: str) -> Path:
    """A directory named by its path, by file:// and its path, or by pkg:// and a package's name."""
    scheme, separator, rest = place.partition("://")
    if not separator or scheme == "file":
        path = Path(rest if separator else place).expanduser()
    elif scheme == "pkg":
        path = _in_package(rest.replace("/", "."))
    else:
        raise InputError(f"{said}: {place} is neither DIR nor file://DIR nor pkg://PACKAGE")
    if not path.is_dir():
        raise InputError(f"{said}: {place} is no directory")
    return path.resolve()


def _in_package(module: str) -> Path:
    """The directory of a package, or one below it that is none itself (as conf often is)."""
    name, *below = module.split(".")
    for depth in range(len(below), -1, -1):
        file = plugins.file_of(".".join([name, *below[:depth]]))
        if file is not None and file.name == "__init__.py":
            return file.parent.joinpath(*below[depth:])
    return Path(*module.split("."))
