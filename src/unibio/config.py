"""From Hydra's composed configuration to a checked job. Names and values live in ``conf/``; types live here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unibio.algorithms.base import Algorithm
from unibio.data.settings import DataSettings
from unibio.errors import InputError, unknown
from unibio.grid import grid_of, with_rows
from unibio.launchers import check_launcher
from unibio.parameters import Configured, PerRun, declared
from unibio.problem import ProblemSpec
from unibio.registry import ALGORITHMS, PROBLEMS, VARIANTS, algorithm_class, problem_class
from unibio.run import Settings

DTYPES = ("float64", "float32")
DEVICES = ("auto", "cpu", "cuda")
TRACKERS = ("none", "offline", "online")


def conf_dir() -> Path:
    """The configuration directory: inside the installed package, or at the root of a clone."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "conf"


@dataclass
class Root:
    """Schema of the whole configuration; ``conf/config.yaml`` gives the values and says what they mean."""

    problem: Any = MISSING
    algorithm: Any = MISSING
    scale: dict[str, Any] = field(default_factory=dict)
    tracker: dict[str, Any] = field(default_factory=dict)
    launcher: dict[str, Any] = field(default_factory=dict)
    paper: dict[str, Any] = field(default_factory=dict)
    data: Any = None  # sentence pairs, for problems that are about them
    data_hash: str | None = None  # the problem's fingerprint of its data; computed, whatever is given
    experiment: str | None = None
    steps: int | None = MISSING
    budget: int | None = None
    epochs: float | None = None
    seed: int = 0
    grid: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float64"
    log_points: int = 200
    targets: dict[str, Any] = field(default_factory=dict)
    repeats: int = 1
    device: str = "auto"
    threads: int = 1
    records: str = "runs"
    checkpoint_seconds: float = 30.0
    progress: bool = True
    retry_failed: bool = False


def register() -> None:
    """Tell Hydra the schemas and resolvers; call before composing."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Root)
    for group, classes in (("problem", PROBLEMS), ("algorithm", {**ALGORITHMS, **VARIANTS})):
        for name, cls in classes.items():
            store.store(group=group, name=f"schema_{name}", package=group, node=_schema(cls))
    store.store(group="data", name="schema", package="data", node=_schema(DataSettings))
    resolvers: dict[str, Any] = {
        "at": lambda table, key: table[str(key)],
        "times": lambda a, b: max(1, round(float(a) * float(b))),
        "power": lambda base, exponent, factor=1.0: float(factor) * float(base) ** float(exponent),
        "ceil": lambda value: math.ceil(float(value) - 1e-9),
        "minus": lambda a, b: float(a) - float(b),
        "product": lambda a, b: float(a) * float(b),
        # δ with (p−1)δ^{p−2} = 1; p = 2 has no use for one
        "unit_floor": lambda p: 0.5 if float(p) == 2 else (float(p) - 1) ** (-1 / (float(p) - 2)),
    }
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)


def _schema(cls: type[Configured]) -> type:
    """A structured config of a class's parameters: the name, and every parameter with its type."""
    kinds = get_type_hints(cls)
    fields: list[Any] = [("name", str, field(default=cls.name))]
    for spec in declared(cls):
        kind = float if kinds[spec.name] == PerRun else kinds[spec.name]
        fields.append((spec.name, kind, field(default=spec.default)))
    return dataclasses.make_dataclass(f"{cls.__name__}Schema", fields)


@dataclass(frozen=True)
class Job:
    """A checked configuration: one static structure and the axes of its batch."""

    problem: ProblemSpec
    algorithm: Algorithm
    axes: dict[str, list[Any]]
    config: dict[str, Any]

    @property
    def root(self) -> Path:
        """The records directory."""
        return Path(self.config["records"])

    @property
    def runs(self) -> int:
        """Trajectories in the batch."""
        return math.prod(len(values) for values in self.axes.values())

    def portable(self) -> dict[str, Any]:
        """The configuration as :func:`job_from` takes it."""
        return portable(self.config)

    @property
    def table(self) -> pd.DataFrame:
        """One row per run with the axes' values, in columns named by the parameter alone."""
        return grid_of({key.split(".")[-1]: values for key, values in self.axes.items()})

    def axis_names(self, role: str) -> list[str]:
        """The parameters of the problem or the algorithm that are axes."""
        return [key.split(".", 1)[1] for key in self.axes if key.startswith(role + ".")]


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
    plain = _plain(config)
    known = {spec.name for spec in dataclasses.fields(Root)}
    for key in plain:
        if key not in known:
            raise unknown("configuration key", key, known)
    problem = _reading(_create(problem_class, plain, "problem"), plain["data"])
    algorithm = _create(algorithm_class, plain, "algorithm")
    for key, choices in (("dtype", DTYPES), ("device", DEVICES)):
        if plain[key] not in choices:
            raise unknown(key, plain[key], choices)
    if plain["tracker"].get("mode", "none") not in TRACKERS:
        raise unknown("tracker.mode", plain["tracker"].get("mode"), TRACKERS)
    check_launcher(plain["launcher"])
    for key in ("threads", "repeats"):
        if plain[key] < 1:
            raise InputError(f"{key} must be at least 1, got {plain[key]}")
    Settings(plain["steps"], plain["budget"], plain["log_points"], epochs=plain["epochs"])
    _check_targets(plain["targets"], problem)
    axes = _axes(plain["grid"], plain["seed"])
    job = Job(problem, algorithm, axes, plain)
    columns = [key.split(".")[-1] for key in axes]
    for column in columns:
        if columns.count(column) > 1:
            raise InputError(f"grid: two axes are called {column}; one job can vary only one of them")
    plain["grid"] = axes
    plain["problem"], plain["algorithm"] = _resolved(problem), _resolved(algorithm)
    plain["data_hash"] = problem.fingerprint()
    specs_for(job, torch.device("cpu"))
    return job


