"""The report: every claim in it, nothing from outside, and honest about scale and absence."""

from __future__ import annotations

import json
import re
from collections import Counter
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from synthetic import study, synthetic_study, whole_evidence, whole_study
from unibio import report
from unibio.errors import InputError
from unibio.report import lead
from unibio.report import verdicts as explained
from unibio.report.abridging import MOST_ROWS as MOST_LINES
from unibio.report.counts import headline
from unibio.report.figures import MOST_ROWS, excerpt
from unibio.report.page.html import linked, page
from unibio.report.page.mathematics import set_
from unibio.report.pictures import draw_all
from unibio.studies import CLAIMS, DRAWINGS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.document import (
    Badge,
    Bullets,
    Code,
    Folded,
    Heading,
    MarkdownOnly,
    PageOnly,
    Paragraph,
    Picture,
    Table,
    Thumbnails,
    markdown,
    shown,
    slug,
)
from unibio.studies.common.kinds import Kind

#: What report.md stays below, with every study in it.
MOST_BYTES = 100_000


#: What a tag closes that is still open and has no end tag of its own, by the HTML standard, and what an end tag.
CLOSES = {"td": {"td"}, "th": {"th"}, "tr": {"td", "th", "tr"}, "tbody": {"td", "th", "tr", "thead"}}
CLOSED_WITH = {"table": {"td", "th", "tr", "thead", "tbody"}}


class Wellformed(HTMLParser):
    """Collects what opens and fails on what does not close."""

    void = frozenset({"meta", "img", "br", "wbr"})

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        self.close_implied(CLOSES.get(tag, ()))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.close_implied(CLOSED_WITH.get(tag, ()))
        assert self.open.pop() == tag

    def close_implied(self, tags):
        while self.open and self.open[-1] in tags:
            self.open.pop()


def parsed(text):
    parser = Wellformed()
    parser.feed(text)
    assert not parser.open
    return parser


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    given = whole_evidence()
    draw_all(Path("nowhere"), out, ["runtime", "inner_iterations"], evidence=given)
    for name in DRAWINGS:  # what the other pictures show does not matter here
        for suffix in ("png", "pdf"):
            (out / "figures" / f"{name}.{suffix}").touch()
        if not (out / "tables" / f"{name}.csv").exists():
            (out / "tables" / f"{name}.csv").touch()
    for suffix in ("png", "pdf"):
        (out / "figures" / f"runtime.{suffix}").unlink()
    assert report.write(Path("nowhere"), out, evidence=given) == out / "index.html"
    return out


def in_markdown(out: Path) -> dict[str, str]:
    """report.md and what stands beside it."""
    return {path.name: path.read_text(encoding="utf-8") for path in out.glob("*.md")}


@pytest.mark.slow
@pytest.mark.slow
def test_every_claim_is_in_every_form(written):
    machine = json.loads((written / "claims.json").read_text(encoding="utf-8"))
    text, ours = (in_markdown(written)[name].replace("\\", "") for name in ("report.md", "our_claims.md"))
    html = (written / "index.html").read_text(encoding="utf-8")
    assert [claim["id"] for claim in machine["claims"]] == [claim.id for claim in CLAIMS]
    for claim in machine["claims"]:
        assert claim["verdict"] in rules.VERDICTS
        assert claim["verdict"] != rules.NOT_RUN
        assert claim["records"]
        assert claim["numbers"]
        in_words = f"#### {claim['id']}\n\n{claim['statement']} **{claim['verdict']}**"
        assert in_words in (ours if Kind(claim["kind"]).ours else text)
        plain = claim["verdict"] in (rules.REPRODUCED, rules.CONSISTENT)
        where = ours if Kind(claim["kind"]).ours else "" if plain else text
        assert not where or claim["explanation"] in where.replace("&lt;", "<"), claim["id"]
        assert f"<summary>{set_(escape(claim['statement']))}</summary>" in html
        assert html.count(f'id="{slug(claim["id"])}"') == 1
    table = pd.read_csv(written / "tables" / "claims.csv")
    assert sorted(table["id"]) == sorted(claim["id"] for claim in machine["claims"])
    assert table["explanation"].str.len().min() > 0
    assert machine["scales"] == ["paper"]
    assert "reduced scale" not in text.lower()


