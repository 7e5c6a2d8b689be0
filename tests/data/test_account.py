"""What is said of sentence pairs before a sweep, and what records know of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import pairs_files as files
from given import given
from unibio.data import DataSettings, load_pairs
from unibio.data.account import described, recorded, unlike_the_paper
from unibio.data.progress import Progress, shown
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job
from unibio.pipeline.job import Job
from unibio.pipeline.sweep import announce

SIZES = ["data.train=12", "data.valid=6", "data.test=6"]


def jobs_of(tmp_path: Path, *more: str, scale: str = "smoke") -> list[Job]:
    folder = tmp_path / "in"
    if not folder.is_dir():
        files.small(folder)
    pairs = ["data=directory", f"data.dir={folder}", "data.vectors=random", f"data.cache={tmp_path}/data", *SIZES]
    where = [f"records={tmp_path}/runs", "tracker=none", "device=cpu", "problem.width=3", "algorithm.batch_size=4"]
    method = ["+experiment/nli=unibio_plain", "problem.weights=learned"]
    with composer() as compose_one:
        return expand(given("experiment=nli", f"scale={scale}", *pairs, *where, *method, *more), compose_one)


def test_a_sweep_says_once_what_its_pairs_are(tmp_path, capsys) -> None:
    """Preparing shows while it lasts, the whole account stands before the first job, and jobs add nothing to it."""
    jobs = jobs_of(tmp_path, "seed=0,1,2")
    said = capsys.readouterr()
    assert said.err.count("prepared pairs written to") == 1
    assert said.out == ""
    announce(jobs, "again")
    said = capsys.readouterr()
    lines = [line.strip() for line in said.out.splitlines()]
    whole = described(load_pairs(jobs[0].problem.pairs))
    at = lines.index("unibio: data of nli_cleaning")
    assert lines[at + 1 : at + 1 + len(whole)] == whole
    assert lines.count("unibio: data of nli_cleaning") == 1
    assert "3 jobs" in lines[at + 1 + len(whole)]
    assert "warning" not in said.out
    run_job(jobs[0])
    assert "pairs" not in "".join(capsys.readouterr())


def test_every_kind_of_pairs_of_a_sweep_is_said_and_none_once_all_is_recorded(tmp_path, capsys) -> None:
    jobs = jobs_of(tmp_path, "data.train=9,12", "seed=0")
    assert len(announce(jobs, "again").pending) == 2
    said = capsys.readouterr().out
    assert "train: 9 pairs" in said
    assert "train: 12 pairs" in said
    for job in jobs:
        run_job(job)
    announce(jobs, "again")
    assert "data of" not in capsys.readouterr().out


def test_a_record_knows_what_data_it_used(tmp_path) -> None:
    (job,) = jobs_of(tmp_path, "seed=0")
    summary = run_job(job).record.summary["data"]
    data = load_pairs(job.problem.pairs)
    assert summary == recorded(data)
    assert summary["content"] == job.config["data_hash"]
    assert list(summary["files"]) == ["train.jsonl.gz", "dev.jsonl.gz", "test.jsonl.gz"]
    assert summary["sizes"] == {"train": 12, "valid": 6, "test": 6}
    assert summary["versions"].keys() == {"torchtext"}
    assert summary["vectors"] == "random, 50-d"
    assert summary["recognised"] == []
    assert str(tmp_path) not in str(summary)


def test_records_of_other_problems_have_no_data(tmp_path) -> None:
    with composer() as compose_one:
        (job,) = expand(["steps=3", f"records={tmp_path}", "tracker=none", "device=cpu"], compose_one)
    assert "data" not in run_job(job).record.summary


def test_other_vectors_than_the_papers_are_warned_of_at_its_scale(tmp_path, capsys) -> None:
    announce(jobs_of(tmp_path, "seed=0,1", scale="paper"), "again")
    said = capsys.readouterr().out
    assert said.count("warning: scale=paper, but the vectors are random, 50-d, where the paper has GloVe 840B") == 1
    assert "data.vectors=glove" in said


@pytest.mark.parametrize(
    ("settings", "amiss"),
    [
        (DataSettings(source="snli", vectors="glove"), None),
        (DataSettings(source="snli", vectors="/some/where/glove.840B.300d.zip"), None),
        (DataSettings(source="snli", vectors="glove50"), "the vectors are "),
        (DataSettings(source="snli", vectors="other.txt"), "the vectors are "),
        (DataSettings(), "the pairs are generated and not SNLI"),
    ],
)
def test_what_is_unlike_the_paper(tmp_path, settings: DataSettings, amiss: str | None) -> None:
    data = load_pairs(DataSettings(cache=str(tmp_path), train=3, valid=3, test=3))
    said = unlike_the_paper(settings, data)
    assert said is None if amiss is None else amiss in str(said)


def test_progress_shows_only_where_it_is_asked_for(tmp_path, capsys) -> None:
    chosen = DataSettings(cache=str(tmp_path), train=3, valid=3, test=3)
    load_pairs(chosen)
    assert capsys.readouterr() == ("", "")
    with shown():
        load_pairs(chosen)
        assert Progress().show
    assert "prepared pairs read from" in capsys.readouterr().err
    assert not Progress().show
