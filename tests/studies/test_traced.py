"""Curves read from a figure: the numbers that were drawn, under the names of the legend, few, and nothing made up."""

from __future__ import annotations

import json

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from synthetic import whole_evidence
from unibio.studies import DRAWINGS
from unibio.studies.common import style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.traced import MOST, NUMBERS, curves_json, traced


def panel() -> tuple[Figure, object]:
    figure, axes = style.panels(1, 1, 2.0)
    return figure, axes[0, 0]


def only(figure: Figure) -> dict:
    ((one,),) = [one["curves"] for one in traced(figure)["panels"]]
    return one


def test_a_banded_line_has_its_numbers_and_the_name_of_the_legend():
    figure, axes = panel()
    x, low, middle, high = np.arange(5.0), np.full(5, 0.11111), np.linspace(0.2, 0.3, 5), np.full(5, 0.4)
    middle[3] = np.inf
    style.banded(axes, x, (low, middle, high), 0, **style.of_exponent(4))
    style.legend_above(figure, [style.handle(f"p = {p}", **style.of_exponent(p)) for p in (2, 4)], 2)
    one = only(figure)
    assert (one["name"], one["kind"], one["colour"]) == ("p = 4", "line", "#d55e00")
    assert one["x"] == [0, 1, 2, 3, 4]
    assert one["y"] == [0.2, 0.225, 0.25, None, 0.3], "what is not finite is a gap"
    assert one["low"] == [0.1111] * 5
    assert one["high"] == [0.4] * 5


def test_a_band_with_a_gap_stays_with_its_line():
    figure, axes = panel()
    x = np.arange(6.0)
    low, high = np.zeros(6), np.array([1, 1, np.nan, 1, 1, 1])
    style.banded(axes, x, (low, high / 2, high), 0, **style.of_exponent(2))
    one = only(figure)
    assert one["low"] == [0, 0, None, 0, 0, 0]
    assert one["high"] == [1, 1, None, 1, 1, 1]


def test_dashes_name_a_line_besides_its_colour():
    figure, axes = panel()
    wide = {"linewidth": 4.0, "linestyle": "-", "marker": ""}
    axes.plot([1, 2], [1, 2], **style.of_exponent(2))
    axes.plot([1, 2], [2, 3], **style.of_exponent(2) | wide)
    axes.plot([1, 2], [3, 4], color="#123456")
    handles = [style.handle("p = 2", **style.of_exponent(2)), style.handle("bound", color=style.GREY, **wide)]
    style.legend_above(figure, handles, 2)
    assert [one["name"] for one in traced(figure)["panels"][0]["curves"]] == ["p = 2", "p = 2, bound", ""]


def test_a_label_of_its_own_is_the_name():
    figure, axes = panel()
    axes.plot([1, 2], [1, 2], label="mine", color=style.BLACK)
    axes.legend()
    assert only(figure)["name"] == "mine"


def test_points_paths_and_lines_across():
    figure, axes = panel()
    axes.plot([3, 1, 2], [1, 2, 3], "o", color="#0072B2")
    axes.plot([0, 1, 0], [0, 1, 2], color="#009E73")
    axes.plot([3, 2, 1], [1, 2, 3], color="#D55E00")
    axes.axhline(0.5)
    axes.axvline(2)
    axes.errorbar([1, 2], [1, 2], yerr=[0.5, 0.25], linestyle="none", marker="o", color="#CC79A7", capsize=2)
    axes.scatter([2, 1], [5, 6], color="#111111")
    found = traced(figure)["panels"][0]["curves"]
    kinds = [one["kind"] for one in found]
    assert kinds == ["points", "path", "line", "across", "upright", "points", "path", "points"], "no caps of whiskers"
    assert (found[0]["x"], found[0]["y"]) == ([1, 2, 3], [2, 3, 1])
    assert (found[2]["x"], found[2]["y"]) == ([1, 2, 3], [3, 2, 1]), "drawn leftwards, read rightwards"
    assert (found[3]["at"], found[4]["at"]) == (0.5, 2)
    assert found[6]["y"] == [0.5, 1.5, None, 1.75, 2.25, None]
    assert (found[7]["x"], found[7]["y"]) == ([1, 2], [6, 5])


