"""The house's order: who may import whom. A rule that fails says what to do; each is shown to fail on an offender."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest

from imports import Graph, imports, reached, sources
from unibio.registry import PROBLEMS
from unibio.studies import STUDIES


@cache
def everything() -> Graph:
    """The imports of all modules; read by the tests, not by every process that only collects them."""
    return imports(sources())


#: What a room may import beside itself and the leaves. A room stands below all that it may import.
MAY: dict[str, tuple[str, ...]] = {
    "plugins": (),
    "core": (),
    "algorithms": ("core",),
    "data": ("core",),
    "problems": ("core", "data"),
    "nn": ("core",),
    "declarations": ("core",),
    "registry": ("plugins", "core", "declarations", "algorithms", "problems"),
    "simulation": ("core",),
    "api": ("core", "registry", "simulation"),
    "store": ("plugins",),
    "studies": ("plugins", "store"),
    "report": ("store", "studies"),
    "pipeline": ("plugins", "core", "data", "registry", "simulation", "store"),
    "cli": ("plugins", "core", "data", "registry", "simulation", "pipeline", "store", "studies", "report"),
}
#: Single modules that everyone may import and that import nothing of ours.
LEAVES = ("errors", "memory", "quantiles", "tensorfile")
#: Everything downstream of the records.
READERS = ("store", "studies", "report")
MOST_AT_THE_TOP = 8


def room(module: str) -> str:
    """``core`` of ``unibio.core.oracle``; "" of ``unibio`` itself and of other packages' modules."""
    first, *rest = module.split(".")
    return rest[0] if first == "unibio" and rest else ""


def package(module: str) -> str:
    return module.split(".")[0]


def ours(graph: Graph) -> Iterator[tuple[str, str]]:
    """Every import of one of the project's modules by another."""
    for module in graph:
        yield from ((module, target) for target in sorted(graph[module]) if package(target) == "unibio")


def foreign(graph: Graph, *rooms: str) -> Iterator[tuple[str, str]]:
    """Every import of another package by a module of some rooms."""
    for module in graph:
        if room(module) in rooms:
            yield from ((module, target) for target in sorted(graph[module]) if package(target) != "unibio")


# The rules: from the imports to what is wrong, and what to do about it -----------------------------------------------


def imports_run_downwards(graph: Graph) -> Iterator[str]:
    for module, target in ours(graph):
        here, there = room(module), room(target)
        if here in ("", "__main__"):  # the public names, which are loaded on first use, and ``python -m unibio``
            continue
        if here not in MAY and here not in LEAVES:
            yield f"{module}: {here} has no line in MAY (tests/test_layout.py): say there what it may import"
        elif there not in (here, *LEAVES, *MAY.get(here, ())):
            allowed = ", ".join(MAY.get(here, ())) or "nothing of ours but the leaves"
            yield (
                f"{module} imports {target}, but {here} may import {allowed}: move what both need down to where both "
                "may reach it, or have the caller hand it over (an argument, a method with a default)"
            )
        elif here in LEAVES:
            yield f"{module} imports {target}: a leaf imports nothing of ours, so give it a room"


def core_is_mathematics(graph: Graph) -> Iterator[str]:
    formats = {"json", "csv", "pickle", "sqlite3", "zipfile", "gzip", "tomllib", "configparser", "pathlib", "os", "io"}
    for module, target in foreign(graph, "core"):
        one = package(target)
        if one in formats or (one not in sys.stdlib_module_names and one not in ("numpy", "torch", "numba")):
            yield (
                f"{module} imports {target}: core knows torch, numpy and numba, no file and no configuration; read and "
                "check it in data, pipeline or store and hand core the numbers"
            )


def hydra_stays_in_the_pipeline(graph: Graph) -> Iterator[str]:
    for module, target in foreign(graph, *(set(MAY) | set(LEAVES)) - {"pipeline", "cli"}):
        if package(target) in ("hydra", "hydra_plugins", "omegaconf", "submitit", "wandb"):
            yield f"{module} imports {target}: only pipeline and cli know it; hand this module plain values instead"


