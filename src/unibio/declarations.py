"""What algorithms and problems declare, read from their source and not run: parameters, names, first lines.

Whoever only wants to know what can be configured, or which record a configuration names, need not wait for torch, which
the same files import for their mathematics. ``tests/test_declarations.py`` compares every class with what is read here.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from unibio.core import parameters
from unibio.core.parameters import Configured

_PACKAGE, _ROOT = "unibio", Path(__file__).parent
#: The only module of the package that is run: it says what a declaration is.
_MEANING = parameters.__name__


class Declared(Configured):
    """A class's declarations without its mathematics: its own docstring, ``name`` and parameters, with their checks.

    Attributes:
        methods: {method: module of the class that defines it}, inherited ones included.
    """

    methods: ClassVar[Mapping[str, str]] = {}


@cache
def read(path: str) -> type[Declared]:
    """The declarations of a class, as a class with the same name, docstring, parameters and class variables.

    Args:
        path: of the class, "unibio.algorithms.soba.SOBA".

    Raises:
        LookupError: there is no such class.
    """
    module, _, name = path.rpartition(".")
    found = _names(module).get(name)
    if not isinstance(found, ast.ClassDef):
        raise LookupError(f"there is no class {path}")
    look = _Names(module)
    bases = [base for base in (_value(base, look) for base in found.bases) if isinstance(base, type)]
    types: dict[str, Any] = {}
    body: dict[str, Any] = {"__doc__": ast.get_docstring(found), "__module__": module, "__annotations__": types}
    for line in found.body:
        if not isinstance(line, ast.AnnAssign) or line.value is None or not isinstance(line.target, ast.Name):
            continue
        if ast.unparse(line.annotation).startswith("ClassVar"):
            types[line.target.id], body[line.target.id] = ClassVar[Any], _value(line.value, look)
        elif _called(line.value) == "hyper":
            types[line.target.id], body[line.target.id] = _value(line.annotation, look), _value(line.value, look)
    own = {line.name: module for line in found.body if isinstance(line, ast.FunctionDef)}
    inherited = [base.methods for base in bases if issubclass(base, Declared)]
    body["methods"] = {method: place for methods in (*reversed(inherited), own) for method, place in methods.items()}
    types["methods"] = ClassVar[Any]
    parents = tuple(base if issubclass(base, Declared) else Declared for base in bases) or (Declared,)
    return dataclass(frozen=True)(type(name, parents, body))


def _called(node: ast.expr) -> str:
    """The name of the function that an expression calls; "" where it calls none by name."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _value(node: ast.expr, look: Mapping[str, Any]) -> Any:
    """What an expression of a declaration is; it is our own source, which importing would run as well."""
    return eval(compile(ast.Expression(node), "<declaration>", "eval"), {}, look)


class _Names(dict[str, Any]):
    """The names of a module, each worked out when it is asked for: constants, classes and what it imports."""

    def __init__(self, module: str):
        super().__init__()
        self._module = module

    def __missing__(self, name: str) -> Any:
        if self._module == _MEANING:
            return parameters.PER_RUN if name == "PerRun" else getattr(parameters, name)
        found = _names(self._module).get(name)
        if isinstance(found, ast.ClassDef):
            return read(f"{self._module}.{name}")
        if isinstance(found, ast.expr):
            return _value(found, self)
        if isinstance(found, str):  # imported
            module, _, original = found.rpartition(".")
            if module.split(".")[0] == _PACKAGE:
                return _Module(found) if _file(found).is_file() else _Names(module)[original]
            if (module or original).split(".")[0] in sys.stdlib_module_names:
                return getattr(importlib.import_module(module), original) if module else importlib.import_module(found)
        raise KeyError(name)  # a builtin, or a NameError


class _Module:
    """A module of the package as far as its names can be read."""

    def __init__(self, module: str):
        self._names = _Names(module)

    def __getattr__(self, name: str) -> Any:
        return self._names[name]


def _file(module: str) -> Path:
    relative = module.split(".")[1:]
    path = _ROOT.joinpath(*relative)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _names(module: str) -> Mapping[str, ast.ClassDef | ast.expr | str]:
    """A module's classes, the values of its constants, and where imported names come from."""
    found: dict[str, ast.ClassDef | ast.expr | str] = {}
    for line in ast.parse(_file(module).read_text(encoding="utf-8")).body:
        if isinstance(line, ast.ClassDef):
            found[line.name] = line
        elif isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name):
            found[line.targets[0].id] = line.value
        elif isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value is not None:
            found[line.target.id] = line.value
        elif isinstance(line, ast.ImportFrom) and line.level == 0:
            found |= {alias.asname or alias.name: f"{line.module}.{alias.name}" for alias in line.names}
        elif isinstance(line, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in line.names}
    return found
