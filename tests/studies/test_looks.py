"""A colour means one thing, and what shares a figure is told apart, by colour-blind readers and in grey, too."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from unibio.registry import ALGORITHMS
from unibio.studies import corrupted_labels, e1, first_order, lp_regression, nli, penalty_rates
from unibio.studies.common import methods, style
from unibio.studies.common.methods import METHODS, label, labelled, look
from unibio.studies.e1.figures import _look, _order
from unibio.studies.lp_regression.figures import SUMS

#: Methods that share a panel.
TOGETHER = {
    "e1": e1.search.PAPER_METHODS,
    "Neumann sums": ("unibio", *SUMS),
    "auxiliary variables": ("unibio", *(name for name in lp_regression.tuned.ORDER if name not in (*SUMS, "unibio"))),
    "nli": nli.groups.COMPARED_METHODS,
    "corrupted labels": corrupted_labels.measures.ORDER,
    "first order": first_order.measures.ORDER,
    "rates": tuple(penalty_rates.BOUNDS),
    "without p": ("unibio", "unibio_adaptive", "ma_soba", "bo_rep"),
    "global optimality": ("pbgd", "stocbio", "soba"),
}

#: Linear RGB as somebody without red or without green cones sees it, after Machado, Oliveira and Fernandes (2009).
SIGHTS = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def seen(colour: str, sight: str = "all") -> np.ndarray:
    """A colour in Oklab (Ottosson 2020), where distances are about what the eye tells."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(SIGHTS[sight]) @ linear, 0, 1)
    cones = [
        [0.41222147, 0.53633254, 0.05144599],
        [0.2119035, 0.6806995, 0.10739696],
        [0.08830246, 0.28171884, 0.6299787],
    ]
    opponents = [
        [0.21045426, 0.7936178, -0.00407205],
        [1.9779985, -2.4285922, 0.45059371],
        [0.02590404, 0.78277177, -0.80867577],
    ]
    return np.array(opponents) @ np.cbrt(np.array(cones) @ linear)


def distance(one: str, other: str, sight: str = "all") -> float:
    return float(np.linalg.norm(seen(one, sight) - seen(other, sight)))


#: What Appendix E.1 is run with beside the paper's four.
E1_OTHERS = ("bsa", "sustain", "mrbo", "vrbo", "soba", "amigo", "bo_rep")

#: In Oklab; 0.02 is what the eye just tells side by side.
APART = 0.06

EXPONENTS = {colour for colour, _, _ in style.EXPONENTS.values()}
OTHERS = {style.of_place(i, count)["color"] for count in range(1, 9) for i in range(count)}
OF_METHODS = {one.colour for one in METHODS.values()} - {style.BLACK, style.GREY}


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations((EXPONENTS, OF_METHODS, OTHERS), 2)])
def test_a_colour_means_one_thing(one, other):
    assert min(distance(a, b) for a, b in itertools.product(one, other)) > APART


@pytest.mark.parametrize("names", TOGETHER.values(), ids=TOGETHER)
def test_methods_that_share_a_panel_are_told_apart(names):
    names = [name for name in names if name != "unibio_plain"]  # UniBiO, too: black, with its own line and marker
    for a, b in itertools.combinations(names, 2):
        for sight in SIGHTS:
            assert distance(METHODS[a].colour, METHODS[b].colour, sight) > APART, (a, b, sight)
    assert len({METHODS[name].marker for name in names}) == len(names)


def test_exponents_are_told_apart_without_colour():
    looks = list(style.EXPONENTS.values())
    assert len({marker for _, _, marker in looks}) == len({str(line) for _, line, _ in looks}) == len(looks)


@pytest.mark.parametrize("count", range(1, 13))
def test_other_things_are_told_apart_without_colour(count):
    looks = [style.of_place(i, count) for i in range(count)]
    assert len({(str(one["linestyle"]), one["marker"]) for one in looks}) == count
    light = [seen(one["color"])[0] for one in looks]
    assert light == sorted(light)


def test_unibio_looks_the_same_everywhere():
    own = look("unibio")
    assert (own["color"], own["linestyle"], own["marker"]) == (style.BLACK, "-", "*")
    assert {name for name, one in METHODS.items() if one.colour == style.BLACK} == {
        "unibio",
        "unibio_plain",
        "unibio epochs",
        "unibio_windows",
    }
    plain, second = look("unibio_plain"), look("unibio", setting=1)
    assert plain == second
    assert look("a method of one's own") == methods.OTHERS


def test_every_algorithm_has_a_label():
    """Variants of a method are named after it; of the names alone none is left as the code writes it."""
    for name in ALGORITHMS:
        assert "_" not in label(name)
        assert label(name) != name
    assert label("sustain_two_lengths") == "SUSTAIN two lengths"
    assert label("ma_soba_late") == "MA-SOBA late"
    assert label("nobody_s") == "nobody_s"


def test_a_table_for_readers_says_labels():
    table = pd.DataFrame({"method": ["bo_rep", None], "published": ["saba", "soba"], "p": [2, 4]})
    shown = labelled(table)
    assert shown["method"].tolist()[0] == "BO-REP"
    assert shown["published"].tolist() == ["SABA", "SOBA"]
    assert table["method"].tolist()[0] == "bo_rep"
    assert "method" not in labelled(table[["p"]])


def test_every_method_of_appendix_e1_is_recognised():
    """All of them share a panel: no two have a marker in common, nor its places; what is near in colour differs in
    line and width, too."""
    names = [name for name in METHODS if name in {*e1.search.PAPER_METHODS, *E1_OTHERS}]
    looks = {name: _look(name) for name in names}
    assert len({one["marker"] for one in looks.values()}) == len(names)
    assert len({_order(name) for name in names}) == len(names)
    for a, b in itertools.combinations(names, 2):
        near = min(distance(looks[a]["color"], looks[b]["color"], sight) for sight in SIGHTS) < APART
        alike = looks[a]["linestyle"] == looks[b]["linestyle"] and looks[a]["linewidth"] == looks[b]["linewidth"]
        assert not (near and alike), (a, b)
    assert min(looks[name]["linewidth"] for name in e1.search.PAPER_METHODS) > 1.5
    assert _look("somebody_else") | {"linewidth": 0.9} == methods.OTHERS | {"zorder": 2}


@pytest.mark.parametrize("lowest", [0.5, 3e-3, 3e-5, 1e-12])
def test_the_axis_of_norms_cuts_nothing_within_five_decades(lowest):
    _, axes = style.panels(1, 2, 2.0)
    style.norm_axis(axes.flat, [np.array([2.0, lowest, np.nan, 0.0])])
    for panel in axes.flat:
        low, high = panel.get_ylim()
        assert high > 2.0
        assert low < max(lowest, 2.1e-5)
        assert high / low > 20


def test_every_deviation_is_explained_where_it_is_drawn():
    from synthetic import whole_evidence
    from unibio.studies import DRAWINGS, discrepancies

    assert set(discrepancies.OTHERWISE) == set(discrepancies.PUBLISHED)
    figure = DRAWINGS["discrepancies"].draw(whole_evidence()).figure
    drawn = [text.get_text() for panel in figure.axes if panel.get_legend() for text in panel.get_legend().texts]
    assert all(any(one.endswith(f":\n{said}") for one in drawn) for said in discrepancies.OTHERWISE.values())
