"""Pictures with few colours: a third of the size, and the colours that were asked for stay what they are."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

#: Colours of a picture, and how many of them are its most frequent ones, which are kept as they are.
COLOURS, KEPT = 128, 64


def with_palette(picture: bytes) -> bytes:
    """A PNG in ``COLOURS`` colours; for lines on white, the same to the eye.

    What covers most of a picture (the page, grid lines, pale bands, curves) keeps its colour to the bit. Means over
    similar colours, which is all that a quantiser has, would give grey lines a tint. What is left, the edges of lines,
    gets the other places of the palette.

    Args:
        picture: a PNG without transparency.
    """
    with Image.open(BytesIO(picture)) as image:
        rgb = np.asarray(image.convert("RGB")).astype(np.uint32)
    packed = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
    colours, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
    frequent = np.argsort(-counts.astype(np.int64), kind="stable")
    kept, others = (frequent, frequent[:0]) if len(colours) <= COLOURS else np.split(frequent, [KEPT])
    palette = _channels(colours[kept])
    number = np.zeros(len(colours), dtype=np.uint8)
    number[kept] = np.arange(len(kept))
    if len(others):
        pixels = Image.fromarray(np.repeat(_channels(colours[others]), counts[others], axis=0)[None])
        few = pixels.quantize(
            COLOURS - KEPT, method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE
        )  # with the means of what each stands for
        first = np.cumsum(counts[others]) - counts[others]
        number[others] = KEPT + np.asarray(few)[0, first]
        palette = np.concatenate([palette, np.reshape(few.getpalette() or [], (-1, 3)).astype(np.uint8)])
    reduced = Image.fromarray(number[places.reshape(packed.shape)], "P")
    reduced.putpalette(palette.tobytes())
    written = BytesIO()
    reduced.save(written, "PNG", optimize=True)
    return written.getvalue()


def _channels(packed: np.ndarray) -> np.ndarray:
    return np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8)
