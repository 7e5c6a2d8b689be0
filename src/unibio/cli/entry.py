"""What every command and script shares: how its flags are read, and how it ends when it cannot do what it was asked."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from unibio import plugins
from unibio.cli import terminal
from unibio.cli.terminal import plain
from unibio.errors import InputError, unknown


@contextmanager
def command(name: str) -> Iterator[None]:
    """Around a command: what cannot work is one line on stderr and exit status 2, whatever the terminal can show.

    A reader of a pipe who has seen enough (head, less) ends it with 141, Ctrl-C with 130. Plugins that are files are
    found in the current directory.

    Args:
        name: of the command, before the line.
    """
    terminal.prepare()
    if os.environ.get(plugins.VARIABLE) and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # where python -m looks first, and workers do, too
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = None  # or the interpreter would try to flush it again
        raise SystemExit(141) from None
    except InputError as error:
        _end(name, str(error))
    except OSError as error:  # of a file; what a computation raises is in its record
        said = os.strerror(error.errno) if error.errno else str(error)
        _end(name, f"{error.filename}: {said}" if error.filename is not None else said)
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        raise SystemExit(130) from None


def _end(name: str, message: str) -> NoReturn:
    print(f"{name}: {plain(' '.join(message.split()))}", file=sys.stderr)
    raise SystemExit(2) from None


class Parser(argparse.ArgumentParser):
    """An argument parser that says in one line what is wrong with a flag, instead of printing how all are used."""

    def __init__(self, prog: str, description: str, **options: Any):
        super().__init__(prog=prog, description=description, allow_abbrev=False, exit_on_error=False, **options)

    def read(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """The options; flags and other words may be mixed.

        Args:
            arguments: None for the program's own.

        Raises:
            InputError: an unknown flag, one without its value or with an impossible one; words missing or too many.
        """
        try:
            options, rest = self.parse_known_intermixed_args(arguments)
        except argparse.ArgumentError as error:
            raise self._wrong(error) from None
        for word in rest:
            if word.startswith("-") and word != "-":
                flags = [flag for action in self._actions for flag in action.option_strings]
                raise unknown(f"flag of {self.prog},", word.partition("=")[0], flags)
            raise InputError(f"{word!r} is one word too many ({self.prog} --help says what there is)")
        return options

    def error(self, message: str) -> NoReturn:
        """Of what argparse reports here: words that are missing."""
        names = [str(action.metavar or action.dest) for action in self._get_positional_actions() if action.nargs != "*"]
        raise InputError(f"{self.prog} needs {' and '.join(names)} ({self.prog} --help says what there is)")

    def _wrong(self, error: argparse.ArgumentError) -> InputError:
        if error.argument_name is None:
            self.error(error.message)
        flag = error.argument_name.split("/")[-1]  # the long one
        if error.message.startswith("ignored explicit"):
            return InputError(f"{flag} takes no value")
        if error.message.startswith("expected"):
            return InputError(f"{flag} needs a value ({self.prog} --help says which)")
        return InputError(f"{flag} {error.message}")


def directory_of_records(path: Path) -> Path:
    """A path that was given for records.

    Raises:
        InputError: there is no such directory; a report of no records would look like one of records that say nothing.
    """
    if not path.is_dir():
        raise InputError(f"no records in {path}; name their directory with --records DIR")
    return path


def whole(least: int) -> Any:
    """The type of an argument: an integer of at least ``least``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"must be an integer of at least {least}, got {text!r}")
        return value

    return read


def number(text: str) -> float:
    """The type of an argument: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value
