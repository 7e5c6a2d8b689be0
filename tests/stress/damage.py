"""Damages a file in many ways, one after the other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path


def damaged(path: Path, flips: int, seed: int) -> Iterator[str]:
    """Says what is wrong with a file while it is: bits flipped, cut short, emptied, extended, gone; then restores it.

    Args:
        path: the file.
        flips: single bits at random places, and as many random cuts.
        seed: of the places.
    """
    whole, rng = path.read_bytes(), random.Random(seed)
    try:
        for _ in range(flips):
            at, bit = rng.randrange(len(whole)), rng.randrange(8)
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            yield f"{path.name}: bit {bit} of byte {at} flipped"
            cut = rng.randrange(len(whole))
            path.write_bytes(whole[:cut])
            yield f"{path.name}: cut to {cut} of {len(whole)} bytes"
        path.write_bytes(whole + b"\0")
        yield f"{path.name}: one byte more"
        path.write_bytes(b"")
        yield f"{path.name}: empty"
        path.unlink()
        if path.suffix != ".pt":  # no checkpoint is no damaged checkpoint
            yield f"{path.name}: gone"
    finally:
        path.write_bytes(whole)
