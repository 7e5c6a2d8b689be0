"""``unibio check``: which of the paper's assumptions a problem satisfies on a region, with the constants found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unibio.cli.entry import Parser, number, whole
from unibio.errors import InputError

if TYPE_CHECKING:
    from unibio.core.assumptions import Finding
    from unibio.core.problem import Problem

EPILOG = """\
A search takes random points of the region, and zooms in by six decades on those where a constant is largest. An
assumption fails where its constant keeps growing by a power of the distance: there is none. Constants are of what was
seen: the true L, C, Δ and σ² are at least, the true μ at most what is printed. Sampling can refute, and never proves;
the more coordinates there are, the more points it takes. The exit status is 0 where nothing fails, 1 where something
does, 2 where the problem cannot be looked at.
"""


def main(arguments: Sequence[str], about: str) -> None:
    """Examine a problem and print a line for every part of Assumptions 3.2 to 3.4.

    Raises:
        InputError: input that cannot work.
        SystemExit: 1 where an assumption fails.
    """
    parser = Parser("unibio check", about, epilog=EPILOG)
    parser.add_argument("overrides", nargs="+", metavar="PROBLEM", help="problem=NAME and problem.KEY=VALUE …")
    parser.add_argument("--x", type=number, default=3.0, metavar="R", help="region: |x_i| ≤ R (default: 3)")
    parser.add_argument("--y", type=number, default=2.0, metavar="R", help="region: |y_i| ≤ R (default: 2)")
    parser.add_argument("--points", type=whole(16), default=400, help="random points of a search (default: 400)")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the random points (default: 0)")
    options = parser.read(arguments)
    problem = built(options.overrides)
    from unibio.core.assumptions import FAILS, examine
    from unibio.core.assumptions.region import Region

    found = examine(problem, Region(options.x, options.y), seed=options.seed, points=options.points)
    assert problem.start is not None  # examine has looked at it
    d_x, d_y = (part.shape[-1] for part in problem.start)
    where = f"on |x_i| ≤ {options.x:g}, |y_i| ≤ {options.y:g}"
    print(f"{problem.name}: p = {problem.exponent:g}, d_x = {d_x}, d_y = {d_y}, {where}")
    print("\n".join(lines(found)))
    failing = list(dict.fromkeys(finding.assumption for finding in found if finding.verdict == FAILS))
    if failing:
        print(f"Not satisfied on this region: {', '.join(failing)}.")
        raise SystemExit(1)
    print("Nothing fails on this region, as far as sampling shows.")


def built(overrides: Sequence[str]) -> Problem:
    """The problem of a configuration; a word alone stands for problem=WORD.

    Raises:
        InputError: no problem is named, or it cannot be built.
    """
    from unibio.pipeline.composing import composer
    from unibio.pipeline.job import job_from

    given = [override if "=" in override else f"problem={override}" for override in overrides]
    if not any(override.startswith(("problem=", "experiment=")) for override in given):
        raise InputError("unibio check needs a problem: unibio check problem=NAME (unibio list shows the names)")
    with composer() as compose_one:
        return job_from(compose_one(given)).problem.build()


def lines(found: Sequence[Finding]) -> list[str]:
    """A line for every finding, in columns."""
    width = max(len(finding.claim) for finding in found)
    return [f"{one.assumption:<9} {one.verdict:<9} {one.claim:<{width}}  {said(one)}" for one in found]


def said(finding: Finding) -> str:
    """The constant, or why there is none."""
    from unibio.core.assumptions import LARGER

    if finding.reason:
        return finding.reason
    text = f"{finding.symbol} {finding.constant:.3g}"
    if finding.grows:
        text += f"; {finding.larger:.2g} times as bad on a region {LARGER:g} times as large"
    return text
