"""What can be configured: ``unibio list`` and ``python -m unibio --help``, which need neither torch nor Hydra."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from unibio.cli import searching
from unibio.cli.entry import Parser
from unibio.core.parameters import accepted, declared
from unibio.errors import InputError
from unibio.pipeline.conf import conf_dir, files, groups, options
from unibio.registry import ALGORITHMS, PROBLEMS, Table

#: How wide text is printed.
WIDTH = 119

_KINDS: Mapping[str, Table[Any]] = {"algorithms": ALGORITHMS, "problems": PROBLEMS}


def main(arguments: Sequence[str], about: str) -> None:
    """``unibio list``: everything in a sentence each, all of a kind with its parameters, or one.

    Raises:
        InputError: an unknown name.
    """
    parser = Parser("unibio list", about)
    parser.add_argument(
        "what", nargs="?", help="algorithms, problems, experiments, or the name of one; all if left out"
    )
    what = parser.read(arguments).what
    experiments = files("experiment")
    if what is None:
        print("\n".join(_summary(experiments)))
    elif what in _KINDS:
        print("\n\n".join("\n".join(_described(_KINDS[what], name)) for name in _KINDS[what]))
    elif what == "experiments":
        print("\n\n".join("\n".join(_experiment(name, path)) for name, path in experiments.items()))
    else:
        found = ["\n".join(_described(table, what)) for table in _KINDS.values() if what in table]
        found += ["\n".join(_experiment(what, experiments[what]))] if what in experiments else []
        if not found:
            names = list(dict.fromkeys([*_KINDS, "experiments", *ALGORITHMS, *PROBLEMS, *experiments]))
            near = get_close_matches(what, names, n=3)
            meant = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise InputError(f"unknown algorithm, problem or experiment {what!r}.{meant} unibio list shows all names")
        print("\n\n".join(found))


def _summary(experiments: Mapping[str, Path]) -> Iterator[str]:
    counts = f"{len(ALGORITHMS)} algorithms, {len(PROBLEMS)} problems and {len(experiments)} experiments"
    yield f"There are {counts}. unibio list NAME says all of one,"
    yield "unibio list algorithms, problems or experiments of all of a kind."
    for kind, table in _KINDS.items():
        yield f"\n{kind} ({kind.removesuffix('s')}=NAME):\n"
        yield from _columns({name: _sentence_of(table, name) for name in table})
    yield "\nexperiments (experiment=NAME):\n"
    yield from _columns({name: sentence(comment(path)) for name, path in experiments.items()})


def _sentence_of(table: Table[Any], name: str) -> str:
    try:
        said = sentence(plainly(table.declared(name).__doc__ or ""))
    except InputError as error:  # of a plugin, which must not keep others from being listed
        return f"cannot be used: {error}"
    origin = table.plugged().get(name)
    return said if origin is None else f"{said} (of {origin.origin})"


def _columns(said: Mapping[str, str]) -> Iterator[str]:
    width = max(map(len, said), default=0)
    for name, text in said.items():
        yield textwrap.fill(text, WIDTH, initial_indent=f"  {name:<{width}}  ", subsequent_indent=" " * (width + 4))


def _described(table: Table[Any], name: str) -> Iterator[str]:
    """An algorithm's or a problem's first paragraph, and its parameters."""
    try:
        cls = table.declared(name)
    except InputError as error:
        yield f"{name}: cannot be used: {error}"
        return
    yield from _paragraph(name, plainly(cls.__doc__ or "").split("\n\n")[0])
    for spec in declared(cls):
        meta = spec.metadata
        symbol = f"{meta['symbol']}: " if meta["symbol"] else ""
        axis = "; can be a grid axis" if spec.name in cls.per_run() else ""
        default = "null" if spec.default is None else spec.default
        yield f"  {spec.name} = {default}  {symbol}{plainly(meta['help'])} ({accepted(meta)}{axis})"


def _experiment(name: str, path: Path) -> Iterator[str]:
    yield from _paragraph(name, comment(path))
    yield " ".join(["  python -m unibio", *searching.given(), f"experiment={name}"])
    yield f"  {path}"


def _paragraph(name: str, text: str) -> Iterator[str]:
    yield textwrap.fill(f"{name}: {' '.join(text.split())}", WIDTH, subsequent_indent="  ")


def comment(path: Path) -> str:
    """What an experiment's file says of itself: its comments below the first line, up to the first key."""
    said = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        if not line.startswith("#"):
            break
        said.append(line.lstrip("# "))
    return " ".join(said)


def plainly(text: str) -> str:
    """A docstring's text without its markup: ``code``, :role:`names` and links read as their words."""
    text = inspect.cleandoc(text)
    text = re.sub(r":\w+:`(?:[^`<]*<)?~?([^`>]*)>?`", lambda found: found[1].split(".")[-1], text)
    return re.sub(r"``([^`]*)``|`([^`]*)`_?", lambda found: found[1] or found[2] or "", text)


def sentence(text: str) -> str:
    """The first sentence of a text, on one line."""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[\w)’'”][.!?]) +(?=[A-ZΑ-Ω])", first)[0]


_USAGE = """\
usage: python -m unibio [-m] [--retry-failed] [--config-dir DIR] [GROUP=OPTION ...] [KEY=VALUE ...]

One configuration, or with -m a sweep over several values of a key, from configuration to record; --name NAME gives a
sweep a name. unibio list prints every parameter with its meaning; unibio --help the other commands; --cfg job the
configuration that arguments make; --hydra-help what Hydra says of its own flags.

Groups, each with its options:
{groups}

Keys of the configuration, with their values where nothing else is said; problem.KEY, algorithm.KEY and so on go deeper:
{keys}"""


def usage() -> str:
    """What ``python -m unibio --help`` prints."""
    names = sorted(group for group in groups() if "/" not in group)
    width = max(map(len, names))
    text = (conf_dir() / "config.yaml").read_text(encoding="utf-8")
    keys = text.partition("\n\n")[2].partition("\nhydra:")[0].strip("\n").splitlines()
    lines = [f"{name:<{width}}  {', '.join(options(name))}" for name in names]
    lines = [textwrap.fill(line, WIDTH, subsequent_indent=" " * (width + 2)) for line in lines]
    return _USAGE.format(groups=textwrap.indent("\n".join(lines), " "), keys=textwrap.indent("\n".join(keys), " "))