def specs_for(job: Job, device: torch.device) -> tuple[ProblemSpec, Algorithm]:
    """The job's problem and algorithm with their axes as (runs, 1) tensors on a device.

    Raises:
        InputError: an axis that is unknown, static or out of range.
    """
    like = torch.empty(0, dtype=getattr(torch, job.config["dtype"]), device=device)
    return (
        with_rows(job.problem, job.axis_names("problem"), job.table, like),
        with_rows(job.algorithm, job.axis_names("algorithm"), job.table, like),
    )


def own(config: DictConfig) -> DictConfig:
    """A composed configuration without Hydra's own part, which is half of it; unknown keys are refused as before."""
    if "hydra" not in config:
        return config
    rest = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    OmegaConf.set_struct(rest, OmegaConf.is_struct(config))
    return rest


def _plain(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without Hydra's own part, every interpolation resolved."""
    if not isinstance(config, DictConfig):
        return dict(config)
    try:
        plain: Any = OmegaConf.to_container(own(config), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key or 'configuration'}: {str(error).splitlines()[0]}") from None
    return plain


def _create(find: Any, config: Mapping[str, Any], role: str) -> Any:
    values = dict(config.get(role) or {})
    name = values.pop("name", None)
    if name is None:
        raise InputError(f"{role} is missing; choose one with {role}=NAME (unibio list shows the names)")
    return find(name).create(values)


def _reading(problem: ProblemSpec, data: Mapping[str, Any] | None) -> ProblemSpec:
    """The problem with the data of the ``data`` group."""
    if data is None:
        if problem.reads_pairs:
            raise InputError(f"data is missing: problem {problem.name} needs data=generated, snli or directory")
        return problem
    given = {key: value for key, value in data.items() if key != "name"}
    return problem.reading(DataSettings.create(given))


def _check_targets(targets: Mapping[str, Any], problem: ProblemSpec) -> None:
    for metric, levels in targets.items():
        if metric not in problem.averaged:
            raise unknown("metric in targets.", metric, problem.averaged)
        if not isinstance(levels, list) or not all(isinstance(level, (int, float)) for level in levels):
            raise InputError(f"targets.{metric} = {levels!r} is not accepted: give a list of numbers")


def _resolved(spec: Configured) -> dict[str, Any]:
    return {"name": spec.name} | {f.name: getattr(spec, f.name) for f in declared(spec)}


def _axes(grid: Mapping[str, Any], seed: int) -> dict[str, list[Any]]:
    """{"seed" | "problem.<parameter>" | "algorithm.<parameter>": values} from the ``grid`` section."""
    axes: dict[str, list[Any]] = {}
    for key, value in grid.items():
        if key in ("problem", "algorithm"):
            for name, values in (value or {}).items():
                axes[f"{key}.{name}"] = [float(v) for v in _values(f"grid.{key}.{name}", values)]
        elif key == "seed":
            count = value.get("count") if isinstance(value, Mapping) else None
            values = range(seed, seed + count) if isinstance(count, int) else _values("grid.seed", value)
            axes["seed"] = [int(v) for v in values]
        else:
            raise unknown("key in grid", key, ("seed", "problem", "algorithm"))
    for key, values in axes.items():
        if not values:
            raise InputError(f"grid.{key} is empty; give at least one value")
    # Seeds vary fastest, so that a curve's runs lie together.
    return {key: axes[key] for key in sorted(axes, key=lambda k: k == "seed")}


def _values(key: str, value: Any) -> list[Any]:
    """A list as it is, or {log: [from, to, count]} or {linear: [from, to, count]}."""
    if isinstance(value, (list, tuple)):
        if all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in value):
            return list(value)
    elif isinstance(value, Mapping) and len(value) == 1:
        kind, numbers = next(iter(value.items()))
        spaced: Any = {"log": np.geomspace, "linear": np.linspace}.get(kind)
        if spaced is not None and isinstance(numbers, (list, tuple)) and len(numbers) == 3:
            low, high, count = numbers
            if int(count) >= 1 and (kind == "linear" or (low > 0 and high > 0)):
                return [float(f"{v:.12g}") for v in spaced(low, high, int(count))]
    what = "{count: N}, " if key == "grid.seed" else ""
    raise InputError(
        f"{key} = {value!r} is not an axis: give a list of numbers, {what}{{log: [from, to, count]}} or "
        "{linear: [from, to, count]}"
    )
