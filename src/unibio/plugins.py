"""What other packages bring: algorithms, problems and experiments from outside this tree.

An installed package names them by entry points of its ``pyproject.toml``::

    [project.entry-points."unibio.algorithms"]
    mine = "my_package.method:Mine"

and likewise ``unibio.problems`` (classes) and ``unibio.experiments`` (modules, whose ``STUDY``, if they have one, is
drawn, judged and reported with the others). ``UNIBIO_PLUGINS=my_package.method,another`` does the same for modules that
are not installed, by what stands in them: every named algorithm and problem class, and ``STUDY``. The folder ``conf/``
of a plugin's package joins ours.

Which names there are is read without importing anything, except from the modules of ``UNIBIO_PLUGINS``, and those only
where algorithms or problems are asked for. Needs neither torch nor Hydra.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from unibio.errors import InputError

#: Modules that are plugins without being installed, separated by commas.
VARIABLE = "UNIBIO_PLUGINS"

#: The groups of entry points, by what they bring.
GROUPS = {"algorithm": "unibio.algorithms", "problem": "unibio.problems", "experiment": "unibio.experiments"}


@dataclass(frozen=True)
class Plugin:
    """Something that another package brings.

    Attributes:
        role: "algorithm", "problem" or "experiment".
        name: that it is called by.
        module: where it stands.
        attribute: its class there; "" for a whole module.
        origin: who brings it, in words.
    """

    role: str
    name: str
    module: str
    attribute: str
    origin: str

    def load(self) -> Any:
        """The class, or the module.

        Raises:
            InputError: it cannot be imported.
        """
        found: Any = _imported(self.module, self.origin)
        for part in self.attribute.split(".") if self.attribute else ():
            if not hasattr(found, part):
                raise InputError(f"{self.role} {self.name!r} of {self.origin}: {self.module} has no {self.attribute}")
            found = getattr(found, part)
        return found


def found(role: str) -> Mapping[str, Plugin]:
    """The plugins of a role by name.

    Raises:
        InputError: two of one name, or a module of ``UNIBIO_PLUGINS`` that cannot be imported.
    """
    return _found(role, os.environ.get(VARIABLE, ""), tuple(sys.path))


@cache
def _found(role: str, modules: str, path: tuple[str, ...]) -> Mapping[str, Plugin]:
    plugins: dict[str, Plugin] = {}
    for plugin in (*_installed(role), *_named(role, _listed(modules))):
        other = plugins.setdefault(plugin.name, plugin)
        if (other.module, other.attribute) != (plugin.module, plugin.attribute):  # one may be found in two ways
            raise clash(role, plugin.name, other.origin, plugin.origin)
    return plugins


def clash(role: str, name: str, first: str, second: str) -> InputError:
    """What is said of two things of one name."""
    return InputError(f"two {role}s are called {name!r}: of {first}, and of {second}; remove or rename one of them")


def _installed(role: str) -> Iterator[Plugin]:
    group = GROUPS[role]
    for point in metadata.entry_points(group=group):
        by = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
        yield Plugin(role, point.name, point.module, point.attr or "", f"{by} (entry point {group})")


def _listed(modules: str) -> list[str]:
    names = [name.strip() for name in modules.split(",") if name.strip()]
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise InputError(f"{VARIABLE}: {name!r} is no module; write package.module, several with commas between")
    return list(dict.fromkeys(names))


def _named(role: str, modules: list[str]) -> Iterator[Plugin]:
    for name in modules:
        origin = f"{VARIABLE}={name}"
        if role == "experiment":
            if file_of(name) is None:
                raise InputError(f"{origin}: there is no such module on the path ({_path_said()})")
            yield Plugin(role, name, name, "", origin)
            continue
        for cls in vars(_imported(name, origin)).values():
            if _is_of(cls, role, name):
                yield Plugin(role, cls.name, cls.__module__, cls.__qualname__, origin)


def _is_of(cls: Any, role: str, module: str) -> bool:
    """Whether something in a module is an algorithm's or a problem's class that stands there or below."""
    if not isinstance(cls, type) or getattr(cls, "role", None) != role or not getattr(cls, "name", ""):
        return False
    return not cls.__name__.startswith("_") and f"{cls.__module__}.".startswith(f"{module}.")


def _imported(module: str, origin: str) -> ModuleType:
    try:
        return import_module(module)
    except Exception as error:  # whatever stands at the top of somebody's module
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            raise InputError(f"{origin}: there is no module {module} on the path ({_path_said()})") from None
        said = f"{type(error).__name__}: {error}" if not isinstance(error, InputError) else str(error)
        raise InputError(f"{origin}: {module} cannot be imported: {said}") from error


def _path_said() -> str:
    return "PYTHONPATH and the directories of this Python"


def studies() -> list[tuple[Plugin, Any]]:
    """What plugged-in experiments call ``STUDY``, by plugin; modules that name none are not imported."""
    return [(plugin, plugin.load().STUDY) for plugin in found("experiment").values() if _binds(plugin.module, "STUDY")]


def _binds(module: str, name: str) -> bool:
    """Whether a module assigns or imports a name at its top."""
    file = file_of(module)
    if file is None:
        return True  # importing it says what is wrong
    for line in ast.parse(file.read_text(encoding="utf-8")).body:
        targets: list[ast.expr] = []
        if isinstance(line, ast.Assign):
            targets = line.targets
        elif isinstance(line, ast.AnnAssign) and line.value is not None:
            targets = [line.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return True
        if isinstance(line, (ast.Import, ast.ImportFrom)) and name in [one.asname or one.name for one in line.names]:
            return True
    return False


def directories() -> dict[Path, str]:
    """The ``conf/`` folders of all plugins' packages, each with whose it is."""
    return dict(_directories(os.environ.get(VARIABLE, ""), tuple(sys.path)))


@cache
def _directories(modules: str, path: tuple[str, ...]) -> Mapping[Path, str]:
    places = [(plugin.module, plugin.origin) for role in GROUPS for plugin in _installed(role)]
    places += [(name, f"{VARIABLE}={name}") for name in _listed(modules)]
    found: dict[Path, str] = {}
    for module, origin in places:
        file = file_of(module)
        if file is None:
            continue  # whoever asks for what is in it is told
        depth = len(module.split(".")) - (file.name != "__init__.py")
        inside = [folder / "conf" for folder in (file.parent, *file.parents[1:])][:depth]
        for folder in [one.resolve() for one in inside if one.is_dir()][:1]:
            found.setdefault(folder, origin)
    return found


def is_module(name: str) -> bool:
    """Whether there is a module or package of a name, found without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return True


def file_of(module: str) -> Path | None:
    """The file of a module's source, found without importing anything; None where there is none."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):  # of __main__, and of what somebody has put in a module's place
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin is not None and spec.origin.endswith(".py") else None
    for location in spec.submodule_search_locations or ():
        path = Path(location, *rest)
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                return file
    return None
