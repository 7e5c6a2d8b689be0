"""What a configuration may say. Names and values live in ``conf/``; types live here."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from unibio.core.parameters import PER_RUN, Configured, declared, kinds
from unibio.core.rule_settings import KEYS
from unibio.core.schedules import scheduled
from unibio.data.settings import DataSettings
from unibio.errors import InputError, unknown
from unibio.registry import ALGORITHMS, PROBLEMS, VARIANTS, Table

DTYPES = ("float64", "float32")
DEVICES = ("auto", "cpu", "cuda")
TRACKERS = ("none", "offline", "online")
LAUNCHERS = ("local", "processes", "slurm")
#: Other words for some of them, in small letters.
MEANT = {"gpu": "cuda", "double": "float64", "float": "float32", "single": "float32", "disabled": "none"}


@dataclass
class Root:
    """Schema of the whole configuration; ``conf/config.yaml`` gives the values and says what they mean."""

    problem: Any = MISSING
    algorithm: Any = MISSING
    scale: dict[str, Any] = field(default_factory=dict)
    tracker: dict[str, Any] = field(default_factory=dict)
    launcher: dict[str, Any] = field(default_factory=dict)
    paper: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] | None = None  # of a theorem, from which other values are computed
    data: Any = None  # sentence pairs, for problems that are about them
    data_hash: str | None = None  # the problem's fingerprint of its data; computed, whatever is given
    experiment: str | None = None
    reproduce_at: dict[str, str] = field(default_factory=dict)
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
    check: bool = True
    retry_failed: bool = False


def defaults() -> dict[str, Any]:
    """The values of the keys that have one in the schema."""
    plain: Any = OmegaConf.to_container(OmegaConf.structured(Root))
    return {key: value for key, value in plain.items() if value != MISSING}


def register() -> None:
    """Tell Hydra the schemas and resolvers; call before composing."""
    store = ConfigStore.instance()
    while _plugged:  # of an earlier path, where another class may have had the name
        group, file = _plugged.pop()
        del store.repo[group][file]
    store.store(name="schema", node=Root)
    for group, table in (("problem", PROBLEMS), ("algorithm", ALGORITHMS), ("algorithm", VARIANTS)):
        for name in table.keys() - table.plugged().keys():
            store.store(group=group, name=f"schema_{name}", package=group, node=_schema(table.declared(name)))
    store.store(group="data", name="schema", package="data", node=_schema(DataSettings))
    resolvers: dict[str, Any] = {
        "scheduled": _scheduled,
        "at": lambda table, key: table[str(key)],
        "times": lambda a, b: max(1, round(float(a) * float(b))),
        "power": lambda base, exponent, factor=1.0: float(factor) * float(base) ** float(exponent),
        "larger": max,
        "ceil": lambda value: math.ceil(float(value) - 1e-9),
        "minus": lambda a, b: float(a) - float(b),
        "product": lambda a, b: float(a) * float(b),
        # δ with (p−1)δ^{p−2} = 1; p = 2 has no use for one
        "unit_floor": lambda p: 0.5 if float(p) == 2 else (float(p) - 1) ** (-1 / (float(p) - 2)),
    }
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)


def register_plugin(missing: str | None) -> bool:
    """Tell Hydra of a plugin's algorithm or problem that a configuration has asked for in vain.

    Args:
        missing: the file that was not found: algorithm/schema_NAME, or algorithm/NAME, which is then as the class
            declares it.

    Returns:
        Whether there is such a plugin, of which Hydra did not know.

    Raises:
        InputError: it cannot be imported.
    """
    group, _, file = (missing or "").removesuffix(".yaml").partition("/")
    tables: dict[str, Table[Any]] = {"problem": PROBLEMS, "algorithm": ALGORITHMS}
    table = tables.get(group)
    name = file.removeprefix("schema_")
    store = ConfigStore.instance()
    if table is None or name not in table.plugged() or (group, f"{file}.yaml") in _plugged:
        return False
    store.store(group=group, name=file, package=group, node=_schema(table.declared(name)))
    _plugged.append((group, f"{file}.yaml"))
    return True


#: What :func:`register_plugin` has told Hydra: group and file.
_plugged: list[tuple[str, str]] = []


def _scheduled(quantity: str, schedule: Mapping[str, Any]) -> Any:
    """A setting by the configuration's schedule."""
    given = {str(key): value for key, value in schedule.items()}
    return getattr(scheduled(given.pop("name"), **given), quantity)


