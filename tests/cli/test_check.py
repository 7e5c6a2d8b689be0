"""``unibio check``: its words, its exit status, and the pages that show what it prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from unibio.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "problems.md"
#: Commands of the page with what they print below them.
SHOWN = re.findall(
    r"^```bash\n(unibio check .*?)\n```\n\n```text\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S
)
NUMBER = r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*[)(])"


def check(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "unibio"
    status = 0
    try:
        main(words[1:])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    return status, capsys.readouterr().out


def test_the_page_shows_the_four_problems() -> None:
    problems = [re.search(r"problem=(\w+)", command)[1] for command, _ in SHOWN]
    assert problems == ["example3", "coordinatewise", "hoelder", "lp_regression"]


@pytest.mark.parametrize("command", [command for command, _ in SHOWN])
@pytest.mark.slow
def test_the_page_shows_what_is_printed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """To the word; numbers to a tenth, as searches end elsewhere where sums are rounded otherwise. Where an assumption
    fails, they say how far a search came, and nothing about the problem."""
    shown = dict(SHOWN)[command]
    status, printed = check(command, capsys)
    assert status == (" fails  " in shown)
    old, new = shown.splitlines(), printed.splitlines()
    assert len(old) == len(new), f"write this below the command in {PAGE.name}:\n{printed}"
    for before, now in zip(old, new, strict=True):
        words = [re.sub(NUMBER, "#", re.sub(r"y_\d+ → 0 \(here .*?\)", "y_i → 0", line)) for line in (before, now)]
        assert words[0] == words[1], f"write this below the command in {PAGE.name}:\n{printed}"
        if " fails " not in before:
            numbers = [[float(number) for number in re.findall(NUMBER, line)] for line in (before, now)]
            assert numbers[0] == pytest.approx(numbers[1], rel=0.1), f"write this in {PAGE.name}:\n{printed}"


def test_a_word_names_a_problem_and_the_region_is_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = check("unibio check example3 problem.exponent=6 --x 1 --y 0.5 --points 32", capsys)
    assert status == 0
    assert text.startswith("example3: p = 6, d_x = 1, d_y = 1, on |x_i| ≤ 1, |y_i| ≤ 0.5\n")
    assert len(re.findall(r"^3\.", text, re.M)) == 16
    assert text.splitlines()[-1].startswith("Nothing fails")


def test_a_failing_problem_is_said_in_the_last_line_and_by_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = check("unibio check nasty --points 32", capsys)
    assert status == 1
    assert text.splitlines()[-1] == "Not satisfied on this region: 3.2(i), 3.2(v)."


@pytest.mark.slow
def test_the_same_words_print_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    command = "unibio check hoelder problem.noise=1 problem.upper_noise=1 --points 20"
    said = check(command, capsys)
    assert check(command, capsys) == said
    assert check(f"{command} --seed 1", capsys) != said


def test_help_says_what_a_constant_is_and_what_the_status_means(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = check("unibio check --help", capsys)
    assert status == 0
    for word in ("--x R", "--y R", "--points", "--seed", "at most", "exit status"):
        assert word in text
