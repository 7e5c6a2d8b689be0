"""Powers and indices in figures: set by matplotlib, where they are no names and no mathematics already."""

from __future__ import annotations

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

from unibio.studies.common.drawing import _pictures
from unibio.studies.common.mathematics import in_figure
from unibio.studies.common.style import RC

SET = {
    "bound T^(−1/(3p−2))": r"bound T$^{\mathregular{−1/(3p−2)}}$",
    "η ∝ ε^q": r"η ∝ ε$^{\mathregular{q}}$",
    "|φ − L*_λ|": r"|φ − L*$_{\mathregular{λ}}$|",
    "for both g_x": r"for both g$_{\mathregular{x}}$",
    "∇²_{y y} g": r"∇²$_{\mathregular{y\ y}}$ g",
}
LEFT = ["F²SA, fresh samples", "fig5_ranges", "as $10^{-3}$ has it, y_λ", "no noise"]


@pytest.mark.parametrize("text", SET)
def test_powers_and_indices_are_set(text: str) -> None:
    assert in_figure(text) == SET[text]
    MathTextParser("agg").parse(in_figure(text))


@pytest.mark.parametrize("text", LEFT)
def test_names_and_what_is_set_already_are_left_alone(text: str) -> None:
    assert in_figure(text) == text


def test_every_text_of_a_picture_is_set() -> None:
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2], label="ε^(−3)")
    axes.set_xlabel("y*_λ")
    legend = axes.legend()
    with matplotlib.rc_context(dict(RC)):
        _pictures(figure)
    assert axes.get_xlabel() == in_figure("y*_λ") != "y*_λ"
    assert legend.texts[0].get_text() == in_figure("ε^(−3)")
