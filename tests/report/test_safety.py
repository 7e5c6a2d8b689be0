"""Nothing that a record or a table says can act in the report: no tag, no script, no address but allowed ones.

The page is read by Python's own HTML parser, and report.md by a parser of CommonMark that lets raw HTML through.
"""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hostile import hostile_study
from unibio import report
from unibio.report.page.html import page
from unibio.studies.common import document
from unibio.studies.common.document import (
    Badge,
    Block,
    Bullets,
    Code,
    Folded,
    Heading,
    MarkdownOnly,
    PageOnly,
    Paragraph,
    Table,
    markdown,
    may_lead_to,
)

#: Pieces from which every way out of text is made: of tags, attributes, code, links, paragraphs, tables and escapes.
PIECES = [*"<>\"'`[]()*\\&|#!~_=-: \n\t\r", "\n\n", "\n    ", "```", "&lt;", "&#60;", "</td>", "</script>", "<!--"]
PIECES += ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<http://a.example>", "{style}", "%s", "word"]
PIECES += ["javascript:alert(1)", "data:text/html,x", "//evil.example", "](javascript:x)", "[a](", "[a]: javascript:x"]
PIECES += ["![a](http://evil.example/x.png)", "https://a.example/?b=1", "figures/a.png", "#place", "é", "\u2028"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)


def blocks_of(text: str) -> list[Block]:
    """A text in every place that a document has for one."""
    inside: list[Block] = [Paragraph(text), Code(text), Table([text, "b"], [[text, 1.0], [Badge(text, "good"), None]])]
    table = Table(["a", text], [[text, Badge(text, "bad")], [Folded(text, inside), 1.0]], filter_by=("a",))
    return [
        Heading(2, text),
        Heading(3, text, text),
        Bullets([text, text]),
        table,
        *inside,
        Folded(text, inside, anchor=text),
        PageOnly(inside),
        MarkdownOnly(inside),
    ]


class Seen(HTMLParser):
    """The tags of a page with their attributes, and what is in script and style."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


#: What a page is made of; everything else comes from somebody else.
TAGS = {"html", "head", "meta", "title", "style", "body", "nav", "main", "section", "script", "div", "span", "wbr"}
TAGS |= {"details", "summary", "figure", "figcaption", "img", "a", "p", "pre", "code", "strong", "ul", "ol", "li"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "var", "sup", "sub", "noscript"}
ATTRIBUTES = {"lang", "charset", "name", "content", "http-equiv", "class", "href", "id", "open", "aria-label", "role"}
ATTRIBUTES |= {"tabindex", "scope", "data-filter", "data-name", "alt", "src", "width", "height", "data-file"}
ATTRIBUTES |= {"loading", "decoding"}
ATTRIBUTES |= {"type", "data-kind", "data-number", "data-title", "data-open"}


def check_page(text: str) -> None:
    found = Seen(text)
    assert {tag for tag, _ in found.tags} <= TAGS
    for tag, attributes in found.tags:
        assert attributes.keys() <= ATTRIBUTES, (tag, attributes)
        assert tag == "a" or "href" not in attributes
        target = attributes.get("href")
        assert target is None or may_lead_to(target) or re.fullmatch(r"#[\w\-]*", target), target
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")
    scripts = [attributes for tag, attributes in found.tags if tag == "script"]
    data = scripts.count({"type": "text/plain"})
    assert scripts.count({}) == (3 if data else 1), "the page's own, and those that come with interactive forms"
    assert scripts.count({}) + data == len(scripts)


def check_markdown(text: str) -> None:
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    reader.validateLink = lambda _: True  # type: ignore[method-assign]  # it would drop what must not be there
    waiting = reader.parse(text)
    while waiting:
        token = waiting.pop()
        assert not token.type.startswith("html"), token.content
        assert token.type != "image", token
        if token.type == "link_open":
            assert may_lead_to(str(token.attrs["href"])), token.attrs
        waiting += token.children or []


@given(TEXTS)
def test_any_text_anywhere_stays_text(text: str) -> None:
    blocks = blocks_of(text)
    check_page(page(text, blocks, Path()))
    check_markdown(markdown(blocks))


@given(TEXTS)
def test_code_and_links_in_text(text: str) -> None:
    """Between pieces of code, beside links of our own: what comes from a record ends neither."""
    blocks = [Paragraph(f"`{text}` and [words](figures/a.png) {text} `code`"), Bullets([f"**{text}** `{text}`"])]
    check_page(page("title", blocks, Path()))
    check_markdown(markdown(blocks))


@given(st.text("ab<>&;/\\'\"", max_size=20))
def test_what_is_escaped_is_shown_as_it_is(text: str) -> None:
    """What a reader sees of a paragraph is its text, in both forms."""
    blocks = [Paragraph(f"§{text}§")]
    (inline,) = [t for t in MarkdownIt("commonmark", {"html": True}).parse(markdown(blocks)) if t.content]
    assert "".join(child.content for child in inline.children or []) == f"§{text}§"
    assert f"<p>§{escape(text)}§</p>" in page("t", blocks, Path())


@pytest.mark.parametrize(
    "target", ["https://a.example/b?c=1#d", "http://a", "#slug", "figures/a.pdf", "a.csv", "a.md#b"]
)
def test_where_links_may_lead(target: str) -> None:
    assert may_lead_to(target)
    assert f'<a href="{target}">word</a>' in page("t", [Paragraph(f"[word]({target})")], Path())
    assert f"[word]({target})" in markdown([Paragraph(f"[word]({target})")])


NOWHERE = ["javascript:alert(1)", "JavaScript:x", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "http:/x"]
NOWHERE += [
    "//evil.example",
    "\\\\host\\share",
    "mailto:a@b",
    "a\"onmouseover='x'",
    "java&#115;cript:x",
    "../../x",
    "/etc",
]
NOWHERE += [".", "a.md#", "a#b#c", "../a.md#b"]


@pytest.mark.parametrize("target", NOWHERE)
def test_where_links_may_not_lead(target: str) -> None:
    assert not may_lead_to(target)
    assert "<a href=" not in page("t", [Paragraph(f"[x]({target})")], Path()).partition("<main")[2]
    check_markdown(markdown([Paragraph(f"[x]({target})")]))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, out = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("out")
    hostile_study(root)
    report.write(root, out)
    return out


def test_a_report_of_hostile_records(written: Path) -> None:
    text = (written / "index.html").read_text(encoding="utf-8")
    assert "window.acted" in text, "it is told, and only told"
    check_page(text)
    files = list(written.glob("*.md"))
    assert len(files) > 1, "report.md and what stands beside it"
    for file in files:
        check_markdown(file.read_text(encoding="utf-8"))


def test_the_page_allows_its_own_style_and_script_and_nothing_else() -> None:
    text = page("t", [Paragraph("x")], Path())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules.keys() == {"default-src", "style-src", "script-src", "img-src", "base-uri", "form-action"}
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert all(re.fullmatch(r"'sha256-[\w+/]{43}='", rules[name]) for name in ("style-src", "script-src"))
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<script>")


def test_a_fence_is_longer_than_what_it_holds() -> None:
    check_markdown(markdown([Code("```\n<script>x</script>\n````")]))
    assert document.markdown([Code("echo")]) == "```\necho\n```\n"
