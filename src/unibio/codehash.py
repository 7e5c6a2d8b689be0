"""A hash of the code that computed a record: the modules it used and, by static imports, everything they use.

Comments and docstrings do not count. Nothing is imported, so that reading records needs none of the code's packages.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parent


def code_hash(modules: Iterable[str]) -> str:
    """sha256 over the syntax trees of ``modules`` ("unibio.run", …) and the ``unibio`` modules they import.

    Args:
        modules: dotted names inside this package; unknown ones contribute their name only.
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(_parsed(module)[1])
    digest = hashlib.sha256()
    for module in sorted(found):
        digest.update(f"{module}\n{_parsed(module)[0]}\n".encode())
    return digest.hexdigest()


@cache
def _parsed(module: str) -> tuple[str, tuple[str, ...]]:
    """A module's syntax tree without docstrings, and the modules of this package it imports."""
    relative = module.split(".")[1:]
    path = _ROOT.joinpath(*relative).with_suffix(".py") if relative else _ROOT / "__init__.py"
    if not path.is_file():
        path = _ROOT.joinpath(*relative, "__init__.py")
    if not path.is_file():
        return "", ()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "unibio":
            imports.add(node.module)
            imports |= {f"{node.module}.{name.name}" for name in node.names if _is_module(node.module, name.name)}
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            node.body = body[1:]  # type: ignore[attr-defined]
    imports.discard("unibio")
    return ast.dump(tree), tuple(sorted(imports))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_module(package: str, name: str) -> bool:
    return _ROOT.joinpath(*package.split(".")[1:], f"{name}.py").is_file()
