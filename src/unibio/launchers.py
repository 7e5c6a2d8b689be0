"""The ``launcher`` section of a configuration: what it may say. What it does is in :mod:`unibio.launch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unibio.errors import InputError, unknown

LAUNCHERS = ("local", "joblib", "slurm")


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
    known = {"local": ("name",), "joblib": ("name", "workers")}[name]
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
        raise InputError(f"launcher.{error.full_key or ''}: {str(error).splitlines()[0]} (of launcher=slurm)") from None
    for key in ("timeout_min", "array_parallelism"):
        if checked[key] < 1:
            raise InputError(f"launcher.{key} must be at least 1, got {checked[key]}")
    common = OmegaConf.structured(BaseQueueConf).keys()
    return {
        key if key in common else f"slurm_{key}": checked[key]
        for key in given
        if checked[key] not in (None, [], {}) and key != "max_num_timeout"
    }
