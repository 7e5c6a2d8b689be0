"""What data to use: the content of ``conf/data/NAME.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unibio.core.parameters import Configured, hyper
from unibio.errors import InputError

SOURCES = ("generated", "snli", "directory")
#: Vectors by name; anything else is the path of a vector file.
VECTORS = ("own", "glove50", "glove", "random")
#: Those that are made by us, for whatever words there are.
MADE = ("own", "random")
#: Training pairs that are prepared where fewer are asked for: the paper's number, and more than any scale takes. All
#: 550,000 of SNLI would take minutes.
TRAIN = 10_000
#: Components of vectors that we make ourselves, where the settings leave it open.
DIMENSION = 50


@dataclass(frozen=True)
class DataSettings(Configured):
    """Which pairs, how many, with which word vectors. ``cache`` and ``content`` change no number."""

    name: ClassVar[str] = "pairs"
    role: ClassVar[str] = "data"

    source: str = hyper(
        "generated", "a task of our own, SNLI from the hub, or files in a directory; never another", choices=SOURCES
    )
    dir: str = hyper("", "directory of source=directory, with SNLI's jsonl, jsonl.gz or txt files")
    cache: str = hyper("data", "directory where prepared data and downloads are kept")
    train: int | None = hyper(10_000, "training pairs, the first there are; null for all", symbol="n", at_least=1)
    valid: int | None = hyper(2_000, "validation pairs; null for all", symbol="m", at_least=1)
    test: int | None = hyper(2_000, "test pairs; null for all", at_least=1)
    vectors: str = hyper(
        "own",
        "own (generated task only), glove50 (GloVe 6B, 50-d, from the extra glove), glove (GloVe 840B, 300-d, "
        "downloaded), random, or the path of a vector file (txt, gz or zip)",
    )
    dimension: int | None = hyper(None, f"components of own or random vectors ({DIMENSION} if null)", at_least=1)
    max_length: int | None = hyper(None, "tokens after which a sentence is cut; null for no limit", at_least=1)
    seed: int = hyper(0, "seed of the generated task, of own and of random vectors", at_least=0, below=2.0**63)
    content: str = hyper("", "sha256 that the content must have; anything else is refused. Empty for no check")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source == "directory" and not self.dir:
            raise InputError("data.dir is missing: data.source = directory needs the directory of the files")
        if self.source != "directory" and self.dir:
            raise InputError(f"data.dir = {self.dir!r} goes with data.source = directory, not {self.source}")
        if self.vectors == "own" and self.source != "generated":
            raise InputError(
                f"data.vectors = own are the vectors of the generated task; for data.source = {self.source} choose "
                "glove50, glove, random, or the path of a vector file"
            )
        if not self.vectors:
            raise InputError(f"data.vectors is empty: give one of {', '.join(VECTORS)}, or the path of a vector file")
        if self.dimension is not None and self.vectors not in MADE:
            raise InputError(
                f"data.dimension = {self.dimension} is for own or random vectors; those of {self.vectors} have their "
                "own: leave it null"
            )
        for key in ("train", "valid", "test"):
            if self.source == "generated" and getattr(self, key) is None:
                raise InputError(
                    f"data.{key} = null means all there are, but generated pairs have no end: give a number"
                )
