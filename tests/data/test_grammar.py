"""The generated task: labels follow from meanings, the hypothesis alone says nothing, vectors reflect meanings."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from unibio.data import lexicon
from unibio.data.grammar import CONTRADICTION, ENTAILMENT, FACETS, NEUTRAL, Chance, generated, relation, scene, sentence
from unibio.data.lexicon import TAXONOMIES, Node, leaves, nodes, vectors
from unibio.data.pairs import LABELS, Pair

WHO, MOOD = ({node.phrases[0]: node for node in nodes(facet)} for facet in ("who", "mood"))


def first(split: str, count: int, seed: int = 0) -> list[Pair]:
    return list(itertools.islice(generated(seed).splits[split], count))


def worlds(meaning: dict[str, Node], facets: list[str]) -> set[tuple[str, ...]]:
    """Every scene, spelt out to its leaves, that a sentence allows."""
    return set(itertools.product(*(meaning[f].leaves if f in meaning else leaves(f) for f in facets)))


@pytest.mark.parametrize("label", range(3), ids=LABELS)
def test_labels_are_those_of_the_sets_of_scenes(label: int) -> None:
    chance = Chance(1, "test")
    for _ in range(40):
        premise, hypothesis = scene(chance, label)
        # What both are silent about cancels out, and spelling it out would take millions of scenes.
        spoken = [facet for facet in FACETS if facet in premise or facet in hypothesis]
        if math.prod(len(leaves(facet)) for facet in spoken) > 20_000:
            continue
        p, h = worlds(premise, spoken), worlds(hypothesis, spoken)
        truth = ENTAILMENT if p <= h else CONTRADICTION if not p & h else NEUTRAL
        assert truth == label == relation(premise, hypothesis)


def test_relation_of_known_meanings() -> None:
    boy, person, dog = WHO["boy"], WHO["person"], WHO["dog"]
    assert relation({"who": boy}, {"who": person}) == ENTAILMENT
    assert relation({"who": person}, {"who": boy}) == NEUTRAL
    assert relation({"who": boy}, {"who": dog}) == CONTRADICTION
    assert relation({"who": boy, "mood": MOOD["happy"]}, {"who": boy}) == ENTAILMENT
    assert relation({"who": boy}, {"who": boy, "mood": MOOD["happy"]}) == NEUTRAL
    assert relation({"who": person, "mood": MOOD["happy"]}, {"who": boy, "mood": MOOD["sad"]}) == CONTRADICTION


def test_taxonomies_are_trees_whose_inner_nodes_say_less_than_each_child() -> None:
    for facet in TAXONOMIES:
        phrases = [phrase for node in nodes(facet) for phrase in node.phrases]
        assert len(phrases) == len(set(phrases))
        for a, b in itertools.combinations(nodes(facet), 2):
            related = a.path == b.path[: len(a.path)]
            assert b.leaves < a.leaves if related else a.leaves.isdisjoint(b.leaves)
            assert a.leaves < leaves(facet)  # else mentioning the facet would say nothing


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_any_first_pairs_are_balanced(split: str) -> None:
    pairs = first(split, 300)
    for end in (30, 31, 150, 300):
        counts = Counter(pair.label for pair in pairs[:end])
        assert max(counts.values()) - min(counts.values()) <= 1
    assert [pair.label for pair in pairs] != [k % 3 for k in range(300)]


def test_pairs_depend_on_seed_and_split_only_and_never_repeat() -> None:
    assert first("train", 50) == first("train", 80)[:50]
    assert first("train", 50) != first("train", 50, seed=1)
    source = generated(0)
    pairs = [pair[:2] for split in source.splits.values() for pair in itertools.islice(split, 700)]
    assert len(set(pairs)) == 2100


def test_animals_wear_nothing_and_do_not_read() -> None:
    animals = {phrase for node in nodes("who") if node.path[0] == "animal" for phrase in node.phrases}
    text = [sentence for pair in first("train", 900) for sentence in pair[:2]]
    about = [one.lower().split() for one in text if animals & set(one.lower().split())]
    assert len(about) > 200
    assert not [one for one in about if {"reading", "clothes", "dressed", "red", "guitar", "working"} & set(one)]


def _guessed(train: list[tuple[str, int]], test: list[tuple[str, int]]) -> float:
    """Accuracy of naive Bayes on words."""
    words = {word: k for k, word in enumerate({w for text, _ in train for w in text.lower().split()})}
    counts = np.ones((3, len(words)))
    for text, label in train:
        for word in text.lower().split():
            counts[label, words[word]] += 1
    score = np.log(counts / counts.sum(1, keepdims=True))
    right = [
        int(np.argmax(sum(score[:, words[w]] for w in text.lower().split() if w in words)) == label)
        for text, label in test
    ]
    return float(np.mean(right))


def test_the_hypothesis_alone_says_nothing_about_the_label() -> None:
    train, test = first("train", 3000), first("test", 1500)
    alone = _guessed([(p.hypothesis, p.label) for p in train], [(p.hypothesis, p.label) for p in test])
    assert abs(alone - 1 / 3) < 4 * math.sqrt(2 / 9 / 1500)


def test_sentences_are_made_of_the_lexicon() -> None:
    known = {
        word for facet in TAXONOMIES for node in nodes(facet) for phrase in node.phrases for word in phrase.split()
    }
    known |= set(lexicon.FUNCTION_WORDS)
    used = Counter(w for pair in first("train", 3000) for text in pair[:2] for w in text.lower().split())
    assert set(used) <= known
    assert len(set(used)) > 0.97 * len(known)


def test_a_sentence_says_all_of_its_meaning() -> None:
    chance = Chance(3, "test")
    for label in [0, 1, 2] * 30:
        premise, _ = scene(chance, label)
        text = sentence(premise, chance).lower()
        assert all(any(phrase in text for phrase in node.phrases) for node in premise.values())


def test_vectors_put_related_words_closer() -> None:
    single = {
        node.phrases: node for f in ("who", "mood") for node in nodes(f) if not any(" " in p for p in node.phrases)
    }
    words = [word for phrases in single for word in phrases]
    node_of = {word: node for node in single.values() for word in node.phrases}
    rows = dict(zip(words, vectors(words, 50, seed=0), strict=True))
    cosines: dict[str, list[float]] = {"synonyms": [], "siblings": [], "of other facets": []}
    for a, b in itertools.combinations(words, 2):
        one, other = node_of[a], node_of[b]
        cosine = float(rows[a] @ rows[b] / np.linalg.norm(rows[a]) / np.linalg.norm(rows[b]))
        if one is other:
            cosines["synonyms"].append(cosine)
        elif one.facet != other.facet:
            cosines["of other facets"].append(cosine)
        elif len(one.path) > 1 and one.path[:-1] == other.path[:-1]:
            cosines["siblings"].append(cosine)
    assert min(cosines["synonyms"]) > 0.6
    assert 0.3 < np.mean(cosines["siblings"]) < 0.7
    assert abs(np.mean(cosines["of other facets"])) < 0.1


def test_vectors_have_one_size_and_depend_on_word_and_seed_only() -> None:
    boy, unknown, owl = vectors(["boy", "unheard-of", "owl"], 20, seed=0)
    assert not unknown.any()
    assert all(abs((row**2).mean() - 0.25) < 1e-3 for row in (boy, owl))
    assert np.array_equal(vectors(["owl", "boy"], 20, seed=0), [owl, boy])
    assert not np.array_equal(vectors(["boy"], 20, seed=1)[0], boy)
