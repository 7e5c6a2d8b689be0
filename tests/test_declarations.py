"""What is read of a class without running it is what the class declares."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unibio import declarations, registry
from unibio.algorithms import ablated, variants
from unibio.algorithms.followed import FOLLOWED
from unibio.core.parameters import declared, kinds
from unibio.core.problem import ProblemSpec
from unibio.registry import ALGORITHMS, PROBLEMS, VARIANTS

TABLES = {"algorithm": ALGORITHMS, "variant": VARIANTS, "problem": PROBLEMS}


@pytest.mark.parametrize("name", [f"{kind} {name}" for kind, table in TABLES.items() for name in table])
def test_a_declaration_says_what_the_class_says(name: str) -> None:
    kind, name = name.split()
    cls, said = TABLES[kind][name], TABLES[kind].declared(name)
    assert (said.__name__, said.__module__, said.name, said.role) == (cls.__name__, cls.__module__, name, cls.role)
    assert cls.name == name, "the table's name is another"
    assert said.__doc__.strip().splitlines()[0] == cls.__doc__.strip().splitlines()[0]
    assert said.per_run() == cls.per_run()
    assert len(declared(cls)) == len(declared(said))
    for mine, theirs in zip(declared(said), declared(cls), strict=True):
        assert (mine.name, mine.default, mine.metadata) == (theirs.name, theirs.default, theirs.metadata)
        assert type(mine.default) is type(theirs.default)
        assert kinds(said)[mine.name] == kinds(cls)[mine.name]
    for one in ("reads_pairs", "averaged") if issubclass(cls, ProblemSpec) else ():
        assert getattr(said, one) == getattr(cls, one)
    for method, place in said.methods.items():
        (home, *_) = [base for base in cls.__mro__ if method in vars(base)]
        assert place == home.__module__


def test_every_variant_is_in_the_table() -> None:
    assert {VARIANTS[name] for name in VARIANTS} == set(variants.VARIANTS) | set(ablated.ABLATED) | set(FOLLOWED)


def test_a_declaration_checks_types_and_ranges_as_the_class_does() -> None:
    from unibio.errors import InputError

    for wrong in ({"upper_step": -1.0}, {"upper_step": "much"}, {"lower_iterations": 2.5}, {"nonsense": 1}):
        said = []
        for cls in (ALGORITHMS["stocbio"], ALGORITHMS.declared("stocbio")):
            with pytest.raises(InputError) as refused:
                cls.create(dict(wrong))
            said.append(str(refused.value))
        assert said[0] == said[1]


def test_a_class_that_is_put_into_the_table_declares_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(ALGORITHMS["soba"]):  # type: ignore[misc]
        """Another."""

    monkeypatch.setitem(ALGORITHMS, "mine", Mine)
    assert registry.declared("algorithm", "mine") is registry.algorithm_class("mine") is Mine


def test_what_is_no_class_is_not_found() -> None:
    for path in ("unibio.algorithms.soba.Nothing", "unibio.algorithms.soba.directions"):
        with pytest.raises(LookupError):
            declarations.read(path)


def test_reading_loads_no_torch() -> None:
    code = (
        "import sys\nfrom unibio.registry import ALGORITHMS, PROBLEMS, VARIANTS\n"
        "for table in (ALGORITHMS, PROBLEMS, VARIANTS):\n    [table.declared(name) for name in table]\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "hydra", "pandas", "scipy"} & set(done.stdout.split())


def test_a_table_whose_class_was_exchanged_and_put_back_is_as_before() -> None:
    before, own = ALGORITHMS.declared("soba"), ALGORITHMS["soba"]
    with pytest.MonkeyPatch.context() as exchanged:
        exchanged.setitem(ALGORITHMS, "soba", type("Mine", (own,), {}))
        assert ALGORITHMS.declared("soba").__name__ == "Mine"
    assert ALGORITHMS.declared("soba") is before
    assert ALGORITHMS["soba"] is own
