"""Packed sentences and the different words of a batch: every token once, products and sums those of dense vectors."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_sequence

from unibio.data import Split
from unibio.problems.nli.network import Sentences
from unibio.problems.nli.packing import Different, Packing, Words
from unibio.problems.nli.pair_rnn import Architecture, At, Pairs, predict

CPU = torch.device("cpu")


def padded(sentences: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Word ids (n, longest) and lengths, as in a split."""
    ids = [torch.tensor(sentence, dtype=torch.int32) for sentence in sentences]
    return pad_sequence(ids, batch_first=True), torch.tensor([len(one) for one in sentences], dtype=torch.int32)


def packing_of(lengths: list[int], dtype: type = np.int64) -> Packing:
    array = np.array(lengths, dtype)
    return Packing.of(array, array.cumsum(dtype=np.int64) - array, CPU)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.sampled_from([np.uint8, np.uint16, np.int32, np.int64]))
def test_every_token_is_packed_once_and_behind_its_predecessor(lengths: list[int], dtype: type) -> None:
    packing = packing_of(lengths, dtype)
    total, first = sum(lengths), len(lengths)
    assert sorted(packing.tokens.tolist()) == list(range(total))
    assert packing.counts == [sum(length > t for length in lengths) for t in range(max(lengths))]
    assert packing.starts == [sum(packing.counts[:t]) for t in range(len(packing.counts))]
    order = packing.order.tolist()
    assert sorted(order) == list(range(first))
    assert [lengths[s] for s in order] == sorted(lengths, reverse=True)
    begin = np.cumsum([0, *lengths[:-1]])
    assert packing.tokens[:first].tolist() == begin[order].tolist()
    assert packing.tokens[packing.previous.numpy()].tolist() == (packing.tokens[first:] - 1).tolist()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=9), st.integers(0, 99))
def test_pooling_and_predecessors_are_those_of_single_sentences(lengths: list[int], seed: int) -> None:
    packing = packing_of(lengths)
    tokens = torch.randn(sum(lengths), 3, generator=torch.Generator().manual_seed(seed))
    states = tokens[torch.from_numpy(packing.tokens)]
    expected = torch.stack([one.max(0).values for one in tokens.split(lengths)])
    assert torch.equal(packing.largest(states), expected)
    assert torch.equal(states.gather(0, packing.winners(states)), expected)
    before = torch.cat([torch.cat((torch.full((1, 3), torch.nan), one[:-1])) for one in tokens.split(lengths)])
    before = before[torch.from_numpy(packing.tokens)]
    assert torch.equal(packing.before(states), before[packing.later])
    assert before[: packing.later.start].isnan().all()


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=7), min_size=1, max_size=4), st.data())
def test_several_batches_are_packed_as_each_alone(batches: list[list[int]], data: st.DataObject) -> None:
    """Of different sizes, too: a shorter batch is filled up with sequences of no tokens."""
    width = max(map(len, batches))
    lengths = np.zeros((len(batches), width), np.uint8)
    for row, batch in zip(lengths, batches, strict=True):
        row[: len(batch)] = batch
    begin = np.array([[data.draw(st.integers(0, 50)) for _ in range(width)] for _ in batches])
    for k, found in enumerate(Packing.several(lengths, begin)):
        size = len(batches[k])
        alone = Packing.of(lengths[k, :size], begin[k, :size], CPU)
        assert found.tokens.tolist() == alone.tokens.tolist()
        assert (found.counts, found.starts) == (alone.counts, alone.starts)
        assert torch.equal(found.previous, alone.previous)
        assert torch.equal(found.order, alone.order)
        assert sum(found.counts) == sum(batches[k])


def test_minibatches_that_were_expected_are_the_same() -> None:
    """And are recognised by their numbers: a place written into, or another minibatch, is packed anew."""
    generator = torch.Generator().manual_seed(0)
    sides = [padded([[1 + (3 * i + j + k) % 7 for j in range(1 + (i * k) % 5)] for i in range(20)]) for k in (1, 2)]
    sentences = Sentences(Split(*sides[0], *sides[1], torch.arange(20) % 3), torch.randn(8, 4, generator=generator))
    order = torch.randperm(20, generator=generator)
    minibatches = list(order.split(8))  # 8, 8 and 4 pairs
    alone = [sentences.pairs(index.clone(), index % 3) for index in minibatches]
    with patch.object(Packing, "several", wraps=Packing.several) as several:
        sentences.expect("lower", minibatches)
        assert several.call_count == 1
        found = [sentences.pairs(order[8 * k : 8 * k + 8], index % 3) for k, index in enumerate(minibatches)]
        assert several.call_count == 1
        for one, other in zip(found, alone, strict=True):
            assert torch.equal(one.words.vectors[one.words.word], other.words.vectors[other.words.word])
            assert torch.equal(one.packing.order, other.packing.order)
        order[0] = order[9]
        changed = sentences.pairs(order[:8], order[:8] % 3)
        assert several.call_count == 2
    fresh = sentences.pairs(order[:8].clone(), order[:8] % 3)
    assert torch.equal(changed.words.vectors[changed.words.word], fresh.words.vectors[fresh.words.word])


