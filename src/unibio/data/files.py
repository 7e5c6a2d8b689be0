"""Text files from outside, line by line and in bounded memory, whatever their encoding, packing or damage."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from unibio.errors import InputError

#: Bytes of a line: more than any of SNLI (4 kB) or of a vector file (100 kB for 8,192 numbers) has. What goes on longer
#: is no such file, and would have to be held as a whole before that shows.
LONGEST = 1 << 20
_MARK = b"\xef\xbb\xbf"
#: What files in other encodings begin with.
_OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


class BadLine(ValueError):
    """A line that cannot be one of a text file in UTF-8; the message says why, without number and file."""


def user_path(text: str, key: str) -> Path:
    """A path that was given, with a home directory in the place of ~.

    Args:
        key: for the message.

    Raises:
        InputError: there is no such home directory.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{key} = {text}: there is no such home directory; write the path in full") from None


def is_file(path: Path) -> bool:
    """Whether there is a file; not where the name is none that a file can have."""
    with contextlib.suppress(OSError, ValueError):
        return path.is_file()
    return False


def is_directory(path: Path) -> bool:
    """Whether there is a directory, as :func:`is_file`."""
    with contextlib.suppress(OSError, ValueError):
        return path.is_dir()
    return False


@contextlib.contextmanager
def opened(path: Path, endings: tuple[str, ...] = ()) -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
    """A file's bytes, those inside it where it is a gz or a zip, and how many bytes of the file itself are read.

    Args:
        path: a name that ends in .gz or .zip says what it is.
        endings: of the one file that is meant in a zip.

    Raises:
        InputError: a zip with none or several such files. What damaged archives raise while they are read is of many
            kinds.
    """
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        stream: Any = raw
        if path.suffix == ".gz":
            stream = stack.enter_context(gzip.GzipFile(fileobj=raw))
        elif path.suffix == ".zip":
            archive = stack.enter_context(zipfile.ZipFile(raw))
            members = [member for member in archive.infolist() if member.filename.endswith(endings)]
            if len(members) != 1:
                raise InputError(
                    f"{path} has {len(members)} files that end in {' or '.join(endings)}; unpack it and name one"
                )
            if members[0].flag_bits & 1:
                raise InputError(f"{path} is encrypted; unpack it and name the file")
            stream = stack.enter_context(archive.open(members[0]))
        yield stream, raw.tell


def lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of a text in UTF-8, with their ends, which the last may lack, and without a byte-order mark.

    Raises:
        BadLine: it goes on for more than LONGEST bytes, or the text is in another encoding or none.
    """
    first = True
    while line := stream.readline(LONGEST + 1):
        if first:
            for mark, encoding in _OTHER_MARKS.items():
                if line.startswith(mark):
                    raise BadLine(f"the file is in {encoding}; convert it to UTF-8 (iconv -f {encoding} -t UTF-8)")
            line = line.removeprefix(_MARK)
            first = False
        if len(line) > LONGEST:
            raise BadLine(f"it is longer than {LONGEST:,} bytes, as no line of such a file is")
        if b"\0" in line:
            raise BadLine("it has bytes that are 0: the file is in UTF-16 or UTF-32, damaged, or no text")
        yield line


def text(line: bytes) -> str:
    """A line as text.

    Raises:
        BadLine: it is not in UTF-8.
    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadLine(f"byte {error.start + 1} is not UTF-8") from None


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); repair it or name another") from None


def sums(path: Path) -> dict[str, str]:
    """{file name: sha256} as the command sha256sum writes them; {} where there is no such file.

    Raises:
        InputError: it is something else.
    """
    if not is_file(path):
        return {}
    promised: dict[str, str] = {}
    number = 1  # of the line that is being fetched or read
    try:
        with opened(path) as (stream, _):
            for line in lines(stream):
                found = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", text(line).rstrip())
                if found:
                    promised[found[2].removeprefix("./")] = found[1].lower()
                elif line.strip():
                    raise BadLine("not a sha256, two spaces and a name")
                number += 1
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); repair or remove it") from None
    except BadLine as error:
        raise InputError(
            f"{path} is not a list of sha256 sums and file names, line {number}: {error}; repair or remove it"
        ) from None
    return promised
