"""How much was tried for every side of a comparison: a verdict rests on sides that were given the same.

A method whose settings were searched over more configurations has a better best of them by luck alone, and one that is
judged by the seeds that chose its settings keeps that luck. Rules that compare searched methods pass their outcome
through :func:`fairly`, which does not let a verdict stand where the effort differed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from unibio.studies.common.verdicts import NOT_RUN, NOT_TESTABLE, Outcome


@dataclass(frozen=True)
class Effort:
    """What one method was given on one problem.

    Attributes:
        configurations: settings that were tried.
        choosing: seeds that chose among them.
        judging: other seeds that judge the chosen one; 0 where those that chose do.
        random: whether seeds make a difference; where they do not, one run is what all seeds give.
    """

    configurations: int
    choosing: int
    judging: int
    random: bool = True

    def __add__(self, other: Effort) -> Effort:
        """The effort of one method in two searches over different settings, with the same seeds.

        Raises:
            ValueError: the seeds differ.
        """
        if (self.choosing, self.judging, self.random) != (other.choosing, other.judging, other.random):
            raise ValueError("searches with different seeds do not add up to one")
        return Effort(self.configurations + other.configurations, self.choosing, self.judging, self.random)


def uneven(efforts: Mapping[str, Effort], judging: int = 1) -> str:
    """Why a comparison is not fair, "" where it is.

    Args:
        efforts: by what is compared, in words.
        judging: seeds that must judge, at least, where seeds make a difference.
    """
    said = []
    configurations = {name: effort.configurations for name, effort in efforts.items()}
    if len(set(configurations.values())) > 1:
        said.append(f"different numbers of configurations were tried: {_grouped(configurations)}")
    random = {name: effort for name, effort in efforts.items() if effort.random}
    if short := [name for name, effort in random.items() if effort.judging < judging]:
        least = min(random[name].judging for name in short)
        need = "none but those that chose" if least == 0 else f"{least} of the {judging} that it takes"
        said.append(f"the seeds that judge are {need}")
    for what in ("choosing", "judging"):
        seeds = {name: getattr(effort, what) for name, effort in random.items()}
        if len(set(seeds.values())) > 1:
            said.append(f"different numbers of {what} seeds: {_grouped(seeds)}")
    return "; ".join(said)


def fairly(outcome: Outcome, efforts: Mapping[str, Mapping[str, Effort]], judging: int = 1) -> Outcome:
    """The outcome with the effort among its numbers; "not testable here" where the sides were not given the same.

    Args:
        outcome: of a comparison.
        efforts: {problem: {method: effort}}; methods are compared on one problem at a time.
        judging: as in :func:`uneven`.
    """
    if outcome.verdict == NOT_RUN:
        return outcome
    given = {problem: {name: asdict(effort) for name, effort in sides.items()} for problem, sides in efforts.items()}
    reasons: dict[str, list[str]] = {}
    for problem, sides in efforts.items():
        if why := uneven(sides, judging):
            reasons.setdefault(why, []).append(problem)
    numbers = outcome.numbers | {"effort": given}
    if not reasons:
        return Outcome(outcome.verdict, outcome.explanation, numbers)
    said = "; ".join(f"{why} ({', '.join(where)})" for why, where in reasons.items())
    return Outcome(NOT_TESTABLE, f"{outcome.explanation}; no fair comparison: {said}", numbers)


def _grouped(values: Mapping[str, int]) -> str:
    """Numbers with what has them, a few names of each."""
    groups: dict[int, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(name)
    return ", ".join(
        f"{value} ({', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''})"
        for value, names in sorted(groups.items())
    )
