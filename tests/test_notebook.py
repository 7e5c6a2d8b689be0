"""The tour: it runs from nothing, the notebook is its script, and it only calls the library."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "notebooks" / "tour.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")

#: What the tour may define: the reader's own problem and own algorithm.
EXAMPLES = {"lower", "upper", "Alternating"}


@pytest.mark.slow
def test_the_script_runs_from_nothing(tmp_path: Path) -> None:
    pytest.importorskip("IPython", reason="the tour shows a picture by IPython")
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "seed 0 unchanged: True" in done.stdout
    assert "Did you mean 'upper_step'?" in done.stdout
    assert "neumann_step is not below 2/λ_max" in done.stdout
    assert done.stderr == ""
    assert not list(tmp_path.iterdir()), "the tour leaves nothing behind"


def read(path: Path) -> Any:
    jupytext = pytest.importorskip("jupytext", reason="the notebook is compared with its script by jupytext")
    return jupytext.read(path)


def test_the_notebook_is_the_script() -> None:
    cells = [[(cell.cell_type, cell.source) for cell in read(path).cells] for path in (SCRIPT, NOTEBOOK)]
    assert cells[0] == cells[1], "notebooks/tour.ipynb is out of step; its first cell says how to make it again"


def test_the_notebook_is_stored_executed_and_small() -> None:
    assert NOTEBOOK.stat().st_size < 400_000
    code = [cell for cell in read(NOTEBOOK).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 6
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output
        shown = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        assert str(ROOT) not in shown
        assert "/tmp" not in shown


def test_the_tour_has_no_logic_of_its_own() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert {node.name for node in tree.body if isinstance(node, functions)} == EXAMPLES
    for node in ast.walk(tree):
        if isinstance(node, functions) and node not in tree.body:
            assert node.name in ("init", "step"), f"{node.name} is defined inside something"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unibio"):
            private = [name.name for name in node.names if name.name.startswith("_")]
            assert not private
            assert "._" not in (node.module or "")
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), f"{node.attr} is not public"


def test_the_readers_own_code_stays_short() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    lines = {node.name: _code_lines(node) for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert lines["lower"] + lines["upper"] <= 15
    assert lines["Alternating"] <= 15


def _code_lines(node: ast.FunctionDef | ast.ClassDef) -> int:
    """Lines of a definition that hold code: neither blank nor docstring."""
    source = ast.unparse(node).splitlines()
    documented = (ast.get_docstring(node, clean=False) or "").splitlines()
    return sum(bool(line.strip()) for line in source) - len(documented)
