"""The page in a real Chromium: nothing wrong, nothing from outside, readable narrow and wide, light and dark."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from pathlib import Path

import pytest

from hostile import hostile_study
from synthetic import study, whole_study
from unibio import report, studies
from unibio.report.page.html import linked
from unibio.report.pictures import draw_all

WIDTHS = (400, 1400)
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A report with pictures, a large table, a figure without picture, and sections that were not run."""
    out = tmp_path_factory.mktemp("site")
    names = ["fig1", "inner_iterations", "runtime"]
    given = study(**{name: whole_study()[name] for name in [*names, "lr_search"]})
    draw_all(Path("nowhere"), out, names, evidence=given)
    return report.write(Path("nowhere"), out, evidence=given)


@pytest.fixture(scope="module", params=["made up", "reproduced"])
def each_site(request, site) -> Path:
    if request.param == "made up":
        return site
    if "UNIBIO_REPRODUCED" not in os.environ:
        pytest.skip("needs UNIBIO_REPRODUCED=DIR, what make reproduce wrote, as in continuous integration")
    return Path(os.environ["UNIBIO_REPRODUCED"]) / "index.html"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_readable(opened, each_site, width, scheme):
    page = opened(each_site, width, scheme, files=pictures_beside(each_site))
    page.evaluate("[...document.images].forEach(one => { one.loading = 'eager' })")
    pictures = page.evaluate("Promise.all([...document.images].map(one => one.decode().then(() => one.naturalWidth)))")
    assert pictures
    assert min(pictures) > 300
    for unfolded in (False, True):
        page.evaluate(
            f"document.querySelectorAll('main details').forEach(one => {{ one.open = {str(unfolded).lower()} }})"
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    # A table, a code block or a picture may scroll in itself; nothing else may stick out of the window.
    outside = """[...document.querySelectorAll('main *')].filter(one => !one.closest('.wide table')
        && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 200))"""
    assert page.evaluate(outside) == []
    assert page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 16
    assert all(ratio >= 4.5 for ratio in contrasts(page).values()), contrasts(page)
    assert page.evaluate("getComputedStyle(document.images[0]).backgroundColor") == "rgb(255, 255, 255)"


def contrasts(page, which: str = "main p, main a, nav a, th, td, code, summary, figcaption, button, .badge"):
    """Of text against what is behind it, by the formula of WCAG 2."""
    found = page.evaluate(
        """which => [...document.querySelectorAll(which)].map(one => {
        const behind = element => {
            const colour = getComputedStyle(element).backgroundColor;
            return colour === 'rgba(0, 0, 0, 0)' && element.parentElement ? behind(element.parentElement) : colour;
        };
        return [one.tagName + '.' + one.className, getComputedStyle(one).color, behind(one)];
    })""",
        which,
    )

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    worst: dict[str, float] = {}
    for name, *colours in {tuple(one) for one in found}:
        low, high = sorted(map(luminance, colours))
        worst[name] = min(worst.get(name, 21.0), (high + 0.05) / (low + 0.05))
    return worst


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_figures_curves_open_and_fit(opened, each_site, width, scheme):
    page = opened(each_site, width, scheme)
    buttons = page.locator("button", has_text="Explore the curves")
    assert buttons.count() > 0
    page.evaluate("document.querySelectorAll('.interactive > button').forEach((one) => one.click())")
    page.wait_for_function(
        "[...document.querySelectorAll('.explorer:not([hidden])')].every((one) => one.querySelector('canvas'))"
        " || scrollTo(0, document.querySelector('.interactive[data-open]')?.offsetTop)"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = contrasts(page, ".explorer :is(label, button, legend, p, .read span:not(.swatch))")
    assert min(found.values()) >= 4.5, found


def test_it_is_no_larger_than_a_reader_waits_for(each_site):
    assert each_site.stat().st_size <= 6_000_000


def test_dark_is_dark(opened, site):
    colours = [
        opened(site, 1400, scheme).evaluate("getComputedStyle(document.body).backgroundColor") for scheme in SCHEMES
    ]
    assert colours == ["rgb(255, 255, 255)", "rgb(22, 24, 27)"]


def column(page, table: str, number: int) -> list[str]:
    return page.locator(f"{table} tbody tr:not([hidden]) td:nth-child({number})").all_inner_texts()


def test_tables_are_sorted_from_the_keyboard(opened, site):
    page = opened(site)
    table = page.locator("#running-time-and-inner-iterations ~ .wide").first
    header = table.locator("th", has_text="seconds").first
    number = 1 + page.evaluate("th => th.cellIndex", header.element_handle())

    def values():
        return [float(text) for text in table.locator(f"tbody td:nth-child({number})").all_inner_texts()]

    as_written = values()
    header.locator("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(as_written)
    page.keyboard.press("Space")
    assert header.get_attribute("aria-sort") == "descending"
    assert values() == sorted(as_written, reverse=True)
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") is None
    assert values() == as_written


def test_sorting_knows_numbers_words_and_what_is_missing(opened, tmp_path):
    from unibio.report.page.html import page as written
    from unibio.studies.common.document import Table

    cells = [["−2.5", "p = 10"], ["never", "p = 9"], ["1e-3", ""], ["–", "p = 2"], ["48 (1992)", "p = 4"], ["5", "–"]]
    (tmp_path / "t.html").write_text(written("t", [Table(["n", "w"], cells)], tmp_path), encoding="utf-8")
    page = opened(tmp_path / "t.html")
    press = page.locator("th button")
    press.first.click()
    assert column(page, "table", 1) == ["−2.5", "1e-3", "5", "48 (1992)", "never", "–"]
    press.first.click()
    assert column(page, "table", 1) == ["never", "48 (1992)", "5", "1e-3", "−2.5", "–"]
    press.last.click()
    assert column(page, "table", 2)[:4] == ["p = 2", "p = 4", "p = 9", "p = 10"]


@pytest.mark.parametrize("width", WIDTHS)
def test_claims_are_filtered(opened, site, width):
    page = opened(site, width)
    everything = column(page, ".stacked", 4)
    verdicts = page.locator("[aria-label='Filter by Verdict'] button")
    verdict = "reproduced"
    verdicts.filter(has_text=verdict).first.click()
    assert column(page, ".stacked", 4) == [verdict] * everything.count(verdict)
    page.locator(".filter input").fill("NOISE fig1d")
    (only,) = column(page, ".stacked", 1)
    assert "noise of variance 10" in only
    assert page.locator(".filter [role=status]").inner_text() == f"1 of {len(everything)}"
    page.locator(".filter input").fill("")
    verdicts.filter(has_text="all").click()
    assert column(page, ".stacked", 4) == everything


@pytest.mark.parametrize("width", WIDTHS)
def test_claims_are_filtered_by_whose_they_are_and_how_they_came_out(opened, site, width):
    page = opened(site, width)
    owners, outcomes = column(page, ".stacked", 2), column(page, ".stacked", 4)
    whose, verdicts = (page.locator(f"[aria-label='Filter by {name}'] button") for name in ("Whose", "Verdict"))
    own = owners.count("the paper")
    assert owners == ["the paper"] * own + [one for one in owners if one != "the paper"], "the paper's come first"
    whose.filter(has_text=f"the paper {own}").click()
    assert column(page, ".stacked", 2) == ["the paper"] * own
    assert column(page, ".stacked", 4) == outcomes[:own]
    verdicts.filter(has_text="not testable here").click()
    assert column(page, ".stacked", 4) == ["not testable here"] * outcomes[:own].count("not testable here")
    pressed = page.locator("[aria-pressed=true]").all_inner_texts()
    assert [text.rsplit(" ", 1)[0] for text in pressed] == ["the paper", "all", "not testable here"]
    whose.filter(has_text="all").click()
    assert column(page, ".stacked", 4) == ["not testable here"] * outcomes.count("not testable here")


@pytest.mark.parametrize("script", [True, False])
def test_a_link_to_a_claim_unfolds_its_numbers(opened, site, script):
    page = opened(site, java_script_enabled=script)
    numbers = page.locator("#fig1a")
    assert not numbers.is_visible()
    page.locator("main a", has_text="fig1a").first.click()
    numbers.wait_for(state="visible")
    assert "median" in numbers.inner_text().lower()


def test_a_link_to_a_claim_that_a_filter_hides_shows_it(opened, site):
    page = opened(site)
    page.locator(".filter input").fill("nothing says this")
    assert column(page, ".stacked", 4) == []
    page.locator("main a", has_text="fig1a").first.click()
    page.locator("#fig1a").wait_for(state="visible")
    assert page.locator(".filter input").input_value() == ""


@pytest.mark.parametrize("width", WIDTHS)
def test_many_values_are_filtered_by_a_list_from_the_keyboard(opened, tmp_path, width):
    from unibio.report.page.html import page as written
    from unibio.studies.common.document import Table

    table = Table(["what", "Source"], [[str(k), f"Section {k % 12}"] for k in range(30)], filter_by=("Source",))
    (tmp_path / "t.html").write_text(written("t", [table], tmp_path), encoding="utf-8")
    page = opened(tmp_path / "t.html", width)
    listed = page.locator("[aria-label='Filter by Source'] select")
    options = listed.locator("option").all_inner_texts()
    assert options[:3] == ["Source: all 30", "Section 0 3", "Section 1 3"]
    assert len(options) == 13
    listed.focus()
    page.keyboard.press("ArrowDown")
    assert column(page, ".stacked", 1) == ["0", "12", "24"]
    listed.select_option(label=options[0])
    assert len(column(page, ".stacked", 1)) == 30


def test_small_pictures_lead_to_their_figures(opened, site):
    page = opened(site, 400)
    small = page.locator(".thumbnails a")
    assert small.count() > 0
    assert small.first.bounding_box()["width"] < 150
    small.first.click()
    heading = page.locator(page.evaluate("location.hash"))
    assert 0 <= heading.bounding_box()["y"] < 300


def test_pictures_are_sharp_on_dense_screens_and_decoded_when_they_come_near(opened, site):
    page = opened(site)
    assert page.evaluate("[...document.querySelectorAll('figure img')].every(one => one.loading === 'lazy')")
    page.evaluate("[...document.images].forEach(one => { one.loading = 'eager' })")
    page.evaluate("Promise.all([...document.images].map(one => one.decode()))")
    sizes = page.evaluate("[...document.querySelectorAll('figure img')].map(one => [one.naturalWidth, one.width])")
    assert all(natural == 2 * shown for natural, shown in sizes)
    assert page.locator("figure a[href$='.pdf']").count() == len(sizes)


def test_mathematics_needs_no_script(opened, tmp_path):
    from unibio.report.page.html import page as written
    from unibio.studies.common.document import Paragraph

    text = written("t", [Paragraph("falls like T^(−1/4)"), Paragraph("falls like so")], tmp_path)
    (tmp_path / "t.html").write_text(text, encoding="utf-8")
    page = opened(tmp_path / "t.html", java_script_enabled=False)
    letter, raised = page.locator("var").bounding_box(), page.locator("sup").bounding_box()
    assert page.locator("sup").inner_text() == "−1/4"
    assert raised["height"] < letter["height"]
    assert raised["y"] + raised["height"] / 2 < letter["y"] + letter["height"] / 2
    assert page.locator("p").first.bounding_box()["height"] == page.locator("p").last.bounding_box()["height"]


def test_a_link_from_elsewhere_unfolds_its_target(opened, site):
    opened(site, anchor="#fig1c").locator("#fig1c").wait_for(state="visible")


def test_contents_stay_in_sight(opened, site):
    """A column beside the text where there is room, else a bar that opens and, after a choice, closes."""
    wide = opened(site)
    assert wide.locator("nav a", has_text="Figure 1 by Algorithm 2").first.is_visible()
    wide.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    wide.locator("nav a[aria-current]").wait_for()
    assert wide.locator("nav a", has_text="Every claim").bounding_box()["y"] >= 0
    narrow = opened(site, 400)
    link = narrow.locator("nav a", has_text="Environment and records")
    assert not link.is_visible()
    narrow.evaluate("scrollTo(0, 3000)")
    narrow.locator("nav summary").click()
    link.click()
    assert not link.is_visible()
    assert 0 < narrow.locator("#environment-and-records").bounding_box()["y"] < 200


def test_everything_is_there_without_javascript(opened, site):
    page = opened(site, java_script_enabled=False)
    for name in ("fig1", "inner_iterations", "runtime"):
        assert page.locator(f"h3#{name}").is_visible()
    folded = page.locator("details", has_text="Table fig1").first
    assert not folded.locator("table").is_visible()
    folded.locator("summary").click()
    assert folded.locator("table").is_visible()


def test_it_can_be_printed(opened, site, tmp_path):
    page = opened(site, scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#fig1a").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.locator("#fig1a").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_it_is_named_for_those_who_cannot_see(opened, site):
    page = opened(site)
    named = 'button, a, input, select, img:not([alt=""]), nav, [role=region]'
    unnamed = f"""[...document.querySelectorAll('{named}')].filter(
        one => !(one.getAttribute('aria-label') || one.alt || one.textContent.trim())
    ).map(one => one.outerHTML.slice(0, 200))"""
    assert page.evaluate(unnamed) == []
    assert page.evaluate("document.querySelectorAll('th:not([scope=col])').length") == 0
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"


@pytest.mark.slow
def test_nothing_from_a_record_acts(opened, tmp_path):
    """Texts that want to be scripts, in every place a record or a list of records has; every button pressed."""
    hostile_study(tmp_path / "runs")
    page = opened(report.write(tmp_path / "runs", tmp_path / "out"))
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert "window.acted" in page.inner_text("main")
    for button in page.locator("main button").all():
        button.click()
    assert page.evaluate("window.acted") is None
    assert page.evaluate("[...document.links].filter(one => !/^(https?|file):/.test(one.href)).length") == 0


@pytest.mark.slow
def test_what_got_in_nevertheless_would_not_run(browser, site):
    """The policy, by itself: an element with a handler, a script, a frame and a picture from elsewhere are refused."""
    page = browser.new_page()
    refused, asked, failed = [], set(), set()
    page.on("console", lambda message: refused.append(message.text))
    page.on("request", lambda request: asked.add(request.url))
    page.on("requestfailed", lambda request: failed.add(request.url))
    page.goto(site.as_uri())
    page.evaluate("""async () => {
        document.querySelector('main').insertAdjacentHTML('beforeend', `<img id="one" onerror="window.acted = 1">
            <img id="two"> <a id="trap" href="javascript:window.acted = 2">x</a>
            <iframe src="https://evil.example/"></iframe>`);
        const script = document.createElement('script');
        script.textContent = 'window.acted = 3';
        document.body.append(script);
        document.getElementById('trap').click();
        for (const [id, source] of [['one', 'data:,'], ['two', 'https://evil.example/x.png']]) {
            const image = document.getElementById(id);
            const gone = new Promise(resolve => image.addEventListener('error', resolve));
            image.src = source;
            await gone;
        }
    }""")
    assert page.evaluate("window.acted") is None
    assert sum("Content Security Policy" in text for text in refused) >= 4
    assert {url for url in asked if url.startswith("https:")} <= failed, "asked for, it was refused by the browser"
    page.close()


@pytest.mark.slow
def test_published_its_pictures_are_shown_from_beside_it(opened, site, tmp_path):
    """The policy allows files beside the page, as it lies in the repository."""
    (tmp_path / "index.html").write_text(linked(site.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copytree(site.parent / "figures", tmp_path / "figures")
    page = opened(tmp_path / "index.html", files=page_images(site))
    page.evaluate("[...document.images].forEach(one => { one.loading = 'eager' })")
    assert page.evaluate("Promise.all([...document.images].map(one => one.decode())).then(() => true)")
    assert page.evaluate("Math.min(...[...document.images].map(one => one.naturalWidth))") > 300


def pictures_beside(site: Path) -> int:
    """How many pictures a page shows from the files beside it: those of variants alone, which have to be there."""
    images = set(re.findall(r'<img[^>]* src="([^"]*)"', site.read_text(encoding="utf-8")))
    files = {image for image in images if not image.startswith("data:")}
    drawn = {name for name, drawing in studies.DRAWINGS.items() if drawing.variant}
    assert {Path(file).stem for file in files} <= drawn
    return len(files)


def page_images(site: Path) -> int:
    """How many pictures a page shows; small ones are of files that are shown large, too."""
    return len(set(re.findall('data-file="([^"]*)"', site.read_text(encoding="utf-8"))))
