"""Sentence pairs for hyper-cleaning: premise and hypothesis with one of three labels, word vectors, label noise.

``load_pairs(DataSettings(...))`` gives tensors of word ids from one of three sources: SNLI from the hub, files in a
directory, or a task of our own that a small grammar generates. What it prepared once it keeps in a cache.
"""

from unibio.data.load import load_pairs
from unibio.data.noise import flip_labels, flip_with, redrawn_labels, stored_flips
from unibio.data.pairs import LABELS, PairData, Split
from unibio.data.settings import DataSettings

__all__ = [
    "LABELS",
    "DataSettings",
    "PairData",
    "Split",
    "flip_labels",
    "flip_with",
    "load_pairs",
    "redrawn_labels",
    "stored_flips",
]
