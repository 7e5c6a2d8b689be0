"""Where pairs come from: files in every format, damage of every kind, the hub without a network."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
import time
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pairs_files as files
from unibio.data import DataSettings, hub
from unibio.data.directory import directory, files_of
from unibio.data.download import fetch, reachable
from unibio.data.pairs import Pair, Source
from unibio.data.progress import Progress
from unibio.errors import InputError
from wording import check_message

SNLI = Path(__file__).parents[3] / "shared" / "data" / "snli"
ASKED = DataSettings(source="snli", vectors="random", train=20_000, cache="here")
ROWS = files.rows("train", 6)
PAIRS = [Pair(premise, hypothesis, k % 3) for k, (_, premise, hypothesis) in enumerate(ROWS)]


def read(folder: Path) -> Source:
    return directory(str(folder), Progress())


# A directory ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stem", ["{}", "snli_1.0_{}"])
@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "txt", "txt.gz"])
@pytest.mark.parametrize("valid", ["dev", "valid", "validation"])
def test_every_format_gives_the_same_pairs(tmp_path, stem: str, kind: str, valid: str) -> None:
    for split in ("train", valid, "test"):
        content = files.jsonl(ROWS) if "jsonl" in kind else files.table(ROWS)
        path = tmp_path / f"{stem.format(split)}.{kind}"
        path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    source = read(tmp_path)
    assert list(source.splits) == ["train", "valid", "test"]
    assert all(list(pairs) == PAIRS for pairs in source.splits.values())
    assert "SNLI" not in source.name


def test_pairs_without_an_agreed_label_are_marked(tmp_path) -> None:
    files.write(tmp_path, train=[("-", "a", "b"), *ROWS], dev=ROWS, test=ROWS)
    assert [pair.label for pair in read(tmp_path).splits["train"]] == [-1, 0, 1, 2, 0, 1, 2]


def test_missing_and_ambiguous_files(tmp_path) -> None:
    with pytest.raises(InputError, match=r"data\.dir = .*nowhere is not a directory"):
        read(tmp_path / "nowhere")
    files.write(tmp_path, train=ROWS, test=ROWS)
    with pytest.raises(InputError, match=r"no file for valid: expected dev\.jsonl.*there is test\.jsonl\.gz, train"):
        read(tmp_path)
    files.write(tmp_path, dev=ROWS)
    (tmp_path / "train.jsonl").write_bytes(files.jsonl(ROWS))
    with pytest.raises(InputError, match=r"2 files for train: train\.jsonl, train\.jsonl\.gz"):
        read(tmp_path)


def test_the_release_has_jsonl_and_txt(tmp_path) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / f"snli_1.0_{split}.jsonl").write_bytes(files.jsonl(ROWS))
        (tmp_path / f"snli_1.0_{split}.txt").write_bytes(files.table(ROWS))
    assert [path.suffix for path in files_of(str(tmp_path)).values()] == [".jsonl"] * 3


DAMAGE = {
    "truncated inside a line": (files.jsonl(ROWS)[:-9], "line 6: cut off or no JSON"),
    "truncated inside a later line than is needed": (files.jsonl(files.rows("train", 400))[:-9], "line 400: cut off"),
    "not an object": (files.jsonl(ROWS) + b"[1, 2]\n", "line 7: not an object"),
    "no such field": (b'{"gold_label": "neutral", "sentence1": "a"}\n', "line 1: no field 'sentence2'"),
    "no text": (b'{"gold_label": "neutral", "sentence1": "a", "sentence2": 3}\n', "line 1: .*not text"),
    "unknown label": (files.jsonl([("maybe", "a", "b")]), "line 1: the label 'maybe', not one of entailment"),
    "not UTF-8": (files.jsonl(ROWS) + b"\xff\xfe\n", "line 7: byte 1 is not UTF-8"),
    "nested without end": (files.jsonl(ROWS) + b"[" * 500_000 + b"\n", "line 7: brackets within brackets without end"),
    "one endless line": (files.jsonl(ROWS) + b"{" + b" " * (1 << 20) + b"}\n", "line 7: it is longer than 1,048,576"),
    "filled with zeros": (files.jsonl(ROWS) + bytes(100), "line 7: it has bytes that are 0"),
    "UTF-16": (files.jsonl(ROWS).decode().encode("utf-16"), "line 1: the file is in UTF-16; convert it to UTF-8"),
    "UTF-16 without a mark": (files.jsonl(ROWS).decode().encode("utf-16-le"), "line 1: .* in UTF-16 or UTF-32"),
    "nothing": (b"", "line 1: the file ends, and holds no pair"),
    "blank lines": (b"\n\n", "line 3: the file ends, and holds no pair"),
    "a field twice": (
        b'{"gold_label": "neutral", "sentence1": "a", "sentence1": "b", "sentence2": "c"}\n',
        "there twice",
    ),
    "half of a character": (
        b'{"gold_label": "neutral", "sentence1": "\\ud83d", "sentence2": "c"}\n',
        "line 1: half of",
    ),
    "a number without end": (b'{"gold_label": ' + b"1" * 5000 + b"}\n", "line 1: "),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("needed", [1, None], ids=["one", "all"])
def test_damaged_jsonl_is_refused_wherever_it_is(tmp_path, damage: str, needed: int | None) -> None:
    files.write(tmp_path, dev=ROWS, test=ROWS)
    content, message = DAMAGE[damage]
    (tmp_path / "train.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        list(islice(read(tmp_path).splits["train"], needed))
    assert "train.jsonl" in str(refused.value)


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "txt", "txt.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, kind: str, end: str) -> None:
    for split in ("train", "dev", "test"):
        content = files.jsonl(ROWS) if "jsonl" in kind else files.table(ROWS)
        content = b"\xef\xbb\xbf" + content.replace(b"\n", end.encode())
        (tmp_path / f"{split}.{kind}").write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    assert all(list(pairs) == PAIRS for pairs in read(tmp_path).splits.values())


def test_a_table_with_nothing_but_its_columns(tmp_path) -> None:
    files.write(tmp_path, dev=ROWS, test=ROWS)
    (tmp_path / "train.txt").write_bytes(files.table([]))
    with pytest.raises(InputError, match=r"train\.txt.*line 2: the file ends, and holds no pair"):
        read(tmp_path)


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "txt"])
def test_whatever_is_in_a_file_it_is_read_or_refused_in_one_line(tmp_path, kind: str) -> None:
    files.write(tmp_path, dev=ROWS, test=ROWS)
    whole = files.table(ROWS) if kind == "txt" else files.jsonl(ROWS)
    whole = gzip.compress(whole) if kind.endswith("gz") else whole

    @given(st.data())
    @settings(max_examples=40, deadline=None)
    def check(data: st.DataObject) -> None:
        content = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        (tmp_path / f"train.{kind}").write_bytes(bytes(content))
        try:
            pairs = list(read(tmp_path).splits["train"])
        except InputError as error:
            check_message(str(error))
        else:
            assert pairs
            assert all(pair.label in (-1, 0, 1, 2) for pair in pairs)

    check()


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_truncated_tables_are_refused(tmp_path, cut: int) -> None:
    files.write(tmp_path, dev=ROWS, test=ROWS)
    content = files.table(ROWS)
    end = content.rindex(b"\t1.jpg")
    (tmp_path / "train.txt").write_bytes(content[: end - cut])
    with pytest.raises(InputError, match=r"line \d: \d+ columns where the first line has 14"):
        read(tmp_path)
    (tmp_path / "train.txt").write_bytes(content[: end + 9])  # the sentences are there, but not all behind them
    with pytest.raises(InputError, match="line 7: the last line is cut off after 10 of 14 columns"):
        read(tmp_path)
    (tmp_path / "train.txt").write_bytes(b"label\tpremise\n")
    with pytest.raises(InputError, match="line 1: it does not name the columns gold_label"):
        read(tmp_path)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_any_damage_of_a_gz_file_is_seen_before_reading(tmp_path, place: float) -> None:
    files.write(tmp_path, train=files.rows("train", 400), dev=ROWS, test=ROWS)
    path = tmp_path / "train.jsonl.gz"
    whole = path.read_bytes()
    at = int(place * len(whole))
    path.write_bytes(whole[:at])
    with pytest.raises(InputError, match=r"train\.jsonl\.gz is damaged"):
        read(tmp_path)
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
    with pytest.raises(InputError, match=r"train\.jsonl\.gz is damaged"):
        read(tmp_path)


def test_sums_in_the_directory_are_checked(tmp_path) -> None:
    files.write(tmp_path, dev=ROWS, test=ROWS)
    content = files.jsonl(ROWS)
    (tmp_path / "train.jsonl").write_bytes(content)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{hashlib.sha256(content).hexdigest()}  train.jsonl\n{'0' * 64} *another.txt\n")
    assert list(read(tmp_path).splits["train"]) == PAIRS
    (tmp_path / "train.jsonl").write_bytes(content.replace(b"man", b"men", 1))
    with pytest.raises(InputError, match="its sha256 is not that of SHA256SUMS"):
        read(tmp_path)
    digest = hashlib.sha256(content).hexdigest()
    for line in (f"{digest.upper()}  train.jsonl\n", f"{digest}  ./train.jsonl\n", f"\ufeff{digest} *train.jsonl\r\n"):
        sums.write_text(line, encoding="utf-8")
        with pytest.raises(InputError, match="its sha256 is not that of SHA256SUMS"):
            read(tmp_path)
    for wrong in (
        b"nonsense\n",
        digest[:-1].encode() + b"  train.jsonl\n",
        b"\xff\n",
        b"x" * (2 << 20),
        digest.encode(),
    ):
        sums.write_bytes(f"{digest}  another.txt\n\n".encode() + wrong)
        with pytest.raises(InputError, match="SHA256SUMS is not a list of sha256 sums and file names, line 3: "):
            read(tmp_path)


@pytest.mark.parametrize("name", ["~no-such-user/pairs", "p" * 300, "a\0b"])
def test_a_directory_that_nobody_can_have(name: str) -> None:
    with pytest.raises(InputError, match=r"data\.dir = .*(is not a directory|no such home directory)"):
        directory(name, Progress())


@pytest.mark.skipif(not SNLI.is_dir(), reason="no SNLI sample beside the project (../shared/data/snli)")
def test_the_real_sample() -> None:
    source = read(SNLI)
    counts = {split: [pair.label for pair in pairs] for split, pairs in source.splits.items()}
    assert {split: len(labels) for split, labels in counts.items()} == {"train": 18_000, "valid": 9_842, "test": 9_824}
    assert all({0, 1, 2} == set(labels) for labels in counts.values())


# The network ----------------------------------------------------------------------------------------------------------
class _Server(http.server.BaseHTTPRequestHandler):
    """/ok says 200 with a body, /short promises more than it sends, /slow keeps silent, anything else is refused."""

    stated = ""  #: one more header

    def do_HEAD(self) -> None:
        if self.path == "/slow":
            time.sleep(3)
        self.send_response(200 if self.path in ("/ok", "/short") else 401)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "9" if self.path == "/short" else "5")
        if self.stated:
            self.send_header(*self.stated.split(": ", 1))
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_reachable(server, monkeypatch) -> None:
    assert reachable(f"{server}/ok") is None
    assert reachable(f"{server}/forbidden") is None  # it answered
    assert "refused" in (reachable("http://127.0.0.1:9/") or "")
    assert reachable("nonsense") is not None
    monkeypatch.setattr("unibio.data.download.PATIENCE", 0.2)
    assert reachable(f"{server}/slow") is not None


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch) -> None:
    """Name resolution has no time limit; this is where clients hang on clusters."""
    monkeypatch.setattr("unibio.data.download.PATIENCE", 0.2)
    release = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [][: release.wait(30)])
    problem = reachable("https://example.org/")
    assert not release.is_set()  # it answered while the resolver still hung
    release.set()
    assert problem == "no answer within 0.2 s"


def test_fetch_is_all_or_nothing(server, tmp_path, capsys) -> None:
    path = tmp_path / "downloads" / "file"
    fetch(f"{server}/ok", path, "data.vectors = glove", "give a path", Progress(show=True))
    assert f"downloading {server}/ok (0 MB) into {path}" in capsys.readouterr().err
    assert path.read_bytes() == b"hello"
    fetch("http://127.0.0.1:9/", path, "", "", Progress())  # there already
    for url, message in ((f"{server}/short", "broke off"), ("http://127.0.0.1:9/x", "cannot be reached")):
        other = tmp_path / "downloads" / "other"
        with pytest.raises(InputError, match=rf"data\.vectors = glove.*{message}.*give a path"):
            fetch(url, other, "data.vectors = glove", "give a path", Progress())
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["file", "file.sha256"]


@pytest.mark.parametrize(
    ("header", "right"),
    [
        ("Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:", True),
        ("Repr-Digest: unixsum=:AAA=:, sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:", True),
        ("Digest: SHA-256=LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", True),
        ("Content-MD5: XUFAKrxLKna5cZ2REBfFkg==", True),
        ("Content-MD5: no digest!", True),
        ("Repr-Digest: sha-256=:AAJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:", False),
        ("Content-Digest: sha-512=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:", False),
        ("Digest: SHA-256=AAJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", False),
        ("Content-MD5: AAFAKrxLKna5cZ2REBfFkg==", False),
    ],
)
def test_what_the_publisher_states_must_be_right(server, tmp_path, monkeypatch, header: str, right: bool) -> None:
    monkeypatch.setattr(_Server, "stated", header)
    path = tmp_path / "file"
    if right:
        fetch(f"{server}/ok", path, "data.vectors = glove", "give a path", Progress())
        assert path.read_bytes() == b"hello"
        return
    with pytest.raises(InputError, match=r"what arrived has another (sha256|sha512|md5) than its publisher states"):
        fetch(f"{server}/ok", path, "data.vectors = glove", "give a path", Progress())
    assert list(tmp_path.iterdir()) == []


def test_a_later_download_must_be_the_first_one(server, tmp_path) -> None:
    path, note = tmp_path / "file", tmp_path / "file.sha256"
    fetch(f"{server}/ok", path, "data.vectors = glove", "give a path", Progress())
    assert note.read_text() == f"{hashlib.sha256(b'hello').hexdigest()}  file\n"
    path.unlink()
    fetch(f"{server}/ok", path, "data.vectors = glove", "give a path", Progress())
    path.write_bytes(b"jello")
    with pytest.raises(InputError, match=r"file is damaged, as its sha256 is not the one in file\.sha256"):
        fetch(f"{server}/ok", path, "data.vectors = glove", "give a path", Progress())
    path.unlink()
    note.write_text(f"{hashlib.sha256(b'jello').hexdigest()}  file\n")
    with pytest.raises(InputError, match=r"gives another file than at the first download.*remove .*file\.sha256 where"):
        fetch(f"{server}/ok", path, "data.vectors = glove", "give a path", Progress())
    assert list(tmp_path.iterdir()) == [note]
    note.write_text("nonsense")
    with pytest.raises(InputError, match=r"file\.sha256 is not a list of sha256 sums"):
        fetch(f"{server}/ok", path, "data.vectors = glove", "give a path", Progress())


def test_a_copy_by_hand_is_noted_when_it_is_met(tmp_path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    fetch("http://127.0.0.1:9/", path, "", "", Progress())
    path.write_bytes(b"jello")
    with pytest.raises(InputError, match="is damaged"):
        fetch("http://127.0.0.1:9/", path, "", "", Progress())


def test_an_unreachable_hub_is_one_message_without_the_client(monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: pytest.fail("the client would try for 20 seconds"))
    with pytest.raises(InputError) as refused:
        hub.snli(ASKED, Progress())
    message = str(refused.value)
    assert "\n" not in message
    for way in (
        "unibio data snli data.vectors=random data.train=20000",
        "to here here",
        "data=directory data.dir=",
        "data=generated",
        "data.cache",
        "HF_HUB_OFFLINE=1",
    ):
        assert way in message


def test_the_hub_itself(server, monkeypatch) -> None:
    import datasets

    monkeypatch.setenv("HF_ENDPOINT", server)
    columns = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": [2, -1]}
    parts = {split: datasets.Dataset.from_dict(columns) for split in ("train", "validation", "test")}
    asked = []
    monkeypatch.setattr("datasets.load_dataset", lambda name: asked.append(name) or datasets.DatasetDict(parts))
    source = hub.snli(ASKED, Progress())
    assert asked == ["stanfordnlp/snli"]
    assert source.name.startswith("SNLI")
    assert list(source.splits) == ["train", "valid", "test"]
    for pairs in source.splits.values():
        assert list(pairs) == [Pair("a", "c", 2), Pair("b", "d", -1)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"premise": ["a"], "label": [2]}, "has no hypothesis in its train pairs"),
        ({"premise": ["a", "b"], "hypothesis": ["c", None], "label": [2, 1]}, r"pair 2 of .* is \('b', None, 1\)"),
        ({"premise": ["a"], "hypothesis": ["c"], "label": ["neutral"]}, "no two texts and a label"),
    ],
)
def test_other_columns_on_the_hub_are_refused(monkeypatch, columns: dict, message: str) -> None:
    import datasets

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    parts = {split: datasets.Dataset.from_dict(columns) for split in ("train", "validation", "test")}
    monkeypatch.setattr("datasets.load_dataset", lambda name: datasets.DatasetDict(parts))
    with pytest.raises(InputError, match=message):
        list(hub.snli(ASKED, Progress()).splits["train"])


def test_what_the_client_raises_becomes_one_message(monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the hub's own cache; nobody is asked

    def fail(name: str) -> None:
        raise ConnectionError(f"Couldn't reach {name}\nand a long story")

    monkeypatch.setattr("datasets.load_dataset", fail)
    with pytest.raises(InputError, match="ConnectionError: Couldn't reach stanfordnlp/snli\\)") as refused:
        hub.snli(ASKED, Progress())
    assert "long story" not in str(refused.value)
