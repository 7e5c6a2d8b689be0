"""``unibio new algorithm|problem|experiment NAME``: a small package of your own, whose test passes."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unibio import plugins
from unibio.cli import templates
from unibio.cli.entry import Parser
from unibio.errors import InputError, unknown
from unibio.pipeline.conf import options
from unibio.store.writing import write_text


@dataclass(frozen=True)
class Kind:
    """One kind of package.

    Attributes:
        what: it is, in words.
        target: of its entry point.
        command: that runs it once it is installed.
        files: {path in the package: template}.
    """

    what: str
    target: str
    command: str
    files: Mapping[str, str]


KINDS = {
    "algorithm": Kind(
        "An algorithm",
        "NAME.method:CLASS",
        "python -m unibio algorithm=NAME steps=300",
        {
            "NAME/method.py": templates.ALGORITHM,
            "NAME/conf/algorithm/NAME.yaml": templates.ALGORITHM_YAML,
            "tests/test_NAME.py": templates.ALGORITHM_TEST,
        },
    ),
    "problem": Kind(
        "A problem",
        "NAME.problem:CLASS",
        "python -m unibio problem=NAME algorithm=soba steps=300",
        {
            "NAME/problem.py": templates.PROBLEM,
            "NAME/conf/problem/NAME.yaml": templates.PROBLEM_YAML,
            "tests/test_NAME.py": templates.PROBLEM_TEST,
        },
    ),
    "experiment": Kind(
        "An experiment with a figure and a claim",
        "NAME.study",
        "python -m unibio experiment=NAME && unibio figures NAME && unibio report",
        {
            "NAME/study.py": templates.EXPERIMENT,
            "NAME/conf/experiment/NAME.yaml": templates.EXPERIMENT_YAML,
            "tests/test_NAME.py": templates.EXPERIMENT_TEST,
        },
    ),
}


def main(arguments: Sequence[str], about: str) -> None:
    """Write the package, and say what to do with it.

    Raises:
        InputError: a name that cannot be, or that something has already.
    """
    parser = Parser("unibio new", about)
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", help="of the package and of what it brings: small letters, digits, _")
    parser.add_argument(
        "--into", type=Path, default=Path(), metavar="DIR", help="where its directory goes (default: .)"
    )
    asked = parser.read(arguments)
    if asked.kind not in KINDS:
        raise unknown("kind of package", asked.kind, KINDS)
    folder = written(asked.kind, asked.name, asked.into)
    print(f"{folder} is a package of yours. To begin with:\n")
    print(f"  cd {folder} && python -m pytest")
    print(f"  pip install -e {folder}")
    print(f"  {KINDS[asked.kind].command.replace('NAME', asked.name)}")


def written(kind: str, name: str, into: Path) -> Path:
    """Write a package; returns its directory.

    Args:
        kind: of :data:`KINDS`.
        name: of it.
        into: the directory that its own goes into.

    Raises:
        InputError: as above.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > 60:
        raise InputError(f"{name!r} cannot be a package's name: small letters, digits and _, a letter first")
    if name in sys.stdlib_module_names or plugins.is_module(name):
        raise InputError(f"there is a module {name} already, which one of this name would hide; choose another name")
    if name in options(kind):
        raise InputError(f"{kind}={name} is there already; choose another name")
    folder = into / name
    if folder.exists() or folder.is_symlink():
        raise InputError(
            f"{folder} is there already, and nothing is written over it; choose another name or --into DIR"
        )
    chosen = KINDS[kind]
    files = {
        "pyproject.toml": templates.PROJECT,
        "README.md": templates.README,
        "NAME/__init__.py": templates.INIT,
        **chosen.files,
    }
    words = {"WHAT": chosen.what, "GROUP": plugins.GROUPS[kind], "TARGET": chosen.target, "COMMAND": chosen.command}
    for path, text in files.items():
        for word, meant in words.items():
            text = re.sub(rf"\b{word}\b", meant, text)
        write_text(folder / _named(path, name), _named(text, name))
    return folder


def _named(text: str, name: str) -> str:
    """A template or a path with the names put in."""
    title = "".join(part.capitalize() for part in name.split("_"))
    return re.sub(r"NAME", name, re.sub(r"\bCLASS\b", title, text))
