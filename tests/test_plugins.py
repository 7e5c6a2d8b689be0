"""Algorithms, problems, experiments and studies from outside the tree: found, used like ours, refused where unclear."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import foreign
from unibio import plugins
from unibio.errors import InputError
from unibio.pipeline import conf
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.job import Job, job_from
from unibio.registry import ALGORITHMS, algorithm_class
from unibio.store.codehash import closure, code_hash
from wording import check_message

ROOT = Path(__file__).parents[1]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on the path of this process, with nothing plugged in."""
    monkeypatch.delenv(plugins.VARIABLE, raising=False)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def command(*arguments: str, cwd: Path, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "unibio", *arguments],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != plugins.VARIABLE} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def jobs_of(*overrides: str) -> list[Job]:
    with composer() as compose_one:
        return expand(list(overrides), compose_one)


def test_an_installed_algorithm_is_one_of_ours(path: Path) -> None:
    foreign.package(path, "plug_a", method=foreign.method("mine_a"))
    foreign.installed(path, "plug-a", algorithms={"mine_a": "plug_a.method:Mine"})
    assert "mine_a" in ALGORITHMS
    assert len(ALGORITHMS) == len(list(ALGORITHMS))
    assert "plug_a.method" not in sys.modules, "a name is known without importing anything"
    cls = algorithm_class("mine_a")
    assert cls.__module__ == "plug_a.method"
    (job,) = jobs_of("algorithm=mine_a", "algorithm.upper_step=0.3", "steps=3", "tracker=none")
    assert job.config["algorithm"] == {"name": "mine_a", "upper_step": 0.3, "lower_step": 0.1}
    assert job.modules[0] == "plug_a.method"
    assert job_from(job.portable()).name == job.name, "as a worker makes it"
    with pytest.raises(InputError, match=r"algorithm.upper_step must be|upper_step = -1.* is not accepted"):
        jobs_of("algorithm=mine_a", "algorithm.upper_step=-1.0", "steps=3")


def test_a_plugins_own_file_and_experiment_are_found(path: Path) -> None:
    folder = foreign.package(path, "plug_b", method=foreign.method("mine_b"))
    foreign.installed(path, "plug-b", algorithms={"mine_b": "plug_b.method:Mine"})
    for name, text in {
        "algorithm/mine_b.yaml": "defaults:\n  - schema_mine_b\nupper_step: 0.7\n",
        "experiment/asked_b.yaml": foreign.experiment("asked_b", "mine_b"),
    }.items():
        file = folder / "conf" / name
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
    found = jobs_of("experiment=asked_b", "tracker=none")
    assert [job.config["problem"]["exponent"] for job in found] == [2, 4]
    assert {job.config["algorithm"]["upper_step"] for job in found} == {0.7}
    assert "asked_b" in conf.options("experiment")


