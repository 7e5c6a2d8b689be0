"""Two thousand wrong configurations: each ends in one line, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from stress.bad_configurations import KINDS, refuse_all, wrong
from unibio.cli.main import main


def test_two_thousand_wrong_configurations(tmp_path: Path) -> None:
    counts = refuse_all(2000, tmp_path / "runs", seed=1)
    print(f"\n{counts.total()} wrong configurations of {len(counts)} kinds refused:")
    for kind, count in counts.most_common():
        print(f"  {count:4}  {kind}")
    assert counts.total() == 2000
    assert len(KINDS) == len(counts) >= 30


def test_the_command_line_says_the_same_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _, overrides in wrong(2 * len(KINDS), seed=2):
        with pytest.raises(SystemExit, match="2"):
            main(["run", *overrides])
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
        assert said.err.startswith("unibio: ")
        assert list(tmp_path.iterdir()) == []
