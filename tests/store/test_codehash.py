"""The hash of the code: what a module's closure is, and what in it counts."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import unibio
from unibio.pipeline.composing import composer, expand
from unibio.registry import ALGORITHMS, PROBLEMS, VARIANTS
from unibio.store import codehash
from unibio.store.codehash import closure, code_hash


@pytest.fixture
def hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """The hash of unibio.a, in a package of its own."""
    monkeypatch.setattr(codehash, "_ROOT", tmp_path)
    (tmp_path / "__init__.py").write_text("_HOME = {}\n")

    def forget() -> None:
        for kept in (codehash._parsed, codehash._hash, codehash._file, codehash._homes, codehash._beside):
            kept.cache_clear()

    def again() -> str:
        forget()
        return code_hash(["unibio.a"])

    yield again
    forget()


@pytest.mark.parametrize("way", ["from unibio import b", "import unibio.b", "def f():\n    from unibio.b import y"])
def test_it_follows_imports_and_ignores_comments(tmp_path: Path, hashed: Callable[[], str], way: str) -> None:
    (tmp_path / "a.py").write_text(f'"""Doc."""\n{way}\nx = 1  # comment\n')
    (tmp_path / "b.py").write_text("y = 2\n")
    (tmp_path / "c.py").write_text("z = 3\n")
    base = hashed()
    (tmp_path / "a.py").write_text(f'"""Another."""\n{way}\n\nx = 1\n')
    assert hashed() == base, "comments, docstrings and blank lines are not code"
    (tmp_path / "c.py").write_text("z = 4\n")
    assert hashed() == base, "c is not imported"
    (tmp_path / "b.py").write_text("y = 3\n")
    assert hashed() != base, "b is imported"


@pytest.mark.parametrize("module", ["nowhere.linalg", "a", "unibio..a", "unibio./etc/passwd", "", "\ud800"])
def test_what_is_no_module_of_ours_counts_by_its_name(module: str) -> None:
    assert closure([module]) == {module}
    assert code_hash([module]) != code_hash(["unibio.nothing"])


@pytest.mark.slow
def test_a_jobs_closure_is_what_decides_its_numbers_and_nothing_else() -> None:
    """In it the loop, what is logged and when, the grid's columns, settings, randomness; not what reads or shows."""
    for name in ("example3", "nli_cleaning", "quadratic", "lp_regression"):
        with composer() as compose_one:
            data = ["data=generated"] if PROBLEMS[name].reads_pairs else []
            (job,) = expand([f"problem={name}", "algorithm=saba", "tracker=none", *data], compose_one)
        found = closure(job.modules)
        simulation = {f"unibio.simulation.{part}" for part in ("rows", "loop", "history", "settings", "grid")}
        core = {f"unibio.core.{part}" for part in ("streams", "oracle", "problem", "metrics", "parameters", "saga")}
        assert simulation | core | {type(job.problem).__module__, "unibio.algorithms.saba"} <= found
        rooms = {module.split(".")[1] for module in found}
        assert rooms - {"errors", "memory", "quantiles", "tensorfile"} <= {
            "core",
            "algorithms",
            "problems",
            "simulation",
            "data",
        }
        others = {module for module in found if module.startswith("unibio.algorithms.")} - {"unibio.algorithms.saba"}
        assert not others, "another method's file makes no record of this one stale"


def test_every_class_that_can_be_named_has_its_module_in_the_package() -> None:
    for cls in (*ALGORITHMS.values(), *VARIANTS.values(), *PROBLEMS.values()):
        assert codehash._parsed(cls.__module__)[0], f"{cls.__module__} is not found, and so would not be hashed"


@pytest.mark.slow
def test_no_module_imports_in_a_way_that_the_closure_does_not_follow() -> None:
    for path in Path(unibio.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: a relative import"
