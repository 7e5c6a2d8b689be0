"""A job: a checked configuration, with one static structure and the axes of its batch.

A configuration names its record before anything of it is computed, and without torch: types and ranges of parameters
are checked by what problem and algorithm declare. The objects themselves, with whatever else they check, are made when
they are first asked for.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from unibio import registry
from unibio.core.parameters import Configured, declared
from unibio.core.rule_checks import check_once, check_rule
from unibio.core.rule_settings import KEYS, rules_of, settings_of
from unibio.core.rules import LEVELS
from unibio.data.settings import DataSettings
from unibio.errors import InputError, unknown
from unibio.pipeline.axes import axes_of
from unibio.pipeline.schema import DEVICES, DTYPES, MEANT, Root, check_launcher, check_tracker, defaults, mode_of, own
from unibio.pipeline.varying import resolved
from unibio.simulation.settings import Settings
from unibio.simulation.values import seed_of
from unibio.store import records

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from unibio.core.algorithm import Algorithm
    from unibio.core.problem import ProblemSpec


@dataclass(frozen=True)
class Job:
    """A checked configuration: one static structure and the axes of its batch."""

    axes: dict[str, list[Any]]
    config: dict[str, Any]

    @cached_property
    def problem(self) -> ProblemSpec:
        """The problem, made when it is first asked for.

        Raises:
            InputError: its parameters do not go together; not after :meth:`check`.
        """
        made: ProblemSpec = _create(registry.problem_class, self.config, "problem")
        return _reading(made, self.config["data"])

    @cached_property
    def algorithm(self) -> Algorithm:
        """The algorithm, likewise."""
        made: Algorithm = _create(registry.algorithm_class, self.config, "algorithm")
        rules: dict[str, Any] = dict(rules_of(self.config["algorithm"]))
        return dataclasses.replace(made, **rules) if rules else made

    @property
    def modules(self) -> list[str]:
        """The modules whose code, with all that they import, computes it."""
        named = [registry.declared(role, self.config[role]["name"]).__module__ for role in ("problem", "algorithm")]
        return sorted({"unibio.simulation.rows", *named})

    def check_given(self, keys: Iterable[str]) -> None:
        """Refuse a step that is given twice: by a parameter, even at its default, and by an update rule's own.

        Args:
            keys: of the configuration that somebody gave.

        Raises:
            InputError: naming both.
        """
        rules = rules_of(self.config["algorithm"])
        if rules:
            names = [key.removeprefix("algorithm.") for key in keys if key.startswith("algorithm.")]
            algorithm = registry.declared("algorithm", self.config["algorithm"]["name"])
            for level in LEVELS:
                check_once(algorithm, level, rules.get(f"{level}_update"), names)

    def check(self) -> None:
        """What only problem and algorithm themselves know of their parameters and of the axes.

        Raises:
            InputError: the first thing that cannot work.
        """
        _check_axes(
            self.problem, self.algorithm, tuple((key, tuple(some)) for key, some in self.axes.items()), self.dtype
        )

    @property
    def root(self) -> Path:
        """The records directory."""
        return Path(self.config["records"])

    @cached_property
    def name(self) -> str:
        """The record's."""
        return records.record_name(self.config)

    @property
    def path(self) -> Path:
        """The record's directory."""
        return self.root / self.name

    @property
    def dtype(self) -> torch.dtype:
        """Of the iterates."""
        import torch

        dtype: torch.dtype = getattr(torch, self.config["dtype"])
        return dtype

    @property
    def runs(self) -> int:
        """Trajectories in the batch."""
        return math.prod(len(values) for values in self.axes.values())

    def portable(self) -> dict[str, Any]:
        """The configuration as :func:`job_from` takes it."""
        return portable(self.config)

    def join(self, sweep: str) -> None:
        """Be shown by the tracker among the jobs of a sweep, unless its configuration names another group.

        Args:
            sweep: by which ``unibio status`` knows it.
        """
        tracker = self.config["tracker"]
        if tracker.get("mode", "none") != "none" and tracker.get("group") is None:
            self.config["tracker"] = {**tracker, "group": sweep}

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per run with the axes' values, in columns named by the parameter alone."""
        from unibio.simulation.grid import table_of

        return table_of(self.axes)


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A job's or a record's configuration as :func:`job_from` takes it: its axes sorted back into sections."""
    grid: dict[str, Any] = {}
    for key, values in config["grid"].items():
        section, _, name = key.partition(".")
        if name:
            grid.setdefault(section, {})[name] = values
        else:
            grid[section] = values
    return {**config, "grid": grid}


def job_from(config: DictConfig | Mapping[str, Any]) -> Job:
    """Check a composed configuration completely, without starting work.

    Raises:
        InputError: the first thing that cannot work, with its key and what is accepted.
    """
    job = named(config)
    job.check()
    return job


def named(config: DictConfig | Mapping[str, Any]) -> Job:
    """A job of which everything is checked but what :meth:`Job.check` does; it knows its record's name.

    That is enough where the record is there: what computed it has checked the rest.

    Raises:
        InputError: as :func:`job_from`.
    """
    plain = plain_of(config)
    _check_keys(plain)
    problem, algorithm = (_create(partial(registry.declared, role), plain, role) for role in ("problem", "algorithm"))
    if plain["data"] is None and problem.reads_pairs:
        raise InputError(f"data is missing: problem {problem.name} needs data=generated, snli or directory")
    _check_values(plain)
    _check_targets(plain["targets"], problem)
    Settings(plain["steps"], plain["budget"], plain["log_points"], plain["targets"], epochs=plain["epochs"])
    rules = rules_of(plain["algorithm"])
    for level in LEVELS:
        if f"{level}_update" in rules:
            check_rule(algorithm, level, rules[f"{level}_update"])
    axes = axes_of(plain["grid"], seed_of(plain["seed"]))
    job = Job(axes, plain)
    columns = [key.split(".", 1)[-1] for key in axes]
    for column in columns:
        if columns.count(column) > 1:
            raise InputError(f"grid: two axes are called {column}; one job can vary only one of them")
    plain["grid"] = axes
    plain["problem"], plain["algorithm"] = _resolved(problem), _resolved(algorithm)
    plain["algorithm"] |= {key: settings_of(rule) for key, rule in rules.items()}
    plain["data_hash"] = job.problem.fingerprint() if plain["data"] is not None or _has_data(problem) else None
    return job


def _has_data(problem: Any) -> bool:
    """Whether a problem, or its declaration, may have data that its parameters only point to."""
    methods = getattr(problem, "methods", None)  # of a declaration; a class that was put into the table has none
    return methods is None or methods["fingerprint"] != "unibio.core.problem"  # whose default is None


#: Those of a configuration, in their order.
_KEYS = {spec.name: None for spec in dataclasses.fields(Root)}.keys()


def plain_of(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without Hydra's own part, every interpolation resolved.

    Raises:
        InputError: a value is missing, or refers to what is not there.
    """
    if not isinstance(config, DictConfig):
        own_keys: dict[str, Any] = {str(key): value for key, value in config.items()}
        if own_keys.keys() == _KEYS:
            return own_keys
        # In a record's, keys may be missing that came later; they leave its digest as it was.
        return own_keys | {key: value for key, value in defaults().items() if key not in own_keys}
    return resolved(own(config))


