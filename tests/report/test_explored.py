"""Interactive forms in a real Chromium: what is hidden is not drawn, what is chosen is, by keyboard and on a phone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import synthetic_e1
from synthetic import study, whole_study
from unibio.report import argument
from unibio.report.page import explore
from unibio.report.page.html import page as written
from unibio.studies.common.document import Heading, Interactive, PageOnly, Paragraph

RED, BLUE = "#d55e00", "#0072b2"
X = [0, 25, 50, 75, 100]
LOG, LINEAR = ({"log": log, "range": [1, 10000]} for log in (True, False))

#: Red rises from 1 to 10⁴ evenly on a logarithmic axis, blue falls, with a band; a line across, points and a path.
CURVES = [
    {"kind": "line", "name": "red", "colour": RED, "width": 2, "x": X, "y": [1, 10, 100, 1000, 10000]},
    {"kind": "line", "name": "blue", "colour": BLUE, "width": 2, "x": X, "y": [5000, None, 500, 50, 5]}
    | {"low": [2500, 2500, 250, 25, 2], "high": [9000, 9000, 900, 90, 9]},
    {"kind": "across", "name": "", "colour": "#8800ff", "width": 2, "at": 30},
    {"kind": "points", "name": "green", "colour": "#009e73", "width": 1, "x": [50, 50], "y": [3000, 5000]},
    {"kind": "path", "name": "green", "colour": "#009e73", "width": 2, "x": [10, 30, 10], "y": [2, 4, 8]},
]
PANELS = {
    "panels": [
        {
            "title": "one",
            "x": {"label": "t", "log": False, "range": [0, 100]},
            "y": {"label": "y", **LOG},
            "curves": CURVES,
        },
        {
            "title": "two",
            "x": {"label": "t", "log": False, "range": [-5, 105], "ticks": [[0, "start"], [100, "end"]]},
            "y": {"label": "y", "log": False, "range": [-2, 2]},
            "curves": [{"kind": "line", "name": "red", "colour": RED, "width": 2, "x": X, "y": [-1, 0, 1, None, 0]}],
        },
    ]
}


def page_of(folder: Path, *blocks) -> Path:
    path = folder / "index.html"
    path.write_text(written("t", [Heading(1, "t"), Heading(2, "s"), *blocks], folder), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def curves_page(tmp_path_factory) -> Path:
    return page_of(tmp_path_factory.mktemp("curves"), Interactive("curves", "figure", json.dumps(PANELS)))


@pytest.fixture(scope="module")
def argument_page(tmp_path_factory) -> Path:
    whole = whole_study()
    given = study(fig1_equal=whole["fig1_equal"], hoelder_figures=whole["hoelder_figures"], e1=synthetic_e1.study())
    return page_of(tmp_path_factory.mktemp("argument"), *argument.blocks(given))


def explored(page):
    """Opened by its button."""
    page.locator("button", has_text="Explore the curves").click()
    page.locator(".plot canvas").last.wait_for()
    return page


def seen(page, colour: str, plot: int = 0, near: int = 40) -> list[list[int]]:
    """[x, y] of the pixels of a colour on a panel's canvas, x and y in percent of what the panel encloses."""
    return page.evaluate(
        """([colour, at, near]) => {
            const plot = document.querySelectorAll('.plot')[at], canvas = plot.querySelector('canvas');
            const [over, box] = [plot.querySelector('.u-over'), canvas].map((one) => one.getBoundingClientRect());
            const copy = new OffscreenCanvas(canvas.width, canvas.height)
                .getContext("2d", { willReadFrequently: true });
            copy.fillStyle = '#ffffff';
            copy.fillRect(0, 0, canvas.width, canvas.height);
            copy.drawImage(canvas, 0, 0);
            const { data, width } = copy.getImageData(0, 0, canvas.width, canvas.height);
            const wanted = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
            const found = [], ratio = canvas.width / box.width;
            for (let i = 0; i < data.length; i += 4) {
                if (wanted.some((value, j) => Math.abs(data[i + j] - value) > near)) continue;
                const x = (i / 4) % width / ratio + box.left - over.left;
                const y = Math.floor(i / 4 / width) / ratio + box.top - over.top;
                found.push([100 * x / over.width, 100 - 100 * y / over.height]);
            }
            return found;
        }""",
        [colour, plot, near],
    )


def height_at(page, colour: str, x: float, plot: int = 0) -> float:
    """In percent, the mean of a curve's pixels at a place along x, both in percent."""
    found = [y for at, y in seen(page, colour, plot) if abs(at - x) < 1.5]
    return sum(found) / len(found)


def test_nothing_is_drawn_before_it_is_asked_for(opened, curves_page):
    page = opened(curves_page)
    assert page.locator("canvas").count() == 0
    button = page.locator("button", has_text="Explore the curves")
    assert button.get_attribute("aria-expanded") == "false"
    explored(page)
    assert button.get_attribute("aria-expanded") == "true"
    assert page.locator("canvas").count() == 2
    button.click()
    assert not page.locator("canvas").first.is_visible()