@pytest.mark.slow
def test_links_lead_somewhere_and_commands_are_there(written):
    texts = in_markdown(written)
    assert texts.keys() == {"report.md", "our_claims.md", "long_tables.md", "what_to_keep_in_mind.md"}
    text, anchors = texts["report.md"], {}
    for name, one in texts.items():
        anchors[name] = [slug(heading) for heading in re.findall(r"^#+ (.*)$", one, re.M)]
        assert len(set(anchors[name])) == len(anchors[name])
    for name, one in texts.items():
        for target in re.findall(r"\]\(([^)]+)\)", one):
            file, _, place = target.partition("#")
            assert target in (lead.ARXIV, lead.RELEASED) or (written / (file or name)).is_file(), target
            assert not place or anchors[file or name].count(place) == 1, target
    for claim in CLAIMS:
        assert ([slug(claim.id)] * claim.kind.ours, [slug(claim.id)] * (not claim.kind.ours)) == tuple(
            [one for one in anchors[name] if one == slug(claim.id)] for name in ("our_claims.md", "report.md")
        )
    within = re.findall(r"\]\(#([^)]+)\)", text)
    assert set(within) >= {slug(claim.figure) for claim in CLAIMS if claim.kind is Kind.PAPER}
    leading = {name: set(re.findall(rf"\]\({name}#([^)]+)\)", text)) for name in texts}
    assert leading["our_claims.md"] >= {slug(claim.id) for claim in CLAIMS if claim.kind.ours}
    assert all(leading[name] for name in texts.keys() - {"report.md"})
    commands = text[text.index("### Commands") :]
    for drawing in DRAWINGS.values():
        assert all(re.search(rf"\b{experiment} \(\d", commands) for experiment in drawing.experiments)


@pytest.mark.slow
def test_headings_are_words_and_anchors_stay_names(written):
    """What heads a figure may be worded anew; links to it, by its name, stay."""
    html = (written / "index.html").read_text(encoding="utf-8")
    text = (written / "report.md").read_text(encoding="utf-8")
    for name, drawing in DRAWINGS.items():
        assert f'<h3 id="{slug(name)}">{set_(escape(drawing.title))}</h3>' in html
        assert f"### {name}\n\n{drawing.title}\n\n" in text


def test_every_figure_of_ours_has_a_heading_of_its_own():
    titles = [drawing.title for drawing in DRAWINGS.values()]
    assert len(set(titles)) == len(titles)
    for title in titles:
        assert 2 < len(title.split()) < 16, title
        assert not re.search(r"[a-z]_[a-z]|\.$", title.replace("ℓ_p", "")), title


@pytest.mark.slow
def test_the_report_in_markdown_is_short(written):
    """With every study there is; no claim is told twice, and long tables are files. What real records make a verdict
    say is longer than here, for which the last tenth is left."""
    text, *others = (in_markdown(written)[name] for name in ("report.md", "our_claims.md", "long_tables.md"))
    assert len(text.encode()) < 0.9 * MOST_BYTES
    assert sum(len(one.encode()) for one in (text, *others)) > MOST_BYTES, "which is why they are files of their own"
    for claim in CLAIMS:
        assert text.count(claim.statement) <= (not claim.kind.ours) + (claim.id in lead.SENTENCES)
    tables = re.findall(r"(?:^\|.*\|$\n)+", text, re.M)
    found = [table for table in tables if not table.startswith(("| In the paper", "|  | holds"))]
    assert len(found) == len(tables) - 3
    assert all(len(table.splitlines()) - 2 <= MOST_LINES for table in found)


def test_the_published_report_in_markdown_is_short():
    published = Path(__file__).parents[2] / "results" / "published"
    assert (published / "report.md").stat().st_size < MOST_BYTES


