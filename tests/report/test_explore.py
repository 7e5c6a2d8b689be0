"""Interactive forms as they lie in a page: packed numbers, scripts known by their hashes, nothing from any host."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path

import pytest

from unibio.report.page import explore
from unibio.report.page.html import page
from unibio.studies.common.document import Interactive, PageOnly, Paragraph, markdown

DATA = json.dumps({"panels": [{"title": "</script><script>window.acted = 1</script>"}]})
VENDOR = Path(explore.__file__).with_name("vendor")


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_numbers_of_a_block_come_back_whole():
    text = page("t", [Interactive("curves", 'a "figure"', DATA)], Path())
    (packed,) = re.findall(r'<script type="text/plain">([\w+/=]*)</script>', text)
    assert zlib.decompress(base64.b64decode(packed)).decode() == DATA
    assert "window.acted" not in text
    assert 'data-title="a &quot;figure&quot;"' in text


def test_the_policy_knows_every_script_and_the_style_by_its_hash():
    text = page("t", [Interactive("curves", "f", DATA)], Path())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert len(scripts) == 3
    assert rules["script-src"].split() == [hashed(script) for script in scripts]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert rules["style-src"] == hashed(style)
    assert "unsafe" not in policy[1]


def test_a_page_without_such_blocks_does_not_carry_the_library():
    text = page("t", [Paragraph("x")], Path())
    assert "uPlot" not in text
    assert text.count("<script") == 1


def test_the_scripts_ask_no_host_and_evaluate_nothing():
    library, own = explore.scripts()
    assert re.findall(r"https?://[^\s\"')]*", library + explore.style()) == ["https://github.com/leeoniya/uPlot"]
    assert "//" not in re.sub(r"^\s*//.*$| // .*$", "", own, flags=re.M)
    for text in (library, own):
        for word in (
            "eval(",
            "Function(",
            "fetch(",
            "XMLHttpRequest",
            "WebSocket",
            "import(",
            "innerHTML",
            "insertRule",
        ):
            assert word not in text, word


def test_markdown_leaves_them_out():
    assert markdown([PageOnly([Interactive("curves", "f", DATA)]), Interactive("steps", "g", DATA)]).strip() == ""


def test_only_what_is_a_figures_curves_is_explored(tmp_path):
    (tmp_path / "figures").mkdir()
    for name, text in {"a": DATA, "b": '{"without": "a map"}', "c": "[", "d": "[1]"}.items():
        (tmp_path / "figures" / f"{name}.curves.json").write_text(text, encoding="utf-8")
    found = {name: list(explore.explorable(tmp_path, name)) for name in "abcde"}
    assert {name: len(blocks) for name, blocks in found.items()} == {"a": 1, "b": 0, "c": 0, "d": 0, "e": 0}


@pytest.mark.parametrize("name", ["uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"])
def test_the_library_is_as_it_was_published(name):
    """Of uplot 1.6.32 from the npm registry; a change here is a change of version, and of the README's table."""
    content = (VENDOR / name).read_bytes()
    assert (
        hashlib.sha256(content).hexdigest()
        == {
            "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
            "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
            "uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
        }[name]
    )
    assert name != "uPlot.iife.min.js" or b"(v1.6.32)" in content