@cache
def _schema(cls: type[Configured]) -> type:
    """A structured config of a class's parameters: the name, every parameter with its type, an algorithm's rules."""
    types = kinds(cls)
    fields: list[Any] = [("name", str, field(default=cls.name))]
    for spec in declared(cls):
        kind = float if types[spec.name] == PER_RUN else types[spec.name]
        fields.append((spec.name, kind, field(default=spec.default)))
    if cls.role == "algorithm":
        fields += [(key, Any, field(default=None)) for key in KEYS]
    return dataclasses.make_dataclass(f"{cls.__name__}Schema", fields)


def own(config: DictConfig) -> DictConfig:
    """A composed configuration without Hydra's own part, which is half of it; checked as before when values are set."""
    if "hydra" not in config:
        return config
    rest = copy.deepcopy(config)  # a masked copy would forget the types of the keys at the top
    with open_dict(rest):
        del rest["hydra"]
    return rest


_TRACKER = ("mode", "project", "entity", "group", "max_curves")


def check_tracker(tracker: Mapping[str, Any]) -> None:
    """Check a configuration's ``tracker`` section.

    Raises:
        InputError: a mode, a key or a value that cannot work.
    """
    mode = tracker.get("mode", "none")
    if mode not in TRACKERS:
        raise unknown("tracker.mode", mode, TRACKERS, MEANT)
    for key in tracker:
        if key not in _TRACKER:
            raise unknown("key in tracker", key, _TRACKER)
    if mode == "none":
        return
    for key in ("project", "entity", "group"):
        value = tracker.get(key)
        if not (isinstance(value, str) and value.strip()) and not (key != "project" and value is None):
            raise InputError(f"tracker.{key} must be a name, got {value!r}")
    most = tracker.get("max_curves", 8)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise InputError(f"tracker.max_curves must be a positive integer, got {most!r}")


#: wandb's modes, as WANDB_MODE names them, and what they are here.
_MODES = {"online": "online", "run": "online", "shared": "online", "offline": "offline", "dryrun": "offline"}
_MODES["disabled"] = "none"


def mode_of(tracker: Mapping[str, Any]) -> str:
    """none | offline | online: the configuration's mode, which wandb's own variables can change.

    WANDB_DISABLED and WANDB_MODE=disabled leave wandb out; another WANDB_MODE takes the place of the configuration's.
    With ``tracker=none`` wandb is left out whatever they say.

    Raises:
        InputError: WANDB_MODE is none of wandb's.
    """
    mode = str(tracker.get("mode", "none"))
    asked = os.environ.get("WANDB_MODE", "").strip().lower()
    if asked and asked not in _MODES:
        raise unknown("mode in the environment's WANDB_MODE,", asked, _MODES)
    disabled = os.environ.get("WANDB_DISABLED", "").strip().lower() in ("1", "true", "t", "yes", "y", "on")
    return "none" if disabled or mode == "none" else _MODES[asked] if asked else mode


def check_launcher(launcher: Mapping[str, Any]) -> None:
    """Check a configuration's ``launcher`` section.

    Raises:
        InputError: a name, a key or a value that cannot work.
    """
    name = launcher.get("name", "local")
    if name not in LAUNCHERS:
        raise unknown("launcher", name, LAUNCHERS)
    if name == "slurm":
        slurm_parameters(launcher)
        return
    known = {"local": ("name",), "processes": ("name", "workers")}[name]
    for key in launcher:
        if key not in known:
            raise unknown(f"key in launcher (of launcher={name})", key, known)
    workers = launcher.get("workers")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise InputError(
            f"launcher.workers must be a positive integer, or null for one per GPU or core, got {workers!r}"
        )


def slurm_parameters(launcher: Mapping[str, Any]) -> dict[str, Any]:
    """The ``launcher`` section as submitit takes it.

    Raises:
        InputError: a key or a value that Hydra's submitit launcher does not know.
    """
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf, SlurmQueueConf

    given = {key: value for key, value in launcher.items() if key != "name"}
    try:
        checked: Any = OmegaConf.to_container(OmegaConf.merge(OmegaConf.structured(SlurmQueueConf), given))
    except OmegaConfBaseException as error:
        key = str(error.full_key or error.key or "")
        known = [name for name in SlurmQueueConf.__dataclass_fields__ if name not in ("_target_", "submitit_folder")]
        if key not in known:
            raise InputError(f"launcher.{key}: {unknown('key of launcher=slurm', key, known)}") from None
        raise InputError(f"launcher.{key} = {given.get(key)!r} is not accepted by SLURM's launcher") from None
    for key in ("timeout_min", "array_parallelism"):
        if checked[key] < 1:
            raise InputError(f"launcher.{key} must be at least 1, got {checked[key]}")
    common = OmegaConf.structured(BaseQueueConf).keys()
    return {
        key if key in common else f"slurm_{key}": checked[key]
        for key in given
        if checked[key] not in (None, [], {}) and key != "max_num_timeout"
    }