def readers_need_no_torch(graph: Graph) -> Iterator[str]:
    """In the end, through whatever they import, and inside functions, too."""
    for module in graph:
        if room(module) in READERS:
            for target, chain in reached(graph, module).items():
                if package(target) in ("torch", "hydra", "hydra_plugins", "omegaconf") or room(target) == "core":
                    yield (
                        f"{' imports '.join(chain)}: figures and reports come from records alone, on any machine; "
                        "write what is needed into the record, or compute it again from the record's configuration"
                    )


def studies_share_through_common(graph: Graph) -> Iterator[str]:
    for module, target in ours(graph):
        if room(target) != "studies" or room(module) not in ("studies", "report"):
            continue
        its = target.split(".")[2:]
        if module == "unibio.studies":  # the list of them
            fine = len(its) == 1 or its[0] == "common"
        elif room(module) == "report":
            fine = not its or its[0] == "common"
        else:
            fine = bool(its) and its[0] in (module.split(".")[2], "common")
        if not fine:
            yield (
                f"{module} imports {target}: a study's inside is its own; what two of them need belongs in "
                "unibio.studies.common, and what the report needs is a field of Study"
            )


def there_are_no_cycles(graph: Graph) -> Iterator[str]:
    try:
        TopologicalSorter({module: set(targets) & set(graph) for module, targets in graph.items()}).prepare()
    except CycleError as error:
        circle = " imports ".join(reversed(error.args[1]))
        yield f"{circle}: move what they need of each other into a module below both"


def few_stand_at_the_top(graph: Graph) -> Iterator[str]:
    packages = {module.rsplit(".", 1)[0] for module in graph}
    top = [module for module in graph if module.count(".") == 1 and module not in packages]
    if len(top) > MOST_AT_THE_TOP:
        yield (
            f"{len(top)} modules stand at the top of src/unibio, {MOST_AT_THE_TOP} are the most: {', '.join(top)}; "
            "put the new one into the room that uses it"
        )


RULES: dict[Callable[[Graph], Iterator[str]], tuple[dict[str, set[str]], ...]] = {
    imports_run_downwards: (
        {"unibio.core.oracle": {"unibio.algorithms.saba"}},
        {"unibio.algorithms.saba": {"unibio.problems.quadratic"}},
        {"unibio.simulation.loop": {"unibio.registry"}},
        {"unibio.pipeline.job": {"unibio.problems.nli.cleaning"}},
        {"unibio.pipeline.job": {"unibio.studies.nli"}},
        {"unibio.store.records": {"unibio.studies.common.evidence"}},
        {"unibio.errors": {"unibio.quantiles"}},
        {"unibio.newroom.module": {"unibio.core.oracle"}},
    ),
    core_is_mathematics: (
        {"unibio.core.oracle": {"json"}},
        {"unibio.core.oracle": {"pandas"}},
        {"unibio.core.oracle": {"hydra.utils"}},
    ),
    hydra_stays_in_the_pipeline: (
        {"unibio.api.solving": {"omegaconf"}},
        {"unibio.problems.quadratic": {"hydra"}},
        {"unibio.simulation.loop": {"wandb"}},
    ),
    readers_need_no_torch: (
        {"unibio.studies.fig1.rules": {"torch"}},
        {"unibio.store.records": {"unibio.tensorfile"}, "unibio.tensorfile": {"torch"}},
        {"unibio.report.pictures": {"unibio.core.powers"}, "unibio.core.powers": set()},
    ),
    studies_share_through_common: (
        {"unibio.studies.e1.rules": {"unibio.studies.fig1.rules"}},
        {"unibio.studies.e1.rules": {"unibio.studies.fig1"}},
        {"unibio.studies.e1.rules": {"unibio.studies"}},
        {"unibio.studies.common.claim": {"unibio.studies.fig1"}},
        {"unibio.studies": {"unibio.studies.fig1.rules"}},
        {"unibio.report.verdicts": {"unibio.studies.fig1.rules"}},
    ),
    there_are_no_cycles: (
        {"unibio.core.oracle": {"unibio.core.problem"}, "unibio.core.problem": {"unibio.core.oracle"}},
        {"unibio.api": {"unibio.core.a"}, "unibio.core.a": {"unibio.core.b"}, "unibio.core.b": {"unibio.api"}},
    ),
    few_stand_at_the_top: ({f"unibio.module{k}": set() for k in range(MOST_AT_THE_TOP + 1)},),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_order_is_kept(rule: Callable[[Graph], Iterator[str]]) -> None:
    wrong = list(rule(everything()))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("rule", "offender"),
    [(rule, offender) for rule, offenders in RULES.items() for offender in offenders],
    ids=lambda value: getattr(value, "__name__", None) or next(iter(value)).removeprefix("unibio."),
)
def test_an_offender_is_found_among_all_others(rule: Callable[[Graph], Iterator[str]], offender: Graph) -> None:
    graph = everything()
    together = {name: graph.get(name, set()) | offender.get(name, set()) for name in {**graph, **offender}}
    (wrong, *_) = rule(together)
    assert all(name in wrong for name in offender)


