"""A hash of the code that computed a record: the modules it used and, by static imports, everything they use.

What counts is this package and, where an algorithm or a problem comes from a plugin, the plugin's package, with the
modules that lie beside it where it is not installed. Comments and docstrings do not count. Nothing is imported, so that
reading records needs none of the code's packages.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from unibio import plugins

_PACKAGE, _ROOT = "unibio", Path(__file__).parents[1]

#: Where installed packages lie beside each other, none of which is another's part.
_INSTALLED = ("site-packages", "dist-packages")


def code_hash(modules: Iterable[str]) -> str:
    """sha256 over the syntax trees of ``modules`` ("unibio.simulation.loop", …) and of what they import; see above.

    Args:
        modules: dotted names; those whose source is not found contribute their name only.
    """
    return _hash(frozenset(modules))


def closure(modules: Iterable[str]) -> frozenset[str]:
    """``modules`` and the modules of this package, or of a plugin's, that they import, and that these import."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(_parsed(module)[1])
    return frozenset(found)


@cache
def _hash(modules: frozenset[str]) -> str:
    digest = hashlib.sha256()
    for module in sorted(closure(modules)):
        digest.update(f"{module}\n{_parsed(module)[0]}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()


@cache
def _parsed(module: str) -> tuple[str, tuple[str, ...]]:
    """A module's syntax tree without docstrings, and the modules it imports that count."""
    path = _file(module)
    if path is None:
        return "", ()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = {name for node in ast.walk(tree) for name in _imported(node, module, path) if _counts(name, module)}
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            node.body = body[1:]  # type: ignore[attr-defined]
    imports.discard(_PACKAGE)
    return ast.dump(tree), tuple(sorted(imports))


def _imported(node: ast.AST, module: str, path: Path) -> Iterator[str]:
    """The modules that a statement of a module imports."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = module.split(".")[: None if path.name == "__init__.py" else -1]
            kept = package[: len(package) - node.level + 1]
            base = ".".join([*kept, *([base] if base else [])])
        yield base
        names = [name.name for name in node.names]
        yield from (f"{base}.{name}" for name in names if _file(f"{base}.{name}") is not None)
        if base == _PACKAGE:
            yield from (_homes()[name] for name in names if name in _homes())
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == _PACKAGE:
        yield _homes().get(node.attr, "")


def _counts(name: str, of: str) -> bool:
    """Whether what a module imports is part of the code that computes: ours, its own package's, or beside that."""
    first, package = name.split(".")[0], of.split(".")[0]
    if first == _PACKAGE or package == _PACKAGE:
        return first == _PACKAGE
    return bool(first) and (first == package or first in _beside(package))


@cache
def _beside(package: str) -> frozenset[str]:
    """The packages and modules in the directory of one that is not installed."""
    file = _file(package)
    if file is None:
        return frozenset()
    folder = file.parents[1] if file.name == "__init__.py" else file.parent
    if folder.name in _INSTALLED:
        return frozenset()
    files = [*folder.glob("*.py"), *(inside.parent for inside in folder.glob("*/__init__.py"))]
    return frozenset(one.stem for one in files)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _file(module: str) -> Path | None:
    """The file of a module's source; None where there is none."""
    package, *relative = module.split(".")
    if not all(name.isidentifier() for name in (package, *relative)):
        return None
    if package != _PACKAGE:
        return plugins.file_of(module)
    path = _ROOT.joinpath(*relative).with_suffix(".py") if relative else _ROOT / "__init__.py"
    if not path.is_file():
        path = _ROOT.joinpath(*relative, "__init__.py")
    return path if path.is_file() else None


@cache
def _homes() -> Mapping[str, str]:
    """The public names of this package, which plugins import from it, each with the module that holds it."""
    tree = ast.parse((_ROOT / "__init__.py").read_text(encoding="utf-8"))
    (table,) = (
        line.value
        for line in tree.body
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and line.targets[0].id == "_HOME"
    )
    homes: Mapping[str, str] = ast.literal_eval(table)
    return homes