@pytest.mark.slow
def test_html_is_one_wellformed_file(written):
    html = (written / "index.html").read_text(encoding="utf-8")
    seen = parsed(html).seen
    images = [attrs for tag, attrs in seen if tag == "img"]
    tables = [name for name in DRAWINGS if not (written / "figures" / f"{name}.png").exists()]
    assert len(images) == 3 + len(DRAWINGS) - len(tables)
    variants = {f"figures/{name}.png" for name, drawing in DRAWINGS.items() if drawing.variant}
    inside = [image for image in images if image["src"] not in variants]
    assert all(re.match("data:image/(webp|png);base64,", image["src"]) for image in inside)
    assert len(images) - len(inside) == len(variants)
    assert all(image["alt"] and image["loading"] == "lazy" for image in images[3:])
    vectors = [attrs["href"] for tag, attrs in seen if tag == "a" and attrs["href"].endswith(".pdf")]
    assert len(vectors) == 2 * (len(images) - 3), "the picture leads to it, and a word"
    assert not [tag for tag, _ in seen if tag in ("link", "iframe", "base")]
    scripts = [attrs for tag, attrs in seen if tag == "script"]
    assert scripts.count({}) == 3, "the page's, the library's and the interactive forms', all of them in the page"
    assert all(attrs in ({}, {"type": "text/plain"}) for attrs in scripts)
    targets = [attrs["href"] for tag, attrs in seen if tag == "a"]
    absolute = {target for target in targets if re.match(r"[a-z]+:|/", target)}
    assert absolute == {lead.ARXIV, lead.RELEASED}, "links, and nothing that is loaded"
    assert all((written / target).is_file() for target in {*targets} - absolute if not target.startswith("#"))
    ids = [attrs["id"] for _, attrs in seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in seen
    assert "prefers-color-scheme: dark" in html


@pytest.mark.slow
@pytest.mark.slow
def test_it_is_the_same_every_time(written, tmp_path):
    given = study(**whole_study())
    for _ in range(2):
        report.write(Path("nowhere"), tmp_path, evidence=given)
    first = (tmp_path / "claims.json").read_bytes()
    assert first == (written / "claims.json").read_bytes()


@pytest.mark.slow
def test_reduced_scale_is_said_with_every_verdict(tmp_path):
    report.write(tmp_path, tmp_path, evidence=study(**whole_study("smoke", steps=40)))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "**Reduced scale (smoke)" in text
    rows = [
        line
        for one in in_markdown(tmp_path).values()
        for line in one.splitlines()
        if line.startswith("UniBiO converges on Example 3")
    ]
    assert len(rows) == 7
    assert all("(reduced scale: smoke)" in row for row in rows)
    assert text.count("](our_claims.md#") == text.count(") (reduced scale: smoke)") + text.count("[In words:") + 1
    machine = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert machine["scales"] == ["smoke"]


def test_only_verdicts_from_a_reduced_scale_are_called_so(tmp_path):
    """One experiment at a reduced scale, one at the paper's: the banner and the counts tell them apart."""
    experiments = {"fig1": whole_study("smoke", steps=40)["fig1"], "runtime": whole_study()["runtime"]}
    report.write(tmp_path, tmp_path, evidence=study(**experiments))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    verdicts = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))["claims"]
    run = [claim for claim in verdicts if claim["verdict"] != rules.NOT_RUN]
    marked = [claim for claim in run if "fig1" in claim["experiments"]]
    assert (len(marked), len(run)) == (7, 9)
    assert "**7 of the 9 verdicts are at a reduced scale (smoke) and marked so" in text
    assert "say nothing about the paper" not in text
    assert text.count("(reduced scale: smoke)") == len(marked)
    ours = [claim for claim in marked if Kind(claim["kind"]).ours]
    assert 0 < in_markdown(tmp_path)["our_claims.md"].count("(reduced scale: smoke)**") == len(ours) < len(marked)
    own = re.search(r"\*\*The paper's own claims\*\*: (.*)\.$", text, re.M)[1]
    assert re.match(r"at full scale not testable here 1; at a reduced scale \(smoke\) not reproduced 4; not yet", own)
    assert re.search(r"^- \*\*ours, asking\*\* .*: holds 1; not yet run \d+$", text, re.M), "of full scale"
    assert counted(text) == len(verdicts)


def counted(text: str) -> int:
    """How many claims the headlines of a report count: the paper's in its first lines, others before their words."""
    own = re.search(r"\*\*The paper's own claims\*\*: .*", text)[0] + "\n"
    others = text[text.index("## Verdicts") : text.index("In these words:")]
    return sum(map(int, re.findall(r" (\d+)(?=[,;.\n])", own + others)))


@pytest.mark.slow
def test_the_paper_s_own_claims_are_counted_first_and_alone(written):
    text = (written / "report.md").read_text(encoding="utf-8")
    claims = json.loads((written / "claims.json").read_text(encoding="utf-8"))["claims"]
    assert counted(text) == len(claims)
    first, *others = headline(written)
    own = Counter(claim["verdict"] for claim in claims if claim["kind"] == "paper")
    assert first == f"the paper: {', '.join(f'{word} {own[word]}' for word in rules.VERDICTS if own[word])}"
    assert f" **The paper's own claims**{first.removeprefix('the paper')}.\n" in text[: text.index("## Verdicts")]
    assert [line.split(":")[0] for line in others] == [
        kind.label for kind in Kind if kind != "paper" and kind in {claim["kind"] for claim in claims}
    ]
    rows = [
        row
        for name in ("report.md", "our_claims.md")
        for row in re.findall(r"^#### (.*)$", in_markdown(written)[name], re.M)
    ]
    kinds = {claim["id"]: Kind(claim["kind"]) for claim in claims}
    assert [kinds[row] for row in rows] == sorted(kinds.values(), key=list(Kind).index)