def test_the_table_itself_goes_downwards() -> None:
    """A line that lets a room import one above it would make every upward import legal."""
    order = list(MAY)
    for here, allowed in MAY.items():
        assert all(order.index(there) < order.index(here) for there in allowed), f"MAY[{here!r}] reaches upwards"
    assert set(MAY) | set(LEAVES) == {room(name) for name in everything()} - {"", "__main__"}, (
        "MAY has a line for no room"
    )


def test_every_kind_of_import_is_read() -> None:
    text = (
        "from typing import TYPE_CHECKING\nimport torch.nn as nn\nfrom unibio.core import oracle\n"
        "if TYPE_CHECKING:\n    from unibio.api.solving import solve\n"
        "def late():\n    import hydra\n    from unibio.core.problem import Problem\n"
    )
    modules = {name: ast.parse("") for name in ("unibio.core", "unibio.core.oracle", "unibio.core.problem")}
    found = imports({**modules, "unibio.x": ast.parse(text)})["unibio.x"]
    unibio = {"unibio.core.oracle", "unibio.core.problem", "unibio.api.solving"}
    assert found == {"typing", "torch.nn", "hydra", *unibio}


# What is written, and what is loaded ---------------------------------------------------------------------------------


def named(modules: Mapping[str, ast.Module], words: set[str]) -> Iterator[str]:
    """Where the pipeline calls a problem or an experiment by its name, as an identifier or as a text."""
    for module, tree in modules.items():
        for node in ast.walk(tree):
            said = node.id if isinstance(node, ast.Name) else node.value if isinstance(node, ast.Constant) else None
            if room(module) in ("pipeline", "simulation") and said in words:
                yield (
                    f"{module}, line {node.lineno}, names {said}: ask the problem by a method of ProblemSpec with a "
                    "default, and say in conf/ what belongs to an experiment"
                )


def test_the_pipeline_names_no_problem_and_no_experiment() -> None:
    words = {name for study in STUDIES for name in study.experiments}
    words |= {*PROBLEMS, *(problem.__name__ for problem in PROBLEMS.values())}
    assert not list(named(sources(), words))
    for text in ("isinstance(problem, NLICleaning)", "if config['experiment'] == 'fig1': pass"):
        (wrong,) = named({"unibio.pipeline.job": ast.parse(text)}, words)
        assert "ProblemSpec" in wrong


def test_reports_and_studies_load_no_torch() -> None:
    """What the statements say, once more from what an interpreter has loaded in the end."""
    readers = [name for name in everything() if room(name) in READERS]
    code = f"import sys, {', '.join(['unibio', *readers])}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "unibio.studies.fig1.rules" in loaded
    heavy = [name for name in loaded if package(name) in ("torch", "hydra", "omegaconf") or room(name) == "core"]
    assert not heavy, f"{heavy[0]} is loaded with the report: find its import in unibio.{{{','.join(READERS)}}}"