def test_curves_are_where_their_numbers_are(opened, curves_page):
    page = explored(opened(curves_page))
    for x, y in ((0.5, 0), (25, 25), (50, 50), (75, 75)):
        assert height_at(page, RED, x) == pytest.approx(y, abs=3)
    assert height_at(page, "#8800ff", 20) == pytest.approx(37, abs=2), "log10(30) / 4"
    assert height_at(page, RED, 5 / 110 * 100, 1) == pytest.approx(25, abs=3)
    assert not [x for x, _ in seen(page, BLUE) if 2 < x < 48], "a gap"
    assert not [x for x, _ in seen(page, RED, 1) if 60 < x < 90], "a gap"
    assert [y for x, y in seen(page, "#009e73") if 48 < x < 52], "points"
    assert height_at(page, "#009e73", 28) == pytest.approx(15, abs=3), "a path"


def test_hiding_isolating_and_showing_again_by_keyboard(opened, curves_page):
    page = opened(curves_page)
    page.locator("button", has_text="Explore the curves").focus()
    page.keyboard.press("Enter")
    page.locator(".plot canvas").last.wait_for()
    for _ in range(3):
        page.keyboard.press("Tab")  # the first curve, its button, the second curve
    assert page.evaluate("document.activeElement.parentElement.textContent").strip() == "blue"
    page.keyboard.press("Space")
    assert seen(page, BLUE) == []
    assert seen(page, RED)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Only blue"
    page.keyboard.press("Enter")
    assert page.locator(".explorer li input").evaluate_all("all => all.map((one) => one.checked)") == [
        False, True, False, False,
    ]  # fmt: skip
    assert seen(page, BLUE)
    assert seen(page, RED) == seen(page, RED, 1) == seen(page, "#009e73") == seen(page, "#8800ff") == []
    page.keyboard.press("Enter")
    assert seen(page, RED)
    assert page.locator(".explorer li input:checked").count() == 4
    page.locator("button", has_text="only").first.click()
    page.locator("button[aria-label='All curves']").click()
    assert page.locator(".explorer li input:checked").count() == 4
    assert seen(page, BLUE)


def test_a_curve_that_only_looked_hidden_would_be_noticed(opened, tmp_path, monkeypatch):
    library, own = explore.scripts()
    broken = own.replace("shown: (curve) => !state.hidden.has(curve.name)", "shown: () => true")
    assert broken != own
    monkeypatch.setattr(explore, "scripts", lambda: (library, broken))
    page = explored(opened(page_of(tmp_path, Interactive("curves", "figure", json.dumps(PANELS)))))
    page.get_by_label("blue", exact=True).uncheck()
    assert seen(page, BLUE)


def test_axes_are_switched(opened, curves_page):
    page = explored(opened(curves_page))
    vertical = page.get_by_role("group", name="Vertical axis")
    assert vertical.get_by_label("as drawn").is_checked(), "one panel is logarithmic and one is not"
    vertical.get_by_label("linear").check()
    assert height_at(page, RED, 50) == pytest.approx(100 * (0.04 + 99 / 9999) / 1.08, abs=3)
    vertical.get_by_label("logarithmic").focus()
    page.keyboard.press("Space")
    assert height_at(page, RED, 50) == pytest.approx(50, abs=4)
    assert height_at(page, RED, 5 / 110 * 100, 1) == pytest.approx(25, abs=3), "below zero there is no logarithm"
    page.get_by_role("group", name="Horizontal axis").get_by_label("logarithmic").check()
    assert seen(page, RED)
    assert not [x for x, y in seen(page, RED) if y < 20], "0 is left out"


def test_bands_are_shown_and_hidden(opened, curves_page):
    page = explored(opened(curves_page))
    pale = "#cce3f0"  # a fifth of blue on white
    band = [[x, y] for x, y in seen(page, pale, near=6) if 60 < x < 70]
    assert band
    page.get_by_label("shown").uncheck()
    assert len([x for x, _ in seen(page, pale, near=6) if 60 < x < 70]) < len(band) / 10
    assert seen(page, BLUE)


