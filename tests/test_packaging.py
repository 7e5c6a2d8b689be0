"""What a newcomer installs: pins, ranges, Makefile, citation and wheel must tell one and the same story."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = [Requirement(text) for extra in PROJECT["optional-dependencies"].values() for text in extra]


def read_pins() -> dict[str, Version]:
    """The pins of constraints.txt; every line must be one."""
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, version = line.split("==")
            assert canonicalize_name(name) not in pins, f"{name} is pinned twice"
            pins[canonicalize_name(name)] = Version(version)
    return pins


PINS = read_pins()


@pytest.mark.parametrize("requirement", RUNTIME + EXTRAS, ids=str)
def test_declared_range_admits_the_pin(requirement):
    assert PINS[canonicalize_name(requirement.name)] in requirement.specifier


def test_pins_carry_no_local_tag():
    assert [name for name, version in PINS.items() if version.local] == []


def test_pins_are_complete():
    """Walk what is installed from unibio's requirements down: everything met must be pinned, and compatibly."""
    queue, seen, problems = [*RUNTIME, *EXTRAS], set(), []
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        if name not in PINS:
            problems.append(f"{requirement} is not pinned")
        elif not requirement.specifier.contains(PINS[name], prereleases=True):
            problems.append(f"{requirement} does not admit {PINS[name]}")
        try:
            below = metadata.distribution(name).requires or []
        except metadata.PackageNotFoundError:  # an extra that is not installed here
            continue
        if name not in seen and Version(metadata.version(name)).public == str(PINS.get(name)):
            queue += [Requirement(text) for text in below]
        seen.add(name)
    # A CUDA build of torch requires NVIDIA's libraries, each at the one version that it was built for.
    assert [line for line in problems if not re.match(r"nvidia-|triton|cuda-", line)] == []


def test_conda_environment_uses_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == PROJECT["name"]
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert (pip[0], pip[-1]) == ("-c constraints.txt", "-e .[dev]")
    shown = dict(line.split("==") for line in pip[1:-1])
    assert {"torch", "hydra-core", "omegaconf", "wandb", "datasets", "torchtext", "matplotlib"} <= set(shown)
    assert shown == {name: str(PINS[canonicalize_name(name)]) for name in shown}
    assert set(shown) <= {requirement.name for requirement in RUNTIME}
    assert "pip" in plain
    (python,) = [entry.split("=", 1)[1] for entry in plain if entry.startswith("python=")]
    assert Version(python) in SpecifierSet(PROJECT["requires-python"])


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    import unibio

    assert citation["version"] == PROJECT["version"] == unibio.__version__


def test_citation_prefers_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["license"] == PROJECT["license"] == "MIT"
    paper = citation["preferred-citation"]
    assert paper["title"] == "Bilevel Optimization with Lower-Level Uniform Convexity"
    assert [author["family-names"] for author in paper["authors"]] == ["Wu", "Gong", "Hao", "Liu"]
    assert paper["year"] == 2026
    assert "2603.00027" in paper["url"]


def test_every_runtime_import_is_declared():
    """Nothing may be imported from src/ that only the development environment, or luck, provides."""
    declared = {canonicalize_name(requirement.name) for requirement in RUNTIME + EXTRAS}
    providers = metadata.packages_distributions()
    undeclared = set()
    for path in (ROOT / "src").rglob("*.py"):
        found = re.findall(r"^\s*(?:import|from) +([A-Za-z_]\w*)", path.read_text(encoding="utf-8"), re.M)
        for module in set(found) - set(sys.stdlib_module_names) - {"unibio"}:
            if module in providers and not declared & {canonicalize_name(name) for name in providers[module]}:
                undeclared.add(f"{path.name}: {module}")
    assert undeclared == set()


def test_readme_lists_every_runtime_dependency():
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    section = re.search(r"^#+ .*\bDependencies\b.*?$(.*?)(?=^# |^## |\Z)", text, re.M | re.S | re.I)
    if section is None:
        pytest.skip("README.md has no section Dependencies")
    rows = [line for line in section[1].splitlines() if line.lstrip().startswith("|")]
    missing = []
    for requirement in RUNTIME:
        row = next((row for row in rows if re.search(rf"(?<![\w-]){re.escape(requirement.name)}(?![\w-])", row)), None)
        if row is None or str(PINS[canonicalize_name(requirement.name)]) not in row:
            missing.append(f"{requirement.name} {PINS[canonicalize_name(requirement.name)]}")
    assert missing == [], "the table of dependencies lacks these names or pinned versions"


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=inherited | environment, capture_output=True, text=True, check=False
    )


def test_make_help_lists_every_target():
    helped = make().stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    targets = phony[1].split()
    assert {"env", "reproduce", "figures", "publish", "test", "lint", "bench", "clean"} <= set(targets)
    listed = [line.split()[0] for line in helped.splitlines() if re.match(r"  [a-z]", line)]
    assert listed == targets


@pytest.mark.slow
def test_first_command_in_a_clone_makes_the_environment():
    """Every target that needs one waits for its stamp; a dry run without the stamp starts by installing the pins."""
    waiting = re.findall(r"^([\w-]+): \$\(STAMP\)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert set(waiting) == set(phony[1].split()) - {"help", "clean"}
    plan = make("--dry-run", "reproduce", "VENV=.venv-absent").stdout
    assert "-c constraints.txt" in plan
    assert plan.index("pip install") < plan.index("scripts/reproduce.py")


def test_make_refuses_an_unusable_interpreter(tmp_path):
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.0" && exit 0\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    refused = make("env", f"VENV={tmp_path / 'venv'}", f"PYTHON={old}")
    assert refused.returncode != 0
    assert "needs Python 3.11 or newer" in refused.stderr
    assert "Python 3.8.0" in refused.stderr
    assert "make PYTHON=" in refused.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """The names of the files inside a freshly built wheel."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed, so no wheel can be built without a network")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_wheel_contains_the_configuration(wheel):
    expected = {f"unibio/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert "unibio/conf/config.yaml" in expected
    assert expected <= wheel


def test_wheel_contains_the_package_and_nothing_else(wheel):
    modules = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    assert modules | {"unibio/py.typed"} <= wheel
    page = ROOT / "src" / "unibio" / "report" / "page"
    assert {str(path.relative_to(ROOT / "src")) for path in page.rglob("*.*s")} <= wheel, "styles and scripts"
    assert "unibio/report/page/vendor/uPlot.LICENSE" in wheel
    assert {name.split("/")[0].split(".dist-info")[0] for name in wheel} == {"unibio", f"unibio-{PROJECT['version']}"}
    assert any(name.endswith("LICENSE") for name in wheel)
