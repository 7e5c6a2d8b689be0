"""The steps that the search chose, as the files of the methods below ``conf/experiment/nli`` hold them.

A file has a column for every size at which steps were chosen, ``upper_step: {paper: 5e-2, reduced: 300}``; the key
``scale.nli.steps`` says which is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from unibio.errors import InputError
from unibio.studies.common import methods
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.words import listed
from unibio.studies.nli.around import PLAIN, STEPS, tuning
from unibio.studies.nli.groups import COMPARED_METHODS, SEARCH, searched
from unibio.studies.nli.setting import TWO_EPOCHS

#: Methods by the file that configures them.
FILES = {name.replace(" ", "_"): methods.label(name) for name in (*COMPARED_METHODS, TWO_EPOCHS)} | {"plain": PLAIN}


def scale_of(evidence: Evidence) -> str:
    """The name of the scale at which the search was run.

    Raises:
        InputError: it was run at several.
    """
    found = searched(evidence) or evidence.require(SEARCH[0])
    names = dict.fromkeys(str((record.config.get("scale") or {}).get("name", "paper")) for record in found)
    if len(names) > 1:
        raise InputError(f"the search was run at several scales, {', '.join(names)}: which is meant?")
    return next(iter(names))


def chosen(evidence: Evidence) -> dict[str, dict[str, float]]:
    """{file without its ending: {step: value}}, of plain training the lower one alone.

    Raises:
        InputError: some method has no choice.
    """
    table = tuning(evidence)
    best = table[table["chosen"]].set_index("method")
    if absent := [label for label in FILES.values() if label not in best.index]:
        raise InputError(
            f"the search has chosen no steps for {', '.join(absent)}: {', '.join(SEARCH)} have to be "
            f"complete, and some pair of steps must not have diverged"
        )
    found = {file: {name: float(best.loc[label, name]) for name in STEPS} for file, label in FILES.items()}
    return {
        file: {name: value for name, value in steps.items() if not math.isnan(value)} for file, steps in found.items()
    }


def at_ends(evidence: Evidence) -> list[str]:
    """The methods whose choice lies at an end of what was tried, as a sentence each."""
    table = tuning(evidence)
    said = []
    for _, row in table[table["chosen"]].iterrows():
        here = table[table["method"] == row["method"]]
        for name in STEPS:
            if end := row[f"{name.removesuffix('_step')}_edge"]:
                tried = listed(sorted(set(here[name])))
                said.append(f"{row['method']}: {name} {row[name]:g} is at the {end} end of what was tried ({tried})")
    return said


def with_column(text: str, column: str, steps: Mapping[str, float]) -> str:
    """A method's file with its steps in a column, which is added or replaced.

    Raises:
        InputError: the file has no such table of a step.
    """
    for name, value in steps.items():
        pattern = re.compile(rf"^(  {name}: {{)(.*)(}})$", re.MULTILINE)
        table = pattern.search(text)
        if table is None:
            raise InputError(f"there is no table of {name}, as in “  {name}: {{paper: 0.1}}”")
        items = [one for one in table[2].split(", ") if one.partition(":")[0] != column]
        line = f"{table[1]}{', '.join([*items, f'{column}: {value:g}'])}{table[3]}"
        text = text[: table.start()] + line + text[table.end() :]
    return text
