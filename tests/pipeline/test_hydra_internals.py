"""What the project takes from inside Hydra is still there and still does what it is taken for."""

from __future__ import annotations

import ast
import copy
import importlib
from collections.abc import Iterator
from importlib.metadata import version

import pytest
from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf, _utils, base, grammar_parser
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from imports import imports, sources
from unibio.pipeline import composing, schema
from unibio.pipeline.hydra_internals import combinations, listed, parse_once, parsed, set_value, values

MODULE = "unibio.pipeline.hydra_internals"
LOOK = (
    f"Hydra {version('hydra-core')} is not as src/unibio/pipeline/hydra_internals.py expects: compare Hydra's "
    "_internal/core_plugins/basic_sweeper.py (how a sweep is split) and _internal/config_loader_impl.py (how overrides "
    "are set after composing) with those of the pinned version, and change hydra_internals.py alone"
)


def gone(tree: ast.Module) -> Iterator[str]:
    """What a module imports from Hydra that is not there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("hydra"):
            try:
                found = dir(importlib.import_module(str(node.module)))
            except ImportError:
                found = []
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name not in found)


def test_what_is_taken_is_there() -> None:
    assert not list(gone(sources()[MODULE])), LOOK
    assert list(gone(ast.parse("from hydra._internal.moved import X\nfrom hydra.errors import HydraException, Y"))) == [
        "hydra._internal.moved.X",
        "hydra.errors.Y",
    ]


def test_only_one_module_looks_inside_hydra() -> None:
    graph = imports(sources())
    inside = {name for name, targets in graph.items() if any("hydra" in t and "._" in t for t in targets)}
    assert inside == {MODULE}, f"only {MODULE} may import hydra._internal: put what is needed there, with its test here"


def test_overrides_say_what_they_are() -> None:
    single, swept, added = map(parsed, ["steps=5", "algorithm.upper_step=0.1,0.2", "+grid.seed={count: 3}"])
    assert [one.is_sweep_override() for one in (single, swept, added)] == [False, True, False], LOOK
    assert [one.key_or_group for one in (single, swept, added)] == ["steps", "algorithm.upper_step", "grid.seed"], LOOK
    assert single.input_line == "steps=5", LOOK
    with pytest.raises(HydraException):
        parsed("steps")


def test_values_of_a_sweep_are_listed_as_they_are_written() -> None:
    texts = {
        "a=1,b": [1, "b"],
        "a=choice('x y',2)": ["x y", 2],
        "a=range(0,3)": [0, 1, 2],
        "a=[1,2],[3]": [[1, 2], [3]],
    }
    for text, written in texts.items():
        assert listed(parsed(text)), LOOK
        assert list(values(parsed(text))) == written, LOOK
    assert not any(listed(parsed(f"a={text}")) for text in ("1", "glob(*)", "interval(0,1)")), LOOK


def test_a_sweep_is_split_into_its_product_the_last_fastest() -> None:
    swept = [parsed(text) for text in ("a=1,2", "+b.c=x,y", "d=range(0,2)", "e=choice([1,2],[3])")]
    found = [[one.input_line for one in combination] for combination in combinations(swept)]
    assert len(found) == 2 * 2 * 2 * 2, LOOK
    assert found[:3] == [
        ["a=1", "+b.c=x", "d=0", "e=[1,2]"],
        ["a=1", "+b.c=x", "d=0", "e=[3]"],
        ["a=1", "+b.c=x", "d=1", "e=[1,2]"],
    ], LOOK


def test_values_are_set_as_if_composed_with_them() -> None:
    with composing.composer() as compose_one:
        given = ["seed=7", "algorithm.upper_step=0.5", "+grid.seed={count: 3}", "algorithm=soba", "records=here"]
        assert schema.own(compose_one(given)) == schema.own(compose("config", given, return_hydra_config=True)), LOOK
        config = copy.deepcopy(schema.own(compose_one([])))
    for wrong in ("sede=7", "seed=many", "algorithm.upper_stp=1", "algorithm.upper_step=large"):
        try:
            set_value(config, parsed(wrong))
        except (HydraException, OmegaConfBaseException):
            continue
        pytest.fail(f"{wrong} was taken: {LOOK}")


def test_an_interpolation_is_parsed_once_and_means_what_it_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_utils, base):
        assert module.parse is not None, LOOK
        monkeypatch.setattr(module, "parse", grammar_parser.parse)
    config = OmegaConf.create({"a": 1, "b": {"c": "${a}", "d": "${.c}-${a}", "e": "\\${a} ${a}"}, "f": "${none}"})
    plain = OmegaConf.to_container(OmegaConf.masked_copy(config, ["a", "b"]), resolve=True)
    parse_once()
    for a in (1, 2, 1):  # the same trees, whatever they are resolved to
        config.a = a
        resolved = OmegaConf.to_container(OmegaConf.masked_copy(config, ["a", "b"]), resolve=True)
        assert resolved == {"a": a, "b": {"c": a, "d": f"{a}-{a}", "e": f"${{a}} {a}"}}, LOOK
        assert a != 1 or resolved == plain, LOOK
    assert base.parse("${a}") is base.parse("${a}"), LOOK
    for _ in range(2):
        with pytest.raises(InterpolationKeyError):
            _ = config.f
        with pytest.raises(OmegaConfBaseException):
            config.f = "${a.${}"
