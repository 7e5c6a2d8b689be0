"""Which cases there are, one of them, and how many answers of each kind came out."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import torch

from adversary.judging import PLAIN, SOLVERS, Answer, Case
from adversary.mistakes import MISTAKES

#: Every kind of case, and how many of a hundred cases are of it.
KINDS = {PLAIN: 43, **dict.fromkeys((*MISTAKES, *SOLVERS), 3)}


#: How the page begins.
INTRODUCTION = """\
# What an attack finds

Written by `make adversary ARGS="--page docs/adversary.md"`. A case is a small random problem whose hypergradient is
known: quadratics of condition 1 to 10¹⁰ and beyond, singular and indefinite ones, p = 2, 3, 4, 6, regular and vanishing
Hessians, finite sums and noise, float32 and float64. Many have one mistake planted, of the kinds that users made
elsewhere, and some are too hard for the estimator. Every estimator and a short run are asked. *Right* is within a
tolerance that was fixed beforehand ([judging.py](../tests/adversary/judging.py)), *told* is an error, a warning, NaN or
a run that is not completed, and everything else is *silently wrong*. In ambient modes and with other types of numbers
most answers can be right, and are.
"""


def kind_of(seed: int) -> str:
    """The kinds take turns, so that every stretch of seeds holds all of them."""
    turns = [kind for kind, share in KINDS.items() for _ in range(share)]
    return turns[(seed * 37) % len(turns)]


def ask(seed: int) -> list[Answer]:
    """One case; an error of the attack itself is not an answer of the library's."""
    return Case(seed, kind_of(seed)).answers()


def line_of(seed: int, answers: list[Answer]) -> str:
    """One case as a line of a file."""
    return json.dumps([seed, [asdict(answer) for answer in answers]], ensure_ascii=False) + "\n"


def kept(path: Path | None) -> dict[int, list[Answer]]:
    """The cases of such a file by their seeds, without one whose line was cut off; {} where there is no file."""
    found: dict[int, list[Answer]] = {}
    if path is None or not path.exists():
        return found
    whole, newline, cut = path.read_text(encoding="utf-8").rpartition("\n")
    for line in whole.split("\n") if whole else ():
        seed, answers = json.loads(line)
        found[seed] = [Answer(**answer) for answer in answers]
    if cut:
        path.write_text(whole + newline, encoding="utf-8")
    return found


def tally(found: list[Answer]) -> tuple[str, int, float]:
    """A table by kind, how many answers were silently wrong, and the share of false alarms."""
    rows = [f"{'kind':24}{'cases':>8}{'answers':>9}{'right':>8}{'told':>8}{'silent':>8}"]
    for kind in KINDS:
        here = [answer for answer in found if answer.kind == kind]
        counts = Counter(answer.outcome for answer in here)
        cases = len({answer.seed for answer in here})
        rows.append(f"{kind:24}{cases:>8}{len(here):>9}{counts['right']:>8}{counts['told']:>8}{counts['silent']:>8}")
    silent = sum(answer.outcome == "silent" for answer in found)
    solvable = [answer for answer in found if answer.solvable]
    alarms = sum(answer.outcome == "told" for answer in solvable)
    share = alarms / max(1, len(solvable))
    rows.append(f"solvable and without a mistake: {len(solvable)}, wrongly warned {alarms} ({share:.2%})")
    rows.append(f"silently wrong: {silent} of {len(found)}")
    return "\n".join(rows), silent, share


def page(found: list[Answer], cases: int) -> str:
    """docs/adversary.md: what was asked, the counts in short, which the README has as well, and by kind."""
    plain = [answer for answer in found if answer.solvable]
    hard = [answer for answer in found if not answer.solvable]
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        "| answers | asked | right | told | silently wrong |",
        "|---|---:|---:|---:|---:|",
        _row("without a mistake, and solvable in their dtype", plain),
        _row("with a mistake planted, or too hard", hard),
        _row(f"all, of {cases:,} cases", found),
        "",
        "| kind | cases | asked | right | told | silently wrong |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind in KINDS:
        here = [answer for answer in found if answer.kind == kind]
        lines.append(_row(f"{kind} | {len({answer.seed for answer in here})}", here))
    return "\n".join(lines) + "\n"


def _row(name: str, answers: list[Answer]) -> str:
    counts = Counter(answer.outcome for answer in answers)
    numbers = (len(answers), *(counts[outcome] for outcome in ("right", "told", "silent")))
    return f"| {name} | " + " | ".join(f"{number:,}" for number in numbers) + " |"


def one_thread() -> None:
    """Of a worker: the workers are the parallelism."""
    torch.set_num_threads(1)
