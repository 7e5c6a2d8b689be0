"""What ``load_pairs`` promises: the right tensors, disjoint splits, a cache that never lies, no other source."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import pairs_files as files
from unibio import tensorfile
from unibio.cli.data import composed
from unibio.cli.main import main
from unibio.data import DataSettings, PairData, Split, load_pairs
from unibio.data import load as loading
from unibio.data.account import recorded
from unibio.data.pairs import Pair, Source, content_hash, padded
from unibio.data.stock import Stock
from unibio.errors import InputError
from unibio.pipeline.conf import conf_dir

SNLI = Path(__file__).parents[3] / "shared" / "data" / "snli"
TINY = {"train": 30, "valid": 12, "test": 12}


def text(data: PairData, split: Split) -> list[tuple[str, str, int]]:
    """The pairs of a split, from ids back to words; checks the padding on the way."""
    sides = []
    for ids, lengths in ((split.premise, split.premise_length), (split.hypothesis, split.hypothesis_length)):
        assert torch.equal(ids > 0, torch.arange(ids.shape[1]) < lengths[:, None])
        sides.append([" ".join(data.words[word] for word in row if word) for row in ids.tolist()])
    return list(zip(*sides, split.label.tolist(), strict=True))


def same(a: PairData, b: PairData) -> bool:
    one, other = (
        [*data.train.tensors().values(), *data.valid.tensors().values(), *data.test.tensors().values(), data.vectors]
        for data in (a, b)
    )
    return all(torch.equal(x, y) for x, y in zip(one, other, strict=True)) and (
        a.words,
        a.source,
        a.content,
        a.coverage,
        a.description,
    ) == (b.words, b.source, b.content, b.coverage, b.description)


# From text to tensors -------------------------------------------------------------------------------------------------
def test_tensors_say_what_the_files_say(tmp_path) -> None:
    data = load_pairs(files.settings(files.small(tmp_path / "in"), tmp_path / "cache"))
    assert text(data, data.valid)[4] == ("a man isn ' t at the dev 4 .", "he is 4", 1)
    assert [len(split) for split in data.splits.values()] == [12, 6, 6]
    for split in data.splits.values():
        assert split.premise.dtype == split.premise_length.dtype == split.hypothesis.dtype == torch.int32
        assert split.label.dtype == torch.int64
        assert split.premise.shape == (len(split), 10)
        assert split.hypothesis.shape == (len(split), 3)
    assert data.vectors.shape == (len(data.words), 4)
    assert data.vectors.dtype == torch.float32
    assert not data.vectors[0].any()
    assert data.words[0] == ""
    assert data.coverage == 1
    assert "SNLI" not in data.source


def test_padding() -> None:
    ids, lengths = padded(np.array([5, 6, 7, 8, 9, 1]), np.array([2, 1, 0, 3]))
    assert ids.tolist() == [[5, 6, 0], [7, 0, 0], [0, 0, 0], [8, 9, 1]]
    assert lengths.tolist() == [2, 1, 0, 3]


def test_splits_are_disjoint_and_what_was_left_out_is_said(tmp_path) -> None:
    train, dev, test = (files.rows(split, 9) for split in ("train", "dev", "test"))
    _, premise, hypothesis = test[0]
    again = [("neutral", premise.upper(), hypothesis), dev[1]]  # capitals are not a difference; nor is the label
    folder = files.write(
        tmp_path / "in",
        train=[*again, ("-", "x", "y"), ("neutral", "", "y"), ("neutral", "x", "  "), *train, train[0]],
        dev=[test[3], *dev],
        test=test,
    )
    data = load_pairs(files.settings(folder, tmp_path / "cache"))
    pairs = {split: [pair[:2] for pair in text(data, part)] for split, part in data.splits.items()}
    assert {split: len(part) for split, part in pairs.items()} == {"train": 10, "valid": 9, "test": 9}
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert not set(pairs[one]) & set(pairs[other])
    described = "\n".join(data.description)
    assert "left out: 1 also in test, 1 also in valid, 1 no agreed label, 2 no words" in described
    assert "valid: 9 pairs (3 entailment, 3 neutral, 3 contradiction); left out: 1 also in test" in described


def test_pairs_that_are_cut_to_the_same_are_the_same(tmp_path) -> None:
    folder = files.small(tmp_path / "in")
    whole = load_pairs(files.settings(folder, tmp_path / "cache"))
    cut = load_pairs(files.settings(folder, tmp_path / "cache", max_length=9))
    assert cut.train.premise.shape[1] == 9
    assert text(cut, cut.train)[3][0] == "a man isn ' t at the train 3"
    assert cut.content != whole.content
    with pytest.raises(InputError, match=r"data\.valid = null, .*only 0 pairs .*6 also in test"):
        load_pairs(files.settings(folder, tmp_path / "cache", max_length=2))


def test_sizes_take_the_first_pairs(tmp_path) -> None:
    folder = files.small(tmp_path / "in")
    whole = load_pairs(files.settings(folder, tmp_path / "cache"))
    some = load_pairs(files.settings(folder, tmp_path / "cache", train=5, valid=2))
    assert text(some, some.train) == text(whole, whole.train)[:5]
    assert [len(split) for split in some.splits.values()] == [5, 2, 6]
    with pytest.raises(InputError, match=r"data\.train = 13, but files of the directory in has only 12 pairs"):
        load_pairs(files.settings(folder, tmp_path / "cache", train=13))


def test_coverage_counts_tokens_and_words_without_a_vector_are_zero(tmp_path) -> None:
    folder = files.write(
        tmp_path / "in",
        train=[("neutral", "a dog", "a dog runs")],
        dev=[("neutral", "a dog", "b")],
        test=[("entailment", "a", "cat")],
    )
    vectors = tmp_path / "v.txt"
    vectors.write_text("a 1 2 3\ndog 4 5 6\nzebra 7 8 9\n")
    data = load_pairs(files.settings(folder, tmp_path / "cache", vectors=str(vectors), dimension=None))
    assert data.words == ("", "a", "dog", "b", "cat", "runs")
    assert data.vectors.tolist() == [[0] * 3, [1, 2, 3], [4, 5, 6], [0] * 3, [0] * 3, [0] * 3]
    assert data.coverage == pytest.approx(7 / 10)
    assert "vectors: v.txt, 3-d" in data.description


# The cache ------------------------------------------------------------------------------------------------------------
def forbid(monkeypatch) -> None:
    monkeypatch.setattr("unibio.data.prepare.prepare", lambda *_: pytest.fail("prepared again"))


def test_the_cache_gives_the_same_without_the_source(tmp_path, monkeypatch) -> None:
    chosen = files.settings(files.small(tmp_path / "in"), tmp_path / "cache")
    first = load_pairs(chosen)
    forbid(monkeypatch)
    assert same(load_pairs(chosen), first)
    monkeypatch.chdir(tmp_path)  # the directory by another name, and what changes no number
    assert same(load_pairs(dataclasses.replace(chosen, dir="in", cache="cache", content=first.content)), first)
    for path in (tmp_path / "in").iterdir():
        path.unlink()
    assert same(load_pairs(chosen), first)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix not in (".pt", ".lock")]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_cache_is_prepared_again_and_said(tmp_path, damage: str) -> None:
    chosen = DataSettings(cache=str(tmp_path), **TINY)
    first = load_pairs(chosen)
    path = loading.cache_path(chosen)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {"cut": whole[:-100], "empty": b"", "flip": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]}[
            damage
        ]
    )
    with pytest.warns(UserWarning, match=r"generated-.*\.pt is damaged .*prepared again"):
        assert same(load_pairs(chosen), first)
    assert same(load_pairs(chosen), first)


@pytest.mark.parametrize(
    "change",
    [
        lambda held: {"what": "something else"},
        lambda held: held | {"splits": {}},
        lambda held: held | {"splits": None},
        lambda held: held | {"words": held["words"][:-1]},
        lambda held: held | {"extra": 1},
        lambda held: held | {"splits": held["splits"] | {"train": held["splits"]["test"] | {"label": torch.zeros(0)}}},
    ],
)
def test_a_cache_that_is_whole_and_holds_something_else_is_prepared_again(tmp_path, change: Callable) -> None:
    chosen = DataSettings(cache=str(tmp_path), **TINY)
    first = load_pairs(chosen)
    path = loading.cache_path(chosen)
    held = tensorfile.load(path)
    assert held is not None
    tensorfile.save(path, change(held))
    with pytest.warns(UserWarning, match=r"generated-.*\.pt holds no prepared pairs .*prepared again"):
        assert same(load_pairs(chosen), first)


def test_a_damaged_cache_without_its_source_is_refused(tmp_path) -> None:
    chosen = files.settings(files.small(tmp_path / "in"), tmp_path / "cache")
    load_pairs(chosen)
    path = loading.cache_path(chosen)
    path.write_bytes(path.read_bytes()[:-1])
    shutil.rmtree(tmp_path / "in")
    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(InputError, match="in is not a directory"):
        load_pairs(chosen)


def test_changed_files_are_other_files(tmp_path, monkeypatch) -> None:
    """Damage is refused, a meant change is prepared for itself, and what was prepared from the old ones stays."""
    folder = files.small(tmp_path / "in")
    chosen = files.settings(folder, tmp_path / "cache")
    first = load_pairs(chosen)
    path = folder / "dev.jsonl.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match=r"dev\.jsonl\.gz is damaged"):
        load_pairs(chosen)
    files.write(folder, dev=files.rows("dev", 5))
    changed = load_pairs(chosen)
    assert len(changed.valid) == 5
    assert changed.content != first.content
    assert changed.files["dev.jsonl.gz"] == hashlib.sha256(path.read_bytes()).hexdigest() != first.files["dev.jsonl.gz"]
    with pytest.raises(InputError, match=r"data\.content demands"):
        load_pairs(dataclasses.replace(chosen, content=first.content))
    path.write_bytes(whole)
    os.utime(path, ns=(1, 1))
    forbid(monkeypatch)
    assert same(load_pairs(chosen), first)


# One stock for every size ---------------------------------------------------------------------------------------------
def overlapping(folder: Path) -> Path:
    """Pairs of every split in every other one, some early and some late, some twice, some without label or words."""
    train, dev, test = (files.rows(split, 40) for split in ("train", "dev", "test"))
    bad = [("-", "x", "y"), ("neutral", "", "y")]
    return files.write(
        folder,
        train=[test[35], dev[2], *train[:7], *bad, train[3], dev[38], *train[7:], test[0]],
        dev=[*bad[:1], test[30], *dev[:20], test[1], *bad, *dev[20:]],
        test=[bad[1], *test, test[4]],
    )


@pytest.mark.one_in(3)
@pytest.mark.parametrize("vectors", ["random", "file"])
@pytest.mark.parametrize("sizes", [(3, 2, 1), (40, 5, 40), (9, 40, 31), (12, 21, 5), (None, 3, None)])
@pytest.mark.parametrize("length", [None, 9])
def test_a_cut_is_what_a_source_of_just_these_pairs_gives(
    tmp_path, monkeypatch, vectors: str, sizes: tuple[int | None, ...], length: int | None
) -> None:
    """To the bit, with the same pairs left out for the same reasons, whatever the stock was prepared for."""
    folder = overlapping(tmp_path / "in")
    more: dict[str, object] = {}
    if vectors == "file":
        (tmp_path / "v.txt").write_text("man 1 2 3\nthe 4 5 6\nhe 7 8 9\n")
        more = {"vectors": str(tmp_path / "v.txt"), "dimension": None}
    asked = dict(zip(("train", "valid", "test"), sizes, strict=True)) | {"max_length": length}
    monkeypatch.setattr("unibio.data.prepare.wanted", lambda settings, split, _: getattr(settings, split))
    alone = load_pairs(files.settings(folder, tmp_path / "alone", **more, **asked))
    monkeypatch.undo()
    load_pairs(files.settings(folder, tmp_path / "cache", **more))
    forbid(monkeypatch)
    assert same(load_pairs(files.settings(folder, tmp_path / "cache", **more, **asked)), alone)


def test_more_training_pairs_than_were_prepared_are_prepared(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loading, "TRAIN", 6)
    folder = overlapping(tmp_path / "in")
    chosen = files.settings(folder, tmp_path / "cache", train=4)
    first = load_pairs(chosen)
    assert "train" not in stock(chosen).whole
    before = loading.cache_path(chosen).read_bytes()
    load_pairs(dataclasses.replace(chosen, train=6, valid=3))
    assert loading.cache_path(chosen).read_bytes() == before
    more = load_pairs(dataclasses.replace(chosen, train=7))
    assert text(more, more.train)[:4] == text(first, first.train)
    grown = len(stock(chosen).splits["train"])
    # Cut to two tokens, all pairs of a split are the same: none of training is left, and none of what is there is lost.
    with pytest.raises(InputError, match=r"data\.valid = null, .*only 0 pairs"):
        load_pairs(dataclasses.replace(chosen, max_length=2))
    assert len(stock(chosen).splits["train"]) >= grown
    forbid(monkeypatch)
    assert same(load_pairs(chosen), first)


def stock(settings: DataSettings) -> Stock:
    held = loading._read(loading.cache_path(settings))
    assert held is not None
    return held


def test_a_copied_cache_serves_every_scale_from_anywhere(tmp_path, monkeypatch) -> None:
    """Prepared by the command on one machine; read on another with other sizes, without source or torchtext."""
    folder = files.small(tmp_path / "here" / "snli")
    (tmp_path / "here" / "v.txt").write_text("man 1 2 3\n")
    monkeypatch.chdir(tmp_path / "here")
    arguments = ["data.dir=snli", "data.vectors=v.txt"]
    main(["data", "directory", "data.train=12", "data.valid=6", "data.test=6", *arguments])
    wanted = {"train": 5, "valid": 2, "test": 4, "dimension": None}
    expected = load_pairs(files.settings(folder, tmp_path / "other", vectors="v.txt", **wanted))
    shutil.copytree(tmp_path / "here" / "data", tmp_path / "there" / "data")
    shutil.rmtree(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "there")
    forbid(monkeypatch)
    monkeypatch.setitem(sys.modules, "torchtext", None)
    away = files.settings(Path("/elsewhere/snli"), Path("data"), vectors="/elsewhere/v.txt", **wanted)
    assert same(load_pairs(away), expected)
    with pytest.raises(InputError, match=r"data\.dir = /elsewhere/mnli is not a directory"):
        load_pairs(dataclasses.replace(away, dir="/elsewhere/mnli"))
    with pytest.raises(InputError, match=r"directory; nor does data\.cache = data hold directory-snli-…-w\.txt-…"):
        load_pairs(dataclasses.replace(away, vectors="/elsewhere/w.txt"))
    with pytest.raises(InputError, match=r"data\.vectors = /elsewhere/w\.txt is neither .* nor does data\.cache"):
        load_pairs(dataclasses.replace(away, dir=str(files.small(tmp_path / "snli")), vectors="/elsewhere/w.txt"))
    kept = next((tmp_path / "there" / "data").glob("directory-snli-*.pt"))
    first, hashed, rest = kept.name.partition("-snli-")[0], "0" * 12, kept.name[len("directory-snli-") + 12 :]
    shutil.copy(kept, kept.with_name(f"{first}-snli-{hashed}{rest}"))
    with pytest.raises(InputError, match=r"/elsewhere/snli is not there, and data\.cache = data has .*several files"):
        load_pairs(away)


def test_some_of_the_files_are_no_files(tmp_path) -> None:
    """Where some are there, they are meant: prepared data of the same name do not stand in for the rest."""
    chosen = files.settings(files.small(tmp_path / "in"), tmp_path / "cache")
    load_pairs(chosen)
    (tmp_path / "in" / "dev.jsonl.gz").unlink()
    with pytest.raises(InputError, match="no file for valid"):
        load_pairs(chosen)


def test_snli_prepared_once_is_enough_offline(tmp_path, monkeypatch) -> None:
    """What the message of an unreachable hub advises, with the settings of two scales and the hub gone."""
    from unibio.data import hub

    rows = {"train": files.rows("train", 30), "valid": files.rows("dev", 12), "test": files.rows("test", 12)}
    pairs = {
        split: [Pair(one, two, files.LABELS.index(label)) for label, one, two in given] for split, given in rows.items()
    }
    monkeypatch.setattr(hub, "snli", lambda *_: Source("SNLI 1.0 (a stand-in)", dict(pairs), {"datasets": "0"}))
    main(["data", "snli", "data.vectors=random", f"data.cache={tmp_path}/there", "data.train=30"])
    monkeypatch.undo()
    shutil.copytree(tmp_path / "there", tmp_path / "here")
    shutil.rmtree(tmp_path / "there")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    chosen = DataSettings(source="snli", vectors="random", cache=str(tmp_path / "here"), train=20, valid=9, test=9)
    assert [len(split) for split in load_pairs(chosen).splits.values()] == [20, 9, 9]
    assert len(load_pairs(dataclasses.replace(chosen, train=2, valid=2, test=4)).test) == 4
    mine = tmp_path / "mine.txt"
    mine.write_text("dog 1.0 2.0\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"unibio data snli data\.vectors={re.escape(str(mine))}\) and copy"):
        load_pairs(dataclasses.replace(chosen, vectors=str(mine)))


# What it is -----------------------------------------------------------------------------------------------------------
def test_snli_is_recognised_by_what_the_files_hold(tmp_path, monkeypatch) -> None:
    from unibio.data import recognise

    folder = files.small(tmp_path / "in")
    chosen = files.settings(folder, tmp_path / "cache", train=3, valid=2)
    assert load_pairs(chosen).recognised == ()
    known = {
        split: (6, recognise._digest(stock(chosen).splits[split], stock(chosen).words)) for split in ("valid", "test")
    }
    monkeypatch.setattr(recognise, "SNLI", known)
    dev, test = files.rows("dev", 6), files.rows("test", 6)
    other = files.write(tmp_path / "other", train=files.rows("train", 3), dev=[("-", "x", "y"), *dev[::-1]])
    (other / "test.txt").write_bytes(files.table([*test[:5], (test[0][0], *test[5][1:])]))  # one label is another
    data = load_pairs(dataclasses.replace(chosen, dir=str(other)))
    assert data.recognised == ("valid",)
    assert any(line.startswith("SNLI: recognised; valid come from") for line in data.description)


def test_a_relative_path_of_vectors_is_not_another_file_of_that_name(tmp_path, monkeypatch) -> None:
    folder = files.small(tmp_path / "in")
    rows = []
    for place in ("one", "other"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "v.txt").write_text(f"man {len(place)} 2 3\n")
        monkeypatch.chdir(tmp_path / place)
        data = load_pairs(files.settings(folder, tmp_path / "cache", vectors="v.txt", dimension=None))
        rows.append(data.vectors[data.words.index("man")].tolist())
    assert rows == [[3, 2, 3], [5, 2, 3]]


def test_padding_is_no_word(tmp_path) -> None:
    marked = [("neutral", f"a <pad> <unk> {k}", "b") for k in range(3)]
    folder = files.write(tmp_path / "in", train=marked[:1], dev=marked[1:2], test=marked[2:])
    data = load_pairs(files.settings(folder, tmp_path / "cache"))
    assert text(data, data.train) == [("a <pad> <unk> 0", "b", 1)]


def test_a_change_of_the_vector_file_is_seen(tmp_path) -> None:
    vectors = tmp_path / "v.txt"
    vectors.write_text("man 1 2 3\n")
    chosen = files.settings(files.small(tmp_path / "in"), tmp_path / "cache", vectors=str(vectors), dimension=None)
    contents = [load_pairs(chosen).content]
    vectors.write_text("man 1 2 4\n")
    contents.append(load_pairs(chosen).content)
    assert contents[0] != contents[1]


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch) -> None:
    """Reading from it needs no lock and no permission; preparing does, and is refused before any work."""
    chosen = files.settings(files.small(tmp_path / "in"), tmp_path / "cache")
    first = load_pairs(chosen)

    def refuse(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    monkeypatch.setattr("unibio.tensorfile.save", refuse)
    forbid(monkeypatch)
    assert same(load_pairs(chosen), first)
    with pytest.raises(InputError, match=r"data\.cache = .* cannot be written \(read-only\)"):
        load_pairs(dataclasses.replace(chosen, vectors="random", dir=str(files.small(tmp_path / "other"))))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"data\.cache = .*file cannot be written"):
        load_pairs(dataclasses.replace(chosen, cache=str(tmp_path / "file")))


def test_one_of_many_prepares(tmp_path, monkeypatch) -> None:
    from unibio.data import prepare

    calls = []
    real = prepare.prepare
    monkeypatch.setattr(prepare, "prepare", lambda *given: calls.append(1) or real(*given))
    chosen = DataSettings(cache=str(tmp_path), **TINY)
    got: list[str] = []
    asking = [threading.Thread(target=lambda: got.append(load_pairs(chosen).content)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(calls) == 1
    assert len(got) == 4
    assert len(set(got)) == 1


# The content ----------------------------------------------------------------------------------------------------------
def test_the_content_hash_covers_everything_that_decides_numbers() -> None:
    ids, lengths = padded(np.array([1, 2, 3]), np.array([2, 1]))
    split = Split(ids, lengths, ids, lengths, torch.tensor([0, 2]))
    vectors = torch.ones(4, 3)
    base = content_hash({"train": split}, vectors)
    assert content_hash({"train": split}, vectors.clone()) == base
    changed = [content_hash({"train": split}, vectors * 2), content_hash({"valid": split}, vectors)]
    for name, tensor in split.tensors().items():
        other = tensor.clone()
        other.view(-1)[0] += 1
        changed.append(content_hash({"train": dataclasses.replace(split, **{name: other})}, vectors))
    assert len({base, *changed}) == 8


def test_prepared_numbers_change_only_with_the_format(tmp_path) -> None:
    """If this fails, the same settings give other numbers than before: raise FORMAT, or old caches go on being used."""
    generated = load_pairs(DataSettings(cache=str(tmp_path), **TINY))
    read = load_pairs(files.settings(files.small(tmp_path / "in"), tmp_path))
    assert (loading.FORMAT, generated.content[:16], read.content[:16]) == (4, "00e25dde1a8ec35a", "e0f26d8c0e14f4c1")


def test_another_content_than_the_demanded_one_is_refused(tmp_path) -> None:
    chosen = DataSettings(cache=str(tmp_path), content="0" * 64, **TINY)
    with pytest.raises(InputError, match=r"data\.content demands 0000.*generated task"):
        load_pairs(chosen)


def test_seed_decides_generated_pairs(tmp_path) -> None:
    contents = {load_pairs(DataSettings(cache=str(tmp_path), seed=seed, **TINY)).content for seed in (0, 1)}
    assert len(contents) == 2


def test_generated_data_are_balanced_and_never_called_snli(tmp_path) -> None:
    data = load_pairs(DataSettings(cache=str(tmp_path), **TINY))
    for split in data.splits.values():
        assert split.label.bincount().tolist() == [len(split) // 3] * 3
    assert data.coverage == 1
    assert "SNLI" not in data.source.replace("not SNLI", "")
    pairs = [text(data, split) for split in data.splits.values()]
    assert len({pair[:2] for part in pairs for pair in part}) == 54


def test_snli_is_never_replaced(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    load_pairs(DataSettings(cache=str(tmp_path), **TINY))
    with pytest.raises(InputError, match=r"data\.source = snli: the hub at http://127\.0\.0\.1:9 cannot be reached"):
        load_pairs(DataSettings(source="snli", vectors="random", cache=str(tmp_path)))


@pytest.mark.skipif(not SNLI.is_dir(), reason="no SNLI sample beside the project (../shared/data/snli)")
@pytest.mark.slow
def test_the_real_sample(tmp_path) -> None:
    chosen = files.settings(SNLI, tmp_path, train=10_000)
    data = load_pairs(chosen)
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 10_000, "valid": 9_842, "test": 9_824}
    pairs = {split: {pair[:2] for pair in text(data, part)} for split, part in data.splits.items()}
    assert not pairs["train"] & (pairs["valid"] | pairs["test"])
    assert not pairs["valid"] & pairs["test"]
    assert min(part.label.bincount().min() / len(part) for part in data.splits.values()) > 0.32
    assert same(load_pairs(chosen), data)
    said = recorded(data)
    assert said["recognised"] == ["valid", "test"]
    assert list(said["files"]) == ["train.jsonl.gz", "dev.jsonl.gz", "test.jsonl.gz"]
    assert said["sizes"] == {"train": 10_000, "valid": 9_842, "test": 9_824}
    assert json.loads(json.dumps(said)) == said


# Settings and command -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "sniil"}, r"data\.source = 'sniil' .*one of generated, snli, directory"),
        ({"train": 0}, r"data\.train = 0"),
        ({"train": "many"}, r"data\.train = 'many'"),
        ({"trian": 5}, "'trian'. Did you mean 'train'"),
        ({"source": "directory", "vectors": "random"}, r"data\.dir is missing"),
        ({"dir": "somewhere"}, r"data\.dir = 'somewhere' goes with data\.source = directory"),
        ({"source": "snli"}, r"data\.vectors = own are the vectors of the generated task"),
        ({"vectors": ""}, r"data\.vectors is empty"),
        ({"vectors": "glove50", "dimension": 50}, r"data\.dimension = 50 is for own or random vectors"),
        ({"valid": None}, r"data\.valid = null means all there are"),
        ({"seed": -1}, r"data\.seed = -1"),
        ({"max_length": 0}, r"data\.max_length = 0"),
    ],
)
def test_settings_that_cannot_work(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DataSettings.create(values)


@pytest.mark.parametrize("name", ["generated", "snli", "directory"])
def test_configurations_compose(name: str) -> None:
    assert (conf_dir() / "data" / f"{name}.yaml").is_file()
    given = composed([name, "data.train=7", *(["data.dir=x"] if name == "directory" else [])])
    assert (given.source, given.train) == (name, 7)
    if name == "generated":
        assert given == DataSettings(train=7)


def test_the_command(tmp_path, capsys) -> None:
    arguments = ["data", f"data.cache={tmp_path}", *(f"data.{key}={size}" for key, size in TINY.items())]
    main(arguments)
    said = capsys.readouterr()
    data = load_pairs(DataSettings(cache=str(tmp_path), **TINY))
    for part in (data.source, data.content, "coverage: 100.00 %", "train: 30 pairs", "tokens: basic_english of torcht"):
        assert part in said.out
    assert f"prepared pairs written to {tmp_path}" in said.err
    main(arguments)
    assert f"prepared pairs read from {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.trian=3"], "Did you mean 'train'"),
        (["sniil"], "unknown data 'sniil'. Did you mean 'snli'"),
        (["experiment=fig5"], "uses no sentence pairs"),
        (["directory"], "data.dir is missing"),
    ],
)
def test_the_command_refuses_in_one_line(arguments: list[str], message: str, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        main(["data", *arguments])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
