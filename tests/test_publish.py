"""``make publish``: a copy for the repository, of no smoke runs, with its pictures beside the page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def publish(where: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "publish.py")]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    out = tmp_path / "results"
    for folder in ("figures", "tables", "published/figures"):
        (out / folder).mkdir(parents=True)
    (out / "claims.json").write_text(json.dumps({"scales": ["laptop", "paper"]}), encoding="utf-8")
    (out / "report.md").write_text("# Report\n", encoding="utf-8")
    (out / "figures" / "a.png").write_bytes(b"\x89PNG")
    (out / "tables" / "a.csv").write_text("x\n1\n", encoding="utf-8")
    picture = '<img alt="a" src="data:image/png;base64,iVBORw==" data-file="figures/a.png">'
    (out / "index.html").write_text(picture, encoding="utf-8")
    (out / ".stamp").write_text("", encoding="utf-8")
    (out / "published" / "figures" / "old.png").touch()
    return out


def test_the_copy_replaces_the_old_one_and_links_its_pictures(results: Path) -> None:
    done = publish(results.parent)
    assert done.returncode == 0, done.stderr
    published = results / "published"
    files = {str(path.relative_to(published)) for path in published.rglob("*") if path.is_file()}
    assert files == {"claims.json", "report.md", "index.html", "figures/a.png", "tables/a.csv"}
    assert (published / "index.html").read_text(encoding="utf-8") == '<img alt="a" src="figures/a.png">'
    assert "base64" in (results / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("scales", [["smoke"], ["paper", "smoke"], []])
def test_smoke_runs_are_not_published(results: Path, scales: list[str]) -> None:
    (results / "claims.json").write_text(json.dumps({"scales": scales}), encoding="utf-8")
    done = publish(results.parent)
    assert done.returncode == 1
    assert "proves nothing" in done.stderr
    assert (results / "published" / "figures" / "old.png").is_file()


def test_without_a_report_nothing_is_published(results: Path) -> None:
    (results / "index.html").unlink()
    done = publish(results.parent)
    assert done.returncode == 1
    assert "make reproduce" in done.stderr
    assert (results / "published" / "figures" / "old.png").is_file()
