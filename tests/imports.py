"""Who imports whom: the import statements of a package's source, read and not run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"

#: A module by its dotted name: the modules that it names in import statements, other packages' by theirs.
Graph = Mapping[str, set[str]]


def module_of(path: Path) -> str:
    """``unibio.core.oracle`` for its file below ``src``; a package for its ``__init__.py``."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the package, parsed; not to be written into."""
    paths = sorted((SOURCE / "unibio").rglob("*.py"))
    return {module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def imports(modules: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """The graph of all their import statements: inside functions and below ``if TYPE_CHECKING``, too."""
    graph: dict[str, set[str]] = {}
    for name, tree in modules.items():
        found = graph.setdefault(name, set())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} imports relatively: write the module's whole name"
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                # ``from unibio.core import oracle`` names a module, ``from unibio.core.oracle import Oracle`` does not.
                found |= {one if one in modules else str(node.module) for one in inside}
    return graph


def reached(graph: Graph, start: str) -> dict[str, list[str]]:
    """Everything that importing a module may import in the end, each with a chain of imports that leads to it."""
    chains = {start: [start]}
    waiting = [start]
    while waiting:
        here = waiting.pop()
        for target in sorted(graph.get(here, ())):
            if target not in chains:
                chains[target] = [*chains[here], target]
                waiting.append(target)
    return chains
