"""Few colours, and the right ones: what was drawn in a colour has that colour in the file."""

from __future__ import annotations

from io import BytesIO

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from unibio.studies.common import style
from unibio.studies.common.drawing import _pictures
from unibio.studies.common.palette import COLOURS, with_palette


def pixels(png: bytes) -> np.ndarray:
    with Image.open(BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def png(rgb: np.ndarray) -> bytes:
    written = BytesIO()
    Image.fromarray(rgb.astype(np.uint8)).save(written, "PNG")
    return written.getvalue()


def covered(rgb: np.ndarray, colour: str) -> int:
    wanted = np.round(255 * np.array(matplotlib.colors.to_rgb(colour)))
    return int((rgb == wanted).all(axis=-1).sum())


def test_a_picture_of_few_colours_stays_as_it_is() -> None:
    rgb = np.random.default_rng(0).integers(0, 4, (20, 30, 3)) * 60
    assert (pixels(with_palette(png(rgb))) == rgb).all()


def test_what_covers_most_keeps_its_colour_and_the_rest_comes_near() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (60, 60, 3))  # thousands of colours
    rgb[:30], rgb[30:40, :] = 221, (250, 251, 252)
    written = pixels(with_palette(png(rgb)))
    assert len(np.unique(written.reshape(-1, 3), axis=0)) <= COLOURS
    assert (written[:40] == rgb[:40]).all()
    assert np.abs(written[40:].astype(int) - rgb[40:]).mean() < 40


@pytest.mark.parametrize("bands", [False, True])
def test_grid_lines_and_curves_have_the_colours_they_were_given(bands: bool) -> None:
    """Beside pale bands of similar colours, too, whose mean with the grid's grey once gave it a tint."""
    look = dict(style.RC)
    with matplotlib.rc_context(look):
        figure, ((left, right),) = style.panels(1, 2, 2.4)
        x = np.linspace(0, 1, 50)
        for p in (2, 4, 6, 8):
            for panel in (left, right):
                panel.plot(x, np.sin(p * x), **style.of_exponent(p))
                if bands:
                    panel.fill_between(x, np.sin(p * x) - 0.3, np.sin(p * x) + 0.3, alpha=0.2, linewidth=0)
        picture, _ = _pictures(figure)
        figure.set_dpi(look["savefig.dpi"])
        again = FigureCanvasAgg(figure)
        again.draw()
    drawn, written = np.asarray(again.buffer_rgba())[..., :3], pixels(picture)
    grid = look["grid.color"]
    assert covered(drawn, grid) > 1000, "a line is whole pixels wide, or no pixel has its colour"
    for colour in (grid, "#ffffff", "#000000", *(style.of_exponent(p)["color"] for p in (2, 4, 6, 8))):
        assert covered(written, colour) == covered(drawn, colour), colour
    grey = np.ptp(drawn.astype(int), axis=-1) == 0
    assert np.ptp(written.astype(int), axis=-1)[grey].max() <= 16, "edges of letters come near; nothing else changes"