def test_counts_of_another_version_are_refused(tmp_path):
    for content in (None, "", "{}", '{"claims": [{"verdict": "reproduced", "scale": "paper"}]}'):
        if content is not None:
            (tmp_path / "claims.json").write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"claims\.json is not what"):
            headline(tmp_path)


@pytest.mark.slow
def test_words_are_those_of_the_kind(written):
    """What is ours is never said to be reproduced or not, and what a source says always is."""
    for claim in json.loads((written / "claims.json").read_text(encoding="utf-8"))["claims"]:
        ours = "hold" in claim["verdict"]
        sources = "reproduced" in claim["verdict"]
        assert not (sources if Kind(claim["kind"]).ours else ours), claim["id"]


@pytest.mark.slow
def test_the_words_of_the_verdicts_are_explained(written):
    text = (written / "report.md").read_text(encoding="utf-8")
    occurring = {claim["verdict"] for claim in json.loads((written / "claims.json").read_text())["claims"]}
    legend = text[text.index("## Verdicts") : text.index("### Claims")]
    for word in rules.VERDICTS:
        assert (f"- **{word}**: {explained.MEANINGS[word]}" in legend) == (word in occurring)


def test_without_records_everything_is_not_yet_run(tmp_path):
    report.write(tmp_path / "runs", tmp_path)
    machine = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert {claim["verdict"] for claim in machine["claims"]} == {rules.NOT_RUN}
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "experiment=fig1" in text
    assert f"All {len(CLAIMS)} claims wait for records" in text
    parsed((tmp_path / "index.html").read_text(encoding="utf-8"))


def test_only_claims_that_were_run_are_shown_and_a_line_says_how_to_run_more(tmp_path):
    some = study(fig1=synthetic_study(steps=60)["fig1"]())
    report.write(tmp_path / "runs", tmp_path, evidence=some)
    machine = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))["claims"]
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    run = [claim for claim in machine if claim["verdict"] != rules.NOT_RUN]
    assert 0 < len(run) < len(machine) == len(CLAIMS)
    everything = "".join(in_markdown(tmp_path).values())
    for claim in machine:
        assert (claim["statement"] in everything) == (claim in run), claim["id"]
    assert f"{len(machine) - len(run)} more claims wait for records: `make reproduce-all`" in text
    assert f"**{rules.NOT_RUN}**" not in text
    for command in ("experiment=fig5", "experiment=e1\n", "experiment=tracking"):
        assert command in text, command


@pytest.mark.slow
def test_pictures_of_records_that_are_gone_are_not_shown(written, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "fig1.png").write_bytes((written / "figures" / "fig1.png").read_bytes())
    report.write(tmp_path / "runs", tmp_path)
    assert "figures/fig1.png" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_numbers_as_shown():
    values = (1.23456, 12345.6, float("inf"), float("nan"), None, True, 7, "text")
    assert [shown(v) for v in values] == ["1.235", "12346", "never", "–", "–", "yes", "7", "text"]


@pytest.mark.slow
def test_every_table_is_on_the_page(written):
    html = (written / "index.html").read_text(encoding="utf-8")
    text = "".join(in_markdown(written).values())
    for path in (written / "tables").glob("*.csv"):
        where = text if path.stem.startswith("report_") else html  # what is long in Markdown is whole on the page
        assert f"tables/{path.name}" in where


@pytest.mark.slow
def test_pictures_can_be_beside_the_page(written):
    text = linked((written / "index.html").read_text(encoding="utf-8"))
    images = [attrs for tag, attrs in parsed(text).seen if tag == "img"]
    assert len(images) == 3 + len(list((written / "figures").glob("*.png")))
    assert all((written / image["src"]).is_file() for image in images)
    assert "data:image" not in text


@pytest.mark.slow
def test_what_repeats_another_figure_is_beside_the_page_and_its_curves_inside(written):
    html = (written / "index.html").read_text(encoding="utf-8")
    variants = {name for name, drawing in DRAWINGS.items() if drawing.variant}
    assert {"fig1_lower", "e1_noise_lower_curves", "hoelder_fig1_1d", "corrupted_labels_seconds"} <= variants
    for name in DRAWINGS.keys() - {"runtime"}:  # whose picture is away
        beside, inside = (f'{of}="figures/{name}.png"' in html for of in ("src", "data-file"))
        assert beside != inside, name
        assert beside == (name in variants), name


