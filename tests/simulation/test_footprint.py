"""What a batch needs is known before it begins, and what does not fit is refused in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unibio import Example3, InputError, solve
from unibio.simulation import footprint
from unibio.simulation.footprint import check_fits, logged, per_run
from unibio.simulation.settings import Settings
from wording import check_message


def test_rows_that_are_logged() -> None:
    assert logged(Settings(500)) == 200
    assert logged(Settings(50)) == 51
    assert logged(Settings(None, budget=30)) == 31
    assert logged(Settings(None, epochs=2.0, log_points=7)) == 7


def test_it_grows_with_what_is_logged_and_with_the_iterates() -> None:
    few, many = (per_run(Settings(500, log_points=points), 1, 4, (1, 1), 8) for points in (100, 200))
    assert many < 2 * few < 1.01 * many
    assert per_run(Settings(1), 1, 4, (1000, 1000), 8) > 2 * 8 * 2000


def test_solve_refuses_what_does_not_fit_and_says_what_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "available", lambda device: 1e6)
    with pytest.raises(InputError) as refused:
        solve(Example3(), "unibio", steps=500, seed=range(100), upper_step=[0.1, 0.2])
    said = str(refused.value)
    check_message(said)
    for part in ("200 runs", "200 logged rows", "GiB", "log_points", "seed or upper_step", "python -m unibio"):
        assert part in said
    assert len(solve(Example3(noise=1.0), "unibio", steps=3, seed=range(100)).runs) == 100
    check_fits(10**9, 0, Settings(1), [])


_PROGRAM = """
import sys
from pathlib import Path
from unibio import Example3, solve
from unibio.simulation.footprint import per_run
from unibio.simulation.settings import Settings
def peak():
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
solve(Example3(noise=1.0), "soba", steps=2, seed=[0])
before = peak()
solve(Example3(noise=1.0), "soba", steps=250, seed=range(6000))
print(peak() - before, 6000 * per_run(Settings(250), 1, 4, (1, 1), 8))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a peak of memory is read from /proc")
def test_the_estimate_is_above_the_peak_and_not_far() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    peak, estimated = map(int, done.stdout.split())
    assert peak <= estimated <= 4 * peak
