"""The words of the generated task and what they mean: taxonomies, and word vectors that reflect them.

A sentence speaks of up to seven facets of a scene: who, in what mood, dressed in what colour, doing what, in whose
company, where and when. A facet's values form a taxonomy, and its leaves are the finest distinctions there are: "boy"
is a child is a person. What a word means is the set of leaves below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from unibio.core.streams import Streams

#: Per facet its taxonomy: {phrases of a node, synonyms parted by "/": its children}; a tuple lists leaves. Nouns stand
#: without an article, activities with -ing. The root of a facet has no words: it stands for saying nothing about it.
TAXONOMIES: dict[str, dict[str, Any]] = {
    "who": {
        "person/human": {
            "adult/grown-up": {
                "man/guy": ("waiter", "fisherman", "cowboy", "monk"),
                "woman/lady": ("waitress", "ballerina", "queen", "nun"),
            },
            "child/kid": ("boy/lad", "girl/lass"),
        },
        "animal/creature": {
            "pet": ("dog/hound", "cat", "rabbit"),
            "bird": ("duck", "owl", "parrot"),
        },
    },
    "mood": {
        "good-humoured": ("happy/cheerful", "calm/relaxed", "excited/thrilled"),
        "bad-tempered": ("angry/furious", "sad/unhappy", "bored/weary"),
    },
    "colour": {
        "in bright clothes/dressed in bright colours": ("in red", "in yellow", "in orange", "in pink"),
        "in dark clothes/dressed in dark colours": ("in black", "in brown", "in purple", "in navy blue"),
    },
    "activity": {
        "moving/in motion": (
            "running/sprinting",
            "walking/strolling",
            "jumping/leaping",
            "swimming/paddling",
        ),
        "resting/taking a rest": ("sleeping/napping", "sitting/seated", "lying down/stretched out"),
        "eating/having a meal": (
            "eating an apple",
            "eating bread",
            "eating fish",
        ),
        "reading": ("reading a newspaper", "reading a novel", "studying a map"),
        "playing music/making music": (
            "playing the guitar",
            "playing the piano",
            "playing the drums",
        ),
        "doing sports/exercising": ("playing football", "playing tennis", "lifting weights"),
        "working/at work": {
            "cleaning/tidying up": ("washing a car", "sweeping the floor"),
            "repairing something/fixing something": ("repairing a roof", "fixing a bicycle"),
            "cooking/preparing food": ("baking a cake", "cooking soup"),
        },
    },
    "company": {
        "with company/together with others": ("with a friend", "with a relative", "with a stranger", "with a crowd"),
        "alone/without company": (),
    },
    "place": {
        "outside/outdoors": {
            "in nature/in the wild": ("in the forest/in the woods", "on the beach", "on a mountain", "by a river"),
            "in the city/in town": ("on the street", "at the market", "on a bridge", "in the park"),
        },
        "inside/indoors": {
            "at home/in a house": ("in the kitchen", "in the bedroom", "in the basement"),
            "in a public building": ("in a library", "in a museum", "in a hospital"),
        },
    },
    "time": {
        "by day/during the day": ("in the morning", "at noon", "in the afternoon"),
        "after dark": ("in the evening", "at midnight", "before dawn"),
    },
}
#: What animals do; the rest, and clothes, is for people.
ANIMAL_ACTIVITIES = ("moving", "resting", "eating")
#: What the grammar's sentence forms add.
FUNCTION_WORDS = ("a", "an", "the", "is", "there", "here", "we", "see", ",", ".")
#: Size of a word's own part of its vector against what its meanings give: synonyms then have a cosine of about 0.8.
OWN = 0.5


@dataclass(frozen=True, eq=False)
class Node:
    """A value of a facet: its phrases (synonyms), the leaves it covers, and the path of names from below the root."""

    facet: str
    phrases: tuple[str, ...]
    leaves: frozenset[str]
    path: tuple[str, ...]


@cache
def nodes(facet: str) -> tuple[Node, ...]:
    """All values of a facet but its root, parents before children."""
    found: list[Node] = []

    def add(label: str, children: Any, above: tuple[str, ...]) -> frozenset[str]:
        phrases = tuple(label.split("/"))
        path = (*above, phrases[0])
        place = len(found)
        below = children if isinstance(children, dict) else dict.fromkeys(children, ())
        covered = [add(name, further, path) for name, further in below.items()]
        meant = frozenset[str]().union(*covered) if covered else frozenset({phrases[0]})
        found.insert(place, Node(facet, phrases, meant, path))
        return meant

    for label, children in TAXONOMIES[facet].items():
        add(label, children, ())
    return tuple(found)


@cache
def leaves(facet: str) -> frozenset[str]:
    """All leaves of a facet: the meaning of saying nothing about it."""
    return frozenset[str]().union(*(node.leaves for node in nodes(facet)))


def vectors(words: list[str], dimension: int, seed: int) -> np.ndarray:
    """Vectors of the generated task's words: float32 (words, dimension), of mean square ¼, zeros for unknown words.

    A word is the mean, over the nodes whose phrases use it, of what they and the nodes above them share, plus a part
    of its own: synonyms and words of one branch are close. Rounded to multiples of 2⁻¹² so that the last bits of a
    machine's arithmetic do not show.
    """
    everywhere = [node for facet in TAXONOMIES for node in nodes(facet)]
    uses: dict[str, list[Node]] = {}
    for node in everywhere:
        for word in {word for phrase in node.phrases for word in phrase.split()}:
            uses.setdefault(word, []).append(node)
    known = sorted({*uses, *FUNCTION_WORDS})
    stream = Streams([seed])
    shared = _normal(stream, "nodes", sorted({(node.facet, *node.path) for node in everywhere}), dimension)
    own = _normal(stream, "words", known, dimension)
    table = {}
    for word in known:
        meanings = [
            sum(shared[(node.facet, *node.path[:k])] for k in range(1, len(node.path) + 1)) / len(node.path) ** 0.5
            for node in uses.get(word, [])
        ]
        mixed = OWN * own[word] + (sum(meanings) / len(meanings) if meanings else 0)
        table[word] = mixed * (0.5 * dimension**0.5 / np.sqrt((mixed**2).sum()))
    rows = [table.get(word, np.zeros(dimension)) for word in words]
    return (np.round(np.array(rows) * 4096) / 4096).astype(np.float32)


def _normal(stream: Streams, purpose: str, keys: list[Any], dimension: int) -> dict[Any, np.ndarray]:
    numbers = stream.block(f"vectors/{purpose}", "normal", 0, len(keys) * dimension)
    return dict(zip(keys, numbers.view(len(keys), dimension).numpy(), strict=True))
