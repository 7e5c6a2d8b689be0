"""What texts name is there: make's targets on pages, and modules of ours on pages, in docstrings and in comments."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import unibio
from unibio import plugins

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "unibio"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
#: Folders whose files are read for names of modules, beside the pages. (A changelog names what is gone.)
READ = ("src", "conf", "scripts", "benchmarks", "notebooks", ".ci")


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_make_knows_the_targets_that_a_page_names(page: Path) -> None:
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1].split()
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)).splitlines()
    pieces = [*re.findall(r"`([^`\n]+)`", text), *blocks]
    named = {
        found[1] for piece in pieces if (found := re.match(r"(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", piece.strip()))
    }
    assert named <= set(targets), f"{page.name} names targets that the Makefile has not"


def prose(path: Path) -> str:
    """A file's text; of code its docstrings and comments."""
    if path.suffix != ".py":
        return path.read_text(encoding="utf-8")
    with tokenize.open(path) as file:
        tokens = list(tokenize.generate_tokens(file.readline))
    return "\n".join(t.string for t in tokens if t.type == tokenize.COMMENT or t.string.startswith('"""'))


def named_modules(text: str) -> Iterator[str]:
    """Dotted names that begin with the package's; not those that are part of a longer word or path."""
    yield from re.findall(r"(?<![\w./-])unibio(?:\.[A-Za-z_]\w*)+", text)


def defined(file: Path) -> set[str]:
    """What stands at the top of a module: what it defines, assigns and imports."""
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else []:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        else:
            names |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return names


def is_there(name: str) -> bool:
    """Whether the modules in a dotted name exist, and what follows them stands at the top of the last one."""
    place, rest = PACKAGE, name.split(".")[1:]
    while rest and ((place / rest[0] / "__init__.py").is_file() or (place / f"{rest[0]}.py").is_file()):
        place = place / rest.pop(0)
    if name in plugins.GROUPS.values():  # of entry points, as a plugin's pyproject.toml writes them
        return True
    if place == PACKAGE:
        return rest[0] in ("NAME", *dir(unibio))
    return not rest or rest[0] in defined(place / "__init__.py" if place.is_dir() else place.with_suffix(".py"))


@pytest.mark.slow
def test_modules_that_a_text_names_are_there() -> None:
    files = [path for folder in READ for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md", ".yaml")]
    absent = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in {*PAGES, *files}
        for name in named_modules(prose(path))
        if not is_there(name)
    ]
    assert sorted(absent) == []


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("unibio.core", True),
        ("unibio.core.oracle.Oracle", True),
        ("unibio.studies.PARTS", True),
        ("unibio.solve", True),
        ("unibio.oracle", False),
        ("unibio.core.problems.Problem", False),
        ("unibio.core.oracle.Delphi", False),
    ],
)
def test_a_name_that_has_moved_would_be_found(name: str, there: bool) -> None:
    (found,) = named_modules(f"see :mod:`{name}`.")
    assert (found, is_there(found)) == (name, there)
