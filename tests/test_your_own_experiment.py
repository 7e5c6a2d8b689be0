"""The page on experiments: its three edits, made in a copy of the source tree, give records, a figure and a verdict."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "your-own-experiment.md").read_text(encoding="utf-8")

#: Fewer steps and seeds than the page's: as many as it takes to arrive.
SMALL = ("scale.steps=0.5", "scale.seeds=0.1", "tracker=none", "progress=false")


def block(language: str) -> str:
    """The page's first fenced block of a language."""
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)[1]


def edited(source: str, edits: str) -> str:
    """A file with the lines behind "+" put in, each behind the lines before it, which must be there in this order."""
    lines, at = source.splitlines(), 0
    for edit in edits.splitlines():
        sign, line = edit[:1], edit[1:]
        if sign == "+":
            lines.insert(at, line)
        else:
            assert line in lines[at:], f"the page expects this line: {line}"
            at = lines.index(line, at)
        at += 1
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree after the page's three edits, and nothing else."""
    place = tmp_path_factory.mktemp("clone")
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    yaml, study, listed = re.findall(r"^## \d\. .*`(\S+)`$", PAGE, re.M)
    assert not (place / yaml).exists()
    assert not (place / study).exists()
    (place / yaml).write_text(block("yaml"), encoding="utf-8")
    (place / study).write_text(block("python"), encoding="utf-8")
    before = (place / listed).read_text(encoding="utf-8")
    assert len(re.findall(r"^\+", block("diff"), re.M)) == 1, "one line of the list"
    (place / listed).write_text(edited(before, block("diff")), encoding="utf-8")
    return place


def unibio(clone: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "unibio", *arguments],
        cwd=clone,
        env=os.environ | {"PYTHONPATH": str(clone / "src")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_page_gives_a_figure_and_a_verdict(clone: Path) -> None:
    unibio(clone, "experiment=settling", *SMALL)
    assert len(list((clone / "runs").glob("*/done"))) == 2
    unibio(clone, "figures", "settling")
    assert (clone / "results" / "figures" / "settling.png").stat().st_size > 0
    unibio(clone, "report")
    claims = json.loads((clone / "results" / "claims.json").read_text(encoding="utf-8"))["claims"]
    (found,) = [claim for claim in claims if claim["id"] == "settling-level"]
    assert found["verdict"] == "consistent", found["explanation"]
    assert set(found["numbers"]["exponent"]) == {f"p = {p}, noise {noise}" for p in (2, 4) for noise in (0, 1)}
    assert len(found["records"]) == 2
    report = (clone / "results" / "report.md").read_text(encoding="utf-8")
    section = re.search(r"^## The synthetic study$(.*?)^## ", report, re.M | re.S)[1]
    assert "![settling](figures/settling.png)\n\nUniBiO on Example 3: the level" in section


def test_the_page_keeps_to_the_style_of_the_source(clone: Path) -> None:
    """What it adds passes the linter that the repository's own files pass."""
    files = [clone / "src" / "unibio" / "studies" / name for name in ("settling.py", "__init__.py")]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), *map(str, files)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_only_lines_that_are_there_can_be_followed() -> None:
    assert edited("a\nb\nc\n", " a\n+new\n c\n+end\n") == "a\nnew\nb\nc\nend\n"
    with pytest.raises(AssertionError, match="expects this line: z"):
        edited("a\nb\n", " z\n+new\n")
