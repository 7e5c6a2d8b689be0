"""``UNIBIO_REQUIRE``: a machine that must not skip a test can say so."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
HOOK = Path(__file__).with_name("conftest.py")
SKIPPING = """
import pytest

@pytest.mark.skipif(True, reason="needs a CUDA device")
def test_gpu(): ...

def test_data():
    pytest.skip("no data/quadratic beside the clone")
"""


@pytest.mark.parametrize(
    ("required", "skipped", "failed"),
    [("", 2, 0), ("cuda", 1, 1), ("data/quadratic, cuda", 0, 2), ("all", 0, 2), ("tpu", 2, 0)],
)
def test_named_skips_become_failures(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, required: str, skipped: int, failed: int
) -> None:
    pytester.makeconftest(HOOK.read_text(encoding="utf-8"))
    pytester.makepyfile(SKIPPING)
    monkeypatch.setenv("UNIBIO_REQUIRE", required)
    outcomes = pytester.runpytest_inprocess("-p", "no:cacheprovider").parseoutcomes()
    assert outcomes.get("skipped", 0) == skipped
    # A skip by a mark happens while a test is set up, and pytest calls a failure there an error.
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) + outcomes.get("error", 0) == failed
