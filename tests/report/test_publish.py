"""``make publish``: thinned records, and what follows from them, by one clean state of source and configuration."""

from __future__ import annotations

import dataclasses
import json
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic import whole_study, write_study
from unibio.errors import InputError
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import existing, run_job
from unibio.pipeline.confirming import differing
from unibio.pipeline.job import Job, job_from
from unibio.pipeline.proving import representatives
from unibio.pipeline.sweep import announce
from unibio.report import publishing
from unibio.report.page.html import linked
from unibio.store import lists, packs, records, thinning
from unibio.store.records import Record, write
from unibio.store.thinning import (
    BITS,
    END_BITS,
    LATE,
    POINTS,
    ROWS,
    TAIL,
    Kept,
    placeless,
    placeless_command,
    rounded,
    spaced,
    thin,
)
from unibio.studies import BY_NAME
from unibio.studies.common.document import Block, Paragraph
from unibio.studies.common.evidence import Evidence, column
from unibio.studies.common.verdicts import TAIL as TAIL_OF_RULES

ROOT = Path(__file__).parents[2]

#: Numbers that tell the rows of a table apart.
KEYS = (
    "d",
    "p",
    "power",
    "epsilon",
    "noise",
    "upper_noise",
    "upper_step",
    "lower_step",
    "cap",
    "iteration",
    "oracle_calls",
)


def publish(where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "publish.py"), *words]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)


def git(where: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(("git", *identity, *words), cwd=where, check=True, capture_output=True)


def asked(clone: Path) -> list[str]:
    """One study, small, into the clone's own records."""
    words = ["experiment=runtime", "steps=200", "log_points=50", "repeats=2"]
    return [*words, f"records={clone / 'runs'}", "tracker=none"]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Job]]:
    """A clone with a commit, and the records of one study computed there."""
    clone = tmp_path_factory.mktemp("clone")
    for name in ("src", "conf"):
        (clone / name).mkdir()
        (clone / name / "file").write_text(name, encoding="utf-8")
    (clone / ".gitignore").write_text("runs\nresults/*\n!results/published\n", encoding="utf-8")
    git(clone, "init", "-q")
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "All")
    with composer() as compose_one:
        jobs = expand(asked(clone), compose_one)
    announce(jobs, shlex.join(["python", "-m", "unibio", *asked(clone)]))
    for job in jobs:
        run_job(job)
    return clone, jobs


@pytest.fixture
def clone(computed: tuple[Path, list[Job]], tmp_path: Path) -> Path:
    shutil.copytree(computed[0], tmp_path / "clone")
    return tmp_path / "clone"