def test_axes_are_as_they_were_drawn():
    figure, axes = style.panels(2, 2, 4.0, sharex=True)
    for one in axes.flat:
        one.plot([1, 10], [1, 100])
        one.set(xscale="log")
    axes[1, 0].set_xlabel("oracle\ncalls")
    axes[0, 1].set_ylabel("$y$")
    axes[0, 0].set_title("left", loc="left")
    axes[1, 1].set_yticks([0, 50], labels=["none", "half"])
    axes[1, 1].set_ylim(100, -5)
    panels = traced(figure)["panels"]
    assert [one["x"]["label"] for one in panels] == ["oracle calls", "", "oracle calls", ""], "of its column"
    assert [one["y"]["label"] for one in panels] == ["y", "y", "", ""], "of its row"
    assert [one["title"] for one in panels] == ["left", "", "left", ""]
    assert all(one["x"]["log"] and not one["y"]["log"] for one in panels)
    assert panels[3]["y"]["ticks"] == [[0, "none"], [50, "half"]]
    assert panels[3]["y"]["range"] == [-5, 100]


@pytest.mark.parametrize("log", [False, True])
def test_long_curves_are_thinned_to_points_of_their_own(log):
    figure, axes = panel()
    x = np.arange(5000.0)
    y = np.sin(x / 300) + 2
    axes.plot(x, y)
    axes.set_xscale("log" if log else "linear")
    one = only(figure)
    assert 20 < len(one["x"]) <= MOST
    assert np.allclose(one["y"], y[np.array(one["x"], dtype=int)], rtol=1e-3)
    assert one["x"][-1] == 4999
    assert one["x"][:2] == ([1, 2] if log else [0, one["x"][1]])


def test_a_logarithmic_axis_without_anything_positive():
    figure, axes = panel()
    axes.plot(-np.arange(500.0), np.arange(500.0))
    axes.plot([1, 2], [-1, 0])
    axes.set(xscale="log", yscale="log")
    first, second = traced(figure)["panels"][0]["curves"]
    assert len(first["x"]) <= MOST
    assert second["y"] == [-1, 0], "what a logarithm does not know is the page's business"


def test_figures_stay_small_and_say_why_they_have_no_curves():
    figure, axes = style.panels(4, 5, 8.0)
    x = np.linspace(0, 1, 3000)
    for one in axes.flat:
        for i in range(4):
            style.banded(one, x, (x, x + i / 7, x + 1), i, **style.of_exponent(2 + 2 * i))
    text = curves_json(figure)
    assert (
        sum(len(c[n]) for p in json.loads(text)["panels"] for c in p["curves"] for n in ("y", "low", "high")) <= NUMBERS
    )
    assert len(text) < 200_000
    figure, axes = panel()
    axes.pcolormesh(np.ones((3, 3)))
    assert traced(figure) == {"without": "a map of colours"}
    figure, axes = panel()
    axes.barh([1], [2])
    assert traced(figure) == {"without": "no curves"}
    figure, axes = panel()
    for _ in range(500):
        axes.plot([1, 2], [1, 2])
    assert traced(figure) == {"without": "500 curves"}
    figure, axes = panel()
    axes.plot([], [])
    axes.plot([np.nan], [1.0])
    assert traced(figure) == {"without": "no curves"}


def test_it_lies_beside_the_pictures_and_is_the_same_again(tmp_path):
    def draw(_):
        figure, axes = panel()
        axes.plot([1, 2], [np.nan, 2])
        return Drawn(figure, {})

    drawing = Drawing("mine", "", draw)
    names = [path.name for path in drawing.write(None, tmp_path)]
    assert names == ["mine.png", "mine.pdf", "mine.curves.json"]
    content = (tmp_path / "figures" / "mine.curves.json").read_bytes()
    assert json.loads(content)["panels"][0]["curves"][0]["y"] == [None, 2]
    drawing.write(None, tmp_path)
    assert (tmp_path / "figures" / "mine.curves.json").read_bytes() == content


@pytest.mark.slow
def test_every_figure_of_ours_can_be_read():
    evidence = whole_evidence()
    look = style.RC
    without = {}
    for name, drawing in DRAWINGS.items():
        with matplotlib.rc_context(look):
            figure = drawing.draw(evidence).figure
        if figure is None:
            continue
        found = json.loads(curves_json(figure))
        without |= {name: found["without"]} if "without" in found else {}
        for one in found.get("panels", ()):
            for curve in one["curves"]:
                assert "at" in curve or len(curve["x"]) == len(curve.get("y", curve.get("low")))
                assert curve["colour"].startswith("#")
    assert {"a map of colours"} >= {why for name, why in without.items() if "crossing" not in name}
