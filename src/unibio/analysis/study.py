"""The records of a study, found by experiment, and what their configurations say."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from unibio import records
from unibio.records import Record

T = TypeVar("T")


#: The synthetic study: Figure 1, Figure 5, their controls and tables.
SYNTHETIC = (
    "fig1",
    "fig1_released",
    "fig1_equal",
    "fig1_coordinatewise",
    "fig1_coordinatewise_equal",
    "coordinatewise_sensitivity",
    "lr_search",
    "fig5",
    "theorem_schedule",
    "runtime",
)


class MissingRecordsError(Exception):
    """An experiment has no complete record; the message says what to run."""

    def __init__(self, experiment: str, command: str, where: Path | None):
        at = f" in {where}" if where is not None else ""
        super().__init__(f"no complete records of experiment {experiment!r}{at}; run: {command}")
        self.experiment = experiment


class Study:
    """Every experiment's records below one directory, each read once, and what is computed from them, once.

    Args:
        root: directory of records; None where ``given`` holds everything.
        given: {experiment: records}, used instead of what lies on disk.

    Attributes:
        notes: what was found wrong on loading (records missing, damaged or computed by older code).
    """

    def __init__(self, root: Path | None, given: Mapping[str, Sequence[Record]] | None = None):
        self.root = root
        self._found = {name: _sorted(found) for name, found in (given or {}).items()}
        self._computed: dict[tuple[Any, ...], Any] = {}
        self.notes: list[str] = []

    def records(self, experiment: str) -> list[Record]:
        """The experiment's complete records by exponent; [] if it was never run."""
        if experiment not in self._found:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = records.load_experiment(self.root, experiment) if self.root is not None else []
            self.notes += [str(warning.message) for warning in caught]
            self._found[experiment] = _sorted(found)
        return self._found[experiment]

    def require(self, experiment: str) -> list[Record]:
        """The same, at least one.

        Raises:
            MissingRecordsError: there is none.
        """
        found = self.records(experiment)
        if not found:
            raise MissingRecordsError(experiment, self.command(experiment), self.root)
        return found

    def once(self, function: Callable[..., T], *arguments: Any) -> T:
        """``function(self, *arguments)``, computed at the first call; what it raises is not kept.

        Figures, claims and report tables rest on the same analysis. All callers get the same object: none may change
        it.

        Args:
            function: of the study, at the top of a module.
            arguments: hashable.
        """
        key = (function, *arguments)
        if key not in self._computed:
            self._computed[key] = function(self, *arguments)
        return self._computed[key]

    def command(self, experiment: str) -> str:
        """The command that computed the experiment's records, or would."""
        noted = records.manifest(self.root, experiment) if self.root is not None else None
        return noted["command"] if noted else f"python -m unibio experiment={experiment}"


def _sorted(found: Iterable[Record]) -> list[Record]:
    return sorted(found, key=lambda record: (exponent(record), record.config.get("steps") or 0))


def exponent(record: Record) -> int:
    """p of the record's problem; 2 where it has no choice of it (a quadratic)."""
    return int(record.config["problem"].get("exponent", 2))


def dimension(record: Record) -> int:
    """d of the record's problem; 1 for Example 3."""
    return int(record.config["problem"].get("dimension", 1))


def setting(record: Record, name: str) -> Any:
    """A parameter of the record's problem or algorithm; None where neither has it."""
    for section in ("algorithm", "problem"):
        if name in record.config[section]:
            return record.config[section][name]
    return None


def axes(record: Record) -> list[str]:
    """Names of the batch axes other than the seed, as columns of ``history`` and ``runs`` are called."""
    names = [key.split(".")[-1] for key in record.config.get("grid") or {}]
    return [name for name in names if name != "seed"]


#: d of the coordinate-wise problem whose √d the configuration has in the paper's steps, whatever the record's d.
CONFIGURED_DIMENSION = 10


def paper_step_in_dimensions(record: Record) -> float | None:
    """The paper's η for the record's exponent times √d, which is ours: the paper has d = 1 only."""
    step, d = paper_step(record), dimension(record)
    return step if step is None or d == 1 else step * math.sqrt(d / CONFIGURED_DIMENSION)


def paper_step(record: Record) -> float | None:
    """The paper's η for the record's exponent as its configuration says; on the coordinate-wise problem times √10."""
    table = (record.config.get("paper") or {}).get("upper_step") or {}
    return {int(p): float(step) for p, step in table.items()}.get(exponent(record))


def scale(found: Iterable[Record]) -> str:
    """ "paper", the name of another scale, or "mixed"; "paper" for no records."""
    names = set()
    for record in found:
        said = record.config.get("scale") or "paper"
        names.add(str(said.get("name", "paper")) if isinstance(said, Mapping) else str(said))
    return names.pop() if len(names) == 1 else ("mixed" if names else "paper")
