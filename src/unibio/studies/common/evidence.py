"""The records that studies rest on, found by experiment, and what their configurations say."""

from __future__ import annotations

import math
import shlex
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from unibio.errors import InputError
from unibio.store import lists, records
from unibio.store.records import Record
from unibio.store.thinning import first_key

T = TypeVar("T")


class MissingRecordsError(Exception):
    """An experiment has no complete record; the message says what to run."""

    def __init__(self, experiment: str, command: str, where: Path | None):
        at = f" in {where}" if where is not None else ""
        super().__init__(f"no complete records of experiment {experiment!r}{at}; run: {command}")
        self.experiment = experiment


class Evidence:
    """Every experiment's records below one directory, each read once, and what is computed from them, once.

    Args:
        root: directory of records; None where ``given`` holds everything.
        given: {experiment: records}, used instead of what lies on disk.
        called: what messages call ``root``; None for its own name.

    Attributes:
        notes: what was found wrong on loading (records missing, damaged or computed by older code).
    """

    def __init__(
        self, root: Path | None, given: Mapping[str, Sequence[Record]] | None = None, called: Path | None = None
    ):
        self.root = root
        self.called = called or root
        self._found = {name: _sorted(found) for name, found in (given or {}).items()}
        self._computed: dict[tuple[Any, ...], tuple[Any, set[str]]] = {}
        self._noting: list[set[str]] = []
        self.notes: list[str] = []

    def records(self, experiment: str) -> list[Record]:
        """The experiment's complete records by exponent; [] if it was never run. :meth:`noting` takes note of it."""
        for names in self._noting:
            names.add(experiment)
        return self.known(experiment)

    def known(self, experiment: str) -> list[Record]:
        """The same, to look at settings: it does not count as reading the records."""
        if experiment not in self._found:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = lists.load_experiment(self.root, experiment) if self.root is not None else []
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
            raise MissingRecordsError(experiment, self.command(experiment), self.called)
        return found

    def once(self, function: Callable[..., T], *arguments: Any) -> T:
        """``function(self, *arguments)``, computed at the first call; what it raises is not kept.

        Figures, claims and tables of the report rest on the same numbers. All callers get the same object: none may
        change it.

        Args:
            function: of the evidence, at the top of a module.
            arguments: hashable.
        """
        key = (function, *arguments)
        if key not in self._computed:
            with self.noting() as names:
                value = function(self, *arguments)
            self._computed[key] = value, names
        found, names = self._computed[key]
        for noted in self._noting:
            noted |= names
        kept: T = found
        return kept

    @contextmanager
    def noting(self) -> Iterator[set[str]]:
        """The names of the experiments whose records are asked for inside, also by what was computed earlier."""
        names: set[str] = set()
        self._noting.append(names)
        try:
            yield names
        finally:
            self._noting = [other for other in self._noting if other is not names]

    def command(self, experiment: str) -> str:
        """The command that computed the experiment's records, or would."""
        noted = lists.manifest(self.root, experiment) if self.root is not None else None
        return noted["command"] if noted else f"python -m unibio experiment={experiment}"

    def overridden(self, experiment: str) -> list[str]:
        """The words of the command that computed the records which change what the experiment says is computed."""
        try:
            words = shlex.split(self.command(experiment))
        except ValueError:  # no command of ours
            return []
        return [word for word in dict.fromkeys(words) if first_key(word) in _DECIDING]


def _sorted(found: Iterable[Record]) -> list[Record]:
    return sorted(found, key=lambda record: (exponent(record), record.config.get("steps") or 0))


#: The oracle calls that a record counts, by kind: its columns in history and runs.
CALLS = ("grad_upper", "grad_lower", "grad_lower_x", "hvp", "jvp", "value_calls")


def column(record: Record, name: str, of: str = "history") -> pd.Series:
    """A column of a record's ``history`` or ``runs``.

    Rules and figures ask for columns here: one that is not there must not pass for one without values.

    Raises:
        InputError: there is none of the name.
    """
    table: pd.DataFrame = getattr(record, of)
    if name not in table:
        raise InputError(f"{record.name} has no column {name!r} in its {of}, which has {', '.join(table.columns)}")
    return table[name]


def exponent(record: Record) -> int:
    """p of the record's problem; 2 where it has no choice of it (a quadratic)."""
    return int(record.config["problem"].get("exponent", 2))


def method(record: Record) -> str:
    """The record's key in :data:`unibio.studies.common.methods.METHODS`."""
    algorithm = record.config["algorithm"]
    return f"pbgd {algorithm['update']}" if algorithm["name"] == "pbgd" else str(algorithm["name"])


def dimension(record: Record) -> int:
    """d of the record's problem; 1 for Example 3."""
    return int(record.config["problem"].get("dimension", 1))


def setting(record: Record, name: str) -> Any:
    """A parameter of the record's problem or algorithm; None where neither has it."""
    for section in ("algorithm", "problem"):
        if name in record.config[section]:
            return record.config[section][name]
    return None


def noisy(record: Record, cell: Mapping[str, Any] | None = None) -> bool:
    """Whether Gaussian noise is on any derivative or direction of a record's runs, or of those of one cell of its axes.

    Told by the parameters ``noise`` and ``…_noise`` of problem and algorithm; minibatches are not looked at.
    """
    values = {**record.config["problem"], **record.config["algorithm"], **(cell or {})}
    levels = [value for name, value in values.items() if name == "noise" or name.endswith("_noise")]
    return any(isinstance(level, (int, float)) and level > 0 for level in levels)


def axes(record: Record) -> list[str]:
    """Names of the batch axes other than the seed, as columns of ``history`` and ``runs`` are called."""
    names = [key.split(".", 1)[-1] for key in record.config.get("grid") or {}]
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


#: What the paper's scale is called where something of it was overridden.
CHANGED = "paper with changes"

#: Keys of a command that say what is computed.
_DECIDING = frozenset({*records.SCIENTIFIC, "epochs"})


def scale(found: Iterable[Record]) -> str:
    """ "paper", the name of another scale, or "mixed"; "paper" for no records.

    The paper's lengths and our number of seeds are factors of 1; a scale that is called "paper" and has others is not.
    """
    names = set()
    for record in found:
        said = record.config.get("scale") or "paper"
        name = str(said.get("name", "paper")) if isinstance(said, Mapping) else str(said)
        whole = not isinstance(said, Mapping) or all(said.get(factor, 1.0) == 1.0 for factor in ("steps", "seeds"))
        names.add(name if whole or name != "paper" else CHANGED)
    return names.pop() if len(names) == 1 else ("mixed" if names else "paper")
