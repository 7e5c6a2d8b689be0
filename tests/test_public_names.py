"""The public names: one table, a page that describes every one of them as it is, and pages that import nothing else."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

import unibio

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
READERS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "notebooks" / "tour.py"]

#: What a type checker would call them: they have no signature.
ALIASES = {"PerRun", "State"}


# The table -----------------------------------------------------------------------------------------------------------


def test_type_checkers_read_the_same_table() -> None:
    tree = ast.parse(Path(unibio.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    told = [(name.name, name.asname, node.module) for node in block.body for name in node.names]
    assert sorted(told) == [(name, name, home) for name, home in unibio._HOME.items()]


def test_the_table_is_sorted_and_all_that_is_shown() -> None:
    assert unibio.__all__ == sorted(unibio._HOME)
    assert dir(unibio) == sorted([*unibio.__all__, "__version__"])
    assert len(unibio.__all__) == len(set(unibio.__all__))


@pytest.mark.parametrize("name", unibio.__all__)
def test_a_name_is_what_its_module_defines(name: str) -> None:
    found = getattr(unibio, name)
    assert found is getattr(import_module(unibio._HOME[name]), name)
    if name not in ALIASES:
        assert (found.__module__, found.__name__) == (unibio._HOME[name], name)
        assert len(inspect.getdoc(found) or "") > 20


def test_no_module_takes_the_place_of_a_name() -> None:
    """Importing a module puts it into its package under its own name."""
    assert not {module.name for module in pkgutil.iter_modules(unibio.__path__)} & set(unibio.__all__)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'unibio' has no attribute 'solver'"):
        _ = unibio.solver


def test_looking_around_loads_nothing() -> None:
    program = (
        "import sys, unibio; dir(unibio); unibio.InputError; assert not {'torch', 'hydra', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# The page ------------------------------------------------------------------------------------------------------------


def sections() -> dict[str, str]:
    """{heading: text} of the page's third level."""
    parts = re.split(r"^### `(\w+)`$", re.sub(r"^## .*$", "### `end`", PAGE, flags=re.M), flags=re.M)
    found = [(name, text) for name, text in zip(parts[1::2], parts[2::2], strict=True) if name != "end"]
    assert len(found) == len(dict(found)), "a name has two sections"
    return dict(found)


SECTIONS = sections()


def test_the_page_has_every_name_and_no_other() -> None:
    assert sorted(SECTIONS) == unibio.__all__
    linked = re.findall(r"^(?:- .*|  )\[`\w+`\].*$", PAGE, re.M)
    assert sorted(re.findall(r"\[`(\w+)`\]\(#(\w+)\)", "\n".join(linked))) == sorted(
        (name, name.lower()) for name in unibio.__all__
    )


@pytest.mark.parametrize("name", unibio.__all__)
def test_a_section_says_what_it_is_and_shows_it(name: str) -> None:
    signature, code = (
        re.findall(rf"^```{kind}\n(.*?)^```$", SECTIONS[name], re.M | re.S) for kind in ("text", "python")
    )
    assert len(signature) == 1
    prose = re.sub(r"^```.*?^```$", "", SECTIONS[name], flags=re.M | re.S).split()
    assert len(prose) > 5
    used = {node.id for block in code for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Name)}
    assert name in used, f"the example of {name} does not use it"


def told(line: str) -> list[tuple[str, str, Any]]:
    """(name, kind, default) of every parameter of a call-like line; defaults are evaluated where the page's code is."""
    arguments = ast.parse(f"def {line.lstrip('.')}: ...").body[0].args  # type: ignore[attr-defined]
    plain = inspect.Parameter.POSITIONAL_OR_KEYWORD.name
    absent = [None] * (len(arguments.args) - len(arguments.defaults))
    found = [(a.arg, plain, _value(d)) for a, d in zip(arguments.args, [*absent, *arguments.defaults], strict=True)]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    found += [(a.arg, inspect.Parameter.KEYWORD_ONLY.name, _value(d)) for a, d in keywords]
    return found + ([(arguments.kwarg.arg, inspect.Parameter.VAR_KEYWORD.name, _NONE)] if arguments.kwarg else [])


_NONE = inspect.Parameter.empty


def _value(default: ast.expr | None) -> Any:
    if default is None:
        return _NONE
    return eval(ast.unparse(default), {"torch": torch} | {name: getattr(unibio, name) for name in unibio.__all__})


def true(function: Any) -> list[tuple[str, str, Any]]:
    """The same of a function, a method or a class."""
    made = (
        {f.name: f.default_factory for f in dataclasses.fields(function)} if dataclasses.is_dataclass(function) else {}
    )
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    factories = {name for name, factory in made.items() if factory is not dataclasses.MISSING}
    return [(p.name, p.kind.name, made[p.name]() if p.name in factories else p.default) for p in parameters]


@pytest.mark.parametrize("name", unibio.__all__)
def test_the_signatures_are_those_of_the_code(name: str) -> None:
    found = getattr(unibio, name)
    (text,) = re.findall(r"^```text\n(.*?)^```$", SECTIONS[name], re.M | re.S)
    head, *methods = re.split(r"\n(?=\.)", text.strip())
    if name in ALIASES:
        assert eval(head.split(" = ")[1], {"torch": torch, "typing": import_module("typing")}) == found
        return
    if name == "InputError":
        assert str(found("message")) == "message"
        return
    assert head.startswith(f"{name}(")
    assert told(head) == true(found)
    for method in methods:
        assert told(method) == true(getattr(found, method[1:].split("(")[0])), method


# Who may import what -------------------------------------------------------------------------------------------------


def extension_points() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(unibio[\w.]*)` \| (.*?) \|", PAGE, re.M)
    assert len(rows) == len(dict(rows)), "a module has two rows"
    return {module: set(re.findall(r"`(\w+)`", names)) for module, names in rows}


POINTS = extension_points()


@pytest.mark.parametrize("module", POINTS)
def test_the_extension_points_are_there(module: str) -> None:
    found = import_module(module)
    for name in POINTS[module]:
        assert hasattr(found, name) or import_module(f"{module}.{name}"), f"{module} has no {name}"
        assert not name.startswith("_")


def imports(page: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of everything of ours that a page's or a script's Python imports."""
    text = page.read_text(encoding="utf-8")
    blocks = [text] if page.suffix == ".py" else re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    for node in (node for block in blocks for node in ast.walk(ast.parse(block))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "unibio")
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "unibio":
            yield from ((node.module or "", alias.name) for alias in node.names)


def allowed(module: str, name: str) -> bool:
    """Whether it is public, or an extension point."""
    if module == "unibio":
        return name in ("", *unibio.__all__)
    return name in POINTS.get(module, ())


@pytest.mark.parametrize("page", READERS, ids=[page.name for page in READERS])
def test_a_page_imports_what_is_public(page: Path) -> None:
    private = [f"{module}: {name}" for module, name in imports(page) if not allowed(module, name)]
    assert private == [], f"{page.name} imports what docs/api.md does not promise"


def test_what_is_not_promised_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    lines = ["from unibio import solve, other", "from unibio.core.saga import Table", "import unibio.core.oracle"]
    page.write_text("\n".join(["```python", *lines, "```"]), encoding="utf-8")
    private = [(module, name) for module, name in imports(page) if not allowed(module, name)]
    assert private == [("unibio", "other"), ("unibio.core.saga", "Table"), ("unibio.core.oracle", "")]