@pytest.fixture(scope="module")
def published(computed: tuple[Path, list[Job]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    clone = tmp_path_factory.mktemp("published") / "clone"
    shutil.copytree(computed[0], clone)
    (clone / "results" / "published" / "figures").mkdir(parents=True)
    (clone / "results" / "published" / "figures" / "old.png").touch()
    done = publish(clone)
    assert done.returncode == 0, done.stderr
    assert "e1 is not published" in done.stdout
    assert "runtime is not published" not in done.stdout
    return clone / "results" / "published"


def files(where: Path) -> dict[str, bytes]:
    return {str(one.relative_to(where)): one.read_bytes() for one in where.rglob("*") if one.is_file()}


@pytest.mark.slow
def test_what_is_published_follows_from_its_records(published: Path, tmp_path: Path) -> None:
    """A fresh clone makes every figure, table and verdict again without computing anything."""
    assert {path.name for path in published.iterdir()} == {
        "records", "tables", "claims.json", "report.md", "index.html", "experiments.json",
        "long_tables.md", "our_claims.md", "what_to_keep_in_mind.md",
    }  # fmt: skip
    for command in ("figures", "report"):
        words = ["-m", "unibio", command, "--records", "results/published/records", "--out", str(tmp_path)]
        clone = published.parents[1]
        done = subprocess.run([sys.executable, *words], cwd=clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    again = files(tmp_path)
    again["index.html"] = linked(again["index.html"].decode()).encode()
    mine = {name: text for name, text in files(published).items() if not name.startswith(("records", "experiments"))}
    assert again == mine


@pytest.mark.slow
def test_nothing_says_where_it_was_computed(computed: tuple[Path, list[Job]], published: Path) -> None:
    """Neither directories nor trackers; the command that is shown is one to type."""
    for name, content in files(published).items():
        assert str(computed[0]).encode() not in content, name
    text = (published / "index.html").read_text(encoding="utf-8")
    assert "python -m unibio experiment=runtime steps=200 log_points=50 repeats=2\n" in text


def test_what_is_left_of_a_command_and_of_a_configuration() -> None:
    line = (
        "python -m unibio experiment=nli 'data.dir=/some where/snli' +launcher.x=1 launcher=slurm records=/a/b a=[1,2]"
    )
    assert placeless_command(line) == "python -m unibio experiment=nli data.dir=snli 'a=[1,2]'"
    assert placeless_command(placeless_command(line)) == placeless_command(line)
    assert placeless_command("it's") == "it's"
    config = {"records": "/a/runs", "steps": 5, "data": {"dir": "/b/c", "name": "a/b"}, "x": ["/d", None, 1.5]}
    assert placeless(config) == {
        "records": "runs",
        "steps": 5,
        "data": {"dir": "c", "name": "a/b"},
        "x": ["d", None, 1.5],
    }


@pytest.mark.slow
def test_thinned_records_give_the_verdicts_of_the_whole_ones(published: Path) -> None:
    claims = json.loads((published / "claims.json").read_text(encoding="utf-8"))["claims"]
    judged = [claim for claim in claims if claim["verdict"] != "not yet run"]
    assert judged
    assert all(list(claim["experiments"]) == ["runtime"] for claim in judged)


@pytest.mark.slow
def test_nothing_computes_with_a_thinned_record(computed: tuple[Path, list[Job]], tmp_path: Path) -> None:
    job = computed[1][0]
    thin(Record(job.path), tmp_path)
    there = job_from({**job.config, "records": str(tmp_path)})
    with pytest.raises(InputError, match="thinned record, for figures and reports alone; name another records=DIR"):
        existing(there)


@pytest.mark.slow
def test_other_studies_stay(clone: Path, published: Path, tmp_path: Path) -> None:
    shutil.copytree(published, clone / "results" / "published")
    other = tmp_path / "others"
    write_study(other, {"fig5": whole_study()["fig5"][:1]})
    evidence = Evidence(other)
    state = publishing.state_of(clone) | {"src": "another"}
    publishing.publish(clone / "results", publishing.chosen(["fig5"], evidence), evidence, state)
    after = clone / "results" / "published"
    assert lists.manifest(after / "records", "runtime") == lists.manifest(published / "records", "runtime")
    assert Evidence(after / "records").records("fig5")
    left = list(publishing.unfinished(after, publishing.state_of(clone)))
    assert not [line for line in left if line.startswith("runtime ")]
    assert [line for line in left if line.startswith("fig5 was published by commit ")]


@pytest.fixture
def refusal(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What publishing refuses in the clone, by the script in this process."""

    def refused() -> str:
        monkeypatch.chdir(clone)
        monkeypatch.setattr(sys, "argv", ["publish.py"])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / "scripts" / "publish.py"), run_name="__main__")
        assert stopped.value.code == 2
        return capsys.readouterr().err

    return refused


def test_a_tree_that_is_not_clean_is_refused(clone: Path, refusal: Callable[[], str]) -> None:
    (clone / "results" / "published").mkdir(parents=True)
    (clone / "results" / "published" / "mine").touch()  # results are what publishing changes
    publishing.state_of(clone)
    (clone / "src" / "file").write_text("changed", encoding="utf-8")
    assert "the tree is not clean (1 changes, first: M src/file)" in refusal()
    assert (clone / "results" / "published" / "mine").exists()


def test_a_commit_to_results_leaves_the_state_as_it_was(clone: Path) -> None:
    before = publishing.state_of(clone)
    (clone / "results" / "published").mkdir(parents=True)
    (clone / "results" / "published" / "mine").touch()
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Results")
    after = publishing.state_of(clone)
    assert after["commit"] != before["commit"]
    assert all(after[name] == before[name] for name in publishing.SOURCES)


def by_other_code(record: Record, history: pd.DataFrame, path: Path | None = None) -> Record:
    summary = dict(record.summary) | {"code_hash": "0" * 64}
    config = dict(record.config) | {"launcher": {"name": "one of its time"}}
    return write(path or record.path, config, summary, history, record.runs)


def replayed(clone: Path, change: float = 1.0) -> Record:
    """A record by other code whose first iterations, and no more, have been computed again; its last row changed."""
    path = next(iter(sorted((clone / "runs").glob("example3-*"))))
    history = Record(path).history.copy()
    history.loc[history.index[-1], "hypergradient_norm"] *= change
    record = by_other_code(Record(path), history)
    with composer() as compose_one:
        (job,) = [job for job in expand(asked(clone), compose_one) if job.name == record.name]
    assert str(run_job(job).record.standing) == "replayed to iteration 3"
    return Record(path)


@pytest.mark.slow
def test_what_other_code_computed_is_published_once_it_was_computed_again(clone: Path) -> None:
    record = replayed(clone)
    done = publish(clone)
    assert done.returncode == 0, done.stderr
    assert f"example3, unibio: replaying {record.name} whole" in done.stdout
    assert "equal to the bit up to its end, iteration 200" in done.stdout
    assert str(record.standing) == "replayed to iteration 200, its end"
    assert representatives([record]) == {}, "it is known now"
    copy = packs.at(clone / "results" / "published" / "records", record.name)
    assert str(copy.standing) == "replayed to iteration 200, its end"


@pytest.mark.slow
def test_what_differs_late_is_not_published(clone: Path) -> None:
    """In the last row, where a sweep does not look."""
    record = replayed(clone, change=1 + 2**-50)
    done = publish(clone)
    assert done.returncode == 2
    said = f"today's code does not compute what {record.name} holds (hypergradient_norm of run 0, iteration 200"
    assert said in done.stderr
    assert not (clone / "results").exists()


def test_stale_and_missing_records_are_refused(clone: Path, refusal: Callable[[], str]) -> None:
    path = next(iter(sorted((clone / "runs").glob("example3-*"))))
    by_other_code(Record(path), Record(path).history)
    assert f"1 of 4 records computed by older code (first: {path.name})" in refusal()
    (path / "done").unlink()
    assert f"1 of 4 records missing or damaged (first: {path.name}" in refusal()


def test_smoke_runs_are_not_published() -> None:
    evidence = Evidence(None, {"runtime": whole_study("smoke", steps=40)["runtime"]})
    with pytest.raises(InputError, match="of scale smoke, which proves nothing"):
        publishing.fit(publishing.chosen(["runtime"], evidence), evidence)


def test_a_study_without_records_is_refused(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    with pytest.raises(InputError, match=r"study fig1: no records of fig1; run: python -m unibio experiment=fig1"):
        publishing.chosen(["fig1"], evidence)
    with pytest.raises(InputError, match="no study 'fig11'; there are fig1, "):
        publishing.chosen(["fig11"], evidence)


@pytest.mark.slow
def test_experiments_of_a_study_are_published_one_by_one(clone: Path, published: Path, tmp_path: Path) -> None:
    """Those that have no records are not lost where they were published before, and named where they were not."""
    shutil.copytree(published, clone / "results" / "published")
    state = publishing.state_of(clone)
    for experiment in ("fig1", "fig1_equal"):
        write_study(tmp_path / experiment, {experiment: whole_study()[experiment][:1]})
        evidence = Evidence(tmp_path / experiment)
        publishing.publish(clone / "results", publishing.chosen(["fig1"], evidence), evidence, state)
    after = clone / "results" / "published"
    assert set(publishing.states(after)) == {"fig1", "fig1_equal", "runtime"}
    assert all(Evidence(after / "records").records(name) for name in ("fig1", "fig1_equal", "runtime"))
    assert not (after / "thinned").exists()
    left = list(publishing.unfinished(after, state))
    assert "fig1_released is not published" in left
    assert not [line for line in left if line.startswith(("fig1 ", "fig1_equal ", "runtime "))]


@pytest.mark.slow
def test_what_todays_state_gives_as_well_is_confirmed(computed: tuple[Path, list[Job]], published: Path, clone: Path,
                                                      tmp_path: Path) -> None:  # fmt: skip
    """The same records by another commit; not where their command plans others, nor where the code is another's."""
    shutil.copytree(published, clone / "results" / "published")
    (clone / "src" / "file").write_text("a comment", encoding="utf-8")
    git(clone, "commit", "-qam", "A comment")
    done = publish(clone, "--confirm")
    assert done.returncode == 0, done.stderr
    assert "runtime: confirmed" in done.stdout
    after = clone / "results" / "published"
    assert publishing.states(after) == {"runtime": publishing.state_of(clone)}
    evidence = Evidence(after / "records")
    found = evidence.records("runtime")
    assert differing(found, evidence.command("runtime"), [], tmp_path) == ""
    assert differing(found, "python -m unibio experiment=runtime steps=200 log_points=50", [], tmp_path) == (
        "today's configuration plans 4 records, 4 of which are not among the 4 published ones"
    )
    assert differing(found, "python -m unibio experiment=runtimes", [], tmp_path).startswith(
        "its command cannot be planned: "
    )
    job = computed[1][0]
    older = by_other_code(Record(job.path), Record(job.path).history, tmp_path / job.name)
    assert differing([older], evidence.command("runtime"), [], tmp_path) == (
        f"1 of 1 records were computed by older code (first: {older.name})"
    )


def test_thinned_records_that_change_a_verdict_are_refused(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = Evidence(clone / "runs")
    studies = publishing.chosen([], evidence)

    def broken(record: Record, root: Path, *asked: object) -> Record:
        runs = record.runs.assign(seconds=0.0, grad_lower=0)
        return write(root / record.name, record.config, dict(record.summary), record.history.assign(grad_lower=0), runs)

    monkeypatch.setattr(publishing, "thin", broken)
    with pytest.raises(InputError, match="thinned records change a verdict: "):
        publishing.publish(clone / "results", studies, evidence, publishing.state_of(clone))
    assert not (clone / "results" / "published").exists()


def test_thinned_records_that_change_a_number_are_refused(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = Evidence(clone / "runs")
    studies = publishing.chosen([], evidence)

    def slower(record: Record, root: Path, *asked: object) -> Record:
        summary = {name: one for name, one in record.summary.items() if name != "seconds_repeats"}
        summary["seconds"] = 1 + float(np.median(record.summary["seconds_repeats"]))
        return write(root / record.name, record.config, summary, record.history, record.runs)

    monkeypatch.setattr(publishing, "thin", slower)
    with pytest.raises(InputError, match="thinned records change the numbers of running-time-grows by more than 2%: "):
        publishing.publish(clone / "results", studies, evidence, publishing.state_of(clone))
    assert not (clone / "results" / "published").exists()


def test_thinned_records_that_change_a_section_are_refused(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = Evidence(clone / "runs")
    experiments = publishing.chosen([], evidence)
    name = next(name for name, study in BY_NAME.items() if set(study.experiments) & set(experiments))

    def blocks(records: Evidence) -> list[Block]:
        return [Paragraph(f"a slope of {0.31 if '.published' in records.root.parts else 0.42}")]

    monkeypatch.setitem(BY_NAME, name, dataclasses.replace(BY_NAME[name], blocks=blocks))
    said = f"change what the section of the study {name} says by more than 2%: a paragraph: 'a slope of 0.31' and not"
    with pytest.raises(InputError, match=said):
        publishing.publish(clone / "results", experiments, evidence, publishing.state_of(clone))
    assert not (clone / "results" / "published").exists()


@pytest.mark.slow
def test_thinned_records_that_change_a_table_are_refused(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fits over fewer points than the study reads, with the verdicts as they were."""
    monkeypatch.setattr(thinning, "ROWS", 0)
    monkeypatch.setattr(publishing, "_check_verdicts", lambda *asked: None)
    write_study(tmp_path, {"fig5": whole_study()["fig5"]})
    evidence = Evidence(tmp_path)

    def keeping(**change: Any) -> None:
        """Made-up seeds are so much alike that only whole numbers tell them apart."""
        monkeypatch.setattr(
            publishing,
            "thin",
            lambda record, root, kept, *asked: thin(record, root, dataclasses.replace(kept, bits=53, **change)),
        )

    keeping(points=4)
    with pytest.raises(InputError, match=r"change the table fig5_\w+ of the figure fig5\w* by more than 2%: "):
        publishing.publish(clone / "results", ["fig5"], evidence, publishing.state_of(clone))
    assert not (clone / "results" / "published").exists()
    keeping()
    publishing.publish(clone / "results", ["fig5"], evidence, publishing.state_of(clone))


def test_too_much_is_refused(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = Evidence(clone / "runs")
    monkeypatch.setattr(publishing, "MOST", 1000)
    with pytest.raises(InputError, match=r"the thinned records have 0\.\d MB, more than 0"):
        publishing.publish(clone / "results", publishing.chosen([], evidence), evidence, publishing.state_of(clone))


# What thinning does to a record ---------------------------------------------------------------------------------------
@given(st.lists(st.floats(width=64), min_size=1), st.integers(1, 53))
@settings(max_examples=200, deadline=None)
def test_rounding_keeps_so_many_bits(values: list[float], bits: int) -> None:
    given_ = np.array(values)
    kept = rounded(given_, bits)
    finite = np.isfinite(given_)
    np.testing.assert_array_equal(kept[~finite], given_[~finite])
    error = np.abs(kept[finite] - given_[finite])
    assert (error <= np.maximum(np.abs(given_[finite]) * 2.0**-bits, 5e-324)).all()
    np.testing.assert_array_equal(rounded(kept, bits), kept)
    assert (np.signbit(kept) == np.signbit(given_)).all()


@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), st.integers(2, 40))
@settings(max_examples=50, deadline=None)
def test_rows_that_are_kept(lengths: list[int], points: int) -> None:
    history = pd.concat(pd.DataFrame({"run": k, "iteration": range(n)}) for k, n in enumerate(lengths))
    history = history.reset_index(drop=True)
    kept = history[spaced(history, points)]
    for k, n in enumerate(lengths):
        mine = kept.loc[kept["run"] == k, "iteration"].to_numpy()
        assert mine[0] == 0
        assert mine[-1] == n - 1
        assert len(mine) <= points + TAIL + 1
        assert (np.diff(mine) > 0).all()
        assert set(range(max(0, n - TAIL), n)) <= set(mine)
        before = mine[(mine > 10) & (mine < n - TAIL)]
        assert (before[1:] / before[:-1] <= (n + 1) ** (1 / (points - 1)) * 1.5).all(), "a gap on a logarithmic axis"


@given(st.lists(st.tuples(st.integers(1, 400), st.booleans()), min_size=1, max_size=5), st.integers(2, 40) | st.none())
@settings(max_examples=30, deadline=None)
def test_of_runs_that_no_figure_shows_the_ends_are_kept(runs: list[tuple[int, bool]], points: int | None) -> None:
    history = pd.concat(pd.DataFrame({"run": k, "iteration": range(n)}) for k, (n, _) in enumerate(runs))
    history = history.reset_index(drop=True)
    shown = np.array([one for _, one in runs])
    kept, whole = history[spaced(history, points, shown)], history[spaced(history, points)]
    last = history["iteration"].max()
    for k, (n, seen) in enumerate(runs):
        mine = kept.loc[kept["run"] == k, "iteration"].tolist()
        if seen:
            assert mine == whole.loc[whole["run"] == k, "iteration"].tolist()
        else:
            assert mine[0] == 0
            assert mine[-1] == n - 1
            assert all(at >= (1 - TAIL_OF_RULES) * last for at in mine[1:-1])
    assert LATE >= TAIL_OF_RULES, "rules look at no more than is kept"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "experiments"),
    [
        ("fig1", ("fig1", "fig1_equal")),
        ("fig1", ("fig1_coordinatewise", "fig1_coordinatewise_equal")),
        ("e1", ("e1_noise",)),
        ("ablation", ("ablation", "ablation_coordinatewise", "ablation_lp")),
        ("schedules", ("schedules", "schedules_paper", "schedules_step")),
        ("tracking", ("tracking", "tracking_paper")),
    ],
)
def test_figures_do_not_see_what_is_left_out(
    study: str, experiments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row of every table from thinned records stands in the table from the whole ones, but for rounding."""
    monkeypatch.setattr(thinning, "ROWS", 0)
    of = BY_NAME[study]
    write_study(tmp_path / "runs", {name: whole_study()[name] for name in experiments})
    whole, less = Evidence(tmp_path / "runs"), Evidence(tmp_path / "thinned")
    for name in experiments:
        for record in whole.records(name):
            thin(record, less.root, of.reads(name), of.shown(whole, name, record), of.places(whole, name, record))
        lists.write_manifest(less.root, name, [one.name for one in whole.records(name)], whole.command(name))
    drawn = [one for one in of.drawings if set(one.experiments) <= set(experiments)]
    assert drawn
    for one in drawn:
        full, seen = one.draw(whole).tables, one.draw(less).tables
        assert full.keys() == seen.keys()
        for name, table in seen.items():
            keys = [one for one in table if one in KEYS or not pd.api.types.is_numeric_dtype(table[one])]
            both = table.merge(full[name], on=keys, how="left", suffixes=("", " of all"))
            assert len(both) == len(table) > 0, name
            for measured in table.columns.difference(keys):
                if pd.api.types.is_float_dtype(table[measured]):
                    again = both[f"{measured} of all"]
                    np.testing.assert_allclose(table[measured], again, rtol=2.0**-BITS, err_msg=name)


#: Studies that say which metrics they read.
CHOOSY = [
    name for name, study in BY_NAME.items() if all(study.reads(one).metrics is not None for one in study.experiments)
]


@pytest.mark.slow
@pytest.mark.parametrize("study", CHOOSY)
def test_metrics_that_a_study_does_not_read_are_left_out_and_missed_by_nobody(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verdicts, their numbers and every table are the same without what a study says it does not read."""
    monkeypatch.setattr(thinning, "rounded", lambda values, bits: values)
    of = BY_NAME[study]
    made_up = [records.name_of(one.config) for name in of.experiments for one in whole_study()[name]]
    if len(set(made_up)) < len(made_up):
        pytest.skip("made-up records of this study share a name, and cannot all be written")
    write_study(tmp_path / "runs", {name: whole_study()[name] for name in of.experiments})
    whole, less = Evidence(tmp_path / "runs"), Evidence(tmp_path / "thinned")
    wanted, kept = set[str](), set[str]()
    for name in of.experiments:
        found, read = whole.records(name), of.reads(name)
        for record in found:
            copy = thin(record, less.root, read, of.shown(whole, name, record), of.places(whole, name, record))
            here = {*(read.metrics or ()), *read.ends, *read.finals}
            assert set(thinning.measured(copy)) == here & set(thinning.measured(record))
            kept |= set(thinning.measured(copy))
            wanted |= here
        lists.write_manifest(less.root, name, [one.name for one in found], "")
    assert kept == wanted, "a metric that no record has"
    publishing._check_verdicts(of.experiments, whole, less)
    publishing._check_sections(of.experiments, whole, less)
    for drawing in of.drawings:
        full, seen = (drawing.draw(one).tables for one in (whole, less))
        for name, table in full.items():
            same_table(table, seen[name])
    with pytest.raises(InputError, match="lower_margin"):
        column(less.records(of.experiments[0])[0], "lower_margin")


def same_table(whole: pd.DataFrame, thinned: pd.DataFrame) -> None:
    """The same rows, words and numbers."""
    assert list(whole.columns) == list(thinned.columns)
    assert len(whole) == len(thinned)
    for name in whole.columns:
        if pd.api.types.is_float_dtype(whole[name]):
            np.testing.assert_allclose(thinned[name], whole[name], rtol=1e-12, atol=1e-12, err_msg=str(name))
        else:
            assert whole[name].tolist() == thinned[name].tolist()


@given(
    *[
        st.builds(
            Kept,
            st.none() | st.integers(2, 40),
            st.sampled_from([0.0, 0.01]),
            st.none() | st.lists(st.sampled_from("abc"), max_size=3, unique=True).map(tuple),
            st.lists(st.sampled_from("abc"), max_size=3, unique=True).map(tuple),
            st.lists(st.sampled_from("abc"), max_size=3, unique=True).map(tuple),
            st.lists(st.sampled_from("abc"), max_size=3, unique=True).map(tuple),
            st.booleans(),
            st.sampled_from([BITS, 20]),
            st.sampled_from([END_BITS, 53]),
            st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(4, 30), st.integers(4, 53))),
        )
        for _ in range(2)
    ]
)
def test_what_two_readers_need_is_kept_for_both(one: Kept, other: Kept) -> None:
    both = one | other
    for metric in "abcd":
        assert both.reads(metric) == (one.reads(metric) or other.reads(metric))
        assert both.all_along(metric) == (one.all_along(metric) or other.all_along(metric))
        assert both.reach(metric) == max(one.reach(metric), other.reach(metric))
        for kept in (one, other):
            if kept.reads(metric):
                assert np.all(np.array(both.bits_of(metric)) >= kept.bits_of(metric))
    wanted = [one.points, other.points]
    assert set(both.counts) == {*one.counts, *other.counts}
    assert (both.bits, both.end_bits) == (max(one.bits, other.bits), max(one.end_bits, other.end_bits))
    assert both.points == (None if None in wanted else max(filter(None, wanted)))
    assert both.since <= min(one.since, other.since)
    for metric in "abcd":
        assert (one | one).all_along(metric) == one.all_along(metric)
        assert (other | one).all_along(metric) == both.all_along(metric)


def test_a_thinned_record_keeps_less_where_less_is_read(tmp_path: Path) -> None:
    """Thinned in two steps it is what one step gives, where all of its rows are kept."""
    write_study(tmp_path / "runs", {"fig5": whole_study()["fig5"]})
    record = Evidence(tmp_path / "runs").records("fig5")[0]
    kept = dataclasses.replace(BY_NAME["fig5"].reads("fig5"), bits=BITS)
    once = thin(record, tmp_path / "once", kept)
    usual = records.find(thin(record, tmp_path / "usual").path)
    assert usual is not None
    assert set(thinning.measured(usual)) > set(thinning.measured(once))
    assert files(thin(usual, tmp_path / "twice", kept).path) == files(once.path)


def test_rows_that_are_named_are_kept_as_ends_are(tmp_path: Path) -> None:
    """With as many bits as their metric is to have, there and where runs end."""
    write_study(tmp_path / "runs", {"fig5": whole_study()["fig5"][:1]})
    record = Evidence(tmp_path / "runs").records("fig5")[0]
    history = record.history
    place = history.groupby("run")["iteration"].rank(method="first").to_numpy() == 5
    kept = Kept(
        metrics=("lower_error",),
        ends=("hypergradient_norm",),
        finals=("hypergradient_norm_mean", "value"),
        placed=("value",),
        finer={"value": (53, 53), "lower_error": (6, 6)},
    )
    nowhere = np.zeros(len(record.runs), dtype=bool)
    copy = thin(record, tmp_path / "thin", kept, nowhere, place).history
    ends = thinning.at_ends(history)
    assert len(copy) == (ends | place).sum()
    both = copy.merge(history, on=["run", "iteration"], suffixes=("", " whole"))
    rank = both.groupby("run")["iteration"].rank(method="first")
    first, last = rank == 1, rank == both.groupby("run")["iteration"].transform("size")
    there = both.merge(history[place], on=["run", "iteration"], how="left", indicator="at")["at"] == "both"
    assert there.sum() == len(record.runs)
    final = first | last
    assert (both["value"].notna() == (final | there)).all()
    assert (both["value"].fillna(0) == both["value whole"].where(final | there, 0)).all()
    assert (both["hypergradient_norm_mean"].notna() == final).all()
    read = both["lower_error"].notna()
    assert (read == both["hypergradient_norm"].notna()).all()
    assert read[final].all()
    np.testing.assert_array_equal(both["lower_error"][read], rounded(both["lower_error whole"][read].to_numpy(), 6))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.sampled_from([0.0, 0.1, 0.5]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_metric_of_the_ends_is_nan_between_them(lengths: list[int], since: float, shown: bool) -> None:
    history = pd.concat(
        pd.DataFrame({"run": k, "iteration": np.arange(n), "all": np.arange(n) + 1.0, "ends": np.arange(n) + 1.0})
        for k, n in enumerate(lengths)
    ).reset_index(drop=True)
    ends = thinning.at_ends(history)
    assert ends[~history["run"].duplicated().to_numpy()].all()
    assert ends[~history["run"].duplicated(keep="last").to_numpy()].all()
    most = history["iteration"].max()
    assert ends[(history["iteration"] >= (1 - TAIL_OF_RULES) * most).to_numpy()].all(), "what rules call late"
    kept = history[spaced(history, None, None if shown else np.zeros(len(lengths), dtype=bool), since)]
    first = kept.groupby("run").first()
    assert (first["iteration"] == 0).all()
    assert kept.loc[kept["iteration"] > 0, "iteration"].ge(since * most).all()
    if shown:
        assert len(kept) == (history["iteration"].ge(since * most) | history["iteration"].eq(0)).sum()


def test_a_thinned_record(tmp_path: Path) -> None:
    """The same name, axes, counts and runs; fewer rows of long histories, and as many as are asked for."""
    write_study(tmp_path / "runs", {"fig1": whole_study()["fig1"]})
    record = max(Evidence(tmp_path / "runs").records("fig1"), key=lambda one: len(one.history))
    long = record.history.loc[record.history.index.repeat(1 + ROWS // len(record.history))].reset_index(drop=True)
    assert len(long) > ROWS
    record = write(record.path, record.config, record.summary, long, record.runs)
    for points in (POINTS, 40):
        copy = records.find(thin(record, tmp_path / str(points), Kept(points=points)).path)
        assert copy is not None
        assert copy.thinned
        assert copy.summary["thinned"]["bits"] == BITS
        assert copy.summary["thinned"]["points"] == points
        assert POINTS < copy.history.groupby("run").size().max() <= points + TAIL + 1
        kept = [name for name in long if name not in thinning.counted(record) or name in thinning.COUNTS]
        assert "hvp" not in kept
        assert copy.history.dtypes.equals(long[kept].dtypes)
        pd.testing.assert_frame_equal(copy.runs, record.runs)
        assert set(copy.history["upper_step"] if "upper_step" in long else [0]) <= set(long.get("upper_step", [0]))
        ends = copy.history.groupby("run").last(), long[kept].groupby("run").last()
        pd.testing.assert_frame_equal(*ends, rtol=2.0**-END_BITS, atol=0)  # where runs end, to seven digits
        off = copy.history["hypergradient_norm"] != rounded(copy.history["hypergradient_norm"].to_numpy(), BITS)
        assert 0 < off.sum() <= len(copy.runs)
    again = thin(copy, tmp_path / "again")
    assert files(again.path) == files(copy.path), "a thinned record is copied as it is"
