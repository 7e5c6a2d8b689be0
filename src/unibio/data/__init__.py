"""Sentence pairs for hyper-cleaning: premise and hypothesis with one of three labels, word vectors, label noise.

``load_pairs(DataSettings(...))`` gives tensors of word ids from one of three sources: SNLI from the hub, files in a
directory, or a task of our own that a small grammar generates. What it prepared once it keeps in a cache.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

#: The names of this room that others use, each with its module, loaded on first use: settings need no torch, pairs do.
_HOME = {
    "LABELS": "unibio.data.pairs",
    "DataSettings": "unibio.data.settings",
    "PairData": "unibio.data.pairs",
    "Split": "unibio.data.pairs",
    "flip_labels": "unibio.data.noise",
    "flip_with": "unibio.data.noise",
    "load_pairs": "unibio.data.load",
    "redrawn_labels": "unibio.data.noise",
    "stored_flips": "unibio.data.noise",
}

if TYPE_CHECKING:  # the same names in the only form that type checkers read
    from unibio.data.load import load_pairs as load_pairs
    from unibio.data.noise import flip_labels as flip_labels
    from unibio.data.noise import flip_with as flip_with
    from unibio.data.noise import redrawn_labels as redrawn_labels
    from unibio.data.noise import stored_flips as stored_flips
    from unibio.data.pairs import LABELS as LABELS
    from unibio.data.pairs import PairData as PairData
    from unibio.data.pairs import Split as Split
    from unibio.data.settings import DataSettings as DataSettings
else:
    __all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unibio.data' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