def _check_keys(plain: Mapping[str, Any]) -> None:
    """Every key of the schema, no other, and sections where sections belong."""
    for key in plain:
        if key not in _KEYS:
            raise unknown("configuration key", key, _KEYS)
    for key in _KEYS:
        if key not in plain:
            raise InputError(f"{key} is missing: give {key}=VALUE")
    for key in ("problem", "algorithm", "grid", "targets", "scale", "tracker", "launcher"):
        if not isinstance(plain[key], Mapping):
            raise InputError(f"{key} = {plain[key]!r} is not accepted: it must be a mapping {{key: value}}")


def _check_values(plain: Mapping[str, Any]) -> None:
    """What decides neither problem nor algorithm."""
    for key, choices in (("dtype", DTYPES), ("device", DEVICES)):
        if plain[key] not in choices:
            raise unknown(key, plain[key], choices, MEANT)
    check_tracker(plain["tracker"])
    mode_of(plain["tracker"])  # refuses what is no mode in wandb's own variable
    check_launcher(plain["launcher"])
    for key in ("threads", "repeats"):
        if isinstance(plain[key], bool) or not isinstance(plain[key], int) or not 1 <= plain[key] < 2**31:
            raise InputError(f"{key} must be an integer of at least 1, got {plain[key]!r}")
    pause = plain["checkpoint_seconds"]
    if isinstance(pause, bool) or not isinstance(pause, (int, float)) or not 0 <= pause < math.inf:
        raise InputError(f"checkpoint_seconds must be a number of seconds, got {pause!r}")
    for key in ("progress", "retry_failed"):
        if not isinstance(plain[key], bool):
            raise InputError(f"{key} must be true or false, got {plain[key]!r}")
    if not isinstance(plain["records"], str) or not plain["records"].strip() or "\0" in plain["records"]:
        raise InputError(f"records must be a directory, got {plain['records']!r}")


