"""Tokens, vocabulary and vector files: the one module that uses torchtext.

torchtext 0.6.0 is its last release without compiled code; later ones cannot be imported beside a current torch.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import ssl
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from torch import Tensor

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
    gigabytes, are kept and given to torchtext.

    Returns:
        (vectors, found): float32 (words, d), zeros for words that the file lacks, and the words that it has.

    Raises:
        InputError: no file, a damaged one, not such a file, or none of the words in it.
    """
    from torchtext.vocab import Vectors

    with tempfile.TemporaryDirectory() as folder, _context_of_https():
        wanted = Path(folder) / "wanted.txt"
        try:
            with wanted.open("wb") as chosen:
                _choose(path, {word.encode() for word in words}, chosen, progress)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"data.vectors: {path} cannot be read to its end ({error}); get the file again") from None
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
    """Copy the first line of each wanted word. Every line must have as many numbers as the first."""
    width = None
    for number, line in enumerate(_lines(path, progress), start=1):
        fields = line.rstrip().count(b" ")
        if number == 1 and fields == 1:  # word2vec's header: how many words, how many numbers each
            continue
        width = width or fields
        # More fields are a word with spaces in it, of which GloVe 840B has some.
        if fields < width or width < 3:
            raise InputError(
                f"data.vectors: {path}, line {number} has {fields} numbers where {max(width, 3)} are due; the file is "
                "truncated, damaged or no file of word vectors"
            )
        word = line.partition(b" ")[0]
        if fields == width and word in wanted:
            wanted.remove(word)
            chosen.write(line if line.endswith(b"\n") else line + b"\n")


def _lines(path: Path, progress: Progress) -> Iterator[bytes]:
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        stream: Iterable[bytes] = raw
        if path.suffix == ".gz":
            stream = stack.enter_context(gzip.GzipFile(fileobj=raw))
        elif path.suffix == ".zip":
            archive = stack.enter_context(zipfile.ZipFile(raw))
            members = [name for name in archive.namelist() if name.endswith((".txt", ".vec"))]
            if len(members) != 1:
                raise InputError(f"data.vectors: {path} has {len(members)} text files; unpack it and name one")
            stream = stack.enter_context(archive.open(members[0]))
        bar = stack.enter_context(progress.bytes(f"reading {path.name}", path.stat().st_size))
        for line in stream:
            yield line
            if raw.tell() - bar.n > 1 << 22:
                bar.update(raw.tell() - bar.n)


@contextlib.contextmanager
def _context_of_https() -> Iterator[None]:
    """torchtext switches off, for the whole process, the verification of certificates; switch it on again."""
    before = ssl._create_default_https_context
    try:
        yield
    finally:
        ssl._create_default_https_context = before
