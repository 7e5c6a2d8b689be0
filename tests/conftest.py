"""Settings of all tests."""

from __future__ import annotations

import copy
import gc
import os
import sys
import zlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

import standin

standin.register()

# Small tensors: a second thread only costs. One thread also makes runs repeat bit for bit.
torch.set_num_threads(1)

# Derandomised: a failure seen once is seen always, and continuous integration does not fail by chance.
# make test-slow runs the same tests once more, with the second profile.
settings.register_profile("unibio", deadline=None, max_examples=15, derandomize=True)
settings.register_profile("thorough", settings.get_profile("unibio"), max_examples=150)
settings.load_profile("unibio")


#: The project's own configuration.
CONF = Path(__file__).parents[1] / "conf"


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move most cases of a function marked ``one_in(n)`` to the long tests: all but every n-th in an order that no axis
    of its grid has a part in, so that the others are spread over all axes."""
    grids: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("one_in") is not None:
            grids.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for grid in grids.values():
        marker = grid[0].get_closest_marker("one_in")
        assert marker is not None
        (n,) = marker.args
        for place, item in enumerate(sorted(grid, key=lambda one: zlib.crc32(one.nodeid.encode()))):
            if place % n:
                item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Make the tests of this process cheaper, once all of them are imported."""
    gc.freeze()  # thousands of tests and of modules, which garbage would be looked for among again and again
    if "unibio.pipeline.composing" in sys.modules:
        composing = sys.modules["unibio.pipeline.composing"]
        composing._composed = composed_once(composing._composed)
        composing.schema.register = registered_once(composing.schema.register)


def composed_once(compose: Callable[[tuple[str, ...]], Any]) -> Callable[[tuple[str, ...]], Any]:
    """Composes every choice of files of conf/ once in a process, not once in every test that asks for it.

    Whoever changes files has a conf/ of his own, which is always read; so are plugins. What else decides, the classes
    in the registry, is looked at.
    """
    from unibio import plugins
    from unibio.pipeline import conf

    kept: dict[Any, Any] = {}

    def composed(chosen: tuple[str, ...]) -> Any:
        if conf.directories() != (CONF,) or plugins.found("algorithm") or plugins.found("problem"):
            return compose(chosen)
        key = (chosen, *registered())
        if key not in kept:
            kept[key] = compose(chosen)
        return copy.deepcopy(kept[key])

    return composed


def registered_once(register: Callable[[], None]) -> Callable[[], None]:
    """Tells Hydra the schemas once in a process, and again when a class in the registry is another or a plugin was."""
    from unibio.pipeline import schema

    known: list[Any] = []

    def once() -> None:
        now = registered()
        if known != [now] or schema._plugged:
            known.clear()
            register()
            known.append(now)

    return once


def registered() -> list[tuple[tuple[str, Any], ...]]:
    """The classes in the registry by their names, without plugins', which nothing imports before it is asked for."""
    from unibio.registry import ALGORITHMS, PROBLEMS, VARIANTS

    return [
        tuple((name, table.declared(name)) for name in table.keys() - table.plugged().keys())
        for table in (ALGORITHMS, PROBLEMS, VARIANTS)
    ]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """``UNIBIO_REQUIRE=a,b`` makes failures of skips whose reason or test id contains a or b; ``all`` of every one.

    For machines that must not skip: ``UNIBIO_REQUIRE=cuda`` on one with a GPU, ``UNIBIO_REQUIRE=data/quadratic`` where
    the reference data is.
    """
    report = (yield).get_result()
    required = [name.strip().lower() for name in os.environ.get("UNIBIO_REQUIRE", "").split(",") if name.strip()]
    if report.skipped and not hasattr(report, "wasxfail") and required:
        reason = str(report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr)
        if any(name == "all" or name in reason.lower() or name in item.nodeid.lower() for name in required):
            report.outcome = "failed"
            report.longrepr = f"UNIBIO_REQUIRE forbids this skip: {reason}"