def _create(find: Any, config: Mapping[str, Any], role: str) -> Any:
    values = dict(config.get(role) or {})
    name = values.pop("name", None)
    if role == "algorithm":
        values = {key: value for key, value in values.items() if key not in KEYS}
    if not isinstance(name, str):
        raise InputError(f"{role} is missing; choose one with {role}=NAME (unibio list shows the names)")
    kinds = tuple((key, type(value), value) for key, value in values.items())  # True, 1 and 1.0 are equal
    try:
        return _made(find(name), kinds)
    except TypeError:  # a value that cannot be hashed, which a sweep seldom has
        return find(name).create(values)


@lru_cache(maxsize=64)
def _made(cls: Any, values: tuple[tuple[str, type, Any], ...]) -> Any:
    """A problem or an algorithm, or what it declares; the jobs of a sweep share most of theirs, which are immutable."""
    return cls.create({key: value for key, _, value in values})


@lru_cache(maxsize=64)
def _check_axes(
    problem: ProblemSpec, algorithm: Algorithm, axes: tuple[tuple[str, tuple[Any, ...]], ...], dtype: torch.dtype
) -> None:
    """Refuse axes that cannot be; once for all jobs of a sweep that have the same."""
    import torch

    from unibio.simulation.grid import specs_of

    specs_of(problem, algorithm, dict(axes), torch.empty(0, dtype=dtype))


def _reading(problem: ProblemSpec, data: Mapping[str, Any] | None) -> ProblemSpec:
    """The problem with the data of the ``data`` group."""
    if data is None:
        return problem
    if not isinstance(data, Mapping):
        raise InputError(f"data = {data!r} is not accepted: write data=generated, snli or directory")
    given = {key: value for key, value in data.items() if key != "name"}
    return problem.reading(DataSettings.create(given))


def _check_targets(targets: Mapping[str, Any], problem: Any) -> None:
    for metric in targets:
        if metric not in problem.averaged:
            raise unknown("metric in targets.", metric, problem.averaged)


def _resolved(spec: Configured) -> dict[str, Any]:
    """A problem or an algorithm as the configuration holds it, and a record's name knows it."""
    values = {f.name: getattr(spec, f.name) for f in declared(spec)}
    unsaid = {f.name for f in declared(spec) if f.metadata["later"] and values[f.name] == f.default}
    return {"name": spec.name} | {name: value for name, value in values.items() if name not in unsaid}
