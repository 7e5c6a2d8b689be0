"""From overrides to jobs: composing with Hydra, outside ``hydra.main``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unibio.data.progress import Progress, shown
from unibio.errors import InputError
from unibio.pipeline import complaints, conf, hydra_internals, schema
from unibio.pipeline.hydra_internals import Override
from unibio.pipeline.job import Job, named
from unibio.pipeline.overrides import MOST, is_group, read, typed, values_of
from unibio.pipeline.varying import Varying, with_values

Compose = Callable[[list[str]], DictConfig]


@contextmanager
def composer() -> Iterator[Compose]:
    """A function that composes the project's configuration with overrides, outside ``hydra.main``.

    It raises InputError where they cannot be composed. Files of ``conf/`` are composed once for every choice of them;
    values are set on a copy, which takes a tenth of the time.
    """
    schema.register()
    hydra_internals.parse_once()
    conf.directories()  # refuses two files of one name
    composed: dict[tuple[str, ...], DictConfig] = {}

    def compose_one(overrides: list[str]) -> DictConfig:
        given = read(overrides)
        for override in given:
            if override.is_sweep_override():
                raise InputError(f"{typed(override.input_line or '')} has several values where one is meant")
        chosen = tuple(override.input_line or "" for override in given if is_group(override))
        if chosen not in composed:
            composed[chosen] = _composed(chosen)
        return with_values(composed[chosen], [override for override in given if not is_group(override)])

    with initialize_config_dir(version_base="1.3", config_dir=str(conf.conf_dir().resolve())):
        yield compose_one


def _composed(chosen: tuple[str, ...]) -> DictConfig:
    while True:
        try:
            return compose("config", [*searchpath(), *chosen], return_hydra_config=True)
        except MissingConfigException as error:
            # A plugin's class is asked what it declares when a file asks for it: no other command waits for its import.
            if not schema.register_plugin(error.missing_cfg_file):
                raise complaints.not_composed(error, chosen) from None
        except Exception as error:  # of Hydra, OmegaConf and YAML, with others as their causes
            raise complaints.not_composed(error, chosen) from None


def searchpath() -> list[str]:
    """The override that has Hydra find files of other directories than ours; [] where there are none."""
    _, *others = conf.directories()
    quoted = [str(path).replace("\\", "\\\\").replace("'", "\\'") for path in others]
    return ["hydra.searchpath=[" + ",".join(f"'file://{path}'" for path in quoted) + "]"] if others else []


@shown()
def expand(overrides: Sequence[str], compose_one: Compose) -> list[Job]:
    """The jobs of a multirun: the product of the sweeps on the command line and in ``hydra.sweeper.params``.

    A sweep on the command line replaces one of the same key in the experiment's file. Sentence pairs that are not yet
    prepared are prepared here, which is said on stderr.

    Raises:
        InputError: any of the configurations cannot work, or two of them are the same run.
    """
    given = read(overrides)
    fixed = [o.input_line or "" for o in given if not o.is_sweep_override()]
    base = compose_one(fixed)
    try:
        params: Any = (
            OmegaConf.to_container(base.hydra.sweeper.params, resolve=True) if base.hydra.sweeper.params else {}
        )
    except OmegaConfBaseException as error:
        raise complaints.not_resolved(error) from None
    typed_here = {o.key_or_group for o in given}
    swept = read([f"{key!s}={value}" for key, value in params.items() if str(key).lstrip("+") not in typed_here])
    swept += [o for o in given if o.is_sweep_override()]
    named_here = [override.key_or_group for override in (*given, *swept)]
    if not swept:
        job = _checked(named(base))
        job.check_given(named_here)
        return [job]
    total = math.prod(len(values_of(override)) for override in swept)
    if total > MOST:
        keys = ", ".join(override.key_or_group for override in swept)
        raise InputError(f"the values of {keys} make more than {MOST:,} jobs; give fewer, or use axes: +grid.…=[…]")
    groups = {override.get_key_element() for override in swept if is_group(override)}
    bases: dict[tuple[str, ...], Varying] = {}
    jobs: dict[str, Job] = {}
    words: dict[str, tuple[Override, ...]] = {}
    for combination in Progress().count(hydra_internals.combinations(swept), "planning", total):
        chosen = tuple(one.input_line or "" for one in combination if one.get_key_element() in groups)
        if chosen not in bases:
            bases[chosen] = Varying(schema.own(compose_one([*fixed, *chosen])))
        rest = [one for one in combination if one.get_key_element() not in groups]
        job = _checked(named(bases[chosen].plain(rest)))
        job.check_given(named_here)
        if job.name in jobs:
            first, second = (
                typed(" ".join(one.input_line or "" for one in of)) for of in (words[job.name], combination)
            )
            raise InputError(f"{first} and {second} are the same run, whose record is {job.name}; give one of them")
        jobs[job.name], words[job.name] = job, combination
    return list(jobs.values())


def _checked(job: Job) -> Job:
    """The job, checked to the last: by itself, or by what computed its record, if there is one that may be complete."""
    if not (job.path / "done").exists():
        job.check()
    return job


def is_multirun(overrides: Sequence[str], compose_one: Compose) -> bool:
    """Whether the configuration asks for a multirun by itself (``hydra.mode``), as experiments do.

    Raises:
        InputError: several values for a key, but no multirun.
    """
    given = read(overrides)
    swept = [o.key_or_group for o in given if o.is_sweep_override()]
    base = compose_one([o.input_line or "" for o in given if not o.is_sweep_override()])
    if base.hydra.mode == RunMode.MULTIRUN:
        return True
    if swept:
        raise InputError(f"{swept[0]} has several values: that is a sweep, add -m (or use unibio sweep)")
    return False
