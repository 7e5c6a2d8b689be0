"""CONTRIBUTING.md and CHANGELOG.md: what they name is there, and the house they describe is the one that stands."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import unibio

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "unibio"
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = [ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md")]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert re.match(r"https?:", target) or (page.parent / target).exists(), f"{page.name} links to {target}"


def test_paths_are_there() -> None:
    """Of a path with a name to be chosen, the folder."""
    named = re.findall(r"`((?:src|conf|docs|tests|scripts|results|\.ci)/[^`*]*)`", GUIDE)
    assert len(named) > 20
    for path in named:
        assert (ROOT / path.split("NAME")[0]).exists(), path


def rooms() -> set[str]:
    """What stands at the top of the package."""
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    return found - {"__init__", "__main__"}


def test_the_table_of_rooms_is_complete() -> None:
    table = re.search(r"^\| room .*?\n\n", GUIDE, re.M | re.S)[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:] if line.startswith("|")]
    assert {name.rstrip("/") for cell in cells for name in re.findall(r"`([\w/]+)`", cell)} == rooms()


def test_every_room_says_what_it_is_for() -> None:
    silent = [
        path for path in PACKAGE.rglob("__init__.py") if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_the_readme_draws_the_same_house() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    layout = re.search(r"^## Layout\n(.*?)^## ", readme, re.M | re.S)[1]
    drawn = set(re.findall(r"^  (\w+)(?:/|\.py) ", layout, re.M))
    assert drawn == rooms() - {"errors", "memory", "quantiles", "tensorfile"}  # leaves are of no interest there


def test_the_changelog_begins_with_what_is_to_come() -> None:
    versions = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert versions[0] == "Unreleased" or versions[0].startswith(unibio.__version__)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)) <= kinds