def test_a_module_of_the_variable_is_looked_through(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = "\n\n@dataclass(frozen=True)\nclass _Base(Mine):\n    name: ClassVar[str] = 'hidden'\n"
    (path / "plug_c.py").write_text(foreign.method("mine_c") + base, encoding="utf-8")
    monkeypatch.setenv(plugins.VARIABLE, " plug_c, plug_c ,")
    assert [name for name in ALGORITHMS if name not in foreign_to(ALGORITHMS)] == ["mine_c"]
    assert plugins.found("problem") == {}
    assert plugins.found("algorithm")["mine_c"].origin == "UNIBIO_PLUGINS=plug_c"


def foreign_to(table: object) -> set[str]:
    """The names of a table that are ours."""
    return set(table) - set(table.plugged())  # type: ignore[call-overload, attr-defined]


def test_two_of_one_name_are_refused_with_both_origins(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign.package(path, "plug_d", method=foreign.method("mine_d"))
    foreign.installed(path, "plug-d", algorithms={"mine_d": "plug_d.method:Mine"})
    (path / "plug_e.py").write_text(foreign.method("mine_d"), encoding="utf-8")
    monkeypatch.setenv(plugins.VARIABLE, "plug_d.method")
    assert "mine_d" in ALGORITHMS, "the same class, found in two ways, is one"
    monkeypatch.setenv(plugins.VARIABLE, "plug_e")
    with pytest.raises(InputError) as refused:
        jobs_of("steps=3")
    check_message(str(refused.value))
    assert "plug-d 1.0 (entry point unibio.algorithms)" in str(refused.value)
    assert "UNIBIO_PLUGINS=plug_e" in str(refused.value)


@pytest.mark.parametrize("name", ["soba", "vrbo_stale"])
def test_a_name_of_ours_is_refused(name: str, path: Path) -> None:
    foreign.installed(path, "plug-f", algorithms={name: "plug_f:Mine"})
    with pytest.raises(InputError, match=rf"two algorithms are called '{name}': of unibio itself, and of plug-f 1\.0"):
        jobs_of("steps=3")


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("text", "point", "said"),
    [
        ("raise RuntimeError('not today')", "Mine", "plug_{k} cannot be imported: RuntimeError: not today"),
        ("import nowhere_at_all", "Mine", "plug_{k} cannot be imported: ModuleNotFoundError"),
        ("x = 1", "Mine", "plug_{k} has no Mine"),
        ("Mine = 3", "Mine", "is no subclass of unibio.Algorithm"),
        (foreign.method("other"), "Mine", "calls itself 'other'"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(text: str, point: str, said: str, path: Path) -> None:
    k = f"wrong_{abs(hash(text)) % 10**8}"
    (path / f"plug_{k}.py").write_text(text, encoding="utf-8")
    foreign.installed(path, "plug-wrong", algorithms={"wrong": f"plug_{k}:{point}"})
    with pytest.raises(InputError) as refused:
        jobs_of("algorithm=wrong", "steps=3")
    check_message(str(refused.value))
    assert said.format(k=k) in str(refused.value)
    assert "plug-wrong 1.0" in str(refused.value)
    assert jobs_of("algorithm=soba", "steps=3"), "whoever does not ask for it is not held up"


def test_modules_that_are_not_there_are_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, said in (("nowhere_at_all", "no module nowhere_at_all"), ("no/module", "'no/module' is no module")):
        monkeypatch.setenv(plugins.VARIABLE, value)
        with pytest.raises(InputError, match=said):
            jobs_of("steps=3")


def test_two_files_of_one_name_are_refused(path: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "experiment").mkdir(parents=True)
        (tmp_path / name / "experiment" / "asked.yaml").write_text("", encoding="utf-8")
    with conf.including([tmp_path / "one"]):
        assert "asked" in conf.options("experiment")
        with conf.including([tmp_path / "two"]), pytest.raises(InputError) as refused:
            jobs_of("steps=3")
    assert "asked" not in conf.options("experiment")
    check_message(str(refused.value))
    assert str(tmp_path / "one" / "experiment" / "asked.yaml") in str(refused.value)
    assert str(tmp_path / "two" / "experiment" / "asked.yaml") in str(refused.value)


@pytest.mark.slow
def test_a_hash_covers_a_plugins_package_and_what_it_takes_from_ours(path: Path) -> None:
    folder = foreign.package(
        path,
        "plug_g",
        method="from unibio import neumann\nfrom . import inner\nimport pandas\nimport plug_g_beside",
        inner="from .deeper import thing\nimport unibio\nunibio.epoch_sgd",
        deeper='"""Documented."""\nthing = 1',
        untouched="",
    )
    (path / "plug_g_beside.py").write_text("")
    found = closure(["plug_g.method"])
    ours = {"unibio.core.hypergradients", "unibio.core.epoch_sgd"}
    theirs = {"plug_g", "plug_g.method", "plug_g.inner", "plug_g.deeper", "plug_g_beside"}
    assert ours <= found
    assert {name for name in found if not name.startswith("unibio")} == theirs
    hashes = []
    for text in ('"""Documented."""\nthing = 1', '"""Otherwise."""\nthing = 1  # noted', "thing = 2"):
        (folder / "deeper.py").write_text(text, encoding="utf-8")
        code = "from unibio.store.codehash import code_hash\nprint(code_hash(['plug_g.method']))"
        paths = os.pathsep.join([str(path), str(ROOT / "src")])
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.append(done.stdout)
    assert hashes[0] == hashes[1] != hashes[2]
    assert code_hash(["gone.entirely"]) != code_hash(["gone.another"])


def test_what_lies_beside_an_installed_package_is_none_of_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    foreign.package(site, "plug_h", method="import plug_h_beside")
    (site / "plug_h_beside.py").write_text("")
    monkeypatch.syspath_prepend(str(site))
    assert closure(["plug_h.method"]) == {"plug_h.method"}


@pytest.mark.slow
def test_a_sweep_in_processes_a_figure_and_a_verdict(tmp_path: Path) -> None:
    """By name in the variable, from the current directory, as one begins."""
    folder = foreign.package(tmp_path, "outside", method=foreign.method("mine"), study=foreign.study("asked"))
    (folder / "__init__.py").write_text("from outside.study import STUDY\nfrom outside.method import Mine\n")
    (folder / "conf" / "experiment").mkdir(parents=True)
    (folder / "conf" / "experiment" / "asked.yaml").write_text(foreign.experiment("asked", "mine"), encoding="utf-8")
    words = ["experiment=asked", "tracker=none", "launcher=processes", "launcher.workers=2"]
    first = command(*words, cwd=tmp_path, UNIBIO_PLUGINS="outside")
    assert first.stdout.count("computed") == 2
    assert "2 already recorded" in command(*words, cwd=tmp_path, UNIBIO_PLUGINS="outside").stdout
    command("figures", "asked", cwd=tmp_path, UNIBIO_PLUGINS="outside")
    assert (tmp_path / "results" / "figures" / "asked.pdf").is_file()
    command("report", cwd=tmp_path, UNIBIO_PLUGINS="outside")
    claims = json.loads((tmp_path / "results" / "claims.json").read_text(encoding="utf-8"))["claims"]
    (mine,) = (claim for claim in claims if claim["id"] == "asked-claim")
    assert mine["verdict"] == "consistent"
    assert "Plugged in: outside" in (tmp_path / "results" / "report.md").read_text(encoding="utf-8")
    (folder / "method.py").write_text(foreign.method("mine", step="2 * x"), encoding="utf-8")
    changed = command(*words, cwd=tmp_path, UNIBIO_PLUGINS="outside")
    assert "2 recorded by other code" in changed.stdout
    assert changed.stdout.count("computed in") == 2, "another step computes other numbers"


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ("STUDY = 3", "is no unibio.studies.common.study.Study"),
        (foreign.study("fig1"), "two figures are called 'fig1': of unibio itself, and of UNIBIO_PLUGINS=outside"),
    ],
)
@pytest.mark.slow
def test_a_study_that_cannot_join_is_said(study: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text(study, encoding="utf-8")
    (tmp_path / "runs").mkdir()
    done = command("report", cwd=tmp_path, code=2, UNIBIO_PLUGINS="outside")
    (line,) = done.stderr.splitlines()
    assert said in line


@pytest.mark.slow
def test_a_plugin_without_a_study_is_not_imported_for_a_report(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import unibio.studies; print(len(unibio.studies.PLUGGED))"],
        cwd=tmp_path,
        env=os.environ | {plugins.VARIABLE: "outside"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\n"
