"""A generated language-inference task: endless pairs of sentences whose labels follow from what the sentences mean.

A sentence stands for a set of scenes: per facet the leaves that its words allow, all of them where it is silent. With P
for the premise's scenes and H for the hypothesis's,

    entailment      P ⊆ H
    contradiction   P ∩ H = ∅
    neutral         neither

both sentences speaking of one scene, as in SNLI. The hypothesis is drawn first, from one distribution for all labels,
then a premise that stands in the wanted relation to it: the hypothesis alone says nothing about the label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from unibio.data.lexicon import ANIMAL_ACTIVITIES, TAXONOMIES, Node, leaves, nodes
from unibio.data.pairs import LABELS, SPLITS, Pair, Source

T = TypeVar("T")
#: What a sentence says: {facet: value}; "who" is always there.
Meaning = Mapping[str, Node]
FACETS = tuple(TAXONOMIES)
ENTAILMENT, NEUTRAL, CONTRADICTION = range(len(LABELS))
#: Probability that a sentence mentions a facet, where nothing decides it.
MENTION = 0.4
#: Probability that a facet of a contradicting pair is left undecided, beside the one that contradicts.
LOOSE = 0.3


class Chance:
    """Choices from one stream of random numbers."""

    def __init__(self, seed: int, purpose: str):
        key = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
        self.uniform = np.random.Generator(np.random.Philox(key=np.array([seed, key], dtype=np.uint64))).random

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self.uniform() * len(options))]

    def happens(self, probability: float) -> bool:
        """True with a probability."""
        return self.uniform() < probability

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """In random order."""
        return [item for _, item in sorted(((self.uniform(), item) for item in items), key=lambda pair: pair[0])]


def generated(seed: int) -> Source:
    """The generated task as a source without end; the labels of every three successive pairs are all different.

    No pair comes twice, whatever the split; the splits of one source share that memory, so read them in one order.
    """
    seen: set[tuple[str, str]] = set()
    splits = {split: _pairs(Chance(seed, f"pairs/{split}"), seen) for split in SPLITS}
    return Source("generated task (a grammar's sentences; not SNLI)", dict(splits))


def _pairs(chance: Chance, seen: set[tuple[str, str]]) -> Iterator[Pair]:
    while True:
        for label in chance.shuffled(range(len(LABELS))):
            texts = None
            while texts is None or texts in seen:
                premise, hypothesis = scene(chance, label)
                texts = sentence(premise, chance), sentence(hypothesis, chance)
            seen.add(texts)
            yield Pair(*texts, label)


def relation(premise: Meaning, hypothesis: Meaning) -> int:
    """The label of two meanings."""
    sets = [(_meant(premise, facet), _meant(hypothesis, facet)) for facet in FACETS]
    if any(p.isdisjoint(h) for p, h in sets):
        return CONTRADICTION
    return ENTAILMENT if all(p <= h for p, h in sets) else NEUTRAL


def _meant(meaning: Meaning, facet: str) -> frozenset[str]:
    return meaning[facet].leaves if facet in meaning else leaves(facet)


def scene(chance: Chance, label: int) -> tuple[Meaning, Meaning]:
    """Premise and hypothesis of a label."""
    hypothesis: dict[str, Node] = {}
    while len(hypothesis) < 2 or not _possible(hypothesis):
        hypothesis = _mentioned(chance, {"who": chance.pick(nodes("who"))})
    premise: dict[str, Node] = {}
    while not premise or not _possible(premise) or relation(premise, hypothesis) != label:
        premise = _mentioned(chance, _related(chance, hypothesis, label), known=hypothesis)
    return premise, hypothesis


def _mentioned(chance: Chance, meaning: Mapping[str, Node], known: Meaning | None = None) -> dict[str, Node]:
    """``meaning`` with some of the facets that neither it nor ``known`` speaks of."""
    said = dict(meaning)
    for facet in FACETS:
        if facet not in said and facet not in (known or ()) and chance.happens(MENTION):
            said[facet] = chance.pick(nodes(facet))
    return said


def _possible(meaning: Meaning) -> bool:
    """Animals wear nothing, and do what animals do."""
    if meaning["who"].path[0] != "animal":
        return True
    return "colour" not in meaning and ("activity" not in meaning or meaning["activity"].path[0] in ANIMAL_ACTIVITIES)


def _related(chance: Chance, hypothesis: Meaning, label: int) -> dict[str, Node]:
    """What a premise of ``label`` may say about the facets of ``hypothesis``.

    One facet decides: it contradicts, or is left undecided. The others agree; beside a contradiction they need not.
    """
    deciding = chance.pick(list(hypothesis)) if label != ENTAILMENT else None
    premise: dict[str, Node] = {}
    for facet, node in hypothesis.items():
        everything = nodes(facet)
        if facet == deciding and label == CONTRADICTION:
            options = [other for other in everything if other.leaves.isdisjoint(node.leaves)]
        elif facet == deciding or (label == CONTRADICTION and chance.happens(LOOSE)):
            options = [other for other in everything if other.leaves > node.leaves]
            if facet != "who" and (not options or chance.happens(0.5)):
                continue
        else:
            options = [other for other in everything if other.leaves <= node.leaves]
        if not options:  # who is named by the widest word already
            options = [node]
        premise[facet] = chance.pick(options)
    return premise


def sentence(meaning: Meaning, chance: Chance) -> str:
    """A sentence that says it, in one of several forms."""
    said = {facet: chance.pick(node.phrases) for facet, node in meaning.items()}
    described = [said[facet] for facet in ("mood", "who", "colour") if facet in said]
    article = "the" if chance.happens(0.3) else "an" if described[0][0] in "aeiou" else "a"
    someone = " ".join([article, *described])
    where = chance.shuffled([said[facet] for facet in ("company", "place", "time") if facet in said])
    doing = [said["activity"]] if "activity" in said else []
    if (not doing and not where) or chance.happens(0.3):
        words = [chance.pick(("there is", "here is", "we see")), someone, *doing, *where]
    elif where and chance.happens(0.3):
        words = [f"{where[0]} ,", someone, "is", *(doing or ["there"]), *where[1:]]
    else:
        words = [someone, "is", *doing, *where]
    text = " ".join(words)
    return text[0].upper() + text[1:] + (" ." if chance.happens(0.7) else "")
