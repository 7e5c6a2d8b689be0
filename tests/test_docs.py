"""Every Python block of the README and of docs/ runs, from top to bottom of its page; every link leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if page.is_file()]
GUIDES = ("your-own-problem.md", "your-own-algorithm.md")


def script(page: Path) -> str:
    """The page with everything but its Python blanked, so that line numbers in errors are the page's own."""
    lines, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        if fence:
            inside = not inside and line.strip() == "```python"
    return "\n".join(lines) + "\n"


def test_the_guides_are_there_and_have_code() -> None:
    found = {page.name: script(page).strip() for page in PAGES}
    assert all(found[name] for name in GUIDES)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """In an interpreter and a folder of its own; a warning that a user would see is an error."""
    if not (code := script(page)).strip():
        pytest.skip(f"{page.name} has no Python blocks")
    (tmp_path / f"{page.stem}.py").write_text(code, encoding="utf-8")
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", f"{page.stem}.py"],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{page.name}, with the line numbers of the page:\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_paths_in_links_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", [ROOT / "docs" / name for name in GUIDES], ids=GUIDES)
def test_paths_named_in_a_guide_exist(page: Path) -> None:
    for path in re.findall(r"`((?:src|conf|docs|notebooks)/[^`*]*)`", page.read_text(encoding="utf-8")):
        assert (ROOT / path.replace("/NAME.yaml", "")).exists(), f"{page.name} names {path}"
