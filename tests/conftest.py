"""Settings of all tests."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
import torch
from hypothesis import settings

import standin

standin.register()

# Small tensors: a second thread only costs. One thread also makes runs repeat bit for bit.
torch.set_num_threads(1)

# Derandomised: a failure seen once is seen always, and continuous integration does not fail by chance.
settings.register_profile("unibio", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("unibio")


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
