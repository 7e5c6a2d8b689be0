"""``unibio new``: what it writes runs, its own test passes, and it can be installed and used like what is ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from unibio import plugins
from unibio.cli.main import main
from unibio.cli.new import KINDS, written
from wording import check_message

ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    """That of this process with this source tree first, and nothing plugged in."""
    kept = {name: value for name, value in os.environ.items() if name != plugins.VARIABLE}
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)} | more


def ran(command: list[str], cwd: Path, **more: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment(**more), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_whole_and_tidy(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["new", kind, "my_own", "--into", str(tmp_path)])
    assert "python -m pytest" in capsys.readouterr().out
    files = [path for path in (tmp_path / "my_own").rglob("*") if path.is_file()]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    for path, text in texts.items():
        for word in ("NAME", "CLASS", "GROUP", "TARGET", "WHAT", "COMMAND"):
            assert word not in text, f"{path} has a place left open"
        if path.suffix == ".py":
            compile(text, str(path), "exec")
    names = {path.relative_to(tmp_path / "my_own").as_posix() for path in files}
    assert {"pyproject.toml", "README.md", "my_own/__init__.py", "tests/test_my_own.py"} < names
    assert f"my_own/conf/{kind}/my_own.yaml" in names


@pytest.mark.parametrize(
    "words",
    [
        ["method", "mine"],
        ["algorithm", "Mine"],
        ["algorithm", "json"],
        ["algorithm", "torch"],
        ["algorithm", "soba"],
        ["problem", "nasty"],
        ["experiment", "fig1"],
        ["algorithm"],
        ["algorithm", "../mine"],
    ],
)
def test_names_that_cannot_be_are_said(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["new", *words, "--into", str(tmp_path)])
    assert stopped.value.code == 2
    check_message(capsys.readouterr().err.strip())
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my_own").mkdir()
    with pytest.raises(SystemExit):
        main(["new", "problem", "my_own", "--into", str(tmp_path)])
    assert "nothing is written over it" in capsys.readouterr().err
    assert list((tmp_path / "my_own").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_its_own_test_passes(kind: str, tmp_path: Path) -> None:
    folder = written(kind, f"my_{kind}", tmp_path)
    ran([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)


@pytest.mark.slow
def test_installed_into_a_fresh_environment_it_is_one_of_ours(tmp_path: Path) -> None:
    """In a sweep that is killed and resumed, in tuning, and beside every baseline on E.1 and ℓ_p-regression."""
    pytest.importorskip("hatchling", reason="the package is built by hatchling, without a network")
    folder = written("algorithm", "mine", tmp_path)
    fresh = tmp_path / "fresh"
    venv.create(fresh, system_site_packages=True)
    python = str(fresh / "bin" / "python")
    (site,) = (fresh / "lib").glob("python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "outer.pth").write_text("\n".join([str(ROOT / "src"), *here]) + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index"]
    ran([*pip, "--no-build-isolation", str(folder)], tmp_path)
    assert "lower gradient steps" in ran([python, "-m", "unibio", "list", "mine"], tmp_path).lower()
    words = ["algorithm=mine", "tracker=none", "launcher=processes", "launcher.workers=2"]
    sweep = [python, "-m", "unibio", "sweep", *words, "problem.exponent=2,4", "problem.noise=1", "steps=4000"]
    first = subprocess.Popen([*sweep, "checkpoint_seconds=0.2"], cwd=tmp_path, env=environment())
    while first.poll() is None and not list((tmp_path / "runs").glob("*/checkpoint-*.pt")):
        pass
    first.kill()
    first.wait()
    assert "2 jobs" in ran(sweep, tmp_path)
    assert "2 already recorded" in ran(sweep, tmp_path)
    code = """
import json
from unibio import Example3, compare
from unibio.problems.lp_regression import LpRegression
from unibio.registry import ALGORITHMS
methods = [name for name in ALGORITHMS if not name.startswith(("unibio_", "lower_only"))]
tuned = compare(Example3(exponent=4), methods, budget=300, tune={"mine": {"upper_step": [0.01, 0.1]}})
small = LpRegression(exponent=3)
second = [m for m in methods if m not in ("f2sa", "f3sa", "f2ba", "proximal", "proximal_momentum", "bome", "pbgd")]
other = compare(small, second, budget=60, upper_step=10.0, lower_step=1e-3, batch_size=20, metric="value")
print(json.dumps([sorted(tuned.results), sorted(other.results), len(tuned.tuning["mine"])]))
"""
    on_e1, on_regression, tried = json.loads(ran([python, "-W", "ignore", "-c", code], tmp_path).splitlines()[-1])
    assert {"mine", "unibio", "stocbio", "soba"} <= set(on_e1)
    assert {"mine", "unibio", "saba"} <= set(on_regression)
    assert tried == 2