def test_curves_are_read_by_keyboard_and_by_hovering(opened, curves_page):
    page = explored(opened(curves_page))
    reader, text = page.locator(".plot input[type=range]").first, page.locator(".read").first
    reader.focus()
    page.keyboard.press("Home")
    assert reader.get_attribute("aria-valuetext") == "t = 0; red: 1; blue: 5000 (2500 to 9000)"
    page.keyboard.press("ArrowRight")
    assert reader.get_attribute("aria-valuetext") == "t = 25; red: 10; blue: – (2500 to 9000)"
    page.keyboard.press("End")
    assert text.inner_text().split() == ["t", "=", "100", "red:", "10000", "blue:", "5", "(2", "to", "9)"]
    named = page.locator(".plot input[type=range]").nth(1)
    named.focus()
    page.keyboard.press("Home")
    assert named.get_attribute("aria-valuetext") == "t = start; red: -1", "where a place has a name"
    box = page.locator(".u-over").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20)
    assert "red: 1000" in text.inner_text()
    page.get_by_label("red", exact=True).uncheck()
    assert "red" not in text.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_fits_and_is_named(opened, tmp_path, argument_page, width, scheme):
    long = json.loads(
        json.dumps(PANELS).replace('"red"', '"red, whose name is quite long and has a bound t^(−1/(3p−2))"')
    )
    for path in (page_of(tmp_path, Paragraph("x"), Interactive("curves", "figure", json.dumps(long))), argument_page):
        page = opened(path, width, scheme)
        for button in page.locator("button", has_text="Explore").all():
            button.click()
        page.locator(".plot canvas").last.wait_for()
        page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        outside = """[...document.querySelectorAll('.explorer *')].filter((one) => !one.closest('.canvas')
            && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 200))"""
        assert page.evaluate(outside) == []
        right = "Math.max(...[...document.querySelectorAll('canvas')].map((one) => one.getBoundingClientRect().right))"
        assert page.evaluate(right) <= width
        unnamed = """[...document.querySelectorAll('.explorer :is(button, input, fieldset, [role=group])')]
            .filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim()
            || one.labels?.[0]?.textContent.trim())).map((one) => one.outerHTML.slice(0, 200))"""
        assert page.evaluate(unnamed) == []


def test_a_chart_follows_the_windows_width(opened, curves_page):
    page = explored(opened(curves_page, 1400))
    page.set_viewport_size({"width": 400, "height": 900})
    page.wait_for_function("document.querySelector('canvas').getBoundingClientRect().right <= 400")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def averages(page, problem: int) -> dict[str, float]:
    texts = page.locator(".averages").nth(problem).locator("span:not(.swatch)").all_inner_texts()
    return {text.split(",")[0].split(":")[0].strip(): float(text.split(":")[-1]) for text in texts if text}


def test_curves_collapse_at_equal_steps(opened, argument_page):
    page = opened(argument_page)
    page.locator(".averages").first.wait_for()
    slider, reader = (page.locator(f".explorer {where}").first for where in (".slid input", ".plot input"))
    assert "the paper's η" in page.locator(".slid output").first.inner_text()
    apart = averages(page, 0)
    assert apart["largest over least average"] > 1.5
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert "for every p" in page.locator(".slid output").first.inner_text()
    together = averages(page, 0)
    assert together["largest over least average"] == pytest.approx(1, abs=0.05)
    assert together["largest over least average"] < apart["largest over least average"]
    values = {one.split()[-1] for one in reader.get_attribute("aria-valuetext").split("; ")[1:]}
    assert len(values) == 1, "the same at the place that is read"
    page.locator("details summary", has_text="η for each p").first.click()
    single = page.locator(".explorer details").first.locator("input")
    assert single.count() == 4
    single.last.focus()
    page.keyboard.press("ArrowRight")
    assert "one for each p" in page.locator(".slid output").first.inner_text()
    page.get_by_label("noise of variance 1").check()
    assert page.locator(".averages").count() == 2


def test_a_cap_takes_the_lead_away(opened, argument_page):
    page = opened(argument_page)
    last = page.locator(".interactive").last
    last.scroll_into_view_if_needed()
    last.locator(".ranks li").first.wait_for()
    slider = last.locator(".slid input")
    slider.focus()
    page.keyboard.press("Home")
    assert "UniBiO has rank 1 of 5" in last.locator("output").inner_text()
    assert "UniBiO" in last.locator(".ranks li").first.inner_text()
    page.keyboard.press("End")
    assert "UniBiO has rank 5 of 5" in last.locator("output").inner_text()
    assert "UniBiO" in last.locator(".ranks li").last.inner_text()
    assert slider.get_attribute("aria-valuetext").startswith("1; 1. ")


def test_without_javascript_pictures_say_it(opened, argument_page, curves_page):
    page = opened(argument_page, java_script_enabled=False)
    assert page.locator("noscript").first.is_visible()
    assert not opened(curves_page, java_script_enabled=False).locator("main button").count()


def test_texts_of_a_figure_stay_texts(opened, tmp_path):
    hostile = json.dumps(PANELS).replace('"red"', json.dumps("<img src=x onerror='window.acted = 1'>"))
    block = PageOnly([Interactive("curves", "<script>window.acted = 2</script>", hostile)])
    page = explored(opened(page_of(tmp_path, block)))
    assert "onerror" in page.locator(".explorer li").first.inner_text()
    assert page.evaluate("window.acted") is None
