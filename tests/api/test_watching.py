"""``solve`` that is watched, stopped and resumed: nothing that was computed is lost, and nothing foreign continued."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unibio import Coordinatewise, Example3, InputError, Problem, Result, compare, solve

RUN: dict[str, Any] = {"steps": 40, "log_points": 10, "targets": {"hypergradient_norm": [0.5]}}
GRID = RUN | {"seed": range(3), "upper_step": [0.03, 0.1]}


def interrupted(*given: Any, **arguments: Any) -> Result:
    with pytest.warns(UserWarning, match="^interrupted at iteration"):
        return solve(*given, **arguments)


def after(iterations: int) -> Any:
    """A question that is answered with yes before the iteration of that number."""
    asked: list[int] = []
    return lambda: len(asked) >= iterations or bool(asked.append(1))


def same(one: Result, other: Result) -> None:
    assert torch.equal(one.x, other.x)
    assert torch.equal(one.y, other.y)
    assert one.status == other.status
    assert one.history.drop(columns="seconds").equals(other.history.drop(columns="seconds"))
    assert one.runs.equals(other.runs)
    assert one.warnings == other.warnings


# Watching -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [RUN, GRID], ids=["run", "grid"])
def test_every_row_of_history_is_told_as_it_is_logged(given: dict[str, Any]) -> None:
    rows: list[Any] = []
    result = solve(Example3(noise=1.0), "unibio", **given, on_log=rows.append)
    same(result, solve(Example3(noise=1.0), "unibio", **given))
    for run, history in result.history.groupby("run"):
        assert [row["iteration"] for row in rows] == history["iteration"].tolist()
        for name in rows[0]:
            told = [row[name] if np.ndim(row[name]) == 0 else row[name][run] for row in rows]
            assert told == history[name].tolist()


def test_what_a_diverged_run_does_after_its_end_is_not_told() -> None:
    def upper(x: Any, y: Any) -> Any:
        return (x**4).sum(-1) + (y**2).sum(-1)

    def lower(x: Any, y: Any) -> Any:
        return ((y - x) ** 2).sum(-1)

    rows: list[Any] = []
    given: dict[str, Any] = {"steps": 12, "upper_step": [1e-3, 1e3], "on_log": rows.append}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = solve(Problem(upper, lower), "stocbio", 2.0, 0.0, **given)
    assert result.status == ["completed", "diverged"]
    values = np.array([row["upper_value"] for row in rows])
    end = result.runs["stopped_at"][1]
    assert np.isfinite(values[:, 0]).all()
    assert np.isnan(values[[row["iteration"] > end for row in rows], 1]).all()


def test_a_function_that_returns_false_stops_the_run() -> None:
    result = interrupted(Example3(noise=1.0), **RUN, on_log=lambda row: row["iteration"] < 5)
    assert result.status == "interrupted"
    assert result.history["iteration"].iloc[-1] == result.runs["stopped_at"][0]
    assert 5 <= result.runs["stopped_at"][0] < 40
    assert "interrupted" in repr(result)


@pytest.mark.parametrize("iteration", [0, 1, 7])
def test_an_interrupted_run_is_the_beginning_of_the_whole(iteration: int) -> None:
    whole = solve(Example3(noise=1.0), "soba", steps=iteration, log_points=200) if iteration else None
    part = interrupted(Example3(noise=1.0), "soba", **RUN | {"targets": None}, on_log=lambda row: None,
                       progress=(done := []).append, should_stop=lambda: len(done) >= iteration)  # fmt: skip
    assert part.status == "interrupted"
    assert part.history["iteration"].iloc[-1] == iteration
    if whole is not None:
        assert torch.equal(part.x, whole.x)
        mine, theirs = part.history.iloc[-1], whole.history.iloc[-1]
        assert mine.drop("seconds").to_dict() == pytest.approx(theirs.drop("seconds").to_dict(), rel=1e-12)


def test_a_run_can_be_stopped_in_its_warm_start() -> None:
    result = interrupted(Example3(), "unibio", steps=5, should_stop=after(3))
    assert result.runs["stopped_at"].tolist() == result.history["iteration"].tolist() == [0]


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C as in a terminal: a process that was started in the background may have been told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_returns_what_there_is_and_leaves_the_handler_as_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)

    def kill(iteration: int) -> None:
        if iteration == 6:
            os.kill(os.getpid(), signal.SIGINT)

    result = interrupted(Example3(noise=1.0), "soba", steps=50, progress=kill)
    assert result.runs["stopped_at"][0] == 6
    assert signal.getsignal(signal.SIGINT) is before

    def twice(iteration: int) -> None:
        kill(iteration)
        kill(iteration)

    with pytest.raises(KeyboardInterrupt):
        solve(Example3(noise=1.0), "soba", steps=50, progress=twice)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("heard")
def test_ctrl_c_ends_a_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    from unibio.simulation.loop import Loop

    advance = Loop.advance

    def advance_and_kill(loop: Loop, most: int) -> None:
        advance(loop, most)
        if loop.iteration == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Loop, "advance", advance_and_kill)
    with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match="interrupted"):
        compare(Example3(), ["soba", "stocbio"], steps=10)


def test_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    solve(Example3(), "soba", steps=5, progress=True)
    assert "5/5" in capsys.readouterr().err


# Resuming -------------------------------------------------------------------------------------------------------------


@pytest.mark.one_in(4)
@pytest.mark.parametrize("given", [RUN, GRID], ids=["run", "grid"])
@pytest.mark.parametrize("algorithm", ["unibio", "saba"])
def test_the_same_call_goes_on_to_the_same_numbers(given: dict[str, Any], algorithm: str, tmp_path: Path) -> None:
    whole = solve(Example3(noise=1.0), algorithm, **given)
    path = str(tmp_path / "run.pt")
    for iteration in (9, 23):
        done: list[int] = []
        part = interrupted(Example3(noise=1.0), algorithm, **given, checkpoint=path, progress=done.append,
                           should_stop=lambda done=done, iteration=iteration: done[-1:] == [iteration])  # fmt: skip
        assert part.runs["stopped_at"].tolist() == [iteration] * len(part.runs)
    rows: list[Any] = []
    same(solve(Example3(noise=1.0), algorithm, **given, checkpoint=path, on_log=rows.append), whole)
    assert rows[0]["iteration"] > 23
    again: list[int] = []
    same(solve(Example3(noise=1.0), algorithm, **given, checkpoint=path, progress=again.append), whole)
    assert again == []


CALL: dict[str, Any] = {"problem": Coordinatewise(noise=1.0), "algorithm": "soba", "steps": 5, "seed": 1}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("c") / "run.pt"
    solve(**CALL, checkpoint=path)
    return path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"problem": Coordinatewise(noise=2.0)}, r"problem\.noise is 2\.0 here and 1\.0 there"),
        ({"problem": Example3(noise=1.0)}, "problem is 'example3' here and 'coordinatewise' there"),
        ({"algorithm": "amigo"}, "algorithm is AmIGO here and SOBA there"),
        ({"upper_step": 0.2}, r"algorithm\.upper_step is 0\.2 here and 0\.1 there"),
        ({"seed": 2}, r"seeds is \[2\] here and \[1\] there"),
        ({"seed": [1]}, r"seed is \[1\] here and absent there"),
        ({"steps": 6}, "steps is 6 here and 5 there"),
        ({"dtype": torch.float32}, r"dtype is torch\.float32 here"),
        ({"x0": 0.5}, "x0 and y0 differs"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_checkpoint_of_another_call_is_refused_in_one_line(
    changed: dict[str, Any], said: str, checkpoint: Path
) -> None:
    call = CALL | changed
    if "x0" in changed:
        call["x0"] = torch.full((call["problem"].build().start[0].numel(),), 0.5)
    with pytest.raises(
        InputError, match=f"belongs to other runs: .*{said}.*delete it, or name another file"
    ) as refused:
        solve(**call, checkpoint=checkpoint)
    assert "\n" not in str(refused.value)


def test_losses_tell_problems_apart_that_have_no_parameters(tmp_path: Path) -> None:
    def of(factor: float) -> Problem:
        return Problem(lambda x, y: (y - 1) @ (y - 1), lambda x, y: factor * (y - x) @ (y - x))

    solve(of(1.0), "soba", [1.0], [0.0], steps=3, checkpoint=tmp_path / "c")
    solve(of(1.0), "soba", [1.0], [0.0], steps=3, checkpoint=tmp_path / "c")
    with pytest.raises(InputError, match="losses near the start"):
        solve(of(1.01), "soba", [1.0], [0.0], steps=3, checkpoint=tmp_path / "c")


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"something else, as long as a digest and longer than that")
    for given, said in (
        (tmp_path / "other", "checkpoint: .*is damaged.*delete it"),
        (tmp_path, "is a folder; name a file in it"),
        (tmp_path / "no" / "file", "there is no folder"),
        (3, "must be the path of a file"),
    ):
        with pytest.raises(InputError, match=said):
            solve(**CALL, checkpoint=given)
    assert (tmp_path / "other").read_bytes().startswith(b"something")


@pytest.mark.parametrize("name", ["on_log", "should_stop", "progress"])
def test_what_is_no_function_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} must be"):
        solve(**CALL, **{name: 3})


def test_metrics_that_come_and_go_are_refused() -> None:
    def metrics(x: Any, y: Any) -> dict[str, Any]:
        return {"size": x.norm(dim=-1)} | ({"more": x[:, 0]} if calls.append(1) or len(calls) > 2 else {})

    calls: list[int] = []
    problem = Problem(lambda x, y: (y * y).sum(-1), lambda x, y: ((y - x) ** 2).sum(-1), metrics=metrics)
    with pytest.raises(InputError, match="the same names, got size, and later more, size"):
        solve(problem, "soba", 1.0, 0.0, steps=5)