def test_blocks_in_both_forms(tmp_path):
    blocks = [
        Heading(2, "A & B"),
        Paragraph("**bold** `a<b` [here](x.csv)"),
        Bullets(["one"]),
        Code("run <this>"),
        Table(["a|b", "n"], [["x|y", 1.5]]),
        Table(["state", "what"], [[Badge("fine", "good"), "one"]], filter_by=("state",)),
        Table(["what"], [[Folded("a row", [Paragraph("unfolds")], anchor="row")]]),
        MarkdownOnly([Paragraph("in short")]),
        Heading(3, "A sentence", "Its_name"),
        Picture("a.png", "what it shows", "its title", "a.pdf"),
        Picture("b.png", "the same otherwise", "another", inside=False),
        Table(["p", "norm", "by"], [[2, 0.5, "plain"], [4, 0.25, Badge("fine", "good")]]),
        Thumbnails([("a.png", "small", "Its_name")]),
        Folded("Why so", [Paragraph("because")], badge=Badge("fine", "good"), anchor="why"),
        Folded("More", [PageOnly([Paragraph("at length")])]),
        Heading(2, "A & B"),
        Heading(3, "below"),
    ]
    for name in ("a", "b"):
        Image.new("RGB", (640, 320), "#dddddd").save(tmp_path / f"{name}.png")
    text = markdown(blocks)
    assert "| a row |" in text
    assert "in short" in text
    assert "### Its_name\n\nA sentence\n\n![a](a.png)\n\nwhat it shows\n\n![b](b.png)\n\nthe same otherwise" in text
    assert "| by |\n| --- | --- | --- |\n| 2 | 0.5 | plain |\n| 4 | 0.25 | fine |\n\n### why" in text
    assert "| a\\|b | n |\n| --- | --- |\n| x\\|y | 1.5 |" in text
    assert "| fine | one |" in text
    assert "### why\n\nWhy so **Fine.**\n\nbecause\n\n### More\n\n## A & B" in text
    assert "at length" not in text
    html = page("t", blocks, tmp_path)
    parsed(html)
    assert "<strong>bold</strong> <code>a&lt;b</code>" in html
    assert '<a href="x.csv">here</a>' in html
    assert "run &lt;this&gt;" in html
    assert '<span class="badge good">fine</span>' in html
    assert "<td><var>x</var>|<var>y</var><td class=n>1.5\n" in html, "numbers are marked where half are"
    assert "<table class=numbers>" in html
    assert "<tr><td>2<td>0.5<td class=t>plain\n" in html, "and else what is none"
    assert '<tr><td>4<td>0.25<td class=t><span class="badge good">fine</span>\n' in html
    assert 'data-filter="0"' in html
    assert '<div class="inside" id="why">' in html
    assert "<p>at length</p>" in html
    assert "in short" not in html
    assert '<td><details><summary>a row</summary><div class="inside" id="row">' in html
    assert '<h3 id="its_name">A sentence</h3>' in html
    assert '<a href="a.pdf" aria-label="its title: as lines"><img alt="its title" width="320" height="160"' in html
    assert '<li><a href="#its_name"><img alt="" width="220" height="110"' in html
    assert html.count('data-file="a.png"') == linked(html).count('src="a.png"') == 2
    assert '<img alt="another" width="320" height="160" loading="lazy" decoding="async" src="b.png">' in html
    assert '<li><a href="#a--b-1">A &amp; B</a>\n<ol><li><a href="#below">below</a></li></ol></li>' in html


def test_an_excerpt_has_the_ends_of_every_curve():
    short = pd.DataFrame({"iteration": [1, 2, 3]})
    assert excerpt(short) is short
    curves = pd.concat([pd.DataFrame({"p": p, "iteration": range(1000)}) for p in (2, 4, 6)], ignore_index=True)
    part = excerpt(curves)
    assert len(part) <= MOST_ROWS
    assert part.groupby("p")["iteration"].agg(["min", "max"]).to_numpy().tolist() == [[0, 999]] * 3
    assert (part.groupby("p")["iteration"].diff().dropna() > 0).all()
    many = pd.DataFrame({"p": range(4000), "iteration": [0, 7] * 2000})
    assert len(excerpt(many)) == MOST_ROWS
    assert set(excerpt(many)["iteration"]) == {7}
    other = pd.DataFrame({"x": range(5000)})
    assert len(excerpt(other)) == MOST_ROWS
    assert excerpt(other)["x"].iloc[[0, -1]].tolist() == [0, 4999]
