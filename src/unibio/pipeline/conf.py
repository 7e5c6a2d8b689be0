"""Where configuration files lie, ours and others', and which names they offer. Needs no Hydra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from unibio import plugins
from unibio.errors import InputError
from unibio.registry import ALGORITHMS, PROBLEMS, Table

#: Directories that somebody named for what runs now.
_named: tuple[Path, ...] = ()

#: Groups whose choices are classes: a plugin's can be chosen without a file, and then has its defaults.
CLASSES: dict[str, Table[Any]] = {"algorithm": ALGORITHMS, "problem": PROBLEMS}


def conf_dir() -> Path:
    """The configuration directory: inside the installed package, or at the root of a clone."""
    inside = Path(__file__).parents[1] / "conf"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "conf"


@contextmanager
def including(directories: Sequence[Path]) -> Iterator[None]:
    """Have files of further directories be found, in this process, for a while.

    Raises:
        InputError: one is not there.
    """
    global _named  # noqa: PLW0603
    for directory in directories:
        if not directory.is_dir():
            raise InputError(f"--config-dir {directory}: there is no such directory")
    before, _named = _named, (*_named, *(directory.resolve() for directory in directories))
    try:
        yield
    finally:
        _named = before


def named() -> tuple[Path, ...]:
    """The directories of :func:`including`."""
    return _named


def directories() -> tuple[Path, ...]:
    """Ours, those of plugins, those that were named.

    Raises:
        InputError: two of them have a file of one name, so that one would never be read.
    """
    origins = {conf_dir().resolve(): "unibio itself", **plugins.directories()}
    for directory in _named:
        origins.setdefault(directory, "--config-dir")
    found = tuple(origins)
    if len(found) > 1:
        _check(found, tuple(origins.values()))
    return found


@cache
def _check(found: tuple[Path, ...], origins: tuple[str, ...]) -> None:
    files: dict[str, int] = {}
    for k, directory in enumerate(found):
        for path in directory.rglob("*.yaml"):
            name = path.relative_to(directory).as_posix()
            first = files.setdefault(name, k)
            if first != k:
                both = [f"{found[one] / name} (of {origins[one]})" for one in (first, k)]
                raise InputError(f"two files are called {name}: {' and '.join(both)}; rename one of them")


def groups() -> frozenset[str]:
    """The folders of configuration files, each a choice of one of its files: "algorithm", …, "experiment/nli", …."""
    return _groups(directories())


@cache
def _groups(found: tuple[Path, ...]) -> frozenset[str]:
    below = [(root, path) for root in found for path in root.rglob("*") if path.is_dir()]
    return frozenset(path.relative_to(root).as_posix() for root, path in below)


def files(group: str) -> dict[str, Path]:
    """{name: file} of a group."""
    paths = [path for root in directories() for path in (root / group).glob("*.yaml")]
    return {path.stem: path for path in sorted(paths, key=lambda path: path.stem)}


def options(group: str) -> list[str]:
    """The names that can be chosen in a group."""
    plugged = CLASSES[group].plugged() if group in CLASSES else ()
    return sorted({*files(group), *plugged})