def test_more_tokens_than_are_counted_ahead() -> None:
    packing = packing_of([3, 20_000, 2])
    assert sorted(packing.tokens.tolist()) == list(range(20_005))
    words = Words.of(Different.of(np.arange(20_000)[::-1], 20_000), torch.arange(20_000.0)[:, None])
    assert torch.equal(words.times(torch.ones(1, 1), torch.zeros(1))[:, 0], torch.arange(20_000.0).flip(0))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=30),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([np.uint8, np.uint16, np.uint32]),
)
def test_products_with_different_words_are_those_with_tokens(
    ids: list[int], dtype: torch.dtype, kind: type[np.integer]
) -> None:
    generator = torch.Generator().manual_seed(len(ids))
    table, W = torch.randn(7, 4, generator=generator).to(dtype), torch.randn(5, 4, generator=generator).to(dtype)
    b, delta = torch.randn(5, generator=generator).to(dtype), torch.randn(len(ids), 5, generator=generator).to(dtype)
    words = Words.of(Different.of(np.array(ids, kind), len(table)), table)
    dense = table[ids]
    assert torch.equal(words.vectors, table[sorted(set(ids))])
    assert torch.equal(words.vectors[words.word], dense)
    torch.testing.assert_close(words.times(W, b), dense @ W.t() + b)
    out = torch.full((5, 4), torch.nan, dtype=dtype)
    words.outer(delta, out)
    torch.testing.assert_close(out, delta.t() @ dense)
    again = torch.empty_like(out)
    Words.of(Different.of(np.array(ids, kind), len(table)), table).outer(delta, again)
    assert torch.equal(out, again)


BATCHES = {
    "a word in both sentences and twice in one": ([[1, 2, 1], [3]], [[2, 4, 1, 5], [3, 3]]),
    "one pair": ([[5, 1, 5]], [[1]]),
    "one word": ([[2, 2], [2]], [[2], [2, 2, 2]]),
    "one token a sentence": ([[1], [2], [1]], [[3], [1], [1]]),
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("layers", [1, 2])
def test_repeated_words_change_no_derivative(batch: tuple[list[list[int]], list[list[int]]], layers: int) -> None:
    """The reference is the same batch in which every token is a word of its own, with the same vector."""
    sides = [padded(side) for side in batch]
    count = len(batch[0])
    split = Split(*sides[0], *sides[1], torch.arange(count) % 3)
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    found = Sentences(split, table).pairs(torch.arange(count), split.label)
    tokens = [word for side in batch for sentence in side for word in sentence]
    assert len(found.words.vectors) == len(set(tokens))
    apart = Pairs(Words.of(Different.of(found.packing.tokens, len(tokens)), table[tokens]), found.packing, split.label)
    assert len(apart.words.vectors) == len(tokens)

    net = Architecture(4, 5, layers)
    flat, direction = torch.randn(2, net.size, generator=generator, dtype=torch.float64)
    weights = torch.rand(count, generator=generator, dtype=torch.float64)
    one, other = At(net, flat, found), At(net, flat, apart)
    for ours, expected in [
        (one.logits, other.logits),
        (predict(net, flat, found), other.logits),
        (one.gradient(weights), other.gradient(weights)),
        (one.tangent(direction), other.tangent(direction)),
        (one.hvp(weights, direction), other.hvp(weights, direction)),
    ]:
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-13)
    assert torch.equal(At(net, flat, found).gradient(weights), one.gradient(weights))


@pytest.mark.parametrize("vocabulary", [200, 300, 70_000])  # ids of 8, 16 and 32 bits
def test_a_minibatch_has_the_words_of_its_sentences(vocabulary: int) -> None:
    rng = np.random.default_rng(0)
    sides = [[rng.integers(1, vocabulary, rng.integers(1, 8)).tolist() for _ in range(20)] for _ in range(2)]
    (premise, one), (hypothesis, two) = map(padded, sides)
    split = Split(premise, one, hypothesis, two, torch.zeros(20, dtype=torch.int64))
    sentences = Sentences(split, torch.arange(float(vocabulary))[:, None])
    index = torch.tensor([3, 19, 3, 0])
    pairs = sentences.pairs(index, torch.zeros(4, dtype=torch.int64))
    chosen = [side[i] for side in sides for i in index.tolist()]
    order = pairs.packing.order.tolist()
    expected = [chosen[s][t] for t in range(8) for s in order if t < len(chosen[s])]
    assert pairs.words.vectors[pairs.words.word][:, 0].tolist() == expected
    assert sentences.tokens() == pytest.approx(sum(len(one) for side in sides for one in side) / 20)
