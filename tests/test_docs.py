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


def interpreted(*program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What an interpreter of its own says, in which warnings of users are errors."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", *program],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )


def written(page: Path, folder: Path) -> str:
    """The script of a page, in a folder of its own."""
    file = folder / page.stem / page.with_suffix(".py").name
    file.parent.mkdir()
    file.write_text(script(page), encoding="utf-8")
    return str(file)


#: Runs scripts, each in its folder and in a fork of one process, which has imported once what most of them import.
FORKS = """
import os, runpy, sys, traceback
import matplotlib.pyplot, pandas
import unibio
from unibio.pipeline import composing, compute

for name in unibio.__all__:
    getattr(unibio, name)
failed = 0
for file in sys.argv[1:]:
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.chdir(os.path.dirname(file))
            runpy.run_path(file, run_name="__main__")
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    failed += os.waitpid(child, 0)[1] != 0
sys.exit(failed)
"""


def test_the_python_of_every_page_runs(tmp_path: Path) -> None:
    """Every page by itself but for what is imported already, which the slow test below leaves to it as well."""
    files = [written(page, tmp_path) for page in PAGES if script(page).strip()]
    assert len(files) > 5
    done = interpreted("-c", FORKS, *files, folder=tmp_path)
    assert done.returncode == 0, f"with the line numbers of the pages:\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_python_of_a_page_runs_in_a_new_interpreter(page: Path, tmp_path: Path) -> None:
    if not script(page).strip():
        pytest.skip(f"{page.name} has no Python blocks")
    file = written(page, tmp_path)
    done = interpreted(Path(file).name, folder=Path(file).parent)
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
