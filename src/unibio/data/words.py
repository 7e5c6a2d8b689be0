"""Tokens, vocabulary and vector files: the one module that uses torchtext.

torchtext 0.6.0 is its last release without compiled code; later ones cannot be imported beside a current torch.
"""

from __future__ import annotations

import contextlib
import io
import ssl
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from torch import Tensor

from unibio.data.files import BadLine, lines, opened
from unibio.data.progress import Progress
from unibio.errors import InputError

#: The word of row 0 of every vocabulary; no token is empty.
PADDING = ""


def tokenizer() -> Callable[[str], list[str]]:
    """torchtext's ``basic_english``: lower case, punctuation parted; "isn't" becomes isn ' t."""
    from torchtext.data.utils import get_tokenizer

    return get_tokenizer("basic_english")


def vocabulary(counts: Counter[str]) -> list[str]:
    """PADDING, then the words by falling frequency, equal ones alphabetically."""
    from torchtext.vocab import Vocab

    return list(Vocab(counts, specials=[PADDING]).itos)


def aligned(words: list[str], rows: dict[str, int], vectors: Tensor) -> Tensor:
    """Vectors of ``words`` in their order, zeros for those without a row: float32 (words, d)."""
    from torchtext.vocab import Vocab

    vocab = Vocab(Counter(), specials=words)
    vocab.set_vectors(rows, vectors, vectors.shape[1])
    return vocab.vectors.float()


def read_vectors(path: Path, words: list[str], progress: Progress) -> tuple[Tensor, set[str]]:
    """Vectors of ``words`` from a text file of lines "word number … number" (GloVe, word2vec), or a gz or zip of one.

    The file is read once and to its end, so that the checksums of gz and zip are verified; only the wanted lines, of
    gigabytes, are kept and given to torchtext. A plain file has no checksum: its last line must end, or it may be cut.

    Returns:
        (vectors, found): float32 (words, d), zeros for words that the file lacks, and the words that it has.

    Raises:
        InputError: no file, a damaged one, not such a file, or none of the words in it.
    """
    from torchtext.vocab import Vectors

    with tempfile.TemporaryDirectory() as folder, _context_of_https():
        wanted = Path(folder) / "wanted.txt"
        with wanted.open("wb") as chosen:
            _choose(path, {word.encode() for word in words}, chosen, progress)
        if not wanted.stat().st_size:
            raise InputError(f"data.vectors: {path} has none of the {len(words)} words; is it a file of word vectors?")
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # torchtext's own bar, which knows no end
                vectors = Vectors(str(wanted), cache=folder)
        except (ValueError, RuntimeError) as error:
            raise InputError(f"data.vectors: {path} is damaged or no file of word vectors ({error})") from None
    if not vectors.vectors.isfinite().all():
        raise InputError(f"data.vectors: {path} holds numbers that are not finite")
    return aligned(words, vectors.stoi, vectors.vectors), set(vectors.stoi)


def _choose(path: Path, wanted: set[bytes], chosen: IO[bytes], progress: Progress) -> None:
    """Copy the first line of each wanted word, and check the file to its end.

    Raises:
        InputError: a line is none of a vector file, or the file cannot be read or is cut off.
    """
    number = 1  # of the line that is being fetched or read
    try:
        with opened(path, (".txt", ".vec")) as (stream, read), _reading(path, progress, read) as tell:
            shape = _Shape()
            for line in lines(stream):
                tell()
                if shape.takes(line, number):
                    word = line.partition(b" ")[0]
                    if word in wanted:
                        wanted.remove(word)
                        chosen.write(line if line.endswith(b"\n") else line + b"\n")
                number += 1
            number = max(1, number - 1)
            shape.check_end(number if shape.width else 0, packed=path.suffix in (".gz", ".zip"))
    except BadLine as error:
        raise InputError(f"data.vectors: {path}, line {number}: {error}") from None
    except InputError as error:
        raise InputError(f"data.vectors: {error}") from None
    except Exception as error:  # what archives raise is of many kinds
        said = error.strerror if isinstance(error, OSError) and error.strerror else error or type(error).__name__
        raise InputError(
            f"data.vectors: {path} cannot be read to its end (line {number}: {said}); get the file again"
        ) from None


class _Shape:
    """What the lines of a vector file have in common: how many numbers; and how many lines a header promises."""

    def __init__(self) -> None:
        self.promised: int | None = None
        self.width: int | None = None
        self.ended = True

    def takes(self, line: bytes, number: int) -> bool:
        """Whether a line has a word and its vector; a header and a word with spaces in it, of which GloVe 840B has
        some, have none.

        Raises:
            BadLine: it has too few numbers.
        """
        self.ended = line.endswith(b"\n")
        fields = line.rstrip().count(b" ")
        if number == 1 and fields == 1:  # word2vec's: how many words, how many numbers each
            self.promised, self.width = self._header(line)
            return False
        self.width = self.width or fields
        if fields < self.width or self.width < 3:
            raise BadLine(
                f"{fields} numbers where {max(self.width, 3)} are due; the file is cut off, damaged or no file of word "
                "vectors"
            )
        return fields == self.width

    def _header(self, line: bytes) -> tuple[int, int]:
        try:
            words, numbers = map(int, line.split())
        except ValueError:
            words = numbers = 0
        if words < 1 or numbers < 3:
            raise BadLine("it is neither a word with its numbers nor a header; is it a file of word vectors?")
        return words, numbers

    def check_end(self, count: int, packed: bool) -> None:
        """Check that the file is whole, as far as it tells.

        Args:
            count: of its lines.
            packed: it has a checksum, which was right.

        Raises:
            BadLine: it may be cut off.
        """
        if not count:
            raise BadLine("the file is empty")
        if not self.ended and not packed:
            raise BadLine(
                "the last has no end, so the file may be cut off within a number; get it again, or, if it is whole, "
                "add a line feed to it"
            )
        if self.promised is not None and count - 1 != self.promised:
            raise BadLine(f"the file ends here, after {count - 1} words, but its first line promises {self.promised}")


@contextlib.contextmanager
def _reading(path: Path, progress: Progress, read: Callable[[], int]) -> Iterator[Callable[[], None]]:
    """A function that moves a bar to where the file is read, now and then."""
    with progress.bytes(f"reading {path.name}", path.stat().st_size) as bar:

        def tell() -> None:
            if read() - bar.n > 1 << 22:
                bar.update(read() - bar.n)

        yield tell


@contextlib.contextmanager
def _context_of_https() -> Iterator[None]:
    """torchtext switches off, for the whole process, the verification of certificates; switch it on again."""
    before = ssl._create_default_https_context
    try:
        yield
    finally:
        ssl._create_default_https_context = before
